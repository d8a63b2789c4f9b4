"""What was heard: which sound files a recording contains, in order, and from where in the file.

Pure: samples in (16-bit, 8 kHz), facts out. The line plays files unchanged but for G.711, so a
piece of the recording correlates almost perfectly with the place in the file it came from. A tenth
of a second that sounds is looked up in all candidates at once (normalised cross-correlation by
FFT); the place is then followed forwards and backwards for as long as recording and file agree.
"""

from __future__ import annotations

import wave
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.system.rtp import FRAME_SAMPLES, SAMPLES_PER_S, Samples

Floats = npt.NDArray[np.float32]
QUERY_SAMPLES = 800
LEAST_QUERY_SAMPLES = 320  # less than 40 ms between two holes is no syllable: it is left out
AUDIBLE_RMS = 60.0  # of 32768; G.711's quietest step is 8
# Normalised correlation. A-law costs 0.0001; another vowel of the same voice reaches 0.991.
FOUND = 0.995  # a place in a file, by a tenth of a second or what a hole left of it
SAME = 0.95  # a frame where it is expected
PATIENCE_FRAMES = 3  # frames that disagree before a file counts as left
LOST_MS = 200  # so much of a file may be lost in a hole
LONGEST_HOLE_MS = 1000
UNKNOWN = "?"
BLOCK = 1 << 15


@dataclass(frozen=True, slots=True)
class Heard:
    """A stretch of the recording and the stretch of the file it is; milliseconds.

    ``name`` is UNKNOWN where something sounds that is no candidate. ``file_from_ms`` is 0 when the
    file was heard from its first syllable.
    """

    name: str
    from_ms: int
    until_ms: int
    file_from_ms: int
    file_until_ms: int
    score: float


def read_sound(path: Path) -> Samples:
    """The samples of a .wav file of 8 kHz, 16 bits, mono."""
    with wave.open(str(path), "rb") as file:
        form = (file.getframerate(), file.getsampwidth(), file.getnchannels())
        if form != (SAMPLES_PER_S, 2, 1):
            raise ValueError(f"{path} is not 8 kHz, 16 bits, mono: {form}")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def read_library(folder: Path, *stems: str) -> Library:
    """The sounds of these stems below ``folder``, ready to be recognised by their stems.

    Of sounds that are the same (a digit and a number) only the first can be told.
    """
    different: dict[bytes, str] = {}
    for stem in stems:
        different.setdefault((folder / f"{stem}.wav").read_bytes(), stem)
    return Library({stem: read_sound(folder / f"{stem}.wav") for stem in different.values()})


def recognise(audio: Samples, library: Library) -> list[Heard]:
    """Everything that sounds in ``audio``, in order of time."""
    recording = audio.astype(np.float32)
    found: list[Heard] = []
    position = 0
    while (start := _next_audible(recording, position)) is not None:
        match = _best_match(recording, start, library)
        if match is not None:
            heard, position = _follow(recording, start, position, match, library)
            found.append(heard)
            continue
        length = _unbroken(recording, start)
        if length >= LEAST_QUERY_SAMPLES:
            found.append(Heard(UNKNOWN, _ms(start), _ms(start + length), 0, 0, 0.0))
        position = start + max(length, FRAME_SAMPLES)
    return _joined(found)


def position_ms(audio: Samples, library: Library) -> int | None:
    """How far into one of these sounds the recording is at its end; None if it is in none.

    Two tenths of a second have to agree, so that no syllable is taken for another one.
    """
    recording = audio.astype(np.float32)
    start = max(0, len(recording) - 2 * QUERY_SAMPLES)
    if _next_audible(recording[start:], 0) is None:
        return None
    match = _best_match(recording, start, library)
    if match is None:
        return None
    heard, end = _follow(recording, start, start, match, library)
    return heard.file_until_ms if len(recording) - end < FRAME_SAMPLES else None


