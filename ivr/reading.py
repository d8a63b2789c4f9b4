"""reading.py: how numbers, codes, prices and dates are read out: a value in, prompt ids out.

A language's prompts.toml chooses one of the rule sets in `RULES`. A reader that cannot read its
value raises Unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

Clips = Mapping[str, str]
"""A language's prompts; a reader takes a whole clip (`yuan_3`) where the language has one."""
Reader = Callable[[object, Clips], tuple[str, ...]]

_WAN = 10_000
_THOUSAND = 1000
_MILLION = 1_000_000
_TWO_DIGITS = 10  # English says a half of a price or a year without its unit from here on
_LARGEST_NUMBER = _WAN * _WAN - 1


class Unreadable(ValueError):
    """A value that a reader cannot read out."""

    def __init__(self, value: object, why: str) -> None:
        """Name the value and what is wrong with it."""
        super().__init__(f"{value!r} {why}")


@dataclass(frozen=True, slots=True)
class Rules:
    """A set of readers and the prompts they cannot do without."""

    readers: Mapping[str, Reader]
    needs: frozenset[str]


def read_prompt(value: object, clips: Clips) -> tuple[str, ...]:
    """Read the prompt whose id the value is: `branch_yangzhou`."""
    if value not in clips:
        raise Unreadable(value, "is no prompt")
    return (str(value),)


def read_digits(value: object, _clips: Clips) -> tuple[str, ...]:
    """Read each decimal digit with one clip: 1029 -> d1 d0 d2 d9."""
    return tuple(f"d{digit}" for digit in _digits(value))


def read_price_digits(value: object, _clips: Clips) -> tuple[str, ...]:
    """Read integer fen as yuan and fen, digit by digit: 250 -> d2 d5 d0."""
    yuan, fen = divmod(_natural(value), 100)
    return tuple(f"d{digit}" for digit in f"{yuan}{fen:02}")


def read_date_digits(value: object, _clips: Clips) -> tuple[str, ...]:
    """Read a date as eight digits, year first."""
    return tuple(f"d{digit}" for digit in f"{_date(value):%Y%m%d}")


def read_code(value: object, _clips: Clips) -> tuple[str, ...]:
    """Read a code digit by digit, the last with falling voice: 1029 -> d1 d0 d2 d9_end."""
    digits = _digits(value)
    return (*(f"d{digit}" for digit in digits[:-1]), f"d{digits[-1]}_end")


def read_title_code(value: object, clips: Clips) -> tuple[str, ...]:
    """Read the code of a tone whose title nobody spoke: 编码 or code, then its digits."""
    return ("code", *read_code(value, clips))


def read_key(value: object, _clips: Clips) -> tuple[str, ...]:
    """Read the digit key that chooses something: 按3, press 3."""
    digits = _digits(value)
    if len(digits) != 1:
        raise Unreadable(value, "is not one digit key")
    return (f"key_{digits}",)


def read_number(value: object, _clips: Clips) -> tuple[str, ...]:
    """Read 0 to 99,999,999 as a bare number (二, 一百一十五, 一万零三)."""
    number = _natural(value)
    if number > _LARGEST_NUMBER:
        raise Unreadable(number, f"is more than can be read ({_LARGEST_NUMBER})")
    wan, rest = divmod(number, _WAN)
    if not wan:
        return _below_wan(rest)
    gap = ("n0",) if 0 < rest < _WAN // 10 else ()
    tail = _below_wan(rest, inside=True) if rest else ()
    return (*_two_is_liang(_below_wan(wan)), "wan", *gap, *tail)


def read_count(value: object, clips: Clips) -> tuple[str, ...]:
    """Read how many there are: as a number, but two is 两."""
    return _two_is_liang(read_number(value, clips))


def read_ordinal(value: object, clips: Clips) -> tuple[str, ...]:
    """Read a song's place in a list: 第三首."""
    whole = f"ordinal_{value}"
    if whole in clips:
        return (whole,)
    return ("ordinal", *read_number(value, clips), "ordinal_end")


def read_price(value: object, clips: Clips) -> tuple[str, ...]:
    """Read integer fen: 200 两元, 250 两元五角, 205 两元零五分, 5 五分, 0 零元."""
    yuan, rest = divmod(_natural(value), 100)
    jiao, fen = divmod(rest, 10)
    parts: list[str] = []
    if yuan or not rest:
        whole = f"yuan_{yuan}"
        parts += [whole] if whole in clips else [*read_count(yuan, clips), "yuan"]
    if jiao:
        parts.append(f"jiao_{jiao}")
    if fen:
        parts += ["n0", f"fen_{fen}"] if yuan and not jiao else [f"fen_{fen}"]
    return tuple(parts)


def read_date(value: object, clips: Clips) -> tuple[str, ...]:
    """Read a date: 二零二七年 三月 一日."""
    day = _date(value)
    whole = f"year_{day.year}"
    digits = tuple(f"n{digit}" for digit in f"{day.year:04}")
    year = (whole,) if whole in clips else (*digits, "year")
    return (*year, f"month_{day.month}", f"day_{day.day}")


def read_number_en(value: object, _clips: Clips) -> tuple[str, ...]:
    """Read 0 to 99,999,999 as English does: one hundred | fifteen, two | thousand | five."""
    number = _natural(value)
    if number > _LARGEST_NUMBER:
        raise Unreadable(number, f"is more than can be read ({_LARGEST_NUMBER})")
    parts: list[str] = []
    rest = number
    for size, word in ((_MILLION, "million"), (_THOUSAND, "thousand")):
        count, rest = divmod(rest, size)
        parts += [*_below_thousand_en(count), word] if count else []
    if rest or not number:
        parts += _below_thousand_en(rest)
    return tuple(parts)


