"""Finding tones in the terminal: in every state, ranked as callers' own searches are."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from catalog.branches import BranchTable
from catalog.lifecycle import PUBLISHED
from catalog.snapshot import Contents, Snapshot
from catalog.tones import Tone, all_tones, spellings

_NO_BRANCHES = BranchTable({}, {}, 0)


def find_tones(connection: Connection, words: str) -> tuple[Tone, ...]:
    """Return the tones whose code, title or artist has every word, the likeliest first.

    A word may be pinyin, in full or by initials; see `Snapshot.find`, which ranks them. Tones whose
    style it is come last. No word finds all, by code.
    """
    tones = {tone.code: tone for tone in all_tones(connection)}
    wanted = words.casefold().split()
    if not wanted:
        return tuple(tones.values())
    # What callers cannot hear an operator still looks for: to the ranking all are published.
    heard = tuple(replace(tone, state=PUBLISHED) for tone in tones.values())
    everything = Contents(0, heard, (), spellings(connection))
    found = Snapshot(everything, _NO_BRANCHES, ZoneInfo("UTC")).find(words, len(tones))
    ranked = {tone.code: tones[tone.code] for tone in found}
    styled = {
        code: tone
        for code, tone in tones.items()
        if all(word in tone.style.casefold() for word in wanted)
    }
    return tuple((ranked | styled).values())
