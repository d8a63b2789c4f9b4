"""What runs when, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from scheduler import jobs

Job = Callable[[Connection, datetime], int]
"""Idempotent: a function of the database and an instant, returning how many rows it changed."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A job and how often it runs, in seconds."""

    name: str
    every_s: int
    job: Job


TIMETABLE = (
    Duty("expire_questions", 60, jobs.expire_questions),
    Duty("release_stale_claims", 30, jobs.release_stale_claims),
)
