"""dtmf.py: what a telephone's detector takes for a key, found in 8 kHz sound.

A tone that holds such a moment presses keys by itself wherever its echo meets a detector. The
thresholds are ITU-T Q.24's as AT&T fills them in: both frequencies within 1.5 % of their nominal
ones, the higher one at most 8 dB below and 4 dB above the lower, 40 ms at least, and nothing else
of weight beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio.formats import RATE_HZ, Samples

ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477, 1633)
KEYS = ("123A", "456B", "789C", "*0#D")
SHORTEST_MS = 40
SHARE = 0.8
"""How much of the power the two frequencies have; detectors ask for about 80 %."""
_LOWEST_TWIST_DB, _HIGHEST_TWIST_DB = -8.0, 4.0  # the column's power against the row's
_TOLERANCE = (0.985, 0.9925, 1.0, 1.0075, 1.015)
_FRAME, _HOP = 200, 40  # samples: 25 ms tell 697 Hz from 770, every 5 ms
_LIKELY_SHARE = 0.35  # of a key's power that its nominal frequencies show when both are 1.5 % off
_QUIETEST_DBFS = -45.0
_CHUNK_FRAMES = 2000


@dataclass(frozen=True, slots=True)
class Digit:
    """A key that would be heard, when and for how long."""

    key: str
    start_ms: int
    duration_ms: int


def find_digits(sound: Samples, share: float = SHARE) -> tuple[Digit, ...]:
    """Return the keys that a detector would hear in samples of full scale 1.0, in order of time.

    A lower `share` is a more suspicious detector.
    """
    heard = _keys(sound, share)
    digits: list[Digit] = []
    for start, length in _runs(heard):
        key = KEYS[heard[start] // len(COLUMNS)][heard[start] % len(COLUMNS)]
        start_ms, end_ms = _ms(start * _HOP), _ms((start + length - 1) * _HOP + _FRAME)
        last = digits[-1] if digits else None
        if end_ms - start_ms < SHORTEST_MS:
            continue
        if last and last.key == key and start_ms - last.start_ms - last.duration_ms < SHORTEST_MS:
            digits[-1] = Digit(key, last.start_ms, end_ms - last.start_ms)
        else:
            digits.append(Digit(key, start_ms, end_ms - start_ms))
    return tuple(digits)


def _runs(heard: NDArray[np.int8]) -> list[tuple[int, int]]:
    """Return (first frame, frames) of every stretch of one key."""
    edges = np.flatnonzero(np.diff(heard)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), heard.size]
    return [
        (start, end - start)
        for start, end in zip(starts, ends, strict=True)
        if end > start and heard[start] >= 0
    ]


def _ms(samples: int) -> int:
    return samples * 1000 // RATE_HZ


def _keys(sound: Samples, share: float) -> NDArray[np.int8]:
    """Return for each frame the key in it, as row * 4 + column; -1: none."""
    if sound.size < _FRAME:
        return np.empty(0, dtype=np.int8)
    frames = np.lib.stride_tricks.sliding_window_view(sound, _FRAME)[::_HOP]
    chunks = range(0, len(frames), _CHUNK_FRAMES)
    return np.concatenate([_keys_of(frames[at : at + _CHUNK_FRAMES], share) for at in chunks])


def _keys_of(frames: Samples, share: float) -> NDArray[np.int8]:
    single = np.ascontiguousarray(frames, dtype=np.float32)
    power = np.square(single).mean(axis=1)
    keys = np.full(len(single), -1, dtype=np.int8)
    audible = np.flatnonzero(power > 10 ** (_QUIETEST_DBFS / 10))
    # Looked at closely is only what has some power near both groups: a tenth of most music.
    coarse = sum(_strongest(single[audible], group, (1.0,))[1] for group in (ROWS, COLUMNS))
    likely = audible[coarse > _LIKELY_SHARE * share * power[audible]]
    rows, row_power = _strongest(single[likely], ROWS, _TOLERANCE)
    columns, column_power = _strongest(single[likely], COLUMNS, _TOLERANCE)
    twist_db = 10 * np.log10((column_power + 1e-12) / (row_power + 1e-12))
    is_key = (
        (row_power + column_power > share * power[likely])
        & (twist_db > _LOWEST_TWIST_DB)
        & (twist_db < _HIGHEST_TWIST_DB)
    )
    keys[likely[is_key]] = (rows * len(COLUMNS) + columns)[is_key]
    return keys


def _strongest(
    frames: NDArray[np.float32], group: tuple[int, ...], tolerance: tuple[float, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each frame which frequency of the group is the strongest, and its power."""
    hertz = np.outer(group, tolerance).ravel()
    time = np.arange(_FRAME) / RATE_HZ
    phase = 2 * np.pi * np.outer(time, hertz)
    cosine, sine = np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)
    power = (np.square(frames @ cosine) + np.square(frames @ sine)) * (2 / _FRAME**2)
    best = power.argmax(axis=1)
    return best // len(tolerance), power[np.arange(len(power)), best]
