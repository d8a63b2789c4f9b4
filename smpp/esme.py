"""everything towards one SMSC: its binds, its rate, whole messages in and out.

`EsmeService` cuts what is sent into parts, which wait for the rate and for room in a bind's window,
and hands over what comes in. Everybody else speaks of whole messages.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults

from config.settings import Smsc
from smpp import text
from smpp.bind import DEFAULT_BACKOFF, DRAIN_S, Backoff, BindService, ClientEndpoint
from smpp.commands import Bind, BindMode, Status, SubmitSm, relative_time, status_name
from smpp.connection import Alarm, EsmeProtocol, Reactor
from smpp.counters import Counters
from smpp.events import (
    Bound,
    Closed,
    Event,
    Malformed,
    MoReceived,
    ReceiptReceived,
    ResponseLate,
    ResponseLost,
    SubmitFailed,
    Submitted,
)
from smpp.incoming import IncomingMessages
from smpp.messages import LateResponse, MoMessage, MtMessage, PartResult, SubmitResult, written
from smpp.pace import Pace
from smpp.pdu import UnencodablePdu, encode
from smpp.receipt import Receipt
from smpp.session import THROTTLING, Limits, Session
from smpp.waiting import at_most

QUEUE_S: Final = 10.0
"""A part waits so long for the rate and for room in a window; then it is `not_sent`."""

_MODES: Final[dict[str, tuple[BindMode, ...]]] = {
    "transceiver": ("transceiver",),
    "transmitter": ("transmitter",),
    "receiver": ("receiver",),
    "pair": ("transmitter", "receiver"),
}
_ROOM: Final = frozenset({Bound, Submitted, SubmitFailed, ResponseLost, ResponseLate})


@dataclass(slots=True)
class _Sending:
    """A message of which parts are queued or under way."""

    mt_id: str
    smsc: str
    deferred: Deferred[SubmitResult]
    open_parts: int
    results: list[PartResult] = field(default_factory=list)

    def settle(self, result: PartResult) -> None:
        self.results.append(result)
        self.open_parts -= 1
        if self.open_parts == 0:
            parts = tuple(sorted(self.results, key=lambda part: part.number))
            left = any(part.outcome != "not_sent" for part in parts)
            self.deferred.callback(SubmitResult(parts, self.smsc if left else ""))


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a message, waiting until `until` or under way."""

    sending: _Sending
    number: int
    request: SubmitSm
    until: float

    def settle(self, outcome: Any, **more: Any) -> None:
        self.sending.settle(PartResult(self.number, outcome, **more))


class _UnderWay(NamedTuple):
    """A part that was sent, by which bind and when (monotonic seconds)."""

    part: _Part
    bind: BindService
    sent_at: float


