from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest

from catalog.holidays import holidays_of
from catalog.switching import OWNERS
from tests.fakes.catalogue import SHANGHAI
from tests.fakes.editions import local
from tests.unit.scheduler.year import DEATHS, YEAR, Death, Year, simulate, tones

GOLDEN = Path(__file__).with_name("year_2027.txt")
SUNDAY, TUESDAY = date(2027, 2, 7), date(2027, 2, 9)
MONDAY = local("2027-02-08")


@pytest.fixture(scope="module")
def year() -> Year:
    return simulate(DEATHS)


def changes(year: Year) -> list[tuple[datetime, str, list[str]]]:
    lines = (line.split() for line in year.heard)
    return [
        (datetime.fromisoformat(f"{day} {time}").replace(tzinfo=SHANGHAI), owner, codes)
        for day, time, owner, *codes in lines
    ]


def test_who_hears_what_in_a_year_with_three_deaths_is_as_it_was_written_down(year: Year) -> None:
    assert year.deaths == 3
    assert year.text() == GOLDEN.read_text("utf-8")


def test_every_list_has_ten_different_songs_within_their_licences(year: Year) -> None:
    until = {tone.code: tone.licence_until for tone in tones()}
    for since, owner, codes in changes(year):
        assert len(set(codes)) == len(codes) == 10, (since, owner)
        assert all((end := until[code]) is None or since.date() <= end for code in codes)


def test_lists_change_at_local_midnight_and_at_no_other_time(year: Year) -> None:
    assert {f"{since:%T}" for since, _, _ in changes(year)} == {"00:00:00"}


def test_there_are_52_mondays_on_which_all_that_publish_switch(year: Year) -> None:
    switched = {
        day: {owner for _, owner, _ in them}
        for day, them in groupby(changes(year), lambda change: change[0].date())
    }
    mondays = [day for day in switched if day.weekday() == 0 and day.year == YEAR]
    assert len(mondays) == 52
    weekly = set(OWNERS) - {"taizhou"}  # which publishes every second week
    holidays = {holiday.day for holiday in holidays_of(YEAR)}
    ordinary = [day for day in mondays if day not in holidays]
    # Spring Festival's editions hold for three days; under them the week's begin unheard.
    assert all(switched[day] >= weekly for day in ordinary if day != date(2027, 2, 8))


def test_every_holiday_is_heard_and_nobody_is_told_of_one_that_all_have_prepared(
    year: Year,
) -> None:
    days = {since.date() for since, _, _ in changes(year)}
    prepared = [one for one in holidays_of(YEAR) if one.name != "teachers_day"]
    assert all(holiday.day in days for holiday in prepared)
    assert any(" teachers_day in 1 days: jiangsu" in line for line in year.said)
    for holiday in prepared:
        last = [line for line in year.said if f" {holiday.name} in 1 days: " in line]
        assert all("jiangsu" not in line for line in last)


def test_everything_is_said_once_and_no_job_failed(year: Year) -> None:
    assert len(set(year.said)) == len(year.said)
    assert not [line for line in year.said if "failed" in line]


@pytest.fixture(scope="module")
def undisturbed() -> Year:
    return simulate((), SUNDAY, TUESDAY)


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_a_death_at_any_step_of_a_monday_s_night_changes_nothing(
    undisturbed: Year, is_done: bool
) -> None:
    died = 0
    for hour in (0, 3, 4):
        for call in range(1, 20):
            at = MONDAY + timedelta(hours=hour)
            year = simulate((Death(at, call, is_done),), SUNDAY, TUESDAY)
            assert year.heard == undisturbed.heard
            # Nothing is lost; what was logged but not yet recorded as logged is said once more.
            assert set(year.said) == set(undisturbed.said)
            assert len(year.said) <= len(undisturbed.said) + 1
            died += year.deaths
            if not year.deaths:
                break
    assert died >= 12
