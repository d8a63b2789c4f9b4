"""The order: title, three prices, what he pays, until when; only then may 1 confirm.

Two rules hold here and nowhere else. Nothing pressed before the words that name what he pays have
been played to their end confirms anything. And a confirmed order is no longer the call's: hang-up,
drain and cancellation leave it going on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from twisted.internet.defer import Deferred

from catalog.tones import Tone
from ivr.call import SILENCE_MS, Call
from ivr.keypad import Press
from ivr.patience import Bell, Pending
from ivr.prompts import SENTENCES
from ordering import orders, outbox
from ordering.orders import Limits, OrderRefused, OrderRequest, Placed
from ordering.provisioning import Quote
from store.database import StoreBusy, StoreUnavailable

REFUSAL_S = 0.3  # most refusals come in this time, and then need no "please wait"
ANSWER_S = 4.0  # contract.md: later than this the result comes by SMS
STORE_RETRY_S = 0.5
NOTICE_LIFE = timedelta(hours=48)
_DONE = ("provisioned", "captured")
_LOST = ("failed", "expired", "cancelled", "undone")


@dataclass(slots=True)
class _Offer:
    """The order sentence. `pays` is where the words that name what he pays begin and end."""

    tone: Tone
    quote: Quote
    sounds: tuple[str, ...]
    pays: range
    began_ms: int
    began_at: datetime
    played_ms: dict[int, int] = field(default_factory=dict)

    @property
    def price_was_heard(self) -> bool:
        return all(place in self.played_ms for place in self.pays)


async def order(call: Call, tone: Tone) -> Press:
    """Offer a tone to a caller who pressed 1, and order it if he confirms.

    Returns what was pressed during the last words, for the place he comes back to.
    """
    await call.ear.answer()
    return await call.hear(await _order(call, tone))


async def _order(call: Call, tone: Tone) -> str:
    """Go through an order and return the sentence that ends it."""
    if tone.code in call.placed:
        return call.placed[tone.code]
    msisdn = call.caller.msisdn
    if msisdn is None:
        return _refused(call, tone, call.caller.kind)
    quote = await call.quote(tone)
    if quote is None:
        return "quote_missing"
    if not quote.eligible:
        return _refused(call, tone, quote.reason or "unknown")
    offer = _offer(call, tone, quote)
    key = await _recite(call, offer)
    if key == "1":
        return await _place(call, msisdn, offer)
    call.gave_up = call.gave_up or key == "*"
    return "order_given_up" if key == "*" else "line_trouble"


def _refused(call: Call, tone: Tone, reason: str) -> str:
    call.record.note("refused", tone_code=tone.code, reason=reason)
    return _refusal(reason)


def _refusal(reason: str) -> str:
    """Return the sentence of a reason not to order."""
    sentence = reason if reason == "being_ordered" else f"refused_{reason}"
    return sentence if sentence in SENTENCES else "order_failed"


# ---------------------------------------------------------------- the sentence


def _offer(call: Call, tone: Tone, quote: Quote) -> _Offer:
    prices = quote.prices
    before = (
        *call.say("offer_title", tone=tone),
        *call.say(
            "offer_prices", visitor=prices.visitor, member=prices.member, senior=prices.senior
        ),
    )
    pays = call.say("offer_pays", pays=quote.pays_fen)
    until = tone.licence_until
    valid = call.say("offer_forever") if until is None else call.say("offer_until", until=until)
    return _Offer(
        tone,
        quote,
        (*before, *pays, *valid, *call.say("offer_confirm")),
        range(len(before), len(before) + len(pays)),
        call.record.elapsed_ms(),
        call.line.clock(),
    )


async def _recite(call: Call, offer: _Offer) -> str:
    """Say the sentence and return the answer: `1`, `*`, or nothing if the price cannot be said.

    Silence after it repeats it from what he pays on, once; then it is `*`.
    """
    if not offer.pays:
        return ""
    call.ear.drop_typed()
    place = 0
    for _ in range(2):
        key = await _recite_from(call, offer, place)
        if key is not None:
            return key
        place = offer.pays.start
    return "*"


async def _recite_from(call: Call, offer: _Offer, place: int) -> str | None:
    """Say the sentence from a place on; None: it was heard, and 3 s of silence after it."""
    from_ms = 0
    while place < len(offer.sounds):
        heard = await call.ear.play(offer.sounds[place], from_ms)
        if heard.missing and place in offer.pays:
            return ""
        from_ms = heard.end_ms
        if heard.press is None:
            if not heard.missing:
                offer.played_ms[place] = heard.end_ms
            place, from_ms = place + 1, 0
            continue
        key = await _answer(call, offer, heard.press)
        if key in {"1", "*"}:
            return key
        if key == "9":
            place, from_ms = 0, 0
    return await _wait_for_answer(call, offer)


async def _wait_for_answer(call: Call, offer: _Offer) -> str | None:
    while (press := await call.ear.wait(SILENCE_MS)) is not None:
        key = await _answer(call, offer, press)
        if key in {"1", "*"}:
            return key
        if key == "9":
            return await _recite_from(call, offer, 0)
    return None


async def _answer(call: Call, offer: _Offer, press: Press) -> str:
    """Return what a key means within the sentence: `1`, `*`, `9` (from the start) or go on."""
    if press == "1" and offer.price_was_heard:
        return "1"
    if press == "0":
        await call.hear("help_order")
        return "9"
    if press == "8":
        call.note_refusal()
    elif press not in {"*", "9"}:
        call.record.ignore_key("the price was not heard" if press == "1" else "no meaning here")
        return ""
    return str(press)


# ---------------------------------------------------------------- the order


async def _place(call: Call, msisdn: str, offer: _Offer) -> str:
    """Order what was confirmed, and say what became of it as far as it is certain."""
    request = _request(call, msisdn, offer)
    until_s = call.line.reactor.seconds() + ANSWER_S
    call.has_ordered = True
    call.placed[offer.tone.code] = "order_accepted"
    placing = Pending(
        Deferred.fromCoroutine(_store(call, request, until_s)),
        call.line.reactor,
        _failed(call, request.order_id),
    )
    if not await placing.within(REFUSAL_S) or isinstance(placing.result, Placed):
        await call.hear("ordering_wait")
        await placing.within(_left(call, until_s))
    sentence = await _result(call, request.order_id, placing, until_s)
    if sentence in {"ordered", "order_accepted"}:
        call.placed[offer.tone.code] = sentence
    else:
        call.has_ordered = False
        del call.placed[offer.tone.code]
    return sentence


async def _store(call: Call, request: OrderRequest, until_s: float) -> Placed | OrderRefused:
    """Record the order; a database that cannot do it just now is asked again for a while."""
    line = call.line
    limits = Limits(
        line.policy.orders_per_day,
        line.policy.spend_per_day_fen,
        line.policy.undo_min,
        line.settings.timezone,
    )
    notice = _notice(call, request)
    while True:
        try:
            return await line.database.run(orders.place, request, notice, limits, line.clock())
        except (StoreUnavailable, StoreBusy):
            if line.reactor.seconds() >= until_s:
                raise
            await Bell(line.reactor).wait(STORE_RETRY_S)


async def _result(
    call: Call, order_id: str, placing: Pending[Placed | OrderRefused], until_s: float
) -> str:
    """Return the sentence about an order: success only when the tone is the subscriber's."""
    if not placing.done:
        return "order_accepted"  # it waits for the store, which will still do it
    if isinstance(placing.result, OrderRefused):
        return _refusal(placing.result.reason)
    if placing.result is None:
        return "order_failed"
    return await _provisioned(call, order_id, until_s)


