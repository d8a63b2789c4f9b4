"""An ESME service over wires in memory, on a clock that the test moves on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock

from config.settings import Smsc as Settings
from smpp import pdu
from smpp.bind import Backoff
from smpp.commands import Bind, BindResp, DeliverSm, Pdu, Status, SubmitSm, SubmitSmResp
from smpp.esme import EsmeService
from smpp.messages import LateResponse, MoMessage, MtMessage, SubmitResult
from smpp.receipt import Receipt

MO = DeliverSm(5, "8613905250001", "12530019", b"CX")
MT = MtMessage("12530019", "8613905250001", "Y", 1)


class Socket:
    """What the SMSC reads; `room`: the octets that it takes until it reads on.

    `coming` is what it sends while what came before is still worked on.
    """

    def __init__(self) -> None:
        self.octets = b""
        self.room = 65_536
        self.coming: list[bytes] = []

    def recv(self, size: int) -> bytes:
        if not self.coming:
            raise BlockingIOError
        octets = self.coming.pop(0)
        assert len(octets) <= size
        return octets

    def send(self, octets: bytes) -> int:
        if not self.room:
            raise BlockingIOError
        taken = octets[: self.room]
        self.room -= len(taken)
        self.octets += taken
        return len(taken)


class Wire:
    """The transport of one connection, and the SMSC at its other end."""

    def __init__(self, factory: Any, lets_go: bool) -> None:
        self.calls: list[str] = []
        self.socket = Socket()
        self._held = b""
        self._lets_go = lets_go
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self)

    def setTcpNoDelay(self, enabled: bool) -> None:
        assert enabled

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming

    def unregisterProducer(self) -> None:
        self.calls.append("unregistered")

    def pauseProducing(self) -> None:
        self.calls.append("paused")

    def resumeProducing(self) -> None:
        self.calls.append("resumed")

    def getHandle(self) -> Socket:
        return self.socket

    def write(self, octets: bytes) -> None:
        self._held += octets

    def loseConnection(self) -> None:
        self.calls.append("lost")
        if self._lets_go:
            self.close()

    def abortConnection(self) -> None:
        self.calls.append("aborted")
        self.close()

    def close(self) -> None:
        self.protocol.connectionLost(connectionDone)

    def send(self, *values: Pdu) -> None:
        self.protocol.dataReceived(b"".join(pdu.encode(value) for value in values))

    def sent(self) -> list[Pdu]:
        """Return what was sent since the last time it was asked for."""
        found, self.socket.octets, _ = pdu.cut(self.socket.octets + self._held)
        self._held = b""
        return [pdu.decode(octets) for octets in found]

    def accept_bind(self, system_id: str = "") -> None:
        """Answer the bind request."""
        (request,) = self.sent()
        assert isinstance(request, Bind)
        self.send(BindResp(request.sequence, Status.ROK, system_id, request.mode))

    def accept(self, count: int | None = None) -> list[int]:
        """Answer the submit_sm sent, or the first `count`; return all sequence numbers."""
        sequences = [one.sequence for one in self.sent() if isinstance(one, SubmitSm)]
        self.send(*(SubmitSmResp(sequence, 0, f"{sequence}") for sequence in sequences[:count]))
        return sequences


class House:
    """A service whose SMSC, clock and application are the test's."""

    def __init__(self, lets_go: bool = True, **changes: Any) -> None:
        self.clock = Clock()
        self.wires: list[Wire] = []
        self.mos: list[MoMessage] = []
        self.receipts: list[tuple[str, Receipt]] = []
        self.late: list[LateResponse] = []
        self.ready = 0
        self.unreachable: list[Exception] = []
        self.answer: Callable[[], Awaitable[int]] = lambda: succeed(int(Status.ROK))
        self._lets_go = lets_go
        values = {"name": "smsc1", "host": "h", "system_id": "toneline", "password": "secret"}
        self.esme = EsmeService(
            self,
            Settings(**{**values, **changes}),
            self.clock,
            self._on_mo,
            self._on_receipt,
            self._on_ready,
            self.late.append,
            clock=lambda: datetime(2026, 11, 22, 10, 0, tzinfo=UTC),
            monotonic=self.clock.seconds,
            jitter=lambda: 0.0,
            backoff=Backoff(1.0, 4.0),
        )

    def connect(self, factory: Any) -> Deferred[Any]:
        if self.unreachable:
            return fail(self.unreachable.pop(0))
        self.wires.append(Wire(factory, self._lets_go))
        return succeed(self.wires[-1].protocol)

    def bind(self) -> Wire:
        """Start, accept every bind, and return the last one's wire."""
        self.esme.startService()
        for wire in self.wires:
            wire.accept_bind()
        return self.wires[-1]

    async def _on_mo(self, message: MoMessage) -> int:
        self.mos.append(message)
        return await self.answer()

    async def _on_receipt(self, smsc: str, receipt: Receipt) -> int:
        self.receipts.append((smsc, receipt))
        return await self.answer()

    def _on_ready(self) -> None:
        self.ready += 1


def result(waiting: Deferred[SubmitResult]) -> SubmitResult:
    """Return what became of a message; it must be settled."""
    assert waiting.called
    found = waiting.result
    assert isinstance(found, SubmitResult)
    return found


def outcomes(waiting: Deferred[SubmitResult]) -> list[str]:
    """Return what became of each part; the message must be settled."""
    return [part.outcome for part in result(waiting).parts]


def done(waiting: Deferred[Any]) -> bool:
    return bool(waiting.called)
