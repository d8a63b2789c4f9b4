"""Published editions: immutable rows, their history, and the way back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Row,
    Subquery,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
)

from catalog.directories import LAST_GOOD, Edition, current_edition, said_last
from catalog.drafts import SLOTS, Draft
from catalog.filling import EMPTY, Song
from catalog.tones import catalogue_changed
from store.once import insert_once
from store.schema import Instant, edition_slot
from store.schema import edition as table

RESERVE = SLOTS
"""Slots 1 to 10 are sung; what stands behind them is the reserve, in its order."""


_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Change:
    """One slot's song before and after an edition was published; None: there was none."""

    slot: int
    was: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """Who published an edition and why; for `origin` see `Edition`."""

    author: str
    reason: str
    origin: str = "file"
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """An edition as its owner's history has it; `before` is the edition that it took over from.

    `was` is that edition.
    """

    edition: Edition
    proof: Proof
    before: int | None
    changes: tuple[Change, ...]
    was: Edition | None = None


_OF_OWNER = select(table).where(table.c.owner == bindparam("owner")).order_by(table.c.edition_id)
_SLOTS_OF_OWNER = (
    select(edition_slot)
    .join(table, table.c.edition_id == edition_slot.c.edition_id)
    .where(table.c.owner == bindparam("owner"))
    .order_by(edition_slot.c.edition_id, edition_slot.c.slot)
)
_KEY = select(table.c.edition_id).where(
    table.c.owner == bindparam("owner"), table.c.checksum == bindparam("checksum")
)
_OWNERS = select(table.c.owner).distinct().order_by(table.c.owner)
_CONTACT = (
    select(table.c.contact)
    .where(table.c.owner == bindparam("owner"), table.c.contact != "")
    .order_by(table.c.published_at.desc(), table.c.edition_id.desc())
    .limit(1)
)


_SINCE: BindParameter[datetime] = bindparam("since", type_=Instant)
_OWNERS_KIND = (table.c.owner, table.c.kind)
_STATEMENT = (*_OWNERS_KIND, table.c.said_from)
_FILLING = (*_STATEMENT, table.c.said_at, table.c.valid_to)
_PUBLISHED = table.c.published_at <= _SINCE
_BEGUN = and_(_PUBLISHED, table.c.valid_from <= _SINCE)


def _newest(of: Sequence[Column[Any]], column: Column[Any], *where: Any) -> Subquery:
    """Return the newest of a column's instants for each of what is alike in `of`."""
    newest = func.max(column).label("newest")
    return select(*of, newest).where(*where).group_by(*of).subquery()


def _alike(of: Sequence[Column[Any]], found: Subquery) -> ColumnElement[bool]:
    return and_(*(_same(column, found.c[column.key]) for column in of))


def _same(one: Column[Any], other: ColumnElement[Any]) -> ColumnElement[bool]:
    # No engine looks up in an index what may be NULL on both sides.
    return one.is_not_distinct_from(other) if one.nullable else one == other


# Until then, what was said last of a kind and beginning; and the last week's filling of it.
_SAID_LAST = _newest(_STATEMENT, table.c.said_at, _PUBLISHED)
_FILLED_LAST = _newest(
    _FILLING,
    table.c.valid_from,
    _BEGUN,
    or_(table.c.valid_to.is_(None), table.c.valid_from < table.c.valid_to),
)
# The latest beginning of what has no end and has not been replaced to this day.
_SAID_EVER = _newest(_STATEMENT, table.c.said_at)
_ENDLESS = _newest(
    _OWNERS_KIND,
    table.c.said_from,
    _BEGUN,
    table.c.valid_to.is_(None),
    select(_SAID_EVER.c.newest)
    .where(_alike(_STATEMENT, _SAID_EVER), _SAID_EVER.c.newest == table.c.said_at)
    .exists(),
)
_STILL_HEARD = (
    select(table)
    .outerjoin(_SAID_LAST, _alike(_STATEMENT, _SAID_LAST))
    .outerjoin(_FILLED_LAST, _alike(_FILLING, _FILLED_LAST))
    .outerjoin(_ENDLESS, _alike(_OWNERS_KIND, _ENDLESS))
    .where(
        # What was published since then may take the place of another, though it ended before.
        or_(table.c.valid_to.is_(None), table.c.valid_to > bindparam("ended"), ~_PUBLISHED),
        func.coalesce(_SAID_LAST.c.newest, table.c.said_at) <= table.c.said_at,
        func.coalesce(_FILLED_LAST.c.newest, table.c.valid_from) <= table.c.valid_from,
        func.coalesce(_ENDLESS.c.newest, table.c.said_from) <= table.c.said_from,
    )
    .order_by(table.c.edition_id)
)
_SLOTS_OF_THESE = (
    select(edition_slot)
    .where(edition_slot.c.edition_id.in_(bindparam("these", expanding=True)))
    .order_by(edition_slot.c.edition_id, edition_slot.c.slot)
)


