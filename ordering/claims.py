"""The outbox on its way out: claimed by a host, which sends it, for as long as its lease.

What was put in is sent until an SMSC has it, refuses it for good, or its time is over. Where nobody
can know whether an SMSC has what a host had claimed that died, its class decides: sent again, at
the risk of a second copy, or not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, text, update

from ordering import contact, outbox, outcomes
from store.once import insert_once
from store.schema import CLAIMED, DUE
from store.schema import outbox as table

LEASE = timedelta(seconds=30)
"""How long a claim lasts that its host does not renew: then the host is taken for dead."""
MOST_LOOKED_AT = 200
"""Messages one claim looks at, however many of them it has to drop: a few milliseconds' work."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A message to send now, by the host that asked as `claimant`.

    `attempts` were made before. `left` names the parts to send (from 1; empty: all) when others of
    them are at `smsc` already.
    """

    message: outbox.Message
    claimant: str
    reference: int
    attempts: int
    smsc: str = ""
    left: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Claimed:
    """What to send, answers first; how many were dropped instead; whether more may be due.

    `behind`: what is due and was left is not offers alone.
    """

    claims: tuple[Claim, ...]
    dropped: int
    more: bool
    behind: bool = False


def exchange(
    connection: Connection,
    done: Sequence[outcomes.Outcome],
    claimant: str,
    room: int,
    policy: contact.ContactPolicy,
    now: datetime,
) -> Claimed:
    """Record what came of earlier claims and claim anew, in one transaction.

    So what a host has sent and not recorded never exceeds its window, and with it what is sent
    twice if it dies.
    """
    outcomes.settle_all(connection, done)
    return claim(connection, claimant, room, policy, now)


def put_claimed(
    connection: Connection, message: outbox.Message, claimant: str, now: datetime
) -> Claim | None:
    """Add a message that its host sends at once, and has room for; None: it was there already.

    It is no offer: what a subscriber asked for needs nobody's leave to be sent. So it takes the
    transaction that caused it, and none to be claimed.
    """
    row = outbox.new_row(connection, message, now)
    leased = {"state": "claimed", "claimed_by": claimant, "claimed_until": now + LEASE}
    if not insert_once(connection, table, {**row, **leased}):
        return None
    return Claim(message, claimant, row["reference"] or 0, 0)


_MESSAGE = tuple(table.c[field] for field in outbox.Message.__slots__)
_COLUMNS = (*_MESSAGE, table.c.reference, table.c.attempts, table.c.smsc, table.c.parts)
_CANDIDATES = (
    select(*_COLUMNS)
    .where(
        DUE,
        table.c.message_class == bindparam("class_"),
        table.c.due_at <= bindparam("now"),
    )
    .order_by(table.c.due_at, table.c.mt_id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_OWED = (
    select(table.c.mt_id)
    .where(
        DUE,
        table.c.message_class == bindparam("class_"),
        table.c.due_at <= bindparam("now"),
    )
    .limit(1)
)
_CLAIMED = (
    select(*_COLUMNS)
    .where(CLAIMED, table.c.claimed_by == bindparam("claimant"))
    .order_by(table.c.due_at, table.c.mt_id)
)
_CLAIM = (
    update(table)
    .where(table.c.mt_id == bindparam("claimed"))
    .values(state="claimed", claimed_by=bindparam("claimant"), claimed_until=bindparam("until"))
)


def claim(
    connection: Connection,
    claimant: str,
    room: int,
    policy: contact.ContactPolicy,
    now: datetime,
) -> Claimed:
    """Return up to `room` messages that are due, leased to `claimant`; drop what is not to be sent.

    Answers go before order notices, those before offers. What has expired, and what
    `contact.may_send` refuses, is dropped with its reason. A `claimant` is one claim of one host:
    claiming again by the same word returns the same messages.
    """
    if room <= 0:
        return Claimed((), 0, more=False)
    claims = claimed(connection, claimant)
    looked_at = dropped = 0
    for message_class in outbox.CLASSES:
        while (wanted := room - len(claims)) > 0 and looked_at < MOST_LOOKED_AT:
            # Pages grow while everything found is dropped, as after a long outage.
            page = min(max(wanted, looked_at), MOST_LOOKED_AT - looked_at)
            found = _candidates(connection, message_class, page, now)
            chosen, refused = _chosen(connection, found, wanted, policy, now)
            _lease(connection, chosen, claimant, now + LEASE)
            claims += [_claim_of(connection, row, claimant) for row in chosen]
            looked_at += len(found)
            dropped += refused
            if len(found) < page:
                break
    more = len(claims) >= room or looked_at >= MOST_LOOKED_AT
    return Claimed(tuple(claims), dropped, more, more and _owes(connection, now))


def _owes(connection: Connection, now: datetime) -> bool:
    """Say whether an answer or a notice is due."""
    owed = (one for one in outbox.CLASSES if one != "offer")
    looks = (connection.execute(_OWED, {"class_": one, "now": now}) for one in owed)
    return any(look.first() for look in looks)


def claimed(connection: Connection, claimant: str) -> list[Claim]:
    """Return what was claimed by this word already, answers first."""
    rows = connection.execute(_CLAIMED, {"claimant": claimant}).all()
    claims = [_claim_of(connection, row, claimant) for row in rows]
    return sorted(claims, key=lambda one: outbox.CLASSES.index(one.message.message_class))


def _candidates(
    connection: Connection, message_class: str, most: int, now: datetime
) -> Sequence[Row[tuple[object, ...]]]:
    values = {"class_": message_class, "most": most, "now": now}
    return connection.execute(_CANDIDATES, values).all()


def _chosen(
    connection: Connection,
    found: Sequence[Row[tuple[object, ...]]],
    wanted: int,
    policy: contact.ContactPolicy,
    now: datetime,
) -> tuple[list[Row[tuple[object, ...]]], int]:
    """Return up to `wanted` of those found, and how many were dropped before these were found."""
    chosen: list[Row[tuple[object, ...]]] = []
    dropped: list[tuple[str, str]] = []
    deciding = _deciding(connection, [row.msisdn for row in found if row.message_class == "offer"])
    for row in found:
        if len(chosen) == wanted:
            break
        message = _message(row)
        reason: str | None = "expired"
        if message.expires_at > now:
            if message.message_class == "offer":
                if message.msisdn not in deciding:
                    continue  # what becomes of the number's other one is to be seen first
                deciding.remove(message.msisdn)
            reason = contact.may_send(connection, message, policy, now)
        if reason is None:
            chosen.append(row)
        else:
            dropped.append((message.mt_id, reason))
    outbox.drop_all(connection, dropped, now)
    return chosen, len(dropped)


_LOCK = text(
    "SELECT n FROM unnest(CAST(:numbers AS integer[])) AS n"
    " WHERE pg_try_advisory_xact_lock(:what, n)"
)
_OFFERS = 0x0FFE2


def _deciding(connection: Connection, msisdns: Sequence[str]) -> set[str]:
    """Return the numbers about whose offers this host decides now.

    One host at a time does, until it has committed: a number's caps count all its offers.
    """
    if not msisdns or connection.dialect.name != "postgresql":
        return set(msisdns)
    numbers = {int(msisdn[-9:]): msisdn for msisdn in msisdns}
    locked = connection.execute(_LOCK, {"numbers": list(numbers), "what": _OFFERS})
    return {numbers[number] for number in locked.scalars().all()}


def _message(row: Row[tuple[object, ...]]) -> outbox.Message:
    return outbox.Message(*row[: len(_MESSAGE)])  # type: ignore[arg-type]  # selected by its fields


def _claim_of(connection: Connection, row: Row[tuple[object, ...]], claimant: str) -> Claim:
    left: tuple[int, ...] = ()
    if row.smsc is not None:
        accepted = set(outcomes.accepted(connection, row.mt_id))
        left = tuple(part for part in range(1, row.parts + 1) if part not in accepted)
    message = _message(row)
    return Claim(message, claimant, row.reference or 0, row.attempts, row.smsc or "", left)


def _lease(
    connection: Connection,
    chosen: Sequence[Row[tuple[object, ...]]],
    claimant: str,
    until: datetime,
) -> None:
    if chosen:
        lease = {"claimant": claimant, "until": until}
        connection.execute(_CLAIM, [{"claimed": row.mt_id, **lease} for row in chosen])


_RENEW = (
    update(table)
    .where(
        table.c.mt_id == bindparam("renewed"),
        table.c.state == "claimed",
        table.c.claimed_by == bindparam("claimant"),
    )
    .values(claimed_until=bindparam("until"))
)


def renew(connection: Connection, claims: Sequence[tuple[str, str]], now: datetime) -> None:
    """Extend the lease of claims (mt_id, claimant) that are still under way."""
    if claims:
        until = now + LEASE
        rows = [{"renewed": one, "claimant": claimant, "until": until} for one, claimant in claims]
        connection.execute(_RENEW, rows)


# ---------------------------------------------------------------- claims of the dead

_STALE = select(table.c.mt_id, table.c.message_class, table.c.claimed_by).where(
    CLAIMED,
    table.c.claimed_until < bindparam("now"),
)
_GIVE_BACK = (
    update(table)
    .where(outcomes.IS_MINE)
    .values(state="due", attempts=table.c.attempts + 1, claimed_by=None, claimed_until=None)
)
_GIVE_UP = (
    update(table)
    .where(outcomes.IS_MINE)
    .values(
        state="dropped",
        reason=outcomes.PERHAPS_SENT,
        sent_at=bindparam("at"),
        ended_at=bindparam("at"),
        attempts=table.c.attempts + 1,
        claimed_by=None,
        claimed_until=None,
    )
)


def release_stale(connection: Connection, now: datetime, resent: Collection[str]) -> int:
    """Take back what a dead host had claimed; return how many messages.

    It may have been sent: the classes in `resent` are sent again, others are dropped.
    """
    return _release(connection, connection.execute(_STALE, {"now": now}).all(), now, resent)


_HELD = select(table.c.mt_id, table.c.message_class, table.c.claimed_by).where(
    CLAIMED,
    func.substr(table.c.claimed_by, 1, bindparam("length")) == bindparam("holder"),
)


def release_held(
    connection: Connection, hosts: Sequence[str], now: datetime, resent: Collection[str]
) -> int:
    """Take back at once what these hosts had claimed, which are known to be dead."""
    released = 0
    for host in hosts:
        holder = f"{host}/"
        held = connection.execute(_HELD, {"holder": holder, "length": len(holder)}).all()
        released += _release(connection, held, now, resent)
    return released


def _release(
    connection: Connection,
    held: Sequence[Any],
    now: datetime,
    resent: Collection[str],
) -> int:
    for mt_id, message_class, claimant in held:
        mine = {"ended": mt_id, "claimant": claimant}
        if message_class in resent:
            connection.execute(_GIVE_BACK, mine)
        else:
            connection.execute(_GIVE_UP, {**mine, "at": now})
    return len(held)
