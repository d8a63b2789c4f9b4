"""Search on the keypad: 茉莉花, by its initials MLH, is 654; the best three are offered."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.tones import Tone
from ivr.call import Call
from ivr.digits import typed_digits
from ivr.hearing import Hearing
from ivr.lists import Songs
from ivr.place import Place, Way, said

OFFERED = 3  # songs
ASKED = 3  # times in all, then the menu
LONGEST_INITIALS = 20  # a title's length


@dataclass(frozen=True, slots=True)
class Search:
    """Initials are typed. `nothing_found` is how often nothing had them."""

    nothing_found: int = 0

    async def visit(self, call: Call) -> Place | Way:
        """Ask for initials and list the tones that have them."""
        words = call.say("search_none") if self.nothing_found else ()
        typed = await typed_digits(call, (*words, *call.say("ask_initials")), _too_many)
        if isinstance(typed, Tone):
            return Hearing(typed)
        if typed == "*":
            return Way.MENU
        found = call.snapshot.by_keypad(typed or "", call.heard_at, OFFERED)
        if found:
            return Songs(call.say("search_intro", n=len(found)), "search_item", found)
        if self.nothing_found + 1 == ASKED:
            return await said(call, "search_none")
        return Search(self.nothing_found + 1)


def _too_many(digits: str) -> bool:
    return len(digits) >= LONGEST_INITIALS
