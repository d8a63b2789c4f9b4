"""The main menu."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from catalog.tones import Tone
from ivr.area import AreaCode
from ivr.call import Call
from ivr.codes import CodeEntry
from ivr.hearing import Hearing
from ivr.keypad import Press
from ivr.lists import song_list
from ivr.mine import MyTones
from ivr.place import Place, Way
from ivr.rehearsal import staff_door
from ivr.search import Search


@dataclass(frozen=True, slots=True)
class Menu:
    """The main menu. `opening` is the sentence before it."""

    opening: str = "back_to_menu"

    async def visit(self, call: Call) -> Place | Way:
        """Say the menu, once more after silence, then go on with the province's songs."""
        call.ear.may_begin_code("35" if call.branch else "235")
        words = self._words(call)
        sounds = (*call.say(self.opening), *words)
        silences = 0
        while silences < 2:
            press = await call.ask(*sounds)
            place = self._place(call, press) or await staff_door(call, press)
            if place is not None:
                return place
            silences += press is None
            call.ear.type_again(await self._act(call, press))
            sounds = words
        return song_list(call, call.snapshot.province)

    def _words(self, call: Call) -> tuple[str, ...]:
        if call.branch is None:
            return call.say("menu_no_branch")
        return call.say("menu", branch=f"branch_{call.branch}")

    def _place(self, call: Call, press: Press) -> Place | None:
        if isinstance(press, Tone):
            return Hearing(press)
        places: dict[Press, Callable[[], Place]] = {
            "1": lambda: song_list(call, call.snapshot.province),
            "2": lambda: AreaCode() if call.branch is None else song_list(call, call.branch),
            "3": lambda: CodeEntry(call.say("ask_code")),
            "4": MyTones,
            "5": Search,
        }
        return places[press]() if press in places else None

    async def _act(self, call: Call, press: Press) -> Press:
        """Do what a key asks that stays here; return what was pressed meanwhile."""
        match press:
            case None:
                return await call.hear("silence")
            case "9":
                return None
            case "0":
                return await call.help("help_menu")
            case "8":
                return await call.refuse_offers()
        return await call.hear("wrong_key")
