"""Which lists change from one instant to another: what is announced when the editions switch.

Nothing is switched here: the current edition is computed wherever it is wanted.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from catalog.branches import BRANCHES, PROVINCE, BranchTable
from catalog.editions import all_editions
from catalog.snapshot import Contents, Directory, Snapshot
from catalog.tones import tone_of
from store.schema import edition_slot
from store.schema import tone as table

OWNERS = (PROVINCE, *BRANCHES)
_NOBODY = BranchTable({}, {}, 0)
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
    snapshot = _snapshot(connection, timezone)
    return tuple(
        owner
        for owner in OWNERS
        if _codes(snapshot.directory(owner, before)) != _codes(snapshot.directory(owner, after))
    )


def _snapshot(connection: Connection, timezone: ZoneInfo) -> Snapshot:
    tones = tuple(tone_of(row) for row in connection.execute(_TONES))
    return Snapshot(Contents(0, tones, all_editions(connection)), _NOBODY, timezone)


def _codes(directory: Directory) -> tuple[str, ...]:
    return tuple(tone.code for tone in directory.tones)
