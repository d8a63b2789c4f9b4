"""An operator's recordings -> tones: decode, cut, look for faults, level, fade, encode."""

from __future__ import annotations

import audioop
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audio.decode import Decoded, Recording, decode, encode_g722, has_ffmpeg, probe
from audio.dtmf import find_digits
from audio.faults import (
    LONGEST_SILENCE_S,
    MOST_CLIPPED,
    clipping,
    longest_silence_s,
    sounding_ms,
)
from audio.formats import (
    ENDINGS,
    FIRST_SECONDS,
    RATE_HZ,
    SAMPLE_BYTES,
    SPEECH_LUFS,
    WIDE_ENDING,
    WIDE_RATE_HZ,
    SoundUnreadable,
    bring_to_level,
    duration_ms,
    to_samples,
    to_wav,
    with_ending,
    write_set,
    write_sound,
)

with warnings.catch_warnings():  # pydub misses ffmpeg at import; we say so when one is needed
    warnings.simplefilter("ignore")
    from pydub import AudioSegment

LONGEST_MS = 55_000
TARGET_MS = 48_000
"""A recording of up to 55 s stays whole; of a longer one the first 48 s become the tone (China
Telecom iMusic, 2009: generally 48 s, never over 55 s)."""
SHORTEST_MS = 1_000
LEADING_SILENCE_MS = 300
HEAD_MS, TAIL_MS = 2_000, 15_000
"""Silence at the ends that is decoded with the rest; after a longer head decoding begins anew."""
FADE_IN_MS = 50
FADE_OUT_MS = 700
FIRST_MS = 6_000
LEVEL_TOLERANCE_DB = 1.0
VERSION = 2
"""Changes whenever the same recording gives another sound, so that imports make it anew."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """A tone: PCM of 8 kHz, and of 16 kHz for calls in HD voice."""

    narrow: bytes
    wide: bytes


def import_sound(recording: Path, sounds: Path, code: str) -> tuple[str, int]:
    """Make a tone's sound files from a recording; return stem below `sounds` and milliseconds.

    The stem carries the recording's checksum: the same recording is decoded once, and a new one
    never overwrites what a call is playing. All files of the tone appear together or not at all.

    Raises:
        SoundUnreadable: no tone can be made of the file, or ffmpeg is missing.
    """
    stem = f"tones/{code}-{_checksum(recording)}"
    ready = with_ending(sounds / stem, ".wav")
    if all(path.exists() for path in _files_of(sounds / stem)):
        return stem, (ready.stat().st_size - 44) * 1000 // (SAMPLE_BYTES * RATE_HZ)
    shaped = read_tone(recording)
    write_set(dict(_encoded(sounds / stem, shaped)))
    return stem, duration_ms(shaped.narrow)


def read_tone(recording: Path) -> Shaped:
    """Return the tone that a recording makes; only as much of it as that takes is decoded.

    Raises:
        SoundUnreadable: it cannot be decoded, or has a fault; most name the second.
    """
    source = probe(recording)
    window_ms = _window_ms(source)
    enough_ms = window_ms - FADE_OUT_MS  # a stretch shorter than this reaches the recording's end
    decoded, start_ms = decode(source, 0, window_ms / 1000), 0
    first_ms, _ = sounding_ms(to_samples(decoded.narrow))
    if first_ms > HEAD_MS and duration_ms(decoded.narrow) > enough_ms:
        start_ms = first_ms - FADE_IN_MS
        decoded = decode(source, start_ms / 1000, window_ms / 1000)
    is_whole = duration_ms(decoded.narrow) <= enough_ms
    return shape(decoded, source, start_ms, is_whole=is_whole)


def _window_ms(source: Recording) -> int:
    """Return how much of a recording is decoded: no more than the tone can be made of."""
    whole_ms = LONGEST_MS + TAIL_MS
    if source.duration_s is None or source.duration_s * 1000 < whole_ms:
        return whole_ms + FADE_OUT_MS
    return TARGET_MS + HEAD_MS


def shape(decoded: Decoded, source: Recording, start_ms: int, *, is_whole: bool) -> Shaped:
    """Return a tone without silence at its ends, of a fitting length, faded and at -19 LUFS.

    `start_ms` is where in the recording the decoded stretch begins, `is_whole` whether it reaches
    the recording's end.

    Raises:
        SoundUnreadable: it is silent or too short, or it has a fault.
    """
    name = str(source.path)
    begin_ms, end_ms = _part(decoded, name, is_whole=is_whole)
    faults = _faults(decoded, begin_ms, end_ms, start_ms)
    for fault in faults:
        raise SoundUnreadable(name, fault)
    narrow = _faded(decoded.narrow, RATE_HZ, begin_ms, end_ms)
    for digit in find_digits(to_samples(narrow)):
        second = (start_ms + begin_ms + digit.start_ms) / 1000
        why = f"a telephone would take it for the key {digit.key} at second {second:.1f}"
        raise SoundUnreadable(name, why)
    levelled, reached = bring_to_level(narrow)
    missed = reached - SPEECH_LUFS
    if abs(missed) > LEVEL_TOLERANCE_DB:
        why = f"its peaks are too high for its loudness ({missed:+.1f} dB at {SPEECH_LUFS:g} LUFS)"
        raise SoundUnreadable(name, f"{why}; have it compressed")
    wide = _faded(decoded.wide, WIDE_RATE_HZ, begin_ms, end_ms)
    return Shaped(levelled, bring_to_level(wide, rate_hz=WIDE_RATE_HZ)[0])


def write_tone(stem: Path, pcm: bytes) -> None:
    """Write a tone's 8 kHz files, and those of its first seconds, which lists play.

    It needs no ffmpeg: the sample music of a first start is written so. The whole tone comes last:
    where its .wav exists, everything does.
    """
    write_sound(with_ending(stem, FIRST_SECONDS), _first_seconds(pcm, RATE_HZ))
    write_sound(stem, pcm)


def _part(decoded: Decoded, name: str, *, is_whole: bool) -> tuple[int, int]:
    """Return from where to where the decoded stretch becomes the tone."""
    begin_ms, end_ms = sounding_ms(to_samples(decoded.narrow))
    if begin_ms == end_ms:
        raise SoundUnreadable(name, "it is silent")
    begin_ms = begin_ms - FADE_IN_MS if begin_ms > LEADING_SILENCE_MS else 0
    if not is_whole or end_ms - begin_ms > LONGEST_MS:
        end_ms = min(end_ms, begin_ms + TARGET_MS)
    if end_ms - begin_ms < SHORTEST_MS:
        why = f"it is {end_ms - begin_ms} ms long; a tone has a second at least"
        raise SoundUnreadable(name, why)
    return begin_ms, end_ms


def _faults(decoded: Decoded, begin_ms: int, end_ms: int, start_ms: int) -> Iterator[str]:
    """Yield what is wrong with the part of the recording that would become the tone."""
    rate_hz = decoded.rate_hz
    part = decoded.recorded[begin_ms * rate_hz // 1000 : end_ms * rate_hz // 1000]
    offset_s = (start_ms + begin_ms) / 1000
    share, second = clipping(part, rate_hz)
    if share > MOST_CLIPPED:
        yield f"{share:.1%} of it is clipped, most at second {offset_s + second:.0f}"
    sound = to_samples(decoded.narrow)[begin_ms * RATE_HZ // 1000 : end_ms * RATE_HZ // 1000]
    second, length_s = longest_silence_s(sound)
    if length_s > LONGEST_SILENCE_S:
        yield f"it is silent for {length_s:.1f} s at second {offset_s + second:.1f}"


def _faded(pcm: bytes, rate_hz: int, begin_ms: int, end_ms: int) -> bytes:
    sound = AudioSegment(pcm, sample_width=SAMPLE_BYTES, frame_rate=rate_hz, channels=1)
    part = sound[begin_ms:end_ms]
    faded: bytes = part.fade_in(FADE_IN_MS).fade_out(min(FADE_OUT_MS, len(part) // 4)).raw_data
    return faded


def _first_seconds(pcm: bytes, rate_hz: int) -> bytes:
    sound = AudioSegment(pcm, sample_width=SAMPLE_BYTES, frame_rate=rate_hz, channels=1)
    first: bytes = sound[:FIRST_MS].fade_out(min(FADE_OUT_MS, len(sound) // 4)).raw_data
    return first


def _encoded(stem: Path, tone: Shaped) -> Iterator[tuple[Path, bytes]]:
    """Yield every file of a tone and its bytes; the whole tone's .wav comes last."""
    first = _first_seconds(tone.narrow, RATE_HZ)
    if has_ffmpeg():
        wide_first = _first_seconds(tone.wide, WIDE_RATE_HZ)
        short, whole = encode_g722(wide_first, tone.wide)
        yield with_ending(stem, f"{FIRST_SECONDS}{WIDE_ENDING}"), short
        yield with_ending(stem, WIDE_ENDING), whole
    for name, pcm in ((with_ending(stem, FIRST_SECONDS), first), (stem, tone.narrow)):
        yield with_ending(name, ".alaw"), audioop.lin2alaw(pcm, SAMPLE_BYTES)
        yield with_ending(name, ".ulaw"), audioop.lin2ulaw(pcm, SAMPLE_BYTES)
        yield with_ending(name, ".wav"), to_wav(pcm)


def _files_of(stem: Path) -> Iterator[Path]:
    endings = (*ENDINGS, WIDE_ENDING) if has_ffmpeg() else ENDINGS
    for name in (stem, with_ending(stem, FIRST_SECONDS)):
        yield from (with_ending(name, ending) for ending in endings)


def _checksum(recording: Path) -> str:
    try:
        with recording.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.sha256(b"%d:" % VERSION))
    except OSError as error:
        raise SoundUnreadable(str(recording), error.strerror or str(error)) from error
    return digest.hexdigest()[:12]
