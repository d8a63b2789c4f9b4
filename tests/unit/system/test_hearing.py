from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.system import hearing, rtp
from tests.system.hearing import UNKNOWN, Heard, Library
from tests.system.rtp import Samples


def noise(seconds: float, seed: int, peak: float = 9000.0) -> Samples:
    """A sound like no other, of speech's bandwidth."""
    drawn = np.random.default_rng(seed).normal(0, 1, int(seconds * 8000))
    shaped = np.convolve(drawn, np.hanning(9), "same")
    return np.asarray(shaped / np.abs(shaped).max() * peak, np.int16)


def silence(samples: int) -> Samples:
    """As A-law sends it: its smallest step."""
    return np.full(samples, 8, np.int16)


def through_alaw(samples: Samples) -> Samples:
    """The nearest of A-law's 256 values."""
    levels = np.sort(rtp.LINEAR[rtp.PCMA]).astype(np.int32)
    middles = (levels[1:] + levels[:-1]) // 2
    return levels[np.searchsorted(middles, samples)].astype(np.int16)


def call(*pieces: Samples) -> Samples:
    return through_alaw(np.concatenate(pieces))


def recognised(recording: Samples, candidates: dict[str, Samples]) -> list[Heard]:
    return hearing.recognise(recording, Library(candidates))


def position_ms(recording: Samples, sound: Samples) -> int | None:
    return hearing.position_ms(recording, Library({"sound": sound}))


MENU, SONG, CODE = noise(2.0, 1), noise(3.0, 2), noise(0.35, 3)
SOUNDS = {"menu": MENU, "song": SONG, "code": CODE}


def names(found: list[Heard]) -> list[str]:
    return [heard.name for heard in found]


def test_silence_is_nothing() -> None:
    assert recognised(silence(8000), SOUNDS) == []


def test_no_recording_is_nothing() -> None:
    assert recognised(np.zeros(0, np.int16), SOUNDS) == []


def test_a_whole_file_is_known_with_its_place() -> None:
    (heard,) = recognised(call(silence(2400), SONG, silence(1600)), SOUNDS)
    assert heard.name == "song"
    assert heard.from_ms == 300
    assert heard.until_ms == pytest.approx(3300, abs=25)
    assert heard.file_from_ms == 0
    assert heard.file_until_ms == pytest.approx(3000, abs=25)
    assert heard.score > 0.99


def test_a_missing_first_syllable_shows() -> None:
    (heard,) = recognised(call(silence(800), SONG[2000:]), SOUNDS)
    assert heard.file_from_ms == pytest.approx(250, abs=20)


def test_leading_silence_of_a_file_belongs_to_it() -> None:
    quiet_start = np.concatenate([silence(2000), SONG])
    (heard,) = recognised(call(silence(800), quiet_start), {"quiet": quiet_start})
    assert heard.file_from_ms == 0


def test_a_pause_inside_a_file_does_not_cut_it_in_two() -> None:
    paused = np.concatenate([MENU, silence(12000), SONG])
    assert names(recognised(call(paused), {"paused": paused, "song": SONG})) == ["paused"]


def test_files_without_a_pause_between_them_are_told_apart() -> None:
    found = recognised(call(CODE, CODE, MENU, CODE, SONG), SOUNDS)
    assert names(found) == ["code", "code", "menu", "code", "song"]
    assert all(heard.file_from_ms == 0 for heard in found)


def test_a_file_broken_off_by_a_key_ends_where_it_was_broken_off() -> None:
    first, second = recognised(call(SONG[:8000], silence(320), MENU), SOUNDS)
    assert first.file_until_ms == pytest.approx(1000, abs=20)
    assert (second.name, second.file_from_ms) == ("menu", 0)
    assert second.from_ms == pytest.approx(1040, abs=20)


def test_a_hole_of_the_network_does_not_make_two_of_one() -> None:
    (heard,) = recognised(call(SONG[:8000], silence(960), SONG[8000:]), SOUNDS)
    assert heard.until_ms == pytest.approx(3120, abs=25)


