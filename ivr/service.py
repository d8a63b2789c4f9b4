"""The FastAGI listener: limits, drain, one coroutine per call.

A connection's way, top to bottom, is :meth:`VoiceService._serve`. Whatever goes wrong with it ends
there too: an unknown address, a silent peer, no free place, an error in the flow, the longest call.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Literal
from typing import Protocol as Interface

import structlog
from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from ivr.agi import RemoteProtocolError
from ivr.channel import CallerHungUp, CallTooLong, Channel
from ivr.counts import VoiceCounts

GOODBYE_S = 60.0  # from CallTooLong to the cut: the sound being played, then a goodbye
CUT_S = 5.0  # from the cut to the cancellation: the call's record is being written
REFUSAL_S = 30.0  # a spoken refusal
MAX_SPOKEN_REFUSALS = 50  # at once; for further calls the dialplan tries its next server
STRANGERS_EVENT_S = 60.0  # one event an address in this time

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

Refusal = Literal["busy", "closing"]
TakeCall = Callable[[Channel], Awaitable[None]]
RefuseCall = Callable[[Channel, Refusal], Awaitable[None]]


class Timer(Interface):
    """Twisted's IDelayedCall."""

    def cancel(self) -> None: ...  # noqa: D102 - as in IDelayedCall
    def active(self) -> bool: ...  # noqa: D102 - as in IDelayedCall


class Clock(Interface):
    """Twisted's IReactorTime, in a form that mypy can read."""

    def seconds(self) -> float: ...  # noqa: D102 - as in IReactorTime
    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any) -> Timer: ...  # noqa: D102 - as in IReactorTime


class Port(Interface):
    """Twisted's IListeningPort."""

    def getHost(self) -> Any: ...  # noqa: D102 - as in IListeningPort
    def stopListening(self) -> Deferred[None] | None: ...  # noqa: D102 - as in IListeningPort


class Endpoint(Interface):
    """Twisted's IStreamServerEndpoint."""

    def listen(self, protocolFactory: Factory) -> Deferred[Port]: ...  # noqa: D102 - as in IStreamServerEndpoint


@dataclass(slots=True, eq=False)
class _Connection:
    peer: str
    channel: Channel
    served: Deferred[None] | None = None
    timer: Timer | None = None
    is_cut: bool = False


@dataclass(slots=True, eq=False)
class _Crowd:
    """Connections, and who waits for the last of them to leave."""

    members: set[_Connection] = field(default_factory=set)
    waits: list[Deferred[None]] = field(default_factory=list)

    def leave(self, connection: _Connection) -> None:
        self.members.discard(connection)
        if not self.members:
            waits, self.waits = self.waits, []
            for wait in waits:
                wait.callback(None)

    async def emptied(self, within_s: float, clock: Clock) -> bool:
        """Wait for the last to leave; False if some are still there after ``within_s``."""
        if not self.members:
            return True
        wait: Deferred[None] = Deferred(self.waits.remove)
        self.waits.append(wait)
        with suppress(defer.TimeoutError):
            await wait.addTimeout(within_s, clock)  # type: ignore[arg-type]  # zope, see Clock
        return not self.members


