from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

import catalog.shelf
from catalog.stock import KEYS_INDEXED, Stock, code_of, number_of, row_of
from catalog.tones import Prices, Tone
from tests.fakes.catalogue import a_tone, made

CODES = st.sampled_from((*map(str, range(100, 130)), "1000", "10000000", "12345678", "99999999"))
KEYS = st.text("0123456789", min_size=1, max_size=10)
SPELLINGS = st.lists(KEYS, max_size=3).map(
    lambda keys: f" yue y {' '.join(f'#{one}' for one in keys)} "
)


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog.shelf, "SLICE", 3)


TITLES = ("月光", "ＬＯＶＥ", "Straße", "x")


def tone(code: str, chance: int) -> Tone:
    """A tone of which everything but its code is up to chance."""
    return replace(
        a_tone(code, TITLES[chance % 4], style=("民歌", "古曲")[chance // 4 % 2]),
        state="published" if chance // 8 % 3 else "retired",
        prices=Prices(chance, chance // 2, 0),
        licence_until=date.fromordinal(740_000 + chance) if chance % 5 else None,
        title_sound="titles/zh_CN/x" if chance % 2 else None,
    )


Catalogue = dict[str, tuple[Tone, str]]
CATALOGUES = st.dictionaries(CODES, st.tuples(st.integers(0, 9999), SPELLINGS), max_size=12).map(
    lambda found: {
        code: (tone(code, chance), spelling) for code, (chance, spelling) in found.items()
    }
)


def stock_of(catalogue: Catalogue) -> Stock:
    return Stock.of(row_of(*catalogue[code]) for code in sorted(catalogue))


@given(CATALOGUES)
def test_a_tone_comes_out_as_it_went_in_if_it_is_published(catalogue: Catalogue) -> None:
    stock = stock_of(catalogue)
    for code, (tone, _) in catalogue.items():
        assert stock.tone(code) == (tone if tone.state == "published" else None)
        assert stock.has(code) == (tone.state == "published")
    published = [code for code, (tone, _) in catalogue.items() if tone.state == "published"]
    assert list(stock.codes()) == sorted(published)
    assert stock.longest_code == max(map(len, published), default=0)


@given(CATALOGUES, st.text("0123456789", max_size=8))
def test_digits_are_a_prefix_if_a_longer_code_begins_with_them(
    catalogue: Catalogue, digits: str
) -> None:
    stock = stock_of(catalogue)
    for typed in (digits, *(code[:-1] for code in catalogue), *catalogue):
        longer = [
            code
            for code, (tone, _) in catalogue.items()
            if tone.state == "published" and code.startswith(typed) and code != typed
        ]
        assert stock.is_prefix(typed) == bool(longer)


@given(CATALOGUES)
def test_the_codes_of_a_style_follow_in_order(catalogue: Catalogue) -> None:
    stock = stock_of(catalogue)
    for code, (tone, _) in catalogue.items():
        of_it = sorted(
            other
            for other, (its, _) in catalogue.items()
            if its.state == "published" and its.style == tone.style and other > code
        )
        assert list(stock.of_style(tone.style, code)) == of_it


@given(CATALOGUES, KEYS)
def test_keys_find_every_title_that_begins_so_and_whole_ones_first(
    catalogue: Catalogue, digits: str
) -> None:
    stock = stock_of(catalogue)
    spelled = "".join(spelling for _, spelling in catalogue.values())
    for typed in (digits, *(word[1:] for word in spelled.split() if word[0] == "#")):
        found = list(stock.by_keys(typed))
        assert set(found) == {
            code
            for code, (tone, spelling) in catalogue.items()
            if tone.state == "published" and f" #{typed}" in spelling
        }
        whole = {code for code in found if f" #{typed} " in catalogue[code][1]}
        if len(typed) < KEYS_INDEXED:
            assert set(found[: len(whole)]) == whole


@given(CATALOGUES, CATALOGUES)
def test_a_changed_stock_is_the_stock_of_the_changed_catalogue(
    before: Catalogue, changes: Catalogue
) -> None:
    stock = stock_of(before)
    changed = made(stock.changed(row_of(*changes[code]) for code in changes))
    expected = stock_of(before | changes)
    assert list(changed.codes()) == list(expected.codes())
    assert [changed.tone(code) for code in changed.codes()] == [
        expected.tone(code) for code in expected.codes()
    ]
    for style in ("民歌", "古曲"):
        assert list(changed.of_style(style)) == list(expected.of_style(style))
    assert list(changed.spellings.from_on(0)) == list(expected.spellings.from_on(0))
    assert [stock.tone(code) for code in before] == [stock_of(before).tone(code) for code in before]


@given(CODES, CODES)
def test_codes_as_numbers_are_in_the_order_of_words(one: str, other: str) -> None:
    assert (number_of(one) < number_of(other)) == (one < other)
    assert code_of(number_of(one)) == one
