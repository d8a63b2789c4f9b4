"""A rehearsal: the operator's staff hear the line as it will sound on another day.

`**` at the menu from a number of `[line] staff`, then the PIN, then the day. Nothing is ordered,
nobody is texted, and no hearing counts.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from catalog.tones import Tone
from ivr.call import Call
from ivr.digits import typed_digits
from ivr.keypad import CODE_GAP_MS, Press
from ivr.place import Place, Way, said

PINS_TRIED = 3  # in one call
DATES_ASKED = 3  # times in all, then the menu
LONGEST_PIN = 12
DATE_DIGITS = 4
LEAP_YEARS_APART = 8  # at most: 2096, 2104


@dataclass(frozen=True, slots=True)
class Announcement:
    """The rehearsal's beginning: everybody who hears it knows that it is one."""

    then: Place | Way

    async def visit(self, call: Call) -> Place | Way:
        """Say whose day's line it is."""
        day = call.heard_at.astimezone(ZoneInfo(call.line.settings.timezone)).date()
        call.ear.type_again(await call.hear("rehearsal", at=day))
        return self.then


async def staff_door(call: Call, press: Press) -> Place | None:
    """Return the way to a rehearsal behind `**`, if this caller has one.

    What else is pressed after the first `*` is left for the menu.
    """
    if press != "*" or not may_rehearse(call):
        return None
    second = await call.ear.wait(CODE_GAP_MS)
    if second == "*":
        return PinEntry()
    call.ear.type_again(second)
    return None


def may_rehearse(call: Call) -> bool:
    """Say whether the caller may still prove that he is one of the staff."""
    line = call.line
    is_staff = call.caller.msisdn is not None and call.caller.msisdn in line.staff
    return is_staff and bool(line.settings.rehearsal_pin) and call.pins_wrong < PINS_TRIED


@dataclass(frozen=True, slots=True)
class PinEntry:
    """The PIN is typed; `is_again`: the one before was wrong."""

    is_again: bool = False

    async def visit(self, call: Call) -> Place | Way:
        """Compare what is typed, three times a call."""
        words = call.say("pin_wrong") if self.is_again else ()
        with call.ear.secretly():
            typed = await typed_digits(
                call, (*words, *call.say("ask_pin")), lambda digits: len(digits) >= LONGEST_PIN
            )
        if not typed or typed == "*" or isinstance(typed, Tone):
            return Way.MENU
        if hmac.compare_digest(typed.encode(), call.line.settings.rehearsal_pin.encode()):
            return DateEntry()
        call.pins_wrong += 1
        call.line.log.warning(
            "rehearsal_pin_wrong", call_id=call.call_id, msisdn=call.masked, tries=call.pins_wrong
        )
        return PinEntry(is_again=True) if may_rehearse(call) else await said(call, "pin_wrong")


@dataclass(frozen=True, slots=True)
class DateEntry:
    """The day is typed, month and day; `wrong` were so many before."""

    wrong: int = 0

    async def visit(self, call: Call) -> Place | Way:
        """Go on with the line as it will sound when that day begins."""
        words = call.say("date_wrong") if self.wrong else ()
        typed = await typed_digits(
            call,
            (*words, *call.say("ask_rehearsal_date")),
            lambda digits: len(digits) == DATE_DIGITS,
        )
        if typed == "*" or isinstance(typed, Tone):
            return Way.MENU
        zone = ZoneInfo(call.line.settings.timezone)
        day = next_day(typed or "", call.line.clock().astimezone(zone).date())
        if day is not None:
            call.rehearse(datetime.combine(day, time(), zone))
            return Announcement(Way.START)
        if self.wrong + 1 == DATES_ASKED:
            return await said(call, "date_wrong")
        return DateEntry(self.wrong + 1)


def next_day(digits: str, today: date) -> date | None:
    """Return the next day that is called MMDD, today itself too; None: there is no such day."""
    if len(digits) != DATE_DIGITS:
        return None
    month, day = int(digits[:2]), int(digits[2:])
    for year in range(today.year, today.year + LEAP_YEARS_APART + 1):
        try:
            found = date(year, month, day)
        except ValueError:
            continue
        if found >= today:
            return found
    return None
