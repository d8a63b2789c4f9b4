"""Keeps the calendar's appointments: runs what is due and not done, and says what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from scheduler import runs
from scheduler.periods import Period, missed
from scheduler.runs import Run, Said
from scheduler.timetable import Appointment
from store.database import Database

log = structlog.get_logger()


class Appointments:
    """One host's view of the calendar. Keeping them twice, late or on two hosts changes nothing."""

    def __init__(
        self,
        database: Database,
        appointments: Sequence[Appointment],
        zone: ZoneInfo,
        host: str,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._appointments = appointments
        self._zone = zone
        self._host = host
        self._now = now
        self._done: dict[str, str] = {}
        self.failures = 0
        self.said: Counter[str] = Counter()

    async def keep(self, going_on: Callable[[], bool] = lambda: True) -> None:
        """Run everything that is due by now, as long as it is `going_on`.

        What fails, and what another host has in hand, is tried again at the next call.
        """
        for appointment in self._appointments:
            due = missed(appointment.when, self._now(), self._zone, appointment.catch_up)
            if self._done.get(appointment.name) == due[-1].key:
                continue
            try:
                kept = [await self._keep(appointment, period, going_on) for period in due]
            except Exception:  # the edge of a job: the others go on
                self.failures += 1
                log.exception("job_failed", job=appointment.name)
            else:
                if all(kept):
                    self._done[appointment.name] = due[-1].key

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
            run = replace(run, at=self._now(), place=step.place)
        return False

    async def _tell(self, run: Run, said: Sequence[Said]) -> None:
        if not said:
            return
        for one in said:
            log.warning(one.event, job=run.job, period=run.period, **one.detail)
            self.said[one.event] += 1
        await self._database.run(runs.told, replace(run, at=self._now()))
