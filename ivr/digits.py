"""Digits that a caller types one by one: a code, an area code, initials, a PIN, a date."""

from __future__ import annotations

from collections.abc import Callable

from catalog.tones import Tone
from ivr.call import Call
from ivr.keypad import Press

SILENCE_MS = 4000


async def typed_digits(call: Call, sounds: tuple[str, ...], enough: Callable[[str], bool]) -> Press:
    """Return the digits typed until #, until they are `enough`, or until 4 s of silence.

    `*` means back, a tone that its code was typed at once, as a key of the place before.
    """
    typed = ""
    press = await call.ear.hear(*sounds)
    while True:
        if press is None:
            press = await call.ear.wait(SILENCE_MS)
        if press is None or press == "#":
            return typed
        if press == "*" or isinstance(press, Tone):
            return press
        typed += press
        if enough(typed):
            call.ear.may_end_late()
            return typed
        press = None
