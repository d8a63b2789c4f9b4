from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from smpp.pace import AHEAD_S, BURST_S, JITTER_S, LATEST_S, Pace

BIND = "bind"


def leave(pace: Pace, until: float, step: float = 0.001, now: float = 0.0) -> list[float]:
    """Return when messages left, as many as may, looked after every `step`; each is answered."""
    times = []
    while now < until:
        while pace.ready_at(now) <= now:
            pace.take(BIND, now)
            pace.accepted(BIND, now, now)
            times.append(now)
        now += step
    return times


@dataclass
class Wire:
    """One bind to an SMSC: how long each message is on its way, is worked at, its answer is on its
    way; TCP lets none overtake another. `lost`: every so many answers never come."""

    ways_s: Iterator[tuple[float, float, float]]
    lost: int = 0
    sent: int = 0
    arrived_at: list[float] = field(default_factory=list)
    answers: deque[tuple[float, float]] = field(
        default_factory=deque
    )  # when, to what was sent when

    def send(self, now: float) -> None:
        there, work, back = next(self.ways_s)
        self.sent += 1
        self.arrived_at.append(max(now + there, *self.arrived_at[-1:], 0.0))
        answer_at = max(
            self.arrived_at[-1] + work + back, *[at for at, _ in list(self.answers)[-1:]], 0.0
        )
        if not self.lost or self.sent % self.lost:
            self.answers.append((answer_at, now))


def drive(pace: Pace, wires: list[Wire], until: float, window: int, late: Iterator[float]) -> None:
    """Send as much as pace and windows allow; timers ring late by what `late` says."""
    now, turn = 0.0, 0
    open_until: dict[int, deque[float]] = {n: deque() for n in range(len(wires))}
    while now < until:
        for n, wire in enumerate(wires):
            while wire.answers and wire.answers[0][0] <= now:
                pace.accepted(n, wire.answers.popleft()[1], now)
                open_until[n].popleft()
            while open_until[n] and open_until[n][0] <= now:  # lost: given up
                open_until[n].popleft()
        while pace.ready_at(now) <= now:
            free = [n for n in range(len(wires)) if len(open_until[n]) < window]
            if not free:
                break
            n = free[turn % len(free)]
            turn += 1
            pace.take(n, now)
            wires[n].send(now)
            open_until[n].append(now + 3.0)
        coming = [wire.answers[0][0] for wire in wires if wire.answers]
        now = max(now + 1e-4, min([pace.ready_at(now) + next(late), *coming, now + 0.1]))


def most_in_a_second(wires: list[Wire]) -> int:
    """Most arrivals in any sliding second."""
    times = sorted(at for wire in wires for at in wire.arrived_at)
    return max(bisect_left(times, first + 1.0) - n for n, first in enumerate(times))


def test_without_a_limit_everything_leaves_at_once() -> None:
    pace = Pace(0)
    for _ in range(10_000):
        assert pace.ready_at(5.0) == 5.0
        pace.take(BIND, 5.0)
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
            pace.take(BIND, now)
            pace.accepted(BIND, now, now)
            count += 1
    assert count >= 0.98 * 20 * 100


LEAST = (0.001, 0.02, 0.001)
NEVER_LATE = itertools.repeat(0.0)
delay = st.one_of(st.just(0.0), st.floats(0.0, 0.01), st.floats(0.0, 0.45))


@given(
    st.integers(1, 60),
    st.lists(st.tuples(delay, delay, delay), min_size=1, max_size=40),
    st.integers(1, 3),
    st.sampled_from([0, 2, 7]),
)
@example(34, [(0.0078125, 0.0, 0.0), *[(0.0, 0.0, 0.0)] * 3], 1, 0)  # two in the same instant
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_smsc_sees_no_more_in_any_second_however_long_messages_are_on_their_way(
    tps: int, more: list[tuple[float, float, float]], binds: int, lost: int
) -> None:
    """The first message of each bind is the promptest; all arrive within LATEST_S of it."""
    slow = [(LEAST[0] + out, LEAST[1] + work, LEAST[2] + back) for out, work, back in more]
    wires = [Wire(itertools.chain([LEAST], itertools.cycle(slow)), lost) for _ in range(binds)]
    drive(Pace(tps), wires, 3.0, 10, NEVER_LATE)
    assert most_in_a_second(wires) <= tps


