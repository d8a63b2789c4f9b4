"""Which published tones some words mean, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from catalog.shelf import Slice
from catalog.stock import SEPARATOR, SPELLED, TITLE_MARK, WRITTEN, Stock, code_of, fold

_Part: TypeAlias = tuple[int, bytes]
"""Octets, and the column that has them somewhere."""
_Need: TypeAlias = tuple[_Part, ...]
"""Parts of which a tone has at least one."""
_Needs: TypeAlias = tuple[_Need, ...]


def search(stock: Stock, words: str, most_looks: int | None = None) -> Iterator[str]:
    """Yield the codes of the tones whose code, title or artist has every word, the likeliest first.

    First those of exactly this title, then those whose titles begin with the first word, then all
    others that are written so. A word of Latin letters may also be pinyin, in full or by initials,
    from any character on; those come last. Within a rank codes are in order. Each is looked for
    when it is asked for: who takes ten pays for ten. After `most_looks` at tones that have but some
    of the words there are no more: many short words may be in all tones, and together in none.
    """
    wanted = fold(words).split()
    seen: set[int] = set()
    looks = 0
    for of_all, ranks in _ranks(wanted) if wanted else ():
        slices = [slice_ for slice_ in stock.tones.slices if _may_have(slice_, of_all)]
        for needs in ranks:
            for slice_ in slices:
                for place in _places(slice_, needs):
                    if place is None:
                        looks += 1
                        if looks == most_looks:
                            return
                    elif (number := slice_.numbers[place]) not in seen:
                        seen.add(number)
                        yield code_of(number)


def _ranks(wanted: Sequence[str]) -> Iterator[tuple[_Needs, tuple[_Needs, ...]]]:
    """Yield what tones of some ranks need all of them, and what those of each rank need."""
    first, *others = wanted
    written = tuple(map(_written, wanted))
    title = _written(f"{TITLE_MARK}{' '.join(wanted)}{SEPARATOR}")
    begins = _written(f"{TITLE_MARK}{first}")
    yield written, ((title,), (begins, *written[1:]), written)
    if any(word.isascii() for word in wanted):  # no spelling has another
        anyhow = tuple(map(_anyhow, wanted))
        yield anyhow, ((_spelled(f"{first} "), *map(_anyhow, others)), anyhow)


def _written(text: str) -> _Need:
    return ((WRITTEN, text.encode(errors="surrogatepass")),)


def _spelled(text: str) -> _Need:
    return ((SPELLED, f" {text}".encode(errors="surrogatepass")),)


def _anyhow(word: str) -> _Need:
    return _written(word) + _spelled(word) if word.isascii() else _written(word)


def _may_have(slice_: Slice, needs: _Needs) -> bool:
    return all(any(octets in slice_.columns[n].octets for n, octets in need) for need in needs)


def _places(slice_: Slice, needs: _Needs) -> Iterator[int | None]:
    """Yield the places of a slice that have all that is needed, in order; None: a look in vain."""
    if len(needs) == 1:
        yield from _having(slice_, needs[0])
    elif _may_have(slice_, needs):
        # To count how often a word is there takes as long as to look for it: of two, not of ten.
        longest = sorted(needs, key=_length)[-2:]
        rarest = min(longest, key=lambda need: _times(slice_, need))
        others = [need for need in needs if need is not rarest]
        for place in _having(slice_, rarest):
            has_all = all(
                any(slice_.columns[n].has(place, part) for n, part in need) for need in others
            )
            yield place if has_all else None


def _length(need: _Need) -> int:
    return min(len(octets) for _, octets in need)


def _times(slice_: Slice, need: _Need) -> int:
    return sum(slice_.columns[n].octets.count(octets) for n, octets in need)


def _having(slice_: Slice, need: _Need) -> Iterator[int]:
    found = (slice_.columns[n].find(octets) for n, octets in need)
    return next(found) if len(need) == 1 else iter(sorted(set().union(*found)))
