"""The ten songs of an owner at an instant, computed from editions: never remembered, never silent.

A statement is what an owner says of one kind and one beginning; what is said later of the same
takes its place, whole: its songs, its end, or that it is withdrawn. Which of the editions that
stand holds is decided by facts alone, so it does not depend on the order in which they were stored:
the kind, then the beginning its file states, then the newest filling of it by the chart, then the
checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from catalog.branches import PROVINCE
from catalog.drafts import PRECEDENCE, SLOTS, Draft
from catalog.filling import Song
from catalog.written import AUTO

LAST_GOOD = timedelta(days=30)
"""So long a branch keeps its last regular edition when no other has followed it."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Statement = tuple[str, datetime]
"""A kind and a beginning."""


@dataclass(frozen=True, slots=True)
class Edition:
    """A published edition: the songs of one owner, valid in `[valid_from, valid_to)`.

    A song is empty where nothing was there for its slot; it is replaced when it is heard. `slots`
    is what its draft said, with `auto`; `sources` tells of each song where it is from.
    `said_from` and `said_at` are the beginning of the draft and when it was published: an edition
    that the chart filled anew for a week has those of its draft and a later `valid_from`.
    `origin` is file, chart (a week's filling), rollback or withdrawal; the last holds never, and is
    `left_out` where the owner's file no longer says what it withdraws.
    """

    owner: str
    kind: str
    valid_from: datetime
    valid_to: datetime | None
    songs: tuple[str, ...]
    reserve: tuple[str, ...]
    edition_id: int = 0
    sources: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    said_from: datetime | None = None
    said_at: datetime = LONG_AGO
    published_at: datetime = LONG_AGO
    checksum: str = ""
    origin: str = "file"
    left_out: bool = False

    @property
    def statement(self) -> Statement:
        """Return what it is about: a later one about the same takes its place."""
        return self.kind, self.said_from or self.valid_from

    @property
    def is_withdrawal(self) -> bool:
        """Whether it only says that what was said of its kind and beginning is not meant."""
        return self.valid_to is not None and self.valid_to <= self.valid_from

    @property
    def draft(self) -> Draft:
        """Return what the file said."""
        begins = self.said_from or self.valid_from
        songs = (code or AUTO for code in self.songs)
        slots = self.slots or (*songs, *[AUTO] * SLOTS)[:SLOTS]
        return Draft(self.owner, self.kind, begins, self.valid_to, slots, self.reserve)

    @property
    def is_open(self) -> bool:
        """Whether the chart fills some of its slots."""
        return AUTO in self.slots

    def holds(self, at: datetime) -> bool:
        """Say whether it may be heard at an instant; nothing was before it had been published."""
        begun = self.valid_from <= at and self.published_at <= at
        return begun and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What is heard: whose edition, its number, and ten songs with the true source of each."""

    owner: str
    edition_id: int
    songs: tuple[Song, ...]


def current_edition(editions: Iterable[Edition], at: datetime) -> Edition | None:
    """Return the edition of one owner that holds at an instant; None: there is none."""
    holding = [edition for edition in standing(editions, at) if edition.holds(at)]
    return max(holding, key=_rank, default=None)


def standing(editions: Iterable[Edition], at: datetime) -> list[Edition]:
    """Return what one owner has said last, until an instant, of each kind and beginning.

    Withdrawals are among it. A draft's weekly fillings were said at once: they stand together.
    """
    return said_last(edition for edition in editions if edition.published_at <= at)


def said_last(editions: Iterable[Edition]) -> list[Edition]:
    """Return those of one owner's editions in whose place no later statement has come."""
    listed = list(editions)
    newest: dict[Statement, datetime] = {}
    for edition in listed:
        known = newest.get(edition.statement)
        if known is None or known < edition.said_at:
            newest[edition.statement] = edition.said_at
    return [edition for edition in listed if edition.said_at == newest[edition.statement]]


def _rank(edition: Edition) -> tuple[int, datetime, datetime, datetime, datetime, str, int]:
    return (
        PRECEDENCE[edition.kind],
        edition.said_from or edition.valid_from,
        edition.said_at,
        edition.valid_from,
        edition.published_at,
        edition.checksum,
        edition.edition_id,
    )


def last_good_edition(editions: Iterable[Edition], at: datetime) -> Edition | None:
    """Return the regular edition that ended last, not longer than `LAST_GOOD` ago."""
    ended = [
        edition
        for edition in standing(editions, at)
        if edition.kind == "regular"
        and not edition.is_withdrawal
        and edition.valid_to is not None
        and edition.valid_to <= at < edition.valid_to + LAST_GOOD
    ]
    return max(ended, key=lambda edition: (edition.valid_to, *_rank(edition)), default=None)


def resolve(
    owner: str,
    editions: Mapping[str, Sequence[Edition]],
    at: datetime,
    plays: Callable[[str], bool],
    catalogue: Iterable[str],
) -> Resolved:
    """Return the ten songs of a branch or the province at an instant.

    The owner's edition, else its last good one, else the province's, else the catalogue in its
    order. A slot whose song cannot be played is taken by the reserve, then by the province's songs
    and reserve, then by the catalogue: always ten, as long as ten can be played.
    """
    province = _in_force(editions.get(PROVINCE, ()), at)
    chosen = _in_force(editions.get(owner, ()), at) or province
    if chosen is None:
        chosen = Edition(PROVINCE, "regular", at, None, (), ())
    heard = {code for code in chosen.songs if plays(code)}
    spare = _spare(chosen, province, catalogue, plays, heard)
    songs = []
    for slot in range(SLOTS):
        code = chosen.songs[slot] if slot < len(chosen.songs) else ""
        if code in heard:
            songs.append(Song(code, chosen.sources[slot] if chosen.sources else "file"))
        elif (replaced := next(spare, None)) is not None:
            songs.append(Song(replaced, "reserve"))
    return Resolved(chosen.owner, chosen.edition_id, tuple(songs))


def _in_force(editions: Sequence[Edition], at: datetime) -> Edition | None:
    return current_edition(editions, at) or last_good_edition(editions, at)


def _spare(
    chosen: Edition,
    province: Edition | None,
    catalogue: Iterable[str],
    plays: Callable[[str], bool],
    heard: set[str],
) -> Iterator[str]:
    shared = () if province is None else (province.songs, province.reserve)
    seen = set(heard)
    for codes in (chosen.reserve, *shared, catalogue):
        for code in codes:
            if code not in seen:
                seen.add(code)
                if plays(code):
                    yield code
