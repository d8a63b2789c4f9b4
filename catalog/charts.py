"""Ranking that fills what the branch left open."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection


def compute(connection: Connection, now: datetime, timezone: ZoneInfo) -> int:  # noqa: ARG001  not built yet
    """Compute the charts of the local day, once; return how many tones are ranked."""
    return 0
