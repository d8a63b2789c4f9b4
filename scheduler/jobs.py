"""Idempotent jobs: running one twice, or late, changes nothing more."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from ordering import claims, consent, fulfilment, outbox, receipts
from ordering.fulfilment import Steps
from ordering.orders import Order
from ordering.provisioning import Operator
from store.database import Database

BATCH = 200
"""Orders taken at once: a few milliseconds' work for the store."""
MOST_MESSAGES = 500
"""Messages one run of a duty changes: some ten milliseconds, in which nobody else is served."""
LEASE_S = 60.0
"""A host that holds an order longer than this is taken for dead."""

Failed = Callable[[Order, Failure], object]
"""Told of an order and why its step failed."""


def expire_questions(connection: Connection, now: datetime) -> int:
    """Close the questions that nobody answered in time: silence is no order."""
    return consent.expire(connection, now)


def release_stale_orders(connection: Connection, now: datetime) -> int:
    """Free orders whose host died while it held them."""
    return fulfilment.release_stale_claims(connection, now)


def release_stale_messages(connection: Connection, now: datetime, resent: tuple[str, ...]) -> int:
    """Free messages whose host died while it held them; classes not in `resent` are dropped."""
    return claims.release_stale(connection, now, resent)


def drop_expired_messages(connection: Connection, now: datetime) -> int:
    """Drop messages whose time is over, also while no SMSC can be reached."""
    return outbox.drop_expired(connection, now, MOST_MESSAGES)


def measure_queue(connection: Connection, now: datetime, offers_waiting: int) -> int:
    """Count what waits to be sent, and refuse further offers from `offers_waiting` on."""
    return outbox.measure_queue(connection, now, offers_waiting)


def give_up_receipts(
    connection: Connection, now: datetime, timeouts: tuple[tuple[str, timedelta], ...]
) -> int:
    """Call `unknown` what an SMSC sent no final receipt of in its time."""
    return sum(
        receipts.give_up(connection, smsc, now - timeout, MOST_MESSAGES, now)
        for smsc, timeout in timeouts
    )


async def fulfil_due(
    database: Database,
    operator: Operator,
    host: str,
    undo_min: int,
    now: Callable[[], datetime],
    failed: Failed,
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Take the next step of every order that is due: provision it, or capture it after `undo_min`.

    Returns how many orders were taken once none is due, or it `goes_on` no longer. Each stands for
    itself: `failed` is told of one that the operator fails, which rests before it is tried again,
    while the others are recorded.
    """
    taken, steps = 0, Steps()
    while True:
        most = BATCH if goes_on() else 0
        values = (steps, undo_min, host, most, now(), LEASE_S)
        due = await database.run(fulfilment.advance, *values)
        if not due:
            return taken
        taken += len(due)
        steps = await _taken(operator, due, undo_min, now(), failed)


async def _taken(
    operator: Operator, due: tuple[Order, ...], undo_min: int, now: datetime, failed: Failed
) -> Steps:
    """Take a step of each order; return what became of it."""
    left: dict[str, datetime] = {}

    def leave(failure: Failure, order: Order) -> None:
        left[order.order_id] = _due_since(order, undo_min, now)
        failed(order, failure)

    steps = [
        Deferred.fromCoroutine(_next_step(operator, order)).addErrback(leave, order)
        for order in due
    ]
    await gatherResults(steps)
    done = tuple(order for order in due if order.order_id not in left)
    return Steps(done, tuple(left.items()))


def _next_step(operator: Operator, order: Order) -> Coroutine[Any, Any, None]:
    return operator.provision(order) if order.state == "confirmed" else operator.capture(order)


def _due_since(order: Order, undo_min: int, now: datetime) -> datetime:
    after = timedelta(minutes=undo_min if order.state == "provisioned" else 0)
    return (order.confirmed_at or now) + after
