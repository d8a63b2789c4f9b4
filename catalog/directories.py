"""Ten-song directories: parse a branch's file, publish an edition, find the current one."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from sqlalchemy import Connection, insert, select

from catalog.branches import BRANCHES, PROVINCE
from catalog.tones import Tone, catalogue_changed
from store.schema import edition as edition_table
from store.schema import edition_slot

SLOTS = 10
PRECEDENCE = {"regular": 0, "holiday": 1, "emergency": 2}
RESERVE = SLOTS
"""Slots 1 to 10 are sung; what stands behind them is the reserve, in its order."""


class BadDirectory(Exception):
    """A branch's file cannot be used; each of `errors` reads `file:line:column: sentence`."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class Edition:
    """Ten tones and their reserve for one owner, valid in `[valid_from, valid_to)`."""

    owner: str
    kind: str
    valid_from: datetime
    valid_to: datetime | None
    songs: tuple[str, ...]
    reserve: tuple[str, ...]
    edition_id: int = 0

    @property
    def checksum(self) -> str:
        """SHA-256 of what the edition says."""
        ends = [
            at.astimezone(UTC).isoformat() if at else "" for at in (self.valid_from, self.valid_to)
        ]
        said = [self.kind, *ends, " ".join(self.songs), " ".join(self.reserve)]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class DirectoryFile:
    """What a branch's file says."""

    owner: str
    contact: str
    editions: tuple[Edition, ...]


