"""A line and SMSCs that have bad nights: nothing is lost, nothing doubled beyond its class.

Each fault is played by our simulator and by an SMSC on node-smpp. In each, subscribers ask for a
tone, confirm it, and are to have one question, one order and one notice, each message once, but
for those whose response the SMSC kept to itself: these may come twice, as `on_lost_response` says.

One line is bound to all these SMSCs, and they have their nights at the same time: mostly one waits.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from tests.certificate import self_signed
from tests.system.line import Line, Settings
from tests.system.night_field import QUESTION, Field, Tally
from tests.system.nights import LINKS, NIGHTS, Night, Scene, shared_out
from tests.system.smsc import KINDS, Kind, SmscProcess

OVER_ALL_S = 600.0
IN_PARTS = "。" * 65 + "1029" + "。" * 20
"""A text whose code is cut in two by the end of its first part."""
ALPHABETS: Mapping[str, list[tuple[int, bytes, str]]] = {
    "udh8": [
        (0, b"\x1b(1029\x1b)", "{1029}"),
        (3, "«1029»".encode("latin-1"), "«1029»"),
        (8, "🎵１０２９🎵".encode("utf-16-be"), "🎵１０２９🎵"),
        (15, "订购1029".encode("gb18030"), "订购1029"),
    ],
    "sar": [(0, "«1029»".encode("latin-1"), "«1029»")],
    "payload": [(0, "订购1029".encode("gb18030"), "订购1029")],
}
"""By link: data_coding, what a telephone sends, and what it says."""


def order(field: Field, night: Night) -> str:
    tally = field.order_all(field.crowd())
    _check(tally, field, night)
    if night.ends:
        field.wait_until_ended(tally.numbers, night.ends)
    return f"{tally} of {night.doubled} allowed"


def _check(tally: Tally, field: Field, night: Night) -> None:
    assert tally.lost == 0, tally
    assert tally.doubled <= tally.parts_doubled <= night.doubled, tally
    assert tally.orders == Counter(dict.fromkeys(tally.numbers, 1)), tally
    assert tally.ways == {field.link.name}


def rebind(field: Field, night: Night) -> str:
    """The connections are lost, and the binds that follow go wrong."""
    field.smsc.now("drop")
    field.line.wait_for(
        lambda: not field.smsc.state()["binds"],
        f"the connections are lost: {field.smsc.state()}",
    )
    return order(field, night)


def offer(field: Field, night: Night) -> str:
    """An offer whose response is lost is not sent again."""
    (number,) = field.crowd(1)
    since = int(field.smsc.state()["last"])
    field.smsc.play({"on": "submit", "do": "lose", "destination": number})
    field.line.command("phone", "125300191029", "--from", number)
    field.line.wait_for(
        lambda: bool(field.states([number])) and not field.is_under_way([number]),
        f"the offer's fate is decided, {night.name}",
        60,
    )
    assert field.states([number]) == {"failed": 1}
    assert [mt["destination"] for mt in field.smsc.mts(since)] == [number]
    return "sent once"


def parts(field: Field, _night: Night) -> str:
    """A message's parts make one message, whichever order they come in and however often."""
    since, way = int(field.smsc.state()["last"]), field.link.name
    orders = [[1]] if way == "payload" else [[1, 2], [2, 1], [1, 1, 2], [2, 1, 2]]
    numbers = field.crowd(len(orders))
    for number, only in zip(numbers, orders, strict=True):
        field.smsc.mo(number, IN_PARTS, long_messages=way, only=only)
    return _all_understood(field, numbers, since, IN_PARTS)


def _all_understood(field: Field, numbers: list[str], since: int, *texts: str) -> str:
    field.wait_until_all_have(numbers, QUESTION, since)
    field.wait_until_settled(numbers)
    assert field.got(since) == Counter({(number, QUESTION): 1 for number in numbers})
    assert set(field.texts(numbers)) == set(texts)
    return f"{len(numbers)} questions"


