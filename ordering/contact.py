"""May we text this number now? opt-out, quiet hours, caps.

`may_send` is the one gate, asked for every message just before it leaves: answers and notices pass
it, offers have to be allowed. Who asks records the reason of a refusal with the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from ordering import outbox
from store.changes import announce
from store.once import insert_once
from store.schema import LIVE_STATES, call, no_offers, order
from store.schema import outbox as table

HANGUP_SMS = "hangup_sms"
OFFERS_STOPPED = "offers_stopped"
"""The topic of which `stop_offers` tells: what was claimed and has not left is not to leave."""
OFFER_ANSWERABLE = timedelta(hours=48)
"""So long after an offer an N or a TD is also an answer to it."""
LAST_WORDS = timedelta(minutes=2)
"""A call that lasts too long still hears its sound and a goodbye to their ends: 65 s at most."""


@dataclass(frozen=True, slots=True)
class ContactPolicy:
    """When an offer may be sent; hours, days and months are local to `timezone`.

    The hang-up SMS has hours of its own, and its tone is offered once in `same_days`. Caps count
    every offer. No offer comes from one of the `service_senders`, whose messages a subscriber
    cannot refuse without refusing answers. In a `dry_run` all offers are decided and none is sent.
    """

    hangup_hours: tuple[time, time]
    offer_hours: tuple[time, time]
    same_days: int
    max_call_min: int
    timezone: str
    offers_per_day: int = 1
    offers_per_month: int = 4
    service_senders: frozenset[str] = frozenset()
    dry_run: bool = False


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
    announce(connection, OFFERS_STOPPED)
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


def had_offer(
    connection: Connection, msisdn: str, at: datetime, since: datetime | None = None
) -> bool:
    """Say whether an offer was sent to the number in the 48 hours before `at`, after `since`."""
    oldest = at - OFFER_ANSWERABLE
    values = {"msisdn": msisdn, "since": max(oldest, since or oldest), "at": at}
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


_LATER_CALL = (
    select(call.c.call_id)
    .where(call.c.msisdn == bindparam("msisdn"), call.c.ended_at > bindparam("ended_at"))
    .limit(1)
)


def call_has_ended(
    connection: Connection, msisdn: str, offer: Offer | None, ended_at: datetime, now: datetime
) -> None:
    """Let what a call leaves take the place of what earlier ones left.

    A call may be recorded after a later one of the same number, or when its own message would be
    too late: then it leaves nothing that is sent, and changes nothing of what the later one left.
    """
    if connection.execute(_LATER_CALL, {"msisdn": msisdn, "ended_at": ended_at}).first():
        if offer is not None and offer.message is not None:
            reason = offer.forbidden_by or "replaced"
            outbox.put_dropped(connection, offer.message, reason, ended_at)
    elif offer is None:
        put_off_offer(connection, msisdn, ended_at)
    else:
        plan_offer(connection, msisdn, _in_time(offer, now), ended_at)


def _in_time(offer: Offer, now: datetime) -> Offer:
    """Return the offer, forbidden if its message expired before anybody could send it."""
    if offer.message is None or now < offer.message.expires_at:
        return offer
    return Offer(offer.message, offer.forbidden_by or "expired")


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

_OTHER_OFFERS = (
    table.c.msisdn == bindparam("msisdn"),
    table.c.mt_id != bindparam("mt_id"),
    table.c.message_class == "offer",
)
_SAME_PURPOSE = select(table.c.mt_id).where(*_OTHER_OFFERS, table.c.purpose == bindparam("purpose"))
_CALL_BEGAN = (
    select(call.c.started_at).where(call.c.call_id == bindparam("call_id")).scalar_subquery()
)
_REFUSALS: Mapping[str, Select[Any]] = {
    "opted_out": select(no_offers.c.msisdn).where(no_offers.c.msisdn == bindparam("msisdn")),
    "on_the_line": select(call.c.call_id).where(
        call.c.msisdn == bindparam("msisdn"),
        # A call whose end was never recorded (its host died) counts no longer than a call can last.
        call.c.started_at > bindparam("longest_call_ago"),
        call.c.ended_at.is_(None),
    ),
    "ordered": select(order.c.order_id).where(
        order.c.msisdn == bindparam("msisdn"),
        or_(
            order.c.confirmed_at >= _CALL_BEGAN,
            and_(order.c.tone_code == bindparam("tone_code"), order.c.state.in_(LIVE_STATES)),
        ),
    ),
}
_OF_HANGUP_SMS: Mapping[str, Select[Any]] = {
    "one_a_day": _SAME_PURPOSE.where(
        or_(table.c.sent_at >= bindparam("midnight"), table.c.state == "claimed")
    ),
    "same_content": _SAME_PURPOSE.where(
        table.c.tone_code == bindparam("tone_code"), table.c.sent_at >= bindparam("same_since")
    ),
}


def _look(refusals: Mapping[str, Select[Any]]) -> Select[Any]:
    """Return one statement for all refusals: on PostgreSQL each costs a way there and back."""
    looks: list[ColumnElement[Any]] = [
        refusal.exists().label(reason) for reason, refusal in refusals.items()
    ]
    return select(*looks)


_LOOK = _look(_REFUSALS)
_LOOK_FOR_HANGUP_SMS = _look({**_REFUSALS, **_OF_HANGUP_SMS})
_SENT_LATELY = select(table.c.sent_at).where(
    *_OTHER_OFFERS, or_(table.c.sent_at >= bindparam("month"), table.c.state == "claimed")
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
    midnight = datetime.combine(local.date(), time(), local.tzinfo)
    return (
        _forbidden(message, policy, local.time())
        or _refused(connection, message, policy, now, midnight)
        or _over_cap(connection, message, policy, midnight)
        or ("dry_run" if policy.dry_run else None)
    )


def _forbidden(message: outbox.Message, policy: ContactPolicy, local: time) -> str | None:
    """Return the objection that needs no look at the number's past."""
    if message.sender in policy.service_senders:
        return "shared_sender"
    begin, end = policy.hangup_hours if message.purpose == HANGUP_SMS else policy.offer_hours
    return None if begin <= local <= end else "outside_hours"


def _refused(
    connection: Connection,
    message: outbox.Message,
    policy: ContactPolicy,
    now: datetime,
    midnight: datetime,
) -> str | None:
    values = {
        "msisdn": message.msisdn,
        "mt_id": message.mt_id,
        "purpose": message.purpose,
        "tone_code": message.tone_code,
        "call_id": message.call_id,
        "longest_call_ago": now - timedelta(minutes=policy.max_call_min) - LAST_WORDS,
        "midnight": midnight,
        "same_since": now - timedelta(days=policy.same_days),
    }
    look = _LOOK_FOR_HANGUP_SMS if message.purpose == HANGUP_SMS else _LOOK
    found = connection.execute(look, values).one()
    return next((reason for reason, is_so in found._asdict().items() if is_so), None)


def _over_cap(
    connection: Connection, message: outbox.Message, policy: ContactPolicy, midnight: datetime
) -> str | None:
    month = midnight.replace(day=1)
    values = {"msisdn": message.msisdn, "mt_id": message.mt_id, "month": month}
    sent = connection.execute(_SENT_LATELY, values).scalars().all()
    today = [at for at in sent if at is None or at >= midnight]  # None: it is just being sent
    if len(today) >= policy.offers_per_day:
        return "offers_per_day"
    return "offers_per_month" if len(sent) >= policy.offers_per_month else None
