"""mandarin.py: how Mandarin is written for the voice: sentences, and the phonemes of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_SENTENCE = re.compile(r"[^。！？]+[。！？]?")
_LONG_NUMBER = re.compile(r"[0-9]{3,}")
_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
_RESPELLED = (
    (re.compile(r"(?<![第十百千零幺])一(?=[元角分首千])"), "亿"),
    (re.compile(r"(?<![第十百千零幺])一(?=[遍万])"), "宜"),
    (re.compile(r"(?<!十)一(?=月)"), "衣"),
    (re.compile(r"(?<=[舞行])曲"), "取"),
    (re.compile(r"(?<=两)只"), "支"),
)
"""What misaki 0.9.4 reads in the wrong tone, and a character of the right sound."""


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, numbers in characters and what would be misread respelled."""
    spoken = _LONG_NUMBER.sub(lambda digits: digits[0].replace("1", "幺"), text)
    spoken = spoken.translate(_DIGITS)
    for misread, respelled in _RESPELLED:
        spoken = misread.sub(respelled, spoken)
    for sentence in _SENTENCE.findall(spoken):
        if any(sound.isalnum() for sound in sentence):
            yield sentence.strip()


def open_phonemes() -> Callable[[str], str]:
    """Return what turns a sentence into phonemes: misaki, which comes with the `speech` extra."""
    from misaki.zh import ZHG2P  # noqa: PLC0415  an optional extra

    speak = ZHG2P()
    return lambda sentence: str(speak(sentence)[0])
