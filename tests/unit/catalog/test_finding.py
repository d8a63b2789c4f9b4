from __future__ import annotations

from datetime import UTC, datetime

import pytest

from catalog.finding import find_tones
from catalog.tones import put_tones
from store.database import LocalDatabase
from tests.fakes.catalogue import a_tone, some_tones

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def codes(database: LocalDatabase, words: str) -> list[str]:
    return [tone.code for tone in database.run_now(find_tones, words)]


@pytest.mark.parametrize("words", ["茉莉 古筝", "mlh", "molihua", "MoLiHua", "1029", "１０２９"])
def test_tones_are_found_by_code_title_artist_pinyin_and_initials(
    database: LocalDatabase, words: str
) -> None:
    database.run_now(put_tones, some_tones(), NOW)
    assert codes(database, words) == ["1029"]


def test_no_word_finds_all_and_a_wrong_one_nothing(database: LocalDatabase) -> None:
    database.run_now(put_tones, some_tones(), NOW)
    assert codes(database, "") == sorted(tone.code for tone in some_tones())
    assert codes(database, "摇滚") == []


def test_every_match_is_listed_however_many_there_are(database: LocalDatabase) -> None:
    tones = [a_tone(str(code), f"茉莉{code}") for code in range(1000, 1700)]
    database.run_now(put_tones, tones, NOW)
    assert len(codes(database, "茉莉")) == len(codes(database, "ml")) == 700


def test_the_likeliest_comes_first_and_a_style_last(database: LocalDatabase) -> None:
    tones = [
        a_tone("1007", "别的", style="月光"),
        a_tone("1010", "明月光"),
        a_tone("1029", "月光"),
    ]
    database.run_now(put_tones, tones, NOW)
    assert codes(database, "月光") == ["1029", "1010", "1007"]


def test_an_operator_finds_what_callers_cannot_hear_with_its_state(database: LocalDatabase) -> None:
    states = ("draft", "suspended", "retired", "published")
    tones = [a_tone(f"200{at}", state=state) for at, state in enumerate(states)]
    database.run_now(put_tones, tones, NOW)
    found = database.run_now(find_tones, "mlh")
    assert [tone.state for tone in found] == list(states)