def last_sound_ms(audio: Samples) -> int:
    """When the recording's last audible frame ended; 0 if it is silent throughout."""
    loud = np.flatnonzero(_frame_rms(audio.astype(np.float32)) > AUDIBLE_RMS)
    return _ms((int(loud[-1]) + 1) * FRAME_SAMPLES) if len(loud) else 0


@dataclass(frozen=True, slots=True)
class _Match:
    name: str
    offset: int  # in the file, of the query's first sample
    score: float


class Library:
    """All candidates, ready to be searched: one row of samples, its spectrum block by block."""

    def __init__(self, candidates: Mapping[str, Samples]) -> None:
        self.sounds = {name: s.astype(np.float32) for name, s in candidates.items()}
        self._names = list(self.sounds)
        gap = np.zeros(QUERY_SAMPLES, np.float32)
        pieces = [piece for name in self._names for piece in (gap, self.sounds[name])]
        row = np.concatenate([*pieces, gap, gap])
        lengths = [len(self.sounds[name]) + QUERY_SAMPLES for name in self._names]
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._step = BLOCK - QUERY_SAMPLES + 1
        blocks = -(-len(row) // self._step)
        padded = np.zeros((blocks - 1) * self._step + BLOCK, np.float32)
        padded[: len(row)] = row
        view = np.lib.stride_tricks.sliding_window_view(padded, BLOCK)[:: self._step]
        self._spectrum = np.fft.rfft(view, axis=1)
        energy = np.concatenate([[0.0], np.cumsum(padded.astype(np.float64) ** 2)])
        self._energy = energy
        self._norm = self._norms(QUERY_SAMPLES)

    def _norms(self, length: int) -> Floats:
        """The norm of every stretch of this length, with a floor that keeps silence silent."""
        window = self._energy[length:] - self._energy[:-length]
        norms: Floats = np.sqrt(np.maximum(window, AUDIBLE_RMS**2)).astype(np.float32)
        return norms

    def find(self, query: Floats) -> list[_Match]:
        """Places that correlate with ``query`` (QUERY_SAMPLES at most), the best eight in order."""
        spectrum = np.conj(np.fft.rfft(query, BLOCK))
        score = np.fft.irfft(self._spectrum * spectrum, BLOCK, axis=1)[:, : self._step].ravel()
        norm = self._norm if len(query) == QUERY_SAMPLES else self._norms(len(query))
        score = score / (norm[: len(score)] * max(float(np.linalg.norm(query)), 1.0))
        matches: list[_Match] = []
        while len(matches) < 8:
            best = int(np.argmax(score))
            if score[best] < FOUND:
                break
            which = int(np.searchsorted(self._starts, best, "right")) - 1
            offset = best - int(self._starts[which]) - QUERY_SAMPLES
            matches.append(_Match(self._names[which], offset, float(score[best])))
            score[max(0, best - 40) : best + 40] = 0
        return matches


def _best_match(recording: Floats, start: int, library: Library) -> _Match | None:
    """Of the places that fit here the one that fits longest, then best, then the earliest."""
    length = _unbroken(recording, start)
    if length < LEAST_QUERY_SAMPLES:
        return None
    matches = library.find(recording[start : start + length])

    def reach(match: _Match) -> int:
        first, offset = _on_grid(start, match)
        return first + _agreement(recording[first:], library.sounds[match.name][offset:])

    reaches = [(reach(match), match) for match in matches]
    furthest = max((end for end, _ in reaches), default=0)
    # A vowel resembles itself one period of the voice later, so a frame more or less says nothing
    close = [match for end, match in reaches if end > furthest - 2 * FRAME_SAMPLES]
    return max(close, key=lambda match: (round(match.score, 2), -match.offset), default=None)


def _follow(
    recording: Floats, start: int, floor: int, match: _Match, library: Library
) -> tuple[Heard, int]:
    first, offset = _on_grid(start, match)
    sound = library.sounds[match.name]
    forward = _agreement(recording[first:], sound[offset:])
    if len(sound) - offset - forward <= FRAME_SAMPLES:
        forward = min(len(sound) - offset, len(recording) - first)  # the last, shorter packet
    backward = _agreement(recording[floor:first][::-1], sound[:offset][::-1])
    heard = Heard(
        name=match.name,
        from_ms=_ms(first - backward),
        until_ms=_ms(first + forward),
        file_from_ms=_ms(offset - backward),
        file_until_ms=_ms(offset + forward),
        score=match.score,
    )
    return heard, first + max(forward, FRAME_SAMPLES)


def _on_grid(start: int, match: _Match) -> tuple[int, int]:
    """Place in recording and file, moved to where a packet of the file begins."""
    shift = -match.offset if match.offset < 0 else -(match.offset % FRAME_SAMPLES)
    if start + shift < 0:
        shift += FRAME_SAMPLES
    return start + shift, match.offset + shift


def _agreement(recording: Floats, sound: Floats) -> int:
    """For how many samples both are the same sound or both silent; whole frames."""
    frames = min(len(recording), len(sound)) // FRAME_SAMPLES
    if frames == 0:
        return 0
    a = recording[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
    b = sound[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    score = np.einsum("ij,ij->i", a, b) / np.maximum(norms, 1.0)
    floor = AUDIBLE_RMS * np.sqrt(FRAME_SAMPLES)
    quiet = np.maximum(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)) < 2 * floor
    agrees = (score > SAME) | quiet
    run = np.convolve(~agrees, np.ones(PATIENCE_FRAMES, np.int32), "valid") == PATIENCE_FRAMES
    left = int(np.argmax(run)) if run.any() else frames
    good = np.flatnonzero(agrees[:left])
    return (int(good[-1]) + 1) * FRAME_SAMPLES if len(good) else 0


def _unbroken(recording: Floats, start: int) -> int:
    """How many samples from here on came without a hole, QUERY_SAMPLES at most.

    A hole is where nothing came at all: samples that are exactly zero, which A-law never is.
    """
    piece = recording[start : start + QUERY_SAMPLES]
    frames = len(piece) - FRAME_SAMPLES + 1
    if frames <= 0:
        return len(piece)
    nothing = np.convolve(piece == 0, np.ones(FRAME_SAMPLES, np.int32), "valid") == FRAME_SAMPLES
    return int(np.argmax(nothing)) if nothing.any() else len(piece)


def _next_audible(recording: Floats, position: int) -> int | None:
    loud = np.flatnonzero(_frame_rms(recording[position:]) > AUDIBLE_RMS)
    if not len(loud):
        return None
    start = position + int(loud[0]) * FRAME_SAMPLES
    return start + int(np.argmax(recording[start:] != 0))  # a hole may end within the frame


def _frame_rms(recording: Floats) -> Floats:
    frames = len(recording) // FRAME_SAMPLES
    cut = recording[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
    rms: Floats = np.sqrt(np.mean(cut**2, axis=1))
    return rms


def _joined(found: list[Heard]) -> list[Heard]:
    """Join stretches that are one: the same file going on after a hole, unknown after unknown."""
    joined: list[Heard] = []
    for heard in found:
        last = joined[-1] if joined else None
        if last is not None and _continues(last, heard):
            joined[-1] = replace(last, until_ms=heard.until_ms, file_until_ms=heard.file_until_ms)
        else:
            joined.append(heard)
    return joined


def _continues(last: Heard, heard: Heard) -> bool:
    hole_ms = heard.from_ms - last.until_ms
    if last.name != heard.name or hole_ms > LONGEST_HOLE_MS:
        return False
    if last.name == UNKNOWN:
        return hole_ms <= LOST_MS
    return -40 <= heard.file_from_ms - last.file_until_ms <= LOST_MS


def _ms(samples: int) -> int:
    return samples * 1000 // SAMPLES_PER_S
