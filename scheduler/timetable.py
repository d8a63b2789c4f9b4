"""What runs when, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any

from scheduler import daily, jobs
from scheduler.periods import When
from scheduler.runs import Step

Job = Callable[..., int]
"""Idempotent: a function `(connection, now, *values)`, returning how many rows it changed."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A job, how often it runs, in seconds, and the values it is given after the instant."""

    name: str
    every_s: int
    job: Job
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Appointment:
    """A job of the calendar: `(connection, run, *values)`, see `scheduler.runs`.

    `catch_up`: so many of its newest periods are done when they were missed, the newest at least.
    """

    name: str
    when: When
    job: Callable[..., Step]
    values: tuple[Any, ...] = ()
    catch_up: int = 1


def timetable(
    *, resent: tuple[str, ...], offers_waiting: int, receipt_timeouts: Mapping[str, timedelta]
) -> tuple[Duty, ...]:
    """Return every duty.

    `resent`: the message classes that are sent again when nobody knows whether they were sent;
    `offers_waiting`: so many may; `receipt_timeouts`: how long each SMSC's receipts are awaited.
    """
    return (
        Duty("expire_questions", 60, jobs.expire_questions),
        Duty("release_stale_orders", 30, jobs.release_stale_orders),
        Duty("release_stale_messages", 5, jobs.release_stale_messages, (resent,)),
        Duty("drop_expired_messages", 30, jobs.drop_expired_messages),
        Duty("measure_queue", 30, jobs.measure_queue, (offers_waiting,)),
        Duty("give_up_receipts", 5, jobs.give_up_receipts, (tuple(receipt_timeouts.items()),)),
    )


FRIDAY = 4


def appointments(*, timezone: str, retention_days: int) -> tuple[Appointment, ...]:
    """Return the calendar in local time, in the order in which missed ones are caught up.

    Only the newest period of each is caught up: an older chart or clean-up is part of it, an
    announcement looks back to the last one, and warnings that were missed are given late.
    """
    local = (timezone,)
    return (
        Appointment("compute_charts", When(time(3, 0)), daily.compute_charts, local),
        Appointment("prepare_week", When(time(20, 0), FRIDAY), daily.prepare_week, local),
        Appointment("announce_switch", When(time(0, 0)), daily.announce_switch, local),
        Appointment("warn_licences", When(time(3, 20)), daily.warn_licences, local),
        Appointment("warn_holidays", When(time(3, 30)), daily.warn_holidays, local),
        Appointment("forget_old", When(time(4, 0)), daily.forget_old, (retention_days,)),
    )
