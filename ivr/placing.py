"""A confirmed order on its way: no longer the call's, and told only as far as it is certain.

Hang-up, drain and cancellation leave it going on. "Ordered" is said when the tone is the
subscriber's, "failed" when nothing was placed and nothing will be; anything else is "accepted".
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from twisted.internet.defer import Deferred

from ivr.call import Call
from ivr.patience import Bell, Pending
from ivr.prompts import SENTENCES
from ordering import orders, outbox
from ordering.orders import Limits, OrderRefused, OrderRequest, Placed
from store.database import StoreBusy, StoreUnavailable

ANSWER_S = 4.0  # contract.md: later than this the result comes by SMS
STORE_RETRY_S = 0.5  # doubled each time, up to:
STORE_RETRY_MOST_S = 10.0
STORE_GIVEN_UP_S = 3600.0
NOTICE_LIFE = timedelta(hours=48)
_DONE = ("provisioned", "captured")
_LOST = ("failed", "expired", "cancelled", "undone")

Compose = Callable[[str], OrderRequest]
"""Makes the request of what was confirmed, given the order's id."""
Notice = Callable[[], str]
"""Makes the text of the SMS that tells of the order."""


@dataclass(slots=True)
class _Wish:
    """A confirmed order on its way to the store: `is_asked` while an answer of it is due."""

    order_id: str
    compose: Compose
    notice: Notice
    is_asked: bool = True
    is_given_up: bool = False


async def place(call: Call, code: str, compose: Compose, notice: Notice) -> str:
    """Order what was confirmed; return the sentence about what became of it, as far as certain.

    `compose` and `notice` are called when the caller is being told that we are at work: until then
    every key of his would be lost.
    """
    wish = _Wish(call.line.new_id(), compose, notice)
    until_s = call.line.reactor.seconds() + ANSWER_S
    call.has_ordered = True
    call.placed[code] = "order_accepted"
    fate = Pending(
        _soon(call, _fate(call, wish, until_s)),
        call.line.reactor,
        _failed(call, wish.order_id),
    )
    await call.hear("ordering_wait")
    await fate.within(_left(call, until_s))
    sentence = _known_so_far(wish, fate)
    if sentence in {"ordered", "order_accepted"}:
        call.placed[code] = sentence
    else:
        call.has_ordered = False
        del call.placed[code]
    return sentence


def _soon(call: Call, work: Coroutine[Any, Any, str]) -> Deferred[str]:
    """Begin when the next command is on its way, whether its caller is still there or not."""
    begun: Deferred[str] = Deferred()
    call.line.reactor.callLater(0, lambda: Deferred.fromCoroutine(work).chainDeferred(begun))
    return begun


def refusal(reason: str) -> str:
    """Return the sentence of a reason not to order."""
    sentence = reason if reason == "being_ordered" else f"refused_{reason}"
    return sentence if sentence in SENTENCES else "order_failed"


async def _store(call: Call, wish: _Wish) -> Placed | OrderRefused:
    """Record the order; a database that cannot do it just now is asked again and again."""
    line = call.line
    limits = Limits(
        line.policy.orders_per_day,
        line.policy.spend_per_day_fen,
        line.policy.undo_min,
        line.settings.timezone,
    )
    request = wish.compose(wish.order_id)
    message = _message(call, request, wish.notice())
    until_s = line.reactor.seconds() + STORE_GIVEN_UP_S
    pause_s = STORE_RETRY_S
    while True:
        try:
            return await line.database.run(orders.place, request, message, limits, line.clock())
        except (StoreUnavailable, StoreBusy):
            wish.is_asked = False
            await Bell(line.reactor).wait(pause_s)
            if wish.is_given_up or line.reactor.seconds() >= until_s:
                raise
        wish.is_asked = True
        pause_s = min(2 * pause_s, STORE_RETRY_MOST_S)


async def _fate(call: Call, wish: _Wish, until_s: float) -> str:
    """Place the order and see it provisioned; return the sentence about what became of it."""
    changed = Bell(call.line.reactor)
    unsubscribe = call.line.database.on_change(f"order:{wish.order_id}", changed.ring)
    try:
        placed = await _store(call, wish)
        if isinstance(placed, OrderRefused):
            return refusal(placed.reason)
        return await _provisioned(call, placed, changed, until_s)
    finally:
        unsubscribe()


def _known_so_far(wish: _Wish, fate: Pending[str]) -> str:
    """Return the sentence for a caller who has waited long enough."""
    if fate.done:
        return fate.result or "order_failed"
    # What the store was asked to do it may still do; else nothing is placed, and nothing will.
    wish.is_given_up = not wish.is_asked
    return "order_accepted" if wish.is_asked else "order_failed"


async def _provisioned(call: Call, placed: Placed, changed: Bell, until_s: float) -> str:
    """Wait until the order that was placed is provisioned; `changed` rings when it may be."""
    database, reactor = call.line.database, call.line.reactor
    state: str | None = placed.state
    while True:
        if state in _DONE:
            return "ordered"
        if state in _LOST:
            return "order_failed"
        left_s = _left(call, until_s)
        if not left_s or not await changed.wait(left_s):
            return "order_accepted"
        looking = Pending(database.run(orders.state_of, placed.order_id), reactor, _ignored)
        await looking.within(_left(call, until_s))
        state = looking.result


def _left(call: Call, until_s: float) -> float:
    return max(0.0, until_s - call.line.reactor.seconds())


def _failed(call: Call, order_id: str) -> Callable[[Exception], None]:
    def log(error: Exception) -> None:
        call.line.log.error(
            "order_not_placed",
            call_id=call.call_id,
            order_id=order_id,
            msisdn=call.masked,
            reason=str(error),
        )

    return log


def _ignored(_error: Exception) -> None:
    """A look that failed is looked again, or the result comes by SMS."""


def _message(call: Call, request: OrderRequest, text: str) -> outbox.Message:
    return outbox.Message(
        mt_id=request.order_id,
        msisdn=request.msisdn,
        sender=call.line.sms.sender("order"),
        text=text,
        message_class="order",
        purpose="order_notice",
        due_at=request.confirmed_at,
        expires_at=request.confirmed_at + NOTICE_LIFE,
        tone_code=request.tone_code,
        order_id=request.order_id,
        call_id=call.call_id,
    )
