"""MO text -> intent: a total, pure function.

Width and case are folded (Unicode NFKC). Spaces and punctuation separate groups and are never
deleted between digits: `10 29` is no code. What is not understood asks for help; what holds a word
of refusal never opens a question and never confirms one, nor has anybody called.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from catalog.values import FUNCTION_CODE, LONGEST_CODE, TONE_CODE

Kind = Literal[
    "ask", "confirm", "decline", "undo", "my_tones", "tone", "search", "cancel", "list",
    "cancel_all", "restore", "select", "refuse", "resume", "one_code", "help", "listen", "function",
    "branch_songs", "province_songs", "how_to_cancel",
]  # fmt: skip
"""What a subscriber wants; `how_to_cancel`: he only speaks of that."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A wish. `codes` are tone codes as written, or KT for the ring-back function.

    `numbers` may select from a list shown before: `1` is a confirm and `2` a decline, with the
    number, as a list newer than the question wins. Of a directory it is the page. `words` are
    searched for, or what a cancellation names by its title.
    """

    kind: Kind
    codes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    words: str = ""


CANCELLING: Final = frozenset(
    {"decline", "undo", "cancel", "list", "cancel_all", "restore", "select", "refuse"}
)
"""What always works, however many messages somebody sends."""

_SPELLINGS: Final[Mapping[Kind, str]] = {
    "ask": "DG BUY ORDER 订购 訂購 定购 订 我要订购 我要订",
    "confirm": "Y YES 是 是的 确认 確認 确认订购",
    "decline": "N NO 否 放弃 放棄 不 不是 不用 不用了 不要了 不订 不订了 不订购 不确认 别订",
    "undo": "CH UNDO 撤回 撤销",
    "my_tones": "CX 查询 查詢 查",
    "cancel": "TD QX CANCEL 退订 退訂 退 取消 注销 关闭",
    "restore": "HF 恢复 恢復",
    "refuse": "R T TDGG STOP 拒收 拒绝 不要 别发",
    "resume": "TJ 推荐 推薦",
    "help": "BZ HELP 帮助 幫助",
    "listen": "ST 试听 試聽 我要试听",
    "function": "KT 开通 開通 我要开通 开通彩铃 开通彩铃功能 我要开通彩铃 彩铃功能",
    "branch_songs": "ML 目录 目錄",
    "province_songs": "PROV 省 全省 省目录 全省目录 目录省",
}
_KEYWORDS: Final = {word: kind for kind, words in _SPELLINGS.items() for word in words.split()}
_REPLYING: Final = frozenset(
    {"回", "回复", "请", "请回", "请回复", "发送", "谢谢", "REPLY", "TEXT", "PLEASE", "THANKS"}
)
"""Words that change nothing: people send `回Y1029` and `回0` as they read it."""
_FILLERS: Final = _REPLYING | {"我", "我要", "要", "编码", "歌曲", "彩铃"}
"""Those and the words that ask for what stands beside them."""
_GLUED: Final = ("查询", "查詢", "CX")
"""Keywords that what they ask for may follow without a space."""
_FUNCTION_APART: Final = re.compile(
    r"(Y|N|TD|QX|CH|是|确认|不|不要|放弃|取消|退订|关闭|撤回)(KT|开通|彩铃功能|开通彩铃功能)"
)
"""Answers and cancellations that people write in one word with what they are about."""
# Possessive, or 我要 and 我, 要 would be tried in every mixture.
_POLITE: Final = (
    "(?>请|麻烦|帮我|给我|我要|我想|我|要|把|这首歌?|歌曲|彩铃|编码|订购|的|了|吧|一下|谢谢)"
)
_ENDING: Final = "(?:退订|退訂|退掉|取消|注销)"
_CANCEL_WORD: Final = re.compile(
    f"{_POLITE}*+(全部|所有)?{_POLITE}*+(?:{_ENDING}|TD|QX|CANCEL)(全部|所有)?{_POLITE}*+"
)
"""A cancellation in one word, with what politeness adds to it."""
_AROUND_CANCELLING: Final = re.compile(f"{_POLITE}++")
_CANCEL_TITLE: Final = re.compile(rf"{_POLITE}*+(?:{_ENDING}|(?:TD|QX|CANCEL)\b)(.+)")
_NO_OFFERS: Final = re.compile(r"\S{0,2}(?:推荐|广告)\S{0,2}")
_CANCELLING: Final = re.compile(rf"{_ENDING}|\b(?:TD|QX)\b")
_NOT_CANCELLING: Final = re.compile(r"[不别]\S{0,2}(?:退|取消|注销)")
_REFUSING: Final = re.compile(r"拒收|不要|别再?发|不需要|勿扰|骚扰|\b(?:TDGG|STOP)\b")
_OFFERS: Final = re.compile(r"发|推荐|广告|短信|拒收|拒绝|勿扰|骚扰|\b(?:R|TDGG|STOP)\b")
"""What a refusal is about that names a code without meaning that song, as 不要1029 does."""
_ALL: Final = re.compile(r"全部|所有|\bALL\b")
_GROUP: Final = re.compile(r"[0-9]+|[A-Z]+|[^\W\d_A-Z]+")
_OTHER_DIGIT: Final = re.compile(r"(?![0-9])\d")
"""Arabic, Thai ones: left out, `Y` and a code in them would be a bare Y."""
_LONGEST_WORDS: Final = 40
"""A title and its artist; more is not looked for."""
_LONGEST_TEXT: Final = 1000
"""Ten times what a person writes: more is no wish, whatever its words say."""
_NUMBER: Final = re.compile(r"[1-9][0-9]?")
_ALONE: Final[Mapping[str, Intent]] = {
    "0": Intent("undo"),
    "0000": Intent("list"),
    "00000": Intent("cancel_all"),
    "1": Intent("confirm", numbers=(1,)),
    "2": Intent("decline", numbers=(2,)),
}


def parse(text: str) -> Intent:
    """Return what a message means; never raises."""
    if len(text) > _LONGEST_TEXT:
        return Intent("help")
    groups = _groups(text)
    digits = list(dict.fromkeys(group for group in groups if group.isdecimal()))
    words = [word for group in groups if not group.isdecimal() for word in _apart(group)]
    if not words:
        return _digits_alone(digits)
    return _search(groups, digits) or _worded(groups, words, digits)


def _apart(word: str) -> tuple[str, ...]:
    answer = _FUNCTION_APART.fullmatch(word)
    return (word,) if answer is None else answer.groups()


def _digits_alone(digits: list[str]) -> Intent:
    if len(digits) == 1 and digits[0] in _ALONE:
        return _ALONE[digits[0]]
    numbers, codes = _numbers(digits), _codes(digits)
    if numbers and len(numbers) == len(digits):
        return Intent("select", numbers=numbers)
    if not codes:
        return Intent("help")
    return Intent("ask" if len(digits) == 1 else "one_code", codes)


def _search(groups: list[str], digits: list[str]) -> Intent | None:
    """Return the look-up that a message beginning with CX or 查询 is."""
    first = next((word for word in _GLUED if groups[0].startswith(word)), groups[0])
    if _KEYWORDS.get(first) != "my_tones":
        return None
    wanted = [word for word in (groups[0].removeprefix(first), *groups[1:]) if word]
    codes = _codes(digits)
    if not wanted:
        return Intent("my_tones")
    if not codes or not set(wanted) <= set(codes):
        return Intent("search", words=" ".join(wanted)[:_LONGEST_WORDS].rstrip())
    return Intent("tone" if len(codes) == 1 else "one_code", codes)


def _worded(groups: list[str], words: list[str], digits: list[str]) -> Intent:
    said = " ".join(words)
    kinds = {_KEYWORDS[word] for word in words if word in _KEYWORDS}
    if kinds == {"ask", "confirm"}:
        kinds = {"confirm"}
    if all(word in _KEYWORDS or word in _FILLERS or _ALL.fullmatch(word) for word in words):
        if "function" in kinds:
            return _function(kinds - {"function", "ask"}, digits)
        if len(kinds) == 1 or kinds == {"branch_songs", "province_songs"}:
            return _keyword(max(kinds), said, digits)
        if not kinds and digits and not _ALL.search(said):
            replied = _REPLYING.issuperset(words) and not _codes(digits)
            return _digits_alone(digits) if replied else _keyword("ask", said, digits)
    return _cancelled(groups, words, digits) or _refused(said, digits)


def _function(kinds: set[Kind], digits: list[str]) -> Intent:
    """Return what is wanted with the ring-back function: the question of it if nothing else is."""
    if not kinds:
        return Intent("function")
    if kinds == {"cancel"}:
        return Intent("cancel", (FUNCTION_CODE, *_codes(digits)))
    if len(kinds) > 1 or digits:
        return Intent("help")
    kind = kinds.pop()
    if kind in ("confirm", "decline", "undo"):
        return Intent(kind, (FUNCTION_CODE,))
    return Intent("decline", (FUNCTION_CODE,)) if kind == "refuse" else Intent("help")


def _keyword(kind: Kind, said: str, digits: list[str]) -> Intent:
    """Return the intent of a keyword with the codes that stand beside it."""
    codes = _codes(digits)
    if kind == "refuse" and codes and said == "T":
        kind = "cancel"  # how other services cancel one
    if kind == "refuse" and codes and not _OFFERS.search(said):
        kind = "decline"
    if kind == "cancel":
        return _cancel(said, digits, codes)
    if kind in ("ask", "listen"):
        return Intent(kind if codes and len(digits) == 1 else "one_code", codes)
    if kind in ("branch_songs", "province_songs"):
        pages = _numbers(digits) or (1,)
        return Intent(kind, numbers=pages) if len(digits) < 2 and not codes else Intent("help")
    if kind == "undo" and digits == ["0"]:
        return Intent(kind)
    if kind in ("confirm", "decline", "undo"):
        # A group that is no code names no question: it must not pass for a bare answer.
        names_one = len(digits) < 2 and not _is_overlong(digits)
        return Intent(kind, tuple(digits)) if names_one else Intent("one_code", codes)
    return Intent(kind, codes if kind == "refuse" else ())


def _says_cancel(words: list[str]) -> bool:
    """Say whether these words do nothing but cancel."""
    said = [word for word in words if _CANCEL_WORD.fullmatch(word)]
    return bool(said) and all(
        word in said or word in _FILLERS or _AROUND_CANCELLING.fullmatch(word) for word in words
    )


def _refused(said: str, digits: list[str]) -> Intent:
    return _keyword("refuse", said, digits) if _REFUSING.search(said) else Intent("help")


def _cancelled(groups: list[str], words: list[str], digits: list[str]) -> Intent | None:
    """Return what is cancelled, or the list if cancelling is only spoken of; None: it is not."""
    said = " ".join(words)
    if _says_cancel(words):
        return _keyword("cancel", said, digits)
    titled = _CANCEL_TITLE.fullmatch(" ".join(groups))
    if titled is not None:
        return _cancel_titled(titled[1].strip(), digits)
    if _CANCELLING.search(said) and not _NOT_CANCELLING.search(said):
        # A question, a story, a message passed on: it is shown how to cancel, and nothing is.
        return Intent("how_to_cancel")
    return None


def _cancel(said: str, digits: list[str], codes: tuple[str, ...]) -> Intent:
    if _ALL.search(said) or "00000" in digits:
        return Intent("cancel_all")
    if "0000" in digits:
        return Intent("list")
    numbers = _numbers(digits)
    if not codes and _is_overlong(digits):
        return Intent("list")
    # A group that is neither names no tone of his: it must not pass for a bare TD.
    return Intent("cancel", codes or (() if numbers else tuple(digits)), () if codes else numbers)


def _cancel_titled(words: str, digits: list[str]) -> Intent:
    if _NO_OFFERS.fullmatch(words):
        return Intent("refuse")
    return Intent("cancel", _codes(digits), words=words)


def folded(text: str) -> str:
    """Return a text as its groups are compared: in one width and case, nothing between them."""
    return "".join(_groups(text))


def _groups(text: str) -> list[str]:
    usual = _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    found: list[str] = _GROUP.findall(unicodedata.normalize("NFKC", usual).upper())
    return found


def _codes(digits: Iterable[str]) -> tuple[str, ...]:
    return tuple(group for group in digits if TONE_CODE.fullmatch(group))


def _numbers(digits: Iterable[str]) -> tuple[int, ...]:
    return tuple(int(group) for group in digits if _NUMBER.fullmatch(group))


def _is_overlong(digits: Iterable[str]) -> bool:
    """Say whether a group is longer than any code: a telephone's number, or worse."""
    return any(len(group) > LONGEST_CODE for group in digits)
