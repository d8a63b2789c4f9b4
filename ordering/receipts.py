"""Delivery receipts: which part of which message they mean, in whatever order they come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, exists, or_, select, update

from store.once import insert_once
from store.schema import UNHEARD, outbox_part, receipt
from store.schema import outbox as table

FINAL_STATES = frozenset({"DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "REJECTD"})
"""Receipt states after which no other counts (SMPP 3.4 section 5.2.28)."""
UNKNOWN = "unknown"
"""Of a part of which no receipt came in time, and of its message."""


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery receipt. `state` is one of SMPP's words, `error` the network's own code."""

    smsc: str
    message_id: str
    state: str
    error: str
    received_at: datetime


_REPEATED = (
    update(receipt)
    .where(
        receipt.c.smsc == bindparam("of_smsc"),
        receipt.c.message_id == bindparam("of_message"),
        receipt.c.state == bindparam("of_state"),
    )
    .values(last_at=bindparam("again"))
)
_NEWEST_PART = (
    select(outbox_part.c.mt_id, outbox_part.c.part)
    .where(
        outbox_part.c.smsc == bindparam("smsc"),
        outbox_part.c.message_id == bindparam("message_id"),
    )
    .order_by(outbox_part.c.submitted_at.desc())
    .limit(1)
)


def report(connection: Connection, came: Report) -> str | None:
    """Record a delivery receipt; return the `mt_id` it belongs to, None while that is not known.

    Receipts may come before the message's own record, in any order, and repeatedly; a final state
    is never overwritten. A message is delivered when all its parts are, and has failed as soon as
    one part has.
    """
    row = {
        "smsc": came.smsc,
        "message_id": came.message_id,
        "state": came.state,
        "error": came.error,
        "received_at": came.received_at,
        "last_at": came.received_at,
    }
    if not insert_once(connection, receipt, row):
        which = {"of_smsc": came.smsc, "of_message": came.message_id, "of_state": came.state}
        connection.execute(_REPEATED, {**which, "again": came.received_at})
    known = {"smsc": came.smsc, "message_id": came.message_id}
    part = connection.execute(_NEWEST_PART, known).one_or_none()
    if part is None:
        return None
    mt_id: str = part.mt_id
    _set_state(connection, mt_id, part.part, came.state)
    conclude(connection, mt_id, came.received_at)
    return mt_id


_EARLY = (
    select(receipt.c.state)
    .join(table, table.c.mt_id == bindparam("mt_id"))
    .where(
        receipt.c.smsc == bindparam("smsc"),
        receipt.c.message_id == bindparam("message_id"),
        # SMSCs use their ids again: what came before this message existed is not about it.
        receipt.c.last_at >= table.c.created_at,
    )
    .order_by(
        # A repetition is no later news, unless what it repeats was about an earlier message.
        case(
            (receipt.c.received_at >= table.c.created_at, receipt.c.received_at),
            else_=receipt.c.last_at,
        ),
        receipt.c.receipt_id,
    )
)


def take_early(connection: Connection, mt_id: str, part: int, smsc: str, message_id: str) -> bool:
    """Give a part the receipts that came before it was known under its id; False: none had."""
    known = {"mt_id": mt_id, "smsc": smsc, "message_id": message_id}
    states = connection.execute(_EARLY, known).scalars().all()
    for state in states:
        _set_state(connection, mt_id, part, state)
    return bool(states)


_STATES_OF_PARTS = select(outbox_part.c.receipt_state).where(
    outbox_part.c.mt_id == bindparam("mt_id")
)
_CONCLUDE = (
    update(table)
    .where(table.c.mt_id == bindparam("concluded"), table.c.state.in_(("sent", UNKNOWN)))
    .values(state=bindparam("becomes"), reason=bindparam("why"), ended_at=bindparam("at"))
)


def conclude(connection: Connection, mt_id: str, at: datetime) -> None:
    """Let a message that was sent be delivered or failed, if its parts' receipts say so.

    Without effect before all its parts were sent.
    """
    states = connection.execute(_STATES_OF_PARTS, {"mt_id": mt_id}).scalars().all()
    lost = next((one for one in states if one in FINAL_STATES and one != "DELIVRD"), None)
    becomes = None
    if lost is not None:
        becomes = "failed"
    elif states and all(state == "DELIVRD" for state in states):
        becomes = "delivered"
    if becomes is not None:
        values = {"concluded": mt_id, "becomes": becomes, "why": lost, "at": at}
        connection.execute(_CONCLUDE, values)


_UNHEARD_PARTS = (
    select(outbox_part.c.mt_id, outbox_part.c.part)
    .where(
        UNHEARD,
        outbox_part.c.smsc == bindparam("smsc"),
        outbox_part.c.submitted_at < bindparam("before"),
    )
    .order_by(outbox_part.c.submitted_at)
    .limit(bindparam("most"))
)


_CONCLUDE_UNKNOWN = (
    update(table)
    .where(
        table.c.mt_id == bindparam("concluded"),
        table.c.state == "sent",
        ~exists().where(
            outbox_part.c.mt_id == bindparam("concluded"),
            or_(
                outbox_part.c.receipt_state.is_(None),
                outbox_part.c.receipt_state.not_in(("DELIVRD", UNKNOWN)),
            ),
        ),
    )
    .values(state=UNKNOWN, ended_at=bindparam("at"))
)


def give_up(
    connection: Connection, smsc: str, submitted_before: datetime, most: int, now: datetime
) -> int:
    """Call parts that an SMSC sent no final receipt of `unknown`; return how many.

    Another receipt may still come, and counts.
    """
    values = {"smsc": smsc, "before": submitted_before, "most": most}
    unheard = connection.execute(_UNHEARD_PARTS, values).all()
    if unheard:
        unknown = [{"of": mt_id, "number": part, "becomes": UNKNOWN} for mt_id, part in unheard]
        connection.execute(_STATE_OF_PART, unknown)
        messages = dict.fromkeys(mt_id for mt_id, _ in unheard)
        ended = [{"concluded": mt_id, "at": now} for mt_id in messages]
        connection.execute(_CONCLUDE_UNKNOWN, ended)
    return len(unheard)


_STATE_OF_PART = (
    update(outbox_part)
    .where(
        outbox_part.c.mt_id == bindparam("of"),
        outbox_part.c.part == bindparam("number"),
        or_(
            outbox_part.c.receipt_state.is_(None),
            outbox_part.c.receipt_state.not_in(sorted(FINAL_STATES)),
        ),
    )
    .values(receipt_state=bindparam("becomes"))
)


def _set_state(connection: Connection, mt_id: str, part: int, state: str) -> None:
    connection.execute(_STATE_OF_PART, {"of": mt_id, "number": part, "becomes": state})