def still_heard(connection: Connection, since: datetime) -> tuple[Edition, ...]:
    """Return the editions that decide what is heard at an instant or after it.

    Left out is what ended too long before, what a later statement has replaced, and that behind
    which another week's filling, or another edition without an end, has begun: of years that is
    nearly everything. What is published later may bring some of it back, so ask again then.
    """
    values = {"since": since, "ended": since - LAST_GOOD}
    rows = list(connection.execute(_STILL_HEARD, values))
    these = [row.edition_id for row in rows]
    return tuple(_editions(rows, connection.execute(_SLOTS_OF_THESE, {"these": these})))


def all_editions(connection: Connection) -> tuple[Edition, ...]:
    """Return every edition ever published, in the order in which they were stored."""
    slots = connection.execute(
        select(edition_slot).order_by(edition_slot.c.edition_id, edition_slot.c.slot)
    )
    rows = connection.execute(select(table).order_by(table.c.edition_id))
    return tuple(_editions(rows, slots))


def editions_of(connection: Connection, owner: str) -> tuple[Edition, ...]:
    """Return every edition of one owner, in the order in which they were stored."""
    slots = connection.execute(_SLOTS_OF_OWNER, {"owner": owner})
    return tuple(_editions(connection.execute(_OF_OWNER, {"owner": owner}), slots))


def owners(connection: Connection) -> tuple[str, ...]:
    """Return the owners that have published anything."""
    return tuple(connection.execute(_OWNERS).scalars())


def contact_of(connection: Connection, owner: str) -> str:
    """Return the number that the owner's newest edition with a contact names; empty: none."""
    return connection.execute(_CONTACT, {"owner": owner}).scalar() or ""


def _editions(
    rows: Iterable[Row[tuple[object, ...]]], slots: Iterable[Row[tuple[object, ...]]]
) -> list[Edition]:
    by_edition: dict[int, list[Song]] = {}  # in their slots
    reserves: dict[int, list[str]] = {}
    for row in slots:
        if row.slot > RESERVE:
            reserves.setdefault(row.edition_id, []).append(row.code)
        else:
            songs = by_edition.setdefault(row.edition_id, [])
            songs += [EMPTY] * (row.slot - 1 - len(songs))
            songs.append(Song(row.code, row.source))
    return [
        _edition(row, by_edition.get(row.edition_id, []), reserves.get(row.edition_id, []))
        for row in rows
    ]


def _edition(
    row: Row[tuple[object, ...]], songs: Sequence[Song], reserve: Sequence[str]
) -> Edition:
    return Edition(
        owner=row.owner,
        kind=row.kind,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        songs=tuple(song.code for song in songs),
        reserve=tuple(reserve),
        edition_id=row.edition_id,
        sources=tuple(song.source for song in songs),
        slots=tuple(json.loads(row.draft)["songs"]) if row.draft else (),
        said_from=row.said_from,
        said_at=row.said_at,
        published_at=row.published_at,
        checksum=row.checksum,
        origin=row.origin,
        left_out=bool(row.draft) and json.loads(row.draft).get("left_out", False),
    )


# ---------------------------------------------------------------- storing


def first_edition(draft: Draft, songs: Sequence[Song], now: datetime) -> Edition:
    """Return the edition that a draft makes with these songs, published now."""
    return Edition(
        owner=draft.owner,
        kind=draft.kind,
        valid_from=draft.valid_from,
        valid_to=draft.valid_to,
        songs=tuple(song.code for song in songs),
        reserve=draft.reserve,
        sources=tuple(song.source for song in songs),
        slots=draft.slots,
        said_from=draft.valid_from,
        said_at=now,
        published_at=now,
        checksum=draft.checksum,
    )


