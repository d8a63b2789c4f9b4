"""An offer in words: what is sold, what he pays; only then may 1 confirm.

One rule holds here and nowhere else: nothing pressed before the words that name what he pays have
been played to their end confirms anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime

from catalog.tones import Tone
from catalog.values import FUNCTION_CODE
from ivr.call import SILENCE_MS, Call
from ivr.keypad import Press
from ordering.orders import OrderRequest
from ordering.provisioning import Quote


@dataclass(slots=True)
class Offer:
    """The sentence of an offer. `pays` is where the words that name what he pays begin and end."""

    code: str
    title: str
    quote: Quote
    sounds: tuple[str, ...]
    pays: range
    began_ms: int
    began_at: datetime
    played_ms: dict[int, int] = field(default_factory=dict)

    @property
    def price_was_heard(self) -> bool:
        """Whether every word that names what he pays was played to its end."""
        return all(place in self.played_ms for place in self.pays)


def tone_offer(call: Call, tone: Tone, quote: Quote) -> Offer:
    """Return the offer of a tone: title, three prices, what he pays, until when."""
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
    sounds = (*before, *pays, *valid, *call.say("offer_confirm"))
    words = range(len(before), len(before) + len(pays))
    return _begun(call, tone.code, tone.title, quote, sounds, words)


def function_offer(call: Call, quote: Quote) -> Offer:
    """Return the offer of the ring-back function: what it costs a month."""
    pays = call.say("function_offer", fee=quote.pays_fen)
    sounds = (*pays, *call.say("function_confirm"))
    title = call.line.texts.word("function_name")
    return _begun(call, FUNCTION_CODE, title, quote, sounds, range(len(pays)))


def _begun(
    call: Call, code: str, title: str, quote: Quote, sounds: tuple[str, ...], pays: range
) -> Offer:
    return Offer(code, title, quote, sounds, pays, call.record.elapsed_ms(), call.line.clock())


async def recite(call: Call, offer: Offer) -> str:
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


async def _recite_from(call: Call, offer: Offer, place: int) -> str | None:
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


async def _wait_for_answer(call: Call, offer: Offer) -> str | None:
    while (press := await call.ear.wait(SILENCE_MS)) is not None:
        key = await _answer(call, offer, press)
        if key in {"1", "*"}:
            return key
        if key == "9":
            return await _recite_from(call, offer, 0)
    return None


async def _answer(call: Call, offer: Offer, press: Press) -> str:
    """Return what a key means within the sentence: `1`, `*`, `9` (from the start) or go on.

    After help the sentence is said from its start, unless a key pressed during it means an end.
    """
    if press != "0":
        return _meaning(call, offer, press)
    during: Press = "0"
    while during == "0":
        during = await call.hear("help_order")
    return "9" if during is None else _meaning(call, offer, during) or "9"


def _meaning(call: Call, offer: Offer, press: Press) -> str:
    if press == "1" and offer.price_was_heard:
        return "1"
    if press == "8":
        call.note_refusal()
    elif press not in {"*", "9"}:
        call.record.ignore_key("the price was not heard" if press == "1" else "no meaning here")
        return ""
    return str(press)


# ---------------------------------------------------------------- its proof


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An offer that was accepted by the key 1, `at_ms` after the call began."""

    msisdn: str
    offer: Offer
    at: datetime
    at_ms: int


def confirmed(call: Call, msisdn: str, offer: Offer) -> Confirmed:
    """Return the confirmation by a key that was pressed just now."""
    return Confirmed(msisdn, offer, call.line.clock(), call.record.elapsed_ms())


def order_request(call: Call, accepted: Confirmed, order_id: str) -> OrderRequest:
    """Return the order that a confirmation is, with its proof."""
    offer = accepted.offer
    return OrderRequest(
        order_id=order_id,
        msisdn=accepted.msisdn,
        tone_code=offer.code,
        title=offer.title,
        channel="ivr",
        quote=offer.quote,
        requested_at=offer.began_at,
        confirmed_at=accepted.at,
        shown=_shown(call, accepted),
        answer="1",
        call_id=call.call_id,
    )


def _shown(call: Call, accepted: Confirmed) -> str:
    """Return the consent's proof: what was played, from which files, and when the key came."""
    offer = accepted.offer
    prompts = []
    for place, sound in enumerate(offer.sounds):
        text = call.line.prompts.text_of(sound)
        prompts.append(
            {
                "id": sound,
                "text": offer.title if text is None else text,
                "sha256": call.line.fingerprint(sound),
                "played_ms": offer.played_ms.get(place, 0),
            }
        )
    proof = {
        "text": "".join(str(prompt["text"]) for prompt in prompts),
        "prompts": prompts,
        "key_ms": accepted.at_ms - offer.began_ms,
    }
    return json.dumps(proof, ensure_ascii=False)
