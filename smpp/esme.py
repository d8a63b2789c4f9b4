"""Twisted protocol and reconnecting service around a session.

`EsmeService` keeps one bind to one SMSC: it connects, binds, reconnects with back-off, joins the
parts of what subscribers send and cuts what is sent to them. Everybody else speaks of whole
messages: `submit` for those that go out, the `on_mo` given at construction for those that come in.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Final
from typing import Protocol as Interface

import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from config.settings import Smsc
from smpp import text
from smpp.commands import Bind, Status, SubmitSm, relative_time, status_name
from smpp.connection import Alarm, EsmeProtocol, Reactor
from smpp.events import (
    BindRefused,
    Bound,
    Closed,
    Event,
    Malformed,
    MoReceived,
    ReceiptReceived,
    ResponseLost,
    SubmitFailed,
    Submitted,
)
from smpp.messages import MoMessage, MtMessage, PartResult, SubmitResult, written
from smpp.pdu import UnencodablePdu, encode
from smpp.receipt import Receipt
from smpp.session import THROTTLING, Limits, Session, State

log = structlog.get_logger()

DRAIN_S: Final = 5.0
"""How long a stopping service waits for responses under way, then for the SMSC's unbind_resp."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between attempts to connect: doubled from `first_s` to `longest_s`."""

    first_s: float = 1.0
    longest_s: float = 30.0

    def delay(self, failures: int, jitter: float) -> float:
        """Return the pause after so many failures in a row; `jitter` in [0, 1) takes up to half."""
        return min(self.first_s * 2.0 ** min(failures, 30), self.longest_s) * (1 - jitter / 2)


class ClientEndpoint(Interface):
    """What is needed of a Twisted client endpoint."""

    def connect(self, protocolFactory: Any) -> Deferred[Any]: ...  # noqa: D102


@dataclass(slots=True)
class _Sending:
    """A message of which parts are queued or under way."""

    deferred: Deferred[SubmitResult]
    open_parts: int
    results: list[PartResult] = field(default_factory=list)

    def settle(self, result: PartResult) -> None:
        self.results.append(result)
        self.open_parts -= 1
        if self.open_parts == 0:
            parts = tuple(sorted(self.results, key=lambda part: part.number))
            self.deferred.callback(SubmitResult(parts))


@dataclass(slots=True)
class Counters:
    """What has happened since the start, in PDUs but for `mo` (whole messages) and `binds`."""

    binds: int = 0
    submitted: int = 0
    accepted: int = 0
    refused: int = 0
    throttled: int = 0
    lost: int = 0
    mo: int = 0
    receipts: int = 0
    malformed: int = 0