def next_said_at(editions: Iterable[Edition], now: datetime) -> datetime:
    """Return when what an owner says now is said: behind all it said, though a clock went back."""
    return max([now, *(edition.said_at + _INSTANT for edition in editions)])


def as_published(editions: Iterable[Edition], now: datetime) -> list[Edition]:
    """Return editions as if none had been published later than now: a clock may have gone back."""
    return [replace(one, published_at=min(one.published_at, now)) for one in editions]


def store_edition(connection: Connection, edition: Edition, proof: Proof) -> Edition | None:
    """Add an edition to its owner's history; return it with its number.

    None, and nothing is stored, when an edition of its checksum is in that history already:
    another host was first, or the file says again what it said before.
    """
    before = _before(editions_of(connection, edition.owner), edition)
    if not insert_once(connection, table, _row(edition, proof, before)):
        return None
    key = {"owner": edition.owner, "checksum": edition.checksum}
    edition_id = connection.execute(_KEY, key).scalar_one()
    if rows := list(_slot_rows(edition, edition_id)):
        connection.execute(insert(edition_slot), rows)
    catalogue_changed(connection)
    return replace(edition, edition_id=edition_id, origin=proof.origin)


def _before(earlier: Sequence[Edition], edition: Edition) -> Edition | None:
    """Return what an edition takes over from: one of its kind: the week goes on under a holiday.

    A withdrawal takes over from what it withdraws.
    """
    if edition.is_withdrawal:
        same = [one for one in said_last(earlier) if one.statement == edition.statement]
        return max(same, key=lambda one: one.edition_id, default=None)
    same_kind = [one for one in earlier if one.kind == edition.kind]
    return current_edition(same_kind, max(edition.valid_from, edition.published_at))


def _row(edition: Edition, proof: Proof, before: Edition | None) -> dict[str, object]:
    return {
        "owner": edition.owner,
        "kind": edition.kind,
        "valid_from": edition.valid_from,
        "valid_to": edition.valid_to,
        "checksum": edition.checksum,
        "author": proof.author[:80],
        "published_at": edition.published_at,
        "origin": proof.origin,
        "reason": proof.reason[:200],
        "said_from": edition.said_from or edition.valid_from,
        "said_at": edition.said_at,
        "draft": json.dumps(
            {"songs": edition.slots} | ({"left_out": True} if edition.left_out else {})
        ),
        "difference": json.dumps(_difference(before, edition)),
        "contact": proof.contact,
    }


def _slot_rows(edition: Edition, edition_id: int) -> Iterable[dict[str, object]]:
    sources = edition.sources or ("file",) * len(edition.songs)
    reserve = [(code, "reserve") for code in edition.reserve]
    songs = [*zip(edition.songs, sources, strict=True)]
    missing = SLOTS - len(songs)
    for slot, (code, source) in enumerate(songs, start=1):
        if not code:
            continue
        yield {"edition_id": edition_id, "slot": slot, "code": code, "source": source}
    for slot, (code, source) in enumerate(reserve, start=len(songs) + missing + 1):
        yield {"edition_id": edition_id, "slot": slot, "code": code, "source": source}


def _difference(before: Edition | None, edition: Edition) -> dict[str, object]:
    was = () if before is None or edition.is_withdrawal else before.songs
    pairs = zip_longest(was, edition.songs)
    return {
        "before": None if before is None else before.edition_id,
        "slots": [
            [slot, was or None, now or None]
            for slot, (was, now) in enumerate(pairs, start=1)
            if (was or None) != (now or None)
        ],
    }


# ---------------------------------------------------------------- history


def history(connection: Connection, owner: str) -> tuple[Published, ...]:
    """Return everything an owner has published, the newest first."""
    editions = {one.edition_id: one for one in editions_of(connection, owner)}
    found = []
    for row in connection.execute(_OF_OWNER, {"owner": owner}):
        told = json.loads(row.difference) if row.difference else {"before": None, "slots": []}
        changes = tuple(Change(*change) for change in told["slots"])
        proof = Proof(row.author, row.reason, row.origin, row.contact)
        before = told["before"]
        was = editions.get(before)
        found.append(Published(editions[row.edition_id], proof, before, changes, was))
    return tuple(sorted(found, key=_published_last, reverse=True))


