"""Intent -> answer, in one transaction: the act, its record and the reply row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from ordering import claims, consent, outbox
from ordering.claims import Claim
from smpp import asking, cancelling, looking_up, parts
from smpp.grammar import CANCELLING, Intent, Kind
from smpp.turn import Incoming, LookedUp, Reply, Terms, Turn
from store.once import insert_once
from store.schema import mo
from store.turns import take_turns

MOST_IN_A_MINUTE = 20
ONE_ALARM_IN = timedelta(hours=1)
REPEATED_WITHIN = timedelta(hours=72)
"""An SMSC tries no longer than this; what comes later is a message of its own."""
_MOST_TERMS = 4


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an MO: a text's name or a reason; `flood` on the first MO over the limit.

    `mo_id` is that of the first copy if this one was `repeated`. `claim` is the reply to send, if a
    place was kept for it.
    """

    mo_id: str
    outcome: str
    repeated: bool = False
    flood: bool = False
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class TermsUnknown:
    """The store process does not have these terms (yet, or any more): `learn` gives it them."""

    key: str


@dataclass(frozen=True, slots=True)
class ToLookUp:
    """It cannot be answered without a look-up, of this code if there is one: then try again."""

    code: str = ""


_terms: dict[str, Terms] = {}
"""The terms that this process was given, newest last. They are large and never change."""


class _Earlier(NamedTuple):
    """An earlier message of the same number; a NamedTuple, as every MO reads up to 21 of them."""

    mo_id: str
    smsc: str
    destination: str
    digest: str
    message_id: str | None
    responded: bool
    outcome: str
    received_at: datetime


_OUTCOME = update(mo).where(mo.c.mo_id == bindparam("id")).values(outcome=bindparam("became"))
_REPEATED = update(mo).where(mo.c.mo_id == bindparam("id")).values(repeated=mo.c.repeated + 1)
_RESPONDED = update(mo).where(mo.c.mo_id == bindparam("id")).values(responded=True)
_BECAME = select(mo.c.outcome).where(mo.c.mo_id == bindparam("id"))
_LATEST = (
    select(*(mo.c[name] for name in _Earlier._fields))
    .where(
        mo.c.msisdn == bindparam("msisdn"),
        mo.c.mo_id != bindparam("this"),
        mo.c.received_at > bindparam("since"),
    )
    .order_by(mo.c.received_at.desc(), mo.c.mo_id.desc())
    .limit(MOST_IN_A_MINUTE + 1)
)


def learn(_connection: Connection, terms: Terms) -> None:
    """Keep terms for the `answer`s that name them."""
    _terms[terms.key] = terms
    while len(_terms) > _MOST_TERMS:
        del _terms[next(iter(_terms))]


def responded(connection: Connection, mo_ids: Sequence[str]) -> None:
    """Remember that the responses to these MOs left: the same again is a message of its own."""
    connection.execute(_RESPONDED, [{"id": mo_id} for mo_id in mo_ids])


def answer(
    connection: Connection,
    incoming: Incoming,
    intent: Intent,
    known: LookedUp | None,
    terms_key: str,
    left: str | None,
    claimant: str,
    now: datetime,
) -> Answered | TermsUnknown | ToLookUp:
    """Record an MO, do what it asks and put the reply into the outbox, once.

    Once for its `mo_id`, and for what the SMSC sends a second time. Which question a bare Y means
    is only known here, so that `known` has nothing of it the first time. It is None for who texts
    so much that he may have no answer; if he is to have one, it is asked for. `left` is the
    number's earlier MO if the response to that is known to have left, though it was not noted yet.
    The reply is claimed by `claimant`, if that is a word: for the host that keeps a place for it.
    """
    terms = _terms.get(terms_key)
    if terms is None:
        return TermsUnknown(terms_key)
    if incoming.silent is None:
        # Two hosts may be given both copies of a message in the same instant.
        take_turns(connection, incoming.msisdn)
    since = incoming.received_at - REPEATED_WITHIN
    values = {"msisdn": incoming.msisdn, "this": incoming.mo_id, "since": since}
    latest = [_Earlier(*row) for row in connection.execute(_LATEST, values)]
    first = _first_copy(latest, incoming, left)
    if first is not None:
        _settle_parts(connection, incoming, now)
        return _repeated(connection, first.mo_id, "")
    questions = _questions(connection, incoming, intent)
    unanswered = incoming.silent or _flooded(incoming, intent, latest)
    unknown = None if unanswered else _to_look_up(intent, known, questions)
    if unknown is not None:
        return unknown
    _settle_parts(connection, incoming, now)
    if not insert_once(connection, mo, _mo_row(incoming, intent)):
        return _repeated(connection, incoming.mo_id, claimant)
    turn = Turn(connection, incoming, intent, known or LookedUp(), terms, now, questions)
    reply: Reply | None = None
    outcome = unanswered
    if not unanswered:
        reply = _ACTS[intent.kind](turn)
        outcome = "silent" if reply is None else reply.name
    claim = None if reply is None else _put(turn, reply, claimant)
    connection.execute(_OUTCOME, {"id": incoming.mo_id, "became": outcome})
    alarm = outcome == "flood" and not _had_alarm(turn, latest)
    return Answered(incoming.mo_id, outcome, flood=alarm, claim=claim)


