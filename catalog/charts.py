"""Charts: ranking that fills what the branch left open. How it is stored, computed and read.

A chart is computed in steps, a day's votes or an owner's chart each, so that the store is never
kept for long: `compute_step`. `compute` does all of them in one transaction. Nothing is logged in
the store process, where these functions run: the caller logs `bursts_of` the day.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, delete, insert, select

from catalog import ranking
from catalog.branches import PROVINCE
from catalog.ranking import FORMULA_VERSION, Burst, Made, Period, Ranked, Scored
from catalog.tallies import (
    CHARTED,
    busy_of,
    drop_old_days,
    forget_day,
    periods_of,
    stale_days,
    tally_day,
)
from store.once import insert_once
from store.schema import chart, chart_entry, order, tone

KEPT_DAILY = timedelta(days=ranking.WINDOW_DAYS)
"""So long every day's chart is kept, then each week's last: all of a year's are 300 MB."""
KEPT_WEEKLY = timedelta(days=400)
FEWEST_VOTES = 30
"""A chart of fewer votes is a matter of chance: the province's serves instead."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A song's place. `previous` is its rank in the last chart of an earlier week, None when it
    had none; `peak` its best rank so far, `weeks` in how many weeks it stood on a chart."""

    rank: int
    code: str
    score: float
    previous: int | None
    peak: int
    weeks: int
    made: Made

    @property
    def flag(self) -> str | None:
        """`new` in its first week on the chart, `re` when it is back after a week without."""
        if self.previous is not None:
            return None
        return "new" if self.weeks == 1 else "re"


@dataclass(frozen=True, slots=True)
class Chart:
    """An owner's chart of a local day; `votes` counts all that were cast in its window."""

    owner: str
    day: date
    formula_version: int
    computed_at: datetime
    votes: int
    entries: tuple[Entry, ...]


# ---------------------------------------------------------------- computing

_CHART_OF_DAY = select(chart.c.chart_id).where(chart.c.chart_id == bindparam("chart_id"))
_SP = select(tone.c.sp).where(tone.c.code == bindparam("code"), tone.c.state == "published")
_FIRST_ORDER = (
    select(order.c.confirmed_at)
    .where(order.c.tone_code == bindparam("code"), order.c.confirmed_at.is_not(None))
    .order_by(order.c.confirmed_at)
    .limit(1)
)
_STANDING_BEFORE = (
    select(chart_entry.c.day, chart_entry.c.peak, chart_entry.c.weeks)
    .where(
        chart_entry.c.owner == bindparam("owner"),
        chart_entry.c.code == bindparam("code"),
        chart_entry.c.day < bindparam("today"),
    )
    .order_by(chart_entry.c.day.desc())
    .limit(1)
)
_NEWEST_BEFORE = (
    select(chart.c.chart_id, chart.c.day)
    .where(chart.c.owner == bindparam("owner"), chart.c.day < bindparam("before"))
    .order_by(chart.c.day.desc())
    .limit(1)
)
_RANKS = select(chart_entry.c.code, chart_entry.c.rank).where(
    chart_entry.c.chart_id == bindparam("chart_id")
)
_INSERT_ENTRY = insert(chart_entry)


@dataclass(frozen=True, slots=True)
class ComputeStep:
    """What a step did: how many charts it made, and what is still to be done; empty: nothing."""

    charts: int
    todo: str


def compute(connection: Connection, now: datetime, timezone: ZoneInfo) -> int:
    """Compute today's charts, of the province and of each branch; return how many were missing.

    Once a local day: what stands is left as it is.
    """
    step = compute_step(connection, now, timezone)
    made = step.charts
    while step.todo:
        step = compute_step(connection, now, timezone, step.todo)
        made += step.charts
    return made


def compute_step(
    connection: Connection, now: datetime, timezone: ZoneInfo, todo: str = ""
) -> ComputeStep:
    """Do the first of what is to be done, and say what is left.

    The first step, with nothing, finds out what there is to do. `todo` is the charts' day, then
    days to be tallied and owners, apart by spaces. Doing a step again changes nothing.
    """
    if not todo:
        return ComputeStep(0, _todo(connection, now, timezone))
    day, first, *rest = todo.split()
    today, made = date.fromisoformat(day), False
    if first in CHARTED:
        made = _compute_owner(connection, first, today, now)
    else:
        tally_day(connection, date.fromisoformat(first), now, timezone)
    return ComputeStep(int(made), " ".join([day, *rest]) if rest else "")


def _todo(connection: Connection, now: datetime, timezone: ZoneInfo) -> str:
    today = now.astimezone(timezone).date()
    if _stands(connection, PROVINCE, today):
        return ""  # the province's chart is the last of a day
    drop_old_days(connection, today)
    _drop_old_charts(connection, today)
    days = stale_days(connection, now, timezone)
    return " ".join([str(today), *map(str, days), *CHARTED])


