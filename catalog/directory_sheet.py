"""A branch's directory as a sheet, CSV or xlsx as Excel writes them: one row an edition.

The first row names the columns: `branch` (or `province`), `from`, `to`, `kind`, `1` to `10`, `reserve`,
`contact`; only the first two must be there. Codes of a reserve stand in one cell, with spaces between.
"""  # noqa: E501  a list of names

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

from catalog.branches import PROVINCE
from catalog.written import (
    AUTO,
    MOST_EDITIONS,
    TOP,
    Mistake,
    Place,
    Word,
    Written,
    WrittenEdition,
    nothing,
    plain,
    text_of,
    too_long,
)

SONGS = tuple(str(slot) for slot in range(1, 11))
COLUMNS = ("branch", "province", "from", "to", "kind", *SONGS, "reserve", "contact")
EXAMPLE = "branch,from,to,kind,1,2,3,4,5,6,7,8,9,10,reserve"
MOST_COLUMNS = 40
MOST_ROWS = MOST_EDITIONS + 2
LONGEST_UNPACKED = 8 * 1024 * 1024
"""Bytes; a workbook is a zip, and a small one can hide a very large one."""
MOST_PARTS = 200

Row = Sequence[Word]


def read_csv(data: bytes, file: str) -> Written:
    """Return what a CSV says: UTF-8, UTF-16 or GBK; commas, semicolons or tabs between cells."""
    text = text_of(data, "CSV")
    if isinstance(text, Mistake):
        return nothing(file, text)
    first = text.lstrip().partition("\n")[0]
    between = max(",;\t", key=first.count)
    try:
        rows = list(_rows(text, between))
    except csv.Error as error:
        return nothing(file, Mistake(TOP, f"this is no CSV: {error}"))
    return _written(file, rows)


def _rows(text: str, between: str) -> Iterator[Row]:
    # A quoted cell may hold a new line: then the file's lines are more than the sheet's rows.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between)
    line = 1
    for number, row in enumerate(reader, start=1):
        yield _words(number, row, line)
        line = reader.line_num + 1


