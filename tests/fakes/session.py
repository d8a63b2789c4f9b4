"""A session on its own: bytes in, events and bytes out."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

from smpp import pdu
from smpp.commands import (
    Bind,
    BindMode,
    BindResp,
    DeliverSm,
    Pdu,
    Status,
    SubmitSm,
)
from smpp.events import (
    Bound,
    Event,
)
from smpp.session import Limits, Session

LIMITS = Limits(
    window=3,
    enquire_link_s=30.0,
    response_timeout_s=10.0,
    mo_response_deadline_s=8.0,
    mo_retry_status=0x14,
)
MESSAGE = SubmitSm(0, "12530019", "8613905250001", b"hi")
MO = DeliverSm(5, "8613905250001", "12530019", b"CX")
RECEIPT = DeliverSm(6, "8613905250001", "12530019", b"id:0a stat:DELIVRD", esm_class=4)


def framed(command_id: int, body: bytes, status: int = 0, sequence: int = 7) -> bytes:
    """Return a PDU of any octets, right or wrong."""
    return struct.pack(">IIII", 16 + len(body), command_id, status, sequence) + body


def connected(message_id: Any = "text", window: int = 3) -> Session:
    return Session(replace(LIMITS, window=window), message_id)


def feed(session: Session, *values: Pdu, now: float = 1.0) -> list[Event]:
    return session.receive_data(b"".join(pdu.encode(value) for value in values), now)


def sent(session: Session) -> list[Pdu]:
    found, rest, broken = pdu.cut(session.data_to_send())
    assert (rest, broken) == (b"", None)
    return [pdu.decode(octets) for octets in found]


def bound(message_id: Any = "text", mode: BindMode = "transceiver", window: int = 3) -> Session:
    session = connected(message_id, window)
    session.bind(Bind(0, "toneline", "secret", mode), 0.0)
    assert feed(session, BindResp(1, Status.ROK, "SMSC", mode), now=0.0) == [Bound("SMSC")]
    assert sent(session) == [Bind(1, "toneline", "secret", mode)]
    return session
