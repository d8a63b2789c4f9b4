"""Which lists change from one instant to another: what is announced when the editions switch.

Nothing is switched here: the current edition is computed wherever it is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, case, func, or_, select

from catalog.branches import BRANCHES, PROVINCE, BranchTable
from catalog.directories import PRECEDENCE, RESERVE, Edition
from catalog.snapshot import Contents, Snapshot
from catalog.tones import tones_of
from store.schema import edition, edition_slot

OWNERS = (PROVINCE, *BRANCHES)
_NOBODY = BranchTable({}, {}, 0)

_RANK = case(PRECEDENCE, value=edition.c.kind)
_PLACES = (
    select(
        edition,
        func.row_number()
        .over(
            partition_by=edition.c.owner,
            order_by=(_RANK.desc(), edition.c.valid_from.desc(), edition.c.edition_id.desc()),
        )
        .label("place"),
    )
    .where(
        edition.c.valid_from <= bindparam("at"),
        or_(edition.c.valid_to.is_(None), edition.c.valid_to > bindparam("at")),
    )
    .subquery()
)
# As `catalog.directories.current_edition` chooses; a test holds the two together.
_HOLDING = select(_PLACES).where(_PLACES.c.place == 1)


def current_editions(connection: Connection, at: datetime) -> Mapping[str, Edition]:
    """Return the edition that holds at an instant, by its owner; no other is read."""
    chosen = connection.execute(_HOLDING, {"at": at}).all()
    songs: dict[int, list[str]] = {}
    numbers = [row.edition_id for row in chosen]
    for slot in connection.execute(
        select(edition_slot)
        .where(edition_slot.c.edition_id.in_(numbers))
        .order_by(edition_slot.c.edition_id, edition_slot.c.slot)
    ):
        songs.setdefault(slot.edition_id, []).append(slot.code)
    return {
        row.owner: Edition(
            owner=row.owner,
            kind=row.kind,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            songs=tuple(songs.get(row.edition_id, ())[:RESERVE]),
            reserve=tuple(songs.get(row.edition_id, ())[RESERVE:]),
            edition_id=row.edition_id,
        )
        for row in chosen
    }


def lists_at(
    connection: Connection, at: datetime, timezone: ZoneInfo
) -> dict[str, tuple[str, ...]]:
    """Return what callers hear at an instant: the codes of every owner's list.

    Only tones of current editions and their reserves are looked at, so a list whose reserve is used
    up is shorter here than on the line, where the rest of the catalogue fills it.
    """
    editions = tuple(current_editions(connection, at).values())
    codes = {code for one in editions for code in (*one.songs, *one.reserve)}
    snapshot = Snapshot(Contents(0, tones_of(connection, codes), editions), _NOBODY, timezone)
    return {
        owner: tuple(tone.code for tone in snapshot.directory(owner, at).tones) for owner in OWNERS
    }


def changed_owners(
    connection: Connection, before: datetime, after: datetime, timezone: ZoneInfo
) -> tuple[str, ...]:
    """Return the owners whose list is another one at `after` than it was at `before`."""
    old, new = (lists_at(connection, at, timezone) for at in (before, after))
    return tuple(owner for owner in OWNERS if old[owner] != new[owner])
