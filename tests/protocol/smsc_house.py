"""An ESME service and the built-in SMSC over real TCP, with the test as application."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred, DeferredQueue, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

from config.settings import Smsc as Settings
from smpp import pdu
from smpp.bind import Backoff
from smpp.commands import (
    Pdu,
    Status,
)
from smpp.esme import EsmeService
from smpp.messages import LateResponse, MoMessage, MtMessage
from smpp.receipt import Receipt
from smpp.simulator import SimulatorService
from smpp.smsc_rules import Profile, ReceiptForm, Rule, Script
from tests.reactor import reactor, run_in_reactor

NUMBER = "8613905250001"
LINE = "12530019"


def settings(port: int, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "name": "test", "host": "127.0.0.1", "port": port,
        "system_id": "toneline", "password": "secret", **changes,
    }  # fmt: skip
    return Settings(**values)


async def turn() -> None:
    """Let the reactor go round once."""
    again: Deferred[None] = Deferred()
    reactor.callLater(0, again.callback, None)
    await again


class Application:
    """Takes what an ESME service brings, and answers as told."""

    def __init__(self) -> None:
        self.mos: DeferredQueue[MoMessage] = DeferredQueue()
        self.receipts: DeferredQueue[Receipt] = DeferredQueue()
        self.ready: DeferredQueue[None] = DeferredQueue()
        self.late: list[LateResponse] = []
        self.answers: list[Deferred[int]] = []

    async def on_mo(self, message: MoMessage) -> int:
        answer = self.answers.pop(0) if self.answers else succeed(int(Status.ROK))
        self.mos.put(message)
        return await answer

    async def on_receipt(self, smsc: str, receipt: Receipt) -> int:
        self.receipts.put(receipt)
        return Status.ROK

    def on_ready(self) -> None:
        self.ready.put(None)

    async def bound_again(self) -> None:
        self.ready.pending.clear()
        await self.ready.get()


class Wire(Protocol):
    """A bare connection: PDUs one by one for a test that plays one side itself."""

    transport: Any

    def __init__(self) -> None:
        self.pdus: DeferredQueue[Pdu] = DeferredQueue()
        self.ended: Deferred[bytes] = Deferred()
        self._octets = b""
        self._rest = b""

    def dataReceived(self, data: bytes) -> None:
        self._octets += data
        found, self._rest, _ = pdu.cut(self._rest + data)
        for octets in found:
            self.pdus.put(pdu.decode(octets))

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(self._octets)

    def send(self, *values: Pdu) -> None:
        self.transport.write(b"".join(pdu.encode(value) for value in values))


class House:
    """A simulator and, if asked for, an ESME service bound to it."""

    def __init__(self, *faults: Rule) -> None:
        self.application = Application()
        self._faults = faults
        self.esme: EsmeService | None = None

    async def open(self, bind: bool = True, endpoint: Any = None, **changes: Any) -> None:
        """Open the simulator, on another endpoint if given, and bind to it with such settings."""
        script = Script(
            smsc=Profile(retry_s=0.01), receipt=ReceiptForm(delay_s=0.0), rules=self._faults
        )
        self.simulator = SimulatorService(
            endpoint or TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
            TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
            reactor,
            system_id="toneline",
            password="secret",
            clock=lambda: datetime.now(UTC),
            script=script,
        )
        self.simulator.startService()
        smpp, http = await self.simulator.bound()
        self.smpp_port, self.http_port = smpp.port, http.port
        if bind:
            self.start_esme(**changes)
            await self.application.ready.get()

    def start_esme(self, endpoint: Any = None, **changes: Any) -> EsmeService:
        """Begin to bind, through another endpoint if given, with such settings."""
        application = self.application
        self.esme = EsmeService(
            endpoint or TCP4ClientEndpoint(reactor, "127.0.0.1", self.smpp_port),
            settings(self.smpp_port, **changes),
            reactor,
            application.on_mo,
            application.on_receipt,
            application.on_ready,
            application.late.append,
            clock=lambda: datetime.now(UTC),
            jitter=lambda: 0.0,
            backoff=Backoff(0.01, 0.02),
        )
        self.esme.startService()
        return self.esme

    def cut_connections(self) -> None:
        for connection in list(self.simulator.smsc.connections.values()):
            connection.transport.abortConnection()

    async def close(self) -> None:
        if self.esme is not None:
            await self.esme.stopService()
        await self.simulator.stopService()

    async def http(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += f"Content-Length: {0 if body is None else len(octets)}\r\n\r\n"
        answer = await self.talk(self.http_port, head.encode() + (b"" if body is None else octets))
        status, _, rest = answer.partition(b"\r\n")
        return int(status.split()[1]), json.loads(rest.partition(b"\r\n\r\n")[2])

    async def talk(self, port: int, octets: bytes) -> bytes:
        """Send octets and return all that comes until the other side closes."""
        wire = await self.connect(port)
        wire.transport.write(octets)
        return await wire.ended

    async def connect(self, port: int) -> Wire:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        wire: Wire = await endpoint.connect(Factory.forProtocol(Wire))  # type: ignore[arg-type]  # zope
        return wire

    async def mo(self, text: str, **more: Any) -> tuple[int, Any]:
        return await self.http(
            "POST", "/mo?wait=1", {"from": "13905250001", "to": LINE, "text": text, **more}
        )

    async def mts(self, **query: Any) -> list[Any]:
        found: list[Any] = (await self.http("GET", f"/mt?{urlencode(query)}"))[1]
        return found


def with_house(
    test: Callable[[House], Coroutine[Any, Any, None]],
    *faults: Rule,
    bind: bool = True,
    settings: dict[str, Any] | None = None,
) -> None:
    changes = settings or {}

    async def run() -> None:
        house = House(*faults)
        await house.open(bind, **changes)
        try:
            await test(house)
        finally:
            await house.close()

    run_in_reactor(run)


def mt(text: str, **more: Any) -> MtMessage:
    return MtMessage(LINE, NUMBER, text, 7, **more)
