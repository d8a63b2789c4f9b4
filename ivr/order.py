"""The order: quote, offer, confirmation; a closed ring-back function is opened first, by its own.

What was confirmed goes to `ivr.placing`.
"""

from __future__ import annotations

from functools import partial

from catalog.tones import Tone
from catalog.values import FUNCTION_CODE
from ivr import placing
from ivr.call import Call
from ivr.channel import CallerHungUp, CallTooLong
from ivr.keypad import Press
from ivr.messages import song_later
from ivr.offer import Offer, confirmed, function_offer, order_request, recite, tone_offer
from ordering.provisioning import Quote

WAITING_KEY_MS = 100  # nobody who hears a sentence begin presses a key sooner


async def order(call: Call, tone: Tone) -> Press:
    """Offer a tone to a caller who pressed 1, and order it if he confirms.

    Returns what was pressed during the last words, for the place he comes back to.
    """
    if call.is_rehearsal:
        return await call.hear("rehearsal_no_order")
    await call.ear.answer()
    press = await _tell(call, await _order(call, tone))
    before = call.take_meanwhile()
    if before is None:
        return press
    call.ear.type_again(press)
    return before


async def _tell(call: Call, sentence: str) -> Press:
    """Say the sentence that ends an order; who does not hear it to its end is told otherwise."""
    try:
        press = await _heard(call, call.say(sentence))
    except (CallerHungUp, CallTooLong):
        if call.unheard is not None:
            call.unheard()
        raise
    call.unheard = None
    return press


async def _heard(call: Call, sounds: tuple[str, ...]) -> Press:
    """Say what became of an order; keys that were waiting for it do not cut it off.

    Asterisk keeps what is pressed while nothing is played, and gives it to the next sound.
    """
    press = await _begun(call, sounds[0]) if sounds else None
    return press or await call.ear.hear(*sounds[1:])


async def _begun(call: Call, sound: str) -> Press:
    heard = await call.ear.play(sound)
    while heard.press is not None and heard.end_ms < WAITING_KEY_MS:
        call.press_meanwhile(heard.press)
        heard = await call.ear.play(sound, heard.end_ms)
    return heard.press


async def _order(call: Call, tone: Tone) -> str:
    """Go through an order and return the sentence that ends it."""
    if tone.code in call.placed:
        return call.placed[tone.code]
    if call.caller.msisdn is None:
        return _refused(call, tone.code, call.caller.kind)
    quote = await call.quote(tone)
    if quote is not None and quote.reason == "function_closed":
        ended_by = await _open_function(call, call.caller.msisdn, tone)
        if ended_by is not None:
            return ended_by
        quote = await call.quote(tone)
    if quote is None:
        return "quote_missing"
    if not quote.eligible:
        return _refused(call, tone.code, quote.reason or "unknown")
    write = partial(_text_of_tone, call, tone, quote.pays_fen)
    return await _offer(call, call.caller.msisdn, tone_offer(call, tone, quote), write)


async def _offer(call: Call, msisdn: str, offer: Offer, write: placing.Write) -> str:
    """Make an offer and return the sentence about what came of it.

    Who pressed * while we were at work has given it up; no other key may answer what comes now.
    """
    key = "*" if call.take_meanwhile() == "*" else await recite(call, offer)
    if key == "1":
        accepted = confirmed(call, msisdn, offer)
        compose = partial(order_request, call, accepted)
        return await placing.place(call, offer.code, compose, write)
    call.gave_up = call.gave_up or key == "*"
    return "order_given_up" if key == "*" else "line_trouble"


async def _open_function(call: Call, msisdn: str, tone: Tone) -> str | None:
    """Offer the ring-back function; None: it is open, else the sentence that ends the order."""
    if FUNCTION_CODE in call.placed:
        return "function_accepted"
    quote = await call.quote_function()
    if quote is None:
        return "quote_missing"
    if quote.reason == "owned":
        return None
    if not quote.eligible:
        return _refused(call, FUNCTION_CODE, quote.reason or "unknown")
    sentence = await _offer_function(call, msisdn, quote, tone)
    if sentence != "ordered":
        return sentence
    call.press_meanwhile(await call.hear("function_opened"))
    return None


async def _offer_function(call: Call, msisdn: str, quote: Quote, tone: Tone) -> str:
    """Offer the function; return the sentence about it.

    A caller who opens it and does not come to order the tone is told so: it is what he wanted.
    """
    write = partial(_text_of_function, call, quote.pays_fen)
    sentence = ""
    try:
        sentence = await _offer(call, msisdn, function_offer(call, quote), write)
    finally:
        if call.placed.get(FUNCTION_CODE) == "order_accepted":
            song_later(call, tone, msisdn)
    return "function_accepted" if sentence == "order_accepted" else sentence


def _refused(call: Call, code: str, reason: str) -> str:
    call.record.note("refused", tone_code=code, reason=reason)
    return placing.refusal(reason)


def _text_of_tone(call: Call, tone: Tone, pays_fen: int, name: str) -> str:
    return call.line.texts.fill(name, **call.tone_words(tone, pays_fen))


def _text_of_function(call: Call, pays_fen: int, name: str) -> str:
    text = "function_opened" if name == "order_notice" else name
    return call.line.texts.fill(text, **call.function_words(pays_fen))
