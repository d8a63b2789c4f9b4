"""The published catalogue in memory, swapped whole; calls pin the one they started with."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from catalog import tones as catalogue
from catalog.branches import PROVINCE, BranchTable
from catalog.directories import SLOTS, Edition, all_editions, current_edition
from catalog.tones import Tone


@dataclass(frozen=True, slots=True)
class Contents:
    """What the database holds of the catalogue, read in one transaction."""

    version: int
    tones: tuple[Tone, ...]
    editions: tuple[Edition, ...]


@dataclass(frozen=True, slots=True)
class Directory:
    """The ten songs of an owner at an instant, in their slots' order."""

    owner: str
    edition_id: int
    tones: tuple[Tone, ...]


def read_contents(connection: Connection) -> Contents:
    """Return the catalogue as it stands."""
    return Contents(
        catalogue.version(connection), catalogue.all_tones(connection), all_editions(connection)
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
        """Return the tones whose codes are the fewest slips of a finger away, at most two."""
        ranked = sorted((_slips(code, other), other) for other in self._codes)
        return tuple(self._tones[other] for slips, other in ranked[:count] if slips <= 2)

    def same_style(self, tone: Tone) -> tuple[Tone, ...]:
        """Return the other tones of its style by code, from the next one on and round."""
        others = [other for other in self._styles.get(tone.style, ()) if other.code != tone.code]
        behind = [other for other in others if other.code > tone.code]
        return (*behind, *others[: len(others) - len(behind)])

    def find(self, words: str, count: int = 5) -> tuple[Tone, ...]:
        """Return the first tones whose title or artist has these words."""
        wanted = words.casefold().split()
        found = (
            tone
            for tone in self._tones.values()
            if wanted and all(word in f"{tone.title} {tone.artist}".casefold() for word in wanted)
        )
        return tuple(tone for tone, _ in zip(found, range(count), strict=False))

    def branch_of(self, msisdn: str | None, area_code: str | None = None) -> str | None:
        """Return the branch by area code, else by number; None: unknown."""
        return self._branches.branch_of(msisdn, area_code)

    def directory(self, owner: str, at: datetime) -> Directory:
        """Return the ten songs of a branch or the province at an instant.

        A slot whose tone is retired or out of licence is taken by the reserve, then by the
        province's songs, then by the catalogue in its order: never silence. An owner without an
        edition has the province's.
        """
        edition = current_edition(self._editions.get(owner, ()), at)
        province = current_edition(self._editions.get(PROVINCE, ()), at)
        chosen = edition or province
        if chosen is None:
            return Directory(PROVINCE, 0, self._playable(self._codes, at)[:SLOTS])
        songs = [code if self._plays(code, at) else "" for code in chosen.songs]
        spare = [*chosen.reserve, *(province.songs if province else ()), *self._codes]
        fill = (tone for tone in self._playable(spare, at) if tone.code not in set(songs))
        filled = (self._tones[code] if code else next(fill, None) for code in songs)
        return Directory(
            chosen.owner, chosen.edition_id, tuple(tone for tone in filled if tone is not None)
        )

    def _playable(self, codes: Iterable[str], at: datetime) -> tuple[Tone, ...]:
        return tuple(self._tones[code] for code in dict.fromkeys(codes) if self._plays(code, at))

    def _plays(self, code: str, at: datetime) -> bool:
        tone = self._tones.get(code)
        if tone is None:
            return False
        today = at.astimezone(self._timezone).date()
        return tone.licence_until is None or today <= tone.licence_until


def _slips(typed: str, code: str) -> int:
    """Return the fewest slips (a wrong, missing, additional or swapped digit) between two."""
    before: list[int] = []
    row = list(range(len(code) + 1))
    for i, digit in enumerate(typed, start=1):
        before, previous, row = row, before, [i]
        for j, other in enumerate(code, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (digit != other))
            if i > 1 and j > 1 and digit == code[j - 2] and typed[i - 2] == other:
                cost = min(cost, previous[j - 2] + 1)
            row.append(cost)
    return row[-1]
