"""decode.py: a recording of any kind -> PCM, no more of it than asked for, nothing folded back.

ffmpeg does it. Without ffmpeg 16-bit .wav files are read by ourselves.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from audio.formats import (
    RATE_HZ,
    SAMPLE_BYTES,
    WIDE_RATE_HZ,
    SoundUnreadable,
    from_samples,
    resampled,
)

TIMEOUT_S = 60
_MOST_CHANNELS = 8
_FFMPEG = ("-nostdin", "-v", "error", "-threads", "1", "-filter_complex_threads", "1")


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file says of its sound before any of it is decoded; `duration_s` None: not known."""

    path: Path
    duration_s: float | None
    rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """A stretch of a recording: as it was recorded (samples, channels), and mono for telephones.

    `narrow` is PCM of 8 kHz, `wide` of 16 kHz.
    """

    recorded: NDArray[np.int16]
    rate_hz: int
    narrow: bytes
    wide: bytes


def has_ffmpeg() -> bool:
    """Say whether ffmpeg and ffprobe are installed."""
    return bool(shutil.which("ffmpeg") and shutil.which("ffprobe"))


def probe(path: Path) -> Recording:
    """Return what the file says of itself, in a few milliseconds.

    Raises:
        SoundUnreadable: there is no sound in it, or ffmpeg is needed and missing.
    """
    if not has_ffmpeg():
        return _probe_wav(path)
    entries = "stream=sample_rate,channels,duration:format=duration"
    said = _run(
        path,
        [*("ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", entries)]
        + ["-of", "json", f"file:{path}"],
    )
    found = json.loads(said or "{}")
    streams = found.get("streams") or []
    if not streams or not 0 < streams[0].get("channels", 0) <= _MOST_CHANNELS:
        raise SoundUnreadable(str(path), "there is no sound in it")
    duration = streams[0].get("duration") or found.get("format", {}).get("duration")
    return Recording(
        path,
        None if duration is None else float(duration),
        int(streams[0]["sample_rate"]),
        int(streams[0]["channels"]),
    )


def decode(recording: Recording, start_s: float, length_s: float) -> Decoded:
    """Return a stretch of the recording, or what there is of it.

    Raises:
        SoundUnreadable: it cannot be decoded.
    """
    if not has_ffmpeg():
        return _decode_wav(recording, start_s, length_s)
    path = recording.path
    with TemporaryDirectory(prefix="toneline-") as folder:
        names = [f"{folder}/{name}" for name in ("recorded", "narrow", "wide")]
        command = [
            *("ffmpeg", *_FFMPEG, "-ss", f"{start_s:g}", "-t", f"{length_s:g}"),
            *("-i", f"file:{path}", "-filter_complex", _graph(recording)),
        ]
        for output, name in zip(("[recorded]", "[narrow]", "[wide]"), names, strict=True):
            command += ["-map", output, "-f", "s16le", name]
        _run(path, command)
        recorded, narrow, wide = (Path(name).read_bytes() for name in names)
    if not narrow:
        raise SoundUnreadable(str(path), "there is no sound in it")
    frame = recording.channels * SAMPLE_BYTES
    whole = np.frombuffer(recorded[: len(recorded) // frame * frame], dtype="<i2")
    return Decoded(whole.reshape(-1, recording.channels), recording.rate_hz, narrow, wide)


def encode_g722(*sounds: bytes) -> tuple[bytes, ...]:
    """Return 16 kHz PCM as G.722, one for each, of one ffmpeg.

    Raises:
        SoundUnreadable: ffmpeg would not.
    """
    form = ("-f", "s16le", "-ar", str(WIDE_RATE_HZ), "-ac", "1")
    with TemporaryDirectory(prefix="toneline-") as folder:
        command, outputs = ["ffmpeg", *_FFMPEG], []
        for index, sound in enumerate(sounds):
            Path(folder, f"{index}.raw").write_bytes(sound)
            command += [*form, "-i", f"{folder}/{index}.raw"]
        for index in range(len(sounds)):
            outputs.append(Path(folder, f"{index}.g722"))
            command += ["-map", f"{index}:a", "-f", "g722", str(outputs[-1])]
        _run(Path("G.722"), command)
        return tuple(output.read_bytes() for output in outputs)


def _graph(recording: Recording) -> str:
    """Return ffmpeg's filters: pydub's own resampler would fold 5 kHz to 3 kHz; soxr: -118 dB."""
    mono = "aformat=sample_fmts=s16:channel_layouts=mono"
    soxr = "resampler=soxr:precision=28"
    as_recorded = f"aresample={recording.rate_hz},aformat=sample_fmts=s16"
    return (
        f"[0:a:0]asplit=2[a][b];[a]{as_recorded}[recorded];"
        f"[b]aresample={WIDE_RATE_HZ}:{soxr},{mono},asplit=2[wide][c];"
        f"[c]aresample={RATE_HZ}:{soxr},{mono}[narrow]"
    )


def _run(path: Path, command: list[str]) -> bytes:
    """Run ffmpeg or ffprobe away from the terminal: Ctrl-C is for us to act on."""
    try:
        done = subprocess.run(  # noqa: S603  fixed commands, the file's name guarded by "file:"
            command, capture_output=True, timeout=TIMEOUT_S, check=False, process_group=0
        )
    except subprocess.TimeoutExpired:
        raise SoundUnreadable(str(path), f"{command[0]} did not end in {TIMEOUT_S} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1].removeprefix(f"file:{path}: ") if said else f"{command[0]} failed"
        raise SoundUnreadable(str(path), f"it cannot be decoded ({why})")
    return done.stdout


def _probe_wav(path: Path) -> Recording:
    try:
        with wave.open(str(path)) as sound:
            rate_hz, channels, width = (
                sound.getframerate(), sound.getnchannels(), sound.getsampwidth(),
            )  # fmt: skip
            duration_s = sound.getnframes() / rate_hz
    except (wave.Error, EOFError) as error:
        raise SoundUnreadable(str(path), _NEEDS_FFMPEG) from error
    if width != SAMPLE_BYTES or not 0 < channels <= _MOST_CHANNELS:
        raise SoundUnreadable(str(path), _NEEDS_FFMPEG)
    return Recording(path, duration_s, rate_hz, channels)


_NEEDS_FFMPEG = "decoding it needs ffmpeg: apt-get install ffmpeg"


def _decode_wav(recording: Recording, start_s: float, length_s: float) -> Decoded:
    rate_hz = recording.rate_hz
    with wave.open(str(recording.path)) as sound:
        sound.setpos(min(int(start_s * rate_hz), sound.getnframes()))
        content = sound.readframes(int(length_s * rate_hz))
    frame = recording.channels * SAMPLE_BYTES
    recorded = np.frombuffer(content[: len(content) // frame * frame], dtype="<i2")
    recorded = recorded.reshape(-1, recording.channels)
    mono = recorded.mean(axis=1) / 32768
    return Decoded(
        recorded,
        rate_hz,
        from_samples(resampled(mono, rate_hz, RATE_HZ)),
        from_samples(resampled(mono, rate_hz, WIDE_RATE_HZ)),
    )