class EsmeService(Service):
    """All binds to one SMSC, kept up."""

    def __init__(
        self,
        endpoint: ClientEndpoint,
        settings: Smsc,
        reactor: Reactor,
        on_mo: Callable[[MoMessage], Awaitable[int]],
        on_receipt: Callable[[str, Receipt], Awaitable[int]],
        on_ready: Callable[[], None],
        on_late: Callable[[LateResponse], None] = lambda _: None,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        """Callbacks run in the reactor's thread.

        `on_mo` and `on_receipt` return the command_status of the deliver_sm_resp, which leaves when
        they have: return ROK after the commit. If they raise, `mo_retry_status` is answered, and
        the SMSC sends again. `on_receipt` gets the SMSC's name with the receipt. `on_ready` says
        that `free()` may have grown, `on_late` that a part told as lost has a response after all.
        UnencodablePdu if the settings cannot be put into a bind.
        """
        self.counters = Counters()
        self._settings = settings
        self._reactor = reactor
        self._on_ready = on_ready
        self._on_late = on_late
        self._monotonic = monotonic
        self._incoming = IncomingMessages(settings, on_mo, on_receipt, self.counters, clock)
        self._binds = [
            BindService(
                settings.name,
                endpoint,
                bind_request(settings, mode),
                self._new_session,
                reactor,
                self,
                monotonic=monotonic,
                jitter=jitter,
                backoff=backoff,
            )
            for _ in range(settings.binds)
            for mode in _MODES[settings.bind]
        ]
        self._pace = Pace(settings.tps)
        self._queue: deque[_Part] = deque()
        self._alarm = Alarm(reactor, monotonic, self._pace_allows)
        self._drained: Deferred[None] | None = None
        self._stopping = False
        self._in_events = False

    def _new_session(self) -> Session:
        settings = self._settings
        limits = Limits(
            window=settings.window,
            enquire_link_s=settings.enquire_link_s,
            response_timeout_s=settings.response_timeout_s,
            mo_response_deadline_s=settings.mo_response_deadline_s,
            mo_retry_status=settings.mo_retry_status,
        )
        return Session(limits, settings.message_id)

    # ---- life

    @property
    def name_of_smsc(self) -> str:
        """The SMSC's name in settings, logs and records."""
        return self._settings.name

    @property
    def can_send(self) -> bool:
        """Whether a bind is there that messages may leave by."""
        return any(bind.is_bound and bind.mode != "receiver" for bind in self._binds)

    @property
    def bound(self) -> int:
        """How many of its binds are bound."""
        return sum(bind.is_bound for bind in self._binds)

    @property
    def under_way(self) -> int:
        """How many submit_sm wait for their response."""
        return sum(bind.under_way for bind in self._binds)

    @property
    def queued(self) -> int:
        """How many parts wait for the rate or for room in a window."""
        return len(self._queue)

    def health(self) -> tuple[bool, str]:
        """Whether each kind of bind it needs is bound at least once, and how each stands."""
        modes = {bind.mode for bind in self._binds}
        works = modes == {bind.mode for bind in self._binds if bind.is_bound}
        if len(self._binds) == 1:
            return works, self._binds[0].detail
        binds = ", ".join(f"{bind.mode} {bind.detail}" for bind in self._binds)
        return works, f"{self.bound} of {len(self._binds)} bound: {binds}"

    def startService(self) -> None:
        """Begin to connect; failing is tried again for as long as the service runs."""
        super().startService()
        self._stopping = self._incoming.is_stopping = False
        for bind in self._binds:
            bind.startService()

    def stopService(self) -> Deferred[None]:
        """Let what is under way finish (DRAIN_S at most), unbind, disconnect."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping = self._incoming.is_stopping = True
        if self._queue:
            self._drained = Deferred()
            await at_most(self._reactor, DRAIN_S, self._drained)
        await gatherResults([bind.stopService() for bind in self._binds])
        self._give_up_queue()
        self._alarm.cancel()

    # ---- out

    def free(self) -> int:
        """How many parts would leave at once, or nearly so, if they were submitted now."""
        now = self._monotonic()
        if self._stopping or self._pace.is_paused(now):
            return 0
        room = sum([bind.free for bind in self._binds])
        return max(0, min(room, self._pace.ahead(now)) - len(self._queue))

    def window(self) -> int:
        """How many parts may be under way at once, those that are included; 0 while none may."""
        now = self._monotonic()
        if self._stopping or self._pace.is_paused(now):
            return 0
        return min(sum([bind.free + bind.under_way for bind in self._binds]), self._pace.ahead(now))

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        """Send a message; the Deferred always succeeds, with what became of each of its parts.

        Parts that find no room in the windows wait for it, QUEUE_S (or the message's validity) at
        most, and only so many as fit into the windows twice: others, and those left when the last
        bind is lost, are `not_sent`. Ask `free` first.
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
        sending = _Sending(message.mt_id, self._settings.name, deferred, len(requests))
        until = self._monotonic() + _patience_s(message)
        parts = [_Part(sending, number, request, until) for number, request in requests]
        if self._takes_more():
            self._queue.extend(parts)
            if not self._in_events:
                self._send_queued()
        else:
            for part in parts:
                part.settle("not_sent")
        return deferred

    def _takes_more(self) -> bool:
        most = 2 * self._settings.window * self._settings.binds
        return not self._stopping and len(self._queue) < most and self.can_send

    def _requests(self, message: MtMessage) -> list[tuple[int, SubmitSm]]:
        """Return the submit_sm of each part to send, with its number."""
        settings = self._settings
        segments = text.segment(
            message.text, message.reference, settings.alphabet, settings.long_messages
        )
        validity = "" if message.validity is None else relative_time(message.validity)
        destination = written(message.destination, settings.number_format)
        return [
            (
                number,
                SubmitSm(
                    sequence=0,
                    source_addr=message.source,
                    destination_addr=destination,
                    short_message=segment.short_message,
                    data_coding=segment.data_coding,
                    esm_class=segment.esm_class,
                    registered_delivery=1 if message.receipt else 0,
                    validity_period=validity,
                    source_addr_ton=settings.source_ton,
                    source_addr_npi=settings.source_npi,
                    dest_addr_ton=settings.dest_ton,
                    dest_addr_npi=settings.dest_npi,
                    service_type=settings.service_type,
                    tlvs=segment.tlvs,
                ),
            )
            for number, segment in enumerate(segments, 1)
            if not message.only or number in message.only
        ]

    def _send_queued(self) -> None:
        """Send what rate and windows allow; ring when there is more to do."""
        now = self._monotonic()
        while self._queue:
            bind = self._binds[0] if len(self._binds) == 1 else max(self._binds, key=_free)
            if self._queue[0].until <= now:
                self._queue.popleft().settle("not_sent")
            elif bind.free > 0 and self._pace.ready_at(now) <= now:
                self._send(bind, self._queue.popleft(), now)
            else:
                break
        for bind in self._binds:
            bind.flush()
        self._set_alarm(now)
        self._notice_drained()

    def _send(self, bind: BindService, part: _Part, now: float) -> None:
        try:
            bind.submit(part.request, now, _UnderWay(part, bind, now))
        except UnencodablePdu as error:
            part.settle("refused", why=str(error))
        else:
            self._pace.take(bind, now)
            self.counters.submitted += 1

    def _set_alarm(self, now: float) -> None:
        ready_at = self._pace.ready_at(now)
        if ready_at > now and (self._queue or self._pace.is_paused(now)):
            self._alarm.set(ready_at)
        if self._queue:
            self._alarm.set(self._queue[0].until)

    def _pace_allows(self) -> None:
        self._send_queued()
        self._say_ready()

    def _say_ready(self) -> None:
        # Not for each place: what is claimed together costs the store less.
        free = self.free()
        if free and free >= len(self._queue):
            self._on_ready()

    def _give_up_queue(self) -> None:
        queue, self._queue = self._queue, deque()
        for part in queue:
            part.settle("not_sent")
        self._notice_drained()

    def _notice_drained(self) -> None:
        if self._drained is not None and not self._queue:
            drained, self._drained = self._drained, None
            drained.callback(None)

    # ---- events

    def happened(self, bind: BindService, connection: EsmeProtocol, events: list[Event]) -> None:
        """Take the events of one moment on one bind."""
        room = False
        self._in_events = True  # what they cause to be submitted leaves together, after them
        try:
            for event in events:
                if isinstance(event, MoReceived):
                    self._incoming.mo_received(bind, connection, event)
                elif isinstance(event, ReceiptReceived):
                    self._incoming.receipt_received(bind, connection, event)
                else:
                    room |= type(event) in _ROOM
                    self._REACTIONS.get(type(event), _nothing)(self, event)
        finally:
            self._in_events = False
        self._send_queued()
        if room:
            self._say_ready()

    def _bound(self, _event: Bound) -> None:
        self.counters.binds += 1

    def _submitted(self, event: Submitted) -> None:
        self.counters.accepted += 1
        sent: _UnderWay = event.about
        self._pace.accepted(sent.bind, sent.sent_at, self._monotonic())
        sent.part.settle("accepted", message_id=event.message_id)

    def _submit_failed(self, event: SubmitFailed) -> None:
        self.counters.refused += 1
        sent: _UnderWay = event.about
        now = self._monotonic()
        self._pace.refused(sent.bind, sent.sent_at, now)
        if event.status in THROTTLING:
            self.counters.throttled += 1
            self._pace.throttled(now)
        sent.part.settle("refused", status=event.status, why=status_name(event.status))

    def _response_lost(self, event: ResponseLost) -> None:
        self.counters.lost += 1
        sent: _UnderWay = event.about
        sent.part.settle("lost")

    def _response_late(self, event: ResponseLate) -> None:
        self.counters.late += 1
        part = event.about.part
        if event.status == Status.ROK:
            result = PartResult(part.number, "accepted", message_id=event.message_id)
        else:
            why = status_name(event.status)
            result = PartResult(part.number, "refused", status=event.status, why=why)
        self._on_late(LateResponse(part.sending.mt_id, self._settings.name, result))

    def _malformed(self, _event: Malformed) -> None:
        self.counters.malformed += 1

    def _closed(self, _event: Closed) -> None:
        if not self.can_send:
            self._give_up_queue()

    _REACTIONS: Final[dict[type[Event], Callable[[EsmeService, Any], None]]] = {
        Bound: _bound,
        Submitted: _submitted,
        SubmitFailed: _submit_failed,
        ResponseLost: _response_lost,
        ResponseLate: _response_late,
        Malformed: _malformed,
        Closed: _closed,
    }


def bind_request(settings: Smsc, mode: BindMode) -> Bind:
    """Return the request that an SMSC's settings ask for.

    Raises:
        UnencodablePdu: they cannot be put into one.
    """
    request = Bind(
        0,
        settings.system_id,
        settings.password,
        mode,
        settings.system_type,
        settings.interface_version,
    )
    encode(request)
    return request


def _patience_s(message: MtMessage) -> float:
    if message.validity is None:
        return QUEUE_S
    return min(QUEUE_S, message.validity.total_seconds())


def _free(bind: BindService) -> int:
    return bind.free


def _nothing(esme: EsmeService, event: Event) -> None:  # a reaction to nothing
    """Stand for the reaction to an event that needs none."""
