from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ivr.counts import TURNAROUND_BUCKETS_S, VoiceCounts, turnarounds

SECONDS = st.lists(st.floats(0, 2))


def counted(seconds: list[float]) -> VoiceCounts:
    counts = VoiceCounts()
    for each in seconds:
        counts.observe_turnaround(each)
    return counts


@given(st.lists(SECONDS, min_size=1, max_size=4))
def test_turnarounds_of_several_processes_add_up_as_if_one_had_counted(
    rows: list[list[float]],
) -> None:
    together = counted([each for row in rows for each in row])
    counts, sum_s = turnarounds(map(counted, rows))
    assert counts == list(together.turnarounds)
    assert abs(sum_s - together.turnaround_s) < 1e-9


def test_a_turnaround_as_long_as_a_bound_is_still_within_it() -> None:
    counts = counted([0.0, TURNAROUND_BUCKETS_S[0], TURNAROUND_BUCKETS_S[-1], 1.5])
    assert list(counts.turnarounds) == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]


def test_what_is_counted_in_given_memory_outlives_the_row() -> None:
    memory = bytearray(2 * 160)
    VoiceCounts.from_buffer(memory, 160).calls_total += 3
    assert VoiceCounts.from_buffer(memory).calls_total == 0
    assert VoiceCounts.from_buffer(memory, 160).calls_total == 3
