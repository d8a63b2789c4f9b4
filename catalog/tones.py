"""Tones: import, find, retire, licence."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, select, tuple_, update

from catalog.values import BadToneCode, parse_tone_code
from store.changes import announce
from store.schema import catalogue_version
from store.schema import tone as table

COLUMNS = (
    "code",
    "title",
    "artist",
    "sp",
    "style",
    "price_fen",
    "member_price_fen",
    "senior_price_fen",
    "licence_until",
    "audio",
)
LONGEST = {"title": 20, "artist": 15, "sp": 40, "style": 20}
"""Characters; title and artist must fit one SMS with the longest text around them."""
PRICES = ("price_fen", "member_price_fen", "senior_price_fen")
DEAREST_FEN = 100_000

Row = tuple[Any, ...]
"""A tone as the database gives it: the columns of Tone, its prices one by one, and its spelling."""


class BadCatalogue(Exception):
    """A catalogue file cannot be imported; `errors` name line, column, value and reason."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a tone costs by membership, in fen."""

    visitor: int
    member: int
    senior: int


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone of the catalogue. `sound` and `title_sound` are stems below the sounds folder."""

    code: str
    title: str
    artist: str
    sp: str
    style: str
    prices: Prices
    licence_until: date | None
    state: str
    sound: str
    duration_ms: int
    title_sound: str | None


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One checked line of a catalogue file; `audio` is a path below the audio folder, or empty."""

    line: int
    code: str
    title: str
    artist: str
    sp: str
    style: str
    prices: Prices
    licence_until: date | None
    audio: str

    def tone(self, sound: str, duration_ms: int, title_sound: str | None) -> Tone:
        """Return the published tone that this line and its sound files make."""
        return Tone(
            code=self.code,
            title=self.title,
            artist=self.artist,
            sp=self.sp,
            style=self.style,
            prices=self.prices,
            licence_until=self.licence_until,
            state="published",
            sound=sound,
            duration_ms=duration_ms,
            title_sound=title_sound,
        )


def read_catalogue(text: str, name: str) -> tuple[CatalogueRow, ...]:
    """Return the rows of a catalogue CSV (contract: UTF-8 text, header line).

    Raises:
        BadCatalogue: every error of the file, as `name:line:column: value: reason` sentences.
    """
    records = list(csv.reader(io.StringIO(text, newline="")))
    if not records:
        raise BadCatalogue([f"{name}:1: the file is empty; its first line is {','.join(COLUMNS)}"])
    header = tuple(heading.strip().lstrip("\ufeff") for heading in records[0])
    if header != COLUMNS:
        raise BadCatalogue([f"{name}:1: the header is not {','.join(COLUMNS)}"])
    errors: list[str] = []
    rows: list[CatalogueRow] = []
    lines: dict[str, int] = {}
    for line, record in enumerate(records[1:], start=2):
        if not any(field.strip() for field in record):
            continue
        if len(record) != len(COLUMNS):
            errors.append(f"{name}:{line}: {len(record)} columns instead of {len(COLUMNS)}")
            continue
        row, wrong = _read_row(line, dict(zip(COLUMNS, map(str.strip, record), strict=True)))
        errors += [f"{name}:{line}:{reason}" for reason in wrong]
        if row is not None and row.code in lines:
            errors.append(f"{name}:{line}:code: {row.code}: stands in line {lines[row.code]} too")
        elif row is not None:
            lines[row.code] = line
            rows.append(row)
    if not rows and not errors:
        errors.append(f"{name}:2: there is no tone below the header line")
    if errors:
        raise BadCatalogue(errors)
    return tuple(rows)


def _read_row(line: int, fields: Mapping[str, str]) -> tuple[CatalogueRow | None, list[str]]:
    wrong = [*_wrong_code(fields["code"]), *_wrong_texts(fields), *_wrong_prices(fields)]
    licence_until = None
    if fields["licence_until"]:
        try:
            licence_until = date.fromisoformat(fields["licence_until"])
        except ValueError:
            given = fields["licence_until"]
            wrong.append(f"licence_until: {given}: a date such as 2027-12-31, or empty")
    if wrong:
        return None, wrong
    row = CatalogueRow(
        line=line,
        code=fields["code"],
        title=fields["title"],
        artist=fields["artist"],
        sp=fields["sp"],
        style=fields["style"],
        prices=Prices(*(int(fields[column]) for column in PRICES)),
        licence_until=licence_until,
        audio=fields["audio"],
    )
    return row, []


