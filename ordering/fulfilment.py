"""Orders on their way from confirmed to captured: claimed when a step is due, recorded, put off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, or_, select, update

from ordering.orders import COLUMNS, Order, order_of, record
from store.changes import announce
from store.schema import order as table

SHORTEST_REST, LONGEST_REST = timedelta(seconds=60), timedelta(hours=1)
"""How long an order rests whose step failed at the operator's side."""

_DUE = (
    select(*COLUMNS)
    .where(
        table.c.next_at <= bindparam("now"),
        or_(table.c.claimed_until.is_(None), table.c.claimed_until < bindparam("now")),
    )
    .order_by(table.c.next_at)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(table)
    .where(table.c.order_id == bindparam("claimed"))
    .values(claimed_by=bindparam("host"), claimed_until=bindparam("until"))
)


def claim_due(
    connection: Connection, host: str, count: int, now: datetime, lease_s: float
) -> tuple[Order, ...]:
    """Return orders whose next step is due, leased to `host`: confirmed or provisioned ones."""
    due = tuple(order_of(row) for row in connection.execute(_DUE, {"now": now, "count": count}))
    if due:
        until = now + timedelta(seconds=lease_s)
        connection.execute(
            _CLAIM, [{"claimed": order.order_id, "host": host, "until": until} for order in due]
        )
    return due


_STEP = update(table).where(
    table.c.order_id == bindparam("stepped"), table.c.state == bindparam("before")
)
_PROVISION = _STEP.values(
    state="provisioned",
    provisioned_at=bindparam("at"),
    next_at=bindparam("next"),
    claimed_by=None,
    claimed_until=None,
)
_CAPTURE = _STEP.values(
    state="captured",
    captured_at=bindparam("at"),
    next_at=None,
    claimed_by=None,
    claimed_until=None,
)


def provisioned(
    connection: Connection, done: Sequence[Order], undo_min: int, now: datetime
) -> None:
    """Record that the subscribers have their tones; capture is due `undo_min` after the consent."""
    for order in done:
        values = {
            "stepped": order.order_id,
            "before": "confirmed",
            "at": now,
            "next": (order.confirmed_at or now) + timedelta(minutes=undo_min),
        }
        if connection.execute(_PROVISION, values).rowcount:
            record(connection, now, order.msisdn, "provision", {"state": "provisioned"}, order)
            announce(connection, f"order:{order.order_id}")


def captured(connection: Connection, done: Sequence[Order], now: datetime) -> None:
    """Record that what the subscribers were told was charged."""
    for order in done:
        values = {"stepped": order.order_id, "before": "provisioned", "at": now}
        if connection.execute(_CAPTURE, values).rowcount:
            record(connection, now, order.msisdn, "charge", {"fen": order.pays_fen}, order)


_PUT_OFF = (
    update(table)
    .where(
        table.c.order_id == bindparam("failed"),
        table.c.next_at.is_not(None),
        table.c.claimed_by == bindparam("host"),
    )
    .values(claimed_until=bindparam("until"))
)


@dataclass(frozen=True, slots=True)
class Steps:
    """What became of the orders that a host had claimed.

    `failed`: those that the operator failed, each (order_id, since when it fails).
    """

    done: tuple[Order, ...] = ()
    failed: tuple[tuple[str, datetime], ...] = ()


def advance(
    connection: Connection,
    steps: Steps,
    undo_min: int,
    host: str,
    count: int,
    now: datetime,
    lease_s: float,
) -> tuple[Order, ...]:
    """Record the steps of what was claimed, and claim anew, in one transaction."""
    provisioned(connection, [one for one in steps.done if one.state == "confirmed"], undo_min, now)
    captured(connection, [one for one in steps.done if one.state == "provisioned"], now)
    put_off(connection, host, steps.failed, now)
    return claim_due(connection, host, count, now, lease_s)


def put_off(
    connection: Connection, host: str, failed: Sequence[tuple[str, datetime]], now: datetime
) -> None:
    """Let orders (order_id, since when it fails) that `host` holds rest before they are due again.

    Each rests as long as it has been failing, so it is tried ever more seldom, within limits.
    """
    for order_id, since in failed:
        until = now + max(SHORTEST_REST, min(now - since, LONGEST_REST))
        connection.execute(_PUT_OFF, {"failed": order_id, "host": host, "until": until})


_RELEASE = (
    update(table)
    .where(table.c.next_at.is_not(None), table.c.claimed_until < bindparam("now"))
    .values(claimed_by=None, claimed_until=None)
)


def release_stale_claims(connection: Connection, now: datetime) -> int:
    """Free orders whose host died while it held them; return how many."""
    return connection.execute(_RELEASE, {"now": now}).rowcount


_RELEASE_HELD = (
    update(table)
    .where(table.c.next_at.is_not(None), table.c.claimed_by == bindparam("holder"))
    .values(claimed_by=None, claimed_until=None)
)


def release_held(connection: Connection, hosts: Sequence[str]) -> int:
    """Free at once the orders that these hosts held, which are known to be dead."""
    released = [connection.execute(_RELEASE_HELD, {"holder": host}).rowcount for host in hosts]
    return sum(released)