def _settle_parts(connection: Connection, incoming: Incoming, now: datetime) -> None:
    """Take a repeated part for known, now that this transaction holds the message itself."""
    if incoming.in_parts:
        parts.answered(connection, incoming.mo_id, now)


def _first_copy(
    latest: Sequence[_Earlier], incoming: Incoming, left: str | None
) -> _Earlier | None:
    """Return that of his latest messages (newest first) which the SMSC sends again with this one.

    It is one of them if the SMSC says so by its own id, and the newest if it has none and cannot
    know that we have it.
    """
    sent = (incoming.smsc, incoming.destination, incoming.digest)
    same = [one for one in latest if (one.smsc, one.destination, one.digest) == sent]
    if incoming.message_id is not None:
        named = (one for one in same if one.message_id == incoming.message_id)
        if (copied := next(named, None)) is not None:
            return copied
    if not same or same[0] is not latest[0] or same[0].responded or same[0].mo_id == left:
        return None
    return same[0] if None in (incoming.message_id, same[0].message_id) else None


def _repeated(connection: Connection, mo_id: str, claimant: str) -> Answered:
    connection.execute(_REPEATED, {"id": mo_id})
    became = connection.execute(_BECAME, {"id": mo_id}).scalar_one()
    # The same request, asked again as its answer was lost, finds the reply that it has claimed.
    held = claims.claimed(connection, claimant) if claimant else []
    return Answered(mo_id, became, repeated=True, claim=held[0] if held else None)


def _questions(
    connection: Connection, incoming: Incoming, intent: Intent
) -> tuple[consent.Question, ...]:
    """Return what he was asked, if it may be this that he answers."""
    if intent.kind not in ("confirm", "decline"):
        return ()
    return consent.open_questions(connection, incoming.msisdn, incoming.received_at)


def _to_look_up(
    intent: Intent, known: LookedUp | None, questions: Sequence[consent.Question]
) -> ToLookUp | None:
    """Return what a bare Y confirms, or what the text names, unless it is looked up already."""
    if intent.kind != "confirm" or intent.codes or len(questions) != 1:
        return ToLookUp() if known is None else None
    code = questions[0].tone_code
    return None if known is not None and known.code == code else ToLookUp(code)


def _mo_row(incoming: Incoming, intent: Intent) -> dict[str, object]:
    return {
        "mo_id": incoming.mo_id,
        "smsc": incoming.smsc,
        "msisdn": incoming.msisdn,
        "destination": incoming.destination,
        "text": incoming.text,
        "digest": incoming.digest,
        "message_id": incoming.message_id,
        "intent": intent.kind,
        "outcome": "",
        "received_at": incoming.received_at,
        "missing_parts": incoming.missing,
    }


def _flooded(incoming: Incoming, intent: Intent, latest: Sequence[_Earlier]) -> str:
    """Return `flood` if he has sent more than `MOST_IN_A_MINUTE` and this may go unanswered."""
    since = incoming.received_at - timedelta(minutes=1)
    many = sum(one.received_at > since for one in latest) >= MOST_IN_A_MINUTE
    return "flood" if many and intent.kind not in CANCELLING else ""


def _had_alarm(turn: Turn, latest: Sequence[_Earlier]) -> bool:
    since = turn.incoming.received_at - ONE_ALARM_IN
    return any(one.outcome == "flood" and one.received_at > since for one in latest)


def _put(turn: Turn, reply: Reply, claimant: str) -> Claim | None:
    message = _message(turn, reply)
    if claimant:
        return claims.put_claimed(turn.connection, message, claimant, turn.now)
    outbox.put(turn.connection, message, turn.now)
    return None


def _message(turn: Turn, reply: Reply) -> outbox.Message:
    incoming = turn.incoming
    return outbox.Message(
        mt_id=incoming.mt_id,
        msisdn=incoming.msisdn,
        sender=turn.rules.sender or incoming.destination,
        text=reply.text,
        message_class="order" if reply.order_id else "answer",
        purpose="refused" if reply.name.startswith("refused_") else reply.name,
        due_at=turn.now,
        expires_at=reply.expires_at,
        tone_code=reply.tone_code,
        order_id=reply.order_id,
        mo_id=incoming.mo_id,
    )


_ACTS: Mapping[Kind, Callable[[Turn], Reply | None]] = {
    "ask": asking.ask,
    "confirm": asking.confirm,
    "decline": asking.decline,
    "undo": asking.undo,
    "function": asking.ask_function,
    "my_tones": looking_up.my_tones,
    "tone": looking_up.tone_info,
    "search": looking_up.search,
    "branch_songs": looking_up.songs,
    "province_songs": looking_up.songs,
    "listen": looking_up.listen,
    "cancel": cancelling.cancel,
    "list": cancelling.list_owned,
    "cancel_all": cancelling.cancel_all,
    "restore": cancelling.restore,
    "select": cancelling.select_shown,
    "refuse": cancelling.refuse,
    "resume": cancelling.resume,
    "how_to_cancel": cancelling.show_how,
    "one_code": looking_up.one_code,
    "help": looking_up.help_text,
}
