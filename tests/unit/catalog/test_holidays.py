from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.holidays import FIXED, LUNAR, coming, holidays_of

YEARS = range(2020, 2101)
KNOWN = {
    # As in printed calendars; borax, LunarCalendar and lunardate have the same. 2020, 2023, 2025
    # and 2033 have leap months (4, 2, 6 and 11).
    "spring_festival": (
        "2020-01-25 2021-02-12 2022-02-01 2023-01-22 2024-02-10 2025-01-29 2026-02-17 2027-02-06"
        " 2028-01-26 2029-02-13 2030-02-03 2033-01-31 2034-02-19 2057-02-04"
    ),
    "lantern_festival": "2020-02-08 2023-02-05 2024-02-24 2025-02-12 2026-03-03 2027-02-20",
    "dragon_boat": "2020-06-25 2023-06-22 2024-06-10 2025-05-31 2026-06-19 2027-06-09 2028-05-28",
    "qixi": "2020-08-25 2023-08-22 2024-08-10 2025-08-29 2026-08-19 2027-08-08 2028-08-26",
    "mid_autumn": "2020-10-01 2023-09-29 2024-09-17 2025-10-06 2026-09-25 2027-09-15 2028-10-03",
}


def day_of(name: str, year: int) -> date:
    (found,) = [holiday.day for holiday in holidays_of(year) if holiday.name == name]
    return found


@pytest.mark.parametrize(
    ("name", "day"), [(name, day) for name, days in KNOWN.items() for day in days.split()]
)
def test_the_lunar_holidays_are_where_they_are_known_to_be(name: str, day: str) -> None:
    assert day_of(name, int(day[:4])) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("name", "day"),
    [("new_year", "01-01"), ("valentines_day", "02-14"), ("womens_day", "03-08"),
     ("labour_day", "05-01"), ("national_day", "10-01"), ("christmas", "12-25")],
)  # fmt: skip
def test_the_fixed_ones_are_each_year_on_their_day(name: str, day: str) -> None:
    assert {f"{day_of(name, year):%m-%d}" for year in YEARS} == {day}


def test_new_moons_just_before_midnight_are_of_the_day_that_ends() -> None:
    # The new moons are at 23:57 and 23:59 in Beijing (ephem's figures); older tables have them
    # after midnight.
    assert day_of("mid_autumn", 2089) == date(2089, 9, 18)
    assert day_of("qixi", 2097) == date(2097, 8, 13)


@pytest.mark.parametrize("year", YEARS)
def test_every_year_has_each_holiday_once_in_its_season(year: int) -> None:
    holidays = holidays_of(year)
    assert len(holidays) == len({holiday.name for holiday in holidays}) == len(FIXED) + len(LUNAR)
    assert list(holidays) == sorted(holidays, key=lambda one: one.day)
    assert {holiday.day.year for holiday in holidays} == {year}
    spring = day_of("spring_festival", year)
    assert date(year, 1, 21) <= spring <= date(year, 2, 21)
    assert day_of("lantern_festival", year) == spring + timedelta(days=14)
    assert date(year, 5, 26) <= day_of("dragon_boat", year) <= date(year, 6, 26)
    assert date(year, 7, 30) <= day_of("qixi", year) <= date(year, 8, 31)
    assert date(year, 9, 6) <= day_of("mid_autumn", year) <= date(year, 10, 9)


@pytest.mark.parametrize("year", YEARS)
def test_lunar_years_have_twelve_or_thirteen_whole_months(year: int) -> None:
    days = (day_of("spring_festival", min(year + 1, 2100)) - day_of("spring_festival", year)).days
    assert days in {353, 354, 355, 383, 384, 385} or year == 2100


@given(st.dates(date(2020, 1, 1), date(2100, 6, 1)), st.integers(0, 400))
def test_what_is_coming_is_from_today_to_the_last_day(today: date, days: int) -> None:
    found = coming(today, days)
    last = today + timedelta(days=days)
    assert all(today <= holiday.day <= last for holiday in found)
    assert all(
        (holiday in found) == (today <= holiday.day <= last)
        for year in range(today.year, last.year + 1)
        for holiday in holidays_of(year)
    )
