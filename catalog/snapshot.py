"""The published catalogue in memory, swapped whole; calls pin the one they started with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice, takewhile
from operator import attrgetter
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from catalog import tones as catalogue
from catalog.branches import PROVINCE, BranchTable
from catalog.directories import Edition, resolve
from catalog.editions import all_editions, still_heard
from catalog.search import search
from catalog.stock import Stock, row_of
from catalog.tones import Row, Tone
from store.database import LocalDatabase

ROWS_A_PAGE = 2000
LOOKED_BACK = timedelta(days=7)
"""So long ago it still knows what was heard: a clock may go back, and somebody rehearse last week.
"""
MOST_LOOKS = 10_000  # at tones that have but some of the words that are looked for
MOST_KEPT = 4096  # unpacked tones, a megabyte or two


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
    whether it is from its file, the chart or the reserve."""

    owner: str
    edition_id: int
    tones: tuple[Tone, ...]
    sources: tuple[str, ...] = ()


def read_head(connection: Connection, now: datetime) -> Contents:
    """Return the catalogue as it stands, but for its tones and what was heard long ago."""
    return Contents(catalogue.version(connection), (), still_heard(connection, now - LOOKED_BACK))


def read_contents(connection: Connection) -> Contents:
    """Return the catalogue as it stands, with all that was ever heard.

    Of a million tones this is slow, see `load_snapshot`.
    """
    return Contents(
        catalogue.version(connection),
        catalogue.all_tones(connection),
        all_editions(connection),
        catalogue.spellings(connection),
    )


def load_snapshot(
    database: LocalDatabase, branches: BranchTable, timezone: ZoneInfo, now: datetime
) -> Snapshot:
    """Return the catalogue as it stands or newer, read page by page: nobody else is locked out."""
    head = database.run_now(read_head, now)
    return Snapshot(head, branches, timezone, Stock.of(_all_rows(database)))


def _all_rows(database: LocalDatabase) -> Iterator[Row]:
    after = ""
    while rows := database.run_now(catalogue.rows_from, after, ROWS_A_PAGE):
        yield from rows
        after = rows[-1][0]


class Snapshot:
    """An immutable catalogue.

    A tone is unpacked when it is looked up for the first time, which takes a bisection; those
    looked up lately, as the songs of the lists are all day, are kept, and a look-up is a dict's.
    """

    province = PROVINCE

    def __init__(
        self,
        contents: Contents,
        branches: BranchTable,
        timezone: ZoneInfo,
        stock: Stock | None = None,
    ) -> None:
        """Hold what the contents have; `stock`: their tones, if somebody packed them already."""
        self.version = contents.version
        self._timezone = timezone
        self._branches = branches
        self.stock = _packed(contents) if stock is None else stock
        self._count = len(self.stock.tones)
        self._lately: dict[str, Tone] = {}
        self._editions: dict[str, list[Edition]] = {}
        for edition in contents.editions:
            self._editions.setdefault(edition.owner, []).append(edition)

    def __len__(self) -> int:
        return self._count

    @property
    def longest_code(self) -> int:
        """How many digits the longest code has."""
        return self.stock.longest_code

    def successor(self, contents: Contents, stock: Stock) -> Snapshot:
        """Return the snapshot that takes over from this one."""
        return Snapshot(contents, self._branches, self._timezone, stock)

    def tone(self, code: str) -> Tone | None:
        """Return the published tone of a code."""
        tone = self._lately.get(code)
        return self._unpacked(code) if tone is None else tone

    def _unpacked(self, code: str) -> Tone | None:
        tone = self.stock.tone(code)
        if tone is not None:
            if len(self._lately) >= MOST_KEPT:
                self._lately.clear()
            self._lately[code] = tone
        return tone

    def is_code_prefix(self, digits: str) -> bool:
        """Say whether some published code is longer than these digits and begins with them."""
        return self.stock.is_prefix(digits)

    def nearest(self, code: str, at: datetime, count: int = 3) -> tuple[Tone, ...]:
        """Return tones that can be played and whose codes are one slip of a finger away.

        If there is none, those two slips away.
        """
        once = set(_slips(code))
        found = self._first(sorted(once), at, count)
        if not found and len(code) <= self.longest_code + 1:
            twice = {slip for first in once for slip in _slips(first)}
            found = self._first(sorted(filter(self.stock.has, twice)), at, count)
        return found

    def next_of_style(self, tone: Tone, at: datetime) -> Tone | None:
        """Return the next tone of a tone's style that can be played, by code and round."""
        behind = self.stock.of_style(tone.style, tone.code)
        round_ = takewhile(lambda code: code < tone.code, self.stock.of_style(tone.style))
        return next(self._playable(chain(behind, round_), at), None)

    def find(self, words: str, at: datetime, count: int = 10) -> tuple[Tone, ...]:
        """Return tones that can be played and have every word, the likeliest first."""
        return self._first(search(self.stock, words, MOST_LOOKS), at, count)

    def by_keypad(self, digits: str, at: datetime, count: int) -> tuple[Tone, ...]:
        """Return tones that can be played and whose titles, typed by initials, begin so.

        Those that end so come first.
        """
        return self._first(self.stock.by_keys(digits), at, count)

    def plays(self, code: str, at: datetime) -> bool:
        """Say whether a tone is published and its licence holds at an instant."""
        return self._plays(self.tone(code), at)

    def branch_of(self, msisdn: str | None, area_code: str | None = None) -> str | None:
        """Return the branch by area code, else by number; None: unknown."""
        return self._branches.branch_of(msisdn, area_code)

    def directory(self, owner: str, at: datetime) -> Directory:
        """Return the ten songs of a branch or the province at an instant; see `resolve`."""
        resolved = resolve(
            owner, self._editions, at, lambda code: self.plays(code, at), self.stock.codes()
        )
        return Directory(
            resolved.owner,
            resolved.edition_id,
            self._tones_of(song.code for song in resolved.songs),
            tuple(song.source for song in resolved.songs),
        )

    def _first(self, codes: Iterable[str], at: datetime, count: int) -> tuple[Tone, ...]:
        return tuple(islice(self._playable(codes, at), count))

    def _playable(self, codes: Iterable[str], at: datetime) -> Iterator[Tone]:
        """Yield the tones of these codes that can be played, each once."""
        seen: set[str] = set()
        for code in codes:
            tone = None if code in seen else self.tone(code)
            if tone is not None and self._plays(tone, at):
                seen.add(code)
                yield tone

    def _plays(self, tone: Tone | None, at: datetime) -> bool:
        if tone is None:
            return False
        today = at.astimezone(self._timezone).date()
        return tone.licence_until is None or today <= tone.licence_until

    def _tones_of(self, codes: Iterable[str]) -> tuple[Tone, ...]:
        return tuple(tone for code in codes if (tone := self.tone(code)) is not None)


def _packed(contents: Contents) -> Stock:
    tones = sorted(contents.tones, key=attrgetter("code"))
    return Stock.of(row_of(tone, contents.spellings.get(tone.code, "")) for tone in tones)


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
