"""Every published tone, packed: a million of them are some hundred megabytes, and no object each.

A stock never changes. `changed` makes the next one out of what changed, in steps, and shares the
rest with the one before.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from catalog.shelf import Numbers, Shelf, Value
from catalog.tones import Prices, Row, Tone
from catalog.values import LONGEST_CODE

KEYPAD_MARK = "#"
"""Stands before a spelling that is made of a telephone's keys, see `catalog.pinyin`."""
KEYS_INDEXED = 8  # of a spelling; who types more of them looks at the tones themselves
ROWS_A_STEP = 20
_CODE_BITS = 31
_CODE_MASK = (1 << _CODE_BITS) - 1
WRITTEN, SPELLED = 0, 1
"""The columns that are searched: title, artist and code, folded, a mark before the first and a
separator behind each; and the spelling. The rest is not searched."""
TITLE_MARK = "\x1e"
SEPARATOR = "\x1f"
_AS_BASE_11 = str.maketrans("0123456789", "123456789a")


@dataclass(frozen=True, slots=True)
class Stock:
    """Tones by their codes, and what finds a style's and a spelling's."""

    tones: Shelf = field(default_factory=Shelf)
    styles: Numbers = field(default_factory=Numbers)
    spellings: Numbers = field(default_factory=Numbers)
    style_numbers: Mapping[str, int] = field(default_factory=dict)
    longest_code: int = 0  # digits; it never shrinks

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Stock:
        """Return the stock of these rows, which are in order of their codes."""
        styles: list[int] = []
        spellings: list[int] = []
        numbers: dict[str, int] = {}
        lengths = {0}

        def entries() -> Iterator[tuple[int, Value]]:
            for row in rows:
                if _is_published(row):
                    number = number_of(row[0])
                    lengths.add(len(row[0]))
                    styles.append(_style_number(numbers, row, number))
                    spellings.extend(_spelling_numbers(row, number))
                    yield number, _pack(row)

        tones = Shelf.of(entries())
        return cls(tones, Numbers.of(styles), Numbers.of(spellings), numbers, max(lengths))

    def changed(self, rows: Iterable[Row]) -> Generator[None, None, Stock]:
        """Return the stock in which these rows are what they are now; in steps below a millisecond.

        A row that is not published, or no longer, is not in the stock.
        """
        tones: dict[int, Value | None] = {}
        styles: tuple[set[int], set[int]] = set(), set()  # that come, that go
        spellings: tuple[set[int], set[int]] = set(), set()
        numbers, longest = dict(self.style_numbers), self.longest_code
        for count, row in enumerate(rows, start=1):
            number, longest = number_of(row[0]), max(longest, len(row[0]))
            packed = self.tones.get(number)
            before = None if packed is None else _unpacked(packed)
            after = row if _is_published(row) else None
            for goes, its in enumerate((after, before)):
                if its is not None:
                    styles[goes].add(_style_number(numbers, its, number))
                    spellings[goes].update(_spelling_numbers(its, number))
            tones[number] = None if after is None else _pack(after)
            if count % ROWS_A_STEP == 0:
                yield
        return Stock(
            (yield from self.tones.changed(tones)),
            (yield from self.styles.changed(*styles)),
            (yield from self.spellings.changed(*spellings)),
            numbers,
            longest,
        )

    def tone(self, code: str) -> Tone | None:
        """Return the tone of a code."""
        packed = self.tones.get(number_of(code)) if _is_code(code) else None
        return None if packed is None else _tone(_unpacked(packed))

    def has(self, code: str) -> bool:
        """Say whether there is a tone of this code."""
        return _is_code(code) and self.tones.get(number_of(code)) is not None

    def codes(self, start: str = "") -> Iterator[str]:
        """Yield the codes from this one on, in their order as words."""
        return map(code_of, self.tones.numbers_from(number_of(start)))

    def is_prefix(self, digits: str) -> bool:
        """Say whether some code is longer than these digits and begins with them."""
        first = f"{digits}0"  # no longer code that begins so comes before this one
        longer = next(self.codes(first), None) if _is_code(first) else None
        return longer is not None and longer.startswith(digits)

    def of_style(self, style: str, after: str = "") -> Iterator[str]:
        """Yield the codes of a style behind this one, in order."""
        number = self.style_numbers.get(style)
        if number is None:
            return
        first = number << _CODE_BITS
        for found in self.styles.from_on(first + number_of(after) + 1):
            if found >> _CODE_BITS != number:
                return
            yield code_of(found - first)

    def by_keys(self, digits: str) -> Iterator[str]:
        """Yield the codes of titles that begin so, typed by initials; those that end so first."""
        if not _is_digits(digits):
            return
        first, last = (_number_of_keys(digits, filled_with) for filled_with in "0a")
        typed = f" {KEYPAD_MARK}{digits}".encode()
        for found in self.spellings.from_on(first << _CODE_BITS):
            if found >> _CODE_BITS > last:
                return
            number = found & _CODE_MASK
            packed = self.tones.get(number)
            if packed is not None and typed in packed[SPELLED]:
                yield code_of(number)


