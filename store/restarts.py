"""How soon a process that died is started again: at once, or less and less often."""

from __future__ import annotations

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 5.0
SETTLED_S = 10.0
"""A process that lived so long was well: the next death starts the back-off anew."""
MOST_FAILED_STARTS = 3
"""After so many who waits for the first process is told that there is none; it is tried on."""


class Restarts:
    """The back-off of one process and those that take its place: none after one that was well."""

    def __init__(self) -> None:
        self.backoff_s = 0.0
        """How long the next one will have to wait, if it does not live long either."""

    def delay_s(self, lived_s: float) -> float:
        """Return when to start the next one, after one that lived so long."""
        delay_s = 0.0 if lived_s >= SETTLED_S else self.backoff_s
        self.backoff_s = min(max(delay_s * 2, FIRST_BACKOFF_S), LONGEST_BACKOFF_S)
        return delay_s
