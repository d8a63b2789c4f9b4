"""The calendar's jobs: each does one period once, see `scheduler.runs`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete

from catalog import charts, licences, preparation, rotation
from catalog.licences import Ending
from catalog.switching import changed_owners
from catalog.tones import catalogue_changed
from ordering import retention
from scheduler import runs
from scheduler.periods import local_instant
from scheduler.runs import Done, More, Run, Said, once_a_period
from store.once import insert_once
from store.schema import warned

ROWS = 500
"""Rows that one step of the clean-up looks at: a few milliseconds' work for the store."""
DAYS_TO_MONDAY = 7
MIDNIGHT = time()


@once_a_period
def compute_charts(connection: Connection, run: Run, timezone: str) -> Done | More:
    """Rank the tones as of today, an owner at a time; tell who may be pushing which."""
    zone = ZoneInfo(timezone)
    step = charts.compute_step(connection, run.at, zone, run.place)
    if step.todo:
        return More(step.charts, step.todo)
    bursts = charts.bursts_of(connection, run.at.astimezone(zone).date())
    return Done(step.charts, tuple(Said("chart_burst", asdict(one)) for one in bursts))


@once_a_period
def prepare_week(connection: Connection, run: Run, timezone: str) -> Done:
    """Prepare the `auto` editions of the week after the run's."""
    monday = run.day + timedelta(days=DAYS_TO_MONDAY - run.day.weekday())
    return Done(rotation.prepare_week(connection, monday, run.at, timezone))


@once_a_period
def announce_switch(connection: Connection, run: Run, timezone: str) -> Done:
    """Announce whose lists are others since midnight; the lists themselves changed by the clock.

    It is due every midnight and not on Mondays alone, for holiday editions begin, and licences end,
    on any day. It looks back to the last midnight that was announced.
    """
    zone = ZoneInfo(timezone)
    last = runs.last_period(connection, run)
    since = date.fromisoformat(last) if last else run.day - timedelta(days=1)
    before, after = (local_instant(day, MIDNIGHT, zone) for day in (since, run.day))
    owners = changed_owners(connection, before, after, zone)
    if not owners:
        return Done(0)
    catalogue_changed(connection)
    return Done(
        len(owners), (Said("editions_switched", {"at": run.period, "owners": list(owners)}),)
    )


@once_a_period
def warn_licences(connection: Connection, run: Run, timezone: str) -> Done:
    """Warn of licences that end, once for a tone and each of `licences.STEPS`."""
    zone = ZoneInfo(timezone)
    soon = licences.ending(connection, run.at, max(licences.STEPS), zone)
    fresh = [one for one in soon if _is_new_licence(connection, one, run.at)]
    told: dict[int | None, list[dict[str, object]]] = {}
    for one in licences.placed(connection, fresh, run.at, zone):
        told.setdefault(licences.step_of(one.days_left, licences.STEPS), []).append(
            {
                "code": one.code,
                "title": one.title,
                "licence_until": one.licence_until.isoformat(),
                "directories": list(one.directories),
            }
        )
    said = [Said("licences_end", {"days": step, "tones": tones}) for step, tones in told.items()]
    return Done(len(fresh), tuple(said))


@once_a_period
def warn_holidays(connection: Connection, run: Run, timezone: str) -> Done:
    """Tell who has prepared nothing for a holiday, once for each of `preparation.STEPS`.

    A message to the branch's contact is not sent: only the log, /metrics and `directories holidays`
    say it.
    """
    zone = ZoneInfo(timezone)
    said = []
    for one in preparation.preparations(connection, run.at, max(preparation.STEPS), zone):
        holiday = one.holiday
        step = licences.step_of(one.days_left, preparation.STEPS)
        if not (one.missing and one.days_left and step):
            continue
        if _is_new(connection, f"holiday {holiday.name}", holiday.day, step, run.at):
            detail = {
                "holiday": holiday.name,
                "title": holiday.title,
                "day": holiday.day.isoformat(),
                "days_left": one.days_left,
                "owners": list(one.missing),
            }
            said.append(Said("holiday_not_prepared", detail))
    return Done(len(said), tuple(said))


@once_a_period
def forget_old(connection: Connection, run: Run, retention_days: int) -> Done | More:
    """Delete what is older than it has to be kept, a few rows at a time."""
    before = run.at - timedelta(days=retention_days)
    swept = retention.sweep(connection, before, run.place, ROWS)
    if swept.place:
        return More(swept.deleted, swept.place)
    connection.execute(delete(warned).where(warned.c.due_on < before.date()))
    return Done(swept.deleted + runs.forget(connection, before))


def _is_new_licence(connection: Connection, one: Ending, now: datetime) -> bool:
    step = licences.step_of(one.days_left, licences.STEPS)
    subject = f"tone {one.code}"
    return step is not None and _is_new(connection, subject, one.licence_until, step, now)


def _is_new(connection: Connection, subject: str, due_on: date, step: int, now: datetime) -> bool:
    values = {"subject": subject, "due_on": due_on, "days_ahead": step, "warned_at": now}
    return insert_once(connection, warned, values)
