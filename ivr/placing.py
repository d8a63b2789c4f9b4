"""A confirmed order on its way: no longer the call's, and told only as far as it is certain.

Hang-up, drain and cancellation leave it going on. "Ordered" is said when the tone is the
subscriber's, "failed" when nothing was placed and nothing will be; anything else is "accepted",
and then it is in the store or kept on this host's disk (`store.kept`). Who is not told by a
sentence that there is no order, is told by SMS.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from ivr.call import Call
from ivr.patience import Asking, Bell, Pending
from ivr.prompts import SENTENCES
from ordering import late, orders, outbox
from ordering.orders import Limits, OrderRefused, OrderRequest, Placed
from store.database import AWAY
from store.kept import NotKept

ANSWER_S = 4.0  # later than this the result comes by SMS
UNKEPT_S = 1.0
"""What the store has not answered so long after its caller has gone is kept on the disk."""
KEEPING_S = 1.0  # so long a caller waits for a disk
STORE_GIVEN_UP_S = 3600.0
NOTICE_LIFE = timedelta(hours=48)
_DONE = ("provisioned", "captured")
_LOST = ("failed", "expired", "cancelled", "undone")
_TAKEN = ("ordered", "order_accepted")

T = TypeVar("T")

Compose = Callable[[str], OrderRequest]
"""Makes the request of what was confirmed, given the order's id."""
Write = Callable[[str], str]
"""Makes the text of an SMS about the order: `order_notice`, or a sentence why there is none."""


@dataclass(slots=True)
class _Wish:
    """A confirmed order on its way to the store, which is being asked for it.

    `is_listened_for`: its caller still waits for the sentence about it. `failure_id` is that of
    the SMS that there is no order, whoever finds out.
    """

    order_id: str
    failure_id: str
    code: str
    compose: Compose
    write: Write
    request: OrderRequest | None = None
    asking: Asking[Placed | OrderRefused] | None = None
    is_given_up: bool = False
    is_listened_for: bool = True
    is_kept: bool = False
    keeping: Deferred[bool] | None = None


async def place(call: Call, code: str, compose: Compose, write: Write) -> str:
    """Order what was confirmed; return the sentence about what became of it, as far as certain.

    `compose` and `write` are called when the caller is being told that we are at work: until then
    every key of his would be lost.
    """
    wish = _Wish(call.line.new_id(), call.line.new_id(), code, compose, write)
    until_s = call.line.reactor.seconds() + ANSWER_S
    call.has_ordered = True
    call.placed[code] = "order_accepted"
    call.undecided.add(code)
    work = _soon(call, _fate(call, wish, until_s))
    fate = Pending(work, call.line.reactor, _failed(call, wish))
    sentence = None
    try:
        call.press_meanwhile(await call.hear("ordering_wait"))
        await fate.within(_left(call, until_s))
        sentence = _known_so_far(call, wish, fate)
        if sentence == "order_accepted" and code in call.undecided:
            keeping = Deferred.fromCoroutine(_is_kept(call, wish))
            await call.pending(keeping, "order_not_kept").within(KEEPING_S)
    finally:
        wish.is_listened_for = False
        if fate.done and sentence is None:
            _come_late(call, wish, fate.result or "order_failed")
        elif not fate.done and not wish.is_given_up:
            call.pending(_soon(call, _keep_if_late(call, wish, fate)), "order_not_kept")
    _note(call, code, sentence)
    call.unheard = None if sentence in _TAKEN else partial(_come_late, call, wish, sentence)
    return sentence


def _note(call: Call, code: str, sentence: str) -> None:
    if sentence in _TAKEN:
        call.placed[code] = sentence
    else:
        call.placed.pop(code, None)
        call.has_ordered = bool(call.placed)


