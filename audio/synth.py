"""synth.py: a score -> music for a telephone: mixed, in a small room, levelled."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import pyloudnorm
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import butter, oaconvolve, resample_poly, sosfilt

from audio.formats import RATE_HZ, from_samples
from audio.scores import BadScore, Note, Part, Score
from audio.voices import VOICES, Samples, Voice

TARGET_LUFS = -19.0
PEAK_DBFS = -3.5
FADE_IN_S = 0.02
FADE_OUT_S = 0.7
_TAIL_S = 1.6
_LAST_BAR_SLOWER = 0.2
_ROOM_SHARE = 0.16
_REACH = 2 * int(0.005 * RATE_HZ) + 1
_BAND = butter(4, (170, 3300), "bandpass", fs=RATE_HZ, output="sos")


@dataclass(frozen=True, slots=True)
class _Clock:
    """Beats to seconds: an even tempo whose last bar broadens."""

    beat_s: float
    broadens_at: float

    def seconds(self, beat: float) -> float:
        late = max(0.0, beat - self.broadens_at)
        return self.beat_s * (beat + _LAST_BAR_SLOWER * late)


def render(score: Score) -> bytes:
    """Return the score as 16-bit 8 kHz mono PCM at -19 LUFS, true peak below -3 dBFS.

    The same score always gives the same bytes.

    Raises:
        BadScore: a part's voice does not exist.
    """
    clock = _Clock(60 / score.tempo, score.beats - score.bar)
    length = int((clock.seconds(score.beats) + _TAIL_S) * RATE_HZ)
    mix = np.zeros(length)
    for number, part in enumerate(score.parts):
        mix += _play(part, clock, length, seed=number)
    mix = _level(np.asarray(sosfilt(_BAND, _in_a_room(mix))))
    return from_samples(mix)


def _play(part: Part, clock: _Clock, length: int, seed: int) -> Samples:
    """Return a part alone, its loud passages at an RMS of 0.1 raised by its gain."""
    if part.voice not in VOICES:
        raise BadScore(f"voice = {part.voice!r} is none of {', '.join(VOICES)}")
    voice = VOICES[part.voice]
    rng = np.random.default_rng(seed)
    cache: dict[tuple[int, float, int], Samples] = {}
    buffer = np.zeros(length)
    before: Note | None = None
    for note in part.notes:
        start = clock.seconds(note.start)
        seconds = round(clock.seconds(note.start + note.beats) - start, 2)
        follows = before is not None and abs(before.start + before.beats - note.start) < 0.01
        glide = max(-4, min(4, note.pitch - before.pitch)) if before and follows else 0
        accent = 1.0 if note.start % 1 < 0.01 else 0.86
        for offset, part_s, force in _strokes(voice, seconds):
            key = (note.pitch, part_s, glide)
            if key not in cache:
                cache[key] = _note(part.voice, *key)
            begin = int((start + offset + rng.uniform(0, 0.006)) * RATE_HZ)
            loudness = accent * force * rng.uniform(0.92, 1.0)
            _add(buffer, begin, cache[key] * loudness)
        before = note
    return buffer * (10 ** (part.gain_db / 20) * 0.1 / _loudness(buffer))


def _strokes(voice: Voice, seconds: float) -> list[tuple[float, float, float]]:
    """Return a note's strokes as (after seconds, seconds, force): one, or a tremolo's many."""
    if not voice.tremolo_hz or seconds < 0.55:
        return [(0.0, seconds, 1.0)]
    count = int(seconds * voice.tremolo_hz)
    each = seconds / count
    swell = 0.75 + 0.2 * np.sin(np.pi * np.arange(count) / count)
    return [
        (index * each, round(each, 2), 1.0 if index == 0 else float(swell[index]))
        for index in range(count)
    ]


def _note(voice: str, pitch: int, seconds: float, glide: int) -> Samples:
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    seed = zlib.crc32(f"{voice} {pitch} {seconds:.2f} {glide}".encode())
    sound = VOICES[voice].sound(hertz, seconds, float(glide), np.random.default_rng(seed))
    return np.asarray(sound * (440 / hertz) ** 0.15)


def _add(buffer: Samples, begin: int, sound: Samples) -> None:
    end = min(buffer.size, begin + sound.size)
    if begin < end:
        buffer[begin:end] += sound[: end - begin]


def _loudness(buffer: Samples) -> float:
    """Return the RMS of what is clearly heard: blocks of 0.4 s within 14 dB of the loudest."""
    heard = np.asarray(sosfilt(_BAND, buffer))
    block = int(0.4 * RATE_HZ)
    power = np.square(heard[: heard.size // block * block]).reshape(-1, block).mean(axis=1)
    return float(np.sqrt(power[power > power.max() / 25].mean())) if power.any() else 1.0


def _in_a_room(dry: Samples) -> Samples:
    """Return the sound with a small room's echo."""
    rng = np.random.default_rng(8)
    time = np.arange(int(0.9 * RATE_HZ)) / RATE_HZ
    echo = rng.standard_normal(time.size) * np.exp(-time * 7.5) * np.clip(time / 0.02, 0, 1)
    echo = np.asarray(sosfilt(butter(1, 2200, fs=RATE_HZ, output="sos"), echo))
    echo /= np.sqrt(np.square(echo).sum())
    return np.asarray(dry + _ROOM_SHARE * oaconvolve(dry, echo)[: dry.size])


def _level(mix: Samples) -> Samples:
    """Return the mix without silence at its head, faded, at TARGET_LUFS, peaks held down."""
    loud = np.abs(mix) > 0.02 * np.abs(mix).max()
    mix = mix[max(0, int(np.argmax(loud)) - int(0.01 * RATE_HZ)) :]
    rise, fall = int(FADE_IN_S * RATE_HZ), int(FADE_OUT_S * RATE_HZ)
    mix[:rise] *= np.linspace(0, 1, rise)
    mix[-fall:] *= np.cos(np.linspace(0, np.pi / 2, fall)) ** 2
    return _loud(mix)


def _loud(mix: Samples) -> Samples:
    """Return the mix at TARGET_LUFS with its true peaks held at PEAK_DBFS.

    Holding the peaks costs a little power, which the second round makes good beforehand.
    """
    peaks = _peaks(mix)
    gain = 10 ** ((TARGET_LUFS - pyloudnorm.Meter(RATE_HZ).integrated_loudness(mix)) / 20)
    held = _hold(mix, peaks, gain)
    lost = np.square(mix).sum() * gain**2 / np.square(held).sum()
    return _hold(mix, peaks, gain * float(np.sqrt(lost)))


def _hold(mix: Samples, peaks: Samples, gain: float) -> Samples:
    """Return the mix raised by `gain`, turned down around each peak that would be too high."""
    room = 10 ** (PEAK_DBFS / 20) / gain
    # an average of gains, each low enough for every peak in reach, is low enough itself
    return np.asarray(gain * mix * uniform_filter1d(np.minimum(1.0, room / peaks), _REACH))


def _peaks(mix: Samples) -> Samples:
    """Return at each sample the highest level, between samples too, within 5 ms of it."""
    finer = np.abs(resample_poly(mix, 4, 1))
    peak = np.maximum(np.maximum(finer[0::4], finer[1::4]), np.maximum(finer[2::4], finer[3::4]))
    return np.asarray(maximum_filter1d(peak, _REACH)) + 1e-9
