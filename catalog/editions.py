"""Published editions: immutable rows, their history, and the way back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest

from sqlalchemy import Connection, Row, bindparam, insert, select

from catalog.directories import Edition, current_edition
from catalog.drafts import SLOTS, Draft
from catalog.filling import Song
from catalog.tones import catalogue_changed
from store.once import insert_once
from store.schema import edition as table
from store.schema import edition_slot

RESERVE = SLOTS
"""Slots 1 to 10 are sung; what stands behind them is the reserve, in its order."""


@dataclass(frozen=True, slots=True)
class Change:
    """One slot's song before and after an edition was published; None: there was none."""

    slot: int
    was: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """Who published an edition and why. `origin` is file, chart (a week's filling) or rollback."""

    author: str
    reason: str
    origin: str = "file"
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """An edition as its owner's history has it; `before` is the edition that it took over from."""

    edition: Edition
    proof: Proof
    before: int | None
    changes: tuple[Change, ...]


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
) -> list[Edition]:  # noqa: E501  two results
    by_edition: dict[int, list[Song]] = {}
    reserves: dict[int, list[str]] = {}
    for row in slots:
        if row.slot > RESERVE:
            reserves.setdefault(row.edition_id, []).append(row.code)
        else:
            by_edition.setdefault(row.edition_id, []).append(Song(row.code, row.source))
    return [
        _edition(row, by_edition.get(row.edition_id, []), reserves.get(row.edition_id, []))
        for row in rows
    ]


def _edition(
    row: Row[tuple[object, ...]], songs: Sequence[Song], reserve: Sequence[str]
) -> Edition:  # noqa: E501  the row and what belongs to it
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


def store_edition(connection: Connection, edition: Edition, proof: Proof) -> Edition | None:
    """Add an edition to its owner's history; return it with its number.

    None, and nothing is stored, when an edition of its checksum is in that history already:
    another host was first, or the file says again what it said before.
    """
    earlier = editions_of(connection, edition.owner)
    heard_from = max(edition.valid_from, edition.published_at)
    before = current_edition(earlier, heard_from)
    if not insert_once(connection, table, _row(edition, proof, before)):
        return None
    key = {"owner": edition.owner, "checksum": edition.checksum}
    edition_id = connection.execute(_KEY, key).scalar_one()
    if rows := list(_slot_rows(edition, edition_id)):
        connection.execute(insert(edition_slot), rows)
    catalogue_changed(connection)
    return replace(edition, edition_id=edition_id)


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
        "draft": json.dumps({"songs": edition.slots}),
        "difference": json.dumps(_difference(before, edition)),
        "contact": proof.contact,
    }


def _slot_rows(edition: Edition, edition_id: int) -> Iterable[dict[str, object]]:
    sources = edition.sources or ("file",) * len(edition.songs)
    reserve = [(code, "reserve") for code in edition.reserve]
    songs = [*zip(edition.songs, sources, strict=True)]
    missing = SLOTS - len(songs)
    for slot, (code, source) in enumerate(songs, start=1):
        yield {"edition_id": edition_id, "slot": slot, "code": code, "source": source}
    for slot, (code, source) in enumerate(reserve, start=len(songs) + missing + 1):
        yield {"edition_id": edition_id, "slot": slot, "code": code, "source": source}


def _difference(before: Edition | None, edition: Edition) -> dict[str, object]:
    pairs = zip_longest(() if before is None else before.songs, edition.songs)
    return {
        "before": None if before is None else before.edition_id,
        "slots": [[slot, was, now] for slot, (was, now) in enumerate(pairs, start=1) if was != now],
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
        found.append(Published(editions[row.edition_id], proof, told["before"], changes))
    return tuple(sorted(found, key=_newest, reverse=True))


def _newest(published: Published) -> tuple[datetime, int]:
    return published.edition.published_at, published.edition.edition_id


def roll_back(
    connection: Connection, owner: str, edition_id: int, author: str, reason: str, now: datetime
) -> Edition | None:
    """Append a copy of an old edition in the place of the one that holds now.

    The copy has the old songs and the present one's kind, beginning and end, so it is heard from
    now on, gives way to what was to follow, and to the next correction of the file. Where nothing
    holds now, the old edition's own kind and end stand. None: the owner has no such edition.
    """
    editions = editions_of(connection, owner)
    old = next((one for one in editions if one.edition_id == edition_id), None)
    if old is None:
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
        said_at=now,
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
