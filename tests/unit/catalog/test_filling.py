from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from catalog.drafts import Draft
from catalog.filling import EMPTY, Song, fill
from catalog.written import AUTO
from tests.fakes.catalogue import CODES

BEGINS = datetime(2026, 11, 22, 16, tzinfo=UTC)


def draft(*slots: str, reserve: tuple[str, ...] = ()) -> Draft:
    padded = (*slots, *[AUTO] * 10)[:10]
    return Draft("yangzhou", "regular", BEGINS, None, padded, reserve)


def test_pinned_songs_stay_and_the_chart_fills_the_rest_best_first() -> None:
    songs = fill(draft("1029", AUTO, "1007"), CODES, lambda _: True)
    assert songs[:4] == (
        Song("1029", "file"), Song("1010", "chart"), Song("1007", "file"), Song("1032", "chart"),
    )  # fmt: skip


def test_a_short_chart_is_followed_by_the_reserve_and_the_catalogue() -> None:
    songs = fill(draft(reserve=("1093", "1010")), ("1119", "1010"), lambda _: True, CODES)
    assert songs[:4] == (
        Song("1119", "chart"), Song("1093", "reserve"), Song("1010", "reserve"),
        Song("1007", "chart"),
    )  # fmt: skip


def test_what_cannot_be_played_fills_nothing() -> None:
    songs = fill(draft(), CODES, lambda code: code != "1007")
    assert [song.code for song in songs] == list(CODES[1:11])


slot = st.sampled_from((*CODES, AUTO, AUTO, AUTO))
retired = st.sets(st.sampled_from(CODES), max_size=3)


@given(st.lists(slot, min_size=10, max_size=10), st.permutations(CODES), retired)
def test_different_songs_whatever_is_left_open(
    slots: list[str], ranking: list[str], unplayable: set[str]
) -> None:
    distinct = [AUTO if one in slots[:at] else one for at, one in enumerate(slots)]
    songs = fill(draft(*distinct), ranking, lambda code: code not in unplayable)
    there = [song for song in songs if song != EMPTY]
    assert len({song.code for song in there}) == len(there) >= 10 - len(unplayable)
    assert not songs or songs[-1] != EMPTY
    for slot, code in enumerate(distinct):
        assert code in (AUTO, songs[slot].code if slot < len(songs) else AUTO)
    pinned = [code for code in distinct if code != AUTO]
    assert [song.code for song in songs if song.source == "file"] == pinned
    assert not unplayable & {song.code for song in songs if song.source == "chart"}
