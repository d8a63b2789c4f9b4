"""Which tones' licences end, and where those tones are heard now.

A licence covers its last day until local midnight. Selling stops earlier, see
`ordering.provisioning`; a list's song whose licence has ended is replaced, see `catalog.snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, select

from catalog.switching import directories_at
from store.schema import tone

STEPS = (30, 7, 1)
"""So many days before a licence's last day its tone is warned of."""

_ENDING = (
    select(tone.c.code, tone.c.title, tone.c.sp, tone.c.licence_until)
    .where(
        tone.c.state == "published",
        tone.c.licence_until >= bindparam("first"),
        tone.c.licence_until <= bindparam("last"),
    )
    .order_by(tone.c.licence_until, tone.c.code)
)


@dataclass(frozen=True, slots=True)
class Ending:
    """A tone whose licence ends: on its last day `days_left` is 0. `directories`: see `placed`."""

    code: str
    title: str
    sp: str
    licence_until: date
    days_left: int
    directories: tuple[str, ...] = ()


def ending(
    connection: Connection, now: datetime, days: int, timezone: ZoneInfo
) -> tuple[Ending, ...]:
    """Return the published tones whose licence ends within so many days, the soonest first."""
    today = now.astimezone(timezone).date()
    values = {"first": today, "last": today + timedelta(days=days)}
    return tuple(
        Ending(row.code, row.title, row.sp, row.licence_until, (row.licence_until - today).days)
        for row in connection.execute(_ENDING, values)
    )


def placed(
    connection: Connection, endings: Sequence[Ending], now: datetime, timezone: ZoneInfo
) -> tuple[Ending, ...]:
    """Return these tones with the owners in whose own lists callers hear each now.

    A branch without an edition has no list of its own: it follows the province's.
    """
    if not endings:
        return ()  # every edition is read for what follows
    heard = {
        owner: {tone.code for tone in directory.tones}
        for owner, directory in directories_at(connection, now, timezone).items()
        if directory.owner == owner and directory.edition_id
    }
    return tuple(
        replace(
            one, directories=tuple(owner for owner, codes in heard.items() if one.code in codes)
        )
        for one in endings
    )


def step_of(days_left: int, steps: Iterable[int]) -> int | None:
    """Return the step that so many days have come to; None: it is too early for any."""
    return min((step for step in steps if days_left <= step), default=None)


def ending_and_placed(
    connection: Connection, now: datetime, days: int, timezone: ZoneInfo
) -> tuple[Ending, ...]:
    """Return what `ending` does, each tone with the lists that have it."""
    return placed(connection, ending(connection, now, days, timezone), now, timezone)
