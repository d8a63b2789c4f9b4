"""The days for which branches prepare holiday editions: fixed ones, and lunar ones.

Months of the lunar calendar begin with a new moon in Beijing; lunar-python computes them. Until
2100 two dates are near enough to midnight for tables to disagree: Mid-Autumn 2089, Qixi 2097.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

FIXED = (
    (1, 1, "new_year", "元旦"),
    (2, 14, "valentines_day", "情人节"),
    (3, 8, "womens_day", "妇女节"),
    (5, 1, "labour_day", "劳动节"),
    (6, 1, "childrens_day", "儿童节"),
    (9, 10, "teachers_day", "教师节"),
    (10, 1, "national_day", "国庆节"),
    (12, 25, "christmas", "圣诞节"),
)
LUNAR = (
    (1, 1, "spring_festival", "春节"),
    (1, 15, "lantern_festival", "元宵节"),
    (5, 5, "dragon_boat", "端午节"),
    (7, 7, "qixi", "七夕"),
    (8, 15, "mid_autumn", "中秋节"),
)
_JULIAN_DAY_OF_ORDINAL_0 = 1_721_424.5


@dataclass(frozen=True, slots=True)
class Holiday:
    """A local day that has songs of its own."""

    day: date
    name: str
    title: str


@cache
def holidays_of(year: int) -> tuple[Holiday, ...]:
    """Return the holidays of a year, 1900 to 2100 at least, in their order."""
    fixed = [Holiday(date(year, month, day), name, title) for month, day, name, title in FIXED]
    return tuple(sorted([*fixed, *_lunar(year)], key=lambda holiday: (holiday.day, holiday.name)))


def coming(today: date, days: int) -> tuple[Holiday, ...]:
    """Return the holidays from today to so many days later, both included."""
    last = today + timedelta(days=days)
    years = range(today.year, last.year + 1)
    return tuple(
        holiday for year in years for holiday in holidays_of(year) if today <= holiday.day <= last
    )


def _lunar(year: int) -> Iterator[Holiday]:
    # 7 MB that only the scheduler and one command need
    from lunar_python import LunarYear  # noqa: PLC0415  see above

    computed = LunarYear.fromYear(year)
    for month, day, name, title in LUNAR:
        # getMonth(5) is the fifth month; a leap fifth one, in which nothing is celebrated, is -5.
        new_moon = computed.getMonth(month).getFirstJulianDay()
        ordinal = int(new_moon - _JULIAN_DAY_OF_ORDINAL_0)
        yield Holiday(date.fromordinal(ordinal) + timedelta(days=day - 1), name, title)
