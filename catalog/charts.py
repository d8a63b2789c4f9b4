"""Ranking that fills what the branch left open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class ComputeStep:
    """What a step did: how many charts it made, and what is still to be done; empty: nothing."""

    charts: int
    todo: str


def compute_step(
    connection: Connection,  # noqa: ARG001  not built yet
    now: datetime,  # noqa: ARG001  not built yet
    timezone: ZoneInfo,  # noqa: ARG001  not built yet
    todo: str = "",
) -> ComputeStep:
    """Do the first of what is to be done for the charts of the local day; once a day."""
    return ComputeStep(0, todo)
