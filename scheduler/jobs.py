"""Idempotent jobs: running one twice, or late, changes nothing more."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from ordering import claims, consent, orders, outbox, receipts
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
    return orders.release_stale_claims(connection, now)


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
) -> int:
    """Take the next step of every order that is due: provision it, or capture it after `undo_min`.

    Returns how many orders were taken. Each stands for itself: `failed` is told of one that the
    operator fails, which rests before it is tried again, while the others are recorded.
    """
    taken = 0
    while True:
        due = await database.run(orders.claim_due, host, BATCH, now(), LEASE_S)
        taken += len(due)
        confirmed = [order for order in due if order.state == "confirmed"]
        owned = [order for order in due if order.state == "provisioned"]
        if confirmed:
            done, left = await _each(operator.provision, confirmed, failed)
            if done:
                await database.run(orders.provisioned, done, undo_min, now())
            await _put_off(database, host, left, timedelta(0), now())
        if owned:
            done, left = await _each(operator.capture, owned, failed)
            if done:
                await database.run(orders.captured, done, now())
            await _put_off(database, host, left, timedelta(minutes=undo_min), now())
        if len(due) < BATCH and (undo_min or not confirmed):
            return taken


async def _each(
    step: Callable[[Order], Coroutine[Any, Any, None]], chosen: list[Order], failed: Failed
) -> tuple[list[Order], list[Order]]:
    """Take a step of each order; return those that are done, and those that failed."""
    left: list[Order] = []

    def leave(failure: Failure, order: Order) -> None:
        left.append(order)
        failed(order, failure)

    steps = [Deferred.fromCoroutine(step(order)).addErrback(leave, order) for order in chosen]
    await gatherResults(steps)
    return [order for order in chosen if order not in left], left


async def _put_off(
    database: Database, host: str, left: list[Order], after: timedelta, now: datetime
) -> None:
    """Let orders rest whose step, due `after` their confirmation, failed."""
    if left:
        since = tuple((order.order_id, (order.confirmed_at or now) + after) for order in left)
        await database.run(orders.put_off, host, since, now)
