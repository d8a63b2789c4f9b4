"""A small catalogue to test with: tones of the printed codes, and a snapshot over them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import date
from typing import TypeVar
from zoneinfo import ZoneInfo

from catalog.branches import BranchTable
from catalog.directories import Edition
from catalog.snapshot import Contents, Snapshot
from catalog.tones import Prices, Tone

SHANGHAI = ZoneInfo("Asia/Shanghai")
CODES = ("1007", "1010", "1029", "1032", "1041", "1055", "1064", "1078", "1086", "1093", "1108",
         "1119", "1120")  # fmt: skip
BRANCHES = BranchTable({"1390525": "yangzhou"}, {"0514": "yangzhou", "025": "nanjing"}, 7)


T = TypeVar("T")


def made(steps: Generator[None, None, T]) -> T:
    """Return what comes of work that is done step by step."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def a_tone(
    code: str = "1029",
    title: str = "茉莉花",
    *,
    style: str = "民歌",
    prices: Prices = Prices(200, 150, 100),  # noqa: B008  frozen
    licence_until: date | None = None,
    state: str = "published",
    duration_ms: int = 40_000,
) -> Tone:
    return Tone(
        code=code,
        title=title,
        artist="古筝",
        sp="示例曲库",
        style=style,
        prices=prices,
        licence_until=licence_until,
        state=state,
        sound=f"tones/{code}-a",
        duration_ms=duration_ms,
        title_sound=None,
    )


def some_tones() -> tuple[Tone, ...]:
    return tuple(a_tone(code, "茉莉花" if code == "1029" else f"曲{code}") for code in CODES)


def a_snapshot(
    tones: Iterable[Tone] | None = None, editions: Iterable[Edition] = (), version: int = 1
) -> Snapshot:
    held = tuple(some_tones() if tones is None else tones)
    return Snapshot(Contents(version, held, tuple(editions)), BRANCHES, SHANGHAI)
