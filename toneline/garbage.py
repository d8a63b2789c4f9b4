"""When Python looks for garbage in a process that takes calls: seldom."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Keep what is here now for good, and collect what comes later seldom.

    A full collection stalls every call for some 150 ms (p99 of the turnaround 62 ms instead of 3.3
    with 500 calls): what is here now stays, and what comes later is small.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
