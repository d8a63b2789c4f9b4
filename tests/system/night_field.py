"""One SMSC that a line is bound to, the subscribers who text through it, and what they get."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from tests.system.line import Line
from tests.system.nights import Link, Night
from tests.system.smsc import Kind, SmscProcess

QUESTION, NOTICE = "回Y1029", "已订购"
"""Words by which the messages are known."""
CROWD = 6
PATIENCE_S = 90.0
SETTLED = {"sent", "delivered", "unknown", "failed", "dropped"}
MO_ID_TLV = 0x1400


@dataclass
class Tally:
    """What was counted of one night; `parts_doubled` are submit_sm accepted beyond those needed."""

    numbers: list[str]
    lost: int
    doubled: int
    parts_doubled: int
    orders: Counter[str]
    ways: set[str]
    """How long messages travelled."""

    def __str__(self) -> str:
        """Say what was counted."""
        return (
            f"{2 * len(self.numbers)} MO, lost {self.lost}, doubled {self.doubled} messages, "
            f"{self.parts_doubled} submit_sm, orders {sum(self.orders.values())}"
        )


class Field:
    """One of several SMSCs of a line: messages to numbers of `prefix` leave by it alone."""

    def __init__(self, kind: Kind, link: Link, smsc: SmscProcess, prefix: str) -> None:
        self.kind = kind
        self.link = link
        self.smsc = smsc
        self.prefix = prefix
        self._numbers = map(f"86{prefix}{{:06d}}".format, count(1))

    def settings(self) -> dict[str, object]:
        """The `[[smsc]]` of the line."""
        shared = {
            "binds": 2,
            "window": 10,
            "response_timeout_s": 2,
            "enquire_link_s": 2,
            "mo_id_tlv": MO_ID_TLV,
            "prefixes": [self.prefix],
        }
        return self.smsc.settings(**shared, **self.link.settings)

    def begin(self, line: Line, night: Night) -> None:
        """Wait until all binds are there, then let go wrong what does so this night."""
        self.line = line
        self.smsc.play()
        self.wait_until_bound()
        self.smsc.play(
            *night.rules,
            smsc={"mo_id_tlv": MO_ID_TLV, "retry_s": 0.2, **night.smsc},
            receipt={**self.link.receipt, **night.receipt},
        )
        if night.now:
            self.smsc.now(night.now)

    def crowd(self, size: int = CROWD) -> list[str]:
        """Return numbers that nobody has had, one following the other."""
        return [next(self._numbers) for _ in range(size)]

    def order_all(self, numbers: list[str]) -> Tally:
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
            numbers=numbers,
            lost=sum(not got[one] for one in expected),
            doubled=sum(max(0, got[one] - 1) for one in expected),
            parts_doubled=int(self.smsc.state()["counts"]["accepted"]) - accepted - needed,
            orders=self.orders(numbers),
            ways={mt["long_messages"] for mt in self.smsc.mts(since)} - {""},
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

    def wait_until_ended(self, numbers: Sequence[str], state: str) -> None:
        """All their messages are in this state."""
        self.line.wait_for(
            lambda: set(self.states(numbers)) == {state}, f"all are {state}", PATIENCE_S
        )

    def wait_until_bound(self) -> None:
        self.line.wait_for(
            lambda: len(self.smsc.state()["binds"]) == self.link.connections,
            "the line has bound",
            PATIENCE_S,
        )

    def is_under_way(self, numbers: Sequence[str]) -> bool:
        return not set(self.states(numbers)) <= SETTLED

    def orders(self, numbers: Sequence[str]) -> Counter[str]:
        return self._column("SELECT msisdn FROM orders WHERE msisdn BETWEEN ? AND ?", numbers)

    def states(self, numbers: Sequence[str]) -> Counter[str]:
        """What became of the messages to these numbers, which follow one another."""
        return self._column("SELECT state FROM outbox WHERE msisdn BETWEEN ? AND ?", numbers)

    def texts(self, numbers: Sequence[str]) -> Counter[str]:
        """What these numbers wrote, as the line understood it."""
        return self._column("SELECT text FROM mo WHERE msisdn BETWEEN ? AND ?", numbers)

    def _column(self, statement: str, numbers: Sequence[str]) -> Counter[str]:
        # mode=ro: a reader that could write would leave files of its own in the line's folder.
        file = self.line.folder / "var" / "toneline.db"
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20) as database:
            rows = database.execute(statement, (numbers[0], numbers[-1])).fetchall()
        return Counter(value for (value,) in rows)
