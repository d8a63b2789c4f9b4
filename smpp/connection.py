"""The Twisted protocol under a session: bytes, deadlines, the end of a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from typing import Protocol as Interface

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from smpp.commands import Bind
from smpp.events import Event
from smpp.session import Session
from smpp.states import State

READ_ON_S: Final = 0.001
"""How long one connection may be read, time and again, before the reactor turns to others."""

_READ_SIZE: Final = 65_536  # octets at a time, as Twisted reads

ABORT_S: Final = 5.0
"""How long a peer may take to read our last words before the connection is cut."""


class DelayedCall(Interface):
    """What Twisted's callLater returns."""

    def cancel(self) -> None: ...  # noqa: D102
    def active(self) -> bool: ...  # noqa: D102


class Reactor(Interface):
    """What is needed of a reactor."""

    def callLater(  # noqa: D102
        self, delay: float, callable: Callable[..., object], *args: object
    ) -> Any: ...


class Alarm:
    """One delayed call at the next of many deadlines (monotonic seconds)."""

    def __init__(
        self, reactor: Reactor, monotonic: Callable[[], float], ring: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._monotonic = monotonic
        self._ring = ring
        self._call: DelayedCall | None = None
        self._at = float("inf")

    def set(self, deadline: float | None) -> None:
        """Ring at `deadline` or earlier: an earlier call stands, since ringing in vain is cheap."""
        if deadline is None or (self._call is not None and self._at <= deadline):
            return
        self.cancel()
        self._at = deadline
        delay = max(0.0, min(deadline - self._monotonic(), 86_400.0))
        self._call = self._reactor.callLater(delay, self._fire)

    def cancel(self) -> None:
        """Ring no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _fire(self) -> None:
        self._call = None
        self._ring()


class EsmeProtocol(Protocol):
    """Carries bytes and deadlines between a connection and its session."""

    transport: Any  # Twisted tells mypy its interfaces, not its transports

    def __init__(
        self,
        session: Session,
        bind: Bind,
        reactor: Reactor,
        monotonic: Callable[[], float],
        on_events: Callable[[list[Event]], None],
    ) -> None:
        self.session = session
        self.is_closed = False
        self._telling = False
        self._is_direct = False
        self._is_paused = False
        self._socket: Any = None
        self._half = session.window  # in PDUs: each MO gets two, its response and an answer
        self._waiting: list[Deferred[None]] = []
        self._bind = bind
        self._monotonic = monotonic
        self._on_events = on_events
        self._reactor = reactor
        self._alarm = Alarm(reactor, monotonic, self._expire)
        self._abort: DelayedCall | None = None

    def connectionMade(self) -> None:
        """Bind at once."""
        # Without it our deliver_sm_resp would hold back the next submit_sm for 40 ms.
        self.transport.setTcpNoDelay(True)
        self._socket = self.transport.getHandle()
        self._is_direct = not ISSLTransport.providedBy(self.transport)
        self.transport.registerProducer(self, True)
        self.session.bind(self._bind, self._monotonic())
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        """Feed the session, then with what came meanwhile: the reactor's turns cost as PDUs do."""
        now = self._monotonic()
        until = now + READ_ON_S
        while data:
            self._tell(self.session.receive_data(data, now))
            now = self._monotonic()
            data = self._read() if now < until else b""
        self.flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell what was under way, and whoever waits for the end."""
        self.is_closed = True
        self._alarm.cancel()
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        # Anything else is worth reading: what TLS finds wrong with a certificate.
        usual = reason.check(ConnectionDone, ConnectionLost, ConnectionAborted)
        why = "" if usual else f": {reason.getErrorMessage()}"
        self._on_events(self.session.connection_lost(f"connection lost{why}"))
        waiting, self._waiting = self._waiting, []
        for closed in waiting:
            closed.callback(None)

    def closed(self) -> Deferred[None]:
        """Fire when the connection is gone; cancelling it only ends the waiting."""
        if self.is_closed:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def answer(self, sequence: int, status: int) -> bool:
        """Answer what came in on this connection; False if that cannot be done any more."""
        answered = self.session.answer(sequence, status)
        self.flush()
        return answered

    def flush(self) -> None:
        """Write what the session has to say; what events cause leaves at once, after them."""
        if self._telling:
            # It is to work on the first half of its window while we do on the second.
            if self.session.unsent >= self._half:
                self._send()
            return
        self._send()
        if self.session.state is not State.CLOSED:
            self._alarm.set(self.session.next_deadline())
        elif self._abort is None and not self.is_closed:
            self._alarm.cancel()
            # A peer that reads nothing would keep the connection open for ever.
            self._abort = self._reactor.callLater(ABORT_S, self.transport.abortConnection)
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def _read(self) -> bytes:
        """Return what has come already; nothing if there is none, or Twisted has to look itself."""
        if not self._is_direct or self._is_paused or self.session.state is State.CLOSED:
            return b""
        try:
            octets: bytes = self._socket.recv(_READ_SIZE)
        except OSError:  # nothing yet, or broken
            return b""
        return octets

    def _send(self) -> None:
        octets = self.session.data_to_send()
        if not octets:
            return
        # transport.write sends on the reactor's next turn, which takes four system calls more.
        if self._is_direct:
            try:
                sent = self._socket.send(octets)
            except OSError:  # full or broken: Twisted waits, or finds out
                sent = 0
            if sent == len(octets):
                return
            octets = octets[sent:]
            self._is_direct = False  # what it holds back must leave first
        self.transport.write(octets)

    def pauseProducing(self) -> None:
        """Read no more from an SMSC that does not read our answers."""
        # Before, it is TLS that pauses us: its handshake has to be read.
        if self.session.state is State.BOUND:
            self._is_paused = True
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        self._is_paused = False
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Nothing to stop: the session only answers."""

    def _expire(self) -> None:
        self._tell(self.session.expire(self._monotonic()))
        self.flush()

    def _tell(self, events: list[Event]) -> None:
        self._telling = True
        try:
            self._on_events(events)
        finally:
            self._telling = False
        self._send()