def read_directory(
    text: str, name: str, tones: Mapping[str, Tone], timezone: ZoneInfo
) -> DirectoryFile:
    """Return the editions of a branch's or the province's file, checked against the catalogue.

    Raises:
        BadDirectory: every error of the file, with line and column from 1.
    """
    reader = _Reader(name, tones, timezone)
    try:
        document = YAML(typ="rt").load(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise BadDirectory([f"{name}:{where}: {error.problem or 'this is not YAML'}"]) from None
    except YAMLError as error:
        raise BadDirectory([f"{name}:1:1: this is not YAML: {error}"]) from None
    directory = reader.directory(document)
    if reader.errors:
        raise BadDirectory(reader.errors)
    return directory


class _Reader:
    """Collects the errors of one file while it is read."""

    def __init__(self, name: str, tones: Mapping[str, Tone], timezone: ZoneInfo) -> None:
        self.name = name
        self.tones = tones
        self.timezone = timezone
        self.errors: list[str] = []

    def directory(self, document: Any) -> DirectoryFile:
        if not isinstance(document, CommentedMap):
            self.error(0, 0, "the file begins with `branch: NAME` or `province: NAME`")
            return DirectoryFile("", "", ())
        self.keys(document, {"branch", "province", "contact", "editions"})
        owner = self.owner(document)
        contact = document.get("contact", "")
        if not isinstance(contact, str):
            self.at(document, "contact", "the contact's number stands between quotes")
        listed = document.get("editions")
        if not isinstance(listed, CommentedSeq) or not listed:
            self.at(document, "editions", "`editions:` lists at least one edition")
            listed = []
        editions = [
            edition
            for item in range(len(listed))
            if (edition := self.edition(listed, item, owner)) is not None
        ]
        return DirectoryFile(owner, str(contact), tuple(editions))

    def owner(self, document: CommentedMap) -> str:
        for key, names in (("branch", BRANCHES), ("province", (PROVINCE,))):
            if key in document:
                if document[key] not in names:
                    self.at(document, key, f"there is no {key} {document[key]!r}")
                return str(document[key])
        self.error(0, 0, "the file begins with `branch: NAME` or `province: NAME`")
        return ""

    def edition(self, listed: CommentedSeq, item: int, owner: str) -> Edition | None:
        entry = listed[item]
        if not isinstance(entry, CommentedMap):
            line, column = listed.lc.item(item)
            self.error(line, column, "an edition has `from:` and `songs:`")
            return None
        before = len(self.errors)
        self.keys(entry, {"from", "to", "kind", "songs", "reserve"})
        kind = entry.get("kind", "regular")
        if kind not in PRECEDENCE:
            self.at(entry, "kind", "the kind is regular, holiday or emergency")
        valid_from = self.instant(entry, "from")
        valid_to = self.instant(entry, "to") if "to" in entry else None
        if kind != "regular" and valid_to is None:
            self.at(entry, "kind", f"a {kind} edition needs `to:`")
        if valid_from and valid_to and valid_to <= valid_from:
            self.at(entry, "to", "`to:` is not later than `from:`")
        songs = self.codes(entry, "songs")
        reserve = self.codes(entry, "reserve") if "reserve" in entry else ()
        if "songs" in entry and len(self.errors) == before and len(songs) != SLOTS:
            self.at(entry, "songs", f"{len(songs)} songs; a directory has exactly {SLOTS}")
        if len(self.errors) > before or valid_from is None:
            return None
        return Edition(owner, kind, valid_from, valid_to, songs, reserve)

    def codes(self, entry: CommentedMap, key: str) -> tuple[str, ...]:
        listed = entry.get(key)
        if not isinstance(listed, CommentedSeq):
            self.at(entry, key, f"`{key}:` is a list such as [1007, 1010]")
            return ()
        codes: list[str] = []
        for item in range(len(listed)):
            code, (line, column) = str(listed[item]), listed.lc.item(item)
            if code not in self.tones:
                self.error(line, column, f"tone {code} is not in the catalogue")
            elif self.tones[code].state != "published":
                self.error(line, column, f"tone {code} was taken out of the catalogue")
            elif code in codes:
                self.error(line, column, f"tone {code} stands here twice")
            codes.append(code)
        return tuple(codes)

    def instant(self, entry: CommentedMap, key: str) -> datetime | None:
        value = entry.get(key)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                value = None
        if isinstance(value, datetime):
            moment = datetime.combine(value.date(), value.time(), value.tzinfo)
            return moment if moment.tzinfo else moment.replace(tzinfo=self.timezone)
        if isinstance(value, date):
            return datetime.combine(value, time(), self.timezone)
        self.at(entry, key, f"`{key}:` is a date such as 2026-11-23, or a time 2026-11-23T04:00")
        return None

    def keys(self, mapping: CommentedMap, known: set[str]) -> None:
        for key in mapping:
            if key not in known:
                line, column = mapping.lc.key(key)
                self.error(line, column, f"`{key}` is not known here")

    def at(self, mapping: CommentedMap, key: str, sentence: str) -> None:
        if key in mapping:
            line, column = mapping.lc.value(key)
        else:
            line, column = mapping.lc.line, mapping.lc.col
        self.error(line, column, sentence)

    def error(self, line: int, column: int, sentence: str) -> None:
        self.errors.append(f"{self.name}:{line + 1}:{column + 1}: {sentence}")


_KNOWN = select(edition_table.c.owner, edition_table.c.checksum)


def publish_editions(
    connection: Connection, editions: Iterable[Edition], author: str, now: datetime
) -> int:
    """Store the editions whose checksum is new in their owner's history; return how many."""
    known = {(row.owner, row.checksum) for row in connection.execute(_KNOWN)}
    fresh = [edition for edition in editions if (edition.owner, edition.checksum) not in known]
    for edition in fresh:
        _insert_edition(connection, edition, author, now)
    if fresh:
        catalogue_changed(connection)
    return len(fresh)


def _insert_edition(connection: Connection, edition: Edition, author: str, now: datetime) -> None:
    key = connection.execute(
        insert(edition_table).values(
            owner=edition.owner,
            kind=edition.kind,
            valid_from=edition.valid_from,
            valid_to=edition.valid_to,
            checksum=edition.checksum,
            author=author,
            published_at=now,
        )
    ).inserted_primary_key
    if key is None:  # pragma: no cover  both engines return it
        raise RuntimeError("the database gave the edition no number")
    connection.execute(
        insert(edition_slot),
        [
            {
                "edition_id": key[0],
                "slot": slot,
                "code": code,
                "source": "file" if slot <= RESERVE else "reserve",
            }
            for slot, code in enumerate((*edition.songs, *edition.reserve), start=1)
        ],
    )


def all_editions(connection: Connection) -> tuple[Edition, ...]:
    """Return every edition ever published, in the order of publishing."""
    slots: dict[int, list[str]] = {}
    for row in connection.execute(
        select(edition_slot).order_by(edition_slot.c.edition_id, edition_slot.c.slot)
    ):
        slots.setdefault(row.edition_id, []).append(row.code)
    return tuple(
        Edition(
            owner=row.owner,
            kind=row.kind,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            songs=tuple(slots.get(row.edition_id, ())[:RESERVE]),
            reserve=tuple(slots.get(row.edition_id, ())[RESERVE:]),
            edition_id=row.edition_id,
        )
        for row in connection.execute(select(edition_table).order_by(edition_table.c.edition_id))
    )


def current_edition(editions: Iterable[Edition], at: datetime) -> Edition | None:
    """Return the edition that holds at an instant: the highest kind, then the newest beginning,
    then the newest published; None when there is none."""  # noqa: D205, D209  one sentence
    holding = [
        edition
        for edition in editions
        if edition.valid_from <= at and (edition.valid_to is None or at < edition.valid_to)
    ]
    return max(
        holding,
        key=lambda edition: (PRECEDENCE[edition.kind], edition.valid_from, edition.edition_id),
        default=None,
    )
