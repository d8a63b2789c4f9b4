"""Calls, previews, messages: the trace a complaint needs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from ordering import contact
from store.once import insert_once
from store.schema import call, consent, event, mo, outbox, outbox_part, preview, question, receipt

START_OF_TIME = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
END_OF_TIME = datetime.fromisoformat("2200-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call that has come in; `msisdn` is None when its caller is no mobile or unknown."""

    call_id: str
    msisdn: str | None
    dialled: str
    branch: str | None
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """One hearing of a tone within a call."""

    number: int
    tone_code: str
    started_at: datetime
    heard_ms: int
    to_the_end: bool


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A whole call. `events` is JSON: [ms since its start, kind, {detail}], in order of time."""

    call_id: str
    msisdn: str | None
    dialled: str
    branch: str | None
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    outcome: str
    events: str
    previews: tuple[Preview, ...]


_FINISH = (
    update(call)
    .where(call.c.call_id == bindparam("id"), call.c.ended_at.is_(None))
    .values(
        branch=bindparam("where"),
        answered_at=bindparam("answered"),
        ended_at=bindparam("ended"),
        outcome=bindparam("how"),
        events=bindparam("log"),
    )
)
_INSERT_PREVIEW = insert(preview)


def call_started(connection: Connection, started: CallStarted) -> None:
    """Record that a call is on the line; once for its id, and never over its end."""
    insert_once(connection, call, _call(started))


def call_ended(
    connection: Connection, ended: CallEnded, offer: contact.Offer | None, now: datetime
) -> None:
    """Record a call with all that was heard and pressed, and what its caller is owed; once.

    A call may be recorded long after its end: see `contact.call_has_ended`.
    """
    insert_once(connection, call, _call(ended))
    finished = connection.execute(
        _FINISH,
        {
            "id": ended.call_id,
            "where": ended.branch,
            "answered": ended.answered_at,
            "ended": ended.ended_at,
            "how": ended.outcome,
            "log": ended.events,
        },
    )
    if not finished.rowcount:
        return
    if ended.previews:
        connection.execute(
            _INSERT_PREVIEW,
            [
                {
                    "call_id": ended.call_id,
                    "number": heard.number,
                    "msisdn": ended.msisdn,
                    "tone_code": heard.tone_code,
                    "started_at": heard.started_at,
                    "heard_ms": heard.heard_ms,
                    "to_the_end": heard.to_the_end,
                }
                for heard in ended.previews
            ],
        )
    if ended.msisdn is not None:
        contact.call_has_ended(connection, ended.msisdn, offer, ended.ended_at, now)


def _call(of: CallStarted | CallEnded) -> dict[str, object]:
    return {
        "call_id": of.call_id,
        "msisdn": of.msisdn,
        "dialled": of.dialled,
        "branch": of.branch,
        "started_at": of.started_at,
    }


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a trace; `kind` is one of a trace's (`store.schema`)."""

    at: datetime
    kind: str
    id: str
    call_id: str | None = None
    order_id: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def trace(
    connection: Connection,
    msisdn: str,
    since: datetime = START_OF_TIME,
    until: datetime = END_OF_TIME,
) -> tuple[Happening, ...]:
    """Return everything that happened to a number in `[since, until)`, in order of time."""
    sources = (_calls, _mos, _mts, _receipts, _questions, _consents, _events)
    happenings = [
        (happening.at, _rank(happening, source is _calls), happening)
        for source in sources
        for happening in source(connection, msisdn)
        if since <= happening.at < until
    ]
    return tuple(happening for *_, happening in sorted(happenings, key=itemgetter(0, 1)))


_CAUSES_FIRST = (
    "call_started", "played", "key", "mo", "opt_out", "opt_in", "quote", "refused", "question",
    "consent", "order", "provision", "undo", "charge", "mt", "receipt", "call_ended",
)  # fmt: skip
"""The order in which what happened in one instant, in one transaction, came of each other."""


def _rank(happening: Happening, of_call: bool) -> int:
    kind = happening.kind
    if of_call and kind not in ("call_started", "call_ended"):
        kind = "played"  # what a call noted is in its order already
    return _CAUSES_FIRST.index(kind) if kind in _CAUSES_FIRST else _CAUSES_FIRST.index("order")


