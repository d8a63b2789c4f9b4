"""A day's votes: one per number and song, the strongest; what they weigh. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import fsum
from zoneinfo import ZoneInfo

WEIGHTS = {"order": 3.0, "unheard": 1.0, "taken_back": -1.0, "whole": 1.0, "part": 0.25}
"""By kind, the strongest first. An order costs money and a confirmation, so it outweighs hearings;
one by a number that never heard the song (`unheard`) says no more than a hearing; one that was
undone or cancelled (`taken_back`) speaks against the song on the day it was placed. `part` is a
hearing that was broken off: it weighs little, because a list is browsed that way."""
HEARD_MS = 5_000
"""A hearing shorter than this is browsing, no vote; the hang-up SMS draws the same line."""
BUSY_WEIGHT = 10.0
"""An hour of a song that weighs no more is never taken for a burst, so it need not be kept."""

_STRENGTH = {kind: -place for place, kind in enumerate(WEIGHTS)}
_ORDERS = frozenset({"order", "unheard", "taken_back"})


@dataclass(frozen=True, slots=True)
class Act:
    """What a number did about a song; `kind` is one of `WEIGHTS`. None: no mobile number."""

    msisdn: str | None
    code: str
    at: datetime
    kind: str
    branch: str | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """On how many earlier days of the window a number heard a song, and ordered it."""

    heard: int = 0
    ordered: int = 0


@dataclass(frozen=True, slots=True)
class Vote:
    """A number's one vote of a day for a song. `nth`: so many days of the window it has done so."""

    msisdn: str
    code: str
    hour: int
    kind: str
    nth: int

    @property
    def weight(self) -> float:
        """A number that comes back every day adds less every day: a half, a third, a fourth."""
        return WEIGHTS[self.kind] / self.nth


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes of one local day for one song, counted by kind and weighed.

    `weight` is what speaks for it, `against` (0 or less) what speaks against it; `repeats` votes
    weigh less because their number had voted before. `busy`: (local hour, weight) of the hours
    above `BUSY_WEIGHT`.
    """

    day: date
    code: str
    orders: int = 0
    unheard: int = 0
    taken_back: int = 0
    whole: int = 0
    part: int = 0
    repeats: int = 0
    weight: float = 0.0
    against: float = 0.0
    busy: tuple[tuple[int, float], ...] = ()

    @property
    def votes(self) -> int:
        """How many numbers voted, for or against."""
        return self.orders + self.unheard + self.taken_back + self.whole + self.part


def votes_of(
    acts: Iterable[Act], earlier: Mapping[tuple[str, str], Earlier], timezone: ZoneInfo
) -> tuple[Vote, ...]:
    """Return the votes that one local day's acts make: the strongest of a number and song.

    Of equally strong acts the first one gives the vote its hour. Who has no number has no vote.
    `earlier` is by (number, code).
    """
    strongest: dict[tuple[str, str], Act] = {}
    for act in acts:
        if act.msisdn is None:
            continue
        key = (act.msisdn, act.code)
        held = strongest.get(key)
        if held is None or _precedes(act, held):
            strongest[key] = act
    return tuple(_vote(act, earlier.get(key, _NEVER), timezone) for key, act in strongest.items())


_NEVER = Earlier()


def _precedes(act: Act, held: Act) -> bool:
    stronger = _STRENGTH[act.kind] - _STRENGTH[held.kind]
    return stronger > 0 or (stronger == 0 and act.at < held.at)


def _vote(act: Act, earlier: Earlier, timezone: ZoneInfo) -> Vote:
    before = earlier.ordered if act.kind in _ORDERS else earlier.heard
    assert act.msisdn is not None  # noqa: S101  for mypy: the caller left such acts out
    return Vote(act.msisdn, act.code, act.at.astimezone(timezone).hour, act.kind, before + 1)


def tally(day: date, votes: Iterable[Vote]) -> tuple[Tally, ...]:
    """Return what the votes of a day make for each song, by code."""
    by_code: dict[str, list[Vote]] = {}
    for vote in votes:
        by_code.setdefault(vote.code, []).append(vote)
    return tuple(_tally(day, code, by_code[code]) for code in sorted(by_code))


def _tally(day: date, code: str, votes: list[Vote]) -> Tally:
    counts = dict.fromkeys(WEIGHTS, 0)
    hours: dict[int, list[float]] = {}
    against: list[float] = []
    for vote in votes:
        counts[vote.kind] += 1
        weight = vote.weight
        if weight > 0:
            hours.setdefault(vote.hour, []).append(weight)
        else:
            against.append(weight)
    # fsum is exact, so the order in which the votes came changes nothing.
    weighed = {hour: fsum(hours[hour]) for hour in sorted(hours)}
    return Tally(
        day=day,
        code=code,
        orders=counts["order"],
        unheard=counts["unheard"],
        taken_back=counts["taken_back"],
        whole=counts["whole"],
        part=counts["part"],
        repeats=sum(vote.nth > 1 for vote in votes),
        weight=fsum(weighed.values()),
        against=fsum(against),
        busy=tuple((hour, weight) for hour, weight in weighed.items() if weight > BUSY_WEIGHT),
    )