def read_count_en(value: object, clips: Clips) -> tuple[str, ...]:
    """Read how many songs there are: three songs."""
    whole = f"count_{value}"
    return (whole,) if whole in clips else (*read_number_en(value, clips), "songs")


def read_ordinal_en(value: object, clips: Clips) -> tuple[str, ...]:
    """Read a song's place in a list: song three."""
    whole = f"ordinal_{value}"
    return (whole,) if whole in clips else ("ordinal", *read_number_en(value, clips))


def read_price_en(value: object, clips: Clips) -> tuple[str, ...]:
    """Read integer fen: 200 two yuan, 250 two yuan fifty, 205 two yuan five fen, 50 fifty fen."""
    yuan, fen = divmod(_natural(value), 100)
    if f"price_{value}" in clips:
        return (f"price_{value}",)
    parts: list[str] = []
    if yuan or not fen:
        whole = f"yuan_{yuan}"
        parts += [whole] if whole in clips else [*read_number_en(yuan, clips), "yuan"]
    if fen and yuan and fen >= _TWO_DIGITS:
        parts.append(f"n{fen}")
    elif fen:
        parts += [f"fen_{fen}"] if f"fen_{fen}" in clips else [f"n{fen}", "fen"]
    return tuple(parts)


def read_date_en(value: object, clips: Clips) -> tuple[str, ...]:
    """Read a date: June | thirtieth | twenty twenty-eight."""
    day = _date(value)
    whole, (century, year) = f"year_{day.year}", divmod(day.year, 100)
    if whole in clips:
        spoken: tuple[str, ...] = (whole,)
    elif year >= _TWO_DIGITS and century >= _TWO_DIGITS:
        spoken = (f"n{century}", f"n{year}")
    else:
        spoken = read_number_en(day.year, clips)
    return (f"month_{day.month}", f"day_{day.day}", *spoken)


def _below_thousand_en(number: int) -> tuple[str, ...]:
    hundreds, rest = divmod(number, 100)
    spoken = (f"h{hundreds}",) if hundreds else ()
    return (*spoken, f"n{rest}") if rest or not hundreds else spoken


def _below_wan(number: int, *, inside: bool = False) -> tuple[str, ...]:
    """Read 0 to 9999; `inside` a larger number ten to nineteen are 一十 to 一十九."""
    thousands, hundreds, rest = number // 1000, number // 100 % 10, number % 100
    parts = [f"k{thousands}"] if thousands else []
    if hundreds:
        parts.append(f"h{hundreds}")
    elif thousands and rest:
        parts.append("n0")
    if rest and hundreds and rest < 10:
        parts.append("n0")
    if rest or not number:
        parts.append(f"n{rest}_in" if (inside or parts) and rest in range(10, 20) else f"n{rest}")
    return tuple(parts)


def _two_is_liang(parts: tuple[str, ...]) -> tuple[str, ...]:
    return ("liang",) if parts == ("n2",) else parts


def _natural(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise Unreadable(value, "is not a whole number from 0 up")
    return value


def _digits(value: object) -> str:
    digits = str(value)
    if not (digits.isascii() and digits.isdigit()):
        raise Unreadable(value, "is not made of decimal digits")
    return digits


def _date(value: object) -> date:
    if not isinstance(value, date):
        raise Unreadable(value, "is not a date")
    return value


_DIGITS = frozenset(f"d{digit}" for digit in range(10))

RULES: Mapping[str, Rules] = {
    "zh": Rules(
        readers={
            "title": read_title_code,
            "digits": read_code,
            "number": read_number,
            "count": read_count,
            "ordinal": read_ordinal,
            "key": read_key,
            "price": read_price,
            "date": read_date,
            "prompt": read_prompt,
        },
        needs=_DIGITS
        | {f"d{digit}_end" for digit in range(10)}
        | {f"key_{digit}" for digit in range(10)}
        | {f"n{number}" for number in range(100)}
        | {f"n{number}_in" for number in range(10, 20)}
        | {f"{unit}{count}" for unit in ("h", "k", "jiao_", "fen_") for count in range(1, 10)}
        | {f"month_{month}" for month in range(1, 13)}
        | {f"day_{day}" for day in range(1, 32)}
        | {"code", "wan", "liang", "yuan", "year", "ordinal", "ordinal_end"},
    ),
    "en": Rules(
        readers={
            "title": read_title_code,
            "digits": read_code,
            "number": read_number_en,
            "count": read_count_en,
            "ordinal": read_ordinal_en,
            "key": read_key,
            "price": read_price_en,
            "date": read_date_en,
            "prompt": read_prompt,
        },
        needs=_DIGITS
        | {f"d{digit}_end" for digit in range(10)}
        | {f"key_{digit}" for digit in range(10)}
        | {f"n{number}" for number in range(100)}
        | {f"h{count}" for count in range(1, 10)}
        | {f"month_{month}" for month in range(1, 13)}
        | {f"day_{day}" for day in range(1, 32)}
        | {"code", "count_1", "songs", "ordinal", "thousand", "million", "yuan", "fen"},
    ),
    "digits": Rules(
        readers={
            "title": read_digits,
            "digits": read_digits,
            "number": read_digits,
            "count": read_digits,
            "ordinal": read_digits,
            "key": read_digits,
            "price": read_price_digits,
            "date": read_date_digits,
            "prompt": read_prompt,
        },
        needs=_DIGITS,
    ),
}
"""What a language may choose. The reader `title` gets the code of a tone without a spoken title."""
