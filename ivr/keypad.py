"""What the caller hears and presses: sounds and silence with every key live, nothing typed lost.

Digits that a caller types at once are a tone's code where a code may begin (the menu, a list). No
key waits for that: the first digit acts, and only when the next one comes soon enough and both
begin some code are the digits held until they are a code, cannot be one, or nothing more comes.
Held digits that are no code act one by one, in order, from where the first one led.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from catalog.snapshot import Snapshot
from catalog.tones import Tone
from ivr.call_record import CallRecord
from ivr.channel import Channel, SoundMissing

BOUNCE_MS = 150  # the same digit sooner than this is one press: worn keys, doubled RFC 4733 events
CODE_GAP_MS = 1200  # digits further apart than this are keys of their own
HIDDEN = "?"  # recorded for a key that is nobody's business
LATE_END_MS = 4000  # a # so soon after digits that were complete without it only ends them

Press = str | Tone | None
"""A key; the tone whose code was typed at once; None: nothing was pressed."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How far a sound was heard and what was pressed then; `missing`: there is no such sound."""

    press: Press
    end_ms: int
    missing: bool = False


class Keypad:
    """One call's ear and finger. `sounds` is the sounds folder as Asterisk sees it.

    The call is answered at the first key, and before early media would last longer than
    `early_media_max_s`: `length_ms` tells how long a sound is, as far as it is known. Only the
    first tone is unanswered to its end, since it is free of charge. `first_sound` is called when
    the first sound begins, `sound_missing` for each that is not there.
    """

    def __init__(
        self,
        channel: Channel,
        snapshot: Snapshot,
        record: CallRecord,
        *,
        sounds: str,
        lead_in_ms: int,
        early_media_max_s: int,
        length_ms: Callable[[str], int | None],
        first_sound: Callable[[], None],
        sound_missing: Callable[[str], None],
    ) -> None:
        self.is_answered = False
        self._channel = channel
        self._snapshot = snapshot
        self._record = record
        self._sounds = sounds
        self._lead_in_ms = lead_in_ms
        self._early_media_max_ms = early_media_max_s * 1000
        self._length_ms = length_ms
        self._free_tone: str | None = None
        self._first_sound: Callable[[], None] | None = first_sound
        self._sound_missing = sound_missing
        self._typed: deque[str | Tone] = deque()  # pressed, and not yet taken by anybody
        self._last_key = ""
        self._last_key_ms = -CODE_GAP_MS
        self._run = ""  # digits typed at once, begun where a code may begin
        self._codes_begin = False
        self._entry_keys = ""
        self._end_until_ms = 0
        self._is_secret = False
        # A telephone that hears without waiting for real time hears more than passes by the clock.
        self._ahead_ms = 0

    # Where the caller is.

    def may_begin_code(self, entry_keys: str = "") -> None:
        """A digit pressed from now on may begin a code; `entry_keys` are keys that take digits."""
        self._codes_begin = True
        self._entry_keys = entry_keys

    def may_not_begin_code(self) -> None:
        """A digit pressed from now on begins no code."""
        self._codes_begin = False

    def may_end_late(self) -> None:
        """Digits are complete: the # that callers are told to end them with may still come."""
        self._end_until_ms = self._now_ms() + LATE_END_MS

    @contextmanager
    def secretly(self) -> Iterator[None]:
        """Record that keys are pressed, and not which."""
        self._is_secret = True
        try:
            yield
        finally:
            self._is_secret = False

    def drop_typed(self) -> None:
        """Forget what was typed ahead: nothing pressed before now may answer what is asked now."""
        self._typed.clear()
        self._run = ""

    def type_again(self, press: Press) -> None:
        """Let the next place have what was pressed on the way to it."""
        if press is not None:
            self._typed.appendleft(press)

    async def answer(self) -> None:
        """Answer the call if it is not answered yet."""
        if not self.is_answered:
            await self._channel.answer()
            self.is_answered = True
            self._record.answered()

    # Hearing and pressing.

    async def hear(self, *sounds: str) -> Press:
        """Play sounds one after the other until a key is pressed; return it."""
        for sound in sounds:
            heard = await self.play(sound)
            if heard.press is not None:
                return heard.press
        return self._take_typed()

    async def play(self, sound: str, from_ms: int = 0) -> Heard:
        """Play a sound from `from_ms` on, to its end or to a key; skip one that is missing."""
        await self._lead_in()
        while not self._typed:
            await self._end_early_media(sound, from_ms)
            try:
                digit, from_ms = await self._play_once(sound, from_ms)
            except SoundMissing:
                self._sound_missing(sound)
                return Heard(None, from_ms, missing=True)
            if digit is None:
                return Heard(None, from_ms)
            press = await self._press(digit)
            if press is not None:
                return Heard(press, from_ms)
        return Heard(self._take_typed(), from_ms)

    async def play_tone(self, sound: str, from_ms: int = 0) -> Heard:
        """Play a tone, as `play` does; in early media the first one is unanswered to its end."""
        self._free_tone = self._free_tone or sound
        return await self.play(sound, from_ms)

    async def wait(self, silence_ms: int) -> Press:
        """Wait in silence for a key."""
        await self._lead_in()
        return self._take_typed() or await self._wait(silence_ms)

    async def _wait(self, silence_ms: int) -> Press:
        until_ms = self._now_ms() + silence_ms
        while (left_ms := until_ms - self._now_ms()) > 0:
            digit = await self._digit(await self._within_early_media(left_ms))
            press = None if digit is None else await self._press(digit)
            if press is not None:
                return press
        return None

    async def _lead_in(self) -> None:
        """Let the line be silent before its first sound, so that no first syllable is lost."""
        silence_ms, self._lead_in_ms = self._lead_in_ms, 0
        if silence_ms:
            self.type_again(await self._wait(silence_ms))

    async def _end_early_media(self, sound: str, from_ms: int) -> None:
        """Answer before a sound in whose course early media would have lasted long enough."""
        if self.is_answered or sound == self._free_tone:
            return
        ends_ms = self._now_ms() + max(0, (self._length_ms(sound) or 0) - from_ms)
        if ends_ms >= self._early_media_max_ms:
            await self.answer()

    async def _within_early_media(self, silence_ms: int) -> int:
        """Return how much of a silence may pass before the call must be answered, if it is not."""
        if self.is_answered:
            return silence_ms
        left_ms = self._early_media_max_ms - self._now_ms()
        if left_ms > 0:
            return min(silence_ms, left_ms)
        await self.answer()
        return silence_ms

    # One command each.

    async def _play_once(self, sound: str, from_ms: int) -> tuple[str | None, int]:
        first_sound, self._first_sound = self._first_sound, None
        if first_sound is not None:
            first_sound()
        began_ms = self._record.elapsed_ms()
        try:
            played = await self._channel.play(f"{self._sounds}/{sound}", from_ms=from_ms)
        except SoundMissing:
            raise
        except BaseException:
            # A hang-up does not tell how far the caller had heard; the clock does.
            heard_ms = self._record.elapsed_ms() - began_ms
            self._record.played(sound, began_ms, from_ms, from_ms + heard_ms, whole=False)
            raise
        passed_ms = self._record.elapsed_ms() - began_ms
        self._ahead_ms += max(0, played.end_ms - from_ms - passed_ms)
        self._record.played(sound, began_ms, from_ms, played.end_ms, whole=played.digit is None)
        return played.digit, played.end_ms

    async def _digit(self, silence_ms: int) -> str | None:
        began_ms = self._record.elapsed_ms()
        digit = await self._channel.wait_for_digit(silence_ms)
        if digit is None:
            self._ahead_ms += max(0, silence_ms - (self._record.elapsed_ms() - began_ms))
        return digit

    def _now_ms(self) -> int:
        return self._record.elapsed_ms() + self._ahead_ms

    # What a key means.

    def _take_typed(self) -> Press:
        return self._typed.popleft() if self._typed else None

    def _counts(self, digit: str) -> bool:
        """Record a key; False if it is the bounce of the one before."""
        now_ms = self._now_ms()
        shown = HIDDEN if self._is_secret else digit
        bounced = digit == self._last_key and now_ms - self._last_key_ms < BOUNCE_MS
        if bounced:
            self._record.note("key", digit=shown, ignored="bounce")
            return False
        self._record.note("key", digit=shown)
        self._last_key, self._last_key_ms = digit, now_ms
        return True

    async def _press(self, digit: str) -> Press:
        """Return what a live key means; None: nothing, the sound goes on."""
        soon = self._now_ms() - self._last_key_ms < CODE_GAP_MS
        if not self._counts(digit):
            return None
        await self.answer()
        end_until_ms, self._end_until_ms = self._end_until_ms, 0
        if digit == "#" and self._now_ms() < end_until_ms:
            self._record.ignore_key("the end of the code")
            return None
        if self._run and soon and digit.isdigit() and self._may_be_code(self._run + digit):
            return await self._hold(digit)
        begins = self._codes_begin and digit in "123456789"
        self._run = digit if begins else ""
        return digit

    def _may_be_code(self, digits: str) -> bool:
        return self._snapshot.tone(digits) is not None or self._snapshot.is_code_prefix(digits)

    async def _hold(self, digit: str) -> Press:
        """Collect a code from its second digit on; without one, type the digits one by one."""
        run, held, self._run = self._run + digit, [digit], ""
        after_entry_key = run[0] in self._entry_keys
        while self._may_be_code(run):
            tone = self._snapshot.tone(run)
            if tone and not after_entry_key and not self._snapshot.is_code_prefix(run):
                self.may_end_late()
                return tone
            following = await self._digit(CODE_GAP_MS)
            if following is not None and not self._counts(following):
                continue
            if following is None or not following.isdigit():
                return self._end_hold(tone, run, held, following)
            if tone and not self._may_be_code(run + following) and not after_entry_key:
                self._typed.append(following)
                return tone
            run += following
            held.append(following)
        return self._release(held)

    def _end_hold(self, tone: Tone | None, run: str, held: list[str], end: str | None) -> Press:
        """Decide on digits after which nothing more came, or `end`: # or *."""
        entered = end == "#" and run[0] in self._entry_keys and self._enters(run)
        if tone is not None and not entered:
            if end == "*":
                self._typed.append(end)
            return tone
        return self._release(held if end is None else [*held, end])

    def _enters(self, run: str) -> bool:
        """Say whether what follows an entry key is what it asks for."""
        if run[0] == "5":
            return next(self._snapshot.stock.by_keys(run[1:]), None) is not None
        return self._snapshot.tone(run[1:]) is not None

    def _release(self, held: list[str]) -> str:
        self._typed.extend(held[1:])
        return held[0]
