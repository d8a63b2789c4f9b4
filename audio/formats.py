"""formats.py: decode, level, encode to what Asterisk plays untranscoded.

Everything here is 16-bit little-endian mono PCM at 8 kHz (`pcm`), the one form the rest of the
project knows. Asterisk takes `<stem>.wav`, `.alaw` and `.ulaw` of the same sound, and `.g722` of
its 16 kHz form, and picks the one that needs no transcoding in the call at hand.
"""

from __future__ import annotations

import audioop
import io
import os
import wave
from collections.abc import Mapping
from contextlib import suppress
from math import gcd, inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000
SAMPLE_BYTES = 2
WIDE_RATE_HZ = 16000
ENDINGS = (".alaw", ".ulaw", ".wav")
WIDE_ENDING = ".g722"
"""Of imported tones only: the sample music, all of it below 3.4 kHz, would gain nothing by it."""
FIRST_SECONDS = "-first"
"""Ends the stem of a tone's first seconds, which lists play."""
SPEECH_LUFS = -19.0
PEAK_LIMIT_DBFS = -3.0
_FULL_SCALE = 32768.0
_METER_BLOCK_S = 0.4
_PASS_SHARE = 0.4375  # of the lower rate: 3.5 kHz of 8
_FILTER_PERIODS = 40  # of the lower of the two rates, each side: a transition of about 600 Hz
_LEVEL_ROUNDS = 4  # the limiter takes loudness away, the next round gives it back
_LEVEL_EXACT_DB = 0.05
_PEAK_MARGIN_DB = 0.3

Samples = NDArray[np.float64]


class SoundUnreadable(Exception):
    """A sound that is not what Asterisk would play: where it is, and what is wrong with it."""

    def __init__(self, where: str, why: str) -> None:
        """Join the place and the reason to one sentence; `why` is the reason alone."""
        super().__init__(f"{where}: {why}")
        self.why = why


def write_sound(stem: Path, pcm: bytes) -> None:
    """Write `pcm` as stem.wav, stem.alaw and stem.ulaw, each whole or not at all.

    The .wav comes last: where it exists, the other two exist as well.
    """
    if len(pcm) % SAMPLE_BYTES:
        why = f"{len(pcm)} bytes are no whole number of 16-bit samples"
        raise SoundUnreadable(str(stem), why)
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_whole(with_ending(stem, ".alaw"), audioop.lin2alaw(pcm, SAMPLE_BYTES))
    write_whole(with_ending(stem, ".ulaw"), audioop.lin2ulaw(pcm, SAMPLE_BYTES))
    write_whole(with_ending(stem, ".wav"), to_wav(pcm))


def read_sound(path: Path) -> bytes:
    """Return the PCM of one .wav (8 kHz, 16-bit, mono), .alaw or .ulaw file.

    Raises SoundUnreadable for any other form or ending, OSError when the file cannot be opened.
    """
    content = path.read_bytes()
    match path.suffix:
        case ".wav":
            return from_wav(content, str(path))
        case ".alaw":
            return audioop.alaw2lin(content, SAMPLE_BYTES)
        case ".ulaw":
            return audioop.ulaw2lin(content, SAMPLE_BYTES)
        case ending:
            raise SoundUnreadable(str(path), f"'{ending}' is not .wav, .alaw or .ulaw")


def to_wav(pcm: bytes) -> bytes:
    """Return a complete .wav file's bytes."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(SAMPLE_BYTES)
        sound.setframerate(RATE_HZ)
        sound.writeframes(pcm)
    return file.getvalue()


def from_wav(content: bytes, name: str) -> bytes:
    """Return the PCM of a .wav file's bytes; `name` is what the error calls it."""
    try:
        with wave.open(io.BytesIO(content)) as sound:
            form = (sound.getframerate(), 8 * sound.getsampwidth(), sound.getnchannels())
            pcm: bytes = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        raise SoundUnreadable(name, f"not a PCM .wav file ({error})") from error
    if form != (RATE_HZ, 8 * SAMPLE_BYTES, 1):
        has = "{} Hz, {} bit, {} channel(s)".format(*form)
        raise SoundUnreadable(name, f"it is {has}; save it as {RATE_HZ} Hz, 16 bit, mono")
    return pcm


