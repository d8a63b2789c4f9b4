"""Answers that end something: always accepted, never asked twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, select

from catalog.values import FUNCTION_CODE
from ordering import consent, contact, orders
from smpp import looking_up, shown
from smpp.grammar import folded
from smpp.turn import Reply, Turn
from store.schema import mo, no_offers, outbox

CANCELLED_ALL = "cancelled_all"
"""Why an order was cancelled that HF gives back."""


def cancel(turn: Turn) -> Reply | None:
    """Cancel the tones named; without a code the only one, or show the list (TD)."""
    intent = turn.intent
    if intent.words:
        return _cancel_titled(turn)
    if intent.codes:
        return _cancel_codes(turn, intent.codes)
    if intent.numbers:
        return select_shown(turn) if shown.codes(turn) else _list_or_nothing(turn)
    return _cancel_unnamed(turn)


def _cancel_unnamed(turn: Turn) -> Reply | None:
    """Cancel the only tone; or give up the open questions: TD says no to what it was asked."""
    owned = _tones_first(orders.owned(turn.connection, turn.msisdn))
    no_more_offers = _refuses_offers(turn, owned)
    given_up = _give_up(turn)
    if given_up:
        return _given_up(turn, "given_up_offers" if no_more_offers else "given_up", given_up)
    if not owned:
        return turn.say("no_tones_no_offers")
    if len(owned) > 1:
        return _list_of(turn, owned)
    return _cancelled(turn, (owned[0].tone_code,), no_more_offers)


def _refuses_offers(turn: Turn, owned: Sequence[object]) -> bool:
    """Send no more offers if TD says that: after one, or from somebody who has nothing."""
    offered = contact.had_offer(turn.connection, turn.msisdn, turn.incoming.received_at)
    if offered or not owned:
        stop_offers(turn)
    return offered or not owned


def _given_up(turn: Turn, name: str, questions: Iterable[consent.Question]) -> Reply:
    return turn.say_list(name, ({"title": one.title} for one in questions))


def _tones_first(owned: tuple[orders.Order, ...]) -> tuple[orders.Order, ...]:
    """Return the tones, or the ring-back function if he has nothing else: TD alone means a tone."""
    return tuple(order for order in owned if order.tone_code != FUNCTION_CODE) or owned


def _cancel_codes(turn: Turn, codes: tuple[str, ...]) -> Reply:
    owned = orders.owned(turn.connection, turn.msisdn)
    asked = _give_up(turn, codes)
    # Who gives up a question may have nothing else, and still wants to hear of songs.
    no_more_offers = _refuses_offers(turn, owned or asked)
    reply = _cancelled(turn, codes, no_more_offers)
    if reply is not None:
        return reply
    if asked and no_more_offers:
        return _given_up(turn, "given_up_offers", asked)
    if asked:
        return turn.say("declined", asked[0].tone_code, title=asked[0].title)
    return turn.say("not_owned", code=codes[0]) if owned else turn.say("no_tones_no_offers")


def _cancel_titled(turn: Turn) -> Reply:
    """Cancel the tone of that title; anything else shows the list, and cancels nothing."""
    said = folded(turn.intent.words)
    at = turn.incoming.received_at
    questions = consent.open_questions(turn.connection, turn.msisdn, at)
    owned = orders.owned(turn.connection, turn.msisdn)
    titles = {one.tone_code: folded(one.title) for one in questions}
    titles |= {one.tone_code: folded(one.title) for one in owned}
    meant = [code for code, title in titles.items() if said in (title, code + title, title + code)]
    return _cancel_codes(turn, (meant[0],)) if len(meant) == 1 else _list_or_nothing(turn)


def _list_or_nothing(turn: Turn) -> Reply:
    owned = orders.owned(turn.connection, turn.msisdn)
    _refuses_offers(turn, owned)
    return _list_of(turn, owned) if owned else turn.say("no_tones_no_offers")


def _give_up(turn: Turn, codes: tuple[str, ...] = ()) -> list[consent.Question]:
    """Decline the open questions, or those about the codes; return them."""
    at = turn.incoming.received_at
    asked = [
        question
        for question in consent.open_questions(turn.connection, turn.msisdn, at)
        if not codes or question.tone_code in codes
    ]
    for question in asked:
        consent.close(turn.connection, question.question_id, "declined", turn.now)
    if asked:
        contact.withdraw_offers(turn.connection, turn.msisdn, "gave_up", turn.now)
    return asked


def _cancelled(turn: Turn, codes: tuple[str, ...], no_more_offers: bool = False) -> Reply | None:
    ended = orders.cancel(turn.connection, turn.msisdn, codes, "subscriber", turn.now)
    if not ended:
        return None
    if len(ended) > 1:
        return looking_up.say_owned(turn, "cancelled_these", ended)
    name = "cancelled_no_offers" if no_more_offers else "cancelled"
    return turn.say(name, ended[0].tone_code, title=ended[0].title, code=ended[0].tone_code)


def list_owned(turn: Turn) -> Reply:
    """Show the numbered list (0000)."""
    owned = orders.owned(turn.connection, turn.msisdn)
    return _list_of(turn, owned) if owned else turn.say("nothing_owned")


_SHOWN_HOW = select(mo.c.received_at).where(
    mo.c.msisdn == bindparam("msisdn"),
    mo.c.received_at > bindparam("since"),
    mo.c.intent == "how_to_cancel",
    mo.c.outcome.in_(("cancel_which", "nothing_owned")),
)


def show_how(turn: Turn) -> Reply | None:
    """Show the list to who only speaks of cancelling; as seldom as help, for the same reason."""
    return None if looking_up.is_enough(turn, _SHOWN_HOW) else list_owned(turn)


def _list_of(turn: Turn, owned: tuple[orders.Order, ...]) -> Reply:
    reply, count = turn.say_some("cancel_which", looking_up.items(turn, owned))
    shown.keep(turn, [order.tone_code for order in owned[:count]])
    return reply


def list_is_newest(turn: Turn) -> bool:
    """Say whether 1 and 2 mean the list: it was shown after the last question was asked.

    An answered question counts too, or the second of two equal confirmations would cancel a tone.
    """
    return bool(shown.codes(turn, consent.last_asked(turn.connection, turn.msisdn)))


def select_shown(turn: Turn) -> Reply | None:
    """Cancel what the numbers mean in the list shown last; without one: help."""
    codes = shown.codes(turn)
    if not codes:
        return looking_up.help_text(turn)
    numbers = turn.intent.numbers
    # `10 29` after a list of ten may be a code cut in two: it cancels nothing.
    known = max(numbers) <= len(codes)
    reply = _cancelled(turn, tuple(codes[one - 1] for one in numbers)) if known else None
    return turn.say("no_such_number") if reply is None else reply


def cancel_all(turn: Turn) -> Reply:
    """Cancel every tone and decline every open question (00000)."""
    _give_up(turn)
    codes = [order.tone_code for order in orders.owned(turn.connection, turn.msisdn)]
    ended = orders.cancel(turn.connection, turn.msisdn, codes, CANCELLED_ALL, turn.now)
    if not ended:
        return turn.say("nothing_owned")
    return looking_up.say_owned(turn, "cancelled_all", ended)


def restore(turn: Turn) -> Reply:
    """Give back what 00000 took (HF)."""
    undo_min = turn.rules.limits.undo_min
    back = orders.restore(turn.connection, turn.msisdn, CANCELLED_ALL, undo_min, turn.now)
    if not back:
        return turn.say("nothing_to_restore")
    return looking_up.say_owned(turn, "restored", back)


def refuse(turn: Turn) -> Reply | None:
    """Send no more offers (R), nor ask what it names; confirmed once, then nothing more is said."""
    given_up = _give_up(turn, turn.intent.codes) if turn.intent.codes else []
    stopped = stop_offers(turn)
    if given_up:
        return _given_up(turn, "given_up_offers", given_up)
    return turn.say("offers_stopped") if stopped or not _was_told(turn) else None


_TOLD = (
    select(outbox.c.mt_id)
    .join(no_offers, no_offers.c.msisdn == outbox.c.msisdn)
    .where(
        outbox.c.msisdn == bindparam("msisdn"),
        outbox.c.created_at >= no_offers.c.since,
        outbox.c.purpose.in_(
            ("offers_stopped", "no_tones_no_offers", "cancelled_no_offers", "given_up_offers")
        ),
    )
    .limit(1)
)


def _was_told(turn: Turn) -> bool:
    """Say whether he has read that he gets no more offers: TD, or 8 in a call, may not say it."""
    return turn.connection.execute(_TOLD, {"msisdn": turn.msisdn}).first() is not None


def stop_offers(turn: Turn) -> bool:
    """Send no more offers, and have it in the number's trace; False: so it was already."""
    stopped = contact.stop_offers(turn.connection, turn.msisdn, turn.now)
    if stopped:
        turn.record("opt_out", {"by": turn.incoming.text[:160]})
    return stopped


def resume(turn: Turn) -> Reply:
    """Allow offers again (TJ)."""
    if contact.resume_offers(turn.connection, turn.msisdn):
        turn.record("opt_in", {"by": turn.incoming.text[:160]})
    return turn.say("offers_resumed")
