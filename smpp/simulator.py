"""an SMSC to develop and test against: throttles, drops, duplicates, receipts on demand.

`SimulatorService` listens for ESMEs (SMPP 3.4) and for HTTP (`smpp.simulator_web` tells its API);
`smpp.smsc` is what happens between the two, `smpp.smsc_rules` what goes wrong there on purpose,
`smpp.smsc_running` what keeps both going.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from typing import Protocol as Interface

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from smpp.connection import Reactor
from smpp.simulator_web import SimulatorSite
from smpp.smsc import KEPT, Smsc
from smpp.smsc_rules import PLAIN, Script
from smpp.smsc_running import RunningSmsc, SmscProtocol

CUT_S: Final = 0.5
"""How long an ESME may take to read our goodbye when the simulator stops."""


class ServerEndpoint(Interface):
    """Twisted's IStreamServerEndpoint."""

    def listen(self, protocolFactory: Any) -> Deferred[Any]: ...  # noqa: D102 - as in IStreamServerEndpoint


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
        script: Script = PLAIN,
        kept: int = KEPT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives aware times; it is asked once, and `monotonic` from then on."""
        core = Smsc(
            script,
            system_id=system_id,
            password=password,
            began=clock(),
            now=monotonic(),
            kept=kept,
        )
        self.smsc = RunningSmsc(core, reactor, monotonic)
        self._smpp_endpoint = smpp_endpoint
        self._http_endpoint = http_endpoint
        self._ports: list[Any] = []
        self._bound: Deferred[None] | None = None

    def health(self) -> tuple[bool, str]:
        """Whether both ports are open, and a word about who is bound."""
        core = self.smsc.core
        return len(self._ports) == 2, f"{len(core.binds)} bound, {core.waiting} to deliver"

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
        factory = Factory.forProtocol(lambda: SmscProtocol(self.smsc))
        self._ports.append(await self._smpp_endpoint.listen(factory))
        self._ports.append(await self._http_endpoint.listen(SimulatorSite(self.smsc)))

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            await port.stopListening()
        connections = list(self.smsc.connections.values())
        self.smsc.stop()
        cuts = [
            self.smsc.reactor.callLater(CUT_S, connection.transport.abortConnection)
            for connection in connections
        ]
        for connection in connections:
            await connection.closed
        for cut in cuts:
            if cut.active():
                cut.cancel()
