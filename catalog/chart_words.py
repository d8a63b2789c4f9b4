"""Why a song has its place on a chart, in sentences for a person. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from math import ceil, fsum

from catalog.branches import PROVINCE
from catalog.charts import FEWEST_VOTES, Chart, Entry
from catalog.ranking import (
    DEPTH,
    HALF_LIFE_DAYS,
    PLACES,
    SP_PLACES,
    WINDOW_DAYS,
    Period,
    period_days,
)
from catalog.votes import BUSY_WEIGHT, WEIGHTS

LEAST = 0.001
"""The least difference between two scores."""
_KINDS = (
    ("orders", "order", "orders"),
    ("unheard", "order by a number that never heard it", "orders by numbers that never heard it"),
    ("whole", "hearing to the end", "hearings to the end"),
    ("part", "hearing in part", "hearings in part"),
    ("taken_back", "order taken back", "orders taken back"),
)
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SongLabel:
    """What is said of a song besides its code."""

    title: str
    sp: str


def entry_of(chart: Chart, code: str) -> Entry | None:
    """Return a song's entry; None: it has no place."""
    return next((entry for entry in chart.entries if entry.code == code), None)


def neighbours(chart: Chart, entry: Entry) -> tuple[Entry | None, Entry | None]:
    """Return who stands directly above and below an entry."""
    place = entry.rank - 1
    above = chart.entries[place - 1] if place else None
    below = chart.entries[place + 1] if place + 1 < len(chart.entries) else None
    return above, below


def explain(chart: Chart, code: str, songs: Mapping[str, SongLabel]) -> tuple[str, ...]:
    """Say why a song stands where it does, what its neighbours have and what would change it.

    `songs` has the song itself and its neighbours.
    """
    entry = entry_of(chart, code)
    sentences = _absent(chart, code, songs) if entry is None else _present(chart, entry, songs)
    return (*sentences, *_too_few(chart))


def _absent(chart: Chart, code: str, songs: Mapping[str, SongLabel]) -> Iterator[str]:
    yield f"{_name(code, songs)} has no place on the chart of {chart.owner} of {chart.day}."
    yield (
        f"A place takes votes of the last {WINDOW_DAYS} days that weigh more than those against it,"
        f" and there are {DEPTH} places."
    )
    if chart.entries:
        last = chart.entries[-1]
        yield f"The last of the {len(chart.entries)} songs has {_points(last.score)}."


def _present(chart: Chart, entry: Entry, songs: Mapping[str, SongLabel]) -> Iterator[str]:
    yield (
        f"{_name(entry.code, songs)} is {ordinal(entry.rank)} of {len(chart.entries)} on the chart"
        f" of {chart.owner} of {chart.day}, with {_points(entry.score)}"
        f" (formula {chart.formula_version})."
    )
    yield from _history(entry)
    for period in entry.made.periods:
        yield _cast(period, chart.day)
    yield from _discounts(entry)
    yield from _held_back(entry, songs)
    above, below = neighbours(chart, entry)
    if above is not None:
        yield from _up(entry, above, songs)
    if below is not None:
        yield from _down(entry, below, songs)


def _history(entry: Entry) -> Iterator[str]:
    if entry.flag == "new":
        yield "It is new this week."
        return
    last = "it was not on the chart" if entry.flag else f"it was {ordinal(entry.previous or 0)}"
    yield (
        f"Last week {last}; its best place is {ordinal(entry.peak)}, and this is its"
        f" {ordinal(entry.weeks)} week."
    )


def _cast(period: Period, today: date) -> str:
    first, last = period_days(today, period.age)
    counted = [
        f"{count} {one if count == 1 else many}"
        for kind, one, many in _KINDS
        if (count := getattr(period, kind))
    ]
    return (
        f"{first} to {last}: {', '.join(counted)}; they weigh"
        f" {_number(period.weight + period.against)}, of which {_number(period.decayed)} is left."
    )


