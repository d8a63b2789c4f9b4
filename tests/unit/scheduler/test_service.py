from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from scheduler.appointments import Appointments
from scheduler.periods import When
from scheduler.runs import Done, More, Run, once_a_period
from scheduler.service import SchedulerService
from scheduler.timetable import Appointment
from store.database import LocalDatabase
from tests.fakes.clocks import ThreadedClock
from tests.unit.scheduler.test_jobs import RecordingOperator

NOON = datetime(2026, 11, 26, 4, tzinfo=UTC)
did: list[date] = []


@once_a_period
def note(connection: Connection, run: Run) -> Done | More:
    """Note the day in `did`, in two steps."""
    did.append(run.day)
    return Done(1) if run.place else More(0, "half")


@pytest.fixture
def resting() -> list[Deferred[None]]:
    did.clear()
    return []


def a_service(database: LocalDatabase, resting: list[Deferred[None]]) -> SchedulerService:
    clock = ThreadedClock()

    def rest() -> Deferred[None]:
        resting.append(Deferred())
        return resting[-1]

    appointments = Appointments(
        database,
        (Appointment("note", When(time(3, 0)), note),),
        ZoneInfo("Asia/Shanghai"),
        "host",
        lambda: NOON + timedelta(seconds=clock.seconds()),
        rest,
    )
    return SchedulerService(
        database,
        RecordingOperator(),  # type: ignore[arg-type]  # no order is quoted here
        clock,
        lambda: NOON,
        timetable=(),
        appointments=appointments,
        host="host",
        undo_min=30,
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_the_calendar_missed_is_done_when_the_service_starts(
    database: LocalDatabase, resting: list[Deferred[None]]
) -> None:
    service = a_service(database, resting)
    service.startService()
    resting[0].callback(None)
    assert did == [date(2026, 11, 26)] * 2
    service.stopService()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_service_that_ends_in_the_middle_of_a_job_begins_no_other_step(
    database: LocalDatabase, resting: list[Deferred[None]]
) -> None:
    service = a_service(database, resting)
    service.startService()
    ended = service.stopService()
    assert ended is not None
    over: list[object] = []
    ended.addCallback(over.append)
    assert over == []
    resting[0].callback(None)
    assert len(over) == 1
    assert len(did) == 1
