"""Which lists change from one instant to another: what is announced when the editions switch.

Nothing is switched here: the current edition is computed wherever it is wanted.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Column, ColumnElement, Connection, and_, bindparam, or_, select

from catalog.branches import BRANCHES, PROVINCE, BranchTable
from catalog.directories import LAST_GOOD
from catalog.editions import all_editions
from catalog.snapshot import Contents, Directory, Snapshot
from catalog.tones import tone_of
from store.schema import edition, edition_slot
from store.schema import tone as table

OWNERS = (PROVINCE, *BRANCHES)
_NOBODY = BranchTable({}, {}, 0)


def _between(column: Column[datetime], early: str, late: str) -> ColumnElement[bool]:
    return and_(column > bindparam(early), column <= bindparam(late))


_TURNS = (
    select(edition.c.edition_id)
    .where(
        or_(
            _between(edition.c.valid_from, "before", "after"),
            _between(edition.c.published_at, "before", "after"),
            _between(edition.c.valid_to, "before", "after"),
            _between(edition.c.valid_to, "long_before", "long_after"),
        )
    )
    .limit(1)
)
_ENDS = (
    select(table.c.code)
    .where(table.c.licence_until >= bindparam("first"), table.c.licence_until < bindparam("next"))
    .limit(1)
)
_TONES = select(table).where(table.c.code.in_(select(edition_slot.c.code)))


def directories_at(
    connection: Connection, at: datetime, timezone: ZoneInfo
) -> dict[str, Directory]:
    """Return what callers hear of every owner at an instant.

    Only tones of editions and their reserves are looked at, not a whole catalogue: a list whose
    reserves are used up may be shorter here than on the line, where any other tone fills it.
    """
    snapshot = _snapshot(connection, timezone)
    return {owner: snapshot.directory(owner, at) for owner in OWNERS}


def changed_owners(
    connection: Connection, before: datetime, after: datetime, timezone: ZoneInfo
) -> tuple[str, ...]:
    """Return the owners whose list is another one at `after` than it was at `before`."""
    if not _may_change(connection, before, after, timezone):
        return ()  # every edition is read for what follows
    snapshot = _snapshot(connection, timezone)
    return tuple(
        owner
        for owner in OWNERS
        if _codes(snapshot.directory(owner, before)) != _codes(snapshot.directory(owner, after))
    )


def _may_change(
    connection: Connection, before: datetime, after: datetime, timezone: ZoneInfo
) -> bool:
    """Say whether an edition begins or ends between two instants, or a licence ends."""
    instants = {
        "before": before,
        "after": after,
        "long_before": before - LAST_GOOD,
        "long_after": after - LAST_GOOD,
    }
    # A licence's last day is over at the midnight after it.
    days = {
        "first": before.astimezone(timezone).date(),
        "next": after.astimezone(timezone).date(),
    }
    return bool(
        connection.execute(_TURNS, instants).first() or connection.execute(_ENDS, days).first()
    )


def _snapshot(connection: Connection, timezone: ZoneInfo) -> Snapshot:
    tones = tuple(tone_of(row) for row in connection.execute(_TONES))
    return Snapshot(Contents(0, tones, all_editions(connection)), _NOBODY, timezone)


def _codes(directory: Directory) -> tuple[str, ...]:
    return tuple(tone.code for tone in directory.tones)
