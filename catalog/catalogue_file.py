"""A catalogue CSV: the tones that an operator gives, line by line, checked."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from catalog.lifecycle import PUBLISHED
from catalog.tones import Prices, Tone
from catalog.values import BadToneCode, parse_tone_code

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
_LONGEST_PRICE = 20  # characters; Python refuses to read numbers of thousands of digits


class BadCatalogue(Exception):
    """A catalogue file cannot be imported; `errors` name line, column, value and reason."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One checked line of a catalogue file; `audio` is a path below the audio folder, or empty.

    An empty `code` asks for the next free one.
    """

    line: int
    code: str
    title: str
    artist: str
    sp: str
    style: str
    prices: Prices
    licence_until: date | None
    audio: str

    def tone(
        self,
        sound: str,
        duration_ms: int,
        title_sound: str | None,
        state: str = PUBLISHED,
        reason: str | None = None,
    ) -> Tone:
        """Return the tone that this line and its sound files make."""
        return Tone(
            code=self.code,
            title=self.title,
            artist=self.artist,
            sp=self.sp,
            style=self.style,
            prices=self.prices,
            licence_until=self.licence_until,
            state=state,
            sound=sound,
            duration_ms=duration_ms,
            title_sound=title_sound,
            reason=reason,
        )


def decode_catalogue(content: bytes, name: str) -> str:
    """Return a catalogue file's text: UTF-8, or GB18030 (GBK) as Excel in China writes it.

    Raises:
        BadCatalogue: it is neither; the error names where it ceases to be text.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("gb18030")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        wrong = content[error.start : error.end].hex(" ")
        reason = "neither UTF-8 nor GBK text; save it as CSV UTF-8"
        raise BadCatalogue([f"{name}:{line}:{column}: {wrong}: {reason}"]) from error


def read_catalogue(text: str, name: str) -> tuple[CatalogueRow, ...]:
    """Return the rows of a catalogue CSV (contract: UTF-8 text, header line).

    Raises:
        BadCatalogue: every error of the file, as `name:line:column: value: reason` sentences.
    """
    records = _records(text, name)
    if not records:
        raise BadCatalogue([f"{name}:1: the file is empty; its first line is {','.join(COLUMNS)}"])
    header = tuple(heading.strip().lstrip("\ufeff") for heading in records[0][1])
    if header != COLUMNS:
        raise BadCatalogue([f"{name}:1: the header is not {','.join(COLUMNS)}"])
    errors: list[str] = []
    rows: list[CatalogueRow] = []
    for line, record in records[1:]:
        if not any(field.strip() for field in record):
            continue
        if len(record) != len(COLUMNS):
            errors.append(f"{name}:{line}: {len(record)} columns instead of {len(COLUMNS)}")
            continue
        row, wrong = _read_row(line, dict(zip(COLUMNS, map(str.strip, record), strict=True)))
        errors += [f"{name}:{line}:{reason}" for reason in wrong]
        if row is not None:
            rows.append(row)
    errors += _repeated(rows, name)
    if not rows and not errors:
        errors.append(f"{name}:2: there is no tone below the header line")
    if errors:
        raise BadCatalogue(errors)
    return tuple(rows)


def _repeated(rows: Iterable[CatalogueRow], name: str) -> Iterator[str]:
    lines: dict[str, int] = {}
    for row in rows:
        first = lines.setdefault(row.code, row.line)
        if row.code and first != row.line:
            yield f"{name}:{row.line}:code: {row.code}: stands in line {first} too"


def _records(text: str, name: str) -> list[tuple[int, list[str]]]:
    """Return the records, each with the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[tuple[int, list[str]]] = []
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            reason = f"{error}; a quotation mark within a field is written twice"
            raise BadCatalogue([f"{name}:{line}: {reason}"]) from error
        if record is None:
            return records
        records.append((line, record))


def _read_row(line: int, fields: Mapping[str, str]) -> tuple[CatalogueRow | None, list[str]]:
    wrong = [*_wrong_code(fields["code"]), *_wrong_texts(fields), *_wrong_prices(fields),
             *_wrong_audio(fields["audio"])]  # fmt: skip
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
        code=parse_tone_code(fields["code"]) if fields["code"] else "",
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
    if not code:
        return  # the next free one will be his
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


def _wrong_audio(path: str) -> Iterator[str]:
    if "\0" in path:
        yield f"audio: {path!r}: no file has such a name"


def _wrong_prices(fields: Mapping[str, str]) -> Iterator[str]:
    for column in PRICES:
        value = fields[column]
        is_number = value.isascii() and value.isdigit() and len(value) <= _LONGEST_PRICE
        if not (is_number and int(value) <= DEAREST_FEN):
            yield f"{column}: {value[:_LONGEST_PRICE]}: whole fen from 0 to {DEAREST_FEN}"
