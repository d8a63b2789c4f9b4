"""how fast messages may leave: the SMSC's licensed rate, and slower while it asks for patience.

A `Pace` outlives connections: an SMSC counts on when a bind comes back. Time is monotonic seconds,
passed in.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

JITTER_S: Final = 0.012
"""Messages sent so much more than a second apart may arrive closer: no SMSC sees one too many."""

BURST_S: Final = 0.05
"""What could have left in this time may leave together: after silence, and when a timer is late."""

AHEAD_S: Final = 0.1
"""Messages are taken from the outbox so long before they may leave."""

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 32.0
_SLOWER: Final = 0.9
_DOUBLING_S: Final = 20.0
_UNLIMITED: Final = 10_000.0
_MUCH: Final = 1_000_000


class Pace:
    """When the next submit_sm may leave.

    In no sliding second more than `tps`, since the last so many are remembered; and evenly, by the
    generic cell rate algorithm (ITU-T I.371, annex A), so that what is urgent never waits behind a
    second's worth of messages.

    After RTHROTTLED or RMSGQFUL comes a pause, doubled while nothing is accepted in between, then
    nine tenths of the rate that was too much. From there it grows slowly at first and ever faster
    (doubled after 20 s, eightfold after 35 s), so that the SMSC's limit is probed seldom if it is a
    lasting one, and soon left behind if it was passing.
    """

    def __init__(self, tps: int) -> None:
        """`tps`: PDUs in any second; 0 for no limit."""
        self._least_s = 1.0 / tps if tps else 0.0
        self._last: deque[float] = deque(maxlen=tps)
        self._unlimited = float(tps) or _UNLIMITED
        self._due = float("-inf")
        self._paused_until = float("-inf")
        self._pause_s = _FIRST_PAUSE_S
        self._slow: tuple[float, float] | None = None  # the rate after the last throttling, when
        # What left in this second and in the one before, to know what was too much.
        self._second, self._count, self._before = float("-inf"), 0, 0

    def ready_at(self, now: float) -> float:
        """When the next message may leave; now or earlier: at once."""
        ready_at = max(self._due - BURST_S, self._paused_until, now)
        if self._last and len(self._last) == self._last.maxlen:
            return max(ready_at, self._last[0] + 1.0 + JITTER_S)
        return ready_at

    def take(self, now: float) -> None:
        """A message leaves."""
        self._count_one(now)
        interval = self._interval_s(now)
        if interval:
            self._due = max(self._due, now) + interval
            self._last.append(now)

    def throttled(self, now: float) -> None:
        """The SMSC asks for patience; a window's worth of such answers is one reason to slow."""
        if now < self._paused_until:
            return
        rate = max(1.0, _SLOWER * self._rate(now))
        self._slow = (rate, now + self._pause_s)
        self._paused_until = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def accepted(self) -> None:
        """The SMSC took a message: its next pause is a short one again."""
        self._pause_s = _FIRST_PAUSE_S

    def is_paused(self, now: float) -> bool:
        """Whether nothing leaves for now."""
        return now < self._paused_until

    def ahead(self, now: float) -> int:
        """How many messages may wait here: what leaves within AHEAD_S, one at least."""
        interval = self._interval_s(now)
        return max(1, math.ceil(AHEAD_S / interval)) if interval else _MUCH

    def _interval_s(self, now: float) -> float:
        if self._slow is None:
            return self._least_s
        rate, since = self._slow
        rate *= 2.0 ** min(((now - since) / _DOUBLING_S) ** 2, 64.0) if now > since else 1.0
        if rate >= self._unlimited:
            self._slow = None
            return self._least_s
        return max(1.0 / rate, self._least_s)

    def _count_one(self, now: float) -> None:
        if now >= self._second + 1.0:
            self._before = self._count if now < self._second + 2.0 else 0
            self._second, self._count = now, 0
        self._count += 1

    def _rate(self, now: float) -> float:
        """Messages in the last second: all of this one's, and the rest of the one's before."""
        passed = now - self._second
        if passed >= 1.0:
            return self._count * max(0.0, 2.0 - passed)
        return self._count + self._before * (1.0 - passed)
