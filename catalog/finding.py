"""Finding tones in the terminal: in every state, ranked as callers' own searches are."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from catalog.lifecycle import PUBLISHED
from catalog.search import search
from catalog.stock import Stock, fold, row_of
from catalog.tones import Tone, all_tones, spellings


def find_tones(connection: Connection, words: str) -> tuple[Tone, ...]:
    """Return the tones whose code, title or artist has every word, the likeliest first.

    A word may be pinyin, in full or by initials; see `catalog.search`. Tones whose style it is come
    last. No word finds all, by code.
    """
    tones = {tone.code: tone for tone in all_tones(connection)}
    wanted = fold(words).split()
    if not wanted:
        return tuple(tones.values())
    # What callers cannot hear an operator still looks for: to the search all are published.
    spelled = spellings(connection)
    stock = Stock.of(
        row_of(replace(tone, state=PUBLISHED), spelled[tone.code]) for tone in tones.values()
    )
    ranked = {code: tones[code] for code in search(stock, words)}
    styled = {
        code: tone
        for code, tone in tones.items()
        if all(word in fold(tone.style) for word in wanted)
    }
    return tuple((ranked | styled).values())
