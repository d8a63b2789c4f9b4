"""Menu key 5: a title's initials on the keypad, the best three, and a tone as from a list."""

from __future__ import annotations

import pytest

from catalog.pinyin import spelling
from catalog.snapshot import Contents, Snapshot
from catalog.tones import Tone
from tests.fakes.catalogue import BRANCHES, SHANGHAI, a_tone, some_tones
from tests.fakes.channel import HANG_UP, IN_SILENCE
from tests.fakes.line import LineFixture, editions
from tests.unit.ivr.calls import MENU_AGAIN, part_after, tones_played

SONGS = (
    *some_tones(),
    a_tone("5654", "水"),
    a_tone("2008", "明月"),
    a_tone("2016", "明月几时有"),
    a_tone("2024", "明月夜"),
    a_tone("2032", "沐浴"),
    a_tone("2040", "Yesterday"),
)


@pytest.fixture
def line() -> LineFixture:
    line = LineFixture()
    line.snapshot = searchable(*SONGS)
    return line


def searchable(*tones: Tone) -> Snapshot:
    spellings = {tone.code: spelling(tone.title, tone.artist) for tone in tones}
    return Snapshot(Contents(1, tones, editions(), spellings), BRANCHES, SHANGHAI)


def typed(keys: str) -> list[tuple[str, str]]:
    return [(IN_SILENCE, key) for key in keys]


def test_the_initials_of_a_title_find_it(line: LineFixture) -> None:
    keys = [*typed("5654#"), (IN_SILENCE, "1"), ("during tones/1029-a", HANG_UP)]
    channel = line.call(keys=keys)
    said = part_after(channel.said, "ask_initials")
    assert said[:7] == ["search_intro", "n1", "tones_counted", "ordinal_1", "code", "d1", "d0"]
    assert tones_played(channel) == ["1029"]


def test_the_best_three_are_offered_whole_titles_first(line: LineFixture) -> None:
    channel = line.call(keys=[*typed("569#"), (IN_SILENCE, HANG_UP)])
    said = part_after(channel.said, "ask_initials")
    codes = "".join(name[1] for name in said if name[0] == "d" and name[1].isdigit())
    assert codes == "200820322016"
    assert "ordinal_4" not in said


def test_the_next_song_is_the_next_that_was_found(line: LineFixture) -> None:
    keys = [*typed("569#1"), ("during tones/2008-a", "2"), ("during tones/2032-a", HANG_UP)]
    assert tones_played(line.call(keys=keys)) == ["2008", "2032"]


def test_star_leads_back_to_the_list_and_from_there_to_the_menu(line: LineFixture) -> None:
    keys = [*typed("569#1"), ("during tones/2008-a", "*"), ("during ordinal_1", "*")]
    channel = line.call(keys=[*keys, ("during menu_rest", HANG_UP)])
    assert channel.said[-len(MENU_AGAIN) :] == MENU_AGAIN


def test_a_latin_title_is_typed_by_its_letters(line: LineFixture) -> None:
    keys = [*typed("593783#1"), ("during tones/2040-a", HANG_UP)]
    assert tones_played(line.call(keys=keys)) == ["2040"]


def test_nothing_found_is_said_and_asked_again_three_times_in_all(line: LineFixture) -> None:
    channel = line.call(keys=[*typed("5222#222#222#"), ("during menu_rest", HANG_UP)])
    asked = ["ask_initials", "search_none"]
    end = ["search_none", *MENU_AGAIN]
    said = channel.said[channel.said.index("ask_initials") :]
    assert said == ["ask_initials", "search_none", "ask_initials", *asked[1:], "ask_initials", *end]


def test_silence_finds_nothing(line: LineFixture) -> None:
    channel = line.call(keys=[*typed("5"), ("during back_to_menu", HANG_UP)])
    assert channel.said.count("ask_initials") == 3


def test_star_gives_the_search_up(line: LineFixture) -> None:
    channel = line.call(keys=[*typed("56*"), ("during menu_rest", HANG_UP)])
    assert part_after(channel.said, "ask_initials") == MENU_AGAIN


def test_initials_typed_at_once_with_their_key_are_a_search_even_if_they_look_like_a_code(
    line: LineFixture,
) -> None:
    keys = [(0.1, "5"), *((0.4 + n / 5, key) for n, key in enumerate("654#"))]
    channel = line.call(keys=[*keys, ("during search_intro", HANG_UP)])
    assert "search_intro" in channel.said


def test_the_same_digits_without_a_number_sign_are_the_code(line: LineFixture) -> None:
    keys = [(0.1, "5"), *((0.4 + n / 5, key) for n, key in enumerate("654"))]
    channel = line.call(keys=[*keys, ("during tones/5654-a", HANG_UP)])
    assert tones_played(channel) == ["5654"]


def test_a_tone_whose_licence_has_ended_is_not_offered(line: LineFixture) -> None:
    ended = a_tone("2008", "明月", licence_until=line.now().date().replace(year=2025))
    line.snapshot = searchable(ended, a_tone("2032", "沐浴"))
    keys = [*typed("569#1"), ("during tones/2032-a", HANG_UP)]
    assert tones_played(line.call(keys=keys)) == ["2032"]
