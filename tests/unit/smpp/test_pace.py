from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.pace import AHEAD_S, BURST_S, JITTER_S, Pace


def leave(pace: Pace, until: float, step: float = 0.001, now: float = 0.0) -> list[float]:
    """Return when messages left, as many as may, looked after every `step`."""
    times = []
    while now < until:
        while pace.ready_at(now) <= now:
            pace.take(now)
            times.append(now)
        now += step
    return times


def test_without_a_limit_everything_leaves_at_once() -> None:
    pace = Pace(0)
    for _ in range(10_000):
        assert pace.ready_at(5.0) == 5.0
        pace.take(5.0)
    assert pace.ahead(5.0) > 10_000


@pytest.mark.parametrize("tps", [1, 7, 100, 1000])
def test_the_licensed_rate_is_nearly_reached(tps: int) -> None:
    times = leave(Pace(tps), 20.0)
    assert len(times) >= 0.98 * 20 * tps


@pytest.mark.parametrize("seed", range(5))
def test_late_timers_cost_little_of_the_rate(seed: int) -> None:
    """Each rings up to 3 ms too late, and one in a hundred 40 ms."""
    random = Random(seed)
    pace, now, count = Pace(100), 0.0, 0
    while now < 20.0:
        late = 0.04 if random.random() < 0.01 else random.uniform(0.0, 0.003)
        now = pace.ready_at(now) + late
        while pace.ready_at(now) <= now:
            pace.take(now)
            count += 1
    assert count >= 0.98 * 20 * 100


@given(
    st.integers(1, 300),
    st.lists(st.floats(0.0, 0.5, allow_nan=False), min_size=1, max_size=60),
    st.sampled_from(["steady", "throttled"]),
)  # fmt: skip
def test_no_sliding_second_has_more_whenever_messages_come(
    tps: int, waits: list[float], how: str
) -> None:
    pace, now, times = Pace(tps), 0.0, []
    for wait in waits:
        now += wait
        for _ in range(2 * tps):
            if pace.ready_at(now) > now:
                break
            pace.take(now)
            times.append(now)
        if how == "throttled" and wait > 0.45:
            pace.throttled(now)
    for first, after in zip(times, times[tps:], strict=False):
        assert after - first >= 1.0 + JITTER_S


def test_a_message_may_leave_when_it_says() -> None:
    pace = Pace(10)
    pace.take(0.0)
    at = pace.ready_at(0.0)
    assert at == pytest.approx(0.1 - BURST_S)
    assert pace.ready_at(at) == at


def test_what_silence_left_over_leaves_together() -> None:
    pace = Pace(100)
    assert len([at for at in leave(pace, 5.001, now=5.0) if at == 5.0]) == 6


def test_only_what_leaves_soon_is_taken_ahead() -> None:
    assert Pace(1).ahead(0.0) == 1
    assert Pace(200).ahead(0.0) == math.ceil(AHEAD_S * 200)


def test_pauses_double_until_something_is_accepted() -> None:
    pace, now = Pace(0), 0.0
    for pause in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0):
        pace.throttled(now)
        assert pace.is_paused(now + pause - 0.01)
        now += pause
        assert not pace.is_paused(now)
    pace.accepted()
    pace.throttled(now)
    assert not pace.is_paused(now + 0.5)


def test_a_window_of_refusals_is_one_reason_to_pause() -> None:
    pace = Pace(0)
    for at in (0.0, 0.1, 0.4):
        pace.throttled(at)
    assert pace.ready_at(0.4) == 0.5


def throttled_at_a_hundred() -> Pace:
    pace = Pace(0)
    for n in range(200):
        pace.take(n / 100)
    pace.throttled(2.0)
    return pace


def test_after_throttling_nine_tenths_of_the_rate_leave_and_then_more() -> None:
    times = leave(throttled_at_a_hundred(), 22.5, now=2.0)
    assert times[0] >= 2.5
    per_second = [sum(second <= at < second + 1 for at in times) for second in range(3, 22)]
    assert 85 <= per_second[0] <= 95
    assert 95 <= per_second[6] <= 105  # at the limit again after some seven seconds
    assert 165 <= per_second[-1] <= 185
    assert per_second == sorted(per_second)


def test_after_a_while_it_is_forgotten() -> None:
    pace = throttled_at_a_hundred()
    assert pace.ahead(3.0) < 100
    assert pace.ahead(80.0) > 1_000_000 - 1


def test_recovery_ends_at_the_licensed_rate() -> None:
    pace = Pace(100)
    for n in range(100):
        pace.take(n * 0.01015)
    pace.throttled(1.02)
    assert len(leave(pace, 101.52, now=1.52)) <= 100 * 100


def test_throttling_out_of_silence_still_lets_one_a_second_leave() -> None:
    pace = Pace(0)
    pace.throttled(0.0)
    assert 1 <= len(leave(pace, 2.0)) <= 3


@pytest.mark.parametrize(
    ("at", "rate"), [(0.9, 90), (1.5, 45 + 20), (1.9, 9 + 36), (2.9, 4), (5.0, 1)]
)
def test_the_rate_that_was_too_much_is_that_of_the_last_second(at: float, rate: int) -> None:
    """Ninety in the first second; from the second one, forty evenly for a second."""
    pace = Pace(0)
    sent = [n / 90 for n in range(90)] + [1.0 + n / 40 for n in range(40)]
    for when in sent:
        if when <= at:
            pace.take(when)
    pace.throttled(at)

    assert pace.ahead(at) == pytest.approx(math.ceil(0.1 * 0.9 * rate), abs=1)
