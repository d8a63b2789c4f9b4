"""how titles and artists are spelled with Latin letters: in full and by initials

A search may begin at any character: 茉莉花 is found by `molihua`, `lihua`, `mlh`, `lh`. A character
with several readings is found by each (pypinyin knows which ones a word allows).

On a telephone a title is typed by the initials of its characters and the letters of its other
words: 茉莉花 is 654 (MLH), `Yesterday Once More` begins with 93783.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, product
from typing import Any

from pypinyin import Style, pinyin

_NO_UMLAUT = re.compile(r"(?<=^[nl])v")
_KEYS = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_MOST_READINGS = 8
"""Of a whole title: 长 and 重 and 乐 in one would have more, and nobody would try them all."""


def spelling(title: str, *texts: str) -> str:
    """Return all spellings of the texts, lower case, a space before each and after the last.

    Those of the title on a telephone's keys are among them, `#` before each.
    """
    spelled = (one for text in (title, *texts) for one in _spellings(text))
    found = dict.fromkeys(chain(spelled, (f"#{keys}" for keys in _on_keys(title))))
    return f" {' '.join(found)} " if found else ""


def _on_keys(title: str) -> Iterator[str]:
    for chosen in _readings(title, errors=list):
        keys = "".join(part[0] for part in chosen).translate(_KEYS)
        if digits := "".join(filter("0123456789".__contains__, keys)):
            yield digits


def _readings(text: str, errors: Callable[[str], Any]) -> Iterator[tuple[str, ...]]:
    """Yield the ways to read a text, syllable by syllable; `errors` cuts what is not Chinese."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    readings = [
        _both_ways(found)
        for found in pinyin(folded, style=Style.NORMAL, heteronym=True, errors=errors)
        if found != [""]
    ]
    return islice(product(*readings), _MOST_READINGS)


def _spellings(text: str) -> Iterator[str]:
    for chosen in _readings(text, _not_chinese):
        initials = "".join(syllable[0] for syllable in chosen)
        for start in range(len(chosen)):
            yield "".join(chosen[start:])
            yield initials[start:]


def _both_ways(found: Sequence[str]) -> list[str]:
    """Return the readings, 绿 as `lv` and as `lu`: telephones have no ü."""
    return list(dict.fromkeys(way for one in found for way in (one, _NO_UMLAUT.sub("u", one))))


def _not_chinese(run: str) -> str:
    return "".join(character for character in run if character.isalnum())
