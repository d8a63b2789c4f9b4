"""A tone's code that is typed, and what is said of one that nobody knows."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.tones import Tone
from catalog.values import LONGEST_CODE
from ivr.call import Call
from ivr.digits import typed_digits
from ivr.hearing import Hearing
from ivr.lists import song_list
from ivr.place import Place, Way

ASKED_AGAIN = 3  # times, then the list


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """A code is typed. `sounds` ask for it; `unknown` were the codes typed so far in vain."""

    sounds: tuple[str, ...]
    unknown: int = 0

    async def visit(self, call: Call) -> Place | Way:
        """Collect a code and go to its tone."""
        typed = await typed_digits(call, self.sounds, lambda digits: self._is_whole(call, digits))
        if isinstance(typed, Tone):
            return Hearing(typed)
        if typed == "*":
            return Way.MENU
        return code_place(call, typed or "", self.unknown)

    def _is_whole(self, call: Call, digits: str) -> bool:
        if len(digits) >= call.snapshot.longest_code:
            return True
        return call.snapshot.tone(digits) is not None and not call.snapshot.is_code_prefix(digits)


def code_place(call: Call, code: str, unknown: int = 0) -> Place:
    """Return the tone of a code, or where an unknown one is asked for again, three times."""
    tone = call.snapshot.tone(code)
    if tone is not None:
        return Hearing(tone)
    if unknown == ASKED_AGAIN:
        return CodesGivenUp()
    words = _why_unknown(call, code)
    return CodeEntry((*words, *call.say("ask_code_again")), unknown + 1)


def _why_unknown(call: Call, code: str) -> tuple[str, ...]:
    """Return the words about a code that is not in the catalogue: itself, and the nearest ones."""
    if not code:
        return call.say("silence")
    if len(code) > LONGEST_CODE:  # nobody wants to hear more of them read back
        return call.say("wrong_key")
    words = call.say("code_unknown", code=code)
    nearest = call.snapshot.nearest(code, call.heard_at)
    if nearest:
        words += call.say("code_nearest_intro")
    for other in nearest:
        words += call.say("code_nearest", code=other.code, tone=other)
    return words


@dataclass(frozen=True, slots=True)
class CodesGivenUp:
    """No code that was typed is known."""

    async def visit(self, call: Call) -> Place | Way:
        """Say so and go on with the list nearest to the caller."""
        call.ear.type_again(await call.hear("code_gave_up"))
        return song_list(call, call.branch or call.snapshot.province)
