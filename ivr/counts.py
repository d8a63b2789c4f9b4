"""What a voice process counts: a row of numbers in its own memory, or in some that others read.

Every field is eight aligned octets, written by one process and read by any: who reads sees the old
number or the new one, and what was counted outlives the process that counted it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from ctypes import Array, Structure, c_double, c_int64

TURNAROUND_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)


class VoiceCounts(Structure):
    """Calls and turnarounds; all but the first two only grow.

    `connections_live`: calls, and who is about to be one, is refused or has said nothing yet.

    `turnarounds`: one number a bucket, the last for what is longer; `turnaround_s`: their sum.
    `VoiceCounts()` is a row of zeros, `VoiceCounts.from_buffer` one in given memory.
    """

    connections_live: int
    calls_live: int
    calls_total: int
    calls_refused: int
    calls_failed: int
    calls_cut: int
    strangers_refused: int
    protocol_errors: int
    turnarounds: Array[c_int64]
    turnaround_s: float

    _fields_ = (
        ("connections_live", c_int64),
        ("calls_live", c_int64),
        ("calls_total", c_int64),
        ("calls_refused", c_int64),
        ("calls_failed", c_int64),
        ("calls_cut", c_int64),
        ("strangers_refused", c_int64),
        ("protocol_errors", c_int64),
        ("turnarounds", c_int64 * (len(TURNAROUND_BUCKETS_S) + 1)),
        ("turnaround_s", c_double),
    )

    def observe_turnaround(self, seconds: float) -> None:
        """Count how long Asterisk waited for a command of ours.

        A tenth of the cost of a Prometheus histogram: it is counted with every command, while the
        caller's keys are lost.
        """
        self.turnarounds[bisect_left(TURNAROUND_BUCKETS_S, seconds)] += 1
        self.turnaround_s += seconds


def turnarounds(rows: Iterable[VoiceCounts]) -> tuple[Sequence[int], float]:
    """Return how many turnarounds of all rows fall into each bucket, and their sum in seconds."""
    known = tuple(rows)
    counts = [sum(column) for column in zip(*(row.turnarounds for row in known), strict=True)]
    return counts, sum(row.turnaround_s for row in known)
