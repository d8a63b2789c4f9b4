"""What a clerk wrote, word by word and with its place, before anything of it is believed.

A branch's file (`directory_file`) and a sheet (`directory_sheet`) are both read into this;
`drafts` checks it.
"""

from __future__ import annotations

from dataclasses import dataclass

AUTO = "auto"
"""Stands in a slot that the chart fills."""
LONGEST_FILE = 1024 * 1024
"""Bytes. A year of weekly editions takes a tenth of it."""
MOST_EDITIONS = 500
MOST_SONGS = 100


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column of a file, from 1; in a workbook also the cell's name, such as `E3`."""

    line: int
    column: int
    cell: str = ""

    def __str__(self) -> str:
        """Return it as an error shows it."""
        where = f"{self.line}:{self.column}"
        return f"{where}: cell {self.cell}" if self.cell else where


TOP = Place(1, 1)


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it stands in the file, without the space around it."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """What is wrong at a place, in a sentence for the clerk."""

    place: Place
    sentence: str


@dataclass(frozen=True, slots=True)
class WrittenEdition:
    """One edition as written; what was left out is None. No songs at all: the chart fills."""

    place: Place
    kind: Word | None
    begins: Word | None
    ends: Word | None
    songs: tuple[Word, ...]
    reserve: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """One file as written, and what cannot even be read of it.

    `owner_is` is `branch` or `province`: the word before the owner's name.
    """

    file: str
    owner_is: str
    owner: Word | None
    contact: Word | None
    editions: tuple[WrittenEdition, ...]
    mistakes: tuple[Mistake, ...] = ()

    def codes(self) -> frozenset[str]:
        """Return every word that may be a tone's code, in plain digits."""
        return frozenset(
            plain(word.text)
            for edition in self.editions
            for word in (*edition.songs, *edition.reserve)
        )


def nothing(file: str, *mistakes: Mistake) -> Written:
    """Return a file of which nothing can be read."""
    return Written(file, "branch", None, None, (), mistakes)


_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", 0xA0: " "}


def plain(text: str) -> str:
    """Return a word with full-width letters, digits and marks in their usual width."""
    return text.translate(_FULL_WIDTH).strip()


def too_long(data: bytes) -> str:
    """Say that a file is longer than any directory is; empty: it is not."""
    return f"the file is longer than {LONGEST_FILE} bytes" if len(data) > LONGEST_FILE else ""


def text_of(data: bytes, kind: str) -> str | Mistake:
    """Return a file's text, or why it has none; `kind` is what it should be saved as."""
    if sentence := too_long(data):
        return Mistake(TOP, sentence)
    text = decoded(data)
    return Mistake(TOP, f"this is no text file; save it as {kind}") if text is None else text


def decoded(data: bytes) -> str | None:
    """Return a file's text: UTF-8 with or without BOM, UTF-16, or GBK as Excel writes it in China.

    None: it is no text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings: tuple[str, ...] = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text.replace("\r\n", "\n").replace("\r", "\n")
    return None