def _calls(connection: Connection, msisdn: str) -> Iterator[Happening]:
    for row in connection.execute(select(call).where(call.c.msisdn == msisdn)):
        detail = {"dialled": row.dialled, "branch": row.branch}
        yield Happening(row.started_at, "call_started", row.call_id, row.call_id, detail=detail)
        for number, (ms, kind, detail) in enumerate(json.loads(row.events or "[]"), start=1):
            at = row.started_at + timedelta(milliseconds=ms)
            yield Happening(at, kind, f"{row.call_id}.{number}", row.call_id, detail=detail)
        if row.ended_at is not None:
            detail = {"outcome": row.outcome, "answered_at": _text(row.answered_at)}
            yield Happening(row.ended_at, "call_ended", row.call_id, row.call_id, detail=detail)


def _mos(connection: Connection, msisdn: str) -> Iterator[Happening]:
    for row in connection.execute(select(mo).where(mo.c.msisdn == msisdn)):
        detail = {
            "text": row.text,
            "intent": row.intent,
            "outcome": row.outcome,
            "destination": row.destination,
            "smsc": row.smsc,
            "repeated": row.repeated,
        }
        yield Happening(row.received_at, "mo", row.mo_id, detail=detail)


_PARTS = (
    select(outbox_part)
    .join(outbox, outbox.c.mt_id == outbox_part.c.mt_id)
    .where(outbox.c.msisdn == bindparam("msisdn"))
    .order_by(outbox_part.c.mt_id, outbox_part.c.part)
)


def _mts(connection: Connection, msisdn: str) -> Iterator[Happening]:
    parts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for part in connection.execute(_PARTS, {"msisdn": msisdn}):
        parts[part.mt_id].append(
            {
                "part": part.part,
                "smsc": part.smsc,
                "message_id": part.message_id,
                "submitted_at": _text(part.submitted_at),
                "receipt": part.receipt_state,
            }
        )
    for row in connection.execute(select(outbox).where(outbox.c.msisdn == msisdn)):
        accepted = parts[row.mt_id]
        detail = {
            "text": row.text,
            "class": row.message_class,
            "purpose": row.purpose,
            "state": row.state,
            "reason": row.reason,
            "sender": row.sender,
            "due_at": _text(row.due_at),
            "sent_at": _text(row.sent_at),
            "attempts": row.attempts,
            # All parts leave through one SMSC; the row names it only while some are missing.
            "smsc": accepted[0]["smsc"] if accepted else row.smsc,
            "parts": accepted,
        }
        at = row.sent_at or row.ended_at or row.created_at
        yield Happening(at, "mt", row.mt_id, row.call_id, row.order_id, detail)


def _receipts(connection: Connection, msisdn: str) -> Iterator[Happening]:
    parts = outbox_part.join(outbox, outbox.c.mt_id == outbox_part.c.mt_id).join(
        receipt,
        (receipt.c.smsc == outbox_part.c.smsc) & (receipt.c.message_id == outbox_part.c.message_id),
    )
    chosen = select(receipt, outbox_part.c.mt_id, outbox_part.c.part).select_from(parts)
    for row in connection.execute(chosen.where(outbox.c.msisdn == msisdn)):
        detail = {
            "state": row.state,
            "error": row.error,
            "mt_id": row.mt_id,
            "part": row.part,
            "message_id": row.message_id,
        }
        yield Happening(row.received_at, "receipt", str(row.receipt_id), detail=detail)


def _questions(connection: Connection, msisdn: str) -> Iterator[Happening]:
    for row in connection.execute(select(question).where(question.c.msisdn == msisdn)):
        detail = {
            "tone_code": row.tone_code,
            "shown": row.shown,
            "state": row.state,
            "pays_fen": row.pays_fen,
            "answered_at": _text(row.answered_at),
        }
        yield Happening(row.asked_at, "question", row.question_id, detail=detail)


def _consents(connection: Connection, msisdn: str) -> Iterator[Happening]:
    for row in connection.execute(select(consent).where(consent.c.msisdn == msisdn)):
        detail = {
            "channel": row.channel,
            "shown": _detail(row.shown),
            "answer": row.answer,
            "quote": json.loads(row.quote),
        }
        yield Happening(
            row.answered_at, "consent", row.order_id, order_id=row.order_id, detail=detail
        )


def _events(connection: Connection, msisdn: str) -> Iterator[Happening]:
    for row in connection.execute(select(event).where(event.c.msisdn == msisdn)):
        yield Happening(
            row.at, row.kind, str(row.event_id), row.call_id, row.order_id, json.loads(row.detail)
        )


def _detail(said: str) -> Any:
    try:
        return json.loads(said)
    except ValueError:
        return {"text": said}


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
