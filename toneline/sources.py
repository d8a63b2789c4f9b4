"""Where time and ids come from; everything else is given them."""

from __future__ import annotations

from datetime import UTC, datetime
from secrets import token_hex


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return an id that nobody else makes: 32 hexadecimal digits."""
    return token_hex(16)
