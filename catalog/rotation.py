"""Next week's editions where a branch left songs to the chart."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection


def prepare_week(connection: Connection, monday: date, now: datetime, timezone: str) -> int:  # noqa: ARG001  not built yet
    """Prepare the `auto` editions of the week that begins on `monday`; return how many."""
    return 0
