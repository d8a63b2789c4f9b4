from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from audio.formats import (
    FIRST_SECONDS,
    RATE_HZ,
    WIDE_RATE_HZ,
    SoundUnreadable,
    duration_ms,
    level,
    read_sound,
    to_samples,
    true_peak_dbfs,
)
from audio.ingest import LONGEST_MS, SHORTEST_MS, TARGET_MS, import_sound, read_tone
from tests.fakes.recordings import CD_HZ, a_digit, a_melody, encoded, recorded, silence
from tests.machine import require_program


@pytest.fixture(scope="module", autouse=True)
def _ffmpeg() -> None:
    require_program("ffmpeg", "ffmpeg")


@pytest.fixture
def without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def refused(path: Path) -> str:
    with pytest.raises(SoundUnreadable) as why:
        read_tone(path)
    return why.value.why


def test_a_long_song_becomes_48_levelled_and_faded_seconds(tmp_path: Path) -> None:
    tone = read_tone(recorded(tmp_path / "a.wav", a_melody(80)))
    assert duration_ms(tone.narrow) == TARGET_MS
    assert len(tone.wide) == 2 * len(tone.narrow)
    assert level(tone.narrow) == pytest.approx(-19, abs=0.2)
    assert level(tone.wide, WIDE_RATE_HZ) == pytest.approx(-19, abs=0.2)
    for pcm in (tone.narrow, tone.wide):
        assert true_peak_dbfs(pcm) < -3
        assert abs(to_samples(pcm)[-1]) < 0.01


@pytest.mark.parametrize(("seconds", "kept"), [(30, 30), (54, 54), (56, 48), (70, 48), (100, 48)])
def test_up_to_55_seconds_stay_whole(tmp_path: Path, seconds: int, kept: int) -> None:
    tone = read_tone(recorded(tmp_path / "a.wav", a_melody(seconds)))
    assert duration_ms(tone.narrow) == pytest.approx(kept * 1000, abs=20)


@pytest.mark.parametrize("amplitude", [0.01, 0.05, 0.95])
def test_quiet_and_loud_recordings_come_to_the_same_level(tmp_path: Path, amplitude: float) -> None:
    tone = read_tone(recorded(tmp_path / "a.wav", a_melody(8, amplitude)))
    assert level(tone.narrow) == pytest.approx(-19, abs=0.3)
    assert true_peak_dbfs(tone.narrow) < -3


@pytest.mark.parametrize(("pause", "cut"), [(0.2, 0), (1, 950), (13, 12_950), (40, 39_950)])
def test_silence_at_both_ends_is_cut(tmp_path: Path, pause: float, cut: int) -> None:
    recording = recorded(tmp_path / "a.wav", silence(pause), a_melody(5), silence(4))
    tone = read_tone(recording)
    assert duration_ms(tone.narrow) == pytest.approx(pause * 1000 + 5000 - cut, abs=30)


def test_what_is_no_tone_is_refused(tmp_path: Path) -> None:
    assert refused(recorded(tmp_path / "a.wav", silence(3))) == "it is silent"
    short = refused(recorded(tmp_path / "b.wav", a_melody(0.5)))
    assert short == "it is 500 ms long; a tone has a second at least"


def test_a_clipped_recording_is_refused_with_the_worst_second(tmp_path: Path) -> None:
    loud = np.clip(6 * a_melody(2, 0.5, CD_HZ), -1, 1)
    parts = (a_melody(7, rate_hz=CD_HZ), loud, a_melody(7, rate_hz=CD_HZ))
    why = refused(recorded(tmp_path / "a.wav", *parts, rate_hz=CD_HZ, channels=2))
    assert re.fullmatch(r"\d+\.\d% of it is clipped, most at second [78]", why)


def test_clipping_behind_the_end_of_the_tone_harms_nobody(tmp_path: Path) -> None:
    loud = np.clip(6 * a_melody(10, 0.5), -1, 1)
    assert read_tone(recorded(tmp_path / "a.wav", a_melody(52), loud))


def test_a_peak_that_only_touches_full_scale_is_no_clipping(tmp_path: Path) -> None:
    whole = a_melody(10)
    assert read_tone(recorded(tmp_path / "a.wav", whole / np.abs(whole).max()))


