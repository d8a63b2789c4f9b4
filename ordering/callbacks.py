"""The calls we owe (ST, staff), claimed by ivr.originate.

A callback is called once at most: whoever claims one calls it, and one whose host died meanwhile
ends as `unknown` instead of ringing a person twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from ordering import orders
from store.changes import announce
from store.once import insert_once
from store.schema import CALLBACK_OPEN
from store.schema import callback as table

TOPIC = "callbacks"
ONE_CALL_IN = timedelta(minutes=10)
"""A number is called once in this time."""
CALL_WITHIN = timedelta(minutes=5)
"""Later than this nobody waits for the call any more: it is dropped."""

Outcome = Literal["answered", "busy", "no_answer", "failed", "unknown"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A wish to be called and hear a tone. `asked_by` is `sms`, `web` or `staff`.

    `callback_id` (32 hex digits) makes a repeated request harmless.
    """

    callback_id: str
    msisdn: str
    tone_code: str
    asked_by: str
    mo_id: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The number is going to be called, before `expires_at` or never."""

    callback_id: str
    tone_code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CallbackRefused:
    """No call: `reason` is `called_lately`.

    `tone_code` is that of the call which stands in the way, `again_at` when the next is allowed.
    """

    reason: str
    tone_code: str | None = None
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """A call to place now, leased to the host that claimed it."""

    callback_id: str
    msisdn: str
    tone_code: str


_COLUMNS = tuple(table.c[field] for field in Callback.__slots__)

# ---------------------------------------------------------------- asking

_BY_ID = select(table).where(table.c.callback_id == bindparam("callback_id"))
_LATELY = (
    select(table)
    .where(
        table.c.msisdn == bindparam("msisdn"),
        table.c.asked_at > bindparam("oldest"),
        or_(table.c.state.in_(("due", "calling")), table.c.called_at > bindparam("since")),
    )
    .order_by(table.c.asked_at.desc())
    .limit(1)
)


def ask(connection: Connection, request: CallbackRequest, now: datetime) -> Asked | CallbackRefused:
    """Owe a subscriber the call that he has just asked for, whatever the hour; once for its id.

    Refused (`called_lately`) while a call to the number is under way and for ten minutes after one.
    """
    present = connection.execute(_BY_ID, {"callback_id": request.callback_id}).one_or_none()
    if present is not None:
        return Asked(present.callback_id, present.tone_code, present.expires_at)
    refused = _called_lately(connection, request.msisdn, now)
    expires_at = now + CALL_WITHIN
    if refused is None and not insert_once(connection, table, _row(request, now, expires_at)):
        # Another host wrote one this very moment.
        refused = CallbackRefused("called_lately", again_at=now + ONE_CALL_IN)
    if refused is not None:
        detail = {"tone_code": request.tone_code, "reason": refused.reason}
        orders.record(connection, now, request.msisdn, "refused", detail)
        return refused
    announce(connection, TOPIC)
    return Asked(request.callback_id, request.tone_code, expires_at)


def _called_lately(connection: Connection, msisdn: str, now: datetime) -> CallbackRefused | None:
    since = now - ONE_CALL_IN
    values = {"msisdn": msisdn, "since": since, "oldest": since - CALL_WITHIN}
    row = connection.execute(_LATELY, values).one_or_none()
    if row is None:
        return None
    again_at = (row.called_at or now) + ONE_CALL_IN
    return CallbackRefused("called_lately", row.tone_code, again_at)


def _row(request: CallbackRequest, now: datetime, expires_at: datetime) -> dict[str, object]:
    return {
        "callback_id": request.callback_id,
        "msisdn": request.msisdn,
        "tone_code": request.tone_code,
        "asked_by": request.asked_by,
        "mo_id": request.mo_id,
        "state": "due",
        "asked_at": now,
        "expires_at": expires_at,
    }


# ---------------------------------------------------------------- calling

_DUE = (
    select(*_COLUMNS)
    .where(CALLBACK_OPEN, table.c.state == "due", table.c.expires_at > bindparam("now"))
    .order_by(table.c.asked_at, table.c.callback_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(table)
    .where(table.c.callback_id == bindparam("claimed"), table.c.state == "due")
    .values(
        state="calling",
        called_at=bindparam("at"),
        claimed_by=bindparam("by"),
        claimed_until=bindparam("until"),
    )
)


_CLAIMED = select(*_COLUMNS).where(
    CALLBACK_OPEN, table.c.state == "calling", table.c.claimed_by == bindparam("by")
)


def claim(
    connection: Connection, by: str, count: int, now: datetime, lease_s: float
) -> tuple[Callback, ...]:
    """Return calls to place at once, the oldest wish first; nobody else gets them.

    `by` names this very claim, and claiming again by that name returns the same. `lease_s` is the
    longest that a call may take to have its outcome; see :func:`drop_overdue`.
    """
    claimed = connection.execute(_CLAIMED, {"by": by}).all()
    if claimed:
        return tuple(Callback(*row) for row in claimed)
    due = tuple(Callback(*row) for row in connection.execute(_DUE, {"now": now, "count": count}))
    if due:
        until = now + timedelta(seconds=lease_s)
        connection.execute(
            _CLAIM,
            [{"claimed": one.callback_id, "by": by, "at": now, "until": until} for one in due],
        )
    return due


_END = (
    update(table)
    .where(
        table.c.callback_id == bindparam("ended"),
        table.c.claimed_by == bindparam("by"),
        # A late outcome is better than none.
        table.c.state.in_(("calling", "unknown")),
        table.c.state != bindparam("outcome"),
    )
    .values(
        state=bindparam("outcome"),
        reason=bindparam("why"),
        ended_at=bindparam("at"),
        claimed_until=None,
    )
)


def called(
    connection: Connection, callback: Callback, by: str, outcome: Outcome, why: str, now: datetime
) -> None:
    """Record what became of a call that was claimed `by`; `why` is a word for it, or empty."""
    values = {
        "ended": callback.callback_id,
        "by": by,
        "outcome": outcome,
        "why": why[:40] or None,
        "at": now,
    }
    if connection.execute(_END, values).rowcount:
        _trace(connection, callback, outcome, why or None, now)


_GIVE_BACK = (
    update(table)
    .where(
        table.c.callback_id == bindparam("returned"),
        table.c.claimed_by == bindparam("by"),
        table.c.state == "calling",
    )
    .values(state="due", called_at=None, claimed_by=None, claimed_until=None)
)


def give_back(connection: Connection, callback: Callback, by: str) -> None:
    """Let somebody else place a call that was claimed `by` and certainly never placed."""
    values = {"returned": callback.callback_id, "by": by}
    connection.execute(_GIVE_BACK, values)


_OVERDUE = (
    select(*_COLUMNS, table.c.state)
    .where(
        CALLBACK_OPEN,
        or_(
            and_(table.c.state == "due", table.c.expires_at <= bindparam("now")),
            and_(table.c.state == "calling", table.c.claimed_until <= bindparam("now")),
        ),
    )
    .with_for_update(skip_locked=True)
)
_DROP = (
    update(table)
    .where(table.c.callback_id == bindparam("dropped"))
    .values(state=bindparam("as_state"), ended_at=bindparam("at"), claimed_until=None)
)


def drop_overdue(connection: Connection, now: datetime) -> int:
    """End the calls that were not placed in time (`expired`) or whose host died (`unknown`).

    Returns how many they were.
    """
    overdue = connection.execute(_OVERDUE, {"now": now}).all()
    for *fields, state in overdue:
        callback = Callback(*fields)
        ends_as = "expired" if state == "due" else "unknown"
        connection.execute(_DROP, {"dropped": callback.callback_id, "as_state": ends_as, "at": now})
        _trace(connection, callback, ends_as, None, now)
    return len(overdue)


def _trace(
    connection: Connection, callback: Callback, outcome: str, why: str | None, now: datetime
) -> None:
    detail = {
        "callback_id": callback.callback_id,
        "tone_code": callback.tone_code,
        "outcome": outcome,
        "reason": why,
    }
    orders.record(connection, now, callback.msisdn, "callback", detail)
