"""A tone and what a caller may do with it: order it, hear the next, have its code by SMS."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.tones import Tone
from ivr.call import Call
from ivr.keypad import Press
from ivr.messages import code_by_sms
from ivr.order import order
from ivr.place import Place, SongList, Way


@dataclass(frozen=True, slots=True)
class Hearing:
    """A tone, and the list the caller came from."""

    tone: Tone
    songs: SongList | None = None

    async def visit(self, call: Call) -> Place | Way:
        """Play the tone, then say the choices, once more after silence; then go back."""
        if not call.snapshot.plays(self.tone.code, call.heard_at):
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
        heard = await call.ear.play_tone(self.tone.sound, from_ms)
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

    async def _place(self, call: Call, press: Press) -> Place | Way | None:
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

    async def _next(self, call: Call) -> Place | Way:
        if self.songs is None:
            following = call.snapshot.next_of_style(self.tone, call.heard_at)
        else:
            codes = [tone.code for tone in self.songs.tones]
            following = next(iter(self.songs.tones[codes.index(self.tone.code) + 1 :]), None)
        if following is not None:
            return Hearing(following, self.songs)
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

    def _back(self) -> Place | Way:
        return Way.MENU if self.songs is None else self.songs
