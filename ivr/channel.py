"""Typed verbs over one AGI connection (Twisted protocol): answer, play, read digits, hang up.

A call's coroutine awaits one verb after the other. Hang-up is :class:`CallerHungUp`, raised at the
verb that is being awaited or at the next one, whatever showed it: a HANGUP line, a -1, a 511 or a
closed connection. What Asterisk still does for a caller who is gone (:meth:`Channel.set_variable`,
:meth:`Channel.get_variable`, :meth:`Channel.execute`) works until the connection is closed, so that
a call's record can be tagged from its ``finally``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ivr import agi

ALL_KEYS = "0123456789*#"

_KEYS = {str(ord(key)): key for key in ALL_KEYS + "ABCD"}
_SAMPLES_PER_MS = 8  # STREAM FILE counts samples of 8 kHz sound


class CallerHungUp(Exception):
    """The caller is gone, or the connection to Asterisk is."""


class CallTooLong(Exception):
    """The call has reached its longest duration: raised once, by the next verb, to say goodbye."""


class SoundMissing(Exception):
    """Asterisk has no such sound, or cannot read it."""

    def __init__(self, sound: str) -> None:
        super().__init__(f"Asterisk cannot play {sound}")
        self.sound = sound


class CommandRefused(Exception):
    """Asterisk does not know a command, its syntax or its application."""

    def __init__(self, command: str, reply: agi.Reply) -> None:
        super().__init__(f"{command}: {reply.code} {reply.text}")
        self.command = command
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Played:
    """A sound that was played until ``end_ms`` of it, to its end or to a key."""

    digit: str | None
    end_ms: int


class Socket(Interface):
    """A socket that does not block."""

    def send(self, data: bytes) -> int: ...  # noqa: D102 - as in socket.socket


class TcpTransport(Interface):
    """What a channel needs of Twisted's ITCPTransport, in a form that mypy can read."""

    def write(self, data: bytes) -> None: ...  # noqa: D102 - as in ITransport
    def loseConnection(self) -> None: ...  # noqa: D102 - as in ITransport
    def abortConnection(self) -> None: ...  # noqa: D102 - as in ITCPTransport
    def setTcpNoDelay(self, enabled: bool) -> None: ...  # noqa: D102 - as in ITCPTransport
    def getHandle(self) -> Socket: ...  # noqa: D102 - as in ISystemHandle