def test_a_stream_full_of_holes_is_still_one_hearing() -> None:
    # as measured on a starved machine: runs of one to six packets, up to 0.6 s of nothing between
    runs, holes = (3, 1, 6, 2, 5, 1, 20), (2000, 1230, 1300, 1000, 5000, 2500, 400)
    pieces, at = [], 0
    for frames, hole in zip(runs, holes, strict=True):
        samples = through_alaw(SONG[at : at + frames * 160])
        pieces += [samples, np.zeros(hole, np.int16)]
        at += frames * 160
    (heard,) = recognised(np.concatenate(pieces), SOUNDS)
    assert (heard.name, heard.file_from_ms, heard.file_until_ms) == ("song", 0, 760)


def test_a_quiet_beginning_is_found() -> None:
    quiet = noise(1.0, 6, peak=300)
    (heard,) = recognised(call(silence(1000), quiet, silence(1000)), {"quiet": quiet})
    assert heard.file_from_ms == 0


def test_the_same_file_again_is_a_second_hearing() -> None:
    found = recognised(call(MENU, silence(160), MENU), SOUNDS)
    assert [(heard.name, heard.file_from_ms) for heard in found] == [("menu", 0), ("menu", 0)]


def test_what_is_no_candidate_is_reported_as_unknown() -> None:
    found = recognised(call(MENU, noise(0.5, 9), SONG), SOUNDS)
    assert names(found) == ["menu", UNKNOWN, "song"]
    assert found[1].until_ms - found[1].from_ms == pytest.approx(500, abs=150)


def test_of_files_that_begin_alike_the_longer_agreement_wins() -> None:
    alike = np.concatenate([SONG[:8000], noise(2.0, 8)])
    assert names(recognised(call(alike), {**SOUNDS, "alike": alike})) == ["alike"]


def test_a_quiet_file_is_heard() -> None:
    quiet = noise(2.0, 4, peak=900)
    assert names(recognised(call(silence(160), quiet), {"quiet": quiet, **SOUNDS})) == ["quiet"]


def test_a_vowel_is_not_taken_for_itself_one_period_later() -> None:
    periods = np.tile(noise(0.006, 5), 60) * np.linspace(0.3, 1.0, 60 * 48)
    vowel = np.concatenate([silence(400), periods.astype(np.int16)])
    (heard,) = recognised(call(silence(1600), vowel, silence(800)), {"vowel": vowel})
    assert (heard.from_ms, heard.file_from_ms) == (200, 0)


def test_many_candidates_are_searched_at_once() -> None:
    many = {str(seed): noise(5.0, 100 + seed) for seed in range(30)}
    found = recognised(call(many["17"], many["3"], many["29"]), many)
    assert names(found) == ["17", "3", "29"]


@settings(max_examples=25, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(sorted(SOUNDS)), st.integers(10, 17), st.integers(2, 60)),
        min_size=1,
        max_size=5,
    ),
    lead=st.integers(0, 999),
)
def test_any_sequence_of_beginnings_and_pauses_is_recognised(
    parts: list[tuple[str, int, int]], lead: int
) -> None:
    pieces = [silence(lead)]
    for name, frames, pause in parts:
        pieces += [SOUNDS[name][: frames * 160], silence(pause * 160)]
    found = recognised(call(*pieces), SOUNDS)
    assert names(found) == [name for name, _, _ in parts]
    assert all(heard.file_from_ms == 0 for heard in found)


@pytest.mark.parametrize("heard_ms", [150, 1000, 2500])
def test_the_position_in_a_playing_file_is_known(heard_ms: int) -> None:
    recording = call(silence(500), SONG[: heard_ms * 8])
    assert position_ms(recording, SONG) == pytest.approx(heard_ms, abs=20)


def test_the_position_of_a_file_that_ended_is_none() -> None:
    assert position_ms(call(SONG, silence(3200)), SONG) is None


def test_the_position_in_a_file_that_does_not_play_is_none() -> None:
    assert position_ms(call(MENU), SONG) is None


def test_the_last_sound_ends_before_the_silence_after_it() -> None:
    assert hearing.last_sound_ms(call(MENU, silence(8000))) == pytest.approx(2000, abs=20)
    assert hearing.last_sound_ms(silence(8000)) == 0


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", 8000)
    assert len(hearing.read_sound(tmp_path / "a.wav")) == 160


def test_a_sound_file_of_another_form_is_refused_by_name(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", 16000)
    with pytest.raises(ValueError, match=r"a\.wav is not 8 kHz"):
        hearing.read_sound(tmp_path / "a.wav")


def write_wav(path: Path, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(bytes(320))