def _wrong_code(code: str) -> Iterator[str]:
    try:
        parse_tone_code(code)
    except BadToneCode:
        yield f"code: {code}: 3 to 8 digits, the first not 0"


def _wrong_texts(fields: Mapping[str, str]) -> Iterator[str]:
    for column, longest in LONGEST.items():
        value = fields[column]
        if not value:
            yield f"{column}: must not be empty"
        elif len(value) > longest:
            yield f"{column}: {value}: longer than {longest} characters"
        elif not value.isprintable():
            yield f"{column}: {value!r}: has a character that cannot be shown"


def _wrong_prices(fields: Mapping[str, str]) -> Iterator[str]:
    for column in PRICES:
        value = fields[column]
        if not (value.isascii() and value.isdigit() and int(value) <= DEAREST_FEN):
            yield f"{column}: {value}: whole fen from 0 to {DEAREST_FEN}"


_COLUMNS = tuple(table.c[column] for column in (
    "code", "title", "artist", "sp", "style", "price_fen", "member_price_fen", "senior_price_fen",
    "licence_until", "state", "sound", "duration_ms", "title_sound",
))  # fmt: skip
_ALL = select(*_COLUMNS).order_by(table.c.code)
_ROWS = (
    select(*_COLUMNS, table.c.spelling)
    .where(table.c.code > bindparam("after"))
    .order_by(table.c.code)
    .limit(bindparam("count"))
)
_CHANGED = (
    select(*_COLUMNS, table.c.spelling, table.c.changed_in)
    .where(
        tuple_(table.c.changed_in, table.c.code) > tuple_(bindparam("since"), bindparam("after"))
    )
    .order_by(table.c.changed_in, table.c.code)
    .limit(bindparam("count"))
)
_ONE = select(*_COLUMNS).where(table.c.code == bindparam("code"))
_SPELLINGS = select(table.c.code, table.c.spelling)
_VERSION = select(catalogue_version.c.version)
_STAMP = (
    update(table).where(table.c.changed_in.is_(None)).values(changed_in=_VERSION.scalar_subquery())
)


def tone_of(row: Sequence[Any]) -> Tone:
    """Return the Tone of a row, which may have more columns behind those of a tone."""
    code, title, artist, sp, style, visitor, member, senior, until, state, sound, ms, spoken = row[
        :13
    ]
    prices = Prices(visitor, member, senior)
    return Tone(code, title, artist, sp, style, prices, until, state, sound, ms, spoken)


def all_tones(connection: Connection) -> tuple[Tone, ...]:
    """Return every tone, retired ones too, by code."""
    return tuple(tone_of(row) for row in connection.execute(_ALL))


def rows_from(connection: Connection, after: str, count: int) -> tuple[Row, ...]:
    """Return so many rows, of retired tones too, by code from the first one behind `after` on."""
    return tuple(map(tuple, connection.execute(_ROWS, {"after": after, "count": count})))


def rows_changed(
    connection: Connection, since: tuple[int, str], count: int
) -> tuple[tuple[Row, ...], tuple[int, str]]:
    """Return so many rows that changed since a version, and where to go on: version and code."""
    values = {"since": since[0], "after": since[1], "count": count}
    found = list(connection.execute(_CHANGED, values))
    end = (found[-1].changed_in, found[-1].code) if found else since
    return tuple(tuple(row)[:-1] for row in found), end


def has_others(connection: Connection, sp: str) -> bool:
    """Say whether there are tones, and only of other content providers than this one."""
    any_, its = (connection.execute(select(exists(which))).scalar() for which in (
        select(table.c.code), select(table.c.code).where(table.c.sp == sp)))  # fmt: skip
    return bool(any_) and not its


