"""Idempotent jobs: running one twice, or late, changes nothing more."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, gatherResults

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
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Take the next step of every order that is due: provision it, or capture it after `undo_min`.

    Returns how many orders were taken once none is due, or it `goes_on` no longer; a failing
    operator leaves its order to the next lease.
    """
    taken, due = 0, tuple[Order, ...]()
    while True:
        most = BATCH if goes_on() else 0
        values = (due, undo_min, host, most, now(), LEASE_S)
        due = await database.run(orders.advance, *values)
        if not due:
            return taken
        taken += len(due)
        steps = [Deferred.fromCoroutine(_next_step(operator, order)) for order in due]
        await gatherResults(steps, consumeErrors=True)


def _next_step(operator: Operator, order: Order) -> Coroutine[Any, Any, None]:
    return operator.provision(order) if order.state == "confirmed" else operator.capture(order)