@pytest.mark.parametrize("seed", range(5))
def test_with_answers_of_20_ms_and_a_window_of_10_the_licence_is_used(seed: int) -> None:
    """Timers ring up to 2 ms late, each way takes up to 2 ms more than the shortest."""
    random = Random(seed)
    ways = ((random.uniform(0, 0.002), 0.02, random.uniform(0, 0.002)) for _ in itertools.count())
    wire = Wire(ways)
    late = (random.uniform(0, 0.002) for _ in itertools.count())
    drive(Pace(100), [wire], 30.0, 10, late)
    assert len(wire.arrived_at) >= 0.98 * 30 * 100
    assert most_in_a_second([wire]) <= 100


def test_a_lost_answer_holds_up_nothing_while_later_ones_come() -> None:
    wire = Wire(itertools.repeat(LEAST), lost=50)
    drive(Pace(100), [wire], 30.0, 100, NEVER_LATE)
    assert len(wire.arrived_at) >= 0.98 * 30 * 100


def test_a_message_nothing_is_heard_of_keeps_its_place_half_a_second_longer() -> None:
    pace = Pace(1)
    pace.take(BIND, 0.0)
    assert pace.ready_at(0.0) == 1.0 + JITTER_S + LATEST_S


def test_a_message_whose_answer_came_late_keeps_its_place_as_much_longer() -> None:
    pace = Pace(1)
    for sent_at, took in ((0.0, 0.02), (2.0, 0.32)):
        pace.take(BIND, sent_at)
        pace.accepted(BIND, sent_at, sent_at + took)
    assert pace.ready_at(2.5) == pytest.approx(2.0 + 0.3 + 1.0 + JITTER_S)


def test_what_was_held_to_be_prompt_was_late_if_a_prompter_answer_comes() -> None:
    pace = Pace(1)
    pace.take(BIND, 0.0)
    pace.accepted(BIND, 0.0, 0.3)
    pace.accepted(BIND, 0.4, 0.42)
    assert pace.ready_at(0.5) == pytest.approx(0.28 + 1.0 + JITTER_S)


def test_an_answer_that_came_ever_so_late_keeps_a_place_no_longer_than_none_would() -> None:
    pace = Pace(1)
    pace.take(BIND, 0.0)
    pace.accepted(BIND, 0.0, 0.02)
    pace.take(BIND, 2.0)
    pace.accepted(BIND, 2.0, 3.4)
    assert pace.ready_at(3.4) == 2.0 + 1.0 + JITTER_S + LATEST_S


def test_answers_that_all_take_longer_are_the_prompt_ones_after_a_minute() -> None:
    pace = Pace(1)
    for sent_at, took in ((0.0, 0.02), (40.0, 0.1), (80.0, 0.1)):
        pace.take(BIND, sent_at)
        pace.accepted(BIND, sent_at, sent_at + took)
    assert pace.ready_at(80.5) == pytest.approx(81.0 + JITTER_S)


def test_a_refusal_tells_of_its_arrival_but_not_how_prompt_answers_are() -> None:
    pace = Pace(1)
    for sent_at, answer in ((0.0, pace.accepted), (2.0, pace.refused), (4.0, pace.accepted)):
        pace.take(BIND, sent_at)
        answer(BIND, sent_at, sent_at + (0.001 if sent_at == 2.0 else 0.05))
    assert pace.ready_at(4.5) == pytest.approx(5.0 + JITTER_S)


def test_a_message_may_leave_when_it_says() -> None:
    pace = Pace(10)
    pace.take(BIND, 0.0)
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
    pace.accepted(BIND, now, now)
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
        pace.take(BIND, n / 100)
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
        pace.take(BIND, n * 0.01015)
        pace.accepted(BIND, n * 0.01015, n * 0.01015)
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
            pace.take(BIND, when)
    pace.throttled(at)

    assert pace.ahead(at) == pytest.approx(math.ceil(0.1 * 0.9 * rate), abs=1)
