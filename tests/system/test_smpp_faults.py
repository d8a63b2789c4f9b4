"""A line and an SMSC that has a bad night: nothing is lost, nothing doubled beyond its class.

Each fault is played by our simulator and by an SMSC on node-smpp. In each, subscribers ask for a
tone, confirm it, and are to have one question, one order and one notice, each message once, but
for those whose response the SMSC kept to itself: these may come twice, as `on_lost_response` says.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from tests.system.line import Line, Settings
from tests.system.smsc import KINDS, SmscProcess

BINDS = 2
WINDOW = 10
CROWD = 6
PATIENCE_S = 90.0
SETTLED = {"sent", "delivered", "unknown", "failed", "dropped"}
LINK: dict[str, object] = {
    "binds": BINDS,
    "window": WINDOW,
    "response_timeout_s": 2,
    "enquire_link_s": 2,
    "mo_id_tlv": 0x1400,
}
QUESTION, NOTICE = "回Y1029", "已订购"
"""Words by which the messages are known."""

Rule = dict[str, object]


@dataclass(frozen=True)
class Night:
    """What goes wrong, and how many messages may come twice by it."""

    name: str
    rules: Sequence[Rule] = ()
    smsc: dict[str, object] = field(default_factory=dict)
    receipt: dict[str, object] = field(default_factory=dict)
    doubled: int = 0


def submit(do: str, **more: object) -> Rule:
    return {"on": "submit", "do": do, **more}


def deliver(do: str, **more: object) -> Rule:
    return {"on": "deliver", "do": do, **more}


NIGHTS = (
    Night("nothing goes wrong"),
    # What goes out.
    Night("throttled", [submit("refuse", status="RTHROTTLED", every=5, times=3)]),
    Night("a rate", smsc={"tps": 8}),
    Night("queue full", [submit("refuse", status="RMSGQFUL", every=5, times=3)]),
    Night("a full queue", smsc={"queue": 4}),
    Night("a system error", [submit("refuse", status="RSYSERR", every=5, times=3)]),
    Night(
        "dropped before acceptance", [submit("drop_before", every=7, times=2)], doubled=2 * WINDOW
    ),
    Night("dropped after acceptance", [submit("drop_after", every=7, times=2)], doubled=2 * WINDOW),
    Night("responses lost", [submit("lose", every=7, times=2)], doubled=2),
    Night("requests lost", [submit("ignore", every=7, times=2)]),
    Night("responses repeated", [submit("repeat", every=2, delay_s=0.1)]),
    Night("responses late", [submit("delay", every=7, times=2, delay_s=3)], doubled=2),
    Night("responses overtaken", [submit("reorder", every=2, count=2)]),
    *(
        Night(
            f"responses malformed, {kind}",
            [submit("malformed", kind=kind, every=7, times=2)],
            doubled=2 * WINDOW,
        )
        for kind in ("length", "tlv")
    ),
    Night("unbinds of its own", [submit("unbind", every=7, times=2)], doubled=2 * WINDOW),
    Night("a stall", [submit("stall", after=5, times=1)]),
    Night("slow", smsc={"response_delay_s": 0.3}),
    # What comes in.
    Night("messages twice", [deliver("repeat", every=2)]),
    Night("messages again, their answer lost", [deliver("lose", every=2, delay_s=0.3)]),
    Night("dropped with a message", [deliver("drop_before", every=4, times=2)], doubled=2 * WINDOW),
    Night("dropped at its answer", [deliver("drop_after", every=4, times=2)], doubled=2 * WINDOW),
    Night("messages overtaken", [deliver("reorder", every=3)]),
    Night("messages late", [deliver("delay", every=2, delay_s=0.5)]),
    *(
        Night(
            f"messages malformed, {kind}",
            [deliver("malformed", kind=kind, every=4, times=2)],
            smsc={"deliver_timeout_s": 1},
            doubled=2 * WINDOW,
        )
        for kind in ("length", "tlv")
    ),
    # The link.
    Night("its own enquire_link", smsc={"enquire_link_s": 0.5}),
    Night("enquire_link unanswered", [{"on": "enquire_link", "do": "ignore", "times": 1}]),
    # Receipts.
    Night("receipts by TLV", receipt={"by": "tlv"}),
    Night("receipts by text", receipt={"by": "text"}),
    Night("receipts with padded ids", receipt={"by": "text", "message_id": "padded"}),
    Night("receipts with upper ids", receipt={"by": "text", "message_id": "upper"}),
    Night("receipts before the response", receipt={"before_response": True}),
    Night("receipts with intermediate ones", receipt={"intermediate": ["ENROUTE", "ACCEPTD"]}),
    Night(
        "receipts out of order",
        receipt={"intermediate": ["ENROUTE"], "final_first": True, "jitter_s": 1},
    ),
    Night("receipts again and again", receipt={"copies": 3}),
    Night("receipts over another bind", receipt={"bind": "other"}),
)


@dataclass
class Tally:
    """What was counted of one night; `parts_doubled` are submit_sm accepted beyond those needed."""

    mos: int
    lost: int
    doubled: int
    parts_doubled: int
    orders: Counter[str]


class Field:
    """A line bound to an SMSC, and the subscribers who text it."""

    def __init__(self, line: Line, smsc: SmscProcess) -> None:
        self.line = line
        self.smsc = smsc
        self._numbers = map("8613905{:06d}".format, count(260001))
        self._database = line.folder / "var" / "toneline.db"

    def crowd(self, size: int = CROWD) -> list[str]:
        return [next(self._numbers) for _ in range(size)]

    def order_all(self, numbers: Sequence[str]) -> Tally:
        """Everybody asks and, when all have their question, confirms; count what came of it."""
        before = self.smsc.state()
        since, accepted = int(before["last"]), int(before["counts"].get("accepted", 0))
        answered = int(before["counts"].get("mo_answered", 0))
        for number in numbers:
            self.smsc.mo(number, "1029")
        self.wait_until_all_have(numbers, QUESTION, since)
        # A message that comes again after another of his is a message of its own.
        self.wait_until_answered(answered + len(numbers))
        for number in numbers:
            self.smsc.mo(number, "Y1029")
        self.wait_until_all_have(numbers, NOTICE, since)
        self.wait_until_answered(answered + 2 * len(numbers))
        self.wait_until_settled(numbers)
        got = self.got(since)
        expected = [(number, words) for number in numbers for words in (QUESTION, NOTICE)]
        needed = len(numbers) * sum(self.parts(since, words) for words in (QUESTION, NOTICE))
        return Tally(
            mos=2 * len(numbers),
            lost=sum(not got[one] for one in expected),
            doubled=sum(max(0, got[one] - 1) for one in expected),
            parts_doubled=int(self.smsc.state()["counts"]["accepted"]) - accepted - needed,
            orders=self.orders(numbers),
        )

    def parts(self, since: int, words: str) -> int:
        """Of how many parts such a message is."""
        return min(int(mt["parts"]) for mt in self.smsc.mts(since) if words in mt["text"])

    def got(self, since: int) -> Counter[tuple[str, str]]:
        """How often each number was sent which message."""
        return Counter(
            (mt["destination"], words)
            for mt in self.smsc.mts(since)
            for words in (QUESTION, NOTICE)
            if words in mt["text"]
        )

    def wait_until_all_have(self, numbers: Sequence[str], words: str, since: int) -> None:
        self.line.wait_for(
            lambda: all(self.got(since)[number, words] for number in numbers),
            f"every number has a message with {words}: {self.smsc.state()}",
            PATIENCE_S,
        )

    def wait_until_answered(self, mos: int) -> None:
        """So many messages of subscribers have been answered since the SMSC began."""
        self.line.wait_for(
            lambda: self.smsc.state()["counts"].get("mo_answered", 0) >= mos,
            f"every message is answered: {self.smsc.state()}",
            PATIENCE_S,
        )

    def wait_until_settled(self, numbers: Sequence[str]) -> None:
        """Nothing of theirs waits, or waits for a response, any more."""
        self.line.wait_for(
            lambda: not self.is_under_way(numbers),
            f"the outbox is empty: {self.states(numbers)}",
            PATIENCE_S,
        )

    def is_under_way(self, numbers: Sequence[str]) -> bool:
        return not set(self.states(numbers)) <= SETTLED

    def wait_until_bound(self) -> None:
        self.line.wait_for(
            lambda: len(self.smsc.state()["binds"]) == BINDS, "the line has bound", 60
        )

    def orders(self, numbers: Sequence[str]) -> Counter[str]:
        return self._column("SELECT msisdn FROM orders WHERE msisdn BETWEEN ? AND ?", numbers)

    def states(self, numbers: Sequence[str]) -> Counter[str]:
        """What became of the messages to these numbers, which follow one another."""
        return self._column("SELECT state FROM outbox WHERE msisdn BETWEEN ? AND ?", numbers)

    def _column(self, statement: str, numbers: Sequence[str]) -> Counter[str]:
        # mode=ro: a reader that could write would leave files of its own in the line's folder.
        with sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=20) as database:
            rows = database.execute(statement, (numbers[0], numbers[-1])).fetchall()
        return Counter(value for (value,) in rows)


@pytest.fixture(scope="module", params=KINDS)
def field_of_play(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    prepared_sounds: Path,
) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp(f"night-{request.param}")
    with SmscProcess(request.param, folder) as smsc:
        settings: Settings = {
            "smsc": [smsc.settings(**LINK)],
            "sms": {"sender_offer": "12530020"},
            "policy": {"offer_hours": ""},
        }
        with Line(folder / "line", settings, sounds=prepared_sounds) as line:
            yield Field(line, smsc)


@pytest.mark.parametrize("night", NIGHTS, ids=lambda night: night.name)
def test_nothing_is_lost_and_nothing_doubled_beyond_its_class(
    field_of_play: Field, night: Night
) -> None:
    smsc = field_of_play.smsc
    smsc.play()
    field_of_play.wait_until_bound()
    smsc.play(
        *night.rules,
        smsc={"mo_id_tlv": 0x1400, "retry_s": 0.2, **night.smsc},
        receipt=night.receipt,
    )
    numbers = field_of_play.crowd()
    began = time.monotonic()
    tally = field_of_play.order_all(numbers)
    print(
        f"{smsc.kind}: {night.name}: {tally.mos} MO, lost {tally.lost}, "
        f"doubled {tally.doubled} messages, {tally.parts_doubled} submit_sm "
        f"of {night.doubled} allowed, orders {sum(tally.orders.values())}, "
        f"{time.monotonic() - began:.1f} s"
    )
    assert tally.lost == 0
    assert tally.doubled <= tally.parts_doubled <= night.doubled
    assert tally.orders == Counter(dict.fromkeys(numbers, 1))
    if night.receipt:
        field_of_play.line.wait_for(
            lambda: set(field_of_play.states(numbers)) == {"delivered"}, "all are delivered", 30
        )


@pytest.mark.parametrize("do", ["drop", "unbind", "stall", "outbind"])
def test_what_happens_to_the_link_in_between_is_survived(field_of_play: Field, do: str) -> None:
    smsc = field_of_play.smsc
    smsc.play()
    field_of_play.wait_until_bound()
    smsc.now(do)
    numbers = field_of_play.crowd(3)
    tally = field_of_play.order_all(numbers)
    print(f"{smsc.kind}: {do} now: lost {tally.lost}, doubled {tally.doubled}")
    assert (tally.lost, tally.doubled) == (0, 0)
    assert tally.orders == Counter(dict.fromkeys(numbers, 1))


def test_refused_and_dropped_binds_are_tried_again(field_of_play: Field) -> None:
    smsc = field_of_play.smsc
    smsc.play(
        {"on": "bind", "do": "refuse", "status": "RALYBND", "times": 1},
        {"on": "bind", "do": "drop", "times": 1},
        {"on": "bind", "do": "ignore", "times": 1},
    )
    field_of_play.wait_until_bound()
    smsc.now("drop")
    field_of_play.line.wait_for(lambda: not smsc.state()["binds"], "the connections are lost")
    tally = field_of_play.order_all(field_of_play.crowd(2))
    assert (tally.lost, tally.doubled) == (0, 0)


def test_an_offer_whose_response_is_lost_is_not_sent_again(field_of_play: Field) -> None:
    smsc, line = field_of_play.smsc, field_of_play.line
    smsc.play()
    field_of_play.wait_until_bound()
    (number,) = field_of_play.crowd(1)
    since = int(smsc.state()["last"])
    smsc.play(submit("lose", destination=number))
    line.command("phone", "125300191029", "--from", number)
    line.wait_for(
        lambda: bool(field_of_play.states([number])) and not field_of_play.is_under_way([number]),
        "the offer's fate is decided",
        60,
    )
    assert field_of_play.states([number]) == {"failed": 1}
    assert [mt["destination"] for mt in smsc.mts(since)] == [number]
