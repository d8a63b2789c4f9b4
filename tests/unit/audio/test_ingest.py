from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from audio.formats import (
    FIRST_SECONDS,
    RATE_HZ,
    SoundUnreadable,
    duration_ms,
    from_samples,
    level,
    read_sound,
    to_samples,
    to_wav,
    true_peak_dbfs,
)
from audio.ingest import SHORTEST_MS, TARGET_MS, import_sound, shape
from tests.machine import require_program


def a_melody(seconds: float, amplitude: float = 0.2, rate_hz: int = RATE_HZ) -> bytes:
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    notes = 330 * 2 ** (np.floor(t * 4) % 8 / 12)
    return from_samples(amplitude * np.sin(2 * np.pi * np.cumsum(notes) / rate_hz))


SILENCE = from_samples(np.zeros(RATE_HZ))


@pytest.fixture(scope="module")
def ffmpeg() -> str:
    return require_program("ffmpeg", "ffmpeg")


def encoded(ffmpeg: str, folder: Path, ending: str, pcm: bytes) -> Path:
    source, made = folder / "source.wav", folder / f"song.{ending}"
    source.write_bytes(to_wav(pcm))
    subprocess.run([ffmpeg, "-v", "error", "-i", str(source), str(made)], check=True)
    return made


def test_a_tone_is_levelled_faded_and_cut_to_its_length() -> None:
    made = shape(a_melody(60), "song")
    assert duration_ms(made) == TARGET_MS
    assert level(made) == pytest.approx(-19, abs=1)
    assert true_peak_dbfs(made) < -3
    assert abs(to_samples(made)[-1]) < 0.01


def test_leading_silence_is_cut() -> None:
    assert duration_ms(shape(SILENCE + a_melody(5), "song")) == pytest.approx(5050, abs=30)
    short_pause = from_samples(np.zeros(RATE_HZ // 5))
    assert duration_ms(shape(short_pause + a_melody(5), "song")) == 5200


@pytest.mark.parametrize(
    ("pcm", "why"),
    [(SILENCE, "it is silent"), (a_melody(0.5), "a tone has a second"), (b"", "it is silent")],
)
def test_what_is_no_tone_is_refused(pcm: bytes, why: str) -> None:
    with pytest.raises(SoundUnreadable, match=why):
        shape(pcm, "song")


def test_a_recording_becomes_sound_files_that_asterisk_plays_untranscoded(tmp_path: Path) -> None:
    recording = tmp_path / "song.wav"
    recording.write_bytes(to_wav(a_melody(10)))
    stem, length_ms = import_sound(recording, tmp_path / "sounds", "1029")
    assert stem.startswith("tones/1029-")
    assert length_ms == 10_000
    for ending in (".wav", ".alaw", ".ulaw"):
        assert duration_ms(read_sound(tmp_path / "sounds" / f"{stem}{ending}")) == 10_000
    first = read_sound(tmp_path / "sounds" / f"{stem}{FIRST_SECONDS}.wav")
    assert duration_ms(first) == 6_000


def test_an_unchanged_recording_is_not_decoded_again(tmp_path: Path) -> None:
    recording = tmp_path / "song.wav"
    recording.write_bytes(to_wav(a_melody(2)))
    made = import_sound(recording, tmp_path, "1029")
    file = tmp_path / f"{made[0]}.wav"
    before = file.stat().st_mtime_ns
    assert import_sound(recording, tmp_path, "1029") == made
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("ending", ["mp3", "flac", "m4a", "ogg"])
def test_other_formats_are_decoded_by_ffmpeg(ffmpeg: str, tmp_path: Path, ending: str) -> None:
    recording = encoded(ffmpeg, tmp_path, ending, a_melody(5))
    stem, length_ms = import_sound(recording, tmp_path / "sounds", "1029")
    assert length_ms == pytest.approx(5000, abs=120)
    assert level(read_sound(tmp_path / "sounds" / f"{stem}.wav")) == pytest.approx(-19, abs=1)


def test_nothing_above_the_telephones_band_is_folded_into_it(ffmpeg: str, tmp_path: Path) -> None:
    t = np.arange(44_100 * 3) / 44_100
    high = 0.5 * np.sin(2 * np.pi * 5000 * t)
    low = 0.05 * np.sin(2 * np.pi * 1000 * t)
    raw, recording = tmp_path / "raw", tmp_path / "song.flac"
    raw.write_bytes(from_samples(high + low))
    subprocess.run(
        [ffmpeg, "-v", "error", "-f", "s16le", "-ar", "44100", "-i", str(raw), str(recording)],
        check=True,
    )
    stem, _ = import_sound(recording, tmp_path / "sounds", "1029")
    samples = to_samples(read_sound(tmp_path / "sounds" / f"{stem}.wav"))[8000:16000]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(8000)))
    assert spectrum[3000] < spectrum[1000] / 1000


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE", b"no sound at all"])
def test_a_file_that_is_no_sound_is_refused_by_name(
    ffmpeg: str, tmp_path: Path, content: bytes
) -> None:
    recording = tmp_path / "song.wav"
    recording.write_bytes(content)
    with pytest.raises(SoundUnreadable, match=r"song\.wav"):
        import_sound(recording, tmp_path, "1029")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SoundUnreadable, match=r"absent\.wav: No such file"):
        import_sound(tmp_path / "absent.wav", tmp_path, "1029")


def test_the_limits_are_those_of_the_trade() -> None:
    assert SHORTEST_MS < TARGET_MS <= 55_000
