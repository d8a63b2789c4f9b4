"""The outbox on its way out: claimed by a host, sent, and what became of it.

An answer or a notice is sent at least once: a claim that its host did not keep goes back. An offer
is sent at most once: nobody complains of one that did not come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, or_, select, update

from ordering import contact, outbox
from store.once import insert_once
from store.schema import WAITING, outbox_part, receipt
from store.schema import outbox as table

FINAL_STATES = frozenset({"DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "REJECTD"})
"""Receipt states after which no other counts (SMPP 3.4 section 5.2.28)."""
LEASE = timedelta(seconds=90)
"""How long a host may take over what it claims, unless it says another time."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Messages to send, answers first, and how many were dropped instead."""

    messages: tuple[outbox.Message, ...]
    dropped: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part (from 1) of a message that an SMSC has accepted under an id of its own."""

    part: int
    smsc: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery receipt. `state` is one of SMPP's words, `error` the network's own code."""

    smsc: str
    message_id: str
    state: str
    error: str
    received_at: datetime


# ---------------------------------------------------------------- claiming

_CANDIDATES = (
    select(*(table.c[field] for field in outbox.Message.__slots__))
    .where(
        WAITING,
        table.c.message_class == bindparam("message_class"),
        table.c.state == "due",
        table.c.due_at <= bindparam("now"),
    )
    .order_by(table.c.due_at, table.c.mt_id)
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
_CLAIMED = (
    select(*(table.c[field] for field in outbox.Message.__slots__))
    .where(
        WAITING,
        table.c.message_class.in_(outbox.CLASSES),
        table.c.state == "claimed",
        table.c.claimed_by == bindparam("claimant"),
    )
    .order_by(table.c.due_at, table.c.mt_id)
)
_CLAIM = (
    update(table)
    .where(table.c.mt_id == bindparam("claimed"))
    .values(state="claimed", claimed_by=bindparam("claimant"), claimed_until=bindparam("until"))
)


def claim(
    connection: Connection,
    claimant: str,
    room: int,
    policy: contact.ContactPolicy,
    now: datetime,
    lease: timedelta = LEASE,
) -> Claimed:
    """Return up to `room` messages that are due, leased to `claimant`; drop what is not to be sent.

    Answers go before order notices, those before offers. What has expired, and what
    `contact.may_send` refuses, is dropped with its reason. A `claimant` is one claim of one host:
    claiming again by the same word returns the same messages.
    """
    messages = _claimed(connection, claimant)
    dropped = 0
    for message_class in outbox.CLASSES:
        while len(messages) < room:
            wanted = room - len(messages)
            found = _candidates(connection, message_class, wanted, now)
            chosen = list(_sendable(connection, found, policy, now))
            _lease(connection, chosen, claimant, now + lease)
            messages += chosen
            dropped += len(found) - len(chosen)
            # A second look only if all of the first look's was dropped from a full page.
            if chosen or len(found) < wanted:
                break
    return Claimed(tuple(messages), dropped)


def _claimed(connection: Connection, claimant: str) -> list[outbox.Message]:
    rows = connection.execute(_CLAIMED, {"claimant": claimant})
    messages = [outbox.Message(*row) for row in rows]
    return sorted(messages, key=lambda message: outbox.CLASSES.index(message.message_class))


def _candidates(
    connection: Connection, message_class: str, room: int, now: datetime
) -> tuple[outbox.Message, ...]:
    values = {"message_class": message_class, "room": room, "now": now}
    return tuple(outbox.Message(*row) for row in connection.execute(_CANDIDATES, values))


def _sendable(
    connection: Connection,
    candidates: Sequence[outbox.Message],
    policy: contact.ContactPolicy,
    now: datetime,
) -> Iterator[outbox.Message]:
    for message in candidates:
        reason: str | None = "expired"
        if message.expires_at > now:
            reason = contact.may_send(connection, message, policy, now)
        if reason is None:
            yield message
        else:
            outbox.drop(connection, message.mt_id, reason, now)


def _lease(
    connection: Connection, messages: Sequence[outbox.Message], claimant: str, until: datetime
) -> None:
    if messages:
        lease = {"claimant": claimant, "until": until}
        connection.execute(_CLAIM, [{"claimed": one.mt_id, **lease} for one in messages])


# ---------------------------------------------------------------- what came of a claim

_END = (
    update(table)
    .where(table.c.mt_id == bindparam("ended"), table.c.state.in_(("due", "claimed")))
    .values(
        state=bindparam("becomes"),
        reason=bindparam("why"),
        sent_at=bindparam("sent"),
        ended_at=bindparam("at"),
        attempts=table.c.attempts + 1,
        claimed_by=None,
        claimed_until=None,
    )
)


def sent(connection: Connection, mt_id: str, parts: Sequence[Part], now: datetime) -> None:
    """Record that an SMSC has all parts of a message; receipts that came before count now."""
    values = {"ended": mt_id, "becomes": "sent", "why": None, "sent": now, "at": None}
    if connection.execute(_END, values).rowcount:
        _keep_parts(connection, mt_id, parts, now)
        _conclude(connection, mt_id, now)


def failed(
    connection: Connection, mt_id: str, parts: Sequence[Part], reason: str, now: datetime
) -> None:
    """Record that a message will not be sent, and why; some of its `parts` may have been."""
    sent_at = now if parts else None
    values = {"ended": mt_id, "becomes": "failed", "why": reason, "sent": sent_at, "at": now}
    if connection.execute(_END, values).rowcount:
        _keep_parts(connection, mt_id, parts, now)


_RELEASE = (
    update(table)
    .where(table.c.mt_id == bindparam("released"), table.c.state == "claimed")
    .values(
        state="due",
        due_at=bindparam("again"),
        attempts=table.c.attempts + 1,
        claimed_by=None,
        claimed_until=None,
    )
)


def released(connection: Connection, mt_id: str, again_at: datetime) -> None:
    """Put a claimed message back: it was certainly not accepted, and is due again at `again_at`."""
    connection.execute(_RELEASE, {"released": mt_id, "again": again_at})


_STALE = select(table.c.mt_id, table.c.message_class).where(
    WAITING,
    table.c.message_class.in_(outbox.CLASSES),
    table.c.state == "claimed",
    table.c.claimed_until < bindparam("now"),
)


def release_stale(connection: Connection, now: datetime) -> int:
    """Take back what a dead host had claimed; return how many messages.

    It may have been sent. An offer is dropped rather than sent twice.
    """
    stale = connection.execute(_STALE, {"now": now}).all()
    for mt_id, message_class in stale:
        if message_class == "offer":
            outbox.drop(connection, mt_id, "perhaps_sent", now)
        else:
            released(connection, mt_id, now)
    return len(stale)


# ---------------------------------------------------------------- receipts

_NEWEST_PART = (
    select(outbox_part.c.mt_id, outbox_part.c.part)
    .where(
        outbox_part.c.smsc == bindparam("smsc"),
        outbox_part.c.message_id == bindparam("message_id"),
    )
    .order_by(outbox_part.c.submitted_at.desc())
    .limit(1)
)
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
_EARLY = (
    select(receipt.c.state)
    .join(table, table.c.mt_id == bindparam("mt_id"))
    .where(
        receipt.c.smsc == bindparam("smsc"),
        receipt.c.message_id == bindparam("message_id"),
        # SMSCs use their ids again: what came before this message existed is not about it.
        receipt.c.received_at >= table.c.created_at,
    )
    .order_by(receipt.c.receipt_id)
)
_STATES_OF_PARTS = select(outbox_part.c.receipt_state).where(
    outbox_part.c.mt_id == bindparam("mt_id")
)
_CONCLUDE = (
    update(table)
    .where(table.c.mt_id == bindparam("concluded"), table.c.state == "sent")
    .values(state=bindparam("becomes"), reason=bindparam("why"), ended_at=bindparam("at"))
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
    }
    insert_once(connection, receipt, row)
    known = {"smsc": came.smsc, "message_id": came.message_id}
    part = connection.execute(_NEWEST_PART, known).one_or_none()
    if part is None:
        return None
    mt_id: str = part.mt_id
    _set_state(connection, mt_id, part.part, came.state)
    _conclude(connection, mt_id, came.received_at)
    return mt_id


def give_up_receipts(connection: Connection, submitted_before: datetime) -> int:
    """Call the parts of which no receipt ever came `unknown`; return how many."""
    return connection.execute(
        update(outbox_part)
        .where(outbox_part.c.submitted_at < submitted_before, outbox_part.c.receipt_state.is_(None))
        .values(receipt_state="unknown")
    ).rowcount


def _keep_parts(connection: Connection, mt_id: str, parts: Sequence[Part], now: datetime) -> None:
    for part in parts:
        row = {
            "mt_id": mt_id,
            "part": part.part,
            "smsc": part.smsc,
            "message_id": part.message_id,
            "submitted_at": now,
        }
        insert_once(connection, outbox_part, row)
        known = {"mt_id": mt_id, "smsc": part.smsc, "message_id": part.message_id}
        for state in connection.execute(_EARLY, known).scalars().all():
            _set_state(connection, mt_id, part.part, state)


def _set_state(connection: Connection, mt_id: str, part: int, state: str) -> None:
    connection.execute(_STATE_OF_PART, {"of": mt_id, "number": part, "becomes": state})


def _conclude(connection: Connection, mt_id: str, at: datetime) -> None:
    states = connection.execute(_STATES_OF_PARTS, {"mt_id": mt_id}).scalars().all()
    lost = next((one for one in states if one in FINAL_STATES and one != "DELIVRD"), None)
    values: dict[str, object] = {"concluded": mt_id, "at": at, "why": lost}
    if lost is not None:
        connection.execute(_CONCLUDE, {**values, "becomes": "failed"})
    elif states and all(state == "DELIVRD" for state in states):
        connection.execute(_CONCLUDE, {**values, "becomes": "delivered"})
