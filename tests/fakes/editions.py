"""Editions for the tests of the calendar, and the one way in which they are published."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from catalog.directories import Edition
from catalog.editions import Proof, first_edition, store_edition
from catalog.filling import Song
from store.database import LocalDatabase

SHANGHAI = ZoneInfo("Asia/Shanghai")


def local(day: str | date, hour: int = 0) -> datetime:
    """Return an hour of a local day."""
    chosen = date.fromisoformat(day) if isinstance(day, str) else day
    return datetime.combine(chosen, time(hour), SHANGHAI)


def an_edition(
    owner: str,
    start: str | date,
    end: str | date | None = None,
    *,
    songs: tuple[str, ...],
    reserve: tuple[str, ...] = (),
) -> Edition:
    """Return a regular edition from a local day on, or a holiday one of `[start, end)`."""
    kind = "regular" if end is None else "holiday"
    ends = None if end is None else local(end)
    return Edition(owner, kind, local(start), ends, songs, reserve)


def publish(database: LocalDatabase, editions: Iterable[Edition], now: datetime) -> int:
    """Publish editions as a branch's file does; return how many are new."""
    return database.run_now(_publish, tuple(editions), now)


def _publish(connection: Connection, editions: Iterable[Edition], now: datetime) -> int:
    stored = [
        store_edition(
            connection,
            first_edition(one.draft, [Song(code, "file") for code in one.songs], now),
            Proof("files", ""),
        )
        for one in editions
    ]
    return sum(one is not None for one in stored)
