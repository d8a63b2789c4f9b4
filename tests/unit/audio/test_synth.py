"""What a caller hears: in tune, even in level, and nothing that a telephone takes for a key."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audio.dtmf import find_digits
from audio.formats import RATE_HZ, duration_ms, level, to_samples, true_peak_dbfs
from audio.scores import BadScore, Note, Part, Score, parse_score
from audio.synth import render
from audio.voices import VOICES

SCORES = sorted((Path(__file__).parents[3] / "config/sample/scores").glob("*.toml"))
Samples = NDArray[np.float64]


def one_voice(voice: str, *notes: Note, tempo: float = 120) -> Score:
    beats = max(note.start + note.beats for note in notes)
    return Score("scale", tempo, 1, beats, (Part(voice, 0.0, notes),))


def semitones_off(sound: Samples, hertz: float) -> float:
    """Return how far the partial that should be at `hertz` is from it."""
    size = 1 << 16
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size), size))
    frequencies = np.fft.rfftfreq(size, 1 / RATE_HZ)
    near = (frequencies > hertz * 2 ** (-1.5 / 12)) & (frequencies < hertz * 2 ** (1.5 / 12))
    assert spectrum[near].max() > 0.05 * spectrum.max()
    return float(12 * np.log2(frequencies[near][np.argmax(spectrum[near])] / hertz))


@pytest.mark.parametrize("voice", sorted(VOICES))
@pytest.mark.parametrize("pitch", [62, 69, 76])
def test_every_voice_is_in_tune(voice: str, pitch: int) -> None:
    pcm = render(one_voice(voice, Note(0, 2, pitch)))
    sound = to_samples(pcm)[int(0.12 * RATE_HZ) : int(0.5 * RATE_HZ)]
    assert abs(semitones_off(sound, 440 * 2 ** ((pitch - 69) / 12))) < 0.25


@pytest.mark.parametrize("voice", sorted(VOICES))
def test_the_shortest_and_the_longest_notes_of_every_voice_sound(voice: str) -> None:
    notes = (Note(0, 0.05, 40), Note(0.05, 0.05, 96), Note(0.1, 6, 64))
    sound = to_samples(render(one_voice(voice, *notes)))
    assert np.isfinite(sound).all()
    assert np.abs(sound[: RATE_HZ // 20]).max() > 0.01


def test_the_same_score_gives_the_same_bytes() -> None:
    score = parse_score(SCORES[0].read_text("utf-8"))
    assert render(score) == render(score)


def test_a_voice_nobody_has_is_refused() -> None:
    with pytest.raises(BadScore, match="voice = 'kazoo' is none of guzheng"):
        render(one_voice("kazoo", Note(0, 1, 69)))


def test_a_part_that_is_silent_throughout_harms_nothing() -> None:
    lead = Part("piano", 0.0, (Note(0, 2, 69),))
    assert render(Score("", 60, 2, 2, (lead, Part("bells", 0.0, ())))) == render(
        Score("", 60, 2, 2, (lead,))
    )


# ------------------------------------------------------------ the tones of the sample catalogue


def _render(path: Path) -> bytes:
    return render(parse_score(path.read_text("utf-8")))


@pytest.fixture(scope="module")
def tones() -> dict[str, bytes]:
    """The PCM of every sample tone, rendered once."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("fork")) as pool:
        return dict(zip((path.stem for path in SCORES), pool.map(_render, SCORES), strict=True))


def test_there_are_at_least_forty_tones_of_30_to_48_seconds(tones: dict[str, bytes]) -> None:
    assert len(tones) >= 40
    assert {
        name: ms for name, pcm in tones.items() if not 30_000 <= (ms := duration_ms(pcm)) <= 48_000
    } == {}


def test_all_tones_are_equally_loud_and_none_is_clipped(tones: dict[str, bytes]) -> None:
    for name, pcm in tones.items():
        assert level(pcm) == pytest.approx(-19, abs=0.3), name
        assert true_peak_dbfs(pcm) < -3, name


def test_every_tone_begins_at_once_and_fades_away(tones: dict[str, bytes]) -> None:
    for name, pcm in tones.items():
        sound = np.abs(to_samples(pcm))
        assert int(np.argmax(sound > 0.01)) < 0.05 * RATE_HZ, name
        assert sound[0] < 0.001, name
        assert sound[-1] < 0.001, name


def test_a_telephone_passes_what_makes_up_a_tone(tones: dict[str, bytes]) -> None:
    for name, pcm in tones.items():
        power = np.abs(np.fft.rfft(to_samples(pcm), 1 << 19)) ** 2
        hertz = np.fft.rfftfreq(1 << 19, 1 / RATE_HZ)
        heard = power[(hertz >= 250) & (hertz <= 3400)].sum() / power.sum()
        assert heard > 0.85, name


def test_no_two_tones_are_alike(tones: dict[str, bytes]) -> None:
    size = 1 << 17  # their first 8 s
    spectra = {}
    for name, pcm in tones.items():
        sound = to_samples(pcm)[: size // 2]
        spectra[name] = np.fft.rfft(sound / np.linalg.norm(sound), size).astype(np.complex64)
    names = list(spectra)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            likeness = np.abs(np.fft.irfft(spectra[name] * spectra[other].conj())).max()
            assert likeness < 0.3, (name, other)


def test_no_tone_holds_anything_like_a_digit(tones: dict[str, bytes]) -> None:
    for name, pcm in tones.items():
        assert find_digits(to_samples(pcm)) == (), name
