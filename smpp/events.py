"""What a session tells its owner; `about` is what the owner submitted a message with.

NamedTuples, as every message makes one: they are built in a fifth of a frozen dataclass's time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from smpp.commands import DataSm, DeliverSm
from smpp.receipt import Receipt


class Bound(NamedTuple):
    """Submitting and receiving may begin."""

    system_id: str


class BindRefused(NamedTuple):
    """The SMSC refused the bind; the session is closed."""

    status: int


class Submitted(NamedTuple):
    """The SMSC accepted a message; `message_id` is normalised as receipts are."""

    sequence: int
    message_id: str
    about: Any = None


class SubmitFailed(NamedTuple):
    """The SMSC refused a message; it did not keep it."""

    sequence: int
    status: int
    about: Any = None


class ResponseLost(NamedTuple):
    """No response came in time or ever will: the SMSC may have the message or not."""

    sequence: int
    about: Any = None


class ResponseLate(NamedTuple):
    """A response came after its `ResponseLost`: the SMSC has the message, or refused it."""

    sequence: int
    status: int
    message_id: str
    about: Any = None


class MoReceived(NamedTuple):
    """A subscriber's message (or a part of one), to be answered by `answer`."""

    sequence: int
    message: DeliverSm | DataSm


class ReceiptReceived(NamedTuple):
    """A delivery receipt, to be answered by `answer`."""

    sequence: int
    receipt: Receipt


class Malformed(NamedTuple):
    """The SMSC sent what means nothing here; it was answered as the specification asks."""

    why: str


class Closed(NamedTuple):
    """The session is over and the connection is to be closed, once what is to be sent is."""

    why: str


Event = (
    Bound
    | BindRefused
    | Submitted
    | SubmitFailed
    | ResponseLost
    | ResponseLate
    | MoReceived
    | ReceiptReceived
    | Malformed
    | Closed
)
