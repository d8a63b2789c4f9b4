"""Questions, their answers, and what was shown at the moment of consent.

A question by SMS shows title, three prices and what the subscriber pays. Only an answer to it, in
its time, is a consent: silence is none (MII, 20 April 2004: no answer withdraws the request).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, func, select, update

from ordering.prices import Tier
from store.once import insert_once
from store.schema import OPEN
from store.schema import question as table

Answered = Literal["confirmed", "declined", "replaced"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it was sent; `question_id` is the `mt_id` of the SMS that asked it."""

    question_id: str
    msisdn: str
    tone_code: str
    title: str
    tier: Tier
    price_fen: int
    member_price_fen: int
    senior_price_fen: int
    pays_fen: int
    shown: str
    asked_at: datetime
    expires_at: datetime


_JSON = json.JSONEncoder(ensure_ascii=False)  # json.dumps would make one each time
_COLUMNS = tuple(table.c[field] for field in Question.__slots__)
_REPLACE = (
    update(table)
    .where(
        table.c.msisdn == bindparam("number"),
        table.c.tone_code == bindparam("code"),
        table.c.question_id != bindparam("newer"),
        table.c.state == "open",
    )
    .values(state="replaced", answered_at=bindparam("at"))
)
# By the message's own time, not by the minute in which the scheduler closes what is past.
_OPEN = (
    select(*_COLUMNS)
    .where(
        table.c.msisdn == bindparam("msisdn"),
        table.c.state.in_(("open", "expired")),
        table.c.asked_at <= bindparam("at"),
        table.c.expires_at > bindparam("at"),
    )
    .order_by(table.c.asked_at, table.c.question_id)
)
_LAST_ASKED = select(func.max(table.c.asked_at)).where(table.c.msisdn == bindparam("msisdn"))
_LAST_CONFIRMED = (
    select(*_COLUMNS)
    .where(
        table.c.msisdn == bindparam("msisdn"),
        table.c.state == "confirmed",
        table.c.expires_at > bindparam("at"),
    )
    .order_by(table.c.answered_at.desc())
    .limit(1)
)
_ANSWER = (
    update(table)
    .where(table.c.question_id == bindparam("answered"), table.c.state.in_(("open", "expired")))
    .values(state=bindparam("becomes"), answered_at=bindparam("at"))
)
_EXPIRE = update(table).where(OPEN, table.c.expires_at <= bindparam("now")).values(state="expired")


def ask(connection: Connection, question: Question) -> None:
    """Open a question; an older one of the same number and tone is replaced by it."""
    replaced = {
        "number": question.msisdn,
        "code": question.tone_code,
        "newer": question.question_id,
        "at": question.asked_at,
    }
    connection.execute(_REPLACE, replaced)
    row = {field: getattr(question, field) for field in Question.__slots__}
    insert_once(connection, table, {**row, "state": "open"})


def open_questions(connection: Connection, msisdn: str, at: datetime) -> tuple[Question, ...]:
    """Return the questions that an answer sent at `at` may mean, oldest first."""
    rows = connection.execute(_OPEN, {"msisdn": msisdn, "at": at})
    return tuple(Question(*row) for row in rows)


def last_asked(connection: Connection, msisdn: str) -> datetime | None:
    """Return when the number's newest question was asked, whatever became of it."""
    asked_at: datetime | None = connection.execute(_LAST_ASKED, {"msisdn": msisdn}).scalar_one()
    return asked_at


def last_confirmed(connection: Connection, msisdn: str, at: datetime) -> Question | None:
    """Return the question confirmed last, if its time would not be over yet."""
    row = connection.execute(_LAST_CONFIRMED, {"msisdn": msisdn, "at": at}).one_or_none()
    return None if row is None else Question(*row)


def close(connection: Connection, question_id: str, answer: Answered, at: datetime) -> bool:
    """Record the answer to a question; False: another answer was faster."""
    values = {"answered": question_id, "becomes": answer, "at": at}
    return connection.execute(_ANSWER, values).rowcount == 1


def expire(connection: Connection, now: datetime) -> int:
    """Close the questions whose time is over; return how many."""
    return connection.execute(_EXPIRE, {"now": now}).rowcount


def shown(question: Question) -> str:
    """Return what a consent keeps of a question, as JSON: its text and when it was asked."""
    kept = {
        "text": question.shown,
        "question_id": question.question_id,
        "asked_at": question.asked_at.isoformat(),
    }
    return _JSON.encode(kept)
