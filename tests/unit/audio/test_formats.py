from __future__ import annotations

import io
import os
import wave
from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.formats import (
    PEAK_LIMIT_DBFS,
    RATE_HZ,
    SPEECH_LUFS,
    Samples,
    SoundUnreadable,
    duration_ms,
    from_samples,
    from_wav,
    level,
    read_recording,
    read_sound,
    set_level,
    sweep,
    to_samples,
    to_telephone,
    to_wav,
    true_peak_dbfs,
    write_set,
    write_sound,
    write_whole,
)


def sine(hertz: float, amplitude: float, seconds: float = 1.0, rate_hz: int = RATE_HZ) -> Samples:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate_hz)) / rate_hz)


def wav(samples: Samples, rate_hz: int, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate_hz)
        sound.writeframes(from_samples(np.repeat(samples, channels)) if width == 2 else b"\0" * 90)
    return file.getvalue()


def test_a_sound_is_written_in_every_form_asterisk_plays_untranscoded(tmp_path: Path) -> None:
    pcm = from_samples(sine(440, 0.3))
    write_sound(tmp_path / "deep" / "1029-v1.2", pcm)
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == [
        "1029-v1.2.alaw",
        "1029-v1.2.ulaw",
        "1029-v1.2.wav",
    ]
    assert read_sound(tmp_path / "deep" / "1029-v1.2.wav") == pcm
    for ending in (".alaw", ".ulaw"):
        path = tmp_path / "deep" / f"1029-v1.2{ending}"
        assert path.stat().st_size == RATE_HZ
        assert np.abs(to_samples(read_sound(path)) - to_samples(pcm)).max() < 0.02


def test_half_a_sample_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SoundUnreadable, match=r"x: 3 bytes are no whole number"):
        write_sound(tmp_path / "x", b"\0\0\0")
    assert not list(tmp_path.iterdir())


@given(st.binary(max_size=400).map(lambda content: content[: len(content) // 2 * 2]))
def test_a_wav_gives_back_the_pcm_it_was_made_of(pcm: bytes) -> None:
    assert from_wav(to_wav(pcm), "x") == pcm
    assert from_samples(to_samples(pcm)) == pcm


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a PCM .wav file"),
        (b"RIFF\x04\0\0\0WAVE", "not a PCM .wav file"),
        (b"MP3" * 40, "not a PCM .wav file"),
        (wav(sine(440, 0.1), 16000), "it is 16000 Hz, 16 bit, 1 channel(s); save it as 8000 Hz"),
        (wav(sine(440, 0.1), 8000, channels=2), "8000 Hz, 16 bit, 2 channel(s)"),
        (wav(sine(440, 0.1), 8000, width=1), "8000 Hz, 8 bit, 1 channel(s)"),
    ],
)
def test_a_wav_in_another_form_is_refused_with_what_to_do(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "menu.wav"
    path.write_bytes(content)
    with pytest.raises(SoundUnreadable) as refused:
        read_sound(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert why in str(refused.value)


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "menu.mp3").write_bytes(b"x")
    with pytest.raises(SoundUnreadable, match=r"'\.mp3' is not \.wav, \.alaw or \.ulaw"):
        read_sound(tmp_path / "menu.mp3")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "menu.wav").mkdir()
    with pytest.raises(OSError, match="menu.wav"):
        write_whole(tmp_path / "menu.wav", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["menu.wav"]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_recording_of_any_rate_is_read(tmp_path: Path, rate_hz: int, channels: int) -> None:
    path = tmp_path / "menu.wav"
    path.write_bytes(wav(sine(1000, 0.25, rate_hz=rate_hz), rate_hz, channels))
    heard = to_samples(read_recording(path))[800:-800]
    assert abs(heard.size - (RATE_HZ - 1600)) <= 1
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(heard.size)))
    assert abs(int(spectrum.argmax()) * RATE_HZ / heard.size - 1000) < 2
    assert np.abs(heard).max() == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"no sound", "not a PCM"), (wav(sine(9, 0.1), 44100, width=1), "it has 8 bit")],
)
def test_a_recording_that_cannot_be_read_is_refused(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "menu.wav"
    path.write_bytes(content)
    with pytest.raises(SoundUnreadable, match=why):
        read_recording(path)


@pytest.mark.parametrize("hertz", [4600, 5000, 7000, 11000])
def test_what_the_telephone_cannot_carry_is_filtered_out_and_not_folded_back(hertz: int) -> None:
    heard = to_telephone(sine(hertz, 0.5, rate_hz=24000), 24000)[400:-400]
    assert 20 * np.log10(np.abs(heard).max() / 0.5) < -75


def test_the_speech_band_passes_unchanged() -> None:
    for hertz in (300, 1000, 2000, 3000):
        heard = to_telephone(sine(hertz, 0.5, rate_hz=24000), 24000)[400:-400]
        assert np.abs(heard).max() == pytest.approx(0.5, rel=0.02)


def test_level_is_measured_in_lufs() -> None:
    quiet, loud = from_samples(sine(1000, 0.1)), from_samples(sine(1000, 0.2))
    assert level(loud) - level(quiet) == pytest.approx(6.02, abs=0.05)
    assert level(from_samples(sine(1000, 0.1, seconds=0.1))) == pytest.approx(level(quiet), abs=0.2)


@pytest.mark.parametrize("pcm", [b"", b"\0\0" * 8000])
def test_silence_has_no_level(pcm: bytes) -> None:
    assert level(pcm) == -inf
    assert true_peak_dbfs(pcm) == -inf
    with pytest.raises(ValueError, match="silence"):
        set_level(pcm)


def test_the_true_peak_is_found_between_the_samples() -> None:
    quarter = np.sin(np.pi / 2 * np.arange(4000) + np.pi / 4)
    assert true_peak_dbfs(from_samples(0.5 * quarter)) == pytest.approx(-6.02, abs=0.2)


@pytest.mark.parametrize("burst", [1.0, 4.0, 9.0])
def test_a_level_is_set_and_peaks_stay_below_the_limit(burst: float) -> None:
    speech = sine(700, 0.02, seconds=2.0) + sine(1900, 0.02, seconds=2.0)
    speech[4000:4400] *= burst
    levelled = set_level(from_samples(speech))
    assert level(levelled) == pytest.approx(SPEECH_LUFS, abs=0.5)
    assert true_peak_dbfs(levelled) < PEAK_LIMIT_DBFS


def test_a_duration_counts_samples() -> None:
    assert duration_ms(b"\0\0" * 8000) == 1000
    assert duration_ms(b"") == 0


def test_a_set_of_files_appears_whole(tmp_path: Path) -> None:
    files = {tmp_path / "tones" / name: name.encode() for name in ("a.alaw", "a.ulaw", "a.wav")}
    write_set(files)
    assert {path.name for path in (tmp_path / "tones").iterdir()} == {"a.alaw", "a.ulaw", "a.wav"}
    assert all(path.read_bytes() == content for path, content in files.items())


def test_a_set_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    too_long = tmp_path / f"{'n' * 300}.wav"
    with pytest.raises(OSError, match="too long"):
        write_set({tmp_path / "a.alaw": b"1", too_long: b"2"})
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_is_swept_away_and_what_is_being_written_is_not(
    tmp_path: Path,
) -> None:
    for name, written_at in ((".a.wav.17", 100), (".b.wav.18", 300), ("c.wav", 100)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (written_at, written_at))
    sweep(tmp_path, 200)
    assert {path.name for path in tmp_path.iterdir()} == {".b.wav.18", "c.wav"}
    sweep(tmp_path / "absent", 200)
