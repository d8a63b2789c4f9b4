"""Whole messages, as the application speaks of them: MO in, MT out, and what became of an MT."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from smpp.commands import Status
from smpp.session import THROTTLING

Outcome = Literal["accepted", "refused", "lost", "not_sent"]


@dataclass(frozen=True, slots=True)
class MoMessage:
    """A subscriber's whole message, its parts joined.

    `source` and `destination` are as the SMSC writes them, `raw` the octets without headers,
    `message_id` the SMSC's own id if it gives one; `missing` counts parts that never came.
    """

    smsc: str
    source: str
    destination: str
    text: str
    raw: bytes
    data_coding: int
    received_at: datetime
    message_id: str | None = None
    missing: int = 0


@dataclass(frozen=True, slots=True)
class MtMessage:
    """A whole message to a subscriber.

    `destination` is `86` and 11 digits (or a short code); `reference` ties the parts of a long text
    together: the same again when a part is sent again, another for another text. `only` names the
    parts to send (from 1) when others were accepted before; empty for all.
    """

    source: str
    destination: str
    text: str
    reference: int
    validity: timedelta | None = None
    receipt: bool = True
    only: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class PartResult:
    """What became of one part.

    accepted: `message_id` as receipts will name it. refused: by the SMSC with `status`, or
    unsendable for `why`. lost: no response, the SMSC may have it. not_sent: it surely has not.
    """

    number: int
    outcome: Outcome
    message_id: str = ""
    status: int = Status.ROK
    why: str = ""

    @property
    def throttled(self) -> bool:
        """Whether the SMSC only asked for patience."""
        return self.outcome == "refused" and self.status in THROTTLING


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """What became of a message's parts, in order."""

    parts: tuple[PartResult, ...]

    @property
    def accepted(self) -> bool:
        """Whether the SMSC took every part."""
        return all(part.outcome == "accepted" for part in self.parts)


def written(number: str, number_format: Literal["e164", "plus", "national"]) -> str:
    """Write a subscriber's number (86 and 11 digits) as an SMSC wants it; others as they are."""
    if len(number) != 13 or not number.startswith("861"):
        return number
    if number_format == "national":
        return number[2:]
    return f"+{number}" if number_format == "plus" else number
