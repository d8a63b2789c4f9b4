"""Idempotent jobs: running one twice, or late, changes nothing more."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, gatherResults

from ordering import consent, delivery, orders
from ordering.orders import Order
from ordering.provisioning import Operator
from store.database import Database

BATCH = 200
"""Orders taken at once: a few milliseconds' work for the store."""
LEASE_S = 60.0
"""A host that holds an order longer than this is taken for dead."""


def expire_questions(connection: Connection, now: datetime) -> int:
    """Close the questions that nobody answered in time: silence is no order."""
    return consent.expire(connection, now)


def release_stale_claims(connection: Connection, now: datetime) -> int:
    """Free orders and messages whose host died while it held them."""
    return orders.release_stale_claims(connection, now) + delivery.release_stale(connection, now)


async def fulfil_due(
    database: Database, operator: Operator, host: str, undo_min: int, now: Callable[[], datetime]
) -> int:
    """Take the next step of every order that is due: provision it, or capture it after `undo_min`.

    Returns how many orders were taken; a failing operator leaves its order to the next lease.
    """
    taken = 0
    while True:
        due = await database.run(orders.claim_due, host, BATCH, now(), LEASE_S)
        taken += len(due)
        confirmed = [order for order in due if order.state == "confirmed"]
        owned = [order for order in due if order.state == "provisioned"]
        if confirmed:
            await _each(operator.provision, confirmed)
            await database.run(orders.provisioned, confirmed, undo_min, now())
        if owned:
            await _each(operator.capture, owned)
            await database.run(orders.captured, owned, now())
        if len(due) < BATCH and (undo_min or not confirmed):
            return taken


async def _each(step: Callable[[Order], Coroutine[Any, Any, None]], chosen: list[Order]) -> None:
    steps = [Deferred.fromCoroutine(step(order)) for order in chosen]
    await gatherResults(steps, consumeErrors=True)
