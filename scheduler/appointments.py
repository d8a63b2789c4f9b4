"""Keeps the calendar's appointments: runs what is due and not done, and says what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from scheduler import runs
from scheduler.periods import Period, missed
from scheduler.runs import Run, Said
from scheduler.timetable import Appointment
from store.database import Database

log = structlog.get_logger()

AGAIN_AFTER = timedelta(minutes=1)
"""A job that failed is tried again after so long."""


class Appointments:
    """One host's view of the calendar. Keeping them twice, late or on two hosts changes nothing.

    `rest` is awaited between two steps of a long job: the store is others' meanwhile.
    """

    def __init__(
        self,
        database: Database,
        appointments: Sequence[Appointment],
        zone: ZoneInfo,
        host: str,
        now: Callable[[], datetime],
        rest: Callable[[], Awaitable[object]],
    ) -> None:
        self._database = database
        self._appointments = appointments
        self._zone = zone
        self._host = host
        self._now = now
        self._rest = rest
        self._done: dict[str, str] = {}
        self._failed_at: dict[str, datetime] = {}
        self.failures = 0
        self.said: Counter[str] = Counter()

    async def keep(self, going_on: Callable[[], bool] = lambda: True) -> None:
        """Run everything that is due by now, as long as it is `going_on`.

        What another host has in hand is asked for at the next call, and what failed a minute later.
        """
        for appointment in self._appointments:
            name, now = appointment.name, self._now()
            due = missed(appointment.when, now, self._zone, appointment.catch_up)
            failed_at = self._failed_at.get(name)
            if self._done.get(name) == due[-1].key or (
                failed_at is not None and abs(now - failed_at) < AGAIN_AFTER
            ):
                continue
            try:
                kept = [await self._keep(appointment, period, going_on) for period in due]
            except Exception:  # the edge of a job: the others go on
                self.failures += 1
                self._failed_at[name] = now
                log.exception("job_failed", job=name)
            else:
                self._failed_at.pop(name, None)
                if all(kept):
                    self._done[name] = due[-1].key

    async def _keep(
        self, appointment: Appointment, period: Period, going_on: Callable[[], bool]
    ) -> bool:
        """Do one period to its end; False: it is not, another host may have it in hand."""
        run = Run(appointment.name, period.key, period.day, self._host, self._now())
        changed = 0
        while going_on():
            step = await self._database.run(appointment.job, run, *appointment.values)
            if step.state == "elsewhere":
                return False
            changed += step.changed
            if step.state == "done":
                await self._tell(run, step.said)
                log.debug("job_done", job=run.job, period=run.period, changed=changed)
                return True
            await self._rest()
            run = replace(run, at=self._now(), place=step.place)
        return False

    async def _tell(self, run: Run, said: Sequence[Said]) -> None:
        if not said:
            return
        for one in said:
            log.warning(one.event, job=run.job, period=run.period, **one.detail)
            self.said[one.event] += 1
        await self._database.run(runs.told, replace(run, at=self._now()))
