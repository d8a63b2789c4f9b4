"""Intent -> answer, in one transaction: the act, its record and the reply row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select, update

from ordering import outbox
from ordering.texts import Texts
from smpp import asking, cancelling, looking_up
from smpp.grammar import CANCELLING, Intent, Kind
from smpp.turn import Incoming, LookedUp, Reply, Rules, Turn
from store.once import insert_once
from store.schema import mo

MOST_IN_A_MINUTE = 20


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an MO: a text's name or a reason; `flood` on the first MO over the limit."""

    outcome: str
    repeated: bool = False
    flood: bool = False


_OUTCOME = update(mo).where(mo.c.mo_id == bindparam("id")).values(outcome=bindparam("became"))
_REPEATED = update(mo).where(mo.c.mo_id == bindparam("id")).values(repeated=mo.c.repeated + 1)
_BECAME = select(mo.c.outcome).where(mo.c.mo_id == bindparam("id"))
_RECENT = (
    select(func.count())
    .select_from(mo)
    .where(mo.c.msisdn == bindparam("msisdn"), mo.c.received_at > bindparam("since"))
)


def answer(
    connection: Connection,
    incoming: Incoming,
    intent: Intent,
    known: LookedUp,
    rules: Rules,
    texts: Texts,
    now: datetime,
) -> Answered:
    """Record an MO, do what it asks and put the reply into the outbox, once for its `mo_id`."""
    if not insert_once(connection, mo, _mo_row(incoming, intent)):
        connection.execute(_REPEATED, {"id": incoming.mo_id})
        became = connection.execute(_BECAME, {"id": incoming.mo_id}).scalar_one()
        return Answered(became, repeated=True)
    turn = Turn(connection, incoming, intent, known, rules, texts, now)
    recent = _recent(turn)
    reply: Reply | None = None
    if incoming.silent is not None:
        outcome = incoming.silent
    elif recent > MOST_IN_A_MINUTE and intent.kind not in CANCELLING:
        outcome = "flood"
    else:
        reply = _ACTS[intent.kind](turn)
        outcome = "silent" if reply is None else reply.name
    if reply is not None:
        outbox.put(connection, _message(turn, reply), now)
    connection.execute(_OUTCOME, {"id": incoming.mo_id, "became": outcome})
    return Answered(outcome, flood=recent == MOST_IN_A_MINUTE + 1)


def _mo_row(incoming: Incoming, intent: Intent) -> dict[str, object]:
    return {
        "mo_id": incoming.mo_id,
        "smsc": incoming.smsc,
        "msisdn": incoming.msisdn,
        "destination": incoming.destination,
        "text": incoming.text,
        "intent": intent.kind,
        "outcome": "",
        "received_at": incoming.received_at,
    }


def _recent(turn: Turn) -> int:
    since = turn.incoming.received_at - timedelta(minutes=1)
    values = {"msisdn": turn.msisdn, "since": since}
    return int(turn.connection.execute(_RECENT, values).scalar_one())


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
    "my_tones": looking_up.my_tones,
    "tone": looking_up.tone_info,
    "search": looking_up.search,
    "cancel": cancelling.cancel,
    "list": cancelling.list_owned,
    "cancel_all": cancelling.cancel_all,
    "restore": cancelling.restore,
    "select": cancelling.select_shown,
    "refuse": cancelling.refuse,
    "resume": cancelling.resume,
    "one_code": looking_up.one_code,
    "help": looking_up.help_text,
}
