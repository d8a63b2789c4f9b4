"""Votes added up in memory, as catalog.tallies lets the database do it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import fsum

from catalog.ranking import HALF_LIFE_DAYS, Busy, Period, decay, first_day
from catalog.votes import Tally, Vote, tally


def counted(
    cast: Sequence[tuple[date, Vote]], today: date
) -> tuple[tuple[Period, ...], tuple[Busy, ...]]:
    """Periods and busy hours of the window that ends today, of votes with their days."""
    tallies = [
        one
        for day in sorted({day for day, _ in cast})
        if first_day(today) <= day <= today
        for one in tally(day, [vote for of_day, vote in cast if of_day == day])
    ]
    groups: dict[tuple[str, int], list[Tally]] = {}
    for one in tallies:
        age = (today - one.day).days // HALF_LIFE_DAYS
        groups.setdefault((one.code, age), []).append(one)
    busy = (Busy(one.code, one.day, hour, weight) for one in tallies for hour, weight in one.busy)
    return tuple(_period(code, age, groups[code, age], today) for code, age in groups), tuple(busy)


def _period(code: str, age: int, tallies: list[Tally], today: date) -> Period:
    return Period(
        code=code,
        age=age,
        orders=sum(one.orders for one in tallies),
        unheard=sum(one.unheard for one in tallies),
        taken_back=sum(one.taken_back for one in tallies),
        whole=sum(one.whole for one in tallies),
        part=sum(one.part for one in tallies),
        repeats=sum(one.repeats for one in tallies),
        weight=fsum(one.weight for one in tallies),
        against=fsum(one.against for one in tallies),
        decayed=fsum((one.weight + one.against) * decay(one.day, today) for one in tallies),
    )
