"""The order state machine: requested .. confirmed .. provisioned .. captured / expired / undone.

An order enters here confirmed, with its consent: nobody's silence is an order. One transaction
writes order, consent, trace and notice. A unique index holds one live order per number and tone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from operator import itemgetter
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from catalog.tones import Prices
from ordering import outbox
from ordering.prices import Tier
from store.changes import announce
from store.once import insert_once
from store.schema import LIVE_STATES, consent, event
from store.schema import order as table
from store.turns import take_turns

REFUSALS = ("being_ordered", "owned", "orders_per_day", "spend_per_day")
"""Why `place` refuses an order."""
OWNED_STATES = ("provisioned", "captured")
NOT_SPENT_STATES = ("undone", "expired", "failed")
RESTORE_WINDOW = timedelta(minutes=30)
"""How long HF takes back what 00000 cancelled."""
LATE = timedelta(seconds=10)
"""Recorded so long after its confirmation, an order may be undone as long as any other."""


class QuoteShown(Protocol):
    """The part of a quote that an order keeps."""

    @property
    def tier(self) -> Tier:
        """The subscriber's membership."""

    @property
    def prices(self) -> Prices:
        """The three prices as shown."""

    @property
    def pays_fen(self) -> int:
        """What he was told he pays."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A confirmed wish: `shown` is JSON (the text, or the prompts played), `answer` key or SMS."""

    order_id: str
    msisdn: str
    tone_code: str
    title: str
    channel: str
    quote: QuoteShown
    requested_at: datetime
    confirmed_at: datetime
    shown: str
    answer: str
    call_id: str | None = None
    mo_id: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What protects a subscriber from ordering too much."""

    orders_per_day: int
    spend_per_day_fen: int
    undo_min: int
    timezone: str


@dataclass(frozen=True, slots=True)
class Placed:
    """The order is recorded; the subscriber will have the tone."""

    order_id: str
    state: str


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """No order: `reason` names the prompt and the SMS that say why."""

    reason: str
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as customer service sees it."""

    order_id: str
    msisdn: str
    tone_code: str
    title: str
    state: str
    channel: str
    tier: Tier
    price_fen: int
    pays_fen: int
    requested_at: datetime
    confirmed_at: datetime | None
    provisioned_at: datetime | None
    captured_at: datetime | None
    undone_at: datetime | None
    reason: str | None


COLUMNS = tuple(table.c[field] for field in Order.__slots__)
"""Of an order's row; see `order_of`."""
_BY_ID = select(*COLUMNS).where(table.c.order_id == bindparam("order_id"))
_OF_NUMBER = (
    select(*COLUMNS)
    .where(table.c.msisdn == bindparam("msisdn"))
    .order_by(table.c.requested_at, table.c.order_id)
)
_LIVE = _OF_NUMBER.where(table.c.state.in_(LIVE_STATES))
_LIVE_OF_TONE = _LIVE.where(table.c.tone_code == bindparam("tone_code"))
_TODAY = select(func.count(), func.coalesce(func.sum(table.c.pays_fen), 0)).where(
    table.c.msisdn == bindparam("msisdn"),
    table.c.confirmed_at >= bindparam("midnight"),
    table.c.confirmed_at < bindparam("next_midnight"),
    table.c.state.not_in(NOT_SPENT_STATES),
)
_JSON = json.JSONEncoder(ensure_ascii=False)  # json.dumps would make one each time
_INSERT_CONSENT = insert(consent)
# Without inline() SQLAlchemy fetches the new key, which nobody reads.
_INSERT_EVENT = insert(event).inline()


def order_of(row: Row[Any]) -> Order:
    """Return the order of a row of `COLUMNS`."""
    return Order(*row)  # type: ignore[call-arg]  # a row has the fields in their order


def place(
    connection: Connection,
    request: OrderRequest,
    notice: outbox.Message | None,
    limits: Limits,
    now: datetime,
) -> Placed | OrderRefused:
    """Record a confirmed order with its consent and its notice, once.

    Placing the same `order_id` again returns what became of it. A tone the number has or is
    getting, and what is over the day's limits, is refused and nothing is written but the refusal.

    Undo and capture count from the order's `confirmed_at`, of which the notice tells: what the
    store could take only later has the moment it was recorded. The consent keeps the answer's own.
    """
    take_turns(connection, request.msisdn)
    refused = _refusal(connection, request, limits)
    if refused is None and not insert_once(connection, table, _row(request, now)):
        refused = _already(live_order(connection, request.msisdn, request.tone_code))
    if refused is not None:
        present = find_order(connection, request.order_id)
        if present is not None:
            return Placed(present.order_id, present.state)
        detail = {"tone_code": request.tone_code, "reason": refused.reason}
        record(connection, now, request.msisdn, "refused", detail, request)
        return refused
    terms = _terms(request)
    connection.execute(_INSERT_CONSENT, _consent(request, terms))
    _record(connection, request.confirmed_at, request.msisdn, "order", terms, request)
    if notice is not None:
        outbox.put(connection, notice, now)
    announce(connection, "orders")
    return Placed(request.order_id, "confirmed")