def test_silence_within_is_refused_with_its_second(tmp_path: Path) -> None:
    parts = (silence(1), a_melody(6), silence(2.5), a_melody(6))
    assert refused(recorded(tmp_path / "a.wav", *parts)) == "it is silent for 2.5 s at second 7.0"
    assert read_tone(recorded(tmp_path / "b.wav", a_melody(6), silence(1.9), a_melody(6)))


def test_music_that_presses_a_key_is_refused_with_its_second(tmp_path: Path) -> None:
    parts = (silence(2), a_melody(10), a_digit(770, 1336, 0.1), a_melody(10))
    why = refused(recorded(tmp_path / "a.wav", *parts))
    assert re.fullmatch(r"a telephone would take it for the key 5 at second 12\.\d", why)


def test_a_sound_that_is_nearly_all_peaks_is_refused(tmp_path: Path) -> None:
    clicks = silence(10)
    clicks[::800] = 0.9
    why = refused(recorded(tmp_path / "a.wav", clicks))
    assert "its peaks are too high for its loudness" in why


def test_a_recording_becomes_sound_files_that_asterisk_plays_untranscoded(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "song.wav", a_melody(10))
    stem, length_ms = import_sound(recording, tmp_path / "sounds", "1029")
    assert stem.startswith("tones/1029-")
    assert length_ms == 10_000
    for name, ms in ((stem, 10_000), (f"{stem}{FIRST_SECONDS}", 6_000)):
        for ending in (".wav", ".alaw", ".ulaw"):
            assert duration_ms(read_sound(tmp_path / "sounds" / f"{name}{ending}")) == ms
        assert (tmp_path / "sounds" / f"{name}.g722").stat().st_size == ms * 8
    assert len(list((tmp_path / "sounds/tones").iterdir())) == 8


def test_the_g722_sound_is_the_same_music_at_the_same_level(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "song.wav", a_melody(10, rate_hz=CD_HZ), rate_hz=CD_HZ)
    stem, _ = import_sound(recording, tmp_path / "sounds", "1029")
    decode = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(tmp_path / f"sounds/{stem}.g722")]
    done = subprocess.run([*decode, "-f", "s16le", "-"], capture_output=True, check=True)
    assert level(done.stdout, WIDE_RATE_HZ) == pytest.approx(-19, abs=0.5)
    wide = to_samples(done.stdout)[::2]
    narrow = to_samples(read_sound(tmp_path / f"sounds/{stem}.wav"))[: wide.size]
    assert np.corrcoef(np.abs(wide).cumsum(), np.abs(narrow).cumsum())[0, 1] > 0.999


def test_an_unchanged_recording_is_not_decoded_again(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "song.wav", a_melody(2))
    made = import_sound(recording, tmp_path, "1029")
    before = (tmp_path / f"{made[0]}.wav").stat().st_mtime_ns
    assert import_sound(recording, tmp_path, "1029") == made
    assert (tmp_path / f"{made[0]}.wav").stat().st_mtime_ns == before


def test_a_set_with_a_file_missing_is_made_anew(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "song.wav", a_melody(2))
    made = import_sound(recording, tmp_path, "1029")
    (tmp_path / f"{made[0]}.ulaw").unlink()
    assert import_sound(recording, tmp_path, "1029") == made
    assert (tmp_path / f"{made[0]}.ulaw").exists()


def test_a_changed_recording_becomes_a_new_sound_beside_the_old(tmp_path: Path) -> None:
    first, _ = import_sound(recorded(tmp_path / "a.wav", a_melody(2)), tmp_path, "1029")
    second, _ = import_sound(recorded(tmp_path / "a.wav", a_melody(3)), tmp_path, "1029")
    assert first != second
    assert (tmp_path / f"{first}.wav").exists()


FORMATS = {
    "mp3": ("-b:a", "128k"),
    "flac": (),
    "m4a": ("-c:a", "aac"),
    "ogg": (),
    "aiff": (),
    "wma": (),
}