def _discounts(entry: Entry) -> Iterator[str]:
    made = entry.made
    yield (
        f"An order weighs {WEIGHTS['order']:g}, a hearing to the end {WEIGHTS['whole']:g}, in part"
        f" {WEIGHTS['part']:g}; every vote loses half of it in {HALF_LIFE_DAYS} days:"
        f" {_points(fsum(period.decayed for period in made.periods))} are left."
    )
    repeats = sum(period.repeats for period in made.periods)
    if repeats:
        yield (
            f"{repeats} of its votes {'is' if repeats == 1 else 'are'} by numbers that had voted"
            " for it on earlier days, and weigh a half, a third and so on."
        )
    for burst in made.bursts:
        yield (
            f"Burst: on {burst.day} between {burst.hour}:00 and {burst.hour + 1}:00 it got"
            f" {_points(burst.weight)}; no more than {_number(burst.counted)} of them are believed."
        )
    if made.bursts:
        yield f"That takes {_points(made.burst_cut)} away today."


def _held_back(entry: Entry, songs: Mapping[str, SongLabel]) -> Iterator[str]:
    by_score = ordinal(entry.made.by_score)
    rule = f"no SP has more than {SP_PLACES} of the first {PLACES} places"
    if entry.made.by_score < entry.rank:
        sp = songs[entry.code].sp if entry.code in songs else "its SP"
        yield f"By its score it would be {by_score}, but {rule}, and {sp} has better songs there."
    elif entry.made.by_score > entry.rank:
        yield f"By its score it would be {by_score}; it moved up because {rule}."


def _up(entry: Entry, above: Entry, songs: Mapping[str, SongLabel]) -> Iterator[str]:
    name = _name(above.code, songs)
    gap = above.score - entry.score
    if gap < 0:
        yield f"Above it: {name}, with fewer points ({_number(above.score)}), by the SPs' places."
        return
    if gap == 0:
        yield f"Above it: {name}, with as many points, but an older first order or a lower code."
    else:
        yield f"Above it: {name}, with {_number(above.score)}, {_number(gap)} more."
    orders, hearings = _missing(gap, "order"), _missing(gap, "whole")
    spread = ", spread over some hours" if gap > BUSY_WEIGHT else ""
    yield (
        f"Today, {orders} more {'order' if orders == 1 else 'orders'} by who heard it, or"
        f" {hearings} more {'hearing' if hearings == 1 else 'hearings'} to the end, each by a"
        f" number that has not voted for it{spread}, would pass that score."
    )


def _down(entry: Entry, below: Entry, songs: Mapping[str, SongLabel]) -> Iterator[str]:
    gap = entry.score - below.score
    name = _name(below.code, songs)
    if gap < 0:
        yield f"Below it: {name}, with more points ({_number(below.score)}), by the SPs' places."
    else:
        yield f"Below it: {name}, with {_number(below.score)}, {_number(gap)} less."


def _missing(gap: float, kind: str) -> int:
    return max(1, ceil(round((gap + LEAST) / WEIGHTS[kind], 6)))


def _too_few(chart: Chart) -> Iterator[str]:
    if chart.owner != PROVINCE and chart.votes < FEWEST_VOTES:
        yield (
            f"This chart has {chart.votes} votes, fewer than {FEWEST_VOTES}: directories are filled"
            " from the province's instead."
        )


def _name(code: str, songs: Mapping[str, SongLabel]) -> str:
    song = songs.get(code)
    return code if song is None else f"{code} {song.title} ({song.sp})"


def _points(value: float) -> str:
    return f"{_number(value)} {'point' if abs(value) == 1 else 'points'}"


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def ordinal(place: int) -> str:
    """Return a place as it is said: seventh, 11th, 22nd."""
    if 1 <= place <= len(_ORDINALS):
        return _ORDINALS[place - 1]
    ending = "th" if place // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