def fold(text: str) -> str:
    """Return a text as searches compare it: width and case do not matter."""
    return unicodedata.normalize("NFKC", text).casefold()


def row_of(tone: Tone, spelling: str) -> Row:
    """Return the row of a tone."""
    prices = tone.prices
    return (
        *(tone.code, tone.title, tone.artist, tone.sp, tone.style),
        *(prices.visitor, prices.member, prices.senior, tone.licence_until),
        *(tone.state, tone.sound, tone.duration_ms, tone.title_sound, spelling),
    )


def number_of(code: str) -> int:
    """Return the number that stands for a code; numbers are in the order of codes as words."""
    return int(f"{code:0<{LONGEST_CODE}}") << 4 | len(code)


def code_of(number: int) -> str:
    """Return the code of a number."""
    return f"{number >> 4:0{LONGEST_CODE}}"[: number & 0xF]


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_code(text: str) -> bool:
    return len(text) <= LONGEST_CODE and _is_digits(text)


def _is_published(row: Row) -> bool:
    return bool(row[9] == "published")


def _style_number(numbers: dict[str, int], row: Row, number: int) -> int:
    return numbers.setdefault(row[4], len(numbers)) << _CODE_BITS | number


def _spelling_numbers(row: Row, number: int) -> set[int]:
    spelling: str = row[13]
    start = spelling.find(f" {KEYPAD_MARK}")
    if start < 0:
        return set()
    words = spelling[start:].split()
    return {
        _number_of_keys(word[1:], "0") << _CODE_BITS | number
        for word in words
        if word[0] == KEYPAD_MARK
    }


def _number_of_keys(digits: str, filled_with: str) -> int:
    """Return the first keys as a number of base 11, whose 0 is no key at all."""
    return int(digits[:KEYS_INDEXED].translate(_AS_BASE_11).ljust(KEYS_INDEXED, filled_with), 11)


def _pack(row: Row) -> Value:
    """Return a published row in octets; title and artist are kept unfolded only if they differ."""
    code, title, artist, sp, style, *prices = row[:8]
    until, _, sound, ms, spoken, spelling = row[8:]
    title_, artist_ = fold(title), fold(artist)
    rest = (
        *("" if title == title_ else title, "" if artist == artist_ else artist),
        *(sp, style, *map(str, prices)),
        *("" if until is None else until.isoformat(), sound, str(ms), spoken or ""),
    )
    return (
        SEPARATOR.join((f"{TITLE_MARK}{title_}", artist_, code, "")).encode(),
        spelling.encode(),
        SEPARATOR.join(rest).encode(),
    )


def _unpacked(packed: Value) -> Row:
    """Return the row that was packed."""
    written, spelling, rest = (part.decode() for part in packed)
    title, artist, code, _ = written.removeprefix(TITLE_MARK).split(SEPARATOR)
    *unfolded, sp, style, visitor, member, senior, until, sound, ms, spoken = rest.split(SEPARATOR)
    return (
        *(code, unfolded[0] or title, unfolded[1] or artist, sp, style),
        *map(int, (visitor, member, senior)),
        *(date.fromisoformat(until) if until else None, "published"),
        *(sound, int(ms), spoken or None, spelling),
    )


def _tone(row: Row) -> Tone:
    code, title, artist, sp, style, visitor, member, senior, *rest, _ = row
    return Tone(code, title, artist, sp, style, Prices(visitor, member, senior), *rest)
