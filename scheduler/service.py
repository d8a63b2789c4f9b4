"""APScheduler as a Twisted service: the timetable, the calendar, and orders as they come due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog
from apscheduler.schedulers.twisted import TwistedScheduler
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.internet.threads import blockingCallFromThread
from twisted.python.failure import Failure

from catalog.values import mask
from ordering.orders import Order
from ordering.provisioning import Operator
from scheduler.appointments import Appointments
from scheduler.jobs import fulfil_due
from scheduler.timetable import Duty
from store.database import Database

log = structlog.get_logger()

POLL_S = 1.0
"""How late an order that another host or a clock made due may be noticed."""
CALENDAR_S = 5
"""How late an appointment may be kept: no list waits for it."""


class SchedulerService(Service):
    """Runs the timetable, and drains due orders whenever the store announces one."""

    def __init__(
        self,
        database: Database,
        operator: Operator,
        reactor: Any,  # IReactorTime, IReactorCore and a thread pool in one
        now: Callable[[], datetime],
        *,
        timetable: Sequence[Duty],
        appointments: Appointments,
        host: str,
        undo_min: int,
    ) -> None:
        self._database = database
        self._operator = operator
        self._reactor: Any = reactor
        self._now = now
        self._timetable = timetable
        self._appointments = appointments
        self._host = host
        self._undo_min = undo_min
        self._scheduler: TwistedScheduler | None = None
        self._poll = LoopingCall(self._wake)
        self._poll.clock = reactor
        self._draining: Deferred[None] | None = None
        self._keeping: Deferred[None] | None = None
        self._again = False
        self._unsubscribe: Callable[[], None] | None = None
        self.failures = 0

    def startService(self) -> None:
        """Begin: every duty at its own pace, orders and what the calendar missed at once."""
        super().startService()
        self._scheduler = TwistedScheduler(reactor=self._reactor, timezone="UTC")
        for duty in self._timetable:
            self._scheduler.add_job(
                self._run_duty,
                "interval",
                args=(duty,),
                id=duty.name,
                seconds=duty.every_s,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )
        self._scheduler.add_job(
            self._reactor.callFromThread,
            "interval",
            args=(self._keep_appointments,),
            id="appointments",
            seconds=CALENDAR_S,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        self._scheduler.start()
        self._keep_appointments()
        self._unsubscribe = self._database.on_change("orders", self._wake)
        self._poll.start(POLL_S)

    def stopService(self) -> Deferred[list[None]] | None:
        """End; an order being taken, and the step of a job, finish first."""
        super().stopService()
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._poll.running:
            self._poll.stop()
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
        under_way = [one for one in (self._draining, self._keeping) if one is not None]
        return gatherResults(under_way) if under_way else None

    def health(self) -> tuple[bool, str]:
        """Say whether the timetable runs."""
        running = self._scheduler is not None and self._scheduler.running
        failures = self.failures + self._appointments.failures
        return bool(running), f"{len(self._timetable)} duties, {failures} failures"

    def _wake(self) -> None:
        if not self.running:
            return
        if self._draining is not None:
            self._again = True
            return
        self._draining = Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        try:
            self._again = True
            while self._again and self.running:
                self._again = False
                await fulfil_due(
                    self._database,
                    self._operator,
                    self._host,
                    self._undo_min,
                    self._now,
                    self._step_failed,
                    lambda: bool(self.running),
                )
        except Exception:  # the edge of a job: the next poll tries again
            self.failures += 1
            log.exception("fulfilment_failed")
        finally:
            self._draining = None

    def _step_failed(self, order: Order, failure: Failure) -> None:
        self.failures += 1
        log.error(
            "order_step_failed",
            order_id=order.order_id,
            msisdn=mask(order.msisdn),
            tone_code=order.tone_code,
            state=order.state,
            error=failure.getErrorMessage(),
            traceback=failure.getTraceback(),
        )

    def _keep_appointments(self) -> None:
        if self.running and self._keeping is None:
            going_on = self._appointments.keep(lambda: bool(self.running))
            self._keeping = Deferred.fromCoroutine(going_on)
            self._keeping.addBoth(self._kept)

    def _kept(self, _: object) -> None:
        self._keeping = None

    def _run_duty(self, duty: Duty) -> None:
        """Run one duty from a pool thread, where APScheduler calls it."""
        try:
            run: Any = self._database.run
            changed = blockingCallFromThread(
                self._reactor, run, duty.job, self._now(), *duty.values
            )
        except Exception:  # the edge of a job: the timetable goes on
            self.failures += 1
            log.exception("duty_failed", duty=duty.name)
        else:
            log.debug("duty_done", duty=duty.name, changed=changed)
