from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.dtmf import COLUMNS, KEYS, ROWS, find_digits
from tests.fakes.recordings import a_digit, a_melody, silence


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("column", range(4))
def test_every_key_is_known_with_its_time(row: int, column: int) -> None:
    sound = np.concatenate([silence(0.5), a_digit(ROWS[row], COLUMNS[column], 0.1), silence(0.5)])
    (digit,) = find_digits(sound)
    assert digit.key == KEYS[row][column]
    assert digit.start_ms == pytest.approx(500, abs=15)
    assert digit.duration_ms == pytest.approx(100, abs=30)


def a_pair(row_share: float, column_share: float, twist_db: float, ms: int) -> int:
    """Return how many keys are heard in 852 and 1336 Hz, each off by so much."""
    time = np.arange(ms * 8) / 8000
    low = 0.1 * np.sin(2 * np.pi * 852 * row_share * time)
    high = 0.1 * 10 ** (twist_db / 20) * np.sin(2 * np.pi * 1336 * column_share * time)
    return len(find_digits(np.concatenate([silence(0.1), low + high, silence(0.1)])))


@pytest.mark.parametrize("ms", [50, 100])
@pytest.mark.parametrize("off", [-0.014, 0, 0.014])
@pytest.mark.parametrize("twist_db", [-7, 0, 3])
def test_what_a_telephone_must_accept_is_a_key(ms: int, off: float, twist_db: float) -> None:
    assert a_pair(1 + off, 1 - off, twist_db, ms) == 1


@pytest.mark.parametrize(
    ("row_share", "column_share", "twist_db", "ms"),
    [
        (1.04, 1, 0, 100),  # a frequency too far off
        (1, 0.96, 0, 100),
        (1, 1, 6, 100),  # too much twist, one way and the other
        (1, 1, -11, 100),
        (1, 1, 0, 22),  # too short
    ],
)
def test_what_a_telephone_must_reject_is_none(
    row_share: float, column_share: float, twist_db: float, ms: int
) -> None:
    assert a_pair(row_share, column_share, twist_db, ms) == 0


def test_a_key_under_louder_music_is_none() -> None:
    drone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    assert find_digits(a_digit(697, 1209, 1) + drone) == ()


def test_one_long_key_is_one_and_two_with_a_pause_are_two() -> None:
    five = a_digit(770, 1336, 0.5)
    assert len(find_digits(five)) == 1
    assert len(find_digits(np.concatenate([five, silence(0.1), five]))) == 2


def test_neither_melody_nor_silence_nor_noise_is_a_key() -> None:
    noise = 0.2 * np.random.default_rng(1).standard_normal(80_000)
    for sound in (a_melody(20), silence(1), noise, np.empty(0), silence(0.001)):
        assert find_digits(sound) == ()


@given(st.lists(st.floats(-1, 1, width=32), max_size=3000))
def test_any_sound_is_searched(samples: list[float]) -> None:
    for digit in find_digits(np.array(samples)):
        assert digit.duration_ms >= 40