def read_workbook(data: bytes, file: str) -> Written:
    """Return what the first sheet of an xlsx workbook says; it has values, no formulas."""
    sentence = _unsafe(data)
    if sentence is not None:
        return nothing(file, Mistake(TOP, sentence))
    # A tenth of a second and 20 MB, wanted only where somebody uses workbooks.
    from openpyxl import load_workbook  # noqa: PLC0415  see above

    try:
        book = load_workbook(io.BytesIO(data), read_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        cells, beyond = _bounded(sheet.iter_rows())
    except Exception:  # the library raises whatever a damaged part makes of it
        return nothing(file, Mistake(TOP, "this workbook is damaged; save it again as xlsx"))
    if beyond is not None:
        return nothing(file, Mistake(beyond, f"a directory's sheet has {MOST_ROWS} rows and"
                                     f" {MOST_COLUMNS} columns at most"))  # fmt: skip
    formulas = [
        Mistake(_cell(number, column), "a formula stands here; write the value itself")
        for number, row in enumerate(cells, start=1)
        for column, cell in enumerate(row, start=1)
        if cell.data_type == "f"
    ]
    if formulas:
        return nothing(file, *formulas)
    rows = (
        _words(number, [_shown(cell.value) for cell in row])
        for number, row in enumerate(cells, start=1)
    )
    return _written(file, rows)


def _bounded(rows: Iterable[Sequence[Any]]) -> tuple[list[Sequence[Any]], Place | None]:
    """Return the rows as far as a directory's may reach, and the first cell filled beyond that."""
    kept: list[Sequence[Any]] = []
    for number, row in enumerate(rows, start=1):
        first = MOST_COLUMNS if number <= MOST_ROWS else 0
        for column, cell in enumerate(row[first:], start=first + 1):
            if cell.value is not None:
                return kept, _cell(number, column)
        if number <= MOST_ROWS:
            kept.append(row[:MOST_COLUMNS])
    return kept, None


def _unsafe(data: bytes) -> str | None:
    """Say why a workbook is not even opened; None: it may be."""
    if sentence := too_long(data):
        return sentence
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            listed = parts.infolist()
            if (
                len(listed) > MOST_PARTS
                or sum(part.file_size for part in listed) > LONGEST_UNPACKED
            ):
                return "the workbook is too large; a directory's has a few rows"
            if any(_declares(_start(parts, part)) for part in listed):
                return "the workbook holds declarations that Excel does not write; save it again"
    except Exception:  # damaged bytes make the library raise whatever it likes
        return "this is no xlsx workbook; open it in Excel and save it as xlsx"
    return None


def _start(parts: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    # What a part declares to hold may be less than it does: no more than all of them may is read.
    if not part.filename.lower().endswith((".xml", ".rels")):
        return b""
    with parts.open(part) as stream:
        return stream.read(LONGEST_UNPACKED)


def _declares(xml: bytes) -> bool:
    # An entity may stand for a billion of others; in UTF-16 it would not be seen here.
    return b"<!DOCTYPE" in xml or b"<!ENTITY" in xml or b"\0" in xml


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _cell(number: int, column: int, line: int = 0) -> Place:
    """Return a cell's place; `line`: where its row stands in the file, if that is another one."""
    letters = ""
    rest = column
    while rest:
        rest, letter = divmod(rest - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return Place(line or number, column, f"{letters}{number}")


def _words(number: int, row: Iterable[str], line: int = 0) -> Row:
    return [
        Word(text.strip(), _cell(number, column, line)) for column, text in enumerate(row, start=1)
    ]


def _written(file: str, rows: Iterable[Row]) -> Written:
    """Return what the rows say, the first of which names the columns."""
    filled = [row for row in rows if any(word.text for word in row)]
    if not filled:
        return nothing(file, Mistake(TOP, f"the file is empty; its first row is {EXAMPLE}"))
    columns, mistakes = _columns(filled[0])
    owner_is = "province" if "province" in columns else "branch"
    if mistakes:
        return nothing(file, *mistakes)
    if len(filled) == 1:
        below = Place(filled[0][0].place.line + 1, 1)
        return nothing(file, Mistake(below, "there is no edition below the first row"))
    if len(filled) > MOST_EDITIONS:
        return nothing(file, Mistake(TOP, f"more than {MOST_EDITIONS} editions; remove old ones"))
    entries = [_Entry(columns, row) for row in filled[1:]]
    owner = entries[0].word(owner_is)
    for entry in entries:
        mistakes += entry.mistakes(owner_is, owner)
    if owner is not None and plain(owner.text) == PROVINCE:
        owner_is = "province"
    contacts = (entry.word("contact") for entry in entries)
    return Written(
        file=file,
        owner_is=owner_is,
        owner=owner,
        contact=next((word for word in contacts if word is not None), None),
        editions=tuple(entry.edition() for entry in entries),
        mistakes=tuple(mistakes),
    )


def _columns(header: Row) -> tuple[dict[str, int], list[Mistake]]:
    columns: dict[str, int] = {}
    mistakes = []
    for index, word in enumerate(header):
        name = plain(word.text).lower()
        if not name:
            continue
        if name not in COLUMNS:
            mistakes.append(Mistake(word.place, f"the column {word.text!r} is not known; the first"
                                    f" row is {EXAMPLE}"))  # fmt: skip
        elif name in columns:
            mistakes.append(Mistake(word.place, f"the column {name} stands here twice"))
        columns.setdefault(name, index)
    if not mistakes and not ("from" in columns and ("branch" in columns or "province" in columns)):
        mistakes.append(Mistake(header[0].place, f"the first row is {EXAMPLE}"))
    return columns, mistakes


class _Entry:
    """One row of the sheet: an edition."""

    def __init__(self, columns: dict[str, int], row: Row) -> None:
        self._columns = columns
        self._row = row
        self._place = row[0].place

    def word(self, column: str) -> Word | None:
        """Return the cell of a column; None: the row or the sheet does not have it, or it is empty."""  # noqa: E501  one sentence
        index = self._columns.get(column)
        if index is None or index >= len(self._row) or not self._row[index].text:
            return None
        return self._row[index]

    def mistakes(self, owner_is: str, owner: Word | None) -> Iterator[Mistake]:
        mine = self.word(owner_is)
        if mine is None:
            yield Mistake(self._place, f"the row names no {owner_is}")
        elif owner is not None and plain(mine.text) != plain(owner.text):
            yield Mistake(mine.place, f"{mine.text!r} stands in {owner.text}'s file;"
                          " a file is of one branch")  # fmt: skip
        named = max(self._columns.values()) + 1
        for word in self._row[named:]:
            if word.text:
                yield Mistake(word.place, f"{word.text!r} stands behind the last named column")

    def edition(self) -> WrittenEdition:
        return WrittenEdition(
            place=self._place,
            kind=self.word("kind"),
            begins=self.word("from"),
            ends=self.word("to"),
            songs=tuple(self.word(song) or Word(AUTO, self._place) for song in SONGS),
            reserve=tuple(self._reserve()),
        )

    def _reserve(self) -> Iterator[Word]:
        cell = self.word("reserve")
        if cell is not None:
            codes = re.split(r"[\s,;、]+", plain(cell.text))
            yield from (Word(code, cell.place) for code in codes if code)
