"""Tallies -> ranking: decay by age, ceilings for bursts, places for an SP. Values in, values out.

Every discount is a ceiling, never a penalty: a vote by one more number never lowers a song, and
nobody can push a rival's song off the chart by making its votes look bought.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import fsum

from catalog.votes import BUSY_WEIGHT

FORMULA_VERSION = 1
"""Stored with every chart; raise it with any change of what a vote weighs or how they add up."""
HALF_LIFE_DAYS = 14
"""Two weekly editions: what a song won before the last two switches counts half. A week would
leave a small branch, with some tens of votes, to chance; a month would keep last month's hits."""
PERIODS = 4
WINDOW_DAYS = PERIODS * HALF_LIFE_DAYS
"""What is older than four half-lives would weigh a sixteenth, and is not looked at."""
BURST_SHARE = 3
"""One hour of a song counts as much as a third of all its other hours weigh, at most."""
PLACES = 10
SP_PLACES = 4
"""So many of the first ten places are one SP's at most, while other SPs have songs with votes."""
DEPTH = 100
"""Places that a chart keeps."""
DECIMALS = 3

_EPOCH = date(2026, 1, 1)
_FIRST_OF_ALL = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Burst:
    """An hour, local, in which a song got more than it is believed: `counted` of `weight`."""

    day: date
    hour: int
    weight: float
    counted: float


@dataclass(frozen=True, slots=True)
class Busy:
    """A local hour of a song that weighs so much that it may be a burst."""

    code: str
    day: date
    hour: int
    weight: float


@dataclass(frozen=True, slots=True)
class Period:
    """A song's votes of one half-life, the sums of its tallies; `age` 0 is the newest, to today.

    `decayed`: what is left today of `weight` and `against`, day by day.
    """

    code: str
    age: int
    orders: int
    unheard: int
    taken_back: int
    whole: int
    part: int
    repeats: int
    weight: float
    against: float
    decayed: float

    @property
    def votes(self) -> int:
        """How many votes, for or against."""
        return self.orders + self.unheard + self.taken_back + self.whole + self.part


@dataclass(frozen=True, slots=True)
class Made:
    """What a score is made of: score = what the periods' votes are worth today - `burst_cut`.

    `by_score` is the rank that the score alone would give; another `rank` comes of the SPs' places.
    """

    periods: tuple[Period, ...]
    bursts: tuple[Burst, ...]
    burst_cut: float
    by_score: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """A song and its score; the higher the better."""

    code: str
    score: float
    made: Made


@dataclass(frozen=True, slots=True)
class Ranked:
    """A song's place, from 1."""

    rank: int
    code: str
    score: float
    made: Made


def decay(day: date, today: date) -> float:
    """Return what is left today of a vote of that day: 1 of today's, a half after a half-life."""
    return float(0.5 ** (max((today - day).days, 0) / HALF_LIFE_DAYS))


def growth(day: date) -> float:
    """Return by how much a vote of that day outweighs one of long ago.

    growth(day) / growth(today) is decay(day, today). So votes of any days are added up once and for
    all, by the database, and brought to today's scale by one division. Floats hold it till 2065.
    """
    return float(2.0 ** ((day - _EPOCH).days / HALF_LIFE_DAYS))


def first_day(today: date) -> date:
    """Return the oldest day whose votes count today."""
    return today - timedelta(days=WINDOW_DAYS - 1)


def period_days(today: date, age: int) -> tuple[date, date]:
    """Return the first and the last day of a period."""
    last = today - timedelta(days=age * HALF_LIFE_DAYS)
    return last - timedelta(days=HALF_LIFE_DAYS - 1), last


def score(periods: Iterable[Period], busy: Iterable[Busy], today: date) -> tuple[Scored, ...]:
    """Return every song that has votes and its score, by code."""
    by_code: dict[str, list[Period]] = {}
    for period in periods:
        by_code.setdefault(period.code, []).append(period)
    hours: dict[str, list[Busy]] = {}
    for hour in busy:
        hours.setdefault(hour.code, []).append(hour)
    return tuple(
        _scored(
            code,
            sorted(by_code[code], key=lambda period: period.age),
            sorted(hours.get(code, ()), key=lambda hour: (hour.day, hour.hour)),
            today,
        )
        for code in sorted(by_code)
    )


def _scored(code: str, periods: Sequence[Period], busy: Sequence[Busy], today: date) -> Scored:
    weight = fsum(period.weight for period in periods)
    bursts = _bursts(busy, weight)
    cut = fsum((burst.weight - burst.counted) * decay(burst.day, today) for burst in bursts)
    made = Made(
        periods=tuple(periods),
        bursts=tuple(bursts),
        burst_cut=cut,
    )
    worth = fsum(period.decayed for period in periods)
    return Scored(code, round(worth - cut, DECIMALS), made)


def _bursts(busy: Iterable[Busy], weight: float) -> list[Burst]:
    believed = ((hour, max(BUSY_WEIGHT, (weight - hour.weight) / BURST_SHARE)) for hour in busy)
    return [
        Burst(hour.day, hour.hour, hour.weight, counted)
        for hour, counted in believed
        if counted < hour.weight
    ]


def tied(scored: Iterable[Scored]) -> frozenset[str]:
    """Return the songs that share their score with another: their first orders decide."""
    scored = tuple(scored)
    shared = Counter(song.score for song in scored)
    return frozenset(song.code for song in scored if shared[song.score] > 1)


def rank(
    scored: Iterable[Scored], sps: Mapping[str, str], first_orders: Mapping[str, datetime]
) -> tuple[Ranked, ...]:
    """Return the chart: songs that `sps` names (code -> SP) and that have a score above 0.

    The higher score first, then the older first order, then the code. No SP has more than
    `SP_PLACES` of the first `PLACES`, unless the others have no more songs.
    """
    wanted = [song for song in scored if song.score > 0 and song.code in sps]
    wanted.sort(
        key=lambda song: (-song.score, first_orders.get(song.code, _FIRST_OF_ALL), song.code)
    )
    by_score = [
        replace(song, made=replace(song.made, by_score=place))
        for place, song in enumerate(wanted, start=1)
    ]
    return tuple(
        Ranked(place, song.code, song.score, song.made)
        for place, song in enumerate(_shared_out(by_score, sps)[:DEPTH], start=1)
    )


def _shared_out(songs: Sequence[Scored], sps: Mapping[str, str]) -> list[Scored]:
    taken: Counter[str] = Counter()
    first: list[Scored] = []
    held_back: list[Scored] = []
    for song in songs:
        sp = sps[song.code]
        if len(first) < PLACES and taken[sp] < SP_PLACES:
            taken[sp] += 1
            first.append(song)
        else:
            held_back.append(song)
    return first + held_back