def _stands(connection: Connection, owner: str, day: date) -> bool:
    chart_id = {"chart_id": _chart_id(owner, day)}
    return connection.execute(_CHART_OF_DAY, chart_id).first() is not None


def _compute_owner(connection: Connection, owner: str, today: date, now: datetime) -> bool:
    if _stands(connection, owner, today):
        return False
    periods = periods_of(connection, owner, today)
    entries = _entries(connection, owner, today, periods)
    row = {
        "chart_id": _chart_id(owner, today),
        "owner": owner,
        "day": today,
        "formula_version": FORMULA_VERSION,
        "computed_at": now,
        "votes": sum(period.votes for period in periods),
    }
    if not insert_once(connection, chart, row):
        return False  # another host was quicker
    if entries:
        connection.execute(_INSERT_ENTRY, [_entry_row(row, entry) for entry in entries])
    return True


def _chart_id(owner: str, day: date) -> str:
    return f"{owner}.{day.isoformat()}"


def _entries(
    connection: Connection, owner: str, today: date, periods: Iterable[Period]
) -> tuple[Entry, ...]:
    scored = ranking.score(periods, busy_of(connection, owner, today), today)
    sps = _sps(connection, scored)
    known = (song for song in scored if song.code in sps)
    first_orders = {}
    for code in ranking.tied(known):
        row = connection.execute(_FIRST_ORDER, {"code": code}).first()
        if row is not None:
            first_orders[code] = row.confirmed_at
    monday = today - timedelta(days=today.weekday())
    last = connection.execute(_NEWEST_BEFORE, {"owner": owner, "before": monday}).first()
    previous = {} if last is None else _ranks(connection, last.chart_id)
    return tuple(
        _entry(connection, owner, today, song, previous.get(song.code))
        for song in ranking.rank(scored, sps, first_orders)
    )


def _sps(connection: Connection, scored: Iterable[Scored]) -> dict[str, str]:
    """Return the SPs of the best songs that are on offer: as many as a chart can need."""
    sps: dict[str, str] = {}
    held: Counter[str] = Counter()
    least = 0.0
    for song in sorted(scored, key=lambda song: -song.score):
        places = sum(min(songs, ranking.SP_PLACES) for songs in held.values())
        enough = len(sps) >= ranking.DEPTH and places >= ranking.PLACES
        if song.score <= 0 or (enough and song.score < least):
            break
        row = connection.execute(_SP, {"code": song.code}).first()
        if row is not None:
            sps[song.code], least = row.sp, song.score
            held[row.sp] += 1
    return sps


def _ranks(connection: Connection, chart_id: str) -> dict[str, int]:
    return {row.code: row.rank for row in connection.execute(_RANKS, {"chart_id": chart_id})}


def _entry(
    connection: Connection, owner: str, today: date, song: Ranked, previous: int | None
) -> Entry:
    values = {"owner": owner, "code": song.code, "today": today}
    before = connection.execute(_STANDING_BEFORE, values).first()
    peak, weeks = song.rank, 1
    if before is not None:
        peak = min(peak, before.peak)
        weeks = before.weeks + (before.day.isocalendar()[:2] != today.isocalendar()[:2])
    return Entry(song.rank, song.code, song.score, previous, peak, weeks, song.made)


def _entry_row(of: Mapping[str, object], entry: Entry) -> dict[str, object]:
    return {
        "chart_id": of["chart_id"],
        "rank": entry.rank,
        "code": entry.code,
        "owner": of["owner"],
        "day": of["day"],
        "score": entry.score,
        "previous": entry.previous,
        "peak": entry.peak,
        "weeks": entry.weeks,
        "bursts": len(entry.made.bursts),
        "made": _text(entry.made),
    }


def _text(made: Made) -> str:
    """Return it as JSON, floats as people read them; `_made` reads it back."""
    return json.dumps(_readable(asdict(made)), default=date.isoformat, separators=(",", ":"))


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _readable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(inner) for inner in value]
    return round(value, ranking.DECIMALS) if isinstance(value, float) else value


_FORGET_ENTRIES = delete(chart_entry).where(chart_entry.c.chart_id == bindparam("of_chart"))
_FORGET_CHART = delete(chart).where(chart.c.chart_id == bindparam("of_chart"))
_OLD_CHARTS = (
    select(chart.c.chart_id, chart.c.day)
    .where(chart.c.owner == bindparam("owner"), chart.c.day < bindparam("before"))
    .order_by(chart.c.day)
)


def forget(connection: Connection, day: date) -> None:
    """Forget the charts of a local day and its tallies, so that `compute` makes them anew."""
    _forget_charts(connection, [_chart_id(owner, day) for owner in CHARTED])
    forget_day(connection, day)


def _forget_charts(connection: Connection, chart_ids: Sequence[str]) -> None:
    charts = [{"of_chart": chart_id} for chart_id in chart_ids]
    if charts:
        connection.execute(_FORGET_ENTRIES, charts)
        connection.execute(_FORGET_CHART, charts)


