from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import fsum

from hypothesis import given
from hypothesis import strategies as st

from catalog.ranking import (
    DEPTH,
    HALF_LIFE_DAYS,
    PERIODS,
    PLACES,
    SP_PLACES,
    WINDOW_DAYS,
    Ranked,
    Scored,
    decay,
    first_day,
    growth,
    period_days,
    rank,
    score,
    tied,
)
from catalog.votes import BUSY_WEIGHT, Vote
from tests.fakes.votes import counted

TODAY = date(2026, 11, 23)
CODES = [str(code) for code in range(1000, 1016)]
SPS = {code: f"SP{place % 3}" for place, code in enumerate(CODES)}


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def heard(code: str, numbers: int, days: int = 0, hour: int = 9) -> list[tuple[int, Vote]]:
    return [
        (days, Vote(f"{code}.{days}.{hour}.{number}", code, hour, "whole", 1))
        for number in range(numbers)
    ]


def scored(cast: list[tuple[int, Vote]]) -> tuple[Scored, ...]:
    return score(*counted([(ago(days), vote) for days, vote in cast], TODAY), TODAY)


def chart(
    cast: list[tuple[int, Vote]],
    sps: dict[str, str] = SPS,
    first_orders: dict[str, datetime] | None = None,
) -> tuple[Ranked, ...]:
    return rank(scored(cast), sps, first_orders or {})


def codes(ranked: tuple[Ranked, ...]) -> list[str]:
    return [song.code for song in ranked]


votes = st.builds(
    Vote,
    msisdn=st.integers(0, 200).map(str),
    code=st.sampled_from(CODES),
    hour=st.sampled_from([9, 10]),
    kind=st.sampled_from(["order", "unheard", "whole", "part", "taken_back"]),
    nth=st.integers(1, 4),
)
crowds = st.builds(
    heard,
    code=st.sampled_from(CODES),
    numbers=st.integers(8, 60),
    days=st.integers(0, WINDOW_DAYS + 3),
    hour=st.sampled_from([9, 10, 20]),
)
histories = st.builds(
    lambda single, many: [*single, *(vote for crowd in many for vote in crowd)],
    st.lists(st.tuples(st.integers(0, WINDOW_DAYS + 3), votes), max_size=40),
    st.lists(crowds, max_size=4),
)


@given(histories, st.integers(0, WINDOW_DAYS - 1), votes.filter(lambda vote: vote.weight > 0))
def test_one_more_number_never_lowers_a_song(
    history: list[tuple[int, Vote]], days: int, vote: Vote
) -> None:
    before = {song.code: song for song in chart(history)}
    after = {song.code: song for song in chart([*history, (days, vote)])}
    if vote.code in before:
        assert after[vote.code].score >= before[vote.code].score
        assert after[vote.code].rank <= before[vote.code].rank
    others = [code for code in before if code != vote.code]
    assert all(after[code].score == before[code].score for code in others)


@given(histories, st.randoms())
def test_the_order_of_votes_and_sums_changes_nothing(
    history: list[tuple[int, Vote]], random: object
) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis's Random
    assert scored(shuffled) == scored(history)
    periods, busy = counted([(ago(days), vote) for days, vote in history], TODAY)
    assert score(periods[::-1], busy[::-1], TODAY) == score(periods, busy, TODAY)


@given(histories, st.lists(st.integers(0, 3), min_size=len(CODES), max_size=len(CODES)))
def test_no_sp_has_more_than_its_share_of_the_ten_while_others_have_songs(
    history: list[tuple[int, Vote]], owned: list[int]
) -> None:
    sps = {code: f"SP{sp}" for code, sp in zip(CODES, owned, strict=True)}
    ranked = chart(history, sps)
    ten, below = ranked[:PLACES], ranked[PLACES:]
    over = [sp for sp, held in Counter(sps[song.code] for song in ten).items() if held > SP_PLACES]
    for sp in over:
        assert all(sps[song.code] in over for song in below), f"{sp} has another SP's place"
    assert sorted(song.made.by_score for song in ranked) == [song.rank for song in ranked]


