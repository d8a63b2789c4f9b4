"""an SMSC to develop and test against: throttles, drops, duplicates, receipts on demand.

`SimulatorService` listens for ESMEs (SMPP 3.4) and for HTTP (`smpp.simulator_web` tells its API);
`smpp.smsc` is what happens between the two. What an ESME does wrong is answered as section 5.1.3
says.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from typing import Protocol as Interface

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from smpp import pdu as codec
from smpp.commands import (
    Bind,
    BindResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    MessageResp,
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    UnbindResp,
    status_name,
)
from smpp.connection import DelayedCall, Reactor
from smpp.simulator_web import SimulatorSite
from smpp.smsc import NO_FAULTS, Delivery, Faults, Smsc

log = structlog.get_logger()

BIND_S: Final = 30.0
"""How long a connection may take to bind."""

CUT_S: Final = 0.5
"""How long an ESME may take to read our goodbye when the simulator stops."""

RESPONSE_S: Final = 30.0
"""How long an ESME may take to answer a deliver_sm before it is sent again."""


class ServerEndpoint(Interface):
    """Twisted's IStreamServerEndpoint."""

    def listen(self, protocolFactory: Any) -> Deferred[Any]: ...  # noqa: D102 - as in IStreamServerEndpoint


class SmscProtocol(Protocol):
    """The SMSC's end of one connection."""

    transport: Any  # Twisted tells mypy its interfaces, not its transports

    def __init__(self, smsc: Smsc, connections: set[SmscProtocol]) -> None:
        self.mode: str | None = None
        self.since = smsc.clock()
        self.closed: Deferred[None] = Deferred()
        self._smsc = smsc
        self._connections = connections
        self._buffer = b""
        self._leaving = False
        self._sequence = 0
        self._unanswered: dict[int, tuple[Delivery, DelayedCall]] = {}
        self._bind_timer: DelayedCall | None = None

    @property
    def room(self) -> int:
        """How many more deliver_sm may be sent before one is answered."""
        return self._smsc.window - len(self._unanswered)

    @property
    def peer(self) -> str:
        """The ESME's address."""
        return str(getattr(self.transport.getPeer(), "host", ""))

    def connectionMade(self) -> None:
        """Wait for the bind, not for ever."""
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self.transport, True)
        self._connections.add(self)
        self._bind_timer = self._smsc.reactor.callLater(BIND_S, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """Cut PDUs and answer each."""
        found, self._buffer, broken = codec.cut(self._buffer + data)
        for octets in found:
            if self._leaving:
                return
            try:
                self._receive(codec.decode(octets))
            except codec.MalformedPdu as malformed:
                self._note(malformed)
                refusal = codec.refusal(malformed.command_id, malformed.sequence, malformed.status)
                if refusal is not None:
                    self._send(refusal)
        if broken is not None and not self._leaving:
            self._note(broken)
            self._send(GenericNack(broken.sequence, broken.status))
            self._hang_up()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's
        """Deliver elsewhere what was not answered here."""
        if self._bind_timer is not None and self._bind_timer.active():
            self._bind_timer.cancel()
        self._connections.discard(self)
        self._smsc.left(self)
        unanswered = list(self._unanswered.values())
        self._unanswered.clear()
        for _, timer in unanswered:
            timer.cancel()
        self._smsc.put_back([delivery for delivery, _ in unanswered])
        self.closed.callback(None)

    def deliver(self, delivery: Delivery) -> None:
        """Send one deliver_sm and wait for its answer."""
        self._sequence = self._sequence % 0x7FFF_FFFF + 1
        timer = self._smsc.reactor.callLater(RESPONSE_S, self._unheard, self._sequence)
        self._unanswered[self._sequence] = (delivery, timer)
        self._send(delivery.message._replace(sequence=self._sequence))

    def unbind(self) -> None:
        """Say goodbye, then close."""
        if self.mode is not None:
            self._sequence = self._sequence % 0x7FFF_FFFF + 1
            self._send(Unbind(self._sequence))
        self._hang_up()

    # ---- PDUs

    def _receive(self, received: Pdu) -> None:
        if isinstance(received, Bind):
            self._bind(received)
        elif isinstance(received, SubmitSm | DataSm):
            self._submit(received)
        elif isinstance(received, DeliverSmResp | GenericNack):
            self._answered(received.sequence, received.status)
        elif isinstance(received, EnquireLink):
            self._send(EnquireLinkResp(received.sequence))
        elif isinstance(received, Unbind):
            self._send(UnbindResp(received.sequence))
            self._hang_up()
        elif isinstance(received, DeliverSm):
            self._send(DeliverSmResp(received.sequence, Status.RINVCMDID))

    def _bind(self, bind: Bind) -> None:
        smsc = self._smsc
        status = Status.ROK
        if self.mode is not None:
            status = Status.RALYBND
        elif bind.system_id != smsc.system_id:
            status = Status.RINVSYSID
        elif bind.password != smsc.password:
            status = Status.RINVPASWD
        tlvs = ((Tag.SC_INTERFACE_VERSION, b"\x34"),) if status == Status.ROK else ()
        self._send(BindResp(bind.sequence, status, "simulator", bind.mode, tlvs))
        if status != Status.ROK:
            smsc.counts["binds_refused"] += 1
            log.warning("simulator_bind_refused", status=status_name(status))
            return
        self.mode = bind.mode
        if self._bind_timer is not None:
            self._bind_timer.cancel()
        smsc.bound(self)

    def _submit(self, message: SubmitSm | DataSm) -> None:
        smsc = self._smsc
        response = SubmitSmResp if isinstance(message, SubmitSm) else DataSmResp
        if self.mode not in ("transceiver", "transmitter"):
            self._send(response(message.sequence, Status.RINVBNDSTS))
            return
        if not message.destination_addr:
            self._send(response(message.sequence, Status.RINVDSTADR))
            return
        smsc.counts["submitted"] += 1
        faults, count = smsc.faults, smsc.counts["submitted"]
        if faults.drop_every and count % faults.drop_every == 0:
            self._leaving = True
            self.transport.abortConnection()
            return
        if faults.throttle_every and count % faults.throttle_every == 0:
            smsc.counts["throttled"] += 1
            self._respond(response(message.sequence, Status.RTHROTTLED))
            return
        self._respond(response(message.sequence, Status.ROK, smsc.accept(message)))

    def _respond(self, response: MessageResp) -> None:
        if self._smsc.faults.response_delay_s:
            self._smsc.later(self._smsc.faults.response_delay_s, self._send, response)
        else:
            self._send(response)

    def _answered(self, sequence: int, status: int) -> None:
        waiting = self._unanswered.pop(sequence, None)
        if waiting is not None:
            waiting[1].cancel()
            self._smsc.answered(waiting[0], status)
            self._smsc.pump()

    def _unheard(self, sequence: int) -> None:
        delivery, _ = self._unanswered.pop(sequence)
        self._smsc.answered(delivery, Status.RX_T_APPN)

    def _send(self, pdu: Pdu) -> None:
        if not self.closed.called:
            self.transport.write(codec.encode(pdu))

    def _hang_up(self) -> None:
        self._leaving = True
        self._smsc.left(self)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _note(self, malformed: codec.MalformedPdu) -> None:
        self._smsc.counts["malformed"] += 1
        log.warning("simulator_malformed_pdu", why=str(malformed))


class SimulatorService(Service):
    """The simulator's two ports."""

    def __init__(
        self,
        smpp_endpoint: ServerEndpoint,
        http_endpoint: ServerEndpoint,
        reactor: Reactor,
        *,
        system_id: str,
        password: str,
        clock: Callable[[], datetime],
        receipt_delay_s: float = 0.2,
        retry_s: float = 1.0,
        window: int = 10,
        faults: Faults = NO_FAULTS,
    ) -> None:
        """`clock` gives aware times; `window` is how many deliver_sm a bind may leave unanswered.

        `retry_s` is the pause before a deliver_sm that was refused for now is sent again.
        """
        self.smsc = Smsc(
            reactor,
            clock,
            system_id=system_id,
            password=password,
            faults=faults,
            receipt_delay_s=receipt_delay_s,
            retry_s=retry_s,
            window=window,
        )
        self._smpp_endpoint = smpp_endpoint
        self._http_endpoint = http_endpoint
        self._connections: set[SmscProtocol] = set()
        self._ports: list[Any] = []
        self._bound: Deferred[None] | None = None

    def health(self) -> tuple[bool, str]:
        """Whether both ports are open, and a word about who is bound."""
        return len(
            self._ports
        ) == 2, f"{len(self.smsc.binds)} bound, {self.smsc.waiting} to deliver"

    def startService(self) -> None:
        """Bind both ports; see `bound`."""
        super().startService()
        self._bound = Deferred.fromCoroutine(self._listen())

    async def bound(self) -> tuple[Any, Any]:
        """Wait until both ports are bound; return their addresses (SMPP, HTTP) or raise why not."""
        if self._bound is None:
            raise RuntimeError("the simulator is not started")
        await self._bound
        smpp, http = self._ports
        return smpp.getHost(), http.getHost()

    def stopService(self) -> Deferred[None]:
        """Close the ports, unbind everyone, wait for nobody."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _listen(self) -> None:
        factory = Factory.forProtocol(lambda: SmscProtocol(self.smsc, self._connections))
        self._ports.append(await self._smpp_endpoint.listen(factory))
        self._ports.append(await self._http_endpoint.listen(SimulatorSite(self.smsc)))

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            await port.stopListening()
        self.smsc.stop()
        for connection in list(self._connections):
            connection.unbind()
            cut = self.smsc.reactor.callLater(CUT_S, connection.transport.abortConnection)
            await connection.closed
            if cut.active():
                cut.cancel()
