"""Tier, function, state, branch override, refusals.

What the local provisioning adapter knows of a number. Absent numbers are active visitors whose
ring-back function is open. A closed function is opened by an order of it (KT), for as long as that
order lives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, select, update

from catalog.values import FUNCTION_CODE
from ordering import orders
from ordering.prices import Tier
from store.once import insert_once
from store.schema import subscriber as table

Function = Literal["on", "off"]
State = Literal["active", "suspended"]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A number as the local adapter knows it; `function` is the ring-back function."""

    msisdn: str
    tier: Tier = "visitor"
    function: Function = "on"
    state: State = "active"


_ONE = select(table).where(table.c.msisdn == bindparam("msisdn"))


def subscriber(connection: Connection, msisdn: str) -> Subscriber:
    """Return what is known of a number, its function open if it has ordered that."""
    known = _stored(connection, msisdn)
    if known.function == "off" and orders.live_order(connection, msisdn, FUNCTION_CODE):
        return replace(known, function="on")
    return known


def _stored(connection: Connection, msisdn: str) -> Subscriber:
    row = connection.execute(_ONE, {"msisdn": msisdn}).one_or_none()
    if row is None:
        return Subscriber(msisdn)
    return Subscriber(row.msisdn, row.tier, row.ring_back, row.state)


def set_subscriber(
    connection: Connection,
    msisdn: str,
    now: datetime,
    tier: Tier | None = None,
    function: Function | None = None,
    state: State | None = None,
) -> Subscriber:
    """Change what is given, keep the rest; return the number as it is now known.

    Closing the function ends the number's own order of it.
    """
    known = _stored(connection, msisdn)
    changed = replace(
        known,
        tier=tier or known.tier,
        function=function or known.function,
        state=state or known.state,
    )
    values = {
        "tier": changed.tier,
        "ring_back": changed.function,
        "state": changed.state,
        "changed_at": now,
    }
    if not insert_once(connection, table, {"msisdn": msisdn, **values}):
        connection.execute(update(table).where(table.c.msisdn == msisdn).values(values))
    if function == "off":
        orders.cancel(connection, msisdn, (FUNCTION_CODE,), "operator", now)
    return subscriber(connection, msisdn)
