from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from scheduler.appointments import Appointments
from scheduler.periods import When
from scheduler.runs import Done, More, Run, Said, once_a_period
from scheduler.timetable import Appointment, appointments
from store.database import LocalDatabase
from store.wire import name_of
from tests.fakes.clocks import at_once

SHANGHAI = ZoneInfo("Asia/Shanghai")
THREE = When(time(3, 0))
did: list[tuple[str, str, str]] = []
"""(job, period, place) in the order of doing; emptied by each `World`."""


@once_a_period
def note(connection: Connection, run: Run, steps: int) -> Done | More:
    """Note the step in `did`."""
    did.append((run.job, run.period, run.place))
    number = int(run.place or 0) + 1
    return (
        More(1, str(number)) if number < steps else Done(1, (Said("noted", {"day": run.period}),))
    )


@once_a_period
def fail(connection: Connection, run: Run) -> Done:
    """Fail."""
    raise RuntimeError("the job is broken")


@dataclass
class World:
    """Hosts that share a database and a clock that can be set."""

    database: LocalDatabase
    calendar: tuple[Appointment, ...]
    now: datetime
    zone: ZoneInfo = SHANGHAI
    logged: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        did.clear()

    def host(self, name: str = "here") -> Appointments:
        return Appointments(
            self.database, self.calendar, self.zone, name, lambda: self.now, at_once
        )

    def keep(self, host: Appointments, steps: int | None = None) -> list[tuple[str, str, str]]:
        """Let the host keep what is due, `steps` steps at most; return what it did."""
        did.clear()
        with capture_logs() as logs:
            kept = Deferred.fromCoroutine(host.keep(lambda: steps is None or len(did) < steps))
            results: list[object] = []
            kept.addBoth(results.append)
        assert results == [None]
        self.logged += [dict(one) for one in logs if one["log_level"] != "debug"]
        return list(did)


def a_world(database: LocalDatabase, now: str, *calendar: Appointment, **more: Any) -> World:
    chosen = calendar or (Appointment("note", THREE, note, (1,)),)
    return World(database, chosen, datetime.fromisoformat(now), **more)


def test_what_was_missed_is_caught_up_at_the_start_and_then_each_day_once(
    database: LocalDatabase,
) -> None:
    world = a_world(database, "2026-11-26T02:00+08:00")
    host = world.host()
    assert world.keep(host) == [("note", "2026-11-25", "")]
    assert world.keep(host) == []
    world.now += timedelta(hours=1)
    assert world.keep(host) == [("note", "2026-11-26", "")]
    assert world.keep(world.host("started again")) == []
    assert [one["event"] for one in world.logged] == ["noted", "noted"]
    assert world.logged[-1] == {
        "event": "noted", "log_level": "warning", "job": "note", "period": "2026-11-26",
        "day": "2026-11-26",
    }  # fmt: skip
    assert host.said == {"noted": 2}


def test_after_a_fortnight_off_as_many_periods_are_done_as_the_appointment_says(
    database: LocalDatabase,
) -> None:
    thrice = Appointment("thrice", THREE, note, (1,), catch_up=3)
    world = a_world(database, "2026-11-12T12:00+08:00", thrice)
    world.keep(world.host())
    world.now += timedelta(days=14)
    assert [period for _, period, _ in world.keep(world.host("new"))] == [
        "2026-11-24", "2026-11-25", "2026-11-26",
    ]  # fmt: skip


def test_a_clock_set_back_does_nothing_twice_and_one_set_ahead_leaves_out_nothing_new(
    database: LocalDatabase,
) -> None:
    world = a_world(database, "2026-11-26T03:00+08:00")
    host = world.host()
    world.keep(host)
    world.now -= timedelta(hours=2)
    assert world.keep(host) == [("note", "2026-11-25", "")]  # due then, and never done
    world.now += timedelta(hours=2)
    assert world.keep(host) == []
    world.now += timedelta(days=365)
    assert world.keep(host) == [("note", "2027-11-26", "")]
    world.now -= timedelta(days=364)
    assert world.keep(host) == [("note", "2026-11-27", "")]


def test_a_day_of_23_and_one_of_25_hours_have_one_run_each(database: LocalDatabase) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    half_past_two = Appointment("note", When(time(2, 30)), note, (1,))
    for start in ("2026-03-28T12:00+01:00", "2026-10-24T12:00+02:00"):
        world = a_world(database, start, half_past_two, zone=berlin)
        host = world.host()
        world.keep(host)
        done = []
        for _ in range(2 * 24 * 6):
            world.now += timedelta(minutes=10)
            done += world.keep(host)
        assert len(done) == 2


def test_a_leap_day_is_a_day(database: LocalDatabase) -> None:
    world = a_world(database, "2028-02-28T12:00+08:00")
    host = world.host()
    days = []
    for _ in range(3):
        days += world.keep(host)
        world.now += timedelta(days=1)
    assert [period for _, period, _ in days] == ["2028-02-28", "2028-02-29", "2028-03-01"]


def test_a_job_that_fails_is_tried_again_and_does_not_keep_the_others(
    database: LocalDatabase,
) -> None:
    broken = Appointment("broken", THREE, fail)
    world = a_world(
        database, "2026-11-26T12:00+08:00", broken, Appointment("note", THREE, note, (1,))
    )
    host = world.host()
    assert world.keep(host) == [("note", "2026-11-26", "")]
    world.now += timedelta(seconds=59)
    assert world.keep(host) == []
    assert host.failures == 1
    world.now += timedelta(seconds=1)
    world.keep(host)
    assert host.failures == 2
    assert world.logged[0]["event"] == "job_failed"


def test_of_two_hosts_one_does_it(database: LocalDatabase) -> None:
    world = a_world(database, "2026-11-26T12:00+08:00")
    one, other = world.host("one"), world.host("other")
    assert world.keep(one) == [("note", "2026-11-26", "")]
    assert world.keep(other) == []
    world.now += timedelta(days=1)
    assert world.keep(other) == [("note", "2026-11-27", "")]
    assert world.keep(one) == []


def test_a_host_that_dies_in_the_middle_is_followed_by_another_after_its_lease(
    database: LocalDatabase,
) -> None:
    long = Appointment("long", THREE, note, (3,))
    world = a_world(database, "2026-11-26T12:00+08:00", long)
    assert world.keep(world.host("dying"), steps=2) == [
        ("long", "2026-11-26", ""),
        ("long", "2026-11-26", "1"),
    ]
    other = world.host("other")
    assert world.keep(other) == []
    world.now += timedelta(seconds=60)
    assert len(world.keep(other)) == 3
    assert world.keep(other) == []


def test_the_calendar_s_jobs_are_known_to_the_store_process_and_idempotent(
    database: LocalDatabase,
) -> None:
    calendar = appointments(timezone="Asia/Shanghai", retention_days=180)
    assert len({appointment.name for appointment in calendar}) == len(calendar)
    for appointment in calendar:
        assert name_of(appointment.job) == f"scheduler.daily.{appointment.name}"
        run = Run(appointment.name, "2026-11-26", date(2026, 11, 26), "here",
                  datetime(2026, 11, 26, tzinfo=UTC))  # fmt: skip
        states = {database.run_now(appointment.job, run, *appointment.values).state}
        assert states <= {"done", "more"}
    world = World(database, calendar, datetime(2026, 11, 26, tzinfo=UTC))
    host = world.host("here")
    world.keep(host)
    assert host.failures == 0
