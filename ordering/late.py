"""Orders that the store could not take when they were confirmed, and texts that there is none."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select

from catalog.values import TONE_CODE
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
from store.schema import event, mo
from store.schema import outbox as texts_sent
from store.turns import take_turns

LATEST = timedelta(hours=1)
"""What could not be recorded for so long is not wanted any more: its subscriber is told."""
TOO_LATE, TAKEN_BACK = "too_late", "taken_back"
REASONS = (*REFUSALS, TOO_LATE, TAKEN_BACK)
"""Why there is no order."""
_TAKE_BACK = ("undo", "cancel", "cancel_all")
"""What a subscriber texts who wants none of what he confirmed before."""
FAILURE_LIFE = timedelta(hours=6)
_DIGITS = re.compile("[0-9]+")


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


_TOLD = select(texts_sent.c.mt_id).where(texts_sent.c.mt_id == bindparam("told"))
_REFUSED = (
    select(event.c.detail)
    .where(
        event.c.msisdn == bindparam("msisdn"),
        event.c.kind == "refused",
        event.c.order_id == bindparam("refused"),
    )
    .limit(1)
)
_TAKING_BACK = select(mo.c.text).where(
    mo.c.msisdn == bindparam("msisdn"),
    mo.c.received_at > bindparam("since"),
    mo.c.intent.in_(_TAKE_BACK),
)


def place_late(
    connection: Connection,
    request: OrderRequest,
    notice: outbox.Message,
    failure: Failure,
    limits: Limits,
    now: datetime,
) -> Placed | OrderRefused:
    """Place an order that was kept while the store was away, once; who gets none is told why.

    Who was told already that there is none gets none: it was refused before, here or to a call that
    waited for the store's answer. Nor does who has texted since that he wants none.
    """
    take_turns(connection, request.msisdn)
    present = find_order(connection, request.order_id)
    if present is not None:
        return Placed(present.order_id, present.state)
    reason = _refused_before(connection, request, failure)
    if reason is None:
        placed = _placed(connection, request, notice, limits, now)
        if isinstance(placed, Placed):
            return placed
        reason = placed.reason
    outbox.put(connection, failure.because(reason, now), now)
    return OrderRefused(reason)


def _placed(
    connection: Connection,
    request: OrderRequest,
    notice: outbox.Message,
    limits: Limits,
    now: datetime,
) -> Placed | OrderRefused:
    hindrance = _hindrance(connection, request, now)
    if hindrance is None:
        return place(connection, request, notice, limits, now)
    detail = {"tone_code": request.tone_code, "reason": hindrance}
    record(connection, now, request.msisdn, "refused", detail, request)
    return OrderRefused(hindrance)


def _refused_before(connection: Connection, request: OrderRequest, failure: Failure) -> str | None:
    values = {"msisdn": request.msisdn, "refused": request.order_id}
    detail = connection.execute(_REFUSED, values).scalar_one_or_none()
    if detail is not None:
        return str(json.loads(detail)["reason"])
    told = connection.execute(_TOLD, {"told": failure.message.mt_id}).scalar_one_or_none()
    return None if told is None else failure.message.purpose


def _hindrance(connection: Connection, request: OrderRequest, now: datetime) -> str | None:
    if now - request.confirmed_at > LATEST:
        return TOO_LATE
    since = {"msisdn": request.msisdn, "since": request.confirmed_at}
    texts = connection.execute(_TAKING_BACK, since).scalars().all()
    return TAKEN_BACK if any(_may_mean(text, request.tone_code) for text in texts) else None


def _may_mean(text: str, tone_code: str) -> bool:
    """Say whether a text that takes something back may take this tone: it names no other alone."""
    groups = _DIGITS.findall(unicodedata.normalize("NFKC", text))
    named = [group for group in groups if TONE_CODE.fullmatch(group)]
    return not named or tone_code in named


def not_placed(
    connection: Connection, order_id: str, message: outbox.Message, now: datetime
) -> bool:
    """Tell a subscriber that no order came of what he confirmed; False: one came after all."""
    if find_order(connection, order_id) is not None:
        return False
    outbox.put(connection, message, now)
    return True