def missing_part(field: Field, _night: Night) -> str:
    """Without one of its parts a message orders nothing; a refusal counts as far as it came."""
    asking, refusing = field.crowd(2)
    since = int(field.smsc.state()["last"])
    field.smsc.mo(asking, "1029" + "。" * 70, only=[1])
    field.smsc.mo(refusing, "TDGG" + "。" * 70, only=[1])
    field.line.wait_for(lambda: len(field.smsc.mts(since)) == 2, "both are answered", 90)
    answers = {mt["destination"]: mt["text"] for mt in field.smsc.mts(since)}
    assert QUESTION not in answers[asking]
    assert answers[refusing] != answers[asking]
    assert not field.orders([asking, refusing])
    (refused,) = field.line.trace(refusing, "opt_out")
    return f"help, and {refused['kind']}"


def alphabet(field: Field, _night: Night) -> str:
    """What telephones write is read in the alphabet that data_coding says, or the SMSC's own."""
    cases = ALPHABETS[field.link.name]
    since, numbers = int(field.smsc.state()["last"]), field.crowd(len(cases))
    for number, (coding, octets, _) in zip(numbers, cases, strict=True):
        field.smsc.mo(number, "", octets=octets.hex(), data_coding=coding)
    return _all_understood(field, numbers, since, *(text for _, _, text in cases))


SCENES: Mapping[Scene, Callable[[Field, Night], str]] = {
    "order": order,
    "offer": offer,
    "parts": parts,
    "missing_part": missing_part,
    "alphabet": alphabet,
    "rebind": rebind,
}


class Evening:
    """All nights, those over different links at the same time."""

    def __init__(self, line: Line, fields: list[Field], wanted: set[tuple[Kind, Night]]) -> None:
        self._line = line
        self._told: dict[tuple[Kind, str], Future[str]] = {
            (kind, night.name): Future() for kind, night in wanted
        }
        self._is_over = threading.Event()
        self._fields = fields

    def __enter__(self) -> Evening:
        shares = shared_out(NIGHTS)
        self._pool = ThreadPoolExecutor(len(self._fields))
        for field in self._fields:
            self._pool.submit(self._play, field, shares[field.link.name])
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._pool.shutdown(wait=True)

    def told(self, kind: Kind, night: Night) -> str:
        """Wait until this night is over; return what was counted, or raise what was wrong."""
        return self._told[kind, night.name].result(OVER_ALL_S)

    def _play(self, field: Field, nights: list[Night]) -> None:
        for night in nights:
            told = self._told.get((field.kind, night.name))
            if told is None or self._is_over.is_set():
                continue
            began = time.monotonic()
            try:
                field.begin(self._line, night)
                counted = SCENES[night.scene](field, night)
            except BaseException as error:  # it is raised where it is asked for
                told.set_exception(error)
            else:
                took_s = time.monotonic() - began
                told.set_result(f"{field.link.name}: {counted}, {took_s:.1f} s")


@pytest.fixture(scope="module")
def evening(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path
) -> Iterator[Evening]:
    folder = tmp_path_factory.mktemp("nights")
    pem = self_signed(folder / "smsc.pem", "127.0.0.1")
    wanted = {
        (cast("Kind", item.callspec.params["kind"]), cast("Night", item.callspec.params["night"]))
        for item in request.session.items
        if isinstance(item, pytest.Function) and "evening" in item.fixturenames
    }
    with ExitStack() as stack:
        fields = []
        for number, (kind, link) in enumerate((kind, link) for kind in KINDS for link in LINKS):
            smsc = SmscProcess(kind, folder, f"{kind}-{link.name}", pem=pem if link.tls else None)
            fields.append(Field(kind, link, stack.enter_context(smsc), f"1390{number}"))
        settings: Settings = {
            "smsc": [field.settings() for field in fields],
            "sms": {"sender_offer": "12530020"},
            "policy": {"offer_hours": ""},
        }
        line = stack.enter_context(Line(folder / "line", settings, sounds=prepared_sounds))
        yield stack.enter_context(Evening(line, fields, wanted))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("night", NIGHTS, ids=lambda night: night.name)
def test_nothing_is_lost_and_nothing_doubled_beyond_its_class(
    evening: Evening, kind: Kind, night: Night
) -> None:
    print(f"{kind}: {night.name}: {evening.told(kind, night)}")
