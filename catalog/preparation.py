"""Who has prepared a holiday edition for what is coming."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from catalog.directories import Edition, said_last
from catalog.holidays import Holiday, coming
from catalog.switching import OWNERS
from store.schema import edition

STEPS = (5, 2, 1)
"""So many days before a holiday it is told who has prepared nothing."""

_PREPARED = (
    select(
        edition.c.owner,
        edition.c.valid_from,
        edition.c.valid_to,
        edition.c.said_from,
        edition.c.said_at,
    )
    .where(edition.c.kind == "holiday")
    .order_by(edition.c.owner, edition.c.edition_id)
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
    editions = tuple(_standing(connection))
    return tuple(
        Preparation(
            holiday,
            (holiday.day - today).days,
            prepared=(ready := _ready(holiday, editions, timezone)),
            missing=tuple(owner for owner in OWNERS if owner not in ready),
        )
        for holiday in coming(today, days)
    )


def _standing(connection: Connection) -> Iterator[Edition]:
    """Yield the holiday editions in whose place nothing was said later, without their songs."""
    rows = connection.execute(_PREPARED).all()
    for _, said in groupby(rows, key=lambda row: row.owner):
        yield from said_last(
            Edition(row.owner, "holiday", row.valid_from, row.valid_to, (), (),
                    said_from=row.said_from, said_at=row.said_at)
            for row in said
        )  # fmt: skip


def _ready(holiday: Holiday, editions: Iterable[Edition], timezone: ZoneInfo) -> tuple[str, ...]:
    begins = datetime.combine(holiday.day, time(), timezone)
    ends = datetime.combine(holiday.day + timedelta(days=1), time(), timezone)
    covering = {
        one.owner
        for one in editions
        if one.valid_from <= begins and not (one.valid_to and one.valid_to < ends)
    }
    return tuple(owner for owner in OWNERS if owner in covering)
