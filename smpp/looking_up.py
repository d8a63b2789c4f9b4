"""Answers that order nothing: my tones, a tone, a search, a directory, a call to listen, help."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, bindparam, select

from catalog.branches import PROVINCE
from catalog.tones import Tone
from catalog.values import FUNCTION_CODE
from ordering import callbacks, orders
from smpp import shown
from smpp.turn import Reply, Turn
from store.schema import outbox

HELP_EVERY = timedelta(minutes=10)
HELP_A_DAY = 3


def my_tones(turn: Turn) -> Reply:
    """List what he has (CX)."""
    owned = orders.owned(turn.connection, turn.msisdn)
    if not owned:
        return turn.say("my_tones_none")
    shown.forget(turn)
    return say_owned(turn, "my_tones", owned)


def say_owned(turn: Turn, name: str, owned: Iterable[orders.Order]) -> Reply:
    """Return a list of what is somebody's: the ring-back function last, and counted as no song."""
    shown = sorted(owned, key=lambda order: order.tone_code == FUNCTION_CODE)
    songs = sum(order.tone_code != FUNCTION_CODE for order in shown)
    return turn.say_list(name, items(turn, shown), count=str(songs))


def items(turn: Turn, owned: Iterable[orders.Order]) -> list[dict[str, str]]:
    """Return the values of a list's lines."""
    return [
        {
            "number": str(number),
            "code": order.tone_code,
            "title": order.title,
            "pays": turn.texts.money(order.pays_fen),
        }
        for number, order in enumerate(owned, start=1)
    ]


def tone_info(turn: Turn) -> Reply:
    """Tell of a tone (CX 1029)."""
    tone = turn.known.tone
    if tone is None:
        return unknown_code(turn)
    return turn.say("tone_info", tone.code, **described(turn, tone))


def search(turn: Turn) -> Reply:
    """List what a search found (CX 茉莉花)."""
    if not turn.known.found:
        return turn.say("found_none")
    shown.forget(turn)
    return turn.say_list("found", (described(turn, tone) for tone in turn.known.found))


def songs(turn: Turn) -> Reply:
    """List a directory, or a later page of it: his branch's or the province's (ML, ML 省, ML2)."""
    name = "province_songs" if turn.known.owner == PROVINCE else "branch_songs"
    shown.forget(turn)
    listed = (described(turn, tone) for tone in turn.known.found)
    return turn.say_page(name, listed, turn.intent.numbers[0]) or turn.say("no_more_songs")


def listen(turn: Turn) -> Reply:
    """Call him and play a tone (ST 1029)."""
    tone = turn.known.tone
    if tone is None:
        return unknown_code(turn)
    values = {"title": tone.title, "code": tone.code}
    if not turn.rules.calls_back:
        return turn.say("dial_instead", tone.code, **values)
    incoming = turn.incoming
    wish = callbacks.CallbackRequest(
        incoming.order_id, turn.msisdn, tone.code, "sms", incoming.mo_id
    )
    asked = callbacks.ask(turn.connection, wish, turn.now)
    called = isinstance(asked, callbacks.Asked)
    return turn.say("calling" if called else "called_lately", tone.code, **values)


def described(turn: Turn, tone: Tone) -> dict[str, str]:
    """Return what texts may say of a tone."""
    until = tone.licence_until
    return {
        "title": tone.title,
        "artist": tone.artist,
        "code": tone.code,
        "visitor": turn.texts.money(tone.prices.visitor),
        "member": turn.texts.money(tone.prices.member),
        "senior": turn.texts.money(tone.prices.senior),
        "until": turn.texts.word("forever") if until is None else until.isoformat(),
    }


def unknown_code(turn: Turn) -> Reply:
    """Say that there is no such code, and which one is near."""
    code = turn.intent.codes[0]
    if not turn.known.nearest:
        return turn.say("unknown_code", code=code)
    near = turn.known.nearest[0]
    return turn.say("unknown_code_nearest", code=code, nearest=near.code, title=near.title)


def one_code(turn: Turn) -> Reply:
    """Ask for a single code."""
    return turn.say("one_code_please")


_HELPED = select(outbox.c.created_at).where(
    outbox.c.msisdn == bindparam("msisdn"),
    outbox.c.purpose == "help",
    outbox.c.created_at > bindparam("since"),
)


def help_text(turn: Turn) -> Reply | None:
    """Help, unless he has had enough of it."""
    return None if is_enough(turn, _HELPED) else turn.say("help")


def is_enough(turn: Turn, told: Select[Any]) -> bool:
    """Say whether he was `told` in the last ten minutes or three times today: he may be a machine.

    The statement takes the number (`msisdn`), and `since` when its times are wanted.
    """
    local = turn.now.astimezone(ZoneInfo(turn.rules.limits.timezone))
    midnight = datetime.combine(local.date(), time(), local.tzinfo)
    lately = turn.now - HELP_EVERY
    values = {"msisdn": turn.msisdn, "since": min(midnight, lately)}
    times = turn.connection.execute(told, values).scalars().all()
    today = sum(at >= midnight for at in times)
    return today >= HELP_A_DAY or any(at > lately for at in times)
