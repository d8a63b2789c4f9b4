"""The order: title, three prices, what he pays, until when; only then may 1 confirm.

One rule holds here and nowhere else: nothing pressed before the words that name what he pays have
been played to their end confirms anything. What was confirmed goes to `ivr.placing`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from catalog.tones import Tone
from ivr import placing
from ivr.call import SILENCE_MS, Call
from ivr.keypad import Press
from ordering.orders import OrderRequest
from ordering.provisioning import Quote


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
        confirmed = _Confirmed(msisdn, offer, call.line.clock(), call.record.elapsed_ms())
        return await placing.place(call, tone, partial(_request, call, confirmed))
    call.gave_up = call.gave_up or key == "*"
    return "order_given_up" if key == "*" else "line_trouble"


def _refused(call: Call, tone: Tone, reason: str) -> str:
    call.record.note("refused", tone_code=tone.code, reason=reason)
    return placing.refusal(reason)


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


# ---------------------------------------------------------------- its proof


@dataclass(frozen=True, slots=True)
class _Confirmed:
    """An offer that was accepted by the key 1, `at_ms` after the call began."""

    msisdn: str
    offer: _Offer
    at: datetime
    at_ms: int


def _request(call: Call, confirmed: _Confirmed, order_id: str) -> OrderRequest:
    offer = confirmed.offer
    return OrderRequest(
        order_id=order_id,
        msisdn=confirmed.msisdn,
        tone_code=offer.tone.code,
        title=offer.tone.title,
        channel="ivr",
        quote=offer.quote,
        requested_at=offer.began_at,
        confirmed_at=confirmed.at,
        shown=_shown(call, confirmed),
        answer="1",
        call_id=call.call_id,
    )


def _shown(call: Call, confirmed: _Confirmed) -> str:
    """Return the consent's proof: what was played, from which files, and when the key came."""
    offer = confirmed.offer
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
        "key_ms": confirmed.at_ms - offer.began_ms,
    }
    return json.dumps(proof, ensure_ascii=False)
