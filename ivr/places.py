"""Where a caller can be: the menu, a list of songs, a tone, a code's or an area code's digits.

Each place is a frozen dataclass; `visit` plays what belongs there and returns the place that the
caller's keys, or his silence, lead to. None is the way out: the line says goodbye.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from audio.formats import FIRST_SECONDS
from catalog.tones import Prices, Tone
from catalog.values import FUNCTION_CODE
from ivr.call import Call
from ivr.keypad import Press
from ivr.messages import code_by_sms
from ivr.order import order
from ordering import orders

CODE_SILENCE_MS = 4000
CODE_ASKED_AGAIN = 3  # times, then the list
LONGEST_CODE = 8  # digits (contract.md); nobody wants to hear more of them read back
SONGS_AT_ONCE = 10  # as many as there are keys
DATABASE_PATIENCE_S = 3.0
LONGEST_AREA_CODE = 4


class Place(Protocol):
    """Somewhere in the call."""

    async def visit(self, call: Call) -> Place | None:
        """Be there until a key or silence leads on; None: to the goodbye."""


# ---------------------------------------------------------------- the menu


@dataclass(frozen=True, slots=True)
class Menu:
    """The main menu. `opening` is the sentence before it."""

    opening: str = "back_to_menu"

    async def visit(self, call: Call) -> Place | None:
        """Say the menu, once more after silence, then go on with the province's songs."""
        call.ear.may_begin_code("3" if call.branch else "23")
        words = self._words(call)
        sounds = (*call.say(self.opening), *words)
        silences = 0
        while silences < 2:
            press = await call.ask(*sounds)
            place = self._place(call, press)
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
        match press:
            case Tone() as tone:
                return Hearing(tone)
            case "1":
                return song_list(call, call.snapshot.province)
            case "2":
                return AreaCode() if call.branch is None else song_list(call, call.branch)
            case "3":
                return CodeEntry(call.say("ask_code"))
            case "4":
                return MyTones()
        return None

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


# ---------------------------------------------------------------- lists


@dataclass(frozen=True, slots=True)
class Songs:
    """A list of songs under keys 1 to 9 and 0; `item` is the sentence that reads one of them."""

    intro: tuple[str, ...]
    item: str
    tones: tuple[Tone, ...]

    async def visit(self, call: Call) -> Place | None:
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

    def _place(self, press: Press) -> Place:
        if isinstance(press, Tone):
            return Hearing(press)
        chosen = self._chosen(press)
        if chosen is not None:
            return Hearing(chosen, self)
        if press == "#":
            return Songs((), self.item, self.tones[SONGS_AT_ONCE:])
        return Menu()


def song_list(call: Call, owner: str) -> Place:
    """Return the ten songs of a branch or the province as they were when the call began."""
    directory = call.snapshot.directory(owner, call.record.started_at)
    intro = call.say("list_intro", directory=f"branch_{directory.owner}")
    if not directory.tones:
        return EmptyList()
    return Songs(intro, "list_item", directory.tones)


@dataclass(frozen=True, slots=True)
class EmptyList:
    """A list without a song: the catalogue is empty."""

    async def visit(self, call: Call) -> Place | None:
        """Say so and end."""
        press = await call.hear("list_empty")
        call.ear.type_again(press)
        return Goodbye() if press is None else Menu()


@dataclass(frozen=True, slots=True)
class MyTones:
    """What the caller owns."""

    async def visit(self, call: Call) -> Place | None:
        """Look up the caller's tones and list them."""
        if call.caller.msisdn is None:
            return await _said(call, f"refused_{call.caller.kind}")
        asking = call.line.database.run(orders.owned, call.caller.msisdn)
        looking = call.pending(asking, "my_tones_failed")
        await looking.within(DATABASE_PATIENCE_S)
        if looking.result is None:
            return await _said(call, "line_trouble")
        tones = tuple(
            call.snapshot.tone(owned.tone_code) or _retired(owned.tone_code, owned.title)
            for owned in looking.result
            if owned.tone_code != FUNCTION_CODE
        )
        if not tones:
            return await _said(call, "my_tones_none")
        return Songs(call.say("my_tones_intro", n=len(tones)), "my_tones_item", tones)


def _retired(code: str, title: str) -> Tone:
    """Return a tone that is no longer in the catalogue, as far as an order knows it."""
    return Tone(code, title, "", "", "", Prices(0, 0, 0), None, "retired", "", 0, None)


