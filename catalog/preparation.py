"""Who has prepared a holiday edition for what is coming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, or_, select

from catalog.holidays import Holiday, coming
from catalog.switching import OWNERS
from store.schema import edition

STEPS = (5, 2, 1)
"""So many days before a holiday it is told who has prepared nothing."""

_PREPARED = select(edition.c.owner, edition.c.valid_from, edition.c.valid_to).where(
    edition.c.kind == "holiday",
    or_(edition.c.valid_to.is_(None), edition.c.valid_to > bindparam("since")),
)


@dataclass(frozen=True, slots=True)
class Preparation:
    """A holiday to come, and which owners have a holiday edition that covers its whole day."""

    holiday: Holiday
    days_left: int
    prepared: tuple[str, ...]
    missing: tuple[str, ...]


def preparations(
    connection: Connection, now: datetime, days: int, timezone: ZoneInfo
) -> tuple[Preparation, ...]:
    """Return the holidays from today to so many days later, the next first."""
    today = now.astimezone(timezone).date()
    rows = connection.execute(_PREPARED, {"since": now}).all()
    return tuple(
        Preparation(
            holiday,
            (holiday.day - today).days,
            prepared=(ready := _ready(holiday, rows, timezone)),
            missing=tuple(owner for owner in OWNERS if owner not in ready),
        )
        for holiday in coming(today, days)
    )


def _ready(
    holiday: Holiday,
    rows: Sequence[tuple[str, datetime, datetime | None]],
    timezone: ZoneInfo,
) -> tuple[str, ...]:
    begins = datetime.combine(holiday.day, time(), timezone)
    ends = datetime.combine(holiday.day + timedelta(days=1), time(), timezone)
    covering = {owner for owner, start, end in rows if start <= begins and not (end and end < ends)}
    return tuple(owner for owner in OWNERS if owner in covering)
