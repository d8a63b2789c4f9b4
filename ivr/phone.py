"""A telephone in the terminal: speaks Asterisk's side of AGI to a running line.

Blocking sockets, no reactor: it is the caller's side, a program of its own. Files are heard to
their end without waiting for real time: the telephone reads how long a file is, and answers at once
that it was played; `at` counts what would have been heard. In real time it waits as a caller would.

The next key is pressed when the line waits in silence, one marked `!` during the next file; keys
used up, it hangs up at the next wait. Nobody presses a key before he has heard anything: the
silence before the first sound is let pass.
"""

from __future__ import annotations

import re
import socket
import time
import wave
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from ivr.caller import rehearsal_request

KEYS = "0123456789*#"
HANG_UP = "hang up"
PRESS_MS = 500  # so far into a file a key marked `!` is pressed, or half of it if it is shorter
SAME_KEY_S = 0.2  # no finger presses a key twice sooner, and the line counts that as once
LINE_SILENT_S = 30.0
CONNECT_S = 5.0
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_BYTES_A_MS = {".alaw": 8, ".ulaw": 8}

_ANSWERED_ALWAYS = {
    "EXEC": "200 result=0\n",
    "GET": "200 result=0\n",
    "NOOP": "200 result=0\n",
    "SET": "200 result=1\n",
    "VERBOSE": "200 result=1\n",
}
_ANSWERED_LIVE = {"ANSWER": "200 result=0\n", "CHANNEL": "200 result=6\n"}

Text = Callable[[str], str | None]
"""What is heard in a sound, by its path as the line names it; None: nobody knows."""


class PhoneError(Exception):
    """The call could not be made, or broke off; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key to press: in silence, or during the next file."""

    digit: str
    during_file: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """What happened `at` seconds after the call began.

    `played`: `file` was heard from `from_ms` to `to_ms` of it, its words are `text`. `key`: `digit`
    was pressed. `hangup`: `by` the `caller` or the `line`.
    """

    at: float
    kind: Literal["played", "key", "hangup"]
    file: str | None = None
    text: str | None = None
    digit: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    by: str | None = None


class Fingers(Protocol):
    """Who presses the keys. A press is a key, or HANG_UP."""

    def during_file(self, length_ms: int) -> tuple[int, str] | None:
        """Return after how many ms of a file's `length_ms` what is pressed; None: nothing."""

    def in_silence(self, length_ms: int) -> tuple[int, str] | None:
        """Return after how many ms of a silence what is pressed; None: nothing."""


