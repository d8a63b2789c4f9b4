"""What all voice processes have counted, added up for /metrics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ivr.counts import TURNAROUND_BUCKETS_S, VoiceCounts, turnarounds
from toneline.health import Figures

COUNTERS = {
    "calls_total": ("toneline_calls", "Calls that came in"),
    "calls_refused": ("toneline_calls_refused", "Refused: busy or ending"),
    "calls_failed": ("toneline_calls_failed", "Ended by an error"),
    "calls_cut": ("toneline_calls_cut", "Cut: too long, or draining"),
    "protocol_errors": ("toneline_agi_protocol_errors", "Peers that did not speak AGI"),
}
"""Name and help of what is counted, by its field of VoiceCounts."""


def show(figures: Figures, rows: Sequence[VoiceCounts]) -> None:
    """Show what all rows together have counted, one a voice process."""

    def total(field: str) -> int:
        return sum(getattr(row, field) for row in rows)

    live = partial(total, "calls_live")
    figures.gauge("toneline_calls_live", "Calls now on the line", live)
    for field, (name, what) in COUNTERS.items():
        figures.counter(name, what, partial(total, field))
    figures.histogram(
        "toneline_agi_turnaround_seconds",
        "From Asterisk's reply to our next command",
        TURNAROUND_BUCKETS_S,
        lambda: turnarounds(rows),
    )
