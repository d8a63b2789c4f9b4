"""The SMS to send, written in the transaction that caused it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import Connection, bindparam, update

from store.changes import announce
from store.once import insert_once
from store.schema import outbox as table

MessageClass = Literal["answer", "order", "offer"]
CLASSES: tuple[MessageClass, ...] = get_args(MessageClass)
"""In the order in which they are sent."""


@dataclass(frozen=True, slots=True)
class Message:
    """An SMS to a number, not sent before `due_at` and never from `expires_at` on.

    `purpose` is the name of its text (`hangup_sms`, `question` ...); the ids name what caused it.
    """

    mt_id: str
    msisdn: str
    sender: str
    text: str
    message_class: MessageClass
    purpose: str
    due_at: datetime
    expires_at: datetime
    tone_code: str | None = None
    order_id: str | None = None
    call_id: str | None = None
    mo_id: str | None = None


def put(connection: Connection, message: Message, now: datetime) -> None:
    """Add a message to what waits to be sent; once for its `mt_id`."""
    row = {**_columns(message), "state": "due", "created_at": now}
    if insert_once(connection, table, row):
        announce(connection, "outbox")


def put_dropped(connection: Connection, message: Message, reason: str, now: datetime) -> None:
    """Record a message that is not going to be sent, and why; once for its `mt_id`."""
    row = {
        **_columns(message),
        "state": "dropped",
        "reason": reason,
        "created_at": now,
        "ended_at": now,
    }
    insert_once(connection, table, row)


_DROP = (
    update(table)
    .where(table.c.mt_id == bindparam("dropped"), table.c.state.in_(("due", "claimed")))
    .values(
        state="dropped",
        reason=bindparam("why"),
        ended_at=bindparam("at"),
        claimed_by=None,
        claimed_until=None,
    )
)


def drop(connection: Connection, mt_id: str, reason: str, now: datetime) -> None:
    """Decide not to send a message that waits, and record why."""
    connection.execute(_DROP, {"dropped": mt_id, "why": reason, "at": now})


def _columns(message: Message) -> dict[str, object]:
    # asdict() copies every value: a fifth of the time an order takes.
    return {name: getattr(message, name) for name in Message.__slots__}
