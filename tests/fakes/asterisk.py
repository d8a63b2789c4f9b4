"""Asterisk's side of AGI, played by a test: over TCP, or in memory for a channel alone.

``parse_words`` unquotes a command as Asterisk's own ``parse_args`` does, written from its rules and
not from our quoting.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ivr.channel import Channel
from tests.reactor import reactor


def environment(
    extension: str = "12530019", caller: str = "13905250001", **variables: str
) -> bytes:
    """The bytes with which Asterisk 22 opens a call; ``variables`` replaces or adds agi_ lines."""
    values = {
        "network": "yes",
        "network_script": "",
        "request": "agi://127.0.0.1:4573/",
        "channel": "PJSIP/trunk-00000001",
        "language": "zh_CN",
        "type": "PJSIP",
        "uniqueid": f"1763800000.{caller[-4:]}",
        "version": "22.10.1",
        "callerid": caller,
        "calleridname": "unknown",
        "callingpres": "0",
        "callingani2": "0",
        "callington": "0",
        "callingtns": "0",
        "dnid": extension,
        "rdnis": "unknown",
        "context": "toneline",
        "extension": extension,
        "priority": "1",
        "enhanced": "0.0",
        "accountcode": "",
        "threadid": "139912345678",
        **variables,
    }
    lines = [f"agi_{name}: {value}\n" for name, value in values.items()]
    return ("".join(lines) + "\n").encode()


def parse_words(line: bytes) -> list[str]:
    """A command's words as Asterisk sees them: quotes toggle, a backslash takes what follows."""
    words: list[bytearray] = []
    in_word = in_quotes = escaped = False
    for byte in line:
        character = bytes([byte])
        if escaped:
            escaped = False
        elif character == b"\\":
            escaped = True
            continue
        elif character == b'"':
            in_quotes = not in_quotes
            if in_quotes and not in_word:
                words.append(bytearray())
                in_word = True
            continue
        elif character in b" \t" and not in_quotes:
            in_word = False
            continue
        if not in_word:
            words.append(bytearray())
            in_word = True
        words[-1] += character
    return [word.decode() for word in words]


class FakeAsterisk(Protocol):
    """One call over TCP. Commands are read with :meth:`command` or :meth:`answer_with`."""

    def __init__(self) -> None:
        self.received = b""
        self.is_closed = False
        self._commands: list[str] = []
        self._reader: Deferred[str] | None = None
        self._closing: list[Deferred[None]] = []

    @classmethod
    async def connect(cls, port: int, address: str = "127.0.0.1") -> FakeAsterisk:
        """Connect to the voice server and say nothing yet; ``address`` is where from."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, bindAddress=(address, 0))
        call = cls()
        await connectProtocol(endpoint, call)
        return call

    @classmethod
    async def dial(
        cls, port: int, extension: str = "12530019", caller: str = "13905250001", **more: str
    ) -> FakeAsterisk:
        """Connect and send the environment of a call."""
        call = await cls.connect(port)
        call.send(environment(extension, caller, **more))
        return call

    def send(self, data: bytes) -> None:
        self._transport.write(data)

    def hang_up(self) -> None:
        """The caller hangs up while no command is running."""
        self.send(b"HANGUP\n")

    def close(self) -> None:
        self._transport.loseConnection()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self._transport.abortConnection()

    async def command(self) -> str:
        """The next command as it came, without its LF; ConnectionError once the line is closed."""
        if self._commands:
            return self._commands.pop(0)
        if self.is_closed:
            raise ConnectionError("the voice server has closed the connection")
        self._reader = Deferred()
        return await self._reader

    async def answer_with(self, answer: str) -> str:
        """Wait for the next command, send ``answer`` and LF; returns the command."""
        command = await self.command()
        self.send(answer.encode() + b"\n")
        return command

    async def closed(self) -> None:
        """Wait until the voice server has closed the connection."""
        if not self.is_closed:
            closing: Deferred[None] = Deferred()
            self._closing.append(closing)
            await closing

    @property
    def unread(self) -> list[str]:
        """Commands that came and were not read yet."""
        return list(self._commands)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        *lines, self.received = self.received.split(b"\n")
        self._commands += [line.decode() for line in lines]
        if self._reader is not None and self._commands:
            reader, self._reader = self._reader, None
            reader.callback(self._commands.pop(0))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_closed = True
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.errback(ConnectionError("the voice server has closed the connection"))
        closing, self._closing = self._closing, []
        for waiting in closing:
            waiting.callback(None)

    @property
    def _transport(self) -> Any:
        return self.transport


class MemoryTransport:
    """The TCP connection of a :class:`MemoryCall`; it closes at once."""

    def __init__(self, protocol: Protocol) -> None:
        self.written = b""
        self.is_closed = False
        self.room = 65_536  # bytes the socket takes at once
        self._protocol = protocol

    def getHandle(self) -> MemoryTransport:
        return self

    def send(self, data: bytes) -> int:
        if not self.room:
            raise BlockingIOError
        self.written += data[: self.room]
        return len(data[: self.room])

    def write(self, data: bytes) -> None:
        self.written += data

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def loseConnection(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._protocol.connectionLost(connectionDone)

    def abortConnection(self) -> None:
        self.loseConnection()


class MemoryCall:
    """A channel on a transport in memory: what it writes is read with :meth:`take`."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.transport = MemoryTransport(channel)
        channel.makeConnection(self.transport)

    def receive(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.channel.dataReceived(chunk)

    def start(self) -> None:
        self.receive(environment())

    def take(self) -> list[str]:
        """The lines written since the last time."""
        lines = self.transport.written.decode().split("\n")[:-1]
        self.transport.written = b""
        return lines

    def close(self) -> None:
        """Asterisk closes the connection."""
        self.transport.loseConnection()