def _soon(call: Call, work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Begin when the next command is on its way, whether its caller is still there or not."""
    begun: Deferred[T] = Deferred()
    call.line.reactor.callLater(0, lambda: Deferred.fromCoroutine(work).chainDeferred(begun))
    return begun


def refusal(reason: str) -> str:
    """Return the sentence of a reason not to order."""
    sentence = reason if reason == "being_ordered" else f"refused_{reason}"
    return sentence if sentence in SENTENCES else "order_failed"


# ---------------------------------------------------------------- what becomes of it


async def _fate(call: Call, wish: _Wish, until_s: float) -> str:
    """See what becomes of the order; return the sentence about it, and text it if it is late."""
    changed = Bell(call.line.reactor)
    unsubscribe = call.line.database.on_change(f"order:{wish.order_id}", changed.ring)
    try:
        sentence = await _outcome(call, wish, changed, until_s)
    finally:
        unsubscribe()
    is_decided = wish.code not in call.undecided
    if is_decided and not wish.is_listened_for and not wish.is_given_up:
        _come_late(call, wish, sentence)
    return sentence


async def _outcome(call: Call, wish: _Wish, changed: Bell, until_s: float) -> str:
    """Place the order and see it provisioned; `changed` rings when it may be."""
    try:
        placed = await _placed(call, wish)
    except Exception as error:  # whatever hinders it, the subscriber is told
        _failed(call, wish)(error)
        if wish.is_kept:
            return "order_accepted"  # what is on the disk is asked again, and tells him itself
        call.undecided.discard(wish.code)
        return "order_failed"
    if placed is None:
        return "order_accepted"
    call.undecided.discard(wish.code)
    if isinstance(placed, OrderRefused):
        return refusal(placed.reason)
    return await _provisioned(call, placed, changed, until_s)


async def _placed(call: Call, wish: _Wish) -> Placed | OrderRefused | None:
    """Have the order recorded; None: it is on the disk, and will be."""
    try:
        return await _store(call, wish)
    except AWAY:
        if wish.is_given_up:
            raise
        if await _is_kept(call, wish):
            return None
    return await _store(call, wish)  # with neither store nor disk, memory is what is left


async def _store(call: Call, wish: _Wish) -> Placed | OrderRefused:
    """Record the order, as soon as the store can unless that is given up."""
    line, limits = call.line, _limits(call)
    request = _request(wish)
    message = _notice(call, request, wish.write("order_notice"))

    def ask() -> Deferred[Placed | OrderRefused]:
        return line.database.run(orders.place, request, message, limits, line.clock())

    wish.asking = Asking(ask, line.reactor)
    return await wish.asking.answer(STORE_GIVEN_UP_S)


def _request(wish: _Wish) -> OrderRequest:
    if wish.request is None:
        wish.request = wish.compose(wish.order_id)
    return wish.request


def _limits(call: Call) -> Limits:
    policy = call.line.policy
    return Limits(
        policy.orders_per_day,
        policy.spend_per_day_fen,
        policy.undo_min,
        call.line.settings.timezone,
    )


def _known_so_far(call: Call, wish: _Wish, fate: Pending[str]) -> str:
    """Return the sentence for a caller who has waited long enough."""
    if fate.done:
        return fate.result or "order_failed"
    # What the store was asked to do it may still do; else nothing is placed, and nothing will.
    if call.channel.hung_up or wish.asking is None or wish.asking.is_due:
        return "order_accepted"
    wish.is_given_up = True
    wish.asking.give_up()
    return "order_failed"


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


def _failed(
    call: Call, wish: _Wish, event: str = "order_not_placed"
) -> Callable[[Exception], None]:
    def log(error: Exception) -> None:
        call.line.log.error(event, **_told(call, wish), reason=str(error))

    return log


def _told(call: Call, wish: _Wish) -> dict[str, object]:
    return {
        "call_id": call.call_id,
        "order_id": wish.order_id,
        "msisdn": call.masked,
        "tone_code": wish.code,
    }


def _ignored(_error: Exception) -> None:
    """A look that failed is looked again, or the result comes by SMS."""


# ---------------------------------------------------------------- kept on the disk


async def _keep_if_late(call: Call, wish: _Wish, fate: Pending[str]) -> None:
    """Keep an order whose caller has gone, unless the store answers in a moment.

    A store that is away is not asked again: `_placed` keeps it at once.
    """
    if wish.asking is not None:
        wish.asking.give_up()
    await fate.within(UNKEPT_S)
    if wish.code in call.undecided and wish.asking is not None and wish.asking.is_due:
        await _is_kept(call, wish)


async def _is_kept(call: Call, wish: _Wish) -> bool:
    """Have an order on this host's disk, once for all who ask; False: it is not there."""
    if wish.keeping is None:
        wish.keeping = Deferred.fromCoroutine(_keep(call, wish))
    also: Deferred[bool] = Deferred()
    wish.keeping.addCallback(_passed_on, also)
    wish.is_kept = await also
    if not wish.is_kept:
        wish.keeping = None
    return wish.is_kept


def _passed_on(result: T, to: Deferred[T]) -> T:
    to.callback(result)
    return result


async def _keep(call: Call, wish: _Wish) -> bool:
    """Write an order to the disk, and ask the store no more for it."""
    request = _request(wish)
    texts = {reason: _text(wish, refusal(reason)) for reason in late.REASONS}
    failure = late.Failure(_no_order(call, wish, "order_failed"), texts)
    notice = _notice(call, request, wish.write("order_notice"))
    try:
        await call.line.kept.keep(late.place_late, request, notice, failure, _limits(call))
    except NotKept as error:
        _failed(call, wish, "order_not_kept")(error)
        return False
    if wish.asking is not None:
        wish.asking.give_up()
    call.line.log.warning("order_kept", **_told(call, wish))
    return True


def _text(wish: _Wish, sentence: str) -> tuple[str, str]:
    return _purpose(sentence), wish.write(sentence)


# ---------------------------------------------------------------- told by SMS


def _come_late(call: Call, wish: _Wish, sentence: str) -> None:
    """Take an outcome that no sentence told; the notice of an order is on its way with it."""
    call.line.log.info("order_came_late", **_told(call, wish), outcome=sentence)
    if sentence in _TAKEN:
        return
    call.placed.pop(wish.code, None)
    call.has_ordered, call.order_failed = bool(call.placed), True
    call.pending(Deferred.fromCoroutine(_tell(call, wish, sentence)), "order_not_told")


async def _tell(call: Call, wish: _Wish, sentence: str) -> None:
    """Let an SMS say that there is no order, as soon as the store can take it."""
    message = _no_order(call, wish, sentence)
    await call.line.kept.surely(late.not_placed, wish.order_id, message)


def _purpose(sentence: str) -> str:
    """Return what the outbox calls an SMS that says what a sentence would have: as by SMS."""
    return "refused" if sentence.startswith("refused_") else sentence


def _no_order(call: Call, wish: _Wish, sentence: str) -> outbox.Message:
    """Return the SMS that there is no order; its id is one, so that it is sent but once."""
    now, request = call.line.clock(), _request(wish)
    return outbox.Message(
        mt_id=wish.failure_id,
        msisdn=request.msisdn,
        sender=call.line.sms.sender("answer"),
        text=wish.write(sentence),
        message_class="answer",
        purpose=_purpose(sentence),
        due_at=now,
        expires_at=now + late.FAILURE_LIFE,
        tone_code=request.tone_code,
        order_id=request.order_id,
        call_id=call.call_id,
    )


def _notice(call: Call, request: OrderRequest, text: str) -> outbox.Message:
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
