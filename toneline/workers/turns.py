"""Which worker takes the next call: whoever has no more callers than the others comes first.

The kernel wakes all who wait at a shared socket, and the first to come has the caller: on an idle
machine always the same one, until it has them all. So a worker that is ahead of another no longer
waits there, but looks now and then whether somebody was left standing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

LOOK_S = 0.02
"""How often who is ahead looks; so long a caller waits at most if nobody else comes at all."""


class FairEndpoint:
    """A server endpoint whose port takes no more callers at once than there is `room` for.

    `room` gives how many more its worker may take until it is ahead of another; 0: it is.
    """

    def __init__(self, endpoint: Any, room: Callable[[], int], reactor: Any) -> None:
        self._endpoint = endpoint
        self._room = room
        self._reactor = reactor

    def listen(self, protocolFactory: Factory) -> Deferred[FairPort]:
        """Listen; see Twisted's IStreamServerEndpoint."""
        listening: Deferred[FairPort] = self._endpoint.listen(protocolFactory)
        return listening.addCallback(lambda port: FairPort(port, self._room, self._reactor))


class FairPort:
    """Reads a Twisted port in its reactor's place, and is the port for everybody else."""

    def __init__(self, port: Any, room: Callable[[], int], reactor: Any) -> None:
        self._port = port
        self._room = room
        self._reactor = reactor
        self._looks: Any = None
        self.fileno = port.fileno
        self.logPrefix = port.logPrefix
        port.stopReading()
        reactor.addReader(self)

    def getHost(self) -> Any:
        """Return where it listens; see Twisted's IListeningPort."""
        return self._port.getHost()

    def stopListening(self) -> Deferred[None] | None:
        """Listen no longer; see Twisted's IListeningPort."""
        self._reactor.removeReader(self)
        if self._looks is not None:
            self._looks.cancel()
            self._looks = None
        stopped: Deferred[None] | None = self._port.stopListening()
        return stopped

    def doRead(self) -> None:
        """Take who stands there, or leave him to others; see Twisted's IReadDescriptor."""
        self._take(self._room())
        if self._room() <= 0:
            self._reactor.removeReader(self)
            self._look_soon()

    def connectionLost(self, reason: Any) -> None:
        """Pass on what the reactor found; see Twisted's IReadDescriptor."""
        self._port.connectionLost(reason)

    def _take(self, most: int) -> None:
        self._port.numberAccepts = max(most, 1)  # who was left standing by everybody is taken
        self._port.doRead()

    def _look_soon(self) -> None:
        self._looks = self._reactor.callLater(LOOK_S, self._look)

    def _look(self) -> None:
        room = self._room()
        if room > 0:
            self._looks = None
            self._reactor.addReader(self)
        else:
            self._look_soon()
            self._take(room)
