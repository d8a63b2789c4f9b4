from __future__ import annotations

import csv
import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio.formats import (
    RATE_HZ,
    SPEECH_LUFS,
    duration_ms,
    from_samples,
    level,
    read_sound,
    to_samples,
    to_wav,
    true_peak_dbfs,
)
from audio.prompts import (
    absent,
    install,
    render_missing,
    render_titles,
    stale,
    title_file,
)

ROOT = Path(__file__).parents[3]
SPEECH = ROOT / "audio" / "speech"
LANGUAGES = ("en", "zh_CN")


def tone(hertz: float, amplitude: float = 0.2) -> bytes:
    times = np.arange(RATE_HZ // 2) / RATE_HZ
    return from_samples(amplitude * np.sin(2 * np.pi * hertz * times))


def put(folder: Path, name: str, content: bytes, changed_at_s: int = 1_000) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    os.utime(folder / name, (changed_at_s, changed_at_s))


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    folder = tmp_path / "rendered"
    put(folder, "menu.wav", to_wav(tone(400)))
    put(folder, "goodbye.wav", to_wav(tone(500)))
    put(folder, "texts.sha256", b"")
    return folder


def test_every_rendered_prompt_is_installed_once(tmp_path: Path, rendered: Path) -> None:
    sounds, recorded = tmp_path / "sounds", tmp_path / "none"
    first = install("zh_CN", rendered, recorded, sounds)
    assert (first.written, first.unchanged, first.problems) == (("goodbye", "menu"), 0, ())
    assert sorted(path.name for path in (sounds / "prompts" / "zh_CN").iterdir()) == [
        f"{prompt}.{ending}" for prompt in ("goodbye", "menu") for ending in ("alaw", "ulaw", "wav")
    ]
    second = install("zh_CN", rendered, recorded, sounds)
    assert (second.written, second.unchanged) == ((), 2)
    assert read_sound(sounds / "prompts" / "zh_CN" / "menu.wav") == tone(400)


def test_a_changed_or_half_removed_prompt_is_installed_again(
    tmp_path: Path, rendered: Path
) -> None:
    sounds, recorded = tmp_path / "sounds", tmp_path / "none"
    install("zh_CN", rendered, recorded, sounds)
    put(rendered, "menu.wav", to_wav(tone(600)), changed_at_s=2_000)
    (sounds / "prompts" / "zh_CN" / "goodbye.alaw").unlink()
    again = install("zh_CN", rendered, recorded, sounds)
    assert again.written == ("goodbye", "menu")
    assert read_sound(sounds / "prompts" / "zh_CN" / "menu.wav") == tone(600)


def test_a_recording_wins_and_is_levelled_and_gives_way_when_it_goes(
    tmp_path: Path, rendered: Path
) -> None:
    sounds, recorded = tmp_path / "sounds", tmp_path / "recorded"
    install("zh_CN", rendered, recorded, sounds)
    put(recorded, "menu.wav", to_wav(tone(900, amplitude=0.01)), changed_at_s=500)
    put(recorded, "notes.txt", b"not a sound")
    assert install("zh_CN", rendered, recorded, sounds).written == ("menu",)
    heard = read_sound(sounds / "prompts" / "zh_CN" / "menu.wav")
    spectrum = np.abs(np.fft.rfft(to_samples(heard)))
    assert int(spectrum.argmax()) * RATE_HZ / to_samples(heard).size == 900
    assert level(heard) == pytest.approx(SPEECH_LUFS, abs=1)
    assert install("zh_CN", rendered, recorded, sounds).written == ()

    (recorded / "menu.wav").unlink()
    assert install("zh_CN", rendered, recorded, sounds).written == ("menu",)
    assert read_sound(sounds / "prompts" / "zh_CN" / "menu.wav") == tone(400)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no sound at all", "not a PCM .wav file"),
        (to_wav(b"\0\0" * 8000), "nothing is to be heard in it; record it again"),
    ],
)
def test_a_recording_that_cannot_be_used_is_told_and_the_rendered_prompt_serves(
    tmp_path: Path, rendered: Path, content: bytes, why: str
) -> None:
    sounds, recorded = tmp_path / "sounds", tmp_path / "recorded"
    put(recorded, "menu.wav", content)
    report = install("zh_CN", rendered, recorded, sounds)
    assert report.written == ("goodbye", "menu")
    [problem] = report.problems
    assert problem.startswith(f"{recorded / 'menu.wav'}: ")
    assert why in problem
    assert read_sound(sounds / "prompts" / "zh_CN" / "menu.wav") == tone(400)


