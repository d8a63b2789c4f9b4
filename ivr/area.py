"""The area code of a caller whose branch nobody knows."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.tones import Tone
from ivr.call import Call
from ivr.digits import typed_digits
from ivr.hearing import Hearing
from ivr.lists import song_list
from ivr.place import Place, Way

LONGEST_AREA_CODE = 4


@dataclass(frozen=True, slots=True)
class AreaCode:
    """The area code of a caller whose branch is unknown."""

    async def visit(self, call: Call) -> Place | Way:
        """Ask for it; without one the province's list serves."""
        typed = await typed_digits(
            call, call.say("ask_area_code"), lambda digits: self._is_whole(call, digits)
        )
        if isinstance(typed, Tone):
            return Hearing(typed)
        if typed == "*":
            return Way.MENU
        call.branch = call.snapshot.branch_of(None, typed)
        if call.branch is None:
            call.ear.type_again(await call.hear("area_code_unknown"))
        return song_list(call, call.branch or call.snapshot.province)

    def _is_whole(self, call: Call, digits: str) -> bool:
        known = call.snapshot.branch_of(None, digits) is not None
        return known or len(digits) >= LONGEST_AREA_CODE
