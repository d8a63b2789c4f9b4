"""Lists of songs: ten titles under the keys, read, played from their beginnings, chosen from."""

from __future__ import annotations

from dataclasses import dataclass

from audio.formats import FIRST_SECONDS
from catalog.tones import Tone
from ivr.call import Call
from ivr.goodbye import Goodbye
from ivr.hearing import Hearing
from ivr.keypad import Press
from ivr.place import Place, Way

SONGS_AT_ONCE = 10  # as many as there are keys


@dataclass(frozen=True, slots=True)
class Songs:
    """A list of songs under keys 1 to 9 and 0; `item` is the sentence that reads one of them."""

    intro: tuple[str, ...]
    item: str
    tones: tuple[Tone, ...]

    async def visit(self, call: Call) -> Place | Way:
        """Read the titles; without a key play the beginning of each song, and the titles again."""
        titles = [self._title(call, place) for place in range(len(self._shown))]
        excerpts = [
            (*title, tone.sound + FIRST_SECONDS)
            for title, tone in zip(titles, self._shown, strict=True)
        ]
        choices = call.say("list_choices")
        for passages in (
            [self.intro, *titles, choices],
            [call.say("list_excerpts"), *excerpts],
            [call.say("list_again"), *titles, choices],
        ):
            press = await self._read(call, passages)
            if press is not None:
                return self._place(press)
        return Goodbye()

    @property
    def _shown(self) -> tuple[Tone, ...]:
        return self.tones[:SONGS_AT_ONCE]

    def _title(self, call: Call, place: int) -> tuple[str, ...]:
        key = str((place + 1) % 10)
        return call.say(self.item, n=place + 1, tone=self.tones[place], key=key)

    async def _read(self, call: Call, passages: list[tuple[str, ...]]) -> Press:
        """Play one passage after the other, # to the next; return a key that leads away."""
        call.ear.may_begin_code()
        last = len(passages) - 1
        place = 0
        while place <= last:
            press = await (call.ask if place == last else call.ear.hear)(*passages[place])
            if press is None or press == "#":
                place += 1
            elif press == "*" or isinstance(press, Tone) or self._chosen(press):
                return press
            else:
                call.ear.type_again(await call.hear("wrong_key"))
        return "#" if len(self.tones) > SONGS_AT_ONCE else None

    def _chosen(self, press: Press) -> Tone | None:
        place = "1234567890".find(press) if isinstance(press, str) else -1
        return self._shown[place] if 0 <= place < len(self._shown) else None

    def _place(self, press: Press) -> Place | Way:
        if isinstance(press, Tone):
            return Hearing(press)
        chosen = self._chosen(press)
        if chosen is not None:
            return Hearing(chosen, self)
        if press == "#":
            return Songs((), self.item, self.tones[SONGS_AT_ONCE:])
        return Way.MENU


def song_list(call: Call, owner: str) -> Place:
    """Return the ten songs of a branch or the province as they were when the call began."""
    directory = call.snapshot.directory(owner, call.heard_at)
    intro = call.say("list_intro", directory=f"branch_{directory.owner}")
    if not directory.tones:
        return EmptyList()
    return Songs(intro, "list_item", directory.tones)


@dataclass(frozen=True, slots=True)
class EmptyList:
    """A list without a song: the catalogue is empty."""

    async def visit(self, call: Call) -> Place | Way:
        """Say so and end."""
        press = await call.hear("list_empty")
        call.ear.type_again(press)
        return Goodbye() if press is None else Way.MENU
