"""The published catalogue in memory, swapped whole; calls pin the one they started with."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nsmallest
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from catalog import tones as catalogue
from catalog.branches import PROVINCE, BranchTable
from catalog.directories import Edition, resolve
from catalog.editions import all_editions
from catalog.tones import Tone


@dataclass(frozen=True, slots=True)
class Contents:
    """What the database holds of the catalogue, read in one transaction."""

    version: int
    tones: tuple[Tone, ...]
    editions: tuple[Edition, ...]
    spellings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Directory:
    """The ten songs of an owner at an instant, in their slots' order; `sources` tells of each
    whether it is from its file, the chart or the reserve."""  # noqa: D205, D209  one sentence

    owner: str
    edition_id: int
    tones: tuple[Tone, ...]
    sources: tuple[str, ...] = ()


def read_contents(connection: Connection) -> Contents:
    """Return the catalogue as it stands."""
    return Contents(
        catalogue.version(connection),
        catalogue.all_tones(connection),
        all_editions(connection),
        catalogue.spellings(connection),
    )


class Snapshot:
    """An immutable catalogue; every look-up is a dict's or a bisection's."""

    province = PROVINCE

    def __init__(self, contents: Contents, branches: BranchTable, timezone: ZoneInfo) -> None:
        self.version = contents.version
        self._timezone = timezone
        self._branches = branches
        self._tones = {tone.code: tone for tone in contents.tones if tone.state == "published"}
        self._codes = sorted(self._tones)
        self._styles: dict[str, list[Tone]] = {}
        for tone in self._tones.values():
            self._styles.setdefault(tone.style, []).append(tone)
        self._editions: dict[str, list[Edition]] = {}
        for edition in contents.editions:
            self._editions.setdefault(edition.owner, []).append(edition)
        self._sought = {
            code: _Sought.of(tone, contents.spellings.get(code, ""))
            for code, tone in self._tones.items()
        }
        self.longest_code = max(map(len, self._codes), default=0)

    def __len__(self) -> int:
        return len(self._tones)

    def tone(self, code: str) -> Tone | None:
        """Return the published tone of a code."""
        return self._tones.get(code)

    def is_code_prefix(self, digits: str) -> bool:
        """Say whether some published code is longer than these digits and begins with them."""
        place = bisect_left(self._codes, digits)
        if place < len(self._codes) and self._codes[place] == digits:
            place += 1
        return place < len(self._codes) and self._codes[place].startswith(digits)

    def nearest(self, code: str, count: int = 3) -> tuple[Tone, ...]:
        """Return tones whose codes are one slip of a finger away; if there is none, two slips."""
        once = set(_slips(code))
        found = [other for other in once if other in self._tones]
        if not found and len(code) <= self.longest_code + 1:
            twice = {slip for first in once for slip in _slips(first)}
            found = [other for other in twice if other in self._tones]
        return tuple(self._tones[other] for other in sorted(found)[:count])

    def same_style(self, tone: Tone) -> tuple[Tone, ...]:
        """Return the other tones of its style by code, from the next one on and round."""
        others = [other for other in self._styles.get(tone.style, ()) if other.code != tone.code]
        behind = [other for other in others if other.code > tone.code]
        return (*behind, *others[: len(others) - len(behind)])

    def find(self, words: str, count: int = 10) -> tuple[Tone, ...]:
        """Return the tones whose code, title or artist has every word, the likeliest first.

        A word of Latin letters may also be pinyin, in full or by initials, from any character on.
        """
        wanted = _folded(words).split()
        if not wanted:
            return ()
        ranked = [
            (rank, code)
            for code, sought in self._sought.items()
            if (rank := sought.rank(wanted)) is not None
        ]
        return tuple(self._tones[code] for _, code in nsmallest(count, ranked))

    def branch_of(self, msisdn: str | None, area_code: str | None = None) -> str | None:
        """Return the branch by area code, else by number; None: unknown."""
        return self._branches.branch_of(msisdn, area_code)

    def directory(self, owner: str, at: datetime) -> Directory:
        """Return the ten songs of a branch or the province at an instant; see `resolve`."""
        resolved = resolve(
            owner, self._editions, at, lambda code: self._plays(code, at), self._codes
        )
        return Directory(
            resolved.owner,
            resolved.edition_id,
            tuple(self._tones[song.code] for song in resolved.songs),
            tuple(song.source for song in resolved.songs),
        )

    def _plays(self, code: str, at: datetime) -> bool:
        tone = self._tones.get(code)
        if tone is None:
            return False
        today = at.astimezone(self._timezone).date()
        return tone.licence_until is None or today <= tone.licence_until


@dataclass(frozen=True, slots=True)
class _Sought:
    """What a search looks at: the title, all that is written of a tone, and its spellings."""

    title: str
    written: str
    spelling: str

    @classmethod
    def of(cls, tone: Tone, spelling: str) -> _Sought:
        title = _folded(tone.title)
        return cls(title, f"{title} {_folded(tone.artist)} {tone.code}", spelling)

    def rank(self, wanted: Sequence[str]) -> int | None:
        """Return how far the words are from the title, 0 for the title itself; None: no match."""
        joined = " ".join(wanted)
        if joined == self.title:
            return 0
        if all(word in self.written for word in wanted):
            return 1 if self.title.startswith(wanted[0]) else 2
        if all(word in self.written or f" {word}" in self.spelling for word in wanted):
            return 3 if f" {wanted[0]} " in self.spelling else 4
        return None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _slips(code: str) -> Iterator[str]:
    """Yield what one slip makes of a code: a swapped, wrong, missing or additional digit."""
    for place in range(len(code) + 1):
        before, after = code[:place], code[place:]
        yield from (before + digit + after for digit in "0123456789")
        if after:
            yield before + after[1:]
            yield from (before + digit + after[1:] for digit in "0123456789")
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
