"""What is deleted when it is older than it must be kept, and what a subscription keeps alive.

An order is kept while it is live and for the whole retention after it ended, and so is all that
proves it: consent, question, the call or the messages it came by. Everything else goes by its own
age. Tables are walked by their keys in small steps: an index by age would cost every call and
every message something, and a step of some milliseconds disturbs nobody.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Delete,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    false,
    func,
    or_,
    select,
)

from store.schema import (
    LIVE_STATES,
    call,
    callback,
    consent,
    event,
    mo,
    order,
    outbox,
    outbox_part,
    preview,
    question,
    receipt,
    shown_list,
)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one step did; `place` is where the next begins, empty when all was looked at."""

    deleted: int
    place: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """Rows of a table: their key, the instant they are as old as, and which are kept whatever it
    is. `parts` are the columns of other tables that belong to a row by its key."""

    key: Column[Any]
    age: ColumnElement[Any]
    kept: ColumnElement[bool]
    parts: tuple[Column[Any], ...] = ()


def _of_order(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(order.c.order_id).where(*conditions))


# By number and then by id: orders have an index by number, and none that the hot path lacks.
def _came_by(msisdn: Column[Any], mine: Column[Any], its: Column[Any]) -> ColumnElement[bool]:
    return and_(mine.is_not(None), _of_order(order.c.msisdn == msisdn, its == mine))


_KINDS = (
    # The orders first: what is left of them keeps the rest.
    _Kind(
        order.c.order_id,
        func.coalesce(
            order.c.ended_at,
            order.c.undone_at,
            order.c.captured_at,
            order.c.provisioned_at,
            order.c.confirmed_at,
            order.c.requested_at,
        ),
        order.c.state.in_(LIVE_STATES),
        (consent.c.order_id,),
    ),
    _Kind(
        call.c.call_id,
        func.coalesce(call.c.ended_at, call.c.started_at),
        _came_by(call.c.msisdn, call.c.call_id, order.c.call_id),
        (preview.c.call_id,),
    ),
    _Kind(
        question.c.question_id,
        func.coalesce(question.c.answered_at, question.c.expires_at),
        or_(
            question.c.state == "open",
            _of_order(
                order.c.msisdn == question.c.msisdn, order.c.tone_code == question.c.tone_code
            ),
        ),
    ),
    _Kind(
        mo.c.mo_id,
        mo.c.received_at,
        _came_by(mo.c.msisdn, mo.c.mo_id, order.c.mo_id),
    ),
    _Kind(
        outbox.c.mt_id,
        func.coalesce(outbox.c.ended_at, outbox.c.sent_at, outbox.c.created_at),
        or_(
            outbox.c.state.in_(("due", "claimed")),
            and_(outbox.c.order_id.is_not(None), _of_order(order.c.order_id == outbox.c.order_id)),
        ),
        (outbox_part.c.mt_id,),
    ),
    _Kind(
        receipt.c.receipt_id,
        receipt.c.last_at,
        exists(
            select(outbox_part.c.mt_id).where(
                outbox_part.c.smsc == receipt.c.smsc,
                outbox_part.c.message_id == receipt.c.message_id,
            )
        ),
    ),
    _Kind(
        event.c.event_id,
        event.c.at,
        or_(
            and_(event.c.order_id.is_not(None), _of_order(order.c.order_id == event.c.order_id)),
            _came_by(event.c.msisdn, event.c.call_id, order.c.call_id),
        ),
    ),
    _Kind(
        callback.c.callback_id,
        func.coalesce(callback.c.ended_at, callback.c.expires_at),
        callback.c.state.in_(("due", "calling")),
    ),
    _Kind(shown_list.c.msisdn, shown_list.c.shown_at, false()),
)


def sweep(connection: Connection, before: datetime, place: str, most: int) -> Swept:
    """Look at the next `most` rows from `place` (empty: from the first on), and delete those whose
    age is before an instant and that nothing keeps. Sweeping again changes nothing more."""
    number, after = json.loads(place) if place else (0, None)
    values = {} if after is None else {"after": after}
    rows = connection.execute(_next(number, after is None, most), values).all()
    old = [row.key for row in rows if row.age < before and not row.kept]
    if old:
        for statement in _deletions(number):
            connection.execute(statement, {"gone": old})
    if len(rows) == most:
        return Swept(len(old), json.dumps([number, rows[-1].key]))
    return Swept(len(old), json.dumps([number + 1, None]) if number + 1 < len(_KINDS) else "")


@cache
def _next(number: int, is_first: bool, most: int) -> Select[Any]:
    kind = _KINDS[number]
    chosen = select(kind.key.label("key"), kind.age.label("age"), kind.kept.label("kept"))
    if not is_first:
        chosen = chosen.where(kind.key > bindparam("after"))
    return chosen.order_by(kind.key).limit(most)


@cache
def _deletions(number: int) -> tuple[Delete, ...]:
    kind = _KINDS[number]
    gone: BindParameter[Any] = bindparam("gone", expanding=True)
    return tuple(delete(column.table).where(column.in_(gone)) for column in (*kind.parts, kind.key))
