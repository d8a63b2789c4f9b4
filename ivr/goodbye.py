"""The way out of a call."""

from __future__ import annotations

from dataclasses import dataclass

from ivr.call import Call
from ivr.place import Place, Way


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The last words; a caller who presses a key is back at the menu."""

    async def visit(self, call: Call) -> Place | Way:
        """Answer if that has not been done, and say goodbye."""
        await call.ear.answer()
        press = await call.hear("goodbye")
        call.ear.type_again(press)
        return Way.OUT if press is None else Way.MENU
