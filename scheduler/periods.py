"""When a calendar duty is due: a local time of day, and the period that it stands for.

Instants are computed here, from a clock that is passed in, and APScheduler only ticks: its triggers
read the wall clock, count from their last run, and forget what a dead process missed. A local day
has one period whatever daylight saving, a leap day or a corrected clock make of its length, and a
period's key in the database, not a timer, says whether its work is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class When:
    """A local time of every day, or of one weekday (0 is Monday)."""

    at: time
    weekday: int | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """A local day or week: `key` is such as `2026-11-26` or `2026-W48`; it was due at `due_at`."""

    key: str
    day: date
    due_at: datetime


def missed(when: When, now: datetime, zone: ZoneInfo, most: int) -> tuple[Period, ...]:
    """Return the `most` newest periods that are due by `now`, the oldest first."""
    day = now.astimezone(zone).date() + DAY  # a day ahead: daylight saving may move the instant
    found: list[Period] = []
    while len(found) < most:
        if when.weekday in {None, day.weekday()} and local_instant(day, when.at, zone) <= now:
            found.append(_period(when, day, zone))
        day -= DAY
    return tuple(reversed(found))


def local_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return a local time as UTC. One that the clocks skip is as much later; one that they repeat
    is its first."""
    return datetime.combine(day, at, zone).astimezone(UTC)


def _period(when: When, day: date, zone: ZoneInfo) -> Period:
    year, week, _ = day.isocalendar()
    key = day.isoformat() if when.weekday is None else f"{year}-W{week:02}"
    return Period(key, day, local_instant(day, when.at, zone))
