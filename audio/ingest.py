"""An operator's recordings -> tones: decode, cut, level, fade, encode."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import warnings
from pathlib import Path

from audio.formats import (
    FIRST_SECONDS,
    RATE_HZ,
    SAMPLE_BYTES,
    SoundUnreadable,
    duration_ms,
    read_recording,
    set_level,
    with_ending,
    write_sound,
)

with warnings.catch_warnings():  # pydub misses ffmpeg at import; we say so when one is needed
    warnings.simplefilter("ignore")
    from pydub import AudioSegment
    from pydub.silence import detect_leading_silence

TARGET_MS = 48_000
"""How much of a song becomes its tone (China Telecom iMusic, 2009: 48 s, never over 55 s)."""
SHORTEST_MS = 1_000
SILENCE_DBFS = -50.0
LEADING_SILENCE_MS = 300
FADE_IN_MS = 50
FADE_OUT_MS = 700
DECODE_TIMEOUT_S = 60
FIRST_MS = 6_000
VERSION = 1
"""Changes whenever the same recording gives another sound, so that imports make it anew."""


def import_sound(recording: Path, sounds: Path, code: str) -> tuple[str, int]:
    """Make a tone's sound files from a recording; return stem below `sounds` and milliseconds.

    The stem carries the recording's checksum: the same recording is decoded once, and a new one
    never overwrites what a call is playing.

    Raises:
        SoundUnreadable: no sound can be made of the file, or ffmpeg is missing.
    """
    stem = f"tones/{code}-{_checksum(recording)}"
    ready = with_ending(sounds / stem, ".wav")
    if ready.exists():
        return stem, (ready.stat().st_size - 44) * 1000 // (SAMPLE_BYTES * RATE_HZ)
    pcm = shape(_decode(recording), str(recording))
    write_tone(sounds / stem, pcm)
    return stem, duration_ms(pcm)


def write_tone(stem: Path, pcm: bytes) -> None:
    """Write a tone's sound files, and those of its first seconds, which lists play.

    The whole tone comes last: where its .wav exists, everything does.
    """
    sound = AudioSegment(pcm, sample_width=SAMPLE_BYTES, frame_rate=RATE_HZ, channels=1)
    first = sound[:FIRST_MS].fade_out(min(FADE_OUT_MS, len(sound) // 4))
    write_sound(with_ending(stem, FIRST_SECONDS), first.raw_data)
    write_sound(stem, pcm)


def shape(pcm: bytes, name: str) -> bytes:
    """Return 8 kHz PCM without leading silence, at most 48 s, faded and at -19 LUFS.

    Raises:
        SoundUnreadable: it is silent, or shorter than a second.
    """
    sound = AudioSegment(pcm, sample_width=SAMPLE_BYTES, frame_rate=RATE_HZ, channels=1)
    silence_ms = detect_leading_silence(sound, SILENCE_DBFS)
    if silence_ms >= len(sound):
        raise SoundUnreadable(name, "it is silent")
    if silence_ms > LEADING_SILENCE_MS:
        sound = sound[silence_ms - FADE_IN_MS :]
    sound = sound[:TARGET_MS]
    if len(sound) < SHORTEST_MS:
        raise SoundUnreadable(name, f"it is {len(sound)} ms long; a tone has a second at least")
    faded = sound.fade_in(FADE_IN_MS).fade_out(min(FADE_OUT_MS, len(sound) // 4))
    return set_level(faded.raw_data)


def _decode(recording: Path) -> bytes:
    if recording.suffix.lower() == ".wav":
        try:
            return read_recording(recording)
        except SoundUnreadable:
            pass  # a wav of another kind: ffmpeg knows more of them
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise SoundUnreadable(str(recording), "decoding it needs ffmpeg: apt-get install ffmpeg")
    # pydub's own resampler has no anti-alias filter; soxr's folds nothing back (-118 dB).
    command = [
        *(ffmpeg, "-nostdin", "-v", "error", "-t", "120", "-i", f"file:{recording}", "-vn"),
        *("-ac", "1", "-af", f"aresample={RATE_HZ}:resampler=soxr:precision=28"),
        *("-f", "s16le", "-"),
    ]
    try:
        done = subprocess.run(  # noqa: S603  a fixed command, the file's name guarded by "file:"
            command, capture_output=True, timeout=DECODE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise SoundUnreadable(str(recording), "ffmpeg did not finish decoding it") from None
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise SoundUnreadable(str(recording), said[-1] if said else "it has no sound in it")
    return done.stdout


def _checksum(recording: Path) -> str:
    try:
        content = recording.read_bytes()
    except OSError as error:
        raise SoundUnreadable(str(recording), error.strerror or str(error)) from error
    return hashlib.sha256(b"%d:" % VERSION + content).hexdigest()[:12]
