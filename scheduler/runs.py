"""Who has done which period of a calendar duty: rows that make every job happen once.

The work and its row are one transaction. Of several hosts one has the duty: a PostgreSQL advisory
lock decides while a step runs, and between the steps of a long job the row's lease. What a job has
to say is stored with its result and logged after the commit, so a crash between the two loses no
alarm; it is logged twice only if the process dies within that moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec

from sqlalchemy import Connection, bindparam, delete, func, select, update

from store.once import insert_once
from store.schema import job_run as table

LEASE = timedelta(seconds=60)
"""A host that was not seen longer than this in the middle of a job is taken for dead."""

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Run:
    """One step of a job's period: `host` wants to do it at the instant `at`.

    `place` is where the step before it ended, empty for the first.
    """

    job: str
    period: str
    day: date
    host: str
    at: datetime
    place: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A log event that a job's result is; the detail is plain JSON."""

    event: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """The job is at its end: so many rows changed, and this is to be logged."""

    changed: int
    said: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class More:
    """A step of a long job is done; the next goes on from `place`."""

    changed: int
    place: str


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a job's step: `elsewhere` means that another host has the job now.

    `said` is what is to be logged and reported by `told`.
    """

    state: Literal["more", "done", "elsewhere"]
    changed: int = 0
    place: str = ""
    said: tuple[Said, ...] = field(default=())


Work = Callable[Concatenate[Connection, Run, P], Done | More]
Job = Callable[Concatenate[Connection, Run, P], Step]

_LOCK = select(func.pg_try_advisory_xact_lock(func.hashtext(bindparam("job"))))
_OF_RUN = (table.c.job == bindparam("of_job"), table.c.period == bindparam("of_period"))
_ONE = select(table).where(*_OF_RUN)
_SEEN = update(table).where(*_OF_RUN).values(host=bindparam("by"), seen_at=bindparam("at"))
_FINISH = (
    update(table)
    .where(*_OF_RUN)
    .values(
        finished_at=bindparam("at"),
        told_at=bindparam("told"),
        changed=bindparam("rows"),
        said=bindparam("words"),
    )
)
_TOLD = update(table).where(*_OF_RUN, table.c.told_at.is_(None)).values(told_at=bindparam("at"))
_LAST = select(func.max(table.c.period)).where(
    table.c.job == bindparam("of_job"),
    table.c.period < bindparam("before"),
    table.c.finished_at.is_not(None),
)
_FORGET = delete(table).where(table.c.finished_at < bindparam("before"))


def once_a_period(work: Work[P]) -> Job[P]:
    """Let work `(connection, run, *values)` happen once: a period that is done is not done again,
    and one that another host has in hand is left to it."""

    @wraps(work)
    def step(connection: Connection, run: Run, /, *values: P.args, **named: P.kwargs) -> Step:
        refused = _take(connection, run)
        if refused is not None:
            return refused
        result = work(connection, run, *values, **named)
        if isinstance(result, More):
            return Step("more", result.changed, result.place)
        _finish(connection, run, result)
        return Step("done", result.changed, said=result.said)

    return step


def _take(connection: Connection, run: Run) -> Step | None:
    """Take the run for this host; return what is to be answered when it is not to be had."""
    if not _is_ours_now(connection, run):
        return Step("elsewhere")
    first = {"job": run.job, "period": run.period, "host": run.host}
    if insert_once(connection, table, {**first, "started_at": run.at, "seen_at": run.at}):
        return None
    row = connection.execute(_ONE, _key(run)).one()
    ours = row.host == run.host or abs(run.at - row.seen_at) >= LEASE
    if row.finished_at is None:
        if not ours:
            return Step("elsewhere")
        connection.execute(_SEEN, {**_key(run), "by": run.host, "at": run.at})
        return None
    if row.told_at is not None:
        return Step("done")
    said = tuple(Said(event, detail) for event, detail in json.loads(row.said))
    return Step("done", row.changed, said=said) if ours else Step("elsewhere")


def _is_ours_now(connection: Connection, run: Run) -> bool:
    """Say whether no other host does a step of this job: SQLite's one writer needs no lock."""
    if connection.dialect.name != "postgresql":
        return True
    # Until the end of the transaction, which a dying host ends as well.
    return bool(connection.execute(_LOCK, {"job": f"toneline {run.job}"}).scalar())


def _finish(connection: Connection, run: Run, result: Done) -> None:
    words = [[one.event, dict(one.detail)] for one in result.said]
    connection.execute(_SEEN, {**_key(run), "by": run.host, "at": run.at})
    connection.execute(
        _FINISH,
        {
            **_key(run),
            "at": run.at,
            "told": None if words else run.at,
            "rows": result.changed,
            "words": json.dumps(words, ensure_ascii=False),
        },
    )


def told(connection: Connection, run: Run) -> None:
    """Record that what the run had to say was logged."""
    connection.execute(_TOLD, {**_key(run), "at": run.at})


def last_period(connection: Connection, run: Run) -> str | None:
    """Return the newest period of the job that was done before this one; None: it is the first."""
    values = {"of_job": run.job, "before": run.period}
    found: str | None = connection.execute(_LAST, values).scalar()
    return found


def forget(connection: Connection, before: datetime) -> int:
    """Delete the runs that ended before an instant; return how many."""
    return connection.execute(_FORGET, {"before": before}).rowcount


def _key(run: Run) -> dict[str, object]:
    return {"of_job": run.job, "of_period": run.period}
