"""one bind kept up: it connects, binds, reconnects with back-off, unbinds.

What happens on it goes to its `Owner`, with the connection it happened on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from typing import Protocol as Interface

import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from smpp.commands import Bind, DataSm, Status, SubmitSm, status_name
from smpp.connection import EsmeProtocol, Reactor
from smpp.events import (
    BindRefused,
    Bound,
    Closed,
    Event,
    Malformed,
    MoReceived,
    ReceiptReceived,
    SubmitFailed,
    Submitted,
)
from smpp.session import Session
from smpp.states import State
from smpp.waiting import at_most

log = structlog.get_logger()

DRAIN_S: Final = 5.0
"""How long a stopping bind waits for responses under way, then for the SMSC's unbind_resp."""
MALFORMED_EVERY_S: Final = 1.0
"""A line of the log in this time at most: an SMSC must not fill the disk with its mistakes."""

_HOPELESS: Final = frozenset({Status.RINVPASWD, Status.RINVSYSID})
_SIGNS_OF_WORK: Final = frozenset({Submitted, SubmitFailed, MoReceived, ReceiptReceived})


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between attempts to connect: doubled from `first_s` to `longest_s`."""

    first_s: float = 1.0
    longest_s: float = 30.0

    def delay(self, failures: int, jitter: float) -> float:
        """Return the pause after so many failures in a row; `jitter` in [0, 1) takes up to half."""
        return min(self.first_s * 2.0 ** min(failures, 30), self.longest_s) * (1 - jitter / 2)

    def delay_of_refused(self, refusals: int, jitter: float) -> float:
        """Return the pause after the account was refused so often in a row.

        SMSCs lock an account after some such attempts: four times `longest_s`, doubled up to 60
        times that: from two minutes to half an hour.
        """
        growing = self.longest_s * 2.0 ** min(refusals + 1, 30)
        return min(growing, self.longest_s * 60) * (1 - jitter / 2)


DEFAULT_BACKOFF: Final = Backoff()


class ClientEndpoint(Interface):
    """What is needed of a Twisted client endpoint."""

    def connect(self, protocolFactory: Any) -> Deferred[Any]: ...  # noqa: D102 - as in IStreamClientEndpoint


@dataclass(slots=True)
class _Attempt:
    """What came of one connection."""

    bound_at: float | None = None
    worked: bool = False
    refusal: int | None = None


class Owner(Interface):
    """Whom a bind tells."""

    def happened(self, bind: BindService, connection: EsmeProtocol, events: list[Event]) -> None:
        """Take the events of one moment; none when only a deadline passed."""


class BindService(Service):
    """One bind to one SMSC, kept up."""

    def __init__(
        self,
        smsc: str,
        endpoint: ClientEndpoint,
        request: Bind,
        new_session: Callable[[], Session],
        reactor: Reactor,
        owner: Owner,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        """`smsc` is the name for the logs; `request` says who binds, and how."""
        self.mode = request.mode
        self.detail = "not started"
        self.binds = 0
        self._smsc = smsc
        self._endpoint = endpoint
        self._request = request
        self._new_session = new_session
        self._reactor = reactor
        self._owner = owner
        self._monotonic = monotonic
        self._jitter = jitter
        self._backoff = backoff
        self._connection: EsmeProtocol | None = None
        self._loop: Deferred[None] | None = None
        self._idle: Deferred[None] | None = None
        self._stopping = False
        self._attempt = _Attempt()
        self._told_at = -MALFORMED_EVERY_S
        self._untold = 0
        self._malformed_why = ""

    # ---- what the owner asks

    @property
    def is_bound(self) -> bool:
        """Whether messages can go (and come, as the mode allows)."""
        return self._session() is not None

    @property
    def free(self) -> int:
        """How many messages can be submitted now."""
        return 0 if self._connection is None else self._connection.session.free

    @property
    def under_way(self) -> int:
        """How many messages wait for their response."""
        return 0 if self._connection is None else self._connection.session.under_way

    def submit(self, request: SubmitSm | DataSm, now: float, about: Any) -> None:
        """Send a message at the next `flush`; `free` must not be 0. Events with `about` follow.

        Raises:
            UnencodablePdu: a field does not fit; nothing was sent.
        """
        if self._connection is None:
            raise RuntimeError("there is no connection: ask `free` first")
        self._connection.session.submit(request, now, about)

    def answer(self, connection: EsmeProtocol, sequence: int, status: int) -> bool:
        """Answer on the connection it came in on; False if it was answered, or nobody is there."""
        answered = connection.answer(sequence, status)
        self._notice_idle()
        return answered

    def flush(self) -> None:
        """Write what was submitted."""
        if self._connection is not None:
            self._connection.flush()

    # ---- life

    def startService(self) -> None:
        """Begin to connect; failing is tried again for as long as the service runs."""
        super().startService()
        self._stopping = False
        self.detail = "connecting"
        self._loop = Deferred.fromCoroutine(self._keep_bound())
        self._loop.addErrback(self._loop_ended)

    def stopService(self) -> Deferred[None]:
        """Let what is under way finish (DRAIN_S at most), unbind, disconnect."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping = True
        if self._connection is not None:
            await self._leave(self._connection)
        if self._loop is not None:
            self._loop.cancel()
        self.detail = "stopped"

    async def _leave(self, connection: EsmeProtocol) -> None:
        session = connection.session
        if session.state is State.BOUND and not session.idle:
            self._idle = Deferred()
            await at_most(self._reactor, DRAIN_S, self._idle)
        if session.state is State.BOUND:
            session.unbind(self._monotonic())
            connection.flush()
            await at_most(self._reactor, DRAIN_S, connection.closed())
        if connection.connected and not connection.is_closed:
            connection.transport.abortConnection()
            await at_most(self._reactor, DRAIN_S, connection.closed())

    async def _keep_bound(self) -> None:
        failures = refusals = 0
        while not self._stopping:
            self._attempt = _Attempt()
            await self._one_connection()
            failures = 0 if self._was_good() else failures + 1
            pause_s = self._backoff.delay(failures, self._jitter())
            if self._attempt.refusal in _HOPELESS:
                refusals += 1
                pause_s = self._backoff.delay_of_refused(refusals, self._jitter())
            elif self._attempt.bound_at is not None:
                refusals = 0
            if not self._stopping:
                await self._sleep(pause_s)

    def _was_good(self) -> bool:
        """Whether the last connection was of use: an SMSC that only binds gets growing pauses."""
        attempt = self._attempt
        if attempt.bound_at is None:
            return False
        return attempt.worked or self._monotonic() - attempt.bound_at >= self._backoff.longest_s

    async def _one_connection(self) -> None:
        factory = Factory.forProtocol(self._new_connection)
        try:
            self._connection = await self._endpoint.connect(factory)
        except CancelledError:
            raise
        except Exception as error:  # whatever an endpoint fails with, it is tried again
            self._connection = None
            self.detail = f"cannot connect: {error}"
            log.warning("smsc_unreachable", smsc=self._smsc, error=str(error))
            return
        await self._connection.closed()
        self._connection = None

    def _new_connection(self) -> EsmeProtocol:
        self.detail = "binding"
        connection = EsmeProtocol(
            self._new_session(),
            self._request,
            self._reactor,
            self._monotonic,
            lambda events: self._happened(connection, events),
        )
        self._connection = connection
        return connection

    async def _sleep(self, delay_s: float) -> None:
        awake: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._reactor.callLater(delay_s, awake.callback, None)
        await awake

    def _loop_ended(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            log.error("smsc_loop_failed", smsc=self._smsc, error=str(failure.value))

    # ---- events

    def _happened(self, connection: EsmeProtocol, events: list[Event]) -> None:
        for event in events:
            if type(event) in _SIGNS_OF_WORK:
                self._attempt.worked = True
            else:
                self._NOTES.get(type(event), _nothing)(self, event)
        self._owner.happened(self, connection, events)
        self._notice_idle()

    def _notice_idle(self) -> None:
        session = self._session()
        if self._idle is not None and (session is None or session.idle):
            idle, self._idle = self._idle, None
            idle.callback(None)

    def _bound(self, event: Bound) -> None:
        self._attempt.bound_at = self._monotonic()
        self.binds += 1
        self.detail = f"bound to {event.system_id or self._smsc}"
        log.info("smsc_bound", smsc=self._smsc, system_id=event.system_id, mode=self.mode)

    def _bind_refused(self, event: BindRefused) -> None:
        self._attempt.refusal = event.status
        self.detail = f"bind refused: {status_name(event.status)}"
        log.error("smsc_bind_refused", smsc=self._smsc, status=status_name(event.status))

    def _malformed(self, event: Malformed) -> None:
        self._untold, self._malformed_why = self._untold + 1, event.why
        if self._monotonic() - self._told_at >= MALFORMED_EVERY_S:
            self._tell_malformed()

    def _tell_malformed(self) -> None:
        why, count = self._malformed_why, self._untold
        log.warning("smsc_malformed_pdu", smsc=self._smsc, why=why, count=count)
        self._told_at, self._untold = self._monotonic(), 0

    def _closed(self, event: Closed) -> None:
        if self._untold:
            self._tell_malformed()
        if self._attempt.refusal is None:
            self.detail = event.why
        log.info("smsc_closed", smsc=self._smsc, why=event.why)

    _NOTES: Final[dict[type[Event], Callable[[BindService, Any], None]]] = {
        Bound: _bound,
        BindRefused: _bind_refused,
        Malformed: _malformed,
        Closed: _closed,
    }

    def _session(self) -> Session | None:
        """Return the session if it is bound."""
        if self._connection is None or self._connection.session.state is not State.BOUND:
            return None
        return self._connection.session


def _nothing(bind: BindService, event: Event) -> None:  # a note on nothing
    """Stand for the note on an event that needs none."""
