"""faults.py: what is wrong with a recording that shall become a tone, and at which second."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio.formats import RATE_HZ, Samples

SILENCE_DBFS = -50.0
LONGEST_SILENCE_S = 2.0
MOST_CLIPPED = 0.001
"""Share of samples."""
_FRAME_MS = 10
_FULL = 32_734  # of 32,768: 0.999, where converters that round differently all arrive
_CLIPPED_RUN = 3  # a peak that just touches full scale is no clipping; a flat top is


def sounding_ms(sound: Samples) -> tuple[int, int]:
    """Return from where to where there is any sound; (0, 0): it is silent throughout."""
    loud = np.flatnonzero(~_silent(sound))
    if not loud.size:
        return 0, 0
    return int(loud[0]) * _FRAME_MS, (int(loud[-1]) + 1) * _FRAME_MS


def longest_silence_s(sound: Samples) -> tuple[float, float]:
    """Return where the longest silence within begins, and how long it is; (0, 0): there is none.

    Silence at either end is none within.
    """
    start, end = (at // _FRAME_MS for at in sounding_ms(sound))
    loud = np.flatnonzero(~_silent(sound)[start:end])
    if loud.size < 2:
        return 0.0, 0.0
    gaps = np.diff(loud) - 1
    longest = int(gaps.argmax())
    begin = start + int(loud[longest]) + 1
    return begin * _FRAME_MS / 1000, int(gaps[longest]) * _FRAME_MS / 1000


def clipping(frames: NDArray[np.int16], rate_hz: int) -> tuple[float, float]:
    """Return the share of clipped samples, and the second that has most of them.

    `frames` is (samples, channels) as it was recorded. Clipped are three samples in a row, or more,
    of one channel at full scale.
    """
    if not frames.size:
        return 0.0, 0.0
    full = (frames >= _FULL) | (frames <= -_FULL)
    if not full.any():
        return 0.0, 0.0
    counts = np.zeros(len(frames), dtype=np.int32)
    for channel in range(frames.shape[1]):
        counts += _in_runs(full[:, channel])
    seconds = np.add.reduceat(counts, np.arange(0, len(counts), rate_hz))
    return float(counts.sum() / frames.size), float(seconds.argmax())


def _in_runs(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the marks that stand in a run of `_CLIPPED_RUN` or more."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False])).astype(np.int8)))
    kept = np.zeros(marked.size + 1, dtype=np.int8)
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= _CLIPPED_RUN
    kept[starts[long]] += 1
    kept[ends[long]] -= 1
    return np.cumsum(kept)[:-1].astype(bool)


def _silent(sound: Samples) -> NDArray[np.bool_]:
    """Return for each 10 ms whether it is silent; a rest of less than that is left out."""
    frame = RATE_HZ * _FRAME_MS // 1000
    power = np.square(sound[: sound.size // frame * frame].reshape(-1, frame)).mean(axis=1)
    return np.asarray(power < 10 ** (SILENCE_DBFS / 10))
