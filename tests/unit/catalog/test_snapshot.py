from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import catalog.snapshot
from catalog.directories import Edition
from catalog.pinyin import spelling
from catalog.snapshot import Contents, Snapshot
from catalog.tones import Tone
from tests.fakes.catalogue import BRANCHES, CODES, SHANGHAI, a_snapshot, a_tone, some_tones

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)


def edition(owner: str, songs: tuple[str, ...], reserve: tuple[str, ...] = ()) -> Edition:
    return Edition(owner, "regular", START, None, songs, reserve, edition_id=len(owner))


def codes(owner: str, *editions: Edition, at: datetime = NOW, **changed: object) -> list[str]:
    return [tone.code for tone in a_snapshot(editions=editions).directory(owner, at).tones]


def test_a_tone_is_found_by_its_code_while_it_is_published() -> None:
    snapshot = a_snapshot([a_tone(), a_tone("1032", state="retired")])
    assert snapshot.tone("1029") is not None
    assert snapshot.tone("1032") is None
    assert len(snapshot) == 1


def test_a_tone_is_unpacked_once_however_many_are_looked_up_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog.snapshot, "MOST_KEPT", 3)
    snapshot = a_snapshot()
    assert snapshot.tone("1029") is snapshot.tone("1029")
    assert [tone and tone.code for tone in map(snapshot.tone, CODES)] == list(CODES)
    assert snapshot.tone("9999") is None


def test_digits_are_a_prefix_while_a_longer_code_begins_with_them() -> None:
    snapshot = a_snapshot([a_tone("102"), a_tone("1029")])
    assert snapshot.is_code_prefix("10")
    assert snapshot.is_code_prefix("102")
    assert not snapshot.is_code_prefix("1029")
    assert not snapshot.is_code_prefix("11")


@given(st.sampled_from(CODES), st.integers(0, 3))
def test_a_prefix_of_a_code_is_one(code: str, length: int) -> None:
    assert a_snapshot().is_code_prefix(code[: length + 1]) == (length < 3)


def test_the_nearest_codes_are_one_slip_away() -> None:
    snapshot = a_snapshot()
    assert snapshot.nearest("1092", NOW)[0].code in {"1029", "1032", "1093"}
    assert {tone.code for tone in snapshot.nearest("1209", NOW)} >= {"1029"}
    assert snapshot.nearest("99999999", NOW) == ()
    assert len(snapshot.nearest("1000", NOW, 2)) <= 2


def test_the_branchs_edition_is_heard() -> None:
    mine = tuple(reversed(CODES[:10]))
    assert codes("yangzhou", edition("yangzhou", mine)) == list(mine)


def test_a_branch_without_an_edition_has_the_provinces() -> None:
    assert codes("suzhou", edition("jiangsu", CODES[:10])) == list(CODES[:10])


def test_a_slot_that_cannot_be_played_is_taken_by_the_reserve_then_the_province() -> None:
    ended = a_tone("1007", licence_until=date(2026, 11, 22))
    tones = [ended, a_tone("1010", state="retired"), *some_tones()[2:]]
    snapshot = a_snapshot(tones, [edition("yangzhou", CODES[:10], ("1119",)),
                                  edition("jiangsu", CODES[1:11])])  # fmt: skip
    heard = [tone.code for tone in snapshot.directory("yangzhou", NOW).tones]
    assert heard == ["1119", "1108", *CODES[2:10]]


def test_a_licence_holds_to_the_end_of_its_last_local_day() -> None:
    snapshot = a_snapshot([a_tone(licence_until=date(2026, 11, 23)), *some_tones()[3:]])
    before_midnight = datetime(2026, 11, 23, 15, 59, tzinfo=UTC)
    after_midnight = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
    assert "1029" in [tone.code for tone in snapshot.directory("x", before_midnight).tones]
    assert "1029" not in [tone.code for tone in snapshot.directory("x", after_midnight).tones]


