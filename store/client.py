"""The store process' client: requests over a Unix socket, sent again until they are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from store.changes import EXTERNAL, Subscriptions
from store.engine import StoreBusy, StoreClosed, StoreError
from store.wire import CHANGED, VALUE, Codec, Frames, WireError

P = ParamSpec("P")
T = TypeVar("T")

RECONNECT_S = 0.05
MOST_SENDINGS = 5
"""A request that was there each of so many times when the store process died is not sent again."""
CLOSE_S = 5.0
"""How long `stopService` waits for what is not answered yet."""

_log = structlog.get_logger()


class _Pending:
    """A request without an answer; `deferred` is None when its caller does not wait any more."""

    __slots__ = ("deferred", "frame", "sendings")

    def __init__(self, deferred: Deferred[Any], frame: bytes) -> None:
        self.deferred: Deferred[Any] | None = deferred
        self.frame = frame
        self.sendings = 0


class StoreClient(Service):
    """A `store.database.Database` over the socket of the store process.

    While the process is away requests wait, and those without an answer are sent again to the next
    one: every function that writes is idempotent by an id of its caller's. A caller that will not
    wait longer cancels the Deferred; what was sent may still be done.
    """

    def __init__(
        self,
        reactor: Any,
        socket_path: str,
        packages: Iterable[str],
        most_pending: int = 2000,
    ) -> None:
        self._reactor = reactor
        self._endpoint = UNIXClientEndpoint(reactor, socket_path)
        self._codec = Codec(packages)
        self._most_pending = most_pending
        self._pending: dict[int, _Pending] = {}
        self._last_id = 0
        self._connection: _Connection | None = None
        self._retry: Any = None
        self._was_connected = False
        self._subscriptions = Subscriptions(_callback_failed)
        self._drained: Deferred[None] | None = None
        self._is_closed = False

    def startService(self) -> None:
        """Connect, and stay connected."""
        super().startService()
        self._drained = None
        self._is_closed = False
        self._connect()

    def stopService(self) -> Deferred[None]:
        """Wait for the answers that are due, `CLOSE_S` at most, and disconnect.

        What has none by then fails before this fires. Cancel it to wait no longer.
        """
        super().stopService()
        self._drained = drained = Deferred[None](lambda _: self._close())
        if self._pending:
            limit = self._reactor.callLater(CLOSE_S, self._close)
            drained.addBoth(lambda _: limit.cancel() if limit.active() else None)
        else:
            self._close()
        return drained

    @property
    def is_connected(self) -> bool:
        """Whether the store process is there now."""
        return self._connection is not None

    @property
    def pending(self) -> int:
        """How many requests have no answer yet."""
        return len(self._pending)

    def run(
        self, function: Callable[Concatenate[Connection, P], T], *values: P.args, **named: P.kwargs
    ) -> Deferred[T]:
        """Run `function(connection, *values)` in the store; see `store.database.Database`."""
        if named:
            raise TypeError("values go to the store by position")
        if self._drained is not None:
            return fail(StoreClosed("the store is closed"))
        if len(self._pending) >= self._most_pending:
            return fail(StoreBusy(f"{len(self._pending)} requests wait for the store already"))
        self._last_id += 1
        request_id = self._last_id
        payload = self._codec.request(request_id, function, values)
        deferred: Deferred[T] = Deferred(lambda _: self._give_up(request_id))
        self._pending[request_id] = pending = _Pending(deferred, payload)
        if self._connection is not None:
            self._connection.send(pending)
        return deferred

    def on_change(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after commits that announced the topic; see `store.database.Database`."""
        return self._subscriptions.add(topic, callback)

    def _give_up(self, request_id: int) -> None:
        # It was sent, so it still fills a place in the store's queue; it is not sent again.
        self._pending[request_id].deferred = None

    def _connect(self) -> None:
        self._retry = None
        connecting = self._endpoint.connect(Factory.forProtocol(_Connection))
        connecting.addCallbacks(self._connected, lambda _: self._lost())
        connecting.addErrback(_log_failure, "store_client_failed")

    def _connected(self, connection: _Connection) -> None:
        connection.client = self
        self._connection = connection
        if self._drained is not None and not self._pending:
            self._close()
            return
        self._send_again(connection)
        if self._was_connected:  # what was announced in between was missed
            self._subscriptions.tell([EXTERNAL])
        self._was_connected = True

    def _send_again(self, connection: _Connection) -> None:
        for request_id, pending in tuple(self._pending.items()):
            if pending.deferred is None:
                del self._pending[request_id]
            elif pending.sendings < MOST_SENDINGS:
                connection.send(pending)
            else:
                del self._pending[request_id]
                died = f"the store process died {pending.sendings} times with this request"
                pending.deferred.errback(StoreError(died))

    def _lost(self) -> None:
        self._connection = None
        if not self._is_closed:
            self._retry = self._reactor.callLater(RECONNECT_S, self._connect)

    def _received(self, kind: int, request_id: int, body: bytes) -> None:
        if kind == CHANGED:
            self._subscriptions.tell(self._codec.loads(body))
            return
        pending = self._pending.pop(request_id, None)
        if pending is not None and pending.deferred is not None:
            self._settle(pending.deferred, kind, body)
        if self._drained is not None and not self._pending:
            self._close()

    def _settle(self, deferred: Deferred[Any], kind: int, body: bytes) -> None:
        try:
            value = self._codec.loads(body) if kind == VALUE else self._codec.error(body)
        except WireError as error:
            value = StoreError(f"it is done, but its result cannot be read: {error}")
        if isinstance(value, StoreError):
            deferred.errback(value)
        else:
            deferred.callback(value)

    def _close(self) -> None:
        drained = self._drained
        if drained is None or self._is_closed:
            return
        self._is_closed = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._connection is not None:
            self._connection.end()
        while self._pending:
            _, pending = self._pending.popitem()
            if pending.deferred is not None:
                pending.deferred.errback(StoreClosed("the store was closed before it answered"))
        drained.callback(None)


class _Connection(Protocol):
    """Bytes to frames and back, for one connection to the store process."""

    client: StoreClient | None = None
    transport: Any

    def __init__(self) -> None:
        self._frames = Frames()

    def send(self, pending: _Pending) -> None:
        pending.sendings += 1
        self.transport.write(pending.frame)

    def end(self) -> None:
        self.client = None
        self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        try:
            for kind, request_id, body in self._frames.feed(data):
                if self.client is not None:
                    self.client._received(kind, request_id, body)  # our other half
        except WireError as error:
            _log.error("store_wire_broken", error=str(error))
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  Twisted's
        if self.client is not None:
            self.client._lost()  # our other half


def _callback_failed(topic: str, error: Exception) -> None:
    _log.error("store_callback_failed", topic=topic, exc_info=error)


def _log_failure(failure: Failure, event: str) -> None:
    _log.error(event, error=failure.getErrorMessage(), trace=failure.getTraceback())
