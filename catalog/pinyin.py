"""how titles and artists are spelled with Latin letters: in full and by initials

A search may begin at any character: 茉莉花 is found by `molihua`, `lihua`, `mlh`, `lh`. A character
with several readings is found by each (pypinyin knows which ones a word allows).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice, product

from pypinyin import Style, pinyin

_NO_UMLAUT = re.compile(r"(?<=^[nl])v")
_MOST_READINGS = 8
"""Of a whole title: 长 and 重 and 乐 in one would have more, and nobody would try them all."""


def spelling(*texts: str) -> str:
    """Return all spellings of the texts, lower case, a space before each and after the last."""
    found = dict.fromkeys(spelled for text in texts for spelled in _spellings(text))
    return f" {' '.join(found)} " if found else ""


def _spellings(text: str) -> Iterator[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    readings = [
        _both_ways(found)
        for found in pinyin(folded, style=Style.NORMAL, heteronym=True, errors=_not_chinese)
        if found != [""]
    ]
    for chosen in islice(product(*readings), _MOST_READINGS):
        initials = "".join(syllable[0] for syllable in chosen)
        for start in range(len(chosen)):
            yield "".join(chosen[start:])
            yield initials[start:]


def _both_ways(found: Sequence[str]) -> list[str]:
    """Return the readings, 绿 as `lv` and as `lu`: telephones have no ü."""
    return list(dict.fromkeys(way for one in found for way in (one, _NO_UMLAUT.sub("u", one))))


def _not_chinese(run: str) -> str:
    return "".join(character for character in run if character.isalnum())