@pytest.mark.parametrize("ending", FORMATS)
def test_other_formats_are_decoded_by_ffmpeg(tmp_path: Path, ending: str) -> None:
    melody = recorded(tmp_path / "a.wav", a_melody(5, 0.3, CD_HZ), rate_hz=CD_HZ, channels=2)
    recording = encoded(melody, ending, *FORMATS[ending])
    stem, length_ms = import_sound(recording, tmp_path / "sounds", "1029")
    assert length_ms == pytest.approx(5000, abs=120)
    assert level(read_sound(tmp_path / "sounds" / f"{stem}.wav")) == pytest.approx(-19, abs=0.5)


@pytest.mark.parametrize(
    "form", [("-c:a", "pcm_s24le"), ("-c:a", "pcm_f32le"), ("-ac", "6"), ("-ar", "96000")]
)
def test_a_wav_of_any_kind_is_read(tmp_path: Path, form: tuple[str, ...]) -> None:
    plain = recorded(tmp_path / "plain.wav", a_melody(5, 0.3, CD_HZ), rate_hz=CD_HZ)
    made = encoded(plain, "w64", *form).rename(tmp_path / "song.wav")
    assert duration_ms(read_tone(made).narrow) == pytest.approx(5000, abs=30)


def test_a_cover_picture_is_no_obstacle(tmp_path: Path) -> None:
    melody = recorded(tmp_path / "a.wav", a_melody(4, 0.3, CD_HZ), rate_hz=CD_HZ)
    picture = tmp_path / "cover.png"
    draw = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=red:s=64x64", "-frames:v", "1"]
    subprocess.run([*draw, str(picture)], check=True)
    options = ("-i", str(picture), "-map", "0:a", "-map", "1:v", "-c:v", "copy")
    song = encoded(melody, "mp3", *options, "-disposition:v", "attached_pic")
    assert duration_ms(read_tone(song).narrow) == pytest.approx(4000, abs=120)
    assert refused(picture) == "there is no sound in it"


def test_nothing_above_the_telephones_band_is_folded_into_it(tmp_path: Path) -> None:
    time = np.arange(CD_HZ * 3) / CD_HZ
    both = 0.4 * np.sin(2 * np.pi * 5000 * time) + 0.1 * np.sin(2 * np.pi * 1000 * time)
    narrow = read_tone(recorded(tmp_path / "a.wav", both, rate_hz=CD_HZ)).narrow
    samples = to_samples(narrow)[8000:16000]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(8000)))
    assert spectrum[3000] < spectrum[1000] / 1000


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE", b"no sound at all"])
def test_a_file_that_is_no_sound_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    recording = tmp_path / "song.wav"
    recording.write_bytes(content)
    with pytest.raises(SoundUnreadable, match=r"song\.wav: it cannot be decoded"):
        import_sound(recording, tmp_path, "1029")


def test_a_file_that_breaks_off_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = recorded(tmp_path / "a.wav", a_melody(20, 0.3, CD_HZ), rate_hz=CD_HZ)
    song = encoded(whole, "mp3")
    song.write_bytes(song.read_bytes()[: song.stat().st_size // 2])
    assert duration_ms(read_tone(song).narrow) == pytest.approx(10_000, abs=300)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SoundUnreadable, match=r"absent\.wav: No such file"):
        import_sound(tmp_path / "absent.wav", tmp_path, "1029")


@pytest.mark.usefixtures("without_ffmpeg")
def test_without_ffmpeg_plain_wav_files_make_all_but_g722(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "a.wav", a_melody(5, 0.3, CD_HZ), rate_hz=CD_HZ, channels=2)
    stem, length_ms = import_sound(recording, tmp_path / "sounds", "1029")
    assert length_ms == pytest.approx(5000, abs=20)
    assert {path.suffix for path in (tmp_path / "sounds/tones").iterdir()} == {
        ".wav", ".alaw", ".ulaw",
    }  # fmt: skip
    assert level(read_sound(tmp_path / f"sounds/{stem}.wav")) == pytest.approx(-19, abs=0.3)
    (tmp_path / "b.mp3").write_bytes(b"ID3")
    assert refused(tmp_path / "b.mp3") == "decoding it needs ffmpeg: apt-get install ffmpeg"


def test_the_limits_are_those_of_the_trade() -> None:
    assert SHORTEST_MS < TARGET_MS == 48_000
    assert LONGEST_MS == 55_000
    assert RATE_HZ * LONGEST_MS / 1000 <= 512 * 1000
