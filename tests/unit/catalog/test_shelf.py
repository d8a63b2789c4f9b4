from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import catalog.shelf
from catalog.shelf import Column, Numbers, Shelf, Value
from tests.fakes.catalogue import made

NUMBERS = st.integers(0, 60)
PARTS = st.binary(max_size=3)
VALUES = st.tuples(PARTS, PARTS)


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog.shelf, "SLICE", 3)


@given(st.dictionaries(NUMBERS, VALUES), st.dictionaries(NUMBERS, st.none() | VALUES))
def test_a_changed_shelf_has_what_a_changed_dictionary_has(
    before: dict[int, Value], changes: dict[int, Value | None]
) -> None:
    shelf = Shelf.of(sorted(before.items()))
    after = {n: value for n, value in {**before, **changes}.items() if value is not None}
    changed = made(shelf.changed(changes))
    assert {n: changed.get(n) for n in changed.numbers_from(0)} == after
    assert list(changed.numbers_from(30)) == sorted(n for n in after if n >= 30)
    assert len(changed) == len(after)
    assert all(changed.get(n) is None for n in range(61) if n not in after)
    assert {n: shelf.get(n) for n in shelf.numbers_from(0)} == before


@given(st.sets(NUMBERS), st.sets(NUMBERS), st.sets(NUMBERS))
def test_changed_numbers_are_those_of_a_changed_set(
    before: set[int], added: set[int], removed: set[int]
) -> None:
    numbers = Numbers.of(before)
    changed = made(numbers.changed(added, removed))
    after = (before | (added - removed)) - (removed - added)
    assert list(changed.from_on(0)) == sorted(after)
    assert list(changed.from_on(30)) == sorted(n for n in after if n >= 30)
    assert list(numbers.from_on(0)) == sorted(before)


@given(st.lists(PARTS), st.binary(min_size=1, max_size=2))
def test_a_part_is_found_by_any_octets_of_it_and_not_across_two(
    parts: list[bytes], octets: bytes
) -> None:
    column = Column.of(parts)
    assert [column.part(place) for place in range(len(parts))] == parts
    having = [place for place, part in enumerate(parts) if octets in part]
    assert list(column.find(octets)) == having
    assert [place for place in range(len(parts)) if column.has(place, octets)] == having


def test_what_did_not_change_is_shared() -> None:
    shelf = Shelf.of((number, (b"x",)) for number in range(30))
    changed = made(shelf.changed({14: (b"y",), 100: None}))
    before = set(map(id, shelf.slices))
    assert [id(slice_) in before for slice_ in changed.slices] == [
        *[True] * 4,
        False,
        *[True] * 4,
        False,
    ]
    assert changed.get(14) == (b"y",)


def test_a_shelf_that_is_filled_bit_by_bit_keeps_its_slices_short() -> None:
    shelf, numbers = Shelf(), Numbers()
    for number in range(100):
        shelf = made(shelf.changed({number * 7 % 100: (b"",)}))
        numbers = made(numbers.changed({number * 7 % 100}, set()))
    assert max(len(slice_.numbers) for slice_ in shelf.slices) <= 6
    assert max(map(len, numbers.slices)) <= 6
