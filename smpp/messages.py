"""Messages as the application speaks of them: MO in, MT out, and what became of either."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from smpp.commands import Status
from smpp.session import THROTTLING
from smpp.text import Alphabet, Part, decode_text

Outcome = Literal["accepted", "refused", "lost", "not_sent"]


@dataclass(slots=True)
class Response:
    """What became of an MO's deliver_sm_resp: whoever sends it tells, whoever stores the MO asks.

    `sent_on` is the connection that ROK was written to; `is_closed` of it says that it is gone.
    """

    sent_on: Connection | None = None

    @property
    def left(self) -> bool:
        """Whether the SMSC is known to have ROK: it was written, and the connection lives on."""
        return self.sent_on is not None and not self.sent_on.is_closed


class Connection(Protocol):
    """What a response was written to."""

    @property
    def is_closed(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class MoMessage:
    """A subscriber's message or, with a `part`, a piece of one.

    `source` and `destination` are as the SMSC writes them, `raw` the octets without headers,
    `alphabet` what data_coding 0 means there, `message_id` the SMSC's own id if it gives one.
    """

    smsc: str
    source: str
    destination: str
    raw: bytes
    data_coding: int
    received_at: datetime
    alphabet: Alphabet = "gsm7"
    part: Part | None = None
    message_id: str | None = None
    response: Response = field(default_factory=Response, compare=False)

    @property
    def text(self) -> str:
        """Its octets as text; what cannot be read is U+FFFD."""
        return decode_text(self.data_coding, self.raw, self.alphabet)


@dataclass(frozen=True, slots=True)
class MtMessage:
    """A whole message to a subscriber.

    `destination` is `86` and 11 digits (or a short code); `reference` ties the parts of a long text
    together: the same again when a part is sent again, another for another text. `only` names the
    parts to send (from 1) when others were accepted before; empty for all. `mt_id` is the
    application's own name for it, given back with a `LateResponse`. `smsc` is the one that has
    accepted other parts of it: no other will do; empty for any.
    """

    source: str
    destination: str
    text: str
    reference: int
    validity: timedelta | None = None
    receipt: bool = True
    only: Collection[int] = ()
    mt_id: str = ""
    smsc: str = ""


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
    """What became of a message's parts, in order, and at which SMSC (empty: at none)."""

    parts: tuple[PartResult, ...]
    smsc: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the SMSC took every part."""
        return all(part.outcome == "accepted" for part in self.parts)


@dataclass(frozen=True, slots=True)
class LateResponse:
    """An SMSC's answer to a part that had been told `lost`: it is accepted or refused after all."""

    mt_id: str
    smsc: str
    part: PartResult


def written(number: str, number_format: Literal["e164", "plus", "national"]) -> str:
    """Write a subscriber's number (86 and 11 digits) as an SMSC wants it; others as they are."""
    if len(number) != 13 or not number.startswith("861"):
        return number
    if number_format == "national":
        return number[2:]
    return f"+{number}" if number_format == "plus" else number
