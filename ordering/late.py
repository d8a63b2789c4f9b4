"""Orders that the store could not take when they were confirmed, and texts that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ordering import outbox
from ordering.orders import (
    REFUSALS,
    Limits,
    OrderRefused,
    OrderRequest,
    Placed,
    find_order,
    place,
    record,
)
from store.turns import take_turns

LATEST = timedelta(hours=1)
"""What could not be recorded for so long is not wanted any more: its subscriber is told."""
TOO_LATE = "too_late"
REASONS = (*REFUSALS, TOO_LATE)
"""Why there is no order."""
FAILURE_LIFE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Failure:
    """The SMS that there is no order. `texts` are (purpose, text) by the reason why."""

    message: outbox.Message
    texts: Mapping[str, tuple[str, str]]

    def because(self, reason: str, now: datetime) -> outbox.Message:
        """Return it for a reason; one without a text of its own has that of the message."""
        purpose, text = self.texts.get(reason, (self.message.purpose, self.message.text))
        until = now + FAILURE_LIFE
        return replace(self.message, purpose=purpose, text=text, due_at=now, expires_at=until)


def place_late(
    connection: Connection,
    request: OrderRequest,
    notice: outbox.Message,
    failure: Failure,
    limits: Limits,
    now: datetime,
) -> Placed | OrderRefused:
    """Place an order that was kept while the store was away, once; who gets none is told why."""
    placed = _placed(connection, request, notice, limits, now)
    if isinstance(placed, OrderRefused):
        outbox.put(connection, failure.because(placed.reason, now), now)
    return placed


def _placed(
    connection: Connection,
    request: OrderRequest,
    notice: outbox.Message,
    limits: Limits,
    now: datetime,
) -> Placed | OrderRefused:
    if now - request.confirmed_at <= LATEST:
        return place(connection, request, notice, limits, now)
    take_turns(connection, request.msisdn)
    present = find_order(connection, request.order_id)
    if present is not None:
        return Placed(present.order_id, present.state)
    detail = {"tone_code": request.tone_code, "reason": TOO_LATE}
    record(connection, now, request.msisdn, "refused", detail, request)
    return OrderRefused(TOO_LATE)


def not_placed(
    connection: Connection, order_id: str, message: outbox.Message, now: datetime
) -> bool:
    """Tell a subscriber that no order came of what he confirmed; False: one came after all."""
    if find_order(connection, order_id) is not None:
        return False
    outbox.put(connection, message, now)
    return True