class VoiceService(Service):
    """Takes Asterisk's FastAGI connections and gives each call to ``take_call``.

    ``take_call`` may raise CallerHungUp and need not hang up: the connection is closed when it
    returns, and Asterisk goes on in its dialplan. On any other exception the caller is hung up.
    ``refuse_call`` speaks to callers for whom there is no place. ``allow``: addresses and networks.
    ``max_call_s``: then CallTooLong, a minute for a goodbye, the cut. ``counts``: where it counts.

    ``max_calls`` holds for the calls here and those ``calls_elsewhere``, in other processes that
    listen on the same port. Two that look in the same instant may both take the last place.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        take_call: TakeCall,
        refuse_call: RefuseCall,
        reactor: Clock,
        *,
        allow: Sequence[str],
        max_calls: int,
        max_call_s: float,
        environment_s: float = 5.0,
        counts: VoiceCounts | None = None,
        calls_elsewhere: Callable[[], int] = lambda: 0,
    ) -> None:
        self.max_calls = max_calls
        self.counts = VoiceCounts() if counts is None else counts
        self._endpoint = endpoint
        self._take_call = take_call
        self._refuse_call = refuse_call
        self._clock = reactor
        networks = [ipaddress.ip_network(network, strict=False) for network in allow]
        self._is_allowed = lru_cache(maxsize=1024)(partial(_is_in, networks))
        self._max_call_s = max_call_s
        self._environment_s = environment_s
        self._calls_elsewhere = calls_elsewhere
        self._bound: Deferred[Port] | None = None
        self._port: Port | None = None
        self._draining = False
        self._connections = _Crowd()
        self._calls = _Crowd()
        self._refusals = 0
        self._strangers: dict[str, float] = {}  # address -> when its last event was logged

    @property
    def calls_live(self) -> int:
        """How many calls are being taken now."""
        return len(self._calls.members)

    def health(self) -> tuple[bool, str]:
        """Whether calls are being taken, and a word about it for /healthz."""
        if self._draining:
            return False, f"draining, {self.calls_live} calls left"
        if self._port is None:
            return False, "not listening"
        return True, f"{self.calls_live} of {self.max_calls} calls"

    def startService(self) -> None:
        """Bind the port; see :meth:`bound`."""
        super().startService()
        self._draining = False
        self._bound = self._endpoint.listen(_Listener(self))
        self._bound.addCallback(self._note_port)

    async def bound(self) -> Any:
        """Wait until the port is bound and return its address; raises why it cannot be."""
        if self._bound is not None:
            await self._bound
        if self._port is None:
            raise RuntimeError("the voice server is not listening")
        return self._port.getHost()

    async def drain(self, deadline_s: float) -> int:
        """Refuse new calls, let the running ones end within ``deadline_s``, cut the rest.

        Returns how many had to be cut. The port stays open for refusals until the service stops.
        """
        self._draining = True
        before = self.counts.calls_cut
        if not await self._calls.emptied(deadline_s, self._clock):
            self._cut_all(self._calls)
            await self._calls.emptied(2 * CUT_S, self._clock)
        return self.counts.calls_cut - before

    def stopService(self) -> Deferred[None]:
        """Stop at once: close the port, cut every connection, wait for their ends."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._draining = True
        port, self._port = self._port, None
        if port is not None and (stopped := port.stopListening()) is not None:
            await stopped
        self._cut_all(self._connections)
        await self._connections.emptied(2 * CUT_S, self._clock)

    def _note_port(self, port: Port) -> Port:
        self._port = port
        return port

    # A connection's way.

    def _accept(self, peer: str) -> Channel | None:
        if not self._is_allowed(peer):
            self._note_stranger(peer)
            return None
        channel = Channel(self._clock.seconds, self.counts.observe_turnaround)
        connection = _Connection(peer, channel)
        self._connections.members.add(connection)
        self.counts.connections_live = len(self._connections.members)
        connection.served = Deferred.fromCoroutine(self._serve(connection))
        connection.served.addErrback(_log_failure, connection)
        return channel

    async def _serve(self, connection: _Connection) -> None:
        channel = connection.channel
        self._watch(connection, self._environment_s, self._cut_silent)
        try:
            if await channel.environment_arrives():
                self.counts.calls_total += 1
                if self._draining:
                    await self._refuse(connection, "closing")
                elif self.calls_live + self._calls_elsewhere() >= self.max_calls:
                    await self._refuse(connection, "busy")
                else:
                    await self._take(connection)
            channel.close()
            await channel.closes()
        finally:
            self._unwatch(connection)
            self._connections.leave(connection)
            self.counts.connections_live = len(self._connections.members)
        if channel.fault is not None:
            self.counts.protocol_errors += 1
            _log.warning("protocol_error", peer=connection.peer, reason=str(channel.fault))

    async def _take(self, connection: _Connection) -> None:
        self._watch(connection, self._max_call_s, self._end_long_call)
        self._calls.members.add(connection)
        self.counts.calls_live = self.calls_live
        try:
            await self._run(connection, self._take_call(connection.channel))
        finally:
            self._calls.leave(connection)
            self.counts.calls_live = self.calls_live

    async def _refuse(self, connection: _Connection, reason: Refusal) -> None:
        self.counts.calls_refused += 1
        _log.info("call_refused", call=_call_id(connection), reason=reason)
        if self._refusals >= MAX_SPOKEN_REFUSALS:
            return
        self._watch(connection, REFUSAL_S, self._cut)
        self._refusals += 1
        try:
            await self._run(connection, self._refuse_call(connection.channel, reason))
        finally:
            self._refusals -= 1

    async def _run(self, connection: _Connection, flow: Awaitable[None]) -> None:
        channel = connection.channel
        try:
            await flow
        except CallerHungUp:
            pass
        except CallTooLong:
            await self._hang_up(channel)
        except CancelledError:
            _log.warning("call_cancelled", call=_call_id(connection))
        except Exception:
            self.counts.calls_failed += 1
            _log.exception("call_failed", call=_call_id(connection))
            await self._hang_up(channel)

    async def _hang_up(self, channel: Channel) -> None:
        # Whatever hinders it, the connection is closed next, which ends the call as well.
        with suppress(Exception):
            await channel.hang_up()

    # Time limits: a connection has one timer at most, and it lives until the connection is closed.

    def _watch(
        self, connection: _Connection, delay_s: float, act: Callable[[_Connection], None]
    ) -> None:
        self._unwatch(connection)
        connection.timer = self._clock.callLater(delay_s, act, connection)

    def _unwatch(self, connection: _Connection) -> None:
        if connection.timer is not None and connection.timer.active():
            connection.timer.cancel()
        connection.timer = None

    def _cut_silent(self, connection: _Connection) -> None:
        fault = RemoteProtocolError(f"no whole environment within {self._environment_s:g} s")
        connection.channel.cut(fault)

    def _end_long_call(self, connection: _Connection) -> None:
        _log.warning("call_too_long", call=_call_id(connection), limit_s=self._max_call_s)
        connection.channel.raise_too_long()
        self._watch(connection, GOODBYE_S, self._cut)

    def _cut(self, connection: _Connection) -> None:
        if connection in self._calls.members and not connection.is_cut:
            self.counts.calls_cut += 1
            _log.warning("call_cut", call=_call_id(connection))
        connection.is_cut = True
        self._watch(connection, CUT_S, self._cancel)
        connection.channel.cut()

    def _cut_all(self, crowd: _Crowd) -> None:
        for connection in list(crowd.members):
            self._cut(connection)

    def _cancel(self, connection: _Connection) -> None:
        if connection.served is not None:
            connection.served.cancel()

    # Who may connect.

    def _note_stranger(self, peer: str) -> None:
        self.counts.strangers_refused += 1
        now = self._clock.seconds()
        if now - self._strangers.get(peer, -STRANGERS_EVENT_S) < STRANGERS_EVENT_S:
            return
        if len(self._strangers) >= 1000:
            self._strangers.clear()
        self._strangers[peer] = now
        _log.warning("connection_refused", peer=peer, reason="not in agi.allow")


def _is_in(networks: list[_Network], peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


class _Listener(Factory):
    """Twisted's way to ask for a protocol; None closes the connection at once."""

    noisy = False

    def __init__(self, service: VoiceService) -> None:
        self._service = service

    def buildProtocol(self, addr: Any) -> Channel | None:
        return self._service._accept(addr.host)


def _log_failure(failure: Failure, connection: _Connection) -> None:
    _log.error("connection_failed", peer=connection.peer, error=failure.getTraceback())


def _call_id(connection: _Connection) -> str:
    return connection.channel.environment.get("agi_uniqueid", "")