class Channel(Protocol):
    """One call's AGI connection.

    ``environment`` is what Asterisk told at the start, by the names it sends (`agi_extension`,
    `agi_arg_1`); ``hung_up`` says whether the caller is known to be gone; ``fault`` is the peer's
    breach of the protocol, if there was one. ``observe_turnaround`` is told the seconds from each
    of Asterisk's answers to our next command by ``seconds``: in that time a digit would be lost.
    """

    transport: TcpTransport  # type: ignore[assignment]  # Twisted's zope interface, which mypy misreads

    def __init__(
        self,
        seconds: Callable[[], float],
        observe_turnaround: Callable[[float], None] | None = None,
    ) -> None:
        self.environment: Mapping[str, str] = {}
        self.hung_up = False
        self.fault: agi.RemoteProtocolError | None = None
        self._seconds = seconds
        self._observe_turnaround = observe_turnaround
        self._turn_began_s = 0.0
        self._dialogue = agi.Dialogue()
        self._writable = False
        self._too_long = False
        self._started: Deferred[bool] = Deferred()
        self._closed: Deferred[None] = Deferred()
        self._answer: Deferred[agi.Reply] | None = None  # what a verb is awaiting
        self._verb = ""

    # Verbs.

    async def answer(self) -> None:
        """Answer the call; Asterisk waits up to 500 ms for the caller's first sound."""
        self._raise_if_gone(await self._ask("ANSWER"))

    async def progress(self) -> None:
        """Open the way for sound without answering (early media)."""
        await self.execute("Progress")

    async def play(self, sound: str, stop_on: str = ALL_KEYS, from_ms: int = 0) -> Played:
        """Play ``sound``, a path without its ending, to its end or to a key of ``stop_on``.

        Raises CallerHungUp, CallTooLong, SoundMissing.
        """
        offset = str(from_ms * _SAMPLES_PER_MS)
        reply = await self._ask("STREAM FILE", sound, stop_on, offset)
        if reply.result == "-1" and not reply.endpos:
            # A missing file, or a hang-up before the first sample, whose HANGUP line may still be
            # on its way. Asterisk looks at the caller before it reads the next command, and answers
            # this one to live channels only: either HANGUP or 511 comes first, or it is the file.
            await self._ask("CHANNEL STATUS")
            raise SoundMissing(sound)
        self._raise_if_gone(reply)
        return Played(_key(reply), (reply.endpos or 0) // _SAMPLES_PER_MS)

    async def wait_for_digit(self, timeout_ms: int) -> str | None:
        """The key pressed within ``timeout_ms``, or None."""
        reply = await self._ask("WAIT FOR DIGIT", str(timeout_ms))
        self._raise_if_gone(reply)
        return _key(reply)

    async def set_variable(self, name: str, value: str) -> None:
        """Set a variable or function such as ``CDR(userfield)``; also after hang-up."""
        await self._ask("SET VARIABLE", name, value)

    async def get_variable(self, name: str) -> str | None:
        """A variable's value, None if it is not set; also after hang-up."""
        reply = await self._ask("GET VARIABLE", name)
        return (reply.value or "") if reply.result == "1" else None

    async def execute(self, application: str, *arguments: str) -> int:
        """Run a dialplan application and return its result; also after hang-up.

        Raises CommandRefused if Asterisk has no such application, agi.UnsendableWord for an
        argument with a comma, which separates an application's arguments.
        """
        if any("," in argument for argument in arguments):
            raise agi.UnsendableWord(f"EXEC {application}: an argument holds a comma")
        words = (",".join(arguments),) if arguments else ()
        reply = await self._ask("EXEC", application, *words)
        self._raise_if_gone(reply)
        if reply.result == "-2":
            raise CommandRefused(f"EXEC {application}", reply)
        return _number(reply)

    async def hang_up(self) -> None:
        """Hang up the caller, if he has not done so himself."""
        self._too_long = False
        with suppress(CallerHungUp):
            await self._ask("HANGUP")
        self.hung_up = True

    # The connection's life, for the listener.

    async def environment_arrives(self) -> bool:
        """Wait for the environment; False if the connection ended before."""
        return await self._started

    async def closes(self) -> None:
        """Wait for the connection's end."""
        await self._closed

    def raise_too_long(self) -> None:
        """Let the next verb raise CallTooLong; the one being awaited ends as usual."""
        self._too_long = True

    def close(self) -> None:
        """Close the connection: Asterisk goes on in its dialplan."""
        if self._writable:
            self._writable = False
            self.transport.loseConnection()

    def cut(self, fault: agi.RemoteProtocolError | None = None) -> None:
        """Close the connection at once; the verb being awaited raises CallerHungUp."""
        self.fault = self.fault or fault
        self._writable = False
        self.transport.abortConnection()

    # Twisted's side.

    def connectionMade(self) -> None:
        """Twisted: a connection was accepted."""
        self._writable = True
        self.transport.setTcpNoDelay(True)  # else an answer's ACK may hold a command for 40 ms

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        try:
            events = self._dialogue.receive_data(data)
        except agi.RemoteProtocolError as fault:
            self.cut(fault.with_traceback(None))  # whose frames would hold this channel
            return
        if self._observe_turnaround is not None:
            self._turn_began_s = self._seconds()
        for event in events:
            if isinstance(event, agi.Reply):
                self._end_answer(event)
            elif isinstance(event, agi.HungUp):
                self._note_hang_up()
            else:
                self.environment = event.environment
                self._started.callback(True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's
        """Twisted: the connection is closed; a reset after the call is no error either."""
        if self._writable:
            self._note_eof()
        self._writable = False
        self.hung_up = True
        if not self._started.called:
            self._started.callback(False)
        self._fail_answer(CallerHungUp("the connection is closed"))
        self._closed.callback(None)

    def _note_eof(self) -> None:
        try:
            self._dialogue.receive_eof()
        except agi.RemoteProtocolError as fault:
            self.fault = fault.with_traceback(None)

    # One command and its answer.

    async def _ask(self, verb: str, *words: str) -> agi.Reply:
        if self._answer is not None:
            raise agi.LocalProtocolError(f"{verb}: {self._verb} is still being awaited")
        self._raise_if_over(verb)
        while self._dialogue.answer_is_due:
            # The verb before this one was cancelled, or left by a hang-up: its answer comes first.
            await self._next_reply(verb)
            self._raise_if_over(verb)
        self._write(self._dialogue.command(verb, *words))
        reply = await self._next_reply(verb)
        if reply.code == agi.OK:
            return reply
        if reply.code == agi.DEAD_CHANNEL:
            self.hung_up = True
            raise CallerHungUp(f"{verb}: the channel is dead")
        raise CommandRefused(verb, reply)

    def _raise_if_over(self, verb: str) -> None:
        if not self._writable:
            raise CallerHungUp(f"{verb}: the connection is closed")
        if verb in agi.WORKS_AFTER_HANG_UP:
            return
        if self.hung_up:
            raise CallerHungUp(f"{verb}: the caller has hung up")
        if self._too_long:
            self._too_long = False
            raise CallTooLong(f"{verb}: the call has reached its longest duration")

    def _raise_if_gone(self, reply: agi.Reply) -> None:
        if reply.result == "-1":
            self.hung_up = True
            raise CallerHungUp(f"{self._verb} was ended by the hang-up")

    def _write(self, command: bytes) -> None:
        # Sent here and not by transport.write, which sends on the reactor's next turn: the caller's
        # digits wait for this. Nothing can be before it, Asterisk has had the last command whole.
        try:
            sent = self.transport.getHandle().send(command)
        except OSError:  # full or broken: Twisted waits, or finds out
            sent = 0
        if sent < len(command):
            self.transport.write(command[sent:])
        if self._observe_turnaround is not None:
            self._observe_turnaround(self._seconds() - self._turn_began_s)

    def _next_reply(self, verb: str) -> Deferred[agi.Reply]:
        self._verb = verb
        self._answer = Deferred(self._forget_answer)
        return self._answer

    def _forget_answer(self, _cancelled: Deferred[agi.Reply]) -> None:
        self._answer = None

    def _end_answer(self, reply: agi.Reply) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.callback(reply)

    def _fail_answer(self, error: CallerHungUp) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.errback(error)

    def _note_hang_up(self) -> None:
        self.hung_up = True
        if self._verb not in agi.WORKS_AFTER_HANG_UP:
            self._fail_answer(CallerHungUp(f"the caller has hung up during {self._verb}"))


def _key(reply: agi.Reply) -> str | None:
    """The key whose ASCII code is the result, None for 0."""
    if reply.result == "0":
        return None
    if reply.result not in _KEYS:
        raise agi.RemoteProtocolError(f"{reply.text!r} names no key")
    return _KEYS[reply.result]


def _number(reply: agi.Reply) -> int:
    try:
        return int(reply.result)
    except ValueError as error:
        raise agi.RemoteProtocolError(f"{reply.text!r} has no number") from error