def _refusal(connection: Connection, request: OrderRequest, limits: Limits) -> OrderRefused | None:
    live = live_order(connection, request.msisdn, request.tone_code)
    if live is not None:
        return _already(live)
    # By the consent: a question of before midnight may be answered after it.
    local = request.confirmed_at.astimezone(ZoneInfo(limits.timezone))
    midnight = datetime.combine(local.date(), time(), local.tzinfo)
    today = {
        "msisdn": request.msisdn,
        "midnight": midnight,
        "next_midnight": midnight + timedelta(days=1),
    }
    count, spent = connection.execute(_TODAY, today).one()
    if count >= limits.orders_per_day:
        return OrderRefused("orders_per_day")
    if spent + request.quote.pays_fen > limits.spend_per_day_fen:
        return OrderRefused("spend_per_day")
    return None


def _already(live: Order | None) -> OrderRefused:
    if live is None:
        return OrderRefused("being_ordered")
    reason = "owned" if live.state in OWNED_STATES else "being_ordered"
    return OrderRefused(reason, live.order_id)


def _row(request: OrderRequest, now: datetime) -> dict[str, object]:
    is_late = now - request.confirmed_at > LATE
    confirmed_at = now if is_late else request.confirmed_at
    return {
        "order_id": request.order_id,
        "msisdn": request.msisdn,
        "tone_code": request.tone_code,
        "title": request.title,
        "state": "confirmed",
        "channel": request.channel,
        "tier": request.quote.tier,
        "price_fen": request.quote.prices.visitor,
        "pays_fen": request.quote.pays_fen,
        "requested_at": request.requested_at,
        "confirmed_at": confirmed_at,
        "next_at": confirmed_at,
        "call_id": request.call_id,
        "mo_id": request.mo_id,
    }


def _consent(request: OrderRequest, terms: str) -> dict[str, object]:
    return {
        "order_id": request.order_id,
        "msisdn": request.msisdn,
        "channel": request.channel,
        "shown": request.shown,
        "answer": request.answer,
        "answered_at": request.confirmed_at,
        "quote": terms,
    }


def _terms(request: OrderRequest) -> str:
    prices = request.quote.prices
    terms = {
        "tone_code": request.tone_code,
        "title": request.title,
        "tier": request.quote.tier,
        "prices": {
            "visitor": prices.visitor,
            "member": prices.member,
            "senior": prices.senior,
        },
        "pays_fen": request.quote.pays_fen,
    }
    return _JSON.encode(terms)


def record(
    connection: Connection,
    at: datetime,
    msisdn: str,
    kind: str,
    detail: Mapping[str, object],
    source: OrderRequest | Order | None = None,
) -> None:
    """Add a row to the trace of a number; `kind` is one of a trace's (`store.schema`)."""
    _record(connection, at, msisdn, kind, _JSON.encode(detail), source)


def _record(
    connection: Connection,
    at: datetime,
    msisdn: str,
    kind: str,
    detail: str,
    source: OrderRequest | Order | None,
) -> None:
    connection.execute(
        _INSERT_EVENT,
        {
            "at": at,
            "msisdn": msisdn,
            "kind": kind,
            "order_id": None if source is None else source.order_id,
            "call_id": getattr(source, "call_id", None),
            "message_id": getattr(source, "mo_id", None),
            "detail": detail,
        },
    )


def find_order(connection: Connection, order_id: str) -> Order | None:
    """Return an order by its id."""
    row = connection.execute(_BY_ID, {"order_id": order_id}).one_or_none()
    return None if row is None else order_of(row)


def state_of(connection: Connection, order_id: str) -> str | None:
    """Return the state an order is in."""
    order = find_order(connection, order_id)
    return None if order is None else order.state


def orders_of(connection: Connection, msisdn: str) -> tuple[Order, ...]:
    """Return every order of a number, oldest first."""
    return tuple(order_of(row) for row in connection.execute(_OF_NUMBER, {"msisdn": msisdn}))


