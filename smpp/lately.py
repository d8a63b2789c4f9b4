"""who texts much: the messages of each number in this minute, at this host."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

MOST_UNASKED = 10
"""Messages of a number and a minute that are looked up before the store is asked about a flood."""


@dataclass(slots=True)
class Lately:
    """A hint and no more: only the store knows what came to all hosts, and what was a repeat."""

    minute: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def are_many(self, msisdn: str, now: datetime) -> bool:
        """Count a message; say whether a number sends so many that it may have no answer."""
        minute = int(now.timestamp() // 60)
        if minute != self.minute:
            self.minute, self.counts = minute, {}
        self.counts[msisdn] = self.counts.get(msisdn, 0) + 1
        return self.counts[msisdn] > MOST_UNASKED
