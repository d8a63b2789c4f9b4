"""Sorted numbers, with or without values, that never change: a change makes a new shelf.

A shelf is cut into slices; a changed one replaces the slices that changed and shares the others
with the shelf it comes from. The making is cut into steps, so that whoever runs it can do something
else in between. A million entries are octets and machine numbers, nothing that Python's garbage
collector visits.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import TypeAlias

SLICE = 512
"""Entries in a fresh slice; one of twice as many is cut. Rebuilding one takes some 0.1 ms."""
Value: TypeAlias = tuple[bytes, ...]
"""As many parts as every other value of its shelf."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Different numbers below 2**64, in order."""

    slices: tuple[array[int], ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Numbers:
        """Return the numbers given, in any order."""
        return cls(tuple(_cut(sorted(numbers))))

    def __len__(self) -> int:
        return sum(map(len, self.slices))

    def from_on(self, number: int) -> Iterator[int]:
        """Yield the numbers from this one on, in order."""
        for place in range(max(_slice_of(self.slices, number), 0), len(self.slices)):
            numbers = self.slices[place]
            yield from numbers[bisect_left(numbers, number) :]

    def changed(self, added: Set[int], removed: Set[int]) -> Generator[None, None, Numbers]:
        """Return the numbers with some and without others; what is in both stays as it is."""
        slices = list(self.slices)
        placed = _by_slice(slices, added ^ removed)
        for place in sorted(placed, reverse=True):  # the places before one stay what they are
            here = placed[place]
            kept = set(slices[place]) if slices else set()
            slices[place : place + 1] = _cut(sorted((kept - (here & removed)) | (here & added)))
            yield
        return Numbers(tuple(slices))


@dataclass(frozen=True, slots=True)
class Column:
    """The same part of each value of a slice: the n-th ends at `ends[n]` of `octets`."""

    ends: array[int]
    octets: bytes

    @classmethod
    def of(cls, parts: Iterable[bytes]) -> Column:
        """Return the column of these parts."""
        held = tuple(parts)
        ends = list(accumulate(map(len, held)))  # of a list an array takes no room to grow
        return cls(array("I", ends), b"".join(held))

    def part(self, place: int) -> bytes:
        """Return what stands at a place."""
        return self.octets[self.ends[place - 1] if place else 0 : self.ends[place]]

    def has(self, place: int, octets: bytes) -> bool:
        """Say whether these octets are somewhere in what stands at a place."""
        start = self.ends[place - 1] if place else 0
        return self.octets.find(octets, start, self.ends[place]) >= 0

    def find(self, octets: bytes) -> Iterator[int]:
        """Yield the places that have these octets somewhere, in order."""
        found = self.octets.find(octets)
        while found >= 0:
            place = bisect_right(self.ends, found)
            if found + len(octets) <= self.ends[place]:
                yield place
                found = self.octets.find(octets, self.ends[place])
            else:  # half of it belongs to the next value
                found = self.octets.find(octets, found + 1)


@dataclass(frozen=True, slots=True)
class Slice:
    """Values under their numbers, part by part."""

    numbers: array[int]
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, entries: Iterable[tuple[int, Value]]) -> Slice:
        """Return the slice of these entries, which are in order."""
        held = tuple(entries)
        parts = zip(*(value for _, value in held), strict=True)
        return cls(array("Q", [number for number, _ in held]), tuple(map(Column.of, parts)))

    def value(self, place: int) -> Value:
        """Return the value at a place of the slice."""
        return tuple([column.part(place) for column in self.columns])

    def entries(self) -> Iterator[tuple[int, Value]]:
        """Yield every entry, in order."""
        return ((number, self.value(place)) for place, number in enumerate(self.numbers))


@dataclass(frozen=True, slots=True)
class Shelf:
    """Values under different numbers below 2**64, in order."""

    slices: tuple[Slice, ...] = ()
    firsts: array[int] = field(default_factory=lambda: array("Q"))  # the smallest of each slice

    @classmethod
    def of(cls, entries: Iterable[tuple[int, Value]]) -> Shelf:
        """Return the shelf of these entries, which are in order."""
        return _shelf(_filled(iter(entries)))

    def __len__(self) -> int:
        return sum(len(slice_.numbers) for slice_ in self.slices)

    def get(self, number: int) -> Value | None:
        """Return the value of a number."""
        at = bisect_right(self.firsts, number) - 1
        if at < 0:
            return None
        slice_ = self.slices[at]
        place = bisect_left(slice_.numbers, number)
        if place < len(slice_.numbers) and slice_.numbers[place] == number:
            return slice_.value(place)
        return None

    def numbers_from(self, number: int) -> Iterator[int]:
        """Yield the numbers from this one on, in order."""
        for place in range(max(bisect_right(self.firsts, number) - 1, 0), len(self.slices)):
            numbers = self.slices[place].numbers
            yield from numbers[bisect_left(numbers, number) :]

    def changed(self, changes: Mapping[int, Value | None]) -> Generator[None, None, Shelf]:
        """Return the shelf with other values under some numbers; None: with none."""
        slices = list(self.slices)
        placed = _by_slice([slice_.numbers for slice_ in slices], changes.keys())
        for place in sorted(placed, reverse=True):  # the places before one stay what they are
            entries: dict[int, Value | None] = dict(slices[place].entries()) if slices else {}
            entries |= {number: changes[number] for number in placed[place]}
            kept = [(n, value) for n, value in sorted(entries.items()) if value is not None]
            pieces = _pieces(len(kept))
            slices[place : place + 1] = [Slice.of(kept[start:end]) for start, end in pieces]
            yield
        return _shelf(slices)


def _shelf(slices: Iterable[Slice]) -> Shelf:
    held = tuple(slices)
    return Shelf(held, array("Q", [slice_.numbers[0] for slice_ in held]))


def _filled(entries: Iterator[tuple[int, Value]]) -> Iterator[Slice]:
    while (slice_ := Slice.of(islice(entries, SLICE))).numbers:
        yield slice_


def _cut(numbers: list[int]) -> list[array[int]]:
    return [array("Q", numbers[start:end]) for start, end in _pieces(len(numbers))]


def _pieces(count: int) -> list[tuple[int, int]]:
    """Return the ends of the slices that so many entries make: one, unless it were too long."""
    size = count if count <= 2 * SLICE else SLICE
    return [(start, min(start + size, count)) for start in range(0, count, size or 1)]


def _slice_of(slices: tuple[array[int], ...] | list[array[int]], number: int) -> int:
    return bisect_right(slices, number, key=lambda numbers: numbers[0]) - 1


def _by_slice(slices: list[array[int]], numbers: Iterable[int]) -> dict[int, set[int]]:
    """Return the numbers by the place of the slice that each belongs to."""
    placed: dict[int, set[int]] = {}
    for number in numbers:
        placed.setdefault(max(_slice_of(slices, number), 0), set()).add(number)
    return placed
