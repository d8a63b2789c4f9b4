"""Answers that end something: always accepted, never asked twice."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update

from catalog.values import FUNCTION_CODE
from ordering import consent, contact, orders
from smpp import looking_up
from smpp.grammar import folded
from smpp.turn import Reply, Turn
from store.once import insert_once
from store.schema import shown_list

LIST_VALID = timedelta(hours=2)
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
        return select_shown(turn) if _shown_codes(turn) else _list_or_nothing(turn)
    return _cancel_unnamed(turn)


def _cancel_unnamed(turn: Turn) -> Reply | None:
    """Cancel the only tone; or give up the open questions: TD says no to what it was asked."""
    owned = _tones_first(orders.owned(turn.connection, turn.msisdn))
    offered = contact.had_offer(turn.connection, turn.msisdn, turn.incoming.received_at)
    no_more_offers = offered or not owned
    if no_more_offers:
        _stop_offers(turn)
    given_up = _give_up(turn)
    if given_up:
        name = "given_up_offers" if no_more_offers else "given_up"
        return turn.say_list(name, ({"title": one.title} for one in given_up))
    if not owned:
        return turn.say("no_tones_no_offers")
    if len(owned) > 1:
        return _list_of(turn, owned)
    reply = _cancelled(turn, (owned[0].tone_code,))
    if offered and reply is not None:
        return turn.say("cancelled_no_offers", owned[0].tone_code, title=owned[0].title)
    return reply


def _tones_first(owned: tuple[orders.Order, ...]) -> tuple[orders.Order, ...]:
    """Return the tones, or the ring-back function if he has nothing else: TD alone means a tone."""
    return tuple(order for order in owned if order.tone_code != FUNCTION_CODE) or owned


def _cancel_codes(turn: Turn, codes: tuple[str, ...]) -> Reply:
    asked = _give_up(turn, codes)
    reply = _cancelled(turn, codes)
    if reply is not None:
        return reply
    if asked:
        return turn.say("declined", asked[0].tone_code, title=asked[0].title)
    if not orders.owned(turn.connection, turn.msisdn):
        _stop_offers(turn)
        return turn.say("no_tones_no_offers")
    return turn.say("not_owned", code=codes[0])


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
    if orders.owned(turn.connection, turn.msisdn):
        return list_owned(turn)
    _stop_offers(turn)
    return turn.say("no_tones_no_offers")


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
    return asked


def _cancelled(turn: Turn, codes: tuple[str, ...]) -> Reply | None:
    ended = orders.cancel(turn.connection, turn.msisdn, codes, "subscriber", turn.now)
    if not ended:
        return None
    if len(ended) > 1:
        return looking_up.say_owned(turn, "cancelled_these", ended)
    return turn.say("cancelled", ended[0].tone_code, title=ended[0].title, code=ended[0].tone_code)


def list_owned(turn: Turn) -> Reply:
    """Show the numbered list (0000)."""
    owned = orders.owned(turn.connection, turn.msisdn)
    return _list_of(turn, owned) if owned else turn.say("nothing_owned")


def _list_of(turn: Turn, owned: tuple[orders.Order, ...]) -> Reply:
    values = {
        "codes": json.dumps([order.tone_code for order in owned]),
        "shown_at": turn.now,
    }
    if not insert_once(turn.connection, shown_list, {"msisdn": turn.msisdn, **values}):
        turn.connection.execute(
            update(shown_list).where(shown_list.c.msisdn == turn.msisdn).values(values)
        )
    return turn.say_list("cancel_which", looking_up.items(turn, owned))


_SHOWN = select(shown_list.c.codes, shown_list.c.shown_at).where(
    shown_list.c.msisdn == bindparam("msisdn"), shown_list.c.shown_at > bindparam("since")
)


def _shown_codes(turn: Turn, since: datetime | None = None) -> tuple[str, ...]:
    """Return the codes of the list that numbers select from now, if it is newer than `since`."""
    oldest = turn.incoming.received_at - LIST_VALID
    values = {"msisdn": turn.msisdn, "since": max(oldest, since or oldest)}
    row = turn.connection.execute(_SHOWN, values).one_or_none()
    return () if row is None else tuple(json.loads(row.codes))


def list_is_newest(turn: Turn) -> bool:
    """Say whether 1 and 2 mean the list: it was shown after the last question was asked.

    An answered question counts too, or the second of two equal confirmations would cancel a tone.
    """
    return bool(_shown_codes(turn, consent.last_asked(turn.connection, turn.msisdn)))


def select_shown(turn: Turn) -> Reply | None:
    """Cancel what the numbers mean in the list shown last; without one: help."""
    codes = _shown_codes(turn)
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
    """Send no more offers (R); confirmed once, then nothing more is said."""
    return turn.say("offers_stopped") if _stop_offers(turn) else None


def _stop_offers(turn: Turn) -> bool:
    stopped = contact.stop_offers(turn.connection, turn.msisdn, turn.now)
    if stopped:
        turn.record("opt_out", {"by": turn.incoming.text[:160]})
    return stopped


def resume(turn: Turn) -> Reply:
    """Allow offers again (TJ)."""
    if contact.resume_offers(turn.connection, turn.msisdn):
        turn.record("opt_in", {"by": turn.incoming.text[:160]})
    return turn.say("offers_resumed")