async def _said(call: Call, sentence: str) -> Place:
    """Say why there is nothing here, and go back to the menu with what was pressed."""
    call.ear.type_again(await call.hear(sentence))
    return Menu()


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The way out; a caller who presses a key is back at the menu."""

    async def visit(self, call: Call) -> Place | None:
        """Answer if that has not been done, and say goodbye."""
        await call.ear.answer()
        press = await call.hear("goodbye")
        call.ear.type_again(press)
        return None if press is None else Menu()


# ---------------------------------------------------------------- a tone


@dataclass(frozen=True, slots=True)
class Hearing:
    """A tone, and the list the caller came from."""

    tone: Tone
    songs: Songs | None = None

    async def visit(self, call: Call) -> Place | None:
        """Play the tone, then say the choices, once more after silence; then go back."""
        if self.tone.state != "published":
            call.ear.type_again(await call.hear("tone_retired", code=self.tone.code))
            return self._back()
        press = await call.hear("tone_intro", tone=self.tone)
        at_ms, silences, plays = 0, 0, True
        while silences < 2:
            if press is None and plays:
                press, at_ms = await self._play(call, at_ms)
                plays = press is not None
            if press is None:
                press = await call.ask(*self._choices(call, silences))
            if press is None:
                silences += 1
                continue
            place = await self._place(call, press)
            if place is not None:
                return place
            plays = plays and not self._skips(press, at_ms)
            press = await self._act(call, press, at_ms)
        return self._back()

    async def _play(self, call: Call, from_ms: int) -> tuple[Press, int]:
        """Play the tone on to its end or to a key; the quote is asked for as it begins."""
        if not from_ms:
            call.soon(call.begin_quote, self.tone)
            call.record.begin_hearing(self.tone)
        heard = await call.ear.play(self.tone.sound, from_ms)
        press = await call.hear("sound_missing") if heard.missing else heard.press
        return press, heard.end_ms

    def _skips(self, press: Press, at_ms: int) -> bool:
        """Say whether a key ends the tone: # and an order do, once its own sound has begun."""
        return press in {"#", "1"} and at_ms > 0

    def _choices(self, call: Call, silences: int) -> tuple[str, ...]:
        if silences:
            return call.say("choices_short")
        sounds = call.say("choices")
        if call.hangup_sms_announced or not call.may_be_offered:
            return sounds
        call.hangup_sms_announced = True
        return (*sounds, *call.say("hangup_sms_notice"))

    async def _place(self, call: Call, press: Press) -> Place | None:
        """Return where a key leads, None if the caller stays with this tone."""
        match press:
            case Tone() as typed:
                return Hearing(typed)
            case "2":
                return await self._next(call)
            case "9":
                return self
            case "*":
                return self._back()
        return None

    async def _next(self, call: Call) -> Place:
        if self.songs is None:
            others = call.snapshot.same_style(self.tone)
        else:
            codes = [tone.code for tone in self.songs.tones]
            others = self.songs.tones[codes.index(self.tone.code) + 1 :]
        if others:
            return Hearing(others[0], self.songs)
        call.ear.type_again(await call.hear("no_next"))
        return self._back()

    async def _act(self, call: Call, press: Press, at_ms: int) -> Press:
        """Do what a key asks that stays here; return what was pressed meanwhile."""
        match press:
            case "1" if at_ms > 0:
                return await order(call, self.tone)
            case "1":
                call.record.ignore_key("the tone had not begun")
                return None
            case "#":
                return None
            case "0":
                return await call.help("help_tone")
            case "8":
                return await call.refuse_offers()
        return await call.hear(await code_by_sms(call, self.tone) if press == "3" else "wrong_key")

    def _back(self) -> Place:
        return Menu() if self.songs is None else self.songs


# ---------------------------------------------------------------- digits


async def _digits(call: Call, sounds: tuple[str, ...], enough: Callable[[str], bool]) -> Press:
    """Return the digits typed until #, until they are `enough`, or until 4 s of silence.

    `*` means back, a tone that its code was typed at once, as a key of the place before.
    """
    typed = ""
    press = await call.ear.hear(*sounds)
    while True:
        if press is None:
            press = await call.ear.wait(CODE_SILENCE_MS)
        if press is None or press == "#":
            return typed
        if press == "*" or isinstance(press, Tone):
            return press
        typed += press
        if enough(typed):
            call.ear.may_end_late()
            return typed
        press = None


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """A code is typed. `sounds` ask for it; `unknown` were the codes typed so far in vain."""

    sounds: tuple[str, ...]
    unknown: int = 0

    async def visit(self, call: Call) -> Place | None:
        """Collect a code and go to its tone."""
        typed = await _digits(call, self.sounds, lambda digits: self._is_whole(call, digits))
        if isinstance(typed, Tone):
            return Hearing(typed)
        if typed == "*":
            return Menu()
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
    if unknown == CODE_ASKED_AGAIN:
        return CodesGivenUp()
    words = _why_unknown(call, code)
    return CodeEntry((*words, *call.say("ask_code_again")), unknown + 1)


def _why_unknown(call: Call, code: str) -> tuple[str, ...]:
    """Return the words about a code that is not in the catalogue: itself, and the nearest ones."""
    if not code:
        return call.say("silence")
    if len(code) > LONGEST_CODE:
        return call.say("wrong_key")
    words = call.say("code_unknown", code=code)
    nearest = call.snapshot.nearest(code)
    if nearest:
        words += call.say("code_nearest_intro")
    for other in nearest:
        words += call.say("code_nearest", code=other.code, tone=other)
    return words


@dataclass(frozen=True, slots=True)
class CodesGivenUp:
    """No code that was typed is known."""

    async def visit(self, call: Call) -> Place | None:
        """Say so and go on with the list nearest to the caller."""
        call.ear.type_again(await call.hear("code_gave_up"))
        return song_list(call, call.branch or call.snapshot.province)


@dataclass(frozen=True, slots=True)
class AreaCode:
    """The area code of a caller whose branch is unknown."""

    async def visit(self, call: Call) -> Place | None:
        """Ask for it; without one the province's list serves."""
        typed = await _digits(
            call, call.say("ask_area_code"), lambda digits: self._is_whole(call, digits)
        )
        if isinstance(typed, Tone):
            return Hearing(typed)
        if typed == "*":
            return Menu()
        call.branch = call.snapshot.branch_of(None, typed)
        if call.branch is None:
            call.ear.type_again(await call.hear("area_code_unknown"))
        return song_list(call, call.branch or call.snapshot.province)

    def _is_whole(self, call: Call, digits: str) -> bool:
        known = call.snapshot.branch_of(None, digits) is not None
        return known or len(digits) >= LONGEST_AREA_CODE