@given(histories)
def test_a_burst_counts_no_more_than_a_third_of_all_other_hours(
    history: list[tuple[int, Vote]],
) -> None:
    for song in chart(history):
        for burst in song.made.bursts:
            rest = fsum(period.weight for period in song.made.periods) - burst.weight
            assert burst.counted < burst.weight
            assert burst.counted == max(BUSY_WEIGHT, rest / 3)


def test_a_vote_weighs_half_after_a_half_life_and_nothing_outside_the_window() -> None:
    assert decay(TODAY, TODAY) == 1
    assert decay(ago(HALF_LIFE_DAYS), TODAY) == 0.5
    (song,) = chart([*heard("1000", 4, HALF_LIFE_DAYS), *heard("1000", 1, WINDOW_DAYS)])
    assert (song.score, [period.votes for period in song.made.periods]) == (2, [4])


def test_votes_added_up_once_decay_as_each_by_itself() -> None:
    for days in (0, 1, 13, 55):
        assert abs(growth(ago(days)) / growth(TODAY) - decay(ago(days), TODAY)) < 1e-12


def test_the_periods_are_the_window_without_gap() -> None:
    bounds = [period_days(TODAY, age) for age in range(PERIODS)]
    assert (bounds[0][1], bounds[-1][0]) == (TODAY, first_day(TODAY))
    assert all(newer[0] - older[1] == timedelta(days=1) for newer, older in pairwise(bounds))


def test_a_pushed_song_stays_below_one_that_people_like() -> None:
    liked = [vote for days in range(7) for vote in heard("1000", 4, days, 9 + days)]
    pushed = heard("1001", 500, 0, 3)
    first, second = chart([*liked, *pushed])
    assert (first.code, second.code) == ("1000", "1001")
    (burst,) = second.made.bursts
    assert (burst.hour, burst.weight, burst.counted) == (3, 500, BUSY_WEIGHT)
    assert second.score == BUSY_WEIGHT


def test_a_song_spoken_against_more_than_for_has_no_place() -> None:
    against = [(0, Vote(str(number), "1000", 9, "taken_back", 1)) for number in range(3)]
    assert chart([*heard("1000", 2), *against]) == ()


def test_a_tie_goes_to_the_older_first_order_then_to_the_code() -> None:
    cast = [vote for code in ("1003", "1002", "1001", "1000") for vote in heard(code, 2)]
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    orders = {"1003": noon, "1002": noon + timedelta(days=1)}
    assert tied(scored(cast)) == {"1000", "1001", "1002", "1003"}
    assert codes(chart(cast, first_orders=orders)) == ["1003", "1002", "1000", "1001"]


def test_a_song_that_is_not_on_offer_has_no_place() -> None:
    cast = [*heard("1000", 3), *heard("9999", 5)]
    assert codes(chart(cast)) == ["1000"]


def test_one_sp_alone_fills_the_chart() -> None:
    cast = [vote for place, code in enumerate(CODES) for vote in heard(code, 20 - place, place)]
    alone = dict.fromkeys(CODES, "SP")
    ranked = chart(cast, alone)
    assert len(ranked) == len(CODES)
    assert all(song.rank == song.made.by_score for song in ranked)


def test_the_fifth_song_of_an_sp_waits_behind_the_others_and_says_so() -> None:
    cast = [vote for place, code in enumerate(CODES[:6]) for vote in heard(code, 9 - place)]
    sps = dict.fromkeys(CODES[:5], "big") | {CODES[5]: "small"}
    ranked = chart(cast, sps)
    assert codes(ranked) == [*CODES[:4], CODES[5], CODES[4]]
    assert [song.made.by_score for song in ranked] == [1, 2, 3, 4, 6, 5]


def test_a_chart_keeps_so_many_places() -> None:
    many = {str(code): "SP" for code in range(2000, 2000 + DEPTH + 5)}
    cast = [vote for code in many for vote in heard(code, 1)]
    assert len(chart(cast, many)) == DEPTH
