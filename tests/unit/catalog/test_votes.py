from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.votes import BUSY_WEIGHT, WEIGHTS, Act, Earlier, Tally, tally, votes_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = date(2026, 11, 23)
MORNING = datetime(2026, 11, 23, 9, tzinfo=SHANGHAI)
NUMBERS = [f"861390525{count:04}" for count in range(8)]
CODES = ["1007", "1010", "1029"]

acts = st.builds(
    Act,
    msisdn=st.sampled_from([None, *NUMBERS]),
    code=st.sampled_from(CODES),
    at=st.integers(0, 14 * 60 - 1).map(lambda minutes: MORNING + timedelta(minutes=minutes)),
    kind=st.sampled_from(list(WEIGHTS)),
    branch=st.none(),
)
days = st.lists(acts, max_size=60)


def an_act(kind: str = "whole", msisdn: str | None = NUMBERS[0], minutes: int = 0) -> Act:
    return Act(msisdn, "1029", MORNING + timedelta(minutes=minutes), kind, "yangzhou")


def counted(acts: list[Act], earlier: dict[tuple[str, str], Earlier] | None = None) -> Tally:
    (one,) = tally(DAY, votes_of(acts, earlier or {}, SHANGHAI))
    return one


@given(days)
def test_a_number_has_one_vote_a_day_for_a_song_however_often_it_calls(day: list[Act]) -> None:
    votes = votes_of(day, {}, SHANGHAI)
    assert len({(vote.msisdn, vote.code) for vote in votes}) == len(votes)
    for one in tally(DAY, votes):
        numbers = {act.msisdn for act in day if act.code == one.code and act.msisdn}
        assert one.votes == len(numbers)
        assert one.weight <= len(numbers) * max(WEIGHTS.values())


@given(days, st.randoms())
def test_the_order_in_which_votes_come_changes_nothing(day: list[Act], random: object) -> None:
    shuffled = list(day)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis's Random
    earlier = {(NUMBERS[0], "1029"): Earlier(2, 1), (NUMBERS[1], "1007"): Earlier(6, 0)}
    assert tally(DAY, votes_of(day, earlier, SHANGHAI)) == tally(
        DAY, votes_of(shuffled, earlier, SHANGHAI)
    )


@pytest.mark.parametrize(
    ("kinds", "counts"),
    [
        (["part", "whole", "order"], "orders"),
        (["whole", "unheard"], "unheard"),
        (["part", "whole", "taken_back"], "taken_back"),
        (["taken_back", "order"], "orders"),
        (["part", "whole", "part"], "whole"),
        (["part"], "part"),
    ],
)
def test_the_strongest_of_a_numbers_day_is_its_vote(kinds: list[str], counts: str) -> None:
    one = counted([an_act(kind, minutes=at) for at, kind in enumerate(kinds)])
    assert (getattr(one, counts), one.votes) == (1, 1)


def test_who_has_no_number_has_no_vote() -> None:
    assert votes_of([an_act(msisdn=None)], {}, SHANGHAI) == ()


def test_an_order_that_was_taken_back_speaks_against_the_song() -> None:
    one = counted([an_act("taken_back"), an_act("whole", NUMBERS[1])])
    assert (one.weight, one.against) == (WEIGHTS["whole"], WEIGHTS["taken_back"])


def test_a_number_that_comes_back_every_day_adds_less_every_day() -> None:
    weights = [
        counted([an_act()], {(NUMBERS[0], "1029"): Earlier(heard=days)}).weight for days in range(4)
    ]
    assert weights == [1, 1 / 2, 1 / 3, 1 / 4]


def test_to_order_what_was_heard_yesterday_is_a_whole_order() -> None:
    one = counted([an_act("order")], {(NUMBERS[0], "1029"): Earlier(heard=5)})
    assert (one.weight, one.repeats) == (WEIGHTS["order"], 0)
    again = counted([an_act("order")], {(NUMBERS[0], "1029"): Earlier(ordered=1)})
    assert (again.weight, again.repeats) == (WEIGHTS["order"] / 2, 1)


def test_hours_with_many_votes_are_kept_by_the_local_clock() -> None:
    crowd = [an_act(msisdn=f"86{count:011}") for count in range(int(BUSY_WEIGHT) + 1)]
    later = [an_act(msisdn=f"87{count:011}", minutes=60) for count in range(int(BUSY_WEIGHT))]
    assert counted([*crowd, *later]).busy == ((9, BUSY_WEIGHT + 1),)
    utc = [replace(act, at=act.at.astimezone(ZoneInfo("UTC"))) for act in crowd]
    assert counted(utc).busy == ((9, BUSY_WEIGHT + 1),)
