"""A draft's open slots, filled: pinned songs stay, the chart takes the rest, then the reserve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from catalog.drafts import Draft
from catalog.written import AUTO


@dataclass(frozen=True, slots=True)
class Song:
    """What stands in a slot. `source` is file, chart or reserve."""

    code: str
    source: str


EMPTY = Song("", "chart")
"""A slot that nothing was there for."""


def fill(
    draft: Draft,
    ranking: Iterable[str],
    playable: Callable[[str], bool],
    catalogue: Iterable[str] = (),
) -> tuple[Song, ...]:
    """Return the ten songs of a draft, each in its slot.

    `ranking` is the chart, best first; `catalogue` follows the chart and the reserve when both are
    too short. Only songs that are `playable` fill a slot. When all of that is not enough, a slot
    before another song is `EMPTY` and those behind the last are left out: what is missing is
    replaced when it is heard, and nothing pinned moves.
    """
    taken = {code for code in draft.slots if code != AUTO}
    spare = (
        Song(code, source)
        for source, codes in (
            ("chart", (code for code in ranking if code not in draft.reserve)),
            ("reserve", draft.reserve),
            ("chart", catalogue),
        )
        for code in codes
        if code not in taken and playable(code)
    )
    songs = []
    for code in draft.slots:
        song = next(spare, EMPTY) if code == AUTO else Song(code, "file")
        taken.add(song.code)
        songs.append(song)
    while songs and songs[-1] == EMPTY:
        songs.pop()
    return tuple(songs)
