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

from catalog.votes import BUSY_WEIGHT, Tally

FORMULA_VERSION = 1
"""Stored with every chart; raise it with any change of what a vote weighs or how they add up."""
HALF_LIFE_DAYS = 14
"""Two weekly editions: what a song won before the last two switches counts half. A week would
leave a small branch, with some tens of votes, to chance; a month would keep last month's hits."""
WINDOW_DAYS = 56
"""Four half-lives: what is older would weigh a sixteenth, and is not looked at."""
BURST_SHARE = 3
"""One hour of a song counts as much as a third of all its other hours weigh, at most."""
PLACES = 10
SP_PLACES = 4
"""So many of the first ten places are one SP's at most, while other SPs have songs with votes."""
DEPTH = 100
"""Places that a chart keeps."""
DECIMALS = 3

_FIRST_OF_ALL = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Burst:
    """An hour, local, in which a song got more than it is believed: `counted` of `weight`."""

    day: date
    hour: int
    weight: float
    counted: float


@dataclass(frozen=True, slots=True)
class Week:
    """Votes aged `weeks_ago` whole weeks: how many, what they weigh, what is left by decay."""

    weeks_ago: int
    votes: int
    weight: float
    decayed: float


@dataclass(frozen=True, slots=True)
class Made:
    """What a score is made of: votes by kind, their weights, decay, ceilings.

    `weight` and `against` are undecayed sums, `burst_cut` and `decayed` are as of the chart's day:
    score = decayed - burst_cut, where `decayed` has the votes against in it. `by_score` is the rank
    that the score alone would give; a higher `rank` is the SP's share of places.
    """

    orders: int
    unheard: int
    taken_back: int
    whole: int
    part: int
    repeats: int
    weight: float
    against: float
    decayed: float
    burst_cut: float
    bursts: tuple[Burst, ...]
    weeks: tuple[Week, ...]
    by_score: int = 0

    @property
    def votes(self) -> int:
        """How many votes it got, for or against."""
        return self.orders + self.unheard + self.taken_back + self.whole + self.part


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


def first_day(today: date) -> date:
    """Return the oldest day whose votes count today."""
    return today - timedelta(days=WINDOW_DAYS - 1)


def score(tallies: Iterable[Tally], today: date) -> tuple[Scored, ...]:
    """Return every song with votes for it and its score, by code; tallies outside the window are
    not looked at."""  # noqa: D205, D209  one sentence
    first = first_day(today)
    by_code: dict[str, list[Tally]] = {}
    for tally in tallies:
        if first <= tally.day <= today:
            by_code.setdefault(tally.code, []).append(tally)
    return tuple(
        _scored(code, sorted(by_code[code], key=lambda tally: tally.day), today)
        for code in sorted(by_code)
    )


def _scored(code: str, tallies: Sequence[Tally], today: date) -> Scored:
    weight = fsum(tally.weight for tally in tallies)
    bursts = _bursts(tallies, weight)
    decays = [(tally.weight + tally.against) * decay(tally.day, today) for tally in tallies]
    cuts = [(burst.weight - burst.counted) * decay(burst.day, today) for burst in bursts]
    made = Made(
        orders=sum(tally.orders for tally in tallies),
        unheard=sum(tally.unheard for tally in tallies),
        taken_back=sum(tally.taken_back for tally in tallies),
        whole=sum(tally.whole for tally in tallies),
        part=sum(tally.part for tally in tallies),
        repeats=sum(tally.repeats for tally in tallies),
        weight=round(weight, DECIMALS),
        against=round(fsum(tally.against for tally in tallies), DECIMALS),
        decayed=round(fsum(decays), DECIMALS),
        burst_cut=round(fsum(cuts), DECIMALS),
        bursts=tuple(_readable(burst) for burst in bursts),
        weeks=_weeks(tallies, today),
    )
    return Scored(code, round(fsum([*decays, *(-cut for cut in cuts)]), DECIMALS), made)


def _bursts(tallies: Sequence[Tally], whole: float) -> tuple[Burst, ...]:
    found = []
    for tally in tallies:
        for hour, weight in tally.busy:
            counted = max(BUSY_WEIGHT, (whole - weight) / BURST_SHARE)
            if counted < weight:
                found.append(Burst(tally.day, hour, weight, counted))
    return tuple(found)


def _readable(burst: Burst) -> Burst:
    return Burst(
        burst.day, burst.hour, round(burst.weight, DECIMALS), round(burst.counted, DECIMALS)
    )


def _weeks(tallies: Sequence[Tally], today: date) -> tuple[Week, ...]:
    by_age: dict[int, list[Tally]] = {}
    for tally in tallies:
        by_age.setdefault((today - tally.day).days // 7, []).append(tally)
    return tuple(
        Week(
            weeks_ago=age,
            votes=sum(tally.votes for tally in of_week),
            weight=round(fsum(tally.weight + tally.against for tally in of_week), DECIMALS),
            decayed=round(
                fsum((one.weight + one.against) * decay(one.day, today) for one in of_week),
                DECIMALS,
            ),
        )
        for age, of_week in sorted(by_age.items())
    )


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