def _drop_old_charts(connection: Connection, today: date) -> None:
    for owner in CHARTED:
        before = {"owner": owner, "before": today - KEPT_DAILY}
        old = connection.execute(_OLD_CHARTS, before).all()
        last_of_week = {row.day.isocalendar()[:2]: row.chart_id for row in old}
        kept = set(last_of_week.values())
        _forget_charts(
            connection,
            [
                row.chart_id
                for row in old
                if row.chart_id not in kept or row.day < today - KEPT_WEEKLY
            ],
        )


# ---------------------------------------------------------------- reading

_NEWEST = (
    select(chart.c.chart_id, chart.c.votes)
    .where(chart.c.owner == bindparam("owner"))
    .order_by(chart.c.day.desc())
    .limit(1)
)
_CODES = (
    select(chart_entry.c.code)
    .where(chart_entry.c.chart_id == bindparam("chart_id"))
    .order_by(chart_entry.c.rank)
)
_CHART = select(
    chart.c.owner, chart.c.day, chart.c.formula_version, chart.c.computed_at, chart.c.votes
).where(chart.c.chart_id == bindparam("chart_id"))
_ENTRIES = (
    select(
        chart_entry.c.rank, chart_entry.c.code, chart_entry.c.score, chart_entry.c.previous,
        chart_entry.c.peak, chart_entry.c.weeks, chart_entry.c.made,
    )
    .where(chart_entry.c.chart_id == bindparam("chart_id"))
    .order_by(chart_entry.c.rank)
)  # fmt: skip


def ranked(connection: Connection, owner: str) -> tuple[str, ...]:
    """Return the codes of an owner's newest chart, best first, then the province's others.

    An owner whose chart has fewer than `FEWEST_VOTES` gets the province's alone. Empty when there
    is none. A song may have been retired since: whoever fills a directory looks.
    """
    codes: dict[str, None] = {}
    for of_owner, fewest in ((owner, FEWEST_VOTES), (PROVINCE, 1)):
        newest = connection.execute(_NEWEST, {"owner": of_owner}).first()
        if newest is not None and newest.votes >= fewest:
            found = connection.execute(_CODES, {"chart_id": newest.chart_id})
            codes |= dict.fromkeys(found.scalars())
    return tuple(codes)


def read_chart(connection: Connection, owner: str, day: date | None = None) -> Chart | None:
    """Return an owner's chart of a local day, or its newest; None: there is none."""
    if day is None:
        newest = connection.execute(_NEWEST, {"owner": owner}).first()
        if newest is None:
            return None
        chart_id = newest.chart_id
    else:
        chart_id = _chart_id(owner, day)
    row = connection.execute(_CHART, {"chart_id": chart_id}).first()
    if row is None:
        return None
    entries = connection.execute(_ENTRIES, {"chart_id": chart_id})
    return Chart(*row, entries=tuple(_entry_of(row) for row in entries))


def _entry_of(row: Sequence[Any]) -> Entry:
    return Entry(*row[:-1], _made(row[-1]))  # type: ignore[call-arg]  # the fields in their order


def _made(text: str) -> Made:
    values: dict[str, Any] = json.loads(text)
    bursts = tuple(
        Burst(**burst | {"day": date.fromisoformat(burst["day"])}) for burst in values["bursts"]
    )
    periods = tuple(Period(**period) for period in values["periods"])
    return Made(**values | {"bursts": bursts, "periods": periods})


_WITH_BURSTS = (
    select(chart_entry.c.rank, chart_entry.c.code, chart_entry.c.made)
    .where(chart_entry.c.chart_id == bindparam("chart_id"), chart_entry.c.bursts > 0)
    .order_by(chart_entry.c.rank)
)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A song with a burst on an owner's chart: somebody may be pushing it."""

    owner: str
    rank: int
    code: str
    sp: str | None
    day: str
    hour: int
    weight: float
    counted: float


def bursts_of(connection: Connection, day: date) -> tuple[Pushed, ...]:
    """Return the bursts that are new in the charts of a local day, for the log.

    New is what happened on the day of the owner's chart before, or later.
    """
    return tuple(
        _pushed(connection, owner, row.rank, row.code, burst)
        for owner in CHARTED
        for since in (_day_before(connection, owner, day),)
        for row in connection.execute(_WITH_BURSTS, {"chart_id": _chart_id(owner, day)})
        for burst in _made(row.made).bursts
        if since is None or burst.day >= since
    )


def _day_before(connection: Connection, owner: str, day: date) -> date | None:
    row = connection.execute(_NEWEST_BEFORE, {"owner": owner, "before": day}).first()
    return None if row is None else row.day


def _pushed(connection: Connection, owner: str, rank: int, code: str, burst: Burst) -> Pushed:
    return Pushed(
        owner=owner,
        rank=rank,
        code=code,
        sp=connection.execute(_SP, {"code": code}).scalar(),
        day=burst.day.isoformat(),
        hour=burst.hour,
        weight=burst.weight,
        counted=burst.counted,
    )
