"""Who calls and what was dialled, as Asterisk's environment tells it: text in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog.values import NotAMobile, parse_msisdn

_IOT = re.compile(r"(?:\+86|0086|86)?1[04][0-9]{11}")
# An area code (2 or 3 digits behind its 0, never beginning with 0 or 1) and a number, or the
# 7 or 8 digits of a number in the caller's own city.
_LANDLINE = re.compile(r"(?:(?:\+86|0086|86)?0?[2-9][0-9]{8,10}|[2-9][0-9]{6,7})")

_REHEARSAL = "rehearsal/"
_REHEARSAL_REQUEST = re.compile(rf"agi://[^/]*/{_REHEARSAL}(.*)", re.DOTALL)


class BadRehearsal(ValueError):
    """A call that asks for a rehearsal of no instant; it must not be taken for a real one."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. Without a mobile number (`msisdn` None) `kind` says why he cannot order.

    `kind` is `mobile`, `landline`, `iot` or `unknown`: the names of the refusals.
    """

    msisdn: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class Dialled:
    """What was dialled: `text` as it came, area code with its 0, the digits behind our number."""

    text: str
    area_code: str | None
    code: str


def read_caller(environment: Mapping[str, str]) -> Caller:
    """Return who calls: `agi_arg_1` on a call that we placed ourselves, else `agi_callerid`."""
    number = environment.get("agi_arg_1", "").strip() or environment.get("agi_callerid", "")
    try:
        return Caller(parse_msisdn(number), "mobile")
    except NotAMobile:
        digits = re.sub(r"[\s().-]", "", number)
    if _IOT.fullmatch(digits):
        return Caller(None, "iot")
    return Caller(None, "landline" if _LANDLINE.fullmatch(digits) else "unknown")


def read_dialled(extension: str, access_numbers: Sequence[str]) -> Dialled:
    """Return what was dialled: one of our numbers, `+86` or an area code before it, digits behind.

    An extension without any of our numbers is the number alone: the menu.
    """
    ours = "|".join(sorted(access_numbers, key=len, reverse=True))
    match = re.fullmatch(rf"(?:\+86|0086|86)?(0?[1-9][0-9]{{1,2}})?(?:{ours})([0-9]*)#?", extension)
    if match is None:
        return Dialled(extension, None, "")
    area_code = match[1] and "0" + match[1].removeprefix("0")
    return Dialled(extension, area_code, match[2])


def rehearsal_request(at: datetime) -> str:
    """Return what `AGI()` is given for the line as it will sound at an aware instant."""
    return f"agi://127.0.0.1/{_REHEARSAL}{at.isoformat()}"


def read_rehearsal(environment: Mapping[str, str]) -> datetime | None:
    """Return the instant whose line the call is to hear; None: it is a call like any other.

    It stands in `agi_request`, the address that the dialplan gave to AGI(): Asterisk sends that
    before anything of the caller's, and `ivr.agi` refuses an environment that has a name twice.

    Raises:
        BadRehearsal: what stands there is no instant with its offset.
    """
    match = _REHEARSAL_REQUEST.fullmatch(environment.get("agi_request", ""))
    if match is None:
        return None
    try:
        at = datetime.fromisoformat(match[1])
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        given = match[1][:40]
        raise BadRehearsal(f"{given!r} is no instant such as 2027-02-06T00:00+08:00")
    return at
