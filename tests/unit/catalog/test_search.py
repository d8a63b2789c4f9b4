from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import catalog.shelf
from catalog.search import search
from catalog.stock import Stock, fold, row_of
from tests.fakes.catalogue import a_tone

WORDS = ("月", "光", "月光", "LOVE", "ｌｏ", "yg", "gz", "yue", "10", "ue")
TITLES = ("月光", "明月光", "ＬＯＶＥ 月", "Love", "光")
ARTISTS = ("古筝", "月", "Yue")
SPELLINGS = ("", " yueguang yg guang g guzheng gz ", " mingyueguang myg yueguang yg ")
Rows = list[tuple[str, str, str]]


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog.shelf, "SLICE", 3)


def rank(words: list[str], code: str, title: str, artist: str, spelling: str) -> int | None:
    """Say it slowly: how far the words are from a title."""
    written = (fold(title), fold(artist), code)
    has = [any(word in text for text in written) for word in words]
    spelled = [f" {word}" in spelling for word in words]
    if " ".join(words) == written[0]:
        return 0
    if all(has):
        return 1 if written[0].startswith(words[0]) else 2
    if all(one or other for one, other in zip(has, spelled, strict=True)):
        return 3 if f" {words[0]} " in spelling else 4
    return None


@given(
    st.lists(st.tuples(*map(st.sampled_from, (TITLES, ARTISTS, SPELLINGS))), max_size=12),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
)
def test_every_tone_that_has_all_words_is_found_by_rank_and_code(
    rows: Rows, words: list[str]
) -> None:
    tones = {
        str(code): replace(a_tone(str(code), title), artist=artist)
        for code, (title, artist, _) in enumerate(rows, start=1001)
    }
    stock = Stock.of(
        row_of(tone, spelling) for tone, (_, _, spelling) in zip(tones.values(), rows, strict=True)
    )
    ranks = {
        (place, code): code
        for (code, tone), (_, _, spelling) in zip(tones.items(), rows, strict=True)
        if (place := rank(list(map(fold, words)), code, tone.title, tone.artist, spelling))
        is not None
    }
    assert list(search(stock, " ".join(words))) == [ranks[key] for key in sorted(ranks)]
