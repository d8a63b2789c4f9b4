"""how fast messages may leave: the SMSC's licensed rate, and slower while it asks for patience.

A `Pace` outlives connections: an SMSC counts on when a bind comes back. Time is monotonic seconds,
passed in.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

JITTER_S: Final = 0.006
"""A place is kept so much longer than a second: how well the promptest answer is known."""

LATEST_S: Final = 0.5
"""A message is taken to have arrived so much later than a prompt one, at the latest."""

BURST_S: Final = 0.05
"""What could have left in this time may leave together: after silence, and when a timer is late."""

AHEAD_S: Final = 0.1
"""Messages are taken from the outbox so long before they may leave."""

_REMEMBERED_S: Final = 30.0  # the promptest answer is that of the last 30 to 60 s
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 32.0
_SLOWER: Final = 0.9
_DOUBLING_S: Final = 20.0
_NEVER: Final = float("inf")
_UNLIMITED: Final = 10_000.0
_MUCH: Final = 1_000_000


@dataclass(slots=True)
class _Place:
    """One of the `tps` places in a second: taken when a message was sent, until `free_at`."""

    sent_at: float
    free_at: float


class Pace:
    """When the next submit_sm may leave.

    The SMSC sees no more than `tps` in any sliding second *of its own*, however long each is on its
    way (up to LATEST_S: an SMSC that takes its time must not cost more than a third of the rate,
    and what is later still may be throttled). When one arrived is not known, but it was before its
    answer left. An answer takes at least as long as the promptest one of late (way there, the
    SMSC's work, way back); by what it took longer, its message may have arrived late, and so much
    longer than a second its place stays taken. Of any tps + 1 messages the last is sent when the
    first one's place is free, and therefore arrives a second after it or later. With answers of an
    even 20 ms this costs next to nothing, where a second from each answer on would cost two of a
    hundred. An answer also tells that all that was sent before it by the same bind has arrived,
    since TCP keeps the order: a lost answer holds up nothing.

    Within that they leave evenly, by the generic cell rate algorithm (ITU-T I.371, annex A), so
    that what is urgent never waits behind a second's worth of messages.

    After RTHROTTLED or RMSGQFUL comes a pause, doubled while nothing is accepted in between, then
    nine tenths of the rate that was too much. From there it grows slowly at first and ever faster
    (doubled after 20 s, eightfold after 35 s), so that the SMSC's limit is probed seldom if it is a
    lasting one, and soon left behind if it was passing.
    """

    def __init__(self, tps: int) -> None:
        """`tps`: PDUs in any second; 0 for no limit."""
        self._least_s = 1.0 / tps if tps else 0.0
        self._last: deque[_Place] = deque(maxlen=tps)
        self._unanswered: defaultdict[Hashable, deque[_Place]] = defaultdict(deque)
        # The promptest answer since a moment, and in the time before it.
        self._promptest_s, self._before_s, self._since = _NEVER, _NEVER, float("-inf")
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
            return max(ready_at, self._last[0].free_at)
        return ready_at

    def take(self, bind: Hashable, now: float) -> None:
        """A message leaves by this bind; `accepted` or `refused` wants to know when it did."""
        self._count_one(now)
        interval = self._interval_s(now)
        if interval:
            self._due = max(self._due, now) + interval
        if self._last.maxlen:
            place = _Place(now, now + 1.0 + JITTER_S + LATEST_S)
            self._last.append(place)
            unanswered = self._unanswered[bind]
            while unanswered and unanswered[0].free_at <= now:
                unanswered.popleft()
            unanswered.append(place)

    def accepted(self, bind: Hashable, sent_at: float, now: float) -> None:
        """The SMSC took a message: if a pause is to come, it is a short one again."""
        self._pause_s = _FIRST_PAUSE_S
        took_s = now - sent_at
        self._learn(took_s)
        if now >= self._since + _REMEMBERED_S:
            self._before_s, self._promptest_s, self._since = self._promptest_s, took_s, now
        self._promptest_s = min(self._promptest_s, took_s)
        self._arrived(bind, sent_at, now - min(self._promptest_s, self._before_s))

    def _learn(self, took_s: float) -> None:
        """What was held to be prompt was late, if this answer took less time."""
        promptest_s = min(self._promptest_s, self._before_s)
        if took_s < promptest_s < _NEVER:
            for place in self._last:
                place.free_at += promptest_s - took_s

    def refused(self, bind: Hashable, sent_at: float, now: float) -> None:
        """The SMSC refused a message, which may take no time at all."""
        self._arrived(bind, sent_at, now)

    def throttled(self, now: float) -> None:
        """The SMSC asks for patience; a window's worth of such answers is one reason to slow."""
        if now < self._paused_until:
            return
        rate = max(1.0, _SLOWER * self._rate(now))
        self._slow = (rate, now + self._pause_s)
        self._paused_until = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def is_paused(self, now: float) -> bool:
        """Whether nothing leaves for now."""
        return now < self._paused_until

    def ahead(self, now: float) -> int:
        """How many messages may wait here: what leaves within AHEAD_S, one at least."""
        interval = self._interval_s(now)
        return max(1, math.ceil(AHEAD_S / interval)) if interval else _MUCH

    def _arrived(self, bind: Hashable, sent_at: float, by: float) -> None:
        """What was sent until `sent_at` is there, since `by` (plus the time of a prompt way)."""
        unanswered = self._unanswered[bind]
        while unanswered and unanswered[0].sent_at < sent_at:
            self._free(unanswered.popleft(), by)
        # Of those that left in the same instant the answer is about one, and about none behind it.
        if unanswered and unanswered[0].sent_at == sent_at:
            self._free(unanswered.popleft(), by)

    def _free(self, place: _Place, by: float) -> None:
        place.free_at = min(place.free_at, max(place.sent_at, by) + 1.0 + JITTER_S)

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