def test_a_prompt_that_has_no_usable_source_is_told_and_stays_absent(tmp_path: Path) -> None:
    put(tmp_path / "rendered", "menu.wav", b"")
    report = install("zh_CN", tmp_path / "rendered", tmp_path / "none", tmp_path / "sounds")
    assert report.written == ()
    assert len(report.problems) == 1
    assert absent(["prompts/zh_CN/menu"], tmp_path / "sounds") == ("prompts/zh_CN/menu",)


def test_sounds_that_are_not_there_are_named(tmp_path: Path, rendered: Path) -> None:
    install("zh_CN", rendered, tmp_path / "none", tmp_path)
    stems = ["prompts/zh_CN/menu", "prompts/zh_CN/help", "prompts/zh_CN/busy"]
    assert absent(stems, tmp_path) == ("prompts/zh_CN/busy", "prompts/zh_CN/help")


class Speaker:
    """Says every text as a beep, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> bytes:
        self.asked.append(text)
        return tone(300 + 10 * len(text))


def test_only_new_and_changed_texts_are_rendered_and_dropped_ones_go(tmp_path: Path) -> None:
    texts = {"menu": "请按1", "goodbye": "再见", "busy": "线路繁忙"}
    assert stale(texts, tmp_path / "speech") == ("menu", "goodbye", "busy")
    assert render_missing(texts, tmp_path / "speech", Speaker()) == ("menu", "goodbye", "busy")
    assert stale(texts, tmp_path / "speech") == ()

    (tmp_path / "speech" / "busy.wav").unlink()
    changed = {"menu": "请按2", "busy": "线路繁忙"}
    assert stale(changed, tmp_path / "speech") == ("menu", "busy")
    speaker = Speaker()
    assert render_missing(changed, tmp_path / "speech", speaker) == ("menu", "busy")
    assert speaker.asked == ["请按2", "线路繁忙"]
    assert sorted(path.name for path in (tmp_path / "speech").iterdir()) == [
        "busy.wav",
        "menu.wav",
        "texts.sha256",
    ]


def test_a_rendering_that_breaks_off_keeps_what_it_had(tmp_path: Path) -> None:
    def out_of_breath(text: str) -> bytes:
        if text == "再见":
            raise MemoryError
        return tone(400)

    texts = {"menu": "请按1", "goodbye": "再见"}
    with pytest.raises(MemoryError):
        render_missing(texts, tmp_path, out_of_breath)
    assert stale(texts, tmp_path) == ("goodbye",)


def test_a_title_is_rendered_once_under_a_name_made_of_its_text(tmp_path: Path) -> None:
    speaker = Speaker()
    assert render_titles(["茉莉花", "紫竹调"], tmp_path, speaker) == ("茉莉花", "紫竹调")
    assert render_titles(["茉莉花", "送别"], tmp_path, speaker) == ("送别",)
    assert speaker.asked == ["茉莉花。", "紫竹调。", "送别。"]
    assert title_file("茉莉花") == "c4cc284f55b6.wav"
    assert (tmp_path / title_file("茉莉花")).is_file()


# The committed speech itself.


def shipped(language: str) -> dict[str, Any]:
    file = ROOT / "config" / "messages" / language / "prompts.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_prompt_is_rendered_with_its_present_text(language: str) -> None:
    texts = shipped(language)["prompts"]
    assert stale(texts, SPEECH / language) == ()
    files = {path.stem for path in (SPEECH / language).glob("*.wav")}
    assert files == texts.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_title_of_the_sample_catalogue_is_spoken(language: str) -> None:
    titles_of = SPEECH / shipped(language)["reading"].get("titles", language) / "titles"
    with (ROOT / "config/sample/tones.csv").open(encoding="utf-8", newline="") as file:
        titles = [row["title"] for row in csv.DictReader(file)]
    assert [title for title in titles if not (titles_of / title_file(title)).is_file()] == []


def silence_before_ms(pcm: bytes) -> int:
    """Whole 10 ms frames more than 42 dB below the loudest, before the first that is not."""
    samples = to_samples(pcm)
    frames = samples[: samples.size // 80 * 80].reshape(-1, 80)
    energy = np.square(frames).mean(axis=1)
    return 10 * int(np.flatnonzero(energy > energy.max() * 10**-4.2)[0])


@pytest.mark.parametrize(
    "path", sorted(SPEECH.rglob("*.wav")), ids=lambda path: str(path.relative_to(SPEECH))
)
def test_the_committed_speech_is_even_in_level_and_starts_at_once(path: Path) -> None:
    pcm = read_sound(path)
    assert level(pcm) == pytest.approx(SPEECH_LUFS, abs=1)
    assert true_peak_dbfs(pcm) < -3
    assert 150 < duration_ms(pcm) < 20_000
    assert silence_before_ms(pcm) <= 30
