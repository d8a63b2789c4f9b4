"""What failed: a confirmed wish of which no order came, and a step at the operator's side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, update

from ordering import outbox
from ordering.orders import find_order
from store.schema import order as table

SHORTEST_REST, LONGEST_REST = timedelta(seconds=60), timedelta(hours=1)
"""How long an order rests whose step failed."""


def not_placed(
    connection: Connection, order_id: str, message: outbox.Message, now: datetime
) -> bool:
    """Tell a subscriber that no order came of what he confirmed; False: one came after all."""
    if find_order(connection, order_id) is not None:
        return False
    outbox.put(connection, message, now)
    return True


_PUT_OFF = (
    update(table)
    .where(
        table.c.order_id == bindparam("failed"),
        table.c.next_at.is_not(None),
        table.c.claimed_by == bindparam("host"),
    )
    .values(claimed_until=bindparam("until"))
)


def put_off(
    connection: Connection, host: str, failed: Sequence[tuple[str, datetime]], now: datetime
) -> None:
    """Let orders (order_id, since when it fails) that `host` holds rest before they are due again.

    Each rests as long as it has been failing, so it is tried ever more seldom, within limits.
    """
    for order_id, since in failed:
        until = now + max(SHORTEST_REST, min(now - since, LONGEST_REST))
        connection.execute(_PUT_OFF, {"failed": order_id, "host": host, "until": until})