def spell_anew(connection: Connection, now: datetime) -> int:
    """Spell the tones that an older program has put here; return how many changed by it."""
    missing = select(*_COLUMNS, table.c.spelling).where(table.c.spelling.not_like("%#%"))
    found = list(connection.execute(missing))
    if not found:
        return 0
    from catalog.pinyin import spelling  # noqa: PLC0415  see put_tones

    spelled = {row.code: spelling(row.title, row.artist) for row in found}
    fresh = {row.code for row in found if spelled[row.code] != row.spelling}
    for code in fresh:
        connection.execute(
            update(table).where(table.c.code == code).values(spelling=spelled[code], changed_at=now)
        )
    if fresh:
        catalogue_changed(connection)
    return len(fresh)


def spellings(connection: Connection) -> dict[str, str]:
    """Return the Latin spellings of every tone, by its code; see `catalog.pinyin`."""
    return {code: spelling for code, spelling in connection.execute(_SPELLINGS)}


def find_tone(connection: Connection, code: str) -> Tone | None:
    """Return the tone of a code, retired or not."""
    row = connection.execute(_ONE, {"code": code}).one_or_none()
    return None if row is None else tone_of(row)


def find_tones(connection: Connection, words: str) -> tuple[Tone, ...]:
    """Return the tones whose code, title, artist or style has every word; no word finds all."""
    wanted = [word.casefold() for word in words.split()]
    return tuple(
        tone
        for tone in all_tones(connection)
        if all(
            word in f"{tone.code} {tone.title} {tone.artist} {tone.style}".casefold()
            for word in wanted
        )
    )


def put_tones(connection: Connection, tones: Iterable[Tone], now: datetime) -> int:
    """Insert or replace tones by their code; return how many changed anything."""
    present = {tone.code: tone for tone in all_tones(connection)}
    changed = [tone for tone in tones if present.get(tone.code) != tone]
    if not changed:
        return 0
    # 58 MB and half a second, needed where tones are imported and not in every process
    from catalog.pinyin import spelling  # noqa: PLC0415  see above

    rows = {
        tone.code: {**_values(tone, now), "spelling": spelling(tone.title, tone.artist)}
        for tone in changed
    }
    fresh = [row for code, row in rows.items() if code not in present]
    if fresh:
        connection.execute(insert(table), fresh)
    for tone in changed:
        if tone.code in present:
            connection.execute(
                update(table).where(table.c.code == tone.code).values(rows[tone.code])
            )
    catalogue_changed(connection)
    return len(changed)


def retire_tone(connection: Connection, code: str, now: datetime) -> bool:
    """Take a tone out of the catalogue; return False when there is no such published tone."""
    done = connection.execute(
        update(table)
        .where(table.c.code == code, table.c.state == "published")
        .values(state="retired", changed_at=now)
    )
    if done.rowcount:
        catalogue_changed(connection)
    return bool(done.rowcount)


def catalogue_changed(connection: Connection) -> None:
    """Give the catalogue its next version, and all tones that were written before this call.

    Every running line then reads what has changed: call it behind the last change.
    """
    done = connection.execute(
        update(catalogue_version).values(version=catalogue_version.c.version + 1)
    )
    if not done.rowcount:
        connection.execute(insert(catalogue_version).values(id=1, version=1))
    # Until the commit no other change gets a version: versions are in the order of commits.
    connection.execute(_STAMP)
    announce(connection, "catalogue")


def version(connection: Connection) -> int:
    """Return the catalogue's version: it grows with every change."""
    return connection.execute(_VERSION).scalar() or 0


def _values(tone: Tone, now: datetime) -> dict[str, object]:
    return {
        "code": tone.code,
        "title": tone.title,
        "artist": tone.artist,
        "sp": tone.sp,
        "style": tone.style,
        "price_fen": tone.prices.visitor,
        "member_price_fen": tone.prices.member,
        "senior_price_fen": tone.prices.senior,
        "licence_until": tone.licence_until,
        "state": tone.state,
        "sound": tone.sound,
        "duration_ms": tone.duration_ms,
        "title_sound": tone.title_sound,
        "changed_at": now,
    }
