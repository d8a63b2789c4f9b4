"""Which published tones some words mean, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from catalog.shelf import Slice
from catalog.stock import SEPARATOR, SPELLED, TITLE_MARK, WRITTEN, Stock, code_of, fold

_Part: TypeAlias = tuple[int, bytes]
"""Octets, and the column that has them somewhere."""
_Need: TypeAlias = tuple[_Part, ...]
"""Parts of which a tone has at least one."""


def search(stock: Stock, words: str) -> Iterator[str]:
    """Yield the codes of the tones whose code, title or artist has every word, the likeliest first.

    First those of exactly this title, then those whose titles begin with the first word, then all
    others that are written so. A word of Latin letters may also be pinyin, in full or by initials,
    from any character on; those come last. Within a rank codes are in order. Each is looked for
    when it is asked for: who takes ten pays for ten.
    """
    wanted = fold(words).split()
    if not wanted:
        return
    ranks = _ranks(wanted)
    slices = [slice_ for slice_ in stock.tones.slices if _may_have(slice_, ranks[-1])]
    seen: set[int] = set()
    for needs in ranks:
        for slice_ in slices:
            for place in _places(slice_, needs):
                number = slice_.numbers[place]
                if number not in seen:
                    seen.add(number)
                    yield code_of(number)


def _ranks(wanted: Sequence[str]) -> tuple[tuple[_Need, ...], ...]:
    """Return what a tone of each rank needs; the last one's needs are met by all."""
    first, *others = wanted
    written = tuple(map(_written, wanted))
    title = _written(f"{TITLE_MARK}{' '.join(wanted)}{SEPARATOR}")
    begins = _written(f"{TITLE_MARK}{first}")
    ranks = ((title,), (begins, *written[1:]), written)
    if not any(word.isascii() for word in wanted):
        return ranks  # no spelling has such a word
    whole = _spelled(f"{first} ")
    return (*ranks, (whole, *map(_anyhow, others)), tuple(map(_anyhow, wanted)))


def _written(text: str) -> _Need:
    return ((WRITTEN, text.encode(errors="surrogatepass")),)


def _spelled(text: str) -> _Need:
    return ((SPELLED, f" {text}".encode(errors="surrogatepass")),)


def _anyhow(word: str) -> _Need:
    return _written(word) + _spelled(word) if word.isascii() else _written(word)


def _may_have(slice_: Slice, needs: Iterable[_Need]) -> bool:
    return all(any(octets in slice_.columns[n].octets for n, octets in need) for need in needs)


def _places(slice_: Slice, needs: Sequence[_Need]) -> Iterator[int]:
    """Yield the places of a slice that have all that is needed, in order."""
    if len(needs) == 1:
        yield from _having(slice_, needs[0])
    elif _may_have(slice_, needs):
        rarest, *others = sorted(needs, key=lambda need: _times(slice_, need))
        for place in _having(slice_, rarest):
            if all(any(slice_.columns[n].has(place, part) for n, part in need) for need in others):
                yield place


def _times(slice_: Slice, need: _Need) -> int:
    return sum(slice_.columns[n].octets.count(octets) for n, octets in need)


def _having(slice_: Slice, need: _Need) -> Iterator[int]:
    found = (slice_.columns[n].find(octets) for n, octets in need)
    return next(found) if len(need) == 1 else iter(sorted(set().union(*found)))