class EsmeService(Service):
    """One bind to one SMSC, kept up."""

    def __init__(
        self,
        endpoint: ClientEndpoint,
        settings: Smsc,
        reactor: Reactor,
        on_mo: Callable[[MoMessage], Awaitable[int]],
        on_receipt: Callable[[str, Receipt], Awaitable[int]],
        on_ready: Callable[[], None],
        *,
        zone: tzinfo,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        backoff: Backoff = Backoff(),
    ) -> None:
        """Callbacks run in the reactor's thread.

        `on_mo` and `on_receipt` return the command_status of the deliver_sm_resp, which leaves when
        they have: return ROK after the commit. If they raise, `mo_retry_status` is answered, and
        the SMSC sends again. `on_receipt` gets the SMSC's name with the receipt. `on_ready` says
        that `free()` may have grown. `zone` is the SMSC's own time in receipts. UnencodablePdu if
        the settings cannot be put into a bind.
        """
        self.counters = Counters()
        self._bind = Bind(
            0,
            settings.system_id,
            settings.password,
            settings.bind,
            settings.system_type,
            settings.interface_version,
        )
        encode(self._bind)  # what cannot be sent is an error now, not at the first connection
        self._endpoint = endpoint
        self._settings = settings
        self._reactor = reactor
        self._on_mo = on_mo
        self._on_receipt = on_receipt
        self._on_ready = on_ready
        self._zone = zone
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._backoff = backoff
        self._protocol: EsmeProtocol | None = None
        self._queue: deque[tuple[_Sending, int, SubmitSm]] = deque()
        self._under_way: dict[int, tuple[_Sending, int]] = {}
        self._parts = text.Parts(settings.alphabet)
        self._parts_alarm = Alarm(reactor, monotonic, self._expire_parts)
        self._loop: Deferred[None] | None = None
        self._idle: Deferred[None] | None = None
        self._stopping = False
        self._was_bound = False
        self._in_events = False
        self._detail = "not started"

    # ---- life

    @property
    def name_of_smsc(self) -> str:
        """The SMSC's name in settings, logs and records."""
        return self._settings.name

    def health(self) -> tuple[bool, str]:
        """Whether we are bound, and a sentence for a person."""
        return self._session() is not None, self._detail

    def startService(self) -> None:
        """Begin to connect; failing is tried again for as long as the service runs."""
        super().startService()
        self._stopping = False
        self._detail = "connecting"
        self._loop = Deferred.fromCoroutine(self._keep_bound())
        self._loop.addErrback(self._loop_ended)

    def stopService(self) -> Deferred[None]:
        """Let what is under way finish (DRAIN_S at most), unbind, disconnect."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping = True
        if self._protocol is not None:
            await self._leave(self._protocol)
        if self._loop is not None:
            self._loop.cancel()
        self._parts_alarm.cancel()
        self._detail = "stopped"

    async def _leave(self, protocol: EsmeProtocol) -> None:
        if protocol.session.state is State.BOUND and (not protocol.session.idle or self._queue):
            self._idle = Deferred()
            await self._at_most(self._idle)
        if protocol.session.state is State.BOUND:
            protocol.session.unbind(self._monotonic())
            protocol.flush()
            await self._at_most(protocol.closed())
        if protocol.connected and not protocol.is_closed:
            protocol.transport.abortConnection()
            await self._at_most(protocol.closed())

    async def _at_most(self, waiting: Deferred[None]) -> None:
        with suppress(CancelledError):
            call = self._reactor.callLater(DRAIN_S, waiting.cancel)
            try:
                await waiting
            finally:
                if call.active():
                    call.cancel()

    async def _keep_bound(self) -> None:
        failures = 0
        while not self._stopping:
            self._was_bound = False
            await self._one_connection()
            failures = 0 if self._was_bound else failures + 1
            if not self._stopping:
                await self._sleep(self._backoff.delay(failures, self._jitter()))

    async def _one_connection(self) -> None:
        factory = Factory.forProtocol(self._new_protocol)
        try:
            self._protocol = await self._endpoint.connect(factory)
        except CancelledError:
            raise
        except Exception as error:  # whatever an endpoint fails with, it is tried again
            self._protocol = None
            self._detail = f"cannot connect: {error}"
            log.warning("smsc_unreachable", smsc=self._settings.name, error=str(error))
            return
        await self._protocol.closed()
        self._protocol = None

    def _new_protocol(self) -> EsmeProtocol:
        settings = self._settings
        limits = Limits(
            window=settings.window,
            enquire_link_s=settings.enquire_link_s,
            response_timeout_s=settings.response_timeout_s,
            mo_response_deadline_s=settings.mo_response_deadline_s,
            mo_retry_status=settings.mo_retry_status,
        )
        session = Session(limits, settings.message_id, self._zone)
        self._detail = "binding"
        self._protocol = EsmeProtocol(
            session, self._bind, self._reactor, self._monotonic, self._happened
        )
        return self._protocol

    async def _sleep(self, delay_s: float) -> None:
        awake: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._reactor.callLater(delay_s, awake.callback, None)
        await awake

    # ---- out

    def free(self) -> int:
        """How many parts would leave at once if they were submitted now."""
        session = self._session()
        if session is None or self._stopping:
            return 0
        return max(0, session.free(self._monotonic()) - len(self._queue))

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        """Send a message; the Deferred always succeeds, with what became of each of its parts.

        Parts that find no room in the window wait for it; if the connection ends before, they are
        `not_sent`. Ask `free` first: there is no other limit to what may wait.
        """
        deferred: Deferred[SubmitResult] = Deferred()
        try:
            requests = self._requests(message)
        except text.TooLong as error:
            refused = PartResult(1, "refused", status=Status.RINVMSGLEN, why=str(error))
            deferred.callback(SubmitResult((refused,)))
            return deferred
        if not requests:
            deferred.callback(SubmitResult(()))
        sending = _Sending(deferred, len(requests))
        if self._session() is None or self._stopping:
            for number in requests:
                sending.settle(PartResult(number, "not_sent"))
            return deferred
        self._queue.extend((sending, number, request) for number, request in requests.items())
        self._send_queued()
        return deferred

    def _requests(self, message: MtMessage) -> dict[int, SubmitSm]:
        """Return the submit_sm of each part to send, by its number."""
        settings = self._settings
        segments = text.segment(message.text, message.reference, settings.alphabet)
        return {
            number: SubmitSm(
                sequence=0,
                source_addr=message.source,
                destination_addr=written(message.destination, settings.number_format),
                short_message=segment.short_message,
                data_coding=segment.data_coding,
                esm_class=segment.esm_class,
                registered_delivery=1 if message.receipt else 0,
                validity_period=(
                    "" if message.validity is None else relative_time(message.validity)
                ),
                source_addr_ton=settings.source_ton,
                source_addr_npi=settings.source_npi,
                dest_addr_ton=settings.dest_ton,
                dest_addr_npi=settings.dest_npi,
                service_type=settings.service_type,
                tlvs=segment.tlvs,
            )
            for number, segment in enumerate(segments, 1)
            if not message.only or number in message.only
        }

    def _send_queued(self) -> None:
        session = self._session()
        now = self._monotonic()
        while session is not None and self._queue and session.free(now) > 0:
            sending, number, request = self._queue.popleft()
            try:
                sequence = session.submit(request, now)
            except UnencodablePdu as error:
                sending.settle(PartResult(number, "refused", why=str(error)))
            else:
                self.counters.submitted += 1
                self._under_way[sequence] = (sending, number)
        if self._protocol is not None and not self._in_events:
            self._protocol.flush()

    # ---- events

    def _happened(self, events: list[Event]) -> None:
        room = not events  # an expired pause of a throttled bind causes no event
        self._in_events = True
        try:
            for event in events:
                room |= isinstance(event, Bound | Submitted | SubmitFailed | ResponseLost)
                self._REACTIONS[type(event)](self, event)
            self._send_queued()
            if room and self.free():
                self._on_ready()
        finally:
            self._in_events = False
        self._notice_idle()

    def _bound(self, event: Bound) -> None:
        self._was_bound = True
        self.counters.binds += 1
        self._detail = f"bound to {event.system_id or self._settings.name}"
        log.info("smsc_bound", smsc=self._settings.name, system_id=event.system_id)

    def _bind_refused(self, event: BindRefused) -> None:
        self._detail = f"bind refused: {status_name(event.status)}"
        log.error("smsc_bind_refused", smsc=self._settings.name, status=status_name(event.status))

    def _submitted(self, event: Submitted) -> None:
        self.counters.accepted += 1
        sending, number = self._under_way.pop(event.sequence)
        sending.settle(PartResult(number, "accepted", message_id=event.message_id))

    def _submit_failed(self, event: SubmitFailed) -> None:
        self.counters.refused += 1
        self.counters.throttled += event.status in THROTTLING
        sending, number = self._under_way.pop(event.sequence)
        why = status_name(event.status)
        sending.settle(PartResult(number, "refused", status=event.status, why=why))

    def _response_lost(self, event: ResponseLost) -> None:
        self.counters.lost += 1
        sending, number = self._under_way.pop(event.sequence)
        sending.settle(PartResult(number, "lost"))

    def _malformed(self, event: Malformed) -> None:
        self.counters.malformed += 1
        log.warning("smsc_malformed_pdu", smsc=self._settings.name, why=event.why)

    def _closed(self, event: Closed) -> None:
        if not self._detail.startswith("bind refused"):
            self._detail = event.why
        queue, self._queue = self._queue, deque()
        for sending, number, _ in queue:
            sending.settle(PartResult(number, "not_sent"))
        log.info("smsc_closed", smsc=self._settings.name, why=event.why)

    # ---- in

    def _mo_received(self, event: MoReceived) -> None:
        if self._stopping:
            self._answer(self._protocol, event.sequence, self._settings.mo_retry_status)
            return
        joined = self._parts.add(event.message, self._monotonic())
        self._parts_alarm.set(self._parts.next_deadline())
        if joined is None:
            self._answer(self._protocol, event.sequence, Status.ROK)
        else:
            self._take(self._store(joined), event.sequence)

    def _receipt_received(self, event: ReceiptReceived) -> None:
        self.counters.receipts += 1
        self._take(self._on_receipt(self._settings.name, event.receipt), event.sequence)

    def _take(self, storing: Awaitable[int], sequence: int) -> None:
        """Answer on the connection it came in on, once it is stored."""
        protocol = self._protocol
        stored = Deferred.fromCoroutine(self._status_of(storing))
        stored.addCallback(lambda status: self._answer(protocol, sequence, status))

    async def _status_of(self, storing: Awaitable[int]) -> int:
        try:
            return await storing
        except Exception:  # the SMSC keeps what we could not store
            log.exception("message_not_stored", smsc=self._settings.name)
            return self._settings.mo_retry_status

    async def _store(self, joined: text.Joined) -> int:
        self.counters.mo += 1
        message = MoMessage(
            self._settings.name,
            joined.source,
            joined.destination,
            joined.text,
            joined.octets,
            joined.data_coding,
            self._clock(),
            missing=joined.missing,
        )
        status = await self._on_mo(message)
        if status == Status.ROK:
            self._parts.settle(joined)
        return status

    def _answer(self, protocol: EsmeProtocol | None, sequence: int, status: int) -> None:
        if protocol is None or protocol.is_closed:
            return
        protocol.session.answer(sequence, status)
        if not self._in_events:
            protocol.flush()
            self._notice_idle()

    def _expire_parts(self) -> None:
        """Hand over what has come of texts whose other parts did not; their answers left."""
        for joined in self._parts.expire(self._monotonic()):
            Deferred.fromCoroutine(self._status_of(self._store(joined)))
        self._parts_alarm.set(self._parts.next_deadline())

    # ---- small steps

    def _session(self) -> Session | None:
        """Return the session if it is bound."""
        if self._protocol is None or self._protocol.session.state is not State.BOUND:
            return None
        return self._protocol.session

    def _notice_idle(self) -> None:
        session = self._session()
        if self._idle is not None and (session is None or (session.idle and not self._queue)):
            idle, self._idle = self._idle, None
            idle.callback(None)

    def _loop_ended(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            log.error("smsc_loop_failed", smsc=self._settings.name, error=str(failure.value))

    _REACTIONS: Final[dict[type[Event], Callable[[EsmeService, Any], None]]] = {
        Bound: _bound,
        BindRefused: _bind_refused,
        Submitted: _submitted,
        SubmitFailed: _submit_failed,
        ResponseLost: _response_lost,
        MoReceived: _mo_received,
        ReceiptReceived: _receipt_received,
        Malformed: _malformed,
        Closed: _closed,
    }
