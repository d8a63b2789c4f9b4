"""A channel without Asterisk: keys come from a script, time is a `Clock` that it advances."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ivr.channel import ALL_KEYS, CallerHungUp, CallTooLong, Played, SoundMissing

HANG_UP = "hang up"
IN_SILENCE = "in silence"
PRESSED_AFTER_MS = 100


@dataclass(frozen=True, slots=True)
class Key:
    """A key, or HANG_UP, that is pressed when everything before it in the script was.

    `when` is seconds since the call began; or `during menu`, the next time a sound whose path ends
    so is played, `after_ms` of it; or `in silence`, the next time the line waits
    after it has said something; or `then`,
    `after_ms` later than the key before it.
    """

    when: float | str
    digit: str
    after_ms: int = PRESSED_AFTER_MS


@dataclass(frozen=True, slots=True)
class Playing:
    """A sound that the caller heard, and from when to when of it."""

    sound: str
    from_ms: int
    to_ms: int
    at_s: float
    answered: bool


class FakeChannel:
    """Plays in no time; `played`, `said` and `variables` tell what the caller got.

    `missing` sounds are not there; `too_long_at_s` is when the call has lasted too long; with
    `stall` the play of that sound never ends.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        dialled: str = "12530019",
        caller: str = "13905250001",
        keys: Sequence[Key | tuple[Any, ...]] = (),
        lengths_ms: Mapping[str, int] | None = None,
        missing: Collection[str] = (),
        too_long_at_s: float | None = None,
        stall: str = "",
        root: str = "/sounds",
        arg_1: str = "",
    ) -> None:
        self.environment = {"agi_extension": dialled, "agi_callerid": caller}
        if arg_1:
            self.environment["agi_arg_1"] = arg_1
        self.keys = [key if isinstance(key, Key) else Key(*key) for key in keys]
        self.played: list[Playing] = []
        self.variables: dict[str, str] = {}
        self.executed: list[tuple[str, ...]] = []
        self.commands: list[str] = []
        self.answered_at: float | None = None
        self.hung_up = False
        self.hung_up_by_line = False
        self._clock = clock
        self._began_s = clock.seconds()
        self._lengths_ms = dict(lengths_ms or {})
        self._missing = set(missing)
        self._too_long_at_s = too_long_at_s
        self._stall = stall
        self._root = root + "/"
        self._last_key_s = 0.0

    @property
    def said(self) -> list[str]:
        """The sounds played, by their last names, once for each time one was begun anew."""
        return [playing.sound.rpartition("/")[2] for playing in self.played if not playing.from_ms]

    # Verbs.

    async def answer(self) -> None:
        self._begin("answer")
        if self.answered_at is None:
            self.answered_at = self._now_s()

    async def progress(self) -> None:
        self._begin("progress")

    async def play(self, sound: str, stop_on: str = ALL_KEYS, from_ms: int = 0) -> Played:
        self._begin(f"play {sound}")
        stem = sound.removeprefix(self._root)
        assert stem != sound, f"{sound} is not below the sounds folder"
        if stem in self._missing:
            raise SoundMissing(sound)
        if self._stall and stem.endswith(self._stall):
            await Deferred()
        length_ms = max(0, self._length_ms(stem) - from_ms)
        pressed = self._press(length_ms, stem, stop_on)
        heard_ms = length_ms if pressed is None else pressed[0]
        answered = self.answered_at is not None
        self.played.append(Playing(stem, from_ms, from_ms + heard_ms, self._now_s(), answered))
        self._pass(heard_ms)
        if pressed is None:
            return Played(None, from_ms + heard_ms)
        self._end_if_gone(pressed[1])
        return Played(pressed[1], from_ms + heard_ms)

    async def wait_for_digit(self, timeout_ms: int) -> str | None:
        self._begin(f"wait {timeout_ms}")
        pressed = self._press(timeout_ms, None, ALL_KEYS)
        if pressed is None:
            self._pass(timeout_ms)
            return None
        self._pass(pressed[0])
        self._end_if_gone(pressed[1])
        return pressed[1]

    async def set_variable(self, name: str, value: str) -> None:
        self.variables[name] = value

    async def execute(self, application: str, *arguments: str) -> int:
        self._begin(f"execute {application}")
        self.executed.append((application, *arguments))
        return 0

    async def hang_up(self) -> None:
        self.hung_up = self.hung_up_by_line = True

    # The caller.

    def _begin(self, command: str) -> None:
        self.commands.append(command)
        if self.hung_up:
            raise CallerHungUp(command)
        if self._too_long_at_s is not None and self._now_s() >= self._too_long_at_s:
            self._too_long_at_s = None
            raise CallTooLong(command)

    def _press(self, within_ms: int, stem: str | None, stop_on: str) -> tuple[int, str] | None:
        """The next key and after how many ms it comes, if it does within this command."""
        if not self.keys:
            return None
        key = self.keys[0]
        after_ms = self._after_ms(key, stem)
        if after_ms is None or after_ms > within_ms:
            return None
        self.keys.pop(0)
        if key.digit != HANG_UP and key.digit not in stop_on:
            return self._press(within_ms, stem, stop_on)
        self._last_key_s = self._now_s() + after_ms / 1000
        return after_ms, key.digit

    def _after_ms(self, key: Key, stem: str | None) -> int | None:
        if isinstance(key.when, str):
            if key.when == "then":
                return max(0, round((self._last_key_s - self._now_s()) * 1000) + key.after_ms)
            if key.when == IN_SILENCE:
                return key.after_ms if stem is None and self.played else None
            wanted = key.when.removeprefix("during ")
            return key.after_ms if stem is not None and stem.endswith(wanted) else None
        return max(0, round((key.when - self._now_s()) * 1000))

    def _end_if_gone(self, digit: str) -> None:
        if digit == HANG_UP:
            self.hung_up = True
            raise CallerHungUp("the caller has hung up")

    def _length_ms(self, stem: str) -> int:
        for ending, length_ms in self._lengths_ms.items():
            if stem.endswith(ending):
                return length_ms
        if stem.endswith("-first"):
            return 6000
        return 40_000 if stem.startswith("tones/") else 1000

    def _now_s(self) -> float:
        return self._clock.seconds() - self._began_s

    def _pass(self, milliseconds: int) -> None:
        """Let time pass, and whatever is due in it happen at its own time."""
        until_s = self._clock.seconds() + milliseconds / 1000
        self._clock.advance(0)
        while (due_s := self._next_due_s()) < until_s:
            self._clock.advance(max(0.0, due_s - self._clock.seconds()))
        self._clock.advance(max(0.0, until_s - self._clock.seconds()))

    def _next_due_s(self) -> float:
        delayed: Sequence[Any] = self._clock.getDelayedCalls()
        return min((call.getTime() for call in delayed), default=float("inf"))