async def _provisioned(call: Call, order_id: str, until_s: float) -> str:
    database, reactor = call.line.database, call.line.reactor
    changed = Bell(reactor)
    unsubscribe = database.on_change(f"order:{order_id}", changed.ring)
    try:
        while True:
            looking = Pending(database.run(orders.state_of, order_id), reactor, _ignored)
            await looking.within(_left(call, until_s))
            if looking.result in _DONE:
                return "ordered"
            if looking.result in _LOST:
                return "order_failed"
            if not await changed.wait(_left(call, until_s)):
                return "order_accepted"
    finally:
        unsubscribe()


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


def _request(call: Call, msisdn: str, offer: _Offer) -> OrderRequest:
    return OrderRequest(
        order_id=call.line.new_id(),
        msisdn=msisdn,
        tone_code=offer.tone.code,
        title=offer.tone.title,
        channel="ivr",
        quote=offer.quote,
        requested_at=offer.began_at,
        confirmed_at=call.line.clock(),
        shown=_shown(call, offer),
        answer="1",
        call_id=call.call_id,
    )


def _shown(call: Call, offer: _Offer) -> str:
    """Return the consent's proof: what was played, from which files, and when the key came."""
    prompts = []
    for place, sound in enumerate(offer.sounds):
        text = call.line.prompts.text_of(sound)
        prompts.append(
            {
                "id": sound,
                "text": offer.tone.title if text is None else text,
                "sha256": call.line.fingerprint(sound),
                "played_ms": offer.played_ms.get(place, 0),
            }
        )
    proof = {
        "text": "".join(str(prompt["text"]) for prompt in prompts),
        "prompts": prompts,
        "key_ms": call.record.elapsed_ms() - offer.began_ms,
    }
    return json.dumps(proof, ensure_ascii=False)


def _notice(call: Call, request: OrderRequest) -> outbox.Message:
    line = call.line
    tone = call.snapshot.tone(request.tone_code)
    assert tone is not None  # noqa: S101  the call pins the snapshot it chose the tone from
    return outbox.Message(
        mt_id=request.order_id,
        msisdn=request.msisdn,
        sender=line.sms.sender("order"),
        text=line.texts.fill("order_notice", **call.tone_words(tone, request.quote.pays_fen)),
        message_class="order",
        purpose="order_notice",
        due_at=request.confirmed_at,
        expires_at=request.confirmed_at + NOTICE_LIFE,
        tone_code=request.tone_code,
        order_id=request.order_id,
        call_id=call.call_id,
    )
