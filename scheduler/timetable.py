"""What runs when, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scheduler import jobs

Job = Callable[..., int]
"""Idempotent: a function `(connection, now, *values)`, returning how many rows it changed."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A job, how often it runs, in seconds, and the values it is given after the instant."""

    name: str
    every_s: int
    job: Job
    values: tuple[Any, ...] = ()


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
