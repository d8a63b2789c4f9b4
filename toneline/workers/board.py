"""What all voice workers count, in memory that they share with their parent: a row for each.

Nobody asks anybody: a worker writes its own row, and whoever wants a sum reads all. So a sum is of
this very moment, and what a worker had counted when it was killed is still there for the next one,
which goes on with the same row.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from ctypes import Structure, c_double, sizeof

from ivr.counts import VoiceCounts

SILENT_S = 5.0
"""A worker that has given no sign of life for so long is not well."""
BEAT_S = 1.0
LEAD = 3
"""Callers more than another's that are nothing to speak of."""
TWISTEDS_MOST = 100
"""So many connections Twisted takes in one go, to begin with."""


class Row(Structure):
    """What one worker has counted, and when it last gave a sign of life.

    Seconds of the monotonic clock, which is the same for all processes; 0: it is away.
    """

    counts: VoiceCounts
    beat_s: float

    _fields_ = (("counts", VoiceCounts), ("beat_s", c_double))


class Board:
    """The rows, by the workers' numbers from 1 on less 1."""

    def __init__(self, fileno: int, workers: int) -> None:
        """Look at memory that was made for so many workers."""
        self.fileno = fileno
        memory = mmap.mmap(fileno, workers * sizeof(Row))
        self.rows = tuple(Row.from_buffer(memory, at * sizeof(Row)) for at in range(workers))

    @classmethod
    def make(cls, workers: int) -> Board:
        """Return a board of zeros in memory of its own, which a child finds by `fileno`."""
        fileno = os.memfd_create("toneline-workers")
        os.ftruncate(fileno, workers * sizeof(Row))
        return cls(fileno, workers)

    @property
    def counts(self) -> tuple[VoiceCounts, ...]:
        """What each worker has counted."""
        return tuple(row.counts for row in self.rows)

    def calls_live(self) -> int:
        """Return how many calls all workers have now."""
        return sum(row.counts.calls_live for row in self.rows)

    def calls_of_others(self, worker: int) -> Callable[[], int]:
        """Return what tells how many calls the workers but this one have now."""
        others = [row.counts for row in self._others(worker)]
        return lambda: sum(counts.calls_live for counts in others)

    def room(self, worker: int) -> Callable[[], int]:
        """Return what tells how many more callers a worker may take until it is ahead of another.

        Ahead is who has more callers than another by `LEAD` and a sixteenth of its own; others that
        are away do not count.
        """
        own, others = self.rows[worker - 1].counts, self._others(worker)

        def room() -> int:
            there = [row.counts.connections_live for row in others if row.beat_s]
            if not there:
                return TWISTEDS_MOST
            callers: int = own.connections_live
            return max(min(there) + LEAD + callers // 16 - callers, 0)

        return room

    def is_well(self, worker: int, now_s: float) -> bool:
        """Say whether a worker gave a sign of life lately."""
        return now_s - self.rows[worker - 1].beat_s < SILENT_S

    def bury(self, worker: int) -> int:
        """Take a dead worker's calls off the board and return how many they were."""
        row = self.rows[worker - 1]
        calls = row.counts.calls_live
        row.counts.calls_live = row.counts.connections_live = 0
        row.beat_s = 0.0
        return calls

    def _others(self, worker: int) -> list[Row]:
        return [row for number, row in enumerate(self.rows, start=1) if number != worker]