def read_recording(path: Path) -> bytes:
    """Return the PCM of a 16-bit .wav of any rate, mono or stereo, as a studio delivers it.

    Raises SoundUnreadable for any other form, OSError when the file cannot be opened.
    """
    try:
        with wave.open(str(path)) as sound:
            rate_hz, channels = sound.getframerate(), sound.getnchannels()
            width, content = sound.getsampwidth(), sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        raise SoundUnreadable(str(path), f"not a PCM .wav file ({error})") from error
    if width != SAMPLE_BYTES:
        raise SoundUnreadable(str(path), f"it has {8 * width} bit; save it with 16 bit")
    frames = to_samples(content[: len(content) // (width * channels) * width * channels])
    return from_samples(to_telephone(frames.reshape(-1, channels).mean(axis=1), rate_hz))


def to_telephone(samples: Samples, rate_hz: int) -> Samples:
    """Return samples at 8 kHz; what lies above 3.8 kHz is filtered out first (-80 dB)."""
    return resampled(samples, rate_hz, RATE_HZ)


def resampled(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Return samples at another rate, filtered first so that nothing is folded back."""
    from scipy.signal import firwin, resample_poly  # noqa: PLC0415  see level()

    if from_hz == to_hz or samples.size == 0:
        return samples
    common = gcd(from_hz, to_hz)
    up, down = to_hz // common, from_hz // common
    taps = 2 * _FILTER_PERIODS * max(up, down) + 1
    pass_hz = _PASS_SHARE * min(from_hz, to_hz)
    low_pass = firwin(taps, pass_hz, fs=from_hz * up, window=("kaiser", 9.0))
    filtered: Samples = resample_poly(samples, up, down, window=low_pass)
    return filtered


def with_ending(stem: Path, ending: str) -> Path:
    """Return `stem` plus `ending`; a dot inside the stem's own name is left alone."""
    return stem.with_name(stem.name + ending)


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that a reader sees the old file or the new one, never a half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_set(files: Mapping[Path, bytes]) -> None:
    """Put files of one folder in their places: none is there before all are on the disk.

    They appear in their order; where the last one is, all are, also after a power failure.
    """
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in files}
    *_, last = files
    last.parent.mkdir(parents=True, exist_ok=True)
    try:
        for path, content in files.items():
            with temporary[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path in files:
            if path == last:
                _sync_folder(last.parent)
            temporary[path].replace(path)
        _sync_folder(last.parent)
    except BaseException:
        for path in temporary.values():
            path.unlink(missing_ok=True)
        raise


def sweep(folder: Path, older_than: float) -> None:
    """Remove what a writer that was killed left in the folder: temporary files of before then.

    `older_than` is in seconds since 1970.
    """
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < older_than:
                path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def duration_ms(pcm: bytes) -> int:
    """Return how long `pcm` sounds."""
    return len(pcm) * 1000 // (SAMPLE_BYTES * RATE_HZ)


def to_samples(pcm: bytes) -> Samples:
    """Return `pcm` as floats, full scale 1.0."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.float64) / _FULL_SCALE


def from_samples(samples: Samples) -> bytes:
    """Return floats (full scale 1.0) as PCM; what exceeds full scale is clipped."""
    scaled = np.clip(np.rint(samples * _FULL_SCALE), -32768, 32767)
    return scaled.astype("<i2").tobytes()


def level(pcm: bytes, rate_hz: int = RATE_HZ) -> float:
    """Return the integrated loudness in LUFS (ITU-R BS.1770); -inf for silence.

    A sound shorter than the meter's block of 0.4 s is repeated until it fills one second.
    """
    import pyloudnorm  # noqa: PLC0415  half a second to import; a start that renders nothing skips it

    samples = to_samples(pcm)
    if not samples.any():
        return -inf
    if samples.size < _METER_BLOCK_S * rate_hz * 1.5:
        samples = np.tile(samples, int(np.ceil(rate_hz / samples.size)))
    meter = pyloudnorm.Meter(rate_hz, block_size=_METER_BLOCK_S)
    return float(meter.integrated_loudness(samples))


def true_peak_dbfs(pcm: bytes) -> float:
    """Return the highest level between the samples too (four times oversampled), in dBFS."""
    from scipy.signal import resample_poly  # noqa: PLC0415  slow to import, see level()

    samples = to_samples(pcm)
    if not samples.any():
        return -inf
    return float(20 * np.log10(np.abs(resample_poly(samples, 4, 1)).max()))


def set_level(pcm: bytes, lufs: float = SPEECH_LUFS, peak_dbfs: float = PEAK_LIMIT_DBFS) -> bytes:
    """Return `pcm` at `lufs`, its true peak held below `peak_dbfs` by a limiter.

    Raises ValueError for silence, which has no level to set.
    """
    return bring_to_level(pcm, lufs, peak_dbfs)[0]


def bring_to_level(
    pcm: bytes,
    lufs: float = SPEECH_LUFS,
    peak_dbfs: float = PEAK_LIMIT_DBFS,
    rate_hz: int = RATE_HZ,
) -> tuple[bytes, float]:
    """Return the same as `set_level`, and the level that was reached in LUFS.

    That is lower than asked for when a sound consists of peaks, which the limiter takes away.
    """
    loudness = level(pcm, rate_hz)
    if loudness == -inf:
        raise ValueError("silence has no level to set")
    for _ in range(_LEVEL_ROUNDS):
        raised = to_samples(pcm) * 10 ** ((lufs - loudness) / 20)
        limited = _limited(raised, peak_dbfs, rate_hz)
        pcm = from_samples(limited)
        if limited is raised:
            return pcm, lufs
        loudness = level(pcm, rate_hz)
        if abs(lufs - loudness) < _LEVEL_EXACT_DB:
            break
    return pcm, loudness


def _limited(samples: Samples, peak_dbfs: float, rate_hz: int) -> Samples:
    """Turn the level down around each peak, smoothly over 10 ms, so that nothing is clipped.

    Samples without such peaks are returned as they are.
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d  # noqa: PLC0415  see level()
    from scipy.signal import resample_poly  # noqa: PLC0415  see level()

    oversampled = np.abs(resample_poly(samples, 4, 1)).reshape(-1, 4).max(axis=1)
    ceiling = 10 ** ((peak_dbfs - _PEAK_MARGIN_DB) / 20)
    if oversampled.max() <= ceiling:
        return samples
    gain = np.minimum(1.0, ceiling / np.maximum(oversampled, ceiling))
    window = rate_hz // 100
    limited: Samples = samples * uniform_filter1d(minimum_filter1d(gain, 2 * window), window)
    return limited
