"""Answers on the way to an order: the question, its answers, and taking the last order back.

The ring-back function (KT) is asked for, confirmed and taken back as a tone is: a monthly service
with a price, an order of its own, and `KT` where a tone has its code.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from catalog.tones import Prices, find_tone
from catalog.values import FUNCTION_CODE
from ordering import consent, contact, orders
from ordering.provisioning import Quote
from smpp import cancelling, looking_up, shown
from smpp.turn import Reply, Turn

NOTICE_VALID = timedelta(hours=48)
_FULFILLED = ("owned", "being_ordered")
"""Refusals that leave nothing to confirm; what is refused otherwise may be confirmed later."""


def ask(turn: Turn) -> Reply:
    """Ask whether he wants the tone at its price, or say why he cannot have it."""
    tone = turn.known.tone
    if tone is None:
        return looking_up.unknown_code(turn)
    live = orders.live_order(turn.connection, turn.msisdn, tone.code)
    if live is not None:
        return _already(turn, live)
    quote = turn.quote()
    if quote is None:
        return turn.say("no_quote", tone.code, title=tone.title, code=tone.code)
    _record_quote(turn, tone.code, quote)
    if not quote.eligible:
        return _refused(turn, tone.code, tone.title, quote)
    values = looking_up.described(turn, tone)
    return _question(turn, "question", quote, **values)


def ask_function(turn: Turn) -> Reply:
    """Ask whether he wants the ring-back function at its fee, or say why he cannot (KT)."""
    quote, title = turn.function_quote(), turn.texts.word("function_name")
    if quote is None:
        return turn.say("no_quote", FUNCTION_CODE, title=title, code=FUNCTION_CODE)
    live = orders.live_order(turn.connection, turn.msisdn, FUNCTION_CODE)
    if quote.reason == "owned" or live is not None:
        return turn.say("function_is_open", FUNCTION_CODE)
    _record_quote(turn, FUNCTION_CODE, quote)
    if not quote.eligible:
        return _refused(turn, FUNCTION_CODE, title, quote)
    return _question(turn, "function_question", quote, title=title, code=FUNCTION_CODE)


def _record_quote(turn: Turn, code: str, quote: Quote) -> None:
    # asdict() copies every value: a twentieth of the time a question takes.
    terms = {name: getattr(quote, name) for name in Quote.__slots__}
    prices = {name: getattr(quote.prices, name) for name in Prices.__slots__}
    turn.record("quote", {"tone_code": code, **terms, "prices": prices})


def _refused(turn: Turn, code: str, title: str, quote: Quote) -> Reply:
    reason = quote.reason or "unknown"
    turn.record("refused", {"tone_code": code, "reason": reason})
    return turn.say(f"refused_{reason}", code, title=title, code=code)


def _question(turn: Turn, name: str, quote: Quote, **values: str) -> Reply:
    ttl_min = turn.rules.confirm_ttl_min
    code, pays_text = values["code"], turn.texts.money(quote.pays_fen)
    reply = turn.say(name, code, **values, pays=pays_text, ttl_min=str(ttl_min))
    question = consent.Question(
        question_id=turn.incoming.mt_id,
        msisdn=turn.msisdn,
        tone_code=code,
        title=values["title"],
        tier=quote.tier,
        price_fen=quote.prices.visitor,
        member_price_fen=quote.prices.member,
        senior_price_fen=quote.prices.senior,
        pays_fen=quote.pays_fen,
        shown=reply.text,
        asked_at=turn.now,
        expires_at=turn.now + timedelta(minutes=ttl_min),
    )
    consent.ask(turn.connection, question)
    return Reply(reply.name, reply.text, question.expires_at, code)


def _already(turn: Turn, live: orders.Order) -> Reply:
    owned = live.state in orders.OWNED_STATES
    name = "refused_owned" if owned else "being_ordered"
    return turn.say(name, live.tone_code, title=live.title, code=live.tone_code)


def confirm(turn: Turn) -> Reply | None:
    """Order what a question asked: the one named, or the only one that is open (Y)."""
    questions, codes = turn.questions, turn.intent.codes
    if turn.intent.numbers and cancelling.list_is_newest(turn):
        return cancelling.select_shown(turn)
    if codes:
        meant = [question for question in questions if question.tone_code == codes[0]]
        if meant:
            return _place(turn, meant[-1])
        return ask_function(turn) if codes == (FUNCTION_CODE,) else ask(turn)
    if len(questions) == 1:
        return _place(turn, questions[0])
    return _which(turn, questions) if questions else _confirmed_before(turn)


def _which(turn: Turn, questions: Iterable[consent.Question]) -> Reply:
    shown.forget(turn)
    items = (
        {"code": one.tone_code, "title": one.title, "pays": turn.texts.money(one.pays_fen)}
        for one in questions
    )
    return turn.say_list("which_question", items)


def _confirmed_before(turn: Turn) -> Reply:
    """Answer a bare Y that no question waits for: perhaps it is the second to the same one."""
    last = consent.last_confirmed(turn.connection, turn.msisdn, turn.incoming.received_at)
    if last is not None:
        live = orders.live_order(turn.connection, turn.msisdn, last.tone_code)
        if live is not None:
            return _already(turn, live)
    return turn.say("nothing_open")


def _place(turn: Turn, question: consent.Question) -> Reply:
    """Order what a question asked, at its price, unless he may not have it any more."""
    code = question.tone_code
    values = {"title": question.title, "code": code}
    refused = _no_longer(turn, question)
    if refused is not None:
        return refused
    request = _request(turn, question)
    placed = orders.place(turn.connection, request, None, turn.rules.limits, turn.now)
    if isinstance(placed, orders.Placed) or placed.reason in _FULFILLED:
        consent.close(turn.connection, question.question_id, "confirmed", turn.now)
    if isinstance(placed, orders.OrderRefused):
        name = "being_ordered" if placed.reason == "being_ordered" else f"refused_{placed.reason}"
        return turn.say(name, code, **values)
    name = "function_opened" if code == FUNCTION_CODE else "order_notice"
    notice = turn.say(name, pays=turn.texts.money(question.pays_fen), **values)
    expires_at = turn.now + NOTICE_VALID
    return Reply(notice.name, notice.text, expires_at, code, placed.order_id)


def _no_longer(turn: Turn, question: consent.Question) -> Reply | None:
    """Say what has come between a question and its answer; None: nothing.

    Only whether he may have it is asked anew: what he pays is what the question said.
    """
    code, title = question.tone_code, question.title
    if code != FUNCTION_CODE and not _is_sold(turn, code):
        turn.record("refused", {"tone_code": code, "reason": "licence_ended"})
        return turn.say("refused_licence_ended", code, title=title, code=code)
    quote = turn.function_quote() if code == FUNCTION_CODE else turn.quote()
    if quote is None:
        return turn.say("no_quote", code, title=title, code=code)
    if quote.eligible:
        return None
    if code == FUNCTION_CODE and quote.reason == "owned":
        return turn.say("function_is_open", code)
    return _refused(turn, code, title, quote)


def _is_sold(turn: Turn, code: str) -> bool:
    tone = find_tone(turn.connection, code)
    return tone is not None and tone.state == "published"


def _request(turn: Turn, question: consent.Question) -> orders.OrderRequest:
    incoming = turn.incoming
    prices = Prices(question.price_fen, question.member_price_fen, question.senior_price_fen)
    quote = Quote(True, None, question.tier, prices, question.pays_fen)
    return orders.OrderRequest(
        order_id=incoming.order_id,
        msisdn=question.msisdn,
        tone_code=question.tone_code,
        title=question.title,
        channel="sms",
        quote=quote,
        requested_at=question.asked_at,
        confirmed_at=turn.now,
        shown=consent.shown(question),
        answer=incoming.text[:160],
        mo_id=incoming.mo_id,
    )


def decline(turn: Turn) -> Reply | None:
    """Close a question; N answers an offer as well, if that came after it (N)."""
    questions, codes = turn.questions, turn.intent.codes
    if turn.intent.numbers and cancelling.list_is_newest(turn):
        return cancelling.select_shown(turn)
    contact.withdraw_offers(turn.connection, turn.msisdn, "gave_up", turn.now)
    meant = [one for one in questions if not codes or one.tone_code == codes[0]]
    if not meant:
        return cancelling.refuse(turn) if _was_offered(turn) else turn.say("nothing_open")
    to_offer = not codes and _was_offered(turn, meant[-1].asked_at)
    if to_offer:
        cancelling.stop_offers(turn)
    if len(meant) > 1:
        return _which(turn, questions)
    declined = meant[0]
    consent.close(turn.connection, declined.question_id, "declined", turn.now)
    if to_offer:
        return turn.say_list("given_up_offers", [{"title": declined.title}])
    return turn.say("declined", declined.tone_code, title=declined.title)


def _was_offered(turn: Turn, since: datetime | None = None) -> bool:
    at = turn.incoming.received_at
    return contact.had_offer(turn.connection, turn.msisdn, at, since)


def undo(turn: Turn) -> Reply:
    """Take back the last order, or that of the tone named, by the time the message came (0)."""
    named = turn.intent.codes[0] if turn.intent.codes else None
    minutes = turn.rules.limits.undo_min
    sent_at = turn.incoming.received_at
    undone = orders.undo_last(turn.connection, turn.msisdn, sent_at, minutes, turn.now, named)
    if undone is None:
        return turn.say("nothing_to_undo") if named is None else _not_undone(turn, named)
    code, pays = undone.tone_code, turn.texts.money(undone.pays_fen)
    return turn.say("undone", code, title=undone.title, code=code, pays=pays)


def _not_undone(turn: Turn, code: str) -> Reply:
    """Say why the order of a tone is not taken back; none of another tone is in its place."""
    live = orders.live_order(turn.connection, turn.msisdn, code)
    if live is None:
        return turn.say("not_owned", code=code)
    return turn.say("undo_too_late", code, title=live.title, code=code)
