"""Where time and ids come from; everything else is given them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from secrets import token_hex


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return an id that nobody else makes: 32 hexadecimal digits, 12 of them the time in ms.

    Rows made one after the other then lie side by side in every index (docs/adr/0014).
    """
    return f"{time.time_ns() // 1_000_000:012x}{token_hex(10)}"
