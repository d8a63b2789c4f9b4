"""english.py: how English is written for the voice: sentences, and the phonemes of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace

_SENTENCE = re.compile(r"[^.!?]+[.!?]?")
_LONG_NUMBER = re.compile(r"[0-9]{3,}")
_NAMES = {
    "Changzhou": "ʧˌɑŋʤˈO",
    "Huai'an": "hwˌI ˈɑn",
    "Jiangsu": "ʤiˌɑŋ sˈu",
    "Lianyungang": "ljˌɛn jˌun ɡˈɑŋ",
    "Mo Li Hua": "mˌO lˌi hwˈɑ",
    "Nanjing": "nˌɑnʤˈɪŋ",
    "Nantong": "nˌɑn tˈʊŋ",
    "Pinyin": "pˌɪnjˈɪn",
    "Suqian": "sˌuʧiˈɛn",
    "Suzhou": "sˌu ʤˈO",
    "Taizhou": "tˌIʤˈO",
    "Wuxi": "wˌu ʃˈi",
    "Xuzhou": "ʃˌu ʤˈO",
    "Yancheng": "jˌɛnʧˈʌŋ",
    "Yangzhou": "jˌɑŋʤˈO",
    "Zhenjiang": "ʤˌʌnʤiˈɑŋ",
    "yuan": "jˌuˈɑn",
}
"""Chinese words, which espeak reads as if they were English, in the model's phonemes."""
_NAME = re.compile(rf"\b((?:{'|'.join(_NAMES)})\b[,.;:!?]?)")


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text; long numbers in them are digits one by one."""
    spoken = _LONG_NUMBER.sub(lambda digits: ", ".join(digits[0]), text)
    for sentence in _SENTENCE.findall(spoken):
        if any(sound.isalnum() for sound in sentence):
            yield sentence.strip()


def open_phonemes() -> Callable[[str], str]:
    """Return what turns a sentence into phonemes: espeak-ng, which the `speech` extra brings."""
    from misaki.espeak import EspeakFallback  # noqa: PLC0415  an optional extra

    speak = EspeakFallback(british=False)

    def phonemes(words: str) -> str:
        return str(speak(SimpleNamespace(text=words))[0])

    return lambda sentence: with_names(sentence, phonemes)


def with_names(sentence: str, phonemes: Callable[[str], str]) -> str:
    """Return a sentence in phonemes: Chinese names by our table, the rest by `phonemes`."""
    pieces = (piece.strip() for piece in _NAME.split(sentence))
    return " ".join(_piece(piece, phonemes) for piece in pieces if piece)


def _piece(piece: str, phonemes: Callable[[str], str]) -> str:
    name = piece.rstrip(",.;:!?")
    return _NAMES[name] + piece[len(name) :] if name in _NAMES else phonemes(piece)
