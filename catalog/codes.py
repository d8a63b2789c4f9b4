"""Codes of tones: which digits are safe to misdial, and which code is given out next."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from itertools import islice

from catalog.values import LONGEST_CODE, ToneCode, damm_digit

SHORTEST = 4
"""Digits of the codes that we give out first: 900 of them."""
QUARANTINE = timedelta(days=90)
"""How long a retired tone's code goes to no other song: printed cards circulate."""


def is_checked(code: str) -> bool:
    """Say whether the code ends in its own check digit, as every code that we gave out does."""
    return damm_digit(code) == "0"


def codes(digits: int = SHORTEST) -> Iterator[ToneCode]:
    """Yield every code of so many digits, check digit included: 1007, 1010, 1029, ..."""
    for stem in range(10 ** (digits - 2), 10 ** (digits - 1)):
        yield ToneCode(f"{stem}{damm_digit(str(stem))}")


def codes_to_give(
    taken: Collection[str], quarantined: Collection[str], worn: Collection[str] = ()
) -> Iterator[ToneCode]:
    """Yield the codes that may be given out, the next one first.

    Never one that is `taken` or `quarantined`, nor one that a wrong digit or two swapped ones make
    of these: codes that an operator brought with him need not have a check digit. `worn` ones,
    whose quarantine is over, come after the fresh ones of their length: somebody may own that song.
    """
    blocked = {*taken, *quarantined}
    near = {slip for code in blocked if not is_checked(code) for slip in slips(code)}
    for digits in range(SHORTEST, LONGEST_CODE + 1):
        usable = [code for code in codes(digits) if code not in blocked and code not in near]
        yield from (code for code in usable if code not in worn)
        yield from (code for code in usable if code in worn)


def slips(code: str) -> Iterator[str]:
    """Yield what one wrong digit, or two swapped neighbours, make of a code."""
    for place, digit in enumerate(code):
        before, after = code[:place], code[place + 1 :]
        yield from (before + other + after for other in "0123456789" if other != digit)
        if after and after[0] != digit:
            yield before + after[0] + digit + after[1:]


def next_codes(
    count: int, taken: Collection[str], quarantined: Collection[str], worn: Collection[str] = ()
) -> tuple[ToneCode, ...]:
    """Return the next `count` codes in the order in which they will be given out."""
    return tuple(islice(codes_to_give(taken, quarantined, worn), count))
