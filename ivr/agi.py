"""Sans-IO AGI dialogue: bytes in, events out; quoting of commands.

The protocol as Asterisk 22 speaks it over FastAGI (res_agi.c, and what was measured of it): some
`agi_name: value` lines and a blank one, then one command and one answer at a time, all ended by
LF. Of its own accord Asterisk says only HANGUP: while nobody asks, before an answer or after it,
never inside one. Law of this module: one command is out at most, because Asterisk does not read a
second one until more bytes come, and every later answer would be one behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

MAX_COMMAND_BYTES = 8_191  # with its LF: Asterisk answers what is longer twice
MAX_ANSWER_BYTES = 16_384  # a line, or an answer over several: Asterisk's variables end at 4,096
MAX_ENVIRONMENT_BYTES = 65_536  # Asterisk sends 22 lines and one for each of 127 arguments at most

OK = 200
DEAD_CHANNEL = 511
USAGE = 520

# What Asterisk still does for a channel whose caller has hung up; the rest it answers with 511.
WORKS_AFTER_HANG_UP = frozenset({"EXEC", "GET VARIABLE", "NOOP", "SET VARIABLE", "VERBOSE"})

_FIRST_BYTES = b"agi_"
_USAGE_END = b"520 End of proper usage."
_OK_ANSWER = re.compile(
    rb"200 result=([^ ]*)"
    rb"(?: \((.*)\))?"  # greedy: a value may hold parentheses and lines of its own
    rb"(?: endpos=(-?\d{1,18})\b)?",
    re.DOTALL,
)


class LocalProtocolError(Exception):
    """We were about to break the protocol; nothing has been sent."""


class UnsendableWord(LocalProtocolError):
    """A word that no quoting can carry to Asterisk whole: CR, LF, NUL, no text, or too long."""


class RemoteProtocolError(Exception):
    """The peer does not speak AGI, or broke off in the middle; the connection is worth nothing."""


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The environment is complete: names as Asterisk sends them, `agi_extension`, `agi_arg_1`."""

    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the command that is out.

    ``text`` is all of it but the code. ``result``, ``value`` (what stands in parentheses) and
    ``endpos`` (samples) are a 200's; ``result`` is empty for GET DATA without digits.
    """

    code: int
    text: str
    result: str = ""
    value: str | None = None
    endpos: int | None = None


@dataclass(frozen=True, slots=True)
class HungUp:
    """The caller has hung up. The command that is out, if any, will still be answered."""


Event = CallStarted | Reply | HungUp

_HUNG_UP = HungUp()


class _State(Enum):
    ENVIRONMENT = auto()  # reading agi_ lines
    OUR_TURN = auto()  # nothing is out
    THEIR_TURN = auto()  # a command is out, its answer has not begun
    IN_VALUE = auto()  # inside a 200 whose value has several lines
    IN_USAGE = auto()  # inside a 520 of several lines
    CLOSED = auto()


_ANSWERING = (_State.THEIR_TURN, _State.IN_VALUE, _State.IN_USAGE)


class Dialogue:
    """One call's AGI connection, seen from the server: no socket, no clock.

    Give everything received to :meth:`receive_data` and act on its events; write what
    :meth:`command` returns; tell :meth:`receive_eof` when the peer has closed.
    """

    __slots__ = ("_lines", "_rest", "_size", "_state")

    def __init__(self) -> None:
        self._state = _State.ENVIRONMENT
        self._rest = b""  # the beginning of the environment, then of a line
        self._lines: list[bytes] = []  # the beginning of an answer of several lines
        self._size = 0  # bytes in them

    @property
    def answer_is_due(self) -> bool:
        """Whether a command is out and its answer not yet whole."""
        return self._state is not _State.OUR_TURN and self._state in _ANSWERING

    def command(self, verb: str, *words: str) -> bytes:
        """The bytes of a command, which is thereby out: the next Reply answers it.

        ``verb`` is AGI's own, such as ``STREAM FILE``; each of ``words`` arrives at Asterisk as
        one argument, whatever is in it. Raises LocalProtocolError out of turn, UnsendableWord.
        """
        if self._state is not _State.OUR_TURN:
            raise LocalProtocolError(f"{verb}: not our turn ({self._state.name})")
        line = encode_command(verb, *words)
        self._state = _State.THEIR_TURN
        return line

    def receive_data(self, data: bytes) -> list[Event]:
        """The events that ``data``, cut anywhere, completes.

        Raises RemoteProtocolError; what came before the fault in the same bytes is not told.
        """
        if b"\0" in data:
            raise RemoteProtocolError("a NUL, which Asterisk cannot send")
        data = self._rest + data
        events: list[Event] = []
        if self._state is _State.ENVIRONMENT:
            environment, data = _cut_environment(data)
            if environment is None:
                self._rest = data
                return events
            self._state = _State.OUR_TURN
            events.append(CallStarted(environment))
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            event = self._read_line(line)
            if event is not None:
                events.append(event)
        if len(self._rest) > MAX_ANSWER_BYTES:
            raise RemoteProtocolError(f"a line longer than {MAX_ANSWER_BYTES} bytes")
        return events

    def receive_eof(self) -> None:
        """The peer has closed.

        Raises RemoteProtocolError if it stopped inside the environment; who never said a word
        (a health probe, a port scan) broke nothing.
        """
        half = self._state is _State.ENVIRONMENT and self._rest
        self._state = _State.CLOSED
        if half:
            raise RemoteProtocolError(f"closed inside the environment, after {len(half)} bytes")

    def _read_line(self, line: bytes) -> Event | None:
        if len(line) > MAX_ANSWER_BYTES:
            raise RemoteProtocolError(f"a line longer than {MAX_ANSWER_BYTES} bytes")
        if self._state is _State.THEIR_TURN:
            return self._begin_answer(line)
        if self._state is _State.OUR_TURN:
            if line.startswith(_FIRST_BYTES):
                # A blank line in somebody's name ended the environment; what was before it is his.
                raise RemoteProtocolError(f"{_excerpt(line)} comes behind the environment's end")
            # What else comes unasked is the rest of a value that held a ")" at the end of a line.
            return _HUNG_UP if line == b"HANGUP" else None
        return self._continue_answer(line)

    def _begin_answer(self, line: bytes) -> Event | None:
        if line.startswith(b"200 "):
            if b"(" in line and not _ends_value(line):
                self._keep(line)
                self._state = _State.IN_VALUE
                return None
            self._state = _State.OUR_TURN
            return _ok_reply(line)
        if line == b"HANGUP":
            return _HUNG_UP
        if line.startswith(b"520-"):
            self._keep(line)
            self._state = _State.IN_USAGE
            return None
        if not (line[:3].isdigit() and line[3:4] == b" "):
            raise RemoteProtocolError(f"{_excerpt(line)} is no answer")
        if line.startswith(b"1"):
            return None  # 100 Trying: the answer is still to come
        self._state = _State.OUR_TURN
        return Reply(int(line[:3]), _text(line[4:]))

    def _continue_answer(self, line: bytes) -> Reply | None:
        self._keep(line)
        if self._state is _State.IN_VALUE:
            return _ok_reply(self._take_kept()) if _ends_value(line) else None
        # The usage itself may lack its last LF, and then the end stands on the same line.
        return Reply(USAGE, _text(self._take_kept()[4:])) if line.endswith(_USAGE_END) else None

    def _keep(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line) + 1
        if self._size > MAX_ANSWER_BYTES:
            raise RemoteProtocolError(f"an answer longer than {MAX_ANSWER_BYTES} bytes")

    def _take_kept(self) -> bytes:
        answer = b"\n".join(self._lines)
        self._lines.clear()
        self._size = 0
        self._state = _State.OUR_TURN
        return answer


def _cut_environment(data: bytes) -> tuple[dict[str, str] | None, bytes]:
    """The environment at the beginning of ``data``, None if it is not whole yet, and the rest."""
    if not data.startswith(_FIRST_BYTES[: len(data)]):
        raise RemoteProtocolError(
            f"the first line is {_excerpt(data)}, not an agi_ variable: "
            "only Asterisk's AGI(agi://...) may call this port"
        )
    end = data.find(b"\n\n", 0, MAX_ENVIRONMENT_BYTES)
    if end >= 0:
        return _parse_environment(_text(data[:end])), data[end + 2 :]
    if len(data) >= MAX_ENVIRONMENT_BYTES:
        raise RemoteProtocolError(f"an environment over {MAX_ENVIRONMENT_BYTES} bytes")
    return None, data


def _parse_environment(text: str) -> dict[str, str]:
    environment: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        before, colon, value = line.partition(":")
        if not (colon and before.startswith("agi_")):
            if not environment:
                raise RemoteProtocolError(f"{line[:40]!r} is no agi_ variable")
            environment[name] += "\n" + line  # somebody's name has a line of its own
            continue
        name = before
        if name in environment:
            # Asterisk repeats none: a line in somebody's name was made to look like a variable.
            raise RemoteProtocolError(f"{name} comes twice in the environment")
        environment[name] = value.removeprefix(" ")
    return environment


@lru_cache(maxsize=1024)  # the same prompts and keys, call after call
def encode_command(verb: str, *words: str) -> bytes:
    """A command's line. ``parse_args`` of res_agi.c undoes exactly this quoting.

    Raises UnsendableWord, with the command and the reason.
    """
    if not (verb.isascii() and verb.replace(" ", "").isalpha()):
        raise LocalProtocolError(f"{verb!r} is no AGI command")
    line = verb
    for word in words:
        if "\\" in word or '"' in word:
            word = word.replace("\\", "\\\\").replace('"', '\\"')  # noqa: PLW2901 - quoted in place
        line += f' "{word}"'
    if "\n" in line or "\r" in line or "\0" in line:
        raise UnsendableWord(f"{verb}: a word holds CR, LF or NUL, which no quoting can carry")
    try:
        encoded = line.encode() + b"\n"
    except UnicodeEncodeError as error:
        raise UnsendableWord(f"{verb}: a word is no text: {error.reason}") from error
    if len(encoded) > MAX_COMMAND_BYTES:
        raise UnsendableWord(f"{verb}: {len(encoded)} bytes, {MAX_COMMAND_BYTES} at most")
    return encoded


def _ends_value(line: bytes) -> bool:
    """Whether a value in parentheses ends in this line.

    A value that has ")" at the end of an inner line cannot be told from a whole one: cut there.
    """
    return line.endswith(b")") or b") endpos=" in line


@lru_cache(maxsize=1024)  # the same lengths of the same prompts, call after call
def _ok_reply(answer: bytes) -> Reply:
    found = _OK_ANSWER.match(answer)
    if found is None:
        return Reply(OK, _text(answer[4:]))
    result, value, endpos = found.groups()
    return Reply(
        OK,
        _text(answer[4:]),
        result.decode(errors="replace"),
        None if value is None else _text(value),
        None if endpos is None else int(endpos),
    )


def _text(data: bytes) -> str:
    """Names come as the caller's telephone wrote them, latin-1 among others."""
    return data.decode(errors="replace")


def _excerpt(line: bytes) -> str:
    return repr(_text(line.partition(b"\n")[0][:40]))
