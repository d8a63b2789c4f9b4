"""What came of the messages that were claimed, and the parts of them that an SMSC has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Integer, and_, bindparam, func, or_, select, update

from ordering import receipts
from store.once import insert_once
from store.schema import outbox as table
from store.schema import outbox_part

RESPONSE_LOST = "response_lost"
PERHAPS_SENT = "perhaps_sent"
"""Why a message was given up of which nobody knows whether an SMSC has it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part (from 1) of a message that an SMSC has accepted under an id of its own."""

    part: int
    smsc: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a claim: `parts` were accepted, of a message of `of` parts (None: not known).

    sent: all of them. failed, dropped: the others never will be, for `reason`; `in_doubt`: one may
    have been taken all the same. later: the others are due again at `again_at`; `attempts` are
    those made so far, as its sender counts them. late: the response to a part of an earlier attempt
    came after it had been given up.
    """

    mt_id: str
    claimant: str
    word: Literal["sent", "failed", "dropped", "later", "late"]
    at: datetime
    parts: tuple[Part, ...] = ()
    of: int | None = None
    reason: str = ""
    in_doubt: bool = False
    again_at: datetime | None = None
    attempts: int = 1


_SENT = (
    update(table)
    .where(
        table.c.mt_id == bindparam("ended"),
        or_(
            table.c.state.in_(("due", "claimed")),
            and_(
                table.c.state.in_(("failed", "dropped")),
                table.c.reason.in_((RESPONSE_LOST, PERHAPS_SENT)),
            ),
        ),
    )
    .values(
        state="sent",
        reason=None,
        sent_at=bindparam("at"),
        ended_at=None,
        attempts=table.c.attempts + 1,
        claimed_by=None,
        claimed_until=None,
    )
)
IS_MINE = and_(
    table.c.mt_id == bindparam("ended"),
    table.c.state == "claimed",
    table.c.claimed_by == bindparam("claimant"),
)
"""Whether the message `ended` is still claimed by `claimant`."""
_END = (
    update(table)
    .where(IS_MINE)
    .values(
        state=bindparam("becomes"),
        reason=bindparam("why"),
        sent_at=func.coalesce(bindparam("sent", type_=table.c.sent_at.type), table.c.sent_at),
        ended_at=bindparam("at"),
        attempts=bindparam("tried"),
        parts=func.coalesce(bindparam("cut_into", type_=Integer), table.c.parts),
        claimed_by=None,
        claimed_until=None,
    )
)
_LATER = (
    update(table)
    .where(IS_MINE)
    .values(
        state="due",
        reason=bindparam("why"),
        due_at=bindparam("again"),
        attempts=bindparam("tried"),
        parts=func.coalesce(bindparam("cut_into", type_=Integer), table.c.parts),
        claimed_by=None,
        claimed_until=None,
    )
)
_HALF_SENT = (
    update(table)
    .where(table.c.mt_id == bindparam("of"))
    .values(smsc=bindparam("at_smsc"), sent_at=bindparam("at"))
)


def settle(connection: Connection, outcome: Outcome) -> None:
    """Record what came of a claim; harmless when repeated, or when the claim was taken back."""
    mt_id, now = outcome.mt_id, outcome.at
    if outcome.word == "sent":
        sent(connection, mt_id, outcome.parts, now, outcome.of)
        return
    if outcome.word == "late":
        _accepted_late(connection, mt_id, outcome.parts, now)
        return
    _keep_parts(connection, mt_id, outcome.parts, now)
    values = {
        "ended": mt_id,
        "claimant": outcome.claimant,
        "why": outcome.reason[:40] or None,
        "tried": outcome.attempts,
        "cut_into": outcome.of,
    }
    if outcome.word == "later":
        if outcome.parts:
            _half_sent(connection, mt_id, outcome.parts, now)
        connection.execute(_LATER, {**values, "again": outcome.again_at})
    else:
        went_out = now if outcome.parts or outcome.in_doubt else None
        end = {"becomes": outcome.word, "sent": went_out, "at": now}
        connection.execute(_END, {**values, **end})


def settle_all(connection: Connection, done: Sequence[Outcome]) -> None:
    """Record what came of several claims, in their order."""
    for outcome in done:
        settle(connection, outcome)


def sent(
    connection: Connection,
    mt_id: str,
    parts: Sequence[Part],
    now: datetime,
    of: int | None = None,
) -> None:
    """Record that an SMSC has all parts of a message; receipts that came before count now.

    Also when it had been given up because nobody knew. `of` parts are all there are (None: others
    were accepted before).
    """
    if connection.execute(_SENT, {"ended": mt_id, "at": now}).rowcount:
        heard = _keep_parts(connection, mt_id, parts, now)
        if heard or of != len(parts):
            receipts.conclude(connection, mt_id, now)


_PARTS = select(table.c.parts).where(table.c.mt_id == bindparam("mt_id"))


def _accepted_late(connection: Connection, mt_id: str, late: Sequence[Part], now: datetime) -> None:
    """Keep parts from being sent again; the message is sent if no other was missing."""
    parts = connection.execute(_PARTS, {"mt_id": mt_id}).scalar_one_or_none()
    if parts is None:
        return  # all of it was sent at once by another host
    _keep_parts(connection, mt_id, late, now)
    _half_sent(connection, mt_id, late, now)
    if len(accepted(connection, mt_id)) >= parts:
        sent(connection, mt_id, (), now)


def _half_sent(connection: Connection, mt_id: str, parts: Sequence[Part], now: datetime) -> None:
    """Bind a message to the SMSC that has some of its parts."""
    connection.execute(_HALF_SENT, {"of": mt_id, "at_smsc": parts[0].smsc, "at": now})


def _keep_parts(connection: Connection, mt_id: str, parts: Sequence[Part], now: datetime) -> bool:
    """Keep parts under their ids; return whether receipts of them had come before."""
    heard = False
    for part in parts:
        row = {
            "mt_id": mt_id,
            "part": part.part,
            "smsc": part.smsc,
            "message_id": part.message_id[:65],
            "submitted_at": now,
        }
        if insert_once(connection, outbox_part, row):
            heard |= receipts.take_early(connection, mt_id, part.part, part.smsc, part.message_id)
    return heard


_ACCEPTED = select(outbox_part.c.part).where(outbox_part.c.mt_id == bindparam("mt_id"))


def accepted(connection: Connection, mt_id: str) -> Sequence[int]:
    """Return the parts of a message (from 1) that an SMSC has."""
    return connection.execute(_ACCEPTED, {"mt_id": mt_id}).scalars().all()