@given(st.permutations(CODES), st.sets(st.sampled_from(CODES), max_size=3))
def test_there_are_always_ten_different_playable_songs(order: list[str], retired: set[str]) -> None:
    tones = [a_tone(code, state="retired" if code in retired else "published") for code in CODES]
    snapshot = a_snapshot(tones, [edition("yangzhou", tuple(order[:10]), tuple(order[10:11]))])
    heard = [tone.code for tone in snapshot.directory("yangzhou", NOW).tones]
    assert len(set(heard)) == 10
    assert not retired & set(heard)


def test_without_any_edition_the_catalogue_itself_is_heard() -> None:
    assert codes("yangzhou") == list(CODES[:10])


def test_the_next_of_a_style_follows_by_code_and_goes_round() -> None:
    tones = [a_tone("1007"), a_tone("1029"), a_tone("1032", style="古曲"), a_tone("1041")]
    snapshot = a_snapshot(tones)
    following = [snapshot.next_of_style(tone, NOW) for tone in (tones[1], tones[3], tones[2])]
    assert [tone and tone.code for tone in following] == ["1041", "1007", None]


def test_titles_are_found_by_every_word() -> None:
    assert [tone.code for tone in a_snapshot().find("茉莉", NOW)] == ["1029"]
    assert a_snapshot().find("", NOW) == ()


def searched(words: str, *tones: Tone) -> list[str]:
    spellings = {tone.code: spelling(tone.title, tone.artist) for tone in tones}
    snapshot = Snapshot(Contents(1, tones, (), spellings), BRANCHES, SHANGHAI)
    return [tone.code for tone in snapshot.find(words, NOW)]


MOONS = (
    a_tone("1029", "月光下的凤尾竹"),
    a_tone("1032", "明月光"),
    a_tone("1041", "月光"),
    a_tone("1055", "远光"),
)


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("月光", ["1041", "1029", "1032"]),
        ("月光 古筝", ["1029", "1041", "1032"]),
        ("月光 竹", ["1029"]),
        ("yg", ["1032", "1041", "1055", "1029"]),
        ("YueGuang", ["1032", "1041", "1029"]),
        ("fwz", ["1029"]),
        ("gz 明", ["1032"]),
        ("1055", ["1055"]),
        ("uang", []),
        ("没有", []),
        ("。", []),
    ],
)
def test_the_likeliest_is_found_first(words: str, codes: list[str]) -> None:
    assert searched(words, *MOONS) == codes


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("one", ["9508"]),
        ("one lov", ["9508"]),
        ("lov one", ["9508"]),
        ("群星 茉莉", ["9600"]),
        ("茉莉 群星", ["9600"]),
        ("qx ml", ["9600"]),
        ("ml qx", ["9600"]),
        ("tones", []),
        ("示例曲库", []),
    ],
)
def test_what_many_have_hides_nothing_and_only_the_song_itself_is_searched(
    words: str, codes: list[str]
) -> None:
    many = [replace(a_tone(str(code), f"曲{code}"), artist="群星") for code in range(1000, 2200)]
    love = replace(a_tone("9508", "One Love"), sound="tones/9508-a3")
    jasmine = replace(a_tone("9600", "茉莉花"), artist="群星")
    assert searched(words, *many, love, jasmine) == codes


def test_a_better_match_comes_first_however_many_others_have_lower_codes() -> None:
    many = [replace(a_tone(str(code), f"曲{code}"), artist="Someone") for code in range(1000, 2200)]
    assert searched("one", *many, a_tone("9508", "One Love"))[:2] == ["9508", "1000"]


def test_what_may_no_longer_be_played_is_not_offered() -> None:
    ended = a_tone("1029", licence_until=date(2026, 11, 22))
    snapshot = a_snapshot([ended, a_tone("1032")])
    assert [tone.code for tone in snapshot.find("茉莉花", NOW)] == ["1032"]
    assert [tone.code for tone in snapshot.nearest("1020", NOW)] == ["1032"]


def test_a_retired_tone_is_not_found() -> None:
    assert searched("茉莉花", a_tone(state="retired")) == []


def test_a_branch_is_known_by_number_or_area_code() -> None:
    snapshot = a_snapshot()
    assert snapshot.branch_of("8613905250001") == "yangzhou"
    assert snapshot.branch_of(None, "025") == "nanjing"
