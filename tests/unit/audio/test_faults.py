from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.faults import clipping, longest_silence_s, sounding_ms
from tests.fakes.recordings import a_melody, silence


def test_sound_is_found_between_the_silences_at_both_ends() -> None:
    sound = np.concatenate([silence(1.2), a_melody(3), silence(0.7)])
    assert sounding_ms(sound) == (1200, 4200)
    assert sounding_ms(silence(2)) == (0, 0)
    assert sounding_ms(np.empty(0)) == (0, 0)


@given(st.lists(st.floats(0.05, 3), min_size=1, max_size=4))
def test_the_longest_silence_within_is_found(pauses: list[float]) -> None:
    parts = [silence(4)]
    for pause in pauses:
        parts += [a_melody(0.5), silence(round(pause, 2))]
    sound = np.concatenate([*parts, a_melody(0.5), silence(4)])
    begin, length = longest_silence_s(sound)
    assert length == pytest.approx(round(max(pauses), 2), abs=0.021)
    assert begin > 4.4


def frames(*samples: int) -> NDArray[np.int16]:
    return np.array(samples, dtype=np.int16).reshape(-1, 1)


def test_three_samples_in_a_row_at_full_scale_are_clipped() -> None:
    assert clipping(frames(0, 32767, 32767, 0), 4) == (0.0, 0.0)
    assert clipping(frames(0, 0, 0, 0, 0, 32767, 32767, 32767), 4) == (3 / 8, 1.0)
    assert clipping(frames(-32768, -32768, -32768, -32768), 4) == (1.0, 0.0)
    assert clipping(np.empty((0, 2), dtype=np.int16), 4) == (0.0, 0.0)


def test_each_channel_is_looked_at_by_itself() -> None:
    alternating = np.array([[32767, 0], [0, 32767]] * 20, dtype=np.int16)
    assert clipping(alternating, 10)[0] == 0
    right = np.array([[0, 32767]] * 40, dtype=np.int16)
    assert clipping(right, 10)[0] == 0.5