class Script:
    """Keys pressed one after the other; then the telephone hangs up."""

    def __init__(
        self,
        keys: Iterable[Key],
        realtime: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._keys = deque(keys)
        self._realtime = realtime
        self._sleep = sleep
        self._last = ""
        self._last_s = 0.0

    def during_file(self, length_ms: int) -> tuple[int, str] | None:
        """Press the next key if it is one to press during a file."""
        at_ms = min(PRESS_MS, length_ms // 2)
        pressed = None
        if length_ms and self._keys and self._keys[0].during_file:
            pressed = at_ms, self._press()
        self._last = "" if pressed is None else self._last
        self._let_pass(length_ms if pressed is None else at_ms)
        return pressed

    def in_silence(self, length_ms: int) -> tuple[int, str] | None:
        """Press the next key, or hang up if there is none left."""
        if not self._keys:
            return 0, HANG_UP
        if self._keys[0].during_file:
            self._let_pass(length_ms)
            return None
        return 0, self._press()

    def _press(self) -> str:
        digit = self._keys.popleft().digit
        if digit == self._last:
            self._sleep(max(0.0, self._last_s + SAME_KEY_S - time.monotonic()))
        self._last, self._last_s = digit, time.monotonic()
        return digit

    def _let_pass(self, milliseconds: int) -> None:
        if self._realtime:
            self._sleep(milliseconds / 1000)


def parse_keys(text: str) -> tuple[Key, ...]:
    """Return the keys of `1,1029#,1!`: commas between, several keys in one item, `!` behind it.

    Raises:
        PhoneError: something in it is no key.
    """
    keys: list[Key] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        digits = item.removesuffix("!")
        if not digits or any(digit not in KEYS for digit in digits):
            raise PhoneError(f"{item!r} is no key: use 0 to 9, * and #, such as 1,1 or 1029# or 1!")
        keys += [Key(digit, item.endswith("!")) for digit in digits]
    return tuple(keys)


def call(
    host: str,
    port: int,
    dialled: str,
    caller: str,
    fingers: Fingers,
    text: Text,
    heard: Callable[[Event], None] = lambda _: None,
    at: datetime | None = None,
) -> list[Event]:
    """Make a call and return what happened; `heard` is told each event as it happens.

    `at`: an aware instant whose line is to be heard, in rehearsal.

    Raises:
        PhoneError: no line answers there, or it broke the call off.
    """
    try:
        connection = socket.create_connection((host, port), CONNECT_S)
    except OSError as error:
        raise PhoneError(
            f"no line answers at {host}:{port} ({error.strerror or error}): is it running?"
        ) from error
    with connection:
        connection.settimeout(LINE_SILENT_S)
        return _Telephone(connection, fingers, text, heard).talk(dialled, caller, at)


class _Telephone:
    def __init__(
        self,
        connection: socket.socket,
        fingers: Fingers,
        text: Text,
        heard: Callable[[Event], None],
    ) -> None:
        self._connection = connection
        self._fingers = fingers
        self._text = text
        self._heard = heard
        self._events: list[Event] = []
        self._now_ms = 0
        self._has_heard = False
        self._hung_up = False

    def talk(self, dialled: str, caller: str, at: datetime | None) -> list[Event]:
        try:
            self._send(_environment(dialled, caller, at))
            with self._connection.makefile("rb") as commands:
                for line in commands:
                    self._send(self._answer(_words(line.decode())))
        except TimeoutError as error:
            raise PhoneError(f"the line said nothing for {LINE_SILENT_S:g} s") from error
        except OSError as error:
            if not self._hung_up:
                raise PhoneError(f"the line broke the call off: {error}") from error
        if not self._hung_up:
            self._add(Event(self._at(), "hangup", by="line"))
        return self._events

    def _send(self, answer: str) -> None:
        self._connection.sendall(answer.encode())

    def _answer(self, words: list[str]) -> str:
        verb = words[0].upper() if words else ""
        if verb in _ANSWERED_ALWAYS:
            return _ANSWERED_ALWAYS[verb]
        if self._hung_up:
            return "511 Command Not Permitted on a dead channel or intercept routine\n"
        match [verb, *words[1:]]:
            case ["STREAM", _, sound, stop_on, *offset]:
                return self._stream(sound, stop_on, int(offset[0]) // 8 if offset else 0)
            case ["WAIT", _, _, milliseconds]:
                return self._wait(int(milliseconds))
            case ["HANGUP", *_]:
                self._hung_up = True
                self._add(Event(self._at(), "hangup", by="line"))
                return "200 result=1\nHANGUP\n"
        return _ANSWERED_LIVE.get(verb, "510 Invalid or unknown command\n")

    def _stream(self, sound: str, stop_on: str, from_ms: int) -> str:
        length_ms = _length_ms(sound)
        if length_ms is None:
            return "200 result=-1 endpos=0\n"
        began_at = self._at()
        left_ms = max(0, length_ms - from_ms)
        pressed = self._fingers.during_file(left_ms)
        if pressed is not None and pressed[1] != HANG_UP and pressed[1] not in stop_on:
            pressed = None
        heard_ms = left_ms if pressed is None else pressed[0]
        to_ms = from_ms + heard_ms
        self._has_heard = True
        self._now_ms += heard_ms
        self._add(Event(began_at, "played", sound, self._text(sound), None, from_ms, to_ms))
        result = 0 if pressed is None else self._press(pressed[1])
        return f"200 result={result} endpos={to_ms * 8}\n" + ("HANGUP\n" if self._hung_up else "")

    def _wait(self, milliseconds: int) -> str:
        pressed = self._fingers.in_silence(milliseconds) if self._has_heard else None
        if pressed is None:
            self._now_ms += milliseconds
            return "200 result=0\n"
        self._now_ms += pressed[0]
        result = self._press(pressed[1])
        return f"200 result={result}\n" + ("HANGUP\n" if self._hung_up else "")

    def _press(self, press: str) -> int:
        """Press a key or hang up; return what AGI says of it."""
        if press == HANG_UP:
            self._hung_up = True
            self._add(Event(self._at(), "hangup", by="caller"))
            return -1
        self._add(Event(self._at(), "key", digit=press))
        return ord(press)

    def _at(self) -> float:
        return round(self._now_ms / 1000, 2)

    def _add(self, event: Event) -> None:
        self._events.append(event)
        self._heard(event)


def _environment(dialled: str, caller: str, at: datetime | None) -> str:
    """Return the environment that Asterisk 22 begins a FastAGI call with."""
    for value in (dialled, caller):
        if not value.isprintable():
            raise PhoneError(f"{value!r} is no number to dial")
    variables = {
        "network": "yes",
        "network_script": "",
        "request": "agi://127.0.0.1/" if at is None else rehearsal_request(at),
        "channel": "PJSIP/telephone-00000001",
        "language": "en",
        "type": "PJSIP",
        "uniqueid": f"{time.time():.6f}",
        "version": "22.0.0",
        "callerid": caller,
        "calleridname": "unknown",
        "callingpres": "0",
        "callingani2": "0",
        "callington": "0",
        "callingtns": "0",
        "dnid": dialled,
        "rdnis": "unknown",
        "context": "toneline",
        "extension": dialled,
        "priority": "2",
        "enhanced": "0.0",
        "accountcode": "",
        "threadid": "1",
        "arg_1": "",
    }
    return "".join(f"agi_{name}: {value}\n" for name, value in variables.items()) + "\n"


def _words(line: str) -> list[str]:
    """Return a command's words as Asterisk reads them."""
    return [
        re.sub(r"\\(.)", r"\1", match[2] if match[1] is None else match[1])
        for match in _WORD.finditer(line)
    ]


def _length_ms(sound: str) -> int | None:
    """Return how long a sound is, None if there is no such file."""
    try:
        with wave.open(f"{sound}.wav", "rb") as file:
            return file.getnframes() * 1000 // file.getframerate()
    except (OSError, EOFError, wave.Error):
        pass
    for ending, bytes_a_ms in _BYTES_A_MS.items():
        path = Path(sound + ending)
        if path.is_file():
            return path.stat().st_size // bytes_a_ms
    return None