def owned(connection: Connection, msisdn: str) -> tuple[Order, ...]:
    """Return the orders that are under way or owned, oldest first."""
    return tuple(order_of(row) for row in connection.execute(_LIVE, {"msisdn": msisdn}))


def live_order(connection: Connection, msisdn: str, tone_code: str) -> Order | None:
    """Return the order of a tone that is under way or owned."""
    values = {"msisdn": msisdn, "tone_code": tone_code}
    row = connection.execute(_LIVE_OF_TONE, values).one_or_none()
    return None if row is None else order_of(row)


def consent_of(connection: Connection, order_id: str) -> dict[str, Any] | None:
    """Return the proof of an order: what was shown, the answer, the quote."""
    row = connection.execute(select(consent).where(consent.c.order_id == order_id)).one_or_none()
    if row is None:
        return None
    return {
        "shown": json.loads(row.shown),
        "answer": row.answer,
        "answered_at": row.answered_at,
        "quote": json.loads(row.quote),
    }


# ---------------------------------------------------------------- taking back

_UNDO = (
    update(table)
    .where(
        table.c.order_id == bindparam("undone"),
        table.c.state.in_(("confirmed", "authorised", "provisioned")),
    )
    .values(state="undone", undone_at=bindparam("at"), ended_at=bindparam("at"), next_at=None)
)


def undo_last(
    connection: Connection,
    msisdn: str,
    sent_at: datetime,
    undo_min: int,
    now: datetime,
    tone_code: str | None = None,
) -> Order | None:
    """Undo the order confirmed last within `undo_min` before `sent_at`; None: there is none.

    With a `tone_code` that tone's order and no other.
    """
    since = sent_at - timedelta(minutes=undo_min)
    lately = [
        (order.confirmed_at, order.order_id, order)
        for order in owned(connection, msisdn)
        if order.confirmed_at is not None
        and since <= order.confirmed_at <= sent_at
        and tone_code in (None, order.tone_code)
    ]
    for _, _, order in sorted(lately, key=itemgetter(0, 1), reverse=True):
        values = {"undone": order.order_id, "at": now}
        if connection.execute(_UNDO, values).rowcount:
            record(connection, now, msisdn, "undo", {"tone_code": order.tone_code}, order)
            return find_order(connection, order.order_id)
    return None


_CANCEL = (
    update(table)
    .where(table.c.order_id == bindparam("cancelled"), table.c.state.in_(LIVE_STATES))
    .values(state="cancelled", ended_at=bindparam("at"), reason=bindparam("why"), next_at=None)
)


def cancel(
    connection: Connection, msisdn: str, codes: Iterable[str], reason: str, now: datetime
) -> tuple[Order, ...]:
    """Cancel the live orders of these tones, at once; return them as they were."""
    wanted = set(codes)
    chosen = tuple(order for order in owned(connection, msisdn) if order.tone_code in wanted)
    for order in chosen:
        connection.execute(_CANCEL, {"cancelled": order.order_id, "at": now, "why": reason})
        detail = {"state": "cancelled", "tone_code": order.tone_code, "reason": reason}
        record(connection, now, msisdn, "order", detail, order)
    return chosen


def restore(
    connection: Connection, msisdn: str, reason: str, undo_min: int, now: datetime
) -> tuple[Order, ...]:
    """Give back what was cancelled for `reason` within the restore window, free of charge.

    A tone that was ordered anew since stays as it is; what was not charged yet is charged when it
    would have been.
    """
    rows = connection.execute(
        select(*COLUMNS).where(
            table.c.msisdn == msisdn,
            table.c.state == "cancelled",
            table.c.reason == reason,
            table.c.ended_at >= now - RESTORE_WINDOW,
        )
    )
    restored = []
    for order in map(order_of, rows.all()):
        if live_order(connection, msisdn, order.tone_code) is not None:
            continue
        state, next_at = _resumed(order, undo_min, now)
        connection.execute(
            update(table)
            .where(table.c.order_id == order.order_id)
            .values(state=state, ended_at=None, reason=None, next_at=next_at)
        )
        record(connection, now, msisdn, "order", {"state": state, "restored": True}, order)
        restored.append(order)
    if restored:
        announce(connection, "orders")
    return tuple(restored)


def _resumed(order: Order, undo_min: int, now: datetime) -> tuple[str, datetime | None]:
    if order.captured_at is not None:
        return "captured", None
    if order.provisioned_at is None:
        return "confirmed", now
    return "provisioned", (order.confirmed_at or now) + timedelta(minutes=undo_min)
