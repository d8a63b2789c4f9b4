from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from catalog.branches import PROVINCE
from catalog.chart_words import SongLabel, explain, ordinal
from catalog.charts import Chart, Entry
from catalog.ranking import FORMULA_VERSION, rank, score
from catalog.votes import Vote
from tests.fakes.votes import counted

TODAY = date(2026, 11, 25)
SONGS = {
    code: SongLabel(f"曲{code}", f"SP{place % 2}")
    for place, code in enumerate(("1007", "1010", "1029", "1032", "1041", "1055"))
}
SPS = {code: song.sp for code, song in SONGS.items()}


def cast(
    code: str, numbers: int, days: int = 0, kind: str = "whole", nth: int = 1, hour: int = 9
) -> list[tuple[date, Vote]]:
    return [
        (
            TODAY - timedelta(days=days),
            Vote(f"{code}{kind}{days}.{number}", code, hour + number % 3, kind, nth),
        )
        for number in range(numbers)
    ]


def a_chart(votes: list[tuple[date, Vote]], sps: dict[str, str] = SPS) -> Chart:
    entries = tuple(
        Entry(song.rank, song.code, song.score, None, song.rank, 1, song.made)
        for song in rank(score(*counted(votes, TODAY), TODAY), sps, {})
    )
    now = datetime(2026, 11, 25, 4, tzinfo=UTC)
    return Chart("yangzhou", TODAY, FORMULA_VERSION, now, len(votes), entries)


VOTES = [*cast("1007", 12), *cast("1010", 10), *cast("1029", 6), *cast("1032", 4)]


def test_a_songs_place_is_told_with_its_votes_and_its_neighbours() -> None:
    votes = [*VOTES, *cast("1029", 1, 14, "order"), *cast("1029", 1, 0, "taken_back")]
    assert explain(a_chart(votes), "1029", SONGS) == (
        "1029 曲1029 (SP0) is third of 4 on the chart of yangzhou of 2026-11-25, with 6.5 points"
        f" (formula {FORMULA_VERSION}).",
        "It is new this week.",
        "2026-11-12 to 2026-11-25: 6 hearings to the end, 1 order taken back; they weigh 5, of"
        " which 5 is left.",
        "2026-10-29 to 2026-11-11: 1 order; they weigh 3, of which 1.5 is left.",
        "An order weighs 3, a hearing to the end 1, in part 0.25; every vote loses half of it in 14"
        " days: 6.5 points are left.",
        "Above it: 1010 曲1010 (SP1), with 10, 3.5 more.",
        "Today, 2 more orders by who heard it, or 4 more hearings to the end, each by a number that"
        " has not voted for it, would pass that score.",
        "Below it: 1032 曲1032 (SP1), with 4, 2.5 less.",
    )


def test_what_the_words_promise_is_what_would_happen() -> None:
    for kind, needed in (("order", 2), ("whole", 5)):
        assert a_chart([*VOTES, *cast("1029", needed, 0, kind, hour=15)]).entries[1].code == "1029"
        fewer = a_chart([*VOTES, *cast("1029", needed - 1, 0, kind, hour=15)])
        assert fewer.entries[2].code == "1029"
    promise = " ".join(explain(a_chart(VOTES), "1029", SONGS))
    assert "Today, 2 more orders by who heard it, or 5 more hearings" in promise


def test_a_burst_and_repeated_votes_are_told() -> None:
    votes = [*VOTES, *cast("1041", 90), *cast("1041", 2, 1, nth=2)]
    told = " ".join(explain(a_chart(votes), "1041", SONGS))
    assert "Burst: on 2026-11-25 between 9:00 and 10:00 it got 30 points; no more than" in told
    assert "points away today" in told
    assert "2 of its votes are by numbers that had voted for it on earlier days" in told


def test_the_places_of_an_sp_are_told_to_who_waits_and_to_who_moved_up() -> None:
    codes = [str(code) for code in range(2000, 2006)]
    votes = [vote for place, code in enumerate(codes) for vote in cast(code, 9 - place)]
    songs = {code: SongLabel("曲", "small" if code == codes[-1] else "big") for code in codes}
    chart = a_chart(votes, {code: song.sp for code, song in songs.items()})
    waits = " ".join(explain(chart, codes[4], songs))
    assert "is sixth of 6" in waits
    assert "By its score it would be fifth, but no SP has more than 4 of the first 10" in waits
    assert "with fewer points (4), by the SPs' places" in waits
    moved = " ".join(explain(chart, codes[5], songs))
    assert "By its score it would be sixth; it moved up because no SP" in moved


def test_equal_songs_are_told_what_decides() -> None:
    told = " ".join(explain(a_chart([*cast("1007", 3), *cast("1010", 3)]), "1010", SONGS))
    assert "with as many points, but an older first order or a lower code." in told
    assert "Today, 1 more order by who heard it, or 1 more hearing to the end" in told


def test_a_song_without_a_place_is_told_what_a_place_takes() -> None:
    told = explain(a_chart(VOTES), "1055", SONGS)
    assert told[0] == "1055 曲1055 (SP1) has no place on the chart of yangzhou of 2026-11-25."
    assert told[2] == "The last of the 4 songs has 4 points."


def test_a_chart_of_few_votes_says_that_the_provinces_serves() -> None:
    told = explain(a_chart(VOTES[:5]), "1007", SONGS)
    assert told[-1].startswith("This chart has 5 votes, fewer than 30")


@pytest.mark.parametrize(
    ("place", "said"),
    [(1, "first"), (7, "seventh"), (11, "11th"), (12, "12th"), (21, "21st"), (33, "33rd"),
     (100, "100th"), (111, "111th")],
)  # fmt: skip
def test_a_place_is_said_as_people_say_it(place: int, said: str) -> None:
    assert ordinal(place) == said


def test_only_a_branchs_chart_of_few_votes_leaves_directories_to_the_provinces() -> None:
    chart = a_chart(VOTES[:12])
    assert "the province's instead" in explain(chart, "1007", SONGS)[-1]
    provinces = explain(replace(chart, owner=PROVINCE), "1007", SONGS)
    assert not any("instead" in sentence for sentence in provinces)
