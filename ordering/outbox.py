"""The SMS to send, written in the transaction that caused it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, bindparam, func, select, update

from store.changes import announce
from store.once import insert_once
from store.schema import DUE, queue_level
from store.schema import outbox as table

MessageClass = Literal["answer", "order", "offer"]
CLASSES: tuple[MessageClass, ...] = get_args(MessageClass)
"""In the order in which they are sent."""
ONE_SMS_OCTETS = 140
"""What no alphabet needs a second part for (TS 23.040 9.2.3.24)."""
QUEUE_FULL = "queue_full"
"""Why an offer is not even queued; answers and notices always are: they are owed."""


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


# ---------------------------------------------------------------- putting in


def put(connection: Connection, message: Message, now: datetime) -> str | None:
    """Add a message to what waits to be sent, once for its `mt_id`; return why it is refused.

    None: it waits. `queue_full`: too many offers wait already; it is recorded as dropped.
    """
    if message.message_class == "offer" and _is_full(connection, "offer"):
        put_dropped(connection, message, QUEUE_FULL, now)
        return QUEUE_FULL
    if insert_once(connection, table, {**new_row(connection, message, now), "state": "due"}):
        announce(connection, "outbox")
    return None


def new_row(connection: Connection, message: Message, now: datetime) -> dict[str, Any]:
    """Return what the row of a new message says whatever its state."""
    reference = _reference(connection, message)
    return {**_columns(message), "reference": reference, "created_at": now}


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


_LAST_REFERENCE = (
    select(table.c.reference)
    .where(table.c.msisdn == bindparam("msisdn"), table.c.reference.is_not(None))
    .order_by(table.c.created_at.desc())
    .limit(1)
)


def _reference(connection: Connection, message: Message) -> int | None:
    """Return what ties the parts of a long text together: another than its number's last.

    A telephone joins parts by it (TS 23.040 9.2.3.24.1): two long texts under way with the same
    one would become a mixture of both. A text of one part needs none.
    """
    if len(message.text.encode("utf-16-be")) <= ONE_SMS_OCTETS:
        return None
    last = connection.execute(_LAST_REFERENCE, {"msisdn": message.msisdn}).scalar_one_or_none()
    return ((last or 0) + 1) & 0xFFFF


def _columns(message: Message) -> dict[str, object]:
    # asdict() copies every value: a fifth of the time an order takes.
    return {name: getattr(message, name) for name in Message.__slots__}


# ---------------------------------------------------------------- taking out

_DROP = (
    update(table)
    .where(table.c.mt_id == bindparam("dropped"), table.c.state == "due")
    .values(state="dropped", reason=bindparam("why"), ended_at=bindparam("at"))
)
_OLDEST = (
    select(table.c.mt_id, table.c.expires_at)
    .where(
        DUE,
        table.c.message_class == bindparam("message_class"),
        table.c.due_at <= bindparam("now"),
    )
    .order_by(table.c.due_at, table.c.mt_id)
    .limit(bindparam("most"))
)


def drop(connection: Connection, mt_id: str, reason: str, now: datetime) -> None:
    """Decide not to send a message that waits, and record why."""
    drop_all(connection, [(mt_id, reason)], now)


def drop_all(connection: Connection, dropped: Sequence[tuple[str, str]], now: datetime) -> None:
    """Decide not to send messages that wait (mt_id, reason), and record why."""
    if dropped:
        rows = [{"dropped": mt_id, "why": reason, "at": now} for mt_id, reason in dropped]
        connection.execute(_DROP, rows)


def drop_expired(connection: Connection, now: datetime, most: int) -> int:
    """Drop what has expired among the `most` oldest of each class; return how many messages.

    Claiming never takes an expired message. This keeps what waits honest while no SMSC can be
    reached.
    """
    dropped = 0
    for message_class in CLASSES:
        values = {"message_class": message_class, "now": now, "most": most}
        oldest = connection.execute(_OLDEST, values).all()
        expired = [(mt_id, "expired") for mt_id, expires_at in oldest if expires_at <= now]
        drop_all(connection, expired, now)
        dropped += len(expired)
    return dropped


# ---------------------------------------------------------------- how many wait


@dataclass(frozen=True, slots=True)
class Level:
    """How many messages of a class waited when they were last counted, and since when."""

    message_class: str
    waiting: int
    oldest_due_at: datetime | None
    is_full: bool
    measured_at: datetime


_COUNT = select(func.count(), func.min(table.c.due_at)).where(
    DUE, table.c.message_class == bindparam("message_class")
)
_IS_FULL = select(queue_level.c.is_full).where(
    queue_level.c.message_class == bindparam("message_class")
)
_SET_LEVEL = (
    update(queue_level)
    .where(queue_level.c.message_class == bindparam("of"))
    .values(
        waiting=bindparam("count"),
        oldest_due_at=bindparam("oldest"),
        is_full=bindparam("full"),
        measured_at=bindparam("at"),
    )
)


def measure_queue(connection: Connection, now: datetime, offers_waiting: int) -> int:
    """Count what waits; from `offers_waiting` offers on, further ones are refused by `put`.

    Counting takes milliseconds when 100,000 wait, so it is not done for every message. Return how
    many classes have become full, or no longer are.
    """
    changed = 0
    for message_class in CLASSES:
        counted = connection.execute(_COUNT, {"message_class": message_class}).one()
        waiting, oldest = counted
        full = message_class == "offer" and waiting >= offers_waiting
        changed += full != _is_full(connection, message_class)
        level = Level(message_class, waiting, oldest, full, now)
        _set_level(connection, level)
    return changed


def levels(connection: Connection) -> tuple[Level, ...]:
    """Return how many messages of each class waited when `measure_queue` last ran."""
    rows = connection.execute(select(queue_level)).all()
    found = {row.message_class: Level(*row) for row in rows}
    return tuple(found[one] for one in CLASSES if one in found)


def _is_full(connection: Connection, message_class: str) -> bool:
    found = connection.execute(_IS_FULL, {"message_class": message_class})
    return bool(found.scalar_one_or_none())


def _set_level(connection: Connection, level: Level) -> None:
    row = {name: getattr(level, name) for name in Level.__slots__}
    if not insert_once(connection, queue_level, row):
        values = {
            "of": level.message_class,
            "count": level.waiting,
            "oldest": level.oldest_due_at,
            "full": level.is_full,
            "at": level.measured_at,
        }
        connection.execute(_SET_LEVEL, values)
