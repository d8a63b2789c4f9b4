"""May we text this number now? opt-out, quiet hours, caps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Select, and_, bindparam, delete, func, or_, select, update

from ordering import outbox
from store.once import insert_once
from store.schema import LIVE_STATES, call, no_offers, order
from store.schema import outbox as table

HANGUP_SMS = "hangup_sms"
OFFER_ANSWERABLE = timedelta(hours=48)
"""So long after an offer an N or a TD is also an answer to it (contract.md)."""


@dataclass(frozen=True, slots=True)
class ContactPolicy:
    """When an offer may be sent: `hours` and days are local to `timezone`."""

    hours: tuple[time, time]
    same_days: int
    max_call_min: int
    timezone: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A hang-up SMS as its call leaves it; `forbidden_by` is that call's own reason against it.

    Without a `message` the reason alone stands, against what an earlier call left.
    """

    message: outbox.Message | None
    forbidden_by: str | None


# ---------------------------------------------------------------- refusing and allowing


def stop_offers(connection: Connection, msisdn: str, now: datetime) -> bool:
    """Send a number no more offers, those that wait included; False: so it was already."""
    withdraw_offers(connection, msisdn, "opted_out", now)
    return insert_once(connection, no_offers, {"msisdn": msisdn, "since": now})


def resume_offers(connection: Connection, msisdn: str) -> bool:
    """Allow offers again; False: they were never stopped."""
    done = connection.execute(delete(no_offers).where(no_offers.c.msisdn == msisdn))
    return done.rowcount == 1


_RECENT_OFFER = (
    select(table.c.mt_id)
    .where(
        table.c.msisdn == bindparam("msisdn"),
        table.c.message_class == "offer",
        table.c.sent_at > bindparam("since"),
        table.c.sent_at <= bindparam("at"),
    )
    .limit(1)
)


def had_offer(connection: Connection, msisdn: str, at: datetime) -> bool:
    """Say whether an offer was sent to the number in the 48 hours before `at`."""
    since = at - OFFER_ANSWERABLE
    values = {"msisdn": msisdn, "since": since, "at": at}
    return connection.execute(_RECENT_OFFER, values).first() is not None


# ---------------------------------------------------------------- the hang-up SMS

_WAITING = select(table.c.mt_id).where(
    table.c.msisdn == bindparam("msisdn"),
    table.c.mt_id != bindparam("but"),
    table.c.message_class == "offer",
    table.c.state == "due",
)

_HANGUP_SMS_WAITING = select(table.c.mt_id, table.c.due_at, table.c.expires_at).where(
    table.c.msisdn == bindparam("msisdn"),
    table.c.purpose == HANGUP_SMS,
    table.c.state == "due",
)
_END_BEFORE = select(func.max(call.c.ended_at)).where(
    call.c.msisdn == bindparam("msisdn"), call.c.ended_at < bindparam("ended_at")
)
_PUT_OFF = (
    update(table)
    .where(table.c.mt_id == bindparam("moved"))
    .values(due_at=bindparam("due"), expires_at=bindparam("expires"))
)


def plan_offer(connection: Connection, msisdn: str, offer: Offer, now: datetime) -> None:
    """Let the hang-up SMS wait for its time, in place of an older one of that number.

    One that its call forbids is recorded as dropped, and takes the older one with it: it is the
    same person's later word.
    """
    message, reason = offer.message, offer.forbidden_by
    but = "" if message is None else message.mt_id
    withdraw_offers(connection, msisdn, reason or "replaced", now, but)
    if message is None:
        return
    if reason is None:
        outbox.put(connection, message, now)
    else:
        outbox.put_dropped(connection, message, reason, now)


def withdraw_offers(
    connection: Connection, msisdn: str, reason: str, now: datetime, but: str = ""
) -> None:
    """Drop the offers that wait for a number (`but` that one), and record why."""
    waiting = connection.execute(_WAITING, {"msisdn": msisdn, "but": but})
    for mt_id in waiting.scalars().all():
        outbox.drop(connection, mt_id, reason, now)


def put_off_offer(connection: Connection, msisdn: str, ended_at: datetime) -> None:
    """Let a waiting hang-up SMS wait as long after this end of a call as after the last one."""
    waiting = connection.execute(_HANGUP_SMS_WAITING, {"msisdn": msisdn}).all()
    if not waiting:
        return
    ends = {"msisdn": msisdn, "ended_at": ended_at}
    later = ended_at - (connection.execute(_END_BEFORE, ends).scalar_one() or ended_at)
    for mt_id, due_at, expires_at in waiting:
        moved = {"moved": mt_id, "due": due_at + later, "expires": expires_at + later}
        connection.execute(_PUT_OFF, moved)


# ---------------------------------------------------------------- the gate

_OTHERS = select(table.c.mt_id).where(
    table.c.msisdn == bindparam("msisdn"),
    table.c.mt_id != bindparam("mt_id"),
    table.c.purpose == bindparam("purpose"),
)
_CALL_BEGAN = (
    select(call.c.started_at).where(call.c.call_id == bindparam("call_id")).scalar_subquery()
)
_REFUSALS: tuple[tuple[str, Select[Any]], ...] = (
    ("opted_out", select(no_offers.c.msisdn).where(no_offers.c.msisdn == bindparam("msisdn"))),
    (
        "on_the_line",
        # A call whose end was never recorded (its host died) counts no longer than a call can last.
        select(call.c.call_id).where(
            call.c.msisdn == bindparam("msisdn"),
            call.c.started_at > bindparam("longest_call_ago"),
            call.c.ended_at.is_(None),
        ),
    ),
    (
        "ordered",
        select(order.c.order_id).where(
            order.c.msisdn == bindparam("msisdn"),
            or_(
                order.c.confirmed_at >= _CALL_BEGAN,
                and_(order.c.tone_code == bindparam("tone_code"), order.c.state.in_(LIVE_STATES)),
            ),
        ),
    ),
    (
        "one_a_day",
        _OTHERS.where(or_(table.c.sent_at >= bindparam("midnight"), table.c.state == "claimed")),
    ),
    (
        "same_content",
        _OTHERS.where(
            table.c.tone_code == bindparam("tone_code"), table.c.sent_at >= bindparam("same_since")
        ),
    ),
)


def may_send(
    connection: Connection, message: outbox.Message, policy: ContactPolicy, now: datetime
) -> str | None:
    """Return why a message must not be sent now; None: it may.

    Only offers can be refused: what a subscriber asked for, and what his order owes him, is sent.
    """
    if message.message_class != "offer":
        return None
    local = now.astimezone(ZoneInfo(policy.timezone))
    begin, end = policy.hours
    if not begin <= local.time() <= end:
        return "outside_hours"
    values = {
        "msisdn": message.msisdn,
        "mt_id": message.mt_id,
        "purpose": message.purpose,
        "tone_code": message.tone_code,
        "call_id": message.call_id,
        "longest_call_ago": now - timedelta(minutes=policy.max_call_min),
        "midnight": datetime.combine(local.date(), time(), local.tzinfo),
        "same_since": now - timedelta(days=policy.same_days),
    }
    for reason, refusing in _REFUSALS:
        if connection.execute(refusing.limit(1), values).first() is not None:
            return reason
    return None
