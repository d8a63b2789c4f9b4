"""Msisdn, ToneCode, Money: parse or refuse."""

from __future__ import annotations

import re
from typing import NewType

Msisdn = NewType("Msisdn", str)
"""A mainland mobile number: `86` and 11 digits."""

ToneCode = NewType("ToneCode", str)
"""What a caller dials for a tone: 3 to 8 digits, the first not 0."""

FUNCTION_CODE = "KT"
"""What stands for a tone's code where the ring-back function itself is ordered or cancelled."""


class NotAMobile(ValueError):
    """The text is no mainland mobile number: its owner may listen but cannot order."""


class BadToneCode(ValueError):
    """The text cannot be a tone's code."""


_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015.()]")
_MOBILE = re.compile(r"(?:\+86|0086|86|0)?(1[3-9][0-9]{9})")
_MOBILE_AT_THE_END = re.compile(r"1[3-9][0-9]{9}$")
_NO_DIGIT = re.compile(r"[^0-9]")
# 12593 and 17951 chose an IP carrier for a call; billing systems still hand such numbers over.
_IP_PREFIX = re.compile(r"^(?:\+86|0086|86)?(?:12593|17951)(?=[0-9+])")
_FULL_WIDTH = {ord("０") + n: str(n) for n in range(10)} | {ord("＋"): "+", ord("－"): "-"}
LONGEST_CODE = 8  # digits
TONE_CODE = re.compile(rf"[1-9][0-9]{{2,{LONGEST_CODE - 1}}}")


def parse_msisdn(text: str) -> Msisdn:
    """Return the number in any of its usual forms as `86` and 11 digits.

    Accepted: `+86`, `86`, `0086` or `0` before the 11 digits, a `tel:` or `sip:` form with
    parameters, an IP carrier's prefix, spaces, dashes, full-width digits.
    IoT numbers (13 digits), landlines and foreign numbers are refused.

    Raises:
        NotAMobile: the text is anything else.
    """
    number = text.strip().translate(_FULL_WIDTH)
    scheme, colon, rest = number.partition(":")
    if colon and scheme.lower() in {"tel", "sip", "sips"}:
        number = rest
    number = number.split(";", 1)[0].split("@", 1)[0]
    number = _IP_PREFIX.sub("", _SEPARATORS.sub("", number))
    match = _MOBILE.fullmatch(number)
    if match is None:
        raise NotAMobile(f"{text!r} is not a mainland mobile number (11 digits from 13 to 19)")
    return Msisdn("86" + match[1])


def mask(number: str) -> str:
    """Return a number as logs and pages show it: `138****1234`, the country code left out.

    A number of fewer than 8 digits is masked whole; what follows a `sip:` or `@` never shows.
    """
    digits = _NO_DIGIT.sub("", number.split("@", 1)[0].split(";", 1)[0])
    mobile = _MOBILE_AT_THE_END.search(digits)
    if mobile is not None:
        digits = mobile[0]
    if len(digits) < 8:
        return "****" if digits else ""
    return f"{digits[:3]}****{digits[-4:]}"


def parse_tone_code(text: str) -> ToneCode:
    """Return the text as a tone's code: 3 to 8 digits, not beginning with 0.

    Raises:
        BadToneCode: the text is anything else.
    """
    code = text.strip().translate(_FULL_WIDTH)
    if TONE_CODE.fullmatch(code) is None:
        raise BadToneCode(f"{text!r} is not a tone code (3 to 8 digits, the first not 0)")
    return ToneCode(code)


# A totally anti-symmetric quasigroup of order 10 (H. M. Damm, 2004): every single wrong digit and
# every swap of neighbours changes the check digit.
_DAMM = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)


def damm_digit(digits: str) -> str:
    """Return the Damm check digit that belongs behind `digits`."""
    interim = 0
    for digit in digits:
        interim = _DAMM[interim][int(digit)]
    return str(interim)


def yuan(fen: int) -> str:
    """Return an amount of fen as a text shows it: `2元`, `2.5元`, `0.05元`."""
    return f"{bare_yuan(fen)}元"


def bare_yuan(fen: int) -> str:
    """Return an amount of fen in yuan, without the word: `2`, `2.5`, `0.05`."""
    whole, rest = divmod(fen, 100)
    return f"{whole}.{rest:02d}".rstrip("0") if rest else f"{whole}"
