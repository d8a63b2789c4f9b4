from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, select

from scheduler import runs
from scheduler.runs import Done, More, Run, Said, Step, once_a_period
from store.database import LocalDatabase
from store.schema import job_run, no_offers

NOON = datetime(2026, 11, 26, 4, tzinfo=UTC)
RUN = Run("count", "2026-11-26", date(2026, 11, 26), "here", NOON)
THERE = replace(RUN, host="there")
SAID = Said("counted", {"owners": ["yangzhou"]})


@once_a_period
def count(connection: Connection, run: Run, steps: int) -> Done | More:
    """Add a row at each step, and say so at the end."""
    number = int(run.place or 0) + 1
    row = {"msisdn": f"{run.job}{len(rows(connection))}", "since": run.at}
    connection.execute(insert(no_offers), row)
    return Done(1, (SAID,)) if number == steps else More(1, str(number))


@once_a_period
def fail(connection: Connection, run: Run) -> Done:
    """Write something and die."""
    count_row = {"msisdn": run.period, "since": run.at}
    connection.execute(insert(no_offers), count_row)
    raise RuntimeError("the host died")


def rows(connection: Connection) -> list[str]:
    return list(connection.execute(select(no_offers.c.msisdn)).scalars())


def step(database: LocalDatabase, run: Run, steps: int = 1) -> Step:
    return database.run_now(count, run, steps)


def later(run: Run, **delay: float) -> Run:
    return replace(run, at=run.at + timedelta(**delay))


def test_a_period_is_done_once_and_the_next_again(database: LocalDatabase) -> None:
    assert step(database, RUN) == Step("done", 1, said=(SAID,))
    database.run_now(runs.told, RUN)
    assert step(database, RUN) == Step("done")
    assert step(database, later(RUN, days=300)) == Step("done")
    assert step(database, replace(RUN, period="2026-11-27")).changed == 1
    assert len(database.run_now(rows)) == 2


def test_what_a_job_did_and_its_row_are_one_transaction(database: LocalDatabase) -> None:
    with pytest.raises(RuntimeError):
        database.run_now(fail, RUN)
    assert database.run_now(rows) == []
    assert database.run_now(lambda connection: connection.execute(select(job_run)).all()) == []


def test_what_was_not_logged_before_a_crash_is_said_again_by_whoever_comes_a_minute_later(
    database: LocalDatabase,
) -> None:
    step(database, RUN)
    assert step(database, RUN).said == (SAID,)
    assert step(database, later(THERE, seconds=59)) == Step("elsewhere")
    assert step(database, later(THERE, seconds=60)).said == (SAID,)
    database.run_now(runs.told, later(THERE, seconds=60))
    assert step(database, later(RUN, seconds=61)) == Step("done")
    assert len(database.run_now(rows)) == 1


def test_a_long_job_belongs_to_one_host_until_that_one_is_taken_for_dead(
    database: LocalDatabase,
) -> None:
    assert step(database, RUN, 3) == Step("more", 1, "1")
    assert step(database, later(THERE, seconds=30), 3) == Step("elsewhere")
    assert step(database, replace(later(RUN, seconds=50), place="1"), 3) == Step("more", 1, "2")
    assert step(database, later(THERE, seconds=100), 3) == Step("elsewhere")
    assert step(database, later(THERE, seconds=110), 3) == Step("more", 1, "1")
    assert step(database, later(RUN, seconds=111), 3) == Step("elsewhere")


def test_a_lease_from_a_clock_that_was_ahead_is_no_lease(database: LocalDatabase) -> None:
    step(database, later(THERE, days=400), 2)
    assert step(database, RUN, 2).state == "more"


def test_the_last_period_that_was_done_is_found(database: LocalDatabase) -> None:
    assert database.run_now(runs.last_period, RUN) is None
    step(database, replace(RUN, period="2026-11-20"))
    step(database, replace(RUN, period="2026-11-23"), 2)
    step(database, RUN)
    assert database.run_now(runs.last_period, RUN) == "2026-11-20"


def test_old_runs_are_forgotten(database: LocalDatabase) -> None:
    step(database, RUN)
    assert database.run_now(runs.forget, NOON) == 0
    assert database.run_now(runs.forget, NOON + timedelta(microseconds=1)) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_while_one_host_does_a_step_another_leaves_the_job_to_it(database: LocalDatabase) -> None:
    with database.engine.connect() as one, one.begin():
        assert count(one, RUN, 1).state == "done"
        assert step(database, THERE) == Step("elsewhere")
        other = replace(THERE, job="another")
        assert step(database, other).state == "done"
    assert step(database, later(THERE, seconds=60)).changed == 1
    assert len(database.run_now(rows)) == 2


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_host_that_dies_within_a_step_leaves_it_to_another_at_once(
    database: LocalDatabase,
) -> None:
    with database.engine.connect() as one:
        one.begin()
        count(one, RUN, 1)
        one.invalidate()
    assert step(database, THERE) == Step("done", 1, said=(SAID,))
