"""Which tones' licences end, and where those tones are heard now.

A licence covers its last day until local midnight. Selling stops earlier, see
`ordering.provisioning`; a list's song whose licence has ended is replaced, see `catalog.snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    """A tone whose licence ends: on its last day `days_left` is 0.

    `directories` are the owners in whose own lists callers hear it now; a branch without an edition
    has none of its own.
    """

    code: str
    title: str
    sp: str
    licence_until: date
    days_left: int
    directories: tuple[str, ...]


def ending(
    connection: Connection, now: datetime, days: int, timezone: ZoneInfo
) -> tuple[Ending, ...]:
    """Return the published tones whose licence ends within so many days, the soonest first."""
    today = now.astimezone(timezone).date()
    values = {"first": today, "last": today + timedelta(days=days)}
    rows = connection.execute(_ENDING, values).all()
    heard = {
        owner: {tone.code for tone in directory.tones}
        for owner, directory in (directories_at(connection, now, timezone) if rows else {}).items()
        if directory.owner == owner and directory.edition_id
    }
    return tuple(
        Ending(
            code=row.code,
            title=row.title,
            sp=row.sp,
            licence_until=row.licence_until,
            days_left=(row.licence_until - today).days,
            directories=tuple(owner for owner, codes in heard.items() if row.code in codes),
        )
        for row in rows
    )


def step_of(days_left: int, steps: Iterable[int]) -> int | None:
    """Return the step that so many days have come to; None: it is too early for any."""
    return min((step for step in steps if days_left <= step), default=None)
