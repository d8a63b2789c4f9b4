"""A line bound to several SMSCs, of which one dies and comes back: shares, prefixes, standby.

What one of two kinds does, our simulator or an SMSC on node-smpp, the other must be able to do.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.system.line import Line, Settings
from tests.system.smsc import KINDS, Kind, SmscProcess

PATIENCE_S = 90.0
GONE = {"sent", "delivered"}


class Several:
    """A line with two SMSCs of weights 2 and 1, a standby, and one for numbers of 138 alone."""

    def __init__(self, line: Line, smscs: dict[str, SmscProcess]) -> None:
        self.line = line
        self.smscs = smscs
        self._next = count(1)

    def crowd(self, size: int, prefix: str = "139") -> list[str]:
        return [f"86{prefix}{next(self._next):08d}" for _ in range(size)]

    def ask(self, numbers: Sequence[str]) -> None:
        """Every number asks for a tone; the answer is a question in two parts."""
        for number in numbers:
            self.smscs["prefix"].mo(number, "1029")

    def wait_until_bound(self, *names: str) -> None:
        """These are bound and no other."""
        wanted = {f"smsc {name}": name in names for name in self.smscs}

        def are_bound() -> bool:
            services = self.line.health()["services"]
            return {name: services[name]["status"] == "ok" for name in wanted} == wanted

        self.line.wait_for(are_bound, f"bound to {names} alone", PATIENCE_S)

    def wait_until_gone(self, numbers: Sequence[str]) -> None:
        """Every question is with an SMSC."""
        self.line.wait_for(
            lambda: set(self.states(numbers)) <= GONE and self.states(numbers).total() >= 1,
            f"all questions are gone: {self.states(numbers)}",
            PATIENCE_S,
        )

    def states(self, numbers: Sequence[str]) -> Counter[str]:
        return Counter(state for (state,) in self._rows("SELECT state FROM outbox", numbers))

    def ways(self, numbers: Sequence[str]) -> dict[str, list[str]]:
        """By number the SMSC of each part that was accepted, in the order of the parts."""
        found = defaultdict(list)
        joined = (
            "SELECT msisdn, outbox_part.smsc FROM outbox"
            " JOIN outbox_part ON outbox_part.mt_id = outbox.mt_id"
        )
        for number, smsc in self._rows(joined, numbers, " ORDER BY msisdn, part"):
            found[number].append(smsc)
        return dict(found)

    def shares(self, numbers: Sequence[str]) -> Counter[str]:
        """How many messages each SMSC had; all of them had both parts, and by one."""
        ways = self.ways(numbers)
        assert set(ways) == set(numbers), "every number has its question"
        assert all(len(way) == 2 and len(set(way)) == 1 for way in ways.values()), ways
        return Counter(way[0] for way in ways.values())

    def whole(self, name: str, numbers: Sequence[str]) -> Counter[str]:
        """How often an SMSC had the whole question for each number."""
        wanted = set(numbers)
        return Counter(
            mt["destination"]
            for mt in self.smscs[name].mts()
            if mt["destination"] in wanted and "回Y1029" in mt["text"] and mt["parts"] == 2
        )

    def _rows(self, statement: str, numbers: Sequence[str], order: str = "") -> list[Any]:
        file = self.line.folder / "var" / "toneline.db"
        where = " WHERE msisdn BETWEEN ? AND ?"
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20) as database:
            return database.execute(statement + where + order, (numbers[0], numbers[-1])).fetchall()


@pytest.fixture(scope="module", params=KINDS)
def several(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path
) -> Iterator[Several]:
    folder = tmp_path_factory.mktemp(f"several-{request.param}")
    first: Kind = request.param
    second: Kind = "node" if first == "simulator" else "simulator"
    more: dict[str, dict[str, object]] = {
        "heavy": {"weight": 2},
        "light": {},
        "standby": {"standby": True},
        "prefix": {"prefixes": ["138"]},
    }
    with ExitStack() as stack:
        smscs = {
            name: stack.enter_context(SmscProcess(kind, folder, name))
            for name, kind in zip(more, (first, second, second, first), strict=True)
        }
        link = {"binds": 2, "window": 10, "response_timeout_s": 2, "enquire_link_s": 2}
        settings: Settings = {
            "smsc": [smscs[name].settings(**link, **more[name]) for name in more],
            "sms": {"sender_offer": "12530020"},
        }
        line = stack.enter_context(Line(folder / "line", settings, sounds=prepared_sounds))
        opened = Several(line, smscs)
        opened.wait_until_bound(*more)
        yield opened


def test_messages_are_shared_out_by_weight_and_by_prefix(several: Several) -> None:
    numbers, others = several.crowd(30), several.crowd(6, "138")
    several.ask([*numbers, *others])
    several.wait_until_gone(numbers)
    several.wait_until_gone(others)
    shares = several.shares(numbers)
    print(f"{dict(shares)} of {len(numbers)}; {dict(several.shares(others))} of those of 138")
    assert set(shares) == {"heavy", "light"}
    assert 15 <= shares["heavy"] <= 25
    assert several.shares(others) == {"prefix": 6}


def test_what_an_smsc_had_in_part_waits_for_it_and_the_rest_goes_by_another(
    several: Several,
) -> None:
    """It dies with responses under way, in mid-load; nothing is lost, no message is torn apart."""
    heavy = several.smscs["heavy"]
    heavy.play(
        # Of every third message only the first part's acceptance is told.
        {"on": "submit", "do": "lose", "text": "退订回TD", "every": 3},
        smsc={"response_delay_s": 0.02},
    )
    before = int(heavy.state()["counts"].get("accepted", 0))
    numbers = several.crowd(40)
    several.ask(numbers)
    several.line.wait_for(
        lambda: int(heavy.state()["counts"]["accepted"]) >= before + 20,
        "it is in mid-load",
        PATIENCE_S,
    )
    heavy.kill()
    several.line.wait_for(
        lambda: several.whole("light", numbers).total() >= 10, "the other goes on", PATIENCE_S
    )
    several.wait_until_bound("light", "standby", "prefix")
    several.line.wait_for(
        lambda: not several.states(numbers)["claimed"], "what came of it is written", PATIENCE_S
    )
    in_part = [number for number, way in several.ways(numbers).items() if way == ["heavy"]]
    heavy.__enter__()
    several.wait_until_bound("heavy", "light", "standby", "prefix")
    several.wait_until_gone(numbers)
    shares, light = several.shares(numbers), several.whole("light", numbers)
    doubled = light.total() - len(light)
    print(f"{dict(shares)} of {len(numbers)}, {len(in_part)} in part, doubled {doubled}")
    assert in_part
    assert not set(in_part) & set(light)
    assert doubled == 0
    assert set(shares) == {"heavy", "light"}


def test_a_standby_serves_while_the_others_are_away_and_no_longer(several: Several) -> None:
    for name in ("heavy", "light"):
        several.smscs[name].kill()
    several.wait_until_bound("standby", "prefix")
    numbers = several.crowd(10)
    several.ask(numbers)
    several.wait_until_gone(numbers)
    away = several.shares(numbers)
    for name in ("heavy", "light"):
        several.smscs[name].__enter__()
    several.wait_until_bound(*several.smscs)
    numbers = several.crowd(10)
    several.ask(numbers)
    several.wait_until_gone(numbers)
    print(f"while they were away: {dict(away)}, afterwards {dict(several.shares(numbers))}")
    assert away == {"standby": 10}
    assert "standby" not in several.shares(numbers)