def _published_last(published: Published) -> tuple[datetime, int]:
    return published.edition.published_at, published.edition.edition_id


def roll_back(
    connection: Connection, owner: str, edition_id: int, author: str, reason: str, now: datetime
) -> Edition | None:
    """Append a copy of an old edition in the place of the one that holds now.

    The copy has the old songs and the present one's kind, beginning and end, so it is heard from
    now on, gives way to what was to follow, and to the next correction of the file. Where nothing
    holds now, the old edition's own kind and end stand. None: the owner has no such edition, or a
    withdrawal, which has no songs.
    """
    editions = as_published(editions_of(connection, owner), now)
    old = next((one for one in editions if one.edition_id == edition_id), None)
    if old is None or old.is_withdrawal:
        return None
    held = current_edition(editions, now) or _from_now_on(old, now)
    said = f"rollback\n{edition_id}\n{now.isoformat()}"
    copy = replace(
        old,
        edition_id=0,
        kind=held.kind,
        valid_from=now,
        valid_to=held.valid_to,
        slots=old.draft.slots,
        said_from=held.said_from or held.valid_from,
        said_at=next_said_at(editions, now),
        published_at=now,
        checksum=hashlib.sha256(said.encode()).hexdigest(),
    )
    proof = Proof(author, reason or f"back to edition {edition_id}", "rollback")
    return store_edition(connection, copy, proof)


def _from_now_on(old: Edition, now: datetime) -> Edition:
    over = old.valid_to is not None and old.valid_to <= now
    return replace(
        old, kind="regular" if over else old.kind, valid_to=None if over else old.valid_to,
        said_from=min(old.said_from or old.valid_from, now),
    )  # fmt: skip


# ---------------------------------------------------------------- withdrawing


@dataclass(frozen=True, slots=True)
class NotWithdrawn:
    """Why an edition was not withdrawn, in a sentence."""

    reason: str


def withdraw(
    connection: Connection, owner: str, edition_id: int, author: str, reason: str, now: datetime
) -> Edition | NotWithdrawn:
    """Say that an edition, and every week's filling of it, is not meant any more, from now on.

    That is a statement of its owner's history like any other: nothing is deleted, and a time that
    has passed keeps what was heard. What stands in the file unchanged does not come again.
    """
    editions = editions_of(connection, owner)
    meant = next((one for one in editions if one.edition_id == edition_id), None)
    if meant is None:
        return NotWithdrawn(f"{owner} has no edition {edition_id}")
    if meant.is_withdrawal:
        return NotWithdrawn(f"edition {edition_id} is a withdrawal itself")
    last = [one for one in said_last(editions) if one.statement == meant.statement]
    newest = max(last, key=lambda one: one.edition_id)
    if newest.is_withdrawal:
        return NotWithdrawn(f"edition {edition_id} was withdrawn by edition {newest.edition_id}")
    if newest.said_at != meant.said_at:
        return NotWithdrawn(f"edition {edition_id} was replaced by edition {newest.edition_id}")
    said = withdrawal(newest, next_said_at(editions, now), now)
    proof = Proof(author, reason, "withdrawal")
    return store_edition(connection, said, proof) or NotWithdrawn("another host was first")


def withdrawal(
    meant: Edition, said_at: datetime, now: datetime, *, left_out: bool = False
) -> Edition:
    """Return what withdraws an edition: a statement in its place that holds at no time.

    `left_out`: because the owner's file does not say it any more; should it again, it comes again.
    """
    kind, said_from = meant.statement
    empty = max(said_from, now)
    said = (
        "withdrawal",
        kind,
        *(at.astimezone(UTC).isoformat() for at in (said_from, meant.said_at)),
    )
    return Edition(
        owner=meant.owner,
        kind=kind,
        valid_from=empty,
        valid_to=empty,
        songs=(),
        reserve=(),
        said_from=said_from,
        said_at=said_at,
        published_at=now,
        checksum=hashlib.sha256("\n".join(said).encode()).hexdigest(),
        origin="withdrawal",
        left_out=left_out,
    )
