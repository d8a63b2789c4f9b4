"""What the line's tables say of messages and orders, against what was sent and received."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.system.kills_crowd import Crowd, Sms

UNITS_OF_ONE, UNITS_OF_A_PART = 70, 67
"""UCS-2 units of a short message, alone and as a part of a longer one (TS 23.040 9.2.3.24)."""
JOINED_WITHIN_US = 59_000_000
"""How long the simulator waits for the rest of a text is a minute."""
OWNED = {"provisioned", "captured"}


class _Mo(NamedTuple):
    mo_id: str
    number: str
    text: str
    message_id: str


class _Mt(NamedTuple):
    mt_id: str
    mo_id: str
    number: str
    text: str
    state: str


class _Part(NamedTuple):
    mt_id: str
    part: int
    at_us: int


class _Order(NamedTuple):
    number: str
    code: str
    state: str


@dataclass
class Ledger:
    """The rows of a line's database, at the moment it was read."""

    mos: list[_Mo] = field(default_factory=list)
    mts: list[_Mt] = field(default_factory=list)
    orders: list[_Order] = field(default_factory=list)
    parts: list[_Part] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> Ledger:
        """Read it all, while the line runs or afterwards."""
        # mode=ro: a reader that could write would leave files of its own in the line's folder.
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20) as database:
            mos = database.execute(
                "SELECT mo_id, msisdn, text, message_id FROM mo ORDER BY msisdn, received_at, mo_id"
            )
            mts = database.execute("SELECT mt_id, mo_id, msisdn, text, state FROM outbox")
            orders = database.execute("SELECT msisdn, tone_code, state FROM orders")
            parts = database.execute("SELECT mt_id, part, submitted_at FROM outbox_part")
            return cls(
                [_Mo(*row) for row in mos],
                [_Mt(*row) for row in mts],
                [_Order(*row) for row in orders],
                [_Part(*row) for row in parts],
            )

    @property
    def is_settled(self) -> bool:
        """No message waits, or waits for its response, and no order is under way."""
        sent = all(mt.state not in ("due", "claimed") for mt in self.mts)
        return sent and all(order.state in OWNED for order in self.orders)

    def states(self) -> str:
        """How many messages and orders are in which state."""
        mts, orders = (Counter(row.state for row in rows) for rows in (self.mts, self.orders))
        return f"messages {dict(mts)}, orders {dict(orders)}"

    def unrecorded(self, sent: Sequence[Sms]) -> list[Sms]:
        """What was sent, and has no row."""
        rows = {Sms(mo.number, mo.text) for mo in self.mos}
        return [sms for sms in sent if sms not in rows]

    def unanswered(self, got: Counter[tuple[str, str]]) -> list[_Mo]:
        """The messages whose answer was never written, or never came whole to the telephone."""
        answers, slow = {mt.mo_id: mt for mt in self.mts}, self.in_slow_parts()
        return [
            mo
            for mo in self.mos
            if (answer := answers.get(mo.mo_id)) is None
            or not (got[answer.number, answer.text] or answer.mt_id in slow)
        ]

    def in_slow_parts(self) -> set[str]:
        """The messages whose parts the SMSC took one by one, too far apart for it to join them.

        That it took each shows in the id that it gave each.
        """
        parts: dict[str, dict[int, int]] = defaultdict(dict)
        for part in self.parts:
            parts[part.mt_id][part.part] = part.at_us
        return {
            mt.mt_id
            for mt in self.mts
            if len(at := parts[mt.mt_id]) == _parts(mt.text)
            and max(at.values()) - min(at.values()) >= JOINED_WITHIN_US
        }

    def answered_twice(self) -> list[str]:
        """The messages that have several answers."""
        return [mo_id for mo_id, n in Counter(mt.mo_id for mt in self.mts).items() if n > 1]

    def taken_for_new(self) -> list[_Mo]:
        """The second copies that have a row of their own: another of his came in between."""
        return [later for later, _ in self._copies()]

    def worked_twice(self) -> list[_Mo]:
        """Those among them that should not have one: none of his came in between."""
        return [later for later, follows in self._copies() if follows]

    def _copies(self) -> Iterator[tuple[_Mo, bool]]:
        """Yield each second copy, and whether it followed the first at once."""
        seen: dict[str, set[str]] = defaultdict(set)
        for before, mo in pairwise([_Mo("", "", "", ""), *self.mos]):
            if mo.message_id in seen[mo.number]:
                yield mo, before.number == mo.number and before.message_id == mo.message_id
            seen[mo.number].add(mo.message_id)

    def wrong_orders(self, confirmed: Collection[tuple[str, str]]) -> Counter[tuple[str, str]]:
        """By number and tone how many orders there are too many, or (negative) too few."""
        there = Counter((order.number, order.code) for order in self.orders)
        wanted = Counter(dict.fromkeys(confirmed, 1))
        there.subtract(wanted)
        return Counter({which: n for which, n in there.items() if n})

    def submits_needed(self) -> int:
        """How many submit_sm all messages take that were not dropped."""
        return sum(_parts(mt.text) for mt in self.mts if mt.state != "dropped")


def _parts(text: str) -> int:
    units = len(text.encode("utf-16-be")) // 2
    return 1 if units <= UNITS_OF_ONE else -(-units // UNITS_OF_A_PART)


def received_again(crowd: Crowd, ledger: Ledger) -> int:
    """How many messages a telephone showed that it had shown before."""
    written = Counter((mt.number, mt.text) for mt in ledger.mts)
    return sum(max(0, n - written[which]) for which, n in crowd.got.items())
