"""The simulated SMSC itself: who is bound, what was submitted, what waits to be delivered.

Messages put in by HTTP go to one receiving bind as deliver_sm and are sent again until one accepts
them; messages submitted are kept (the last 10,000) for whoever asks by HTTP, and a delivery receipt
follows where one was asked for.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from typing import Protocol as Interface

from twisted.internet.defer import Deferred

from catalog.values import NotAMobile, parse_msisdn
from smpp.commands import DataSm, DeliverSm, Status, SubmitSm, Tag
from smpp.connection import DelayedCall, Reactor
from smpp.text import Joined, Parts, Segment, content

KEPT: Final = 10_000
"""Messages kept, and messages that may wait for a bind."""

_AGAIN: Final = frozenset(
    {Status.RMSGQFUL, Status.RTHROTTLED, Status.RSYSERR, Status.RX_T_APPN, Status.RINVBNDSTS}
)


class Connection(Interface):
    """An ESME's connection, as the SMSC sees it."""

    @property
    def mode(self) -> str | None:
        """How it has bound; None before."""

    @property
    def room(self) -> int:
        """How many more deliver_sm may be sent before one is answered."""

    @property
    def since(self) -> datetime:
        """When it came."""

    @property
    def peer(self) -> str:
        """Where from."""

    def deliver(self, delivery: Delivery) -> None:
        """Send one deliver_sm; its answer comes to `Smsc.answered`."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on purpose; 0 is never."""

    throttle_every: int = 0
    """Every n-th submit_sm is answered RTHROTTLED and not kept."""
    drop_every: int = 0
    """At every n-th submit_sm the connection is cut, the message neither kept nor answered."""
    response_delay_s: float = 0.0
    """submit_sm_resp leaves so much later."""
    receipt_state: str = "DELIVRD"
    """What every receipt says."""


NO_FAULTS: Final = Faults()


@dataclass(frozen=True, slots=True)
class Mt:
    """A message submitted to the simulator, its parts joined; `n` counts from 1."""

    n: int
    at: datetime
    source: str
    destination: str
    text: str
    parts: int
    missing: int
    message_ids: tuple[str, ...]
    data_coding: int
    validity: str


@dataclass(slots=True, eq=False)
class Mo:
    """A message to be delivered; `answered` fires with the last status of its parts."""

    mo_id: str
    open_parts: int
    status: int = Status.ROK
    answered: list[Deferred[int]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Delivery:
    """One deliver_sm to be sent until it is accepted; receipts have no `mo`."""

    message: DeliverSm
    mo: Mo | None = None


class Smsc:
    """The simulated SMSC itself: who is bound, what was submitted, what waits to be delivered."""

    def __init__(
        self,
        reactor: Reactor,
        clock: Callable[[], datetime],
        *,
        system_id: str,
        password: str,
        faults: Faults = NO_FAULTS,
        receipt_delay_s: float = 0.2,
        retry_s: float = 1.0,
        window: int = 10,
        kept: int = KEPT,
    ) -> None:
        self.reactor = reactor
        self.clock = clock
        self.system_id = system_id
        self.password = password
        self.faults = faults
        self.retry_s = retry_s
        self.window = window
        self.kept = kept
        self.binds: list[Connection] = []
        self.mts: deque[Mt] = deque(maxlen=kept)
        self.counts: Counter[str] = Counter()
        self._receipt_delay_s = receipt_delay_s
        self._receivers: deque[Connection] = deque()
        self._queue: deque[Delivery] = deque()
        self._parts = Parts()
        self._ids: dict[tuple[str, str, int, int] | None, list[str]] = {}
        self._watchers: list[Deferred[None]] = []
        self._timers: set[DelayedCall] = set()
        # Ids go on from run to run, since those who keep receipts know us under one name.
        self._next_id = int(clock().timestamp() * 1_000_000)

    # ---- to the ESME

    @property
    def waiting(self) -> int:
        """How many deliver_sm wait for a bind that may take them."""
        return len(self._queue)

    def put_mo(self, source: str, destination: str, segments: tuple[Segment, ...]) -> Mo:
        """Queue a subscriber's message; its parts may go to different binds."""
        mo = Mo(self._new_id(), len(segments))
        self.counts["mo"] += 1
        for segment in segments:
            message = DeliverSm(
                0,
                source,
                destination,
                segment.short_message,
                segment.data_coding,
                segment.esm_class,
                source_addr_ton=1,
                source_addr_npi=1,
                tlvs=segment.tlvs,
            )
            self._queue.append(Delivery(message, mo))
        self.pump()
        return mo

    def pump(self) -> None:
        """Send what waits to binds that have room, in turn."""
        idle = 0
        while self._queue and idle < len(self._receivers):
            receiver = self._receivers[0]
            self._receivers.rotate(-1)
            if receiver.room > 0:
                receiver.deliver(self._queue.popleft())
                idle = 0
            else:
                idle += 1

    def put_back(self, deliveries: list[Delivery]) -> None:
        """Take back what a lost connection had not answered: it comes first, in its order."""
        self._queue.extendleft(reversed(deliveries))
        self.pump()

    def answered(self, delivery: Delivery, status: int) -> None:
        """Note the response to a deliver_sm; some statuses ask for it again later."""
        if status in _AGAIN:
            self.counts["deliver_again"] += 1
            self.later(self.retry_s, self._again, delivery)
        elif delivery.mo is None:
            self.counts["receipts_answered"] += 1
        else:
            mo = delivery.mo
            mo.open_parts -= 1
            mo.status = max(mo.status, status)
            if mo.open_parts == 0:
                self.counts["mo_answered"] += 1
                waiting, mo.answered = mo.answered, []
                for deferred in waiting:
                    deferred.callback(mo.status)

    def _again(self, delivery: Delivery) -> None:
        self._queue.append(delivery)
        self.pump()

    # ---- from the ESME

    def accept(self, message: SubmitSm | DataSm) -> str:
        """Keep a message that was submitted and return its id; its receipt is on the way."""
        message_id = self._new_id()
        self.counts["accepted"] += 1
        now = self.clock().timestamp()
        joined = self._parts.add(message, now)
        ids = self._ids_of(message)
        ids.append(message_id)
        validity = getattr(message, "validity_period", "")
        if joined is not None:
            self._keep(joined, ids, validity)
            self._parts.settle(joined)
        for incomplete in self._parts.expire(now):
            self._keep(incomplete, self._ids.pop(incomplete.key, []), "")
        wanted, delivered = (
            message.registered_delivery & 0x03,
            self.faults.receipt_state == "DELIVRD",
        )
        if wanted == 1 or (wanted == 2 and not delivered):
            self.later(self._receipt_delay_s, self._send_receipt, message, message_id, self.clock())
        return message_id

    def _ids_of(self, message: SubmitSm | DataSm) -> list[str]:
        """Return the ids given so far to the parts of the text that this message belongs to."""
        _, part = content(message)
        if part is None:
            return []
        key = (message.source_addr, message.destination_addr, part.reference, part.total)
        if len(self._ids) >= self.kept:
            del self._ids[next(iter(self._ids))]
        ids = self._ids.setdefault(key, [])
        if len(ids) >= part.total:
            ids.clear()
        return ids

    def _keep(self, joined: Joined, message_ids: list[str], validity: str) -> None:
        self.counts["mt"] += 1
        self.mts.append(
            Mt(
                n=self.counts["mt"],
                at=self.clock(),
                source=joined.source,
                destination=joined.destination,
                text=joined.text,
                parts=len(message_ids),
                missing=joined.missing,
                message_ids=tuple(message_ids),
                data_coding=joined.data_coding,
                validity=validity,
            )
        )
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.callback(None)

    def _send_receipt(
        self, message: SubmitSm | DataSm, message_id: str, submitted: datetime
    ) -> None:
        if len(self._queue) >= self.kept:
            self.counts["receipts_dropped"] += 1
            return
        self._queue.append(Delivery(self._receipt(message, message_id, submitted)))
        self.pump()

    def _receipt(
        self, message: SubmitSm | DataSm, message_id: str, submitted: datetime
    ) -> DeliverSm:
        """Write a receipt as Appendix B does, with the TLVs of section 5.3.2 beside it."""
        states = ("", "ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN")
        state = self.faults.receipt_state
        number = states.index(state) if state in states else 8
        delivered = int(state == "DELIVRD")
        words = (
            f"id:{message_id} sub:001 dlvrd:{delivered:03d} submit date:{submitted:%y%m%d%H%M} "
            f"done date:{self.clock():%y%m%d%H%M} stat:{state} err:000 text:"
        )
        return DeliverSm(
            0,
            message.destination_addr,
            message.source_addr,
            words.encode("ascii"),
            esm_class=0x04,
            tlvs=(
                (Tag.RECEIPTED_MESSAGE_ID, message_id.encode("ascii") + b"\0"),
                (Tag.MESSAGE_STATE, bytes((number,))),
            ),
        )

    # ---- who is there

    def bound(self, protocol: Connection) -> None:
        """A connection has bound; it receives unless it is a transmitter."""
        self.counts["binds"] += 1
        self.binds.append(protocol)
        if protocol.mode != "transmitter":
            self._receivers.append(protocol)
        self.pump()

    def left(self, protocol: Connection) -> None:
        """A connection is gone or has unbound."""
        if protocol in self.binds:
            self.binds.remove(protocol)
        if protocol in self._receivers:
            self._receivers.remove(protocol)

    def mts_since(self, n: int, destination: str) -> list[Mt]:
        """Return the messages kept after the n-th, to one number in any usual form or to all."""
        wanted = _comparable(destination)
        return [
            mt
            for mt in self.mts
            if mt.n > n and (not wanted or _comparable(mt.destination) == wanted)
        ]

    def next_mt(self) -> Deferred[None]:
        """Fire when another message has been kept."""
        watcher: Deferred[None] = Deferred(self._watchers.remove)
        self._watchers.append(watcher)
        return watcher

    def later(self, delay_s: float, function: Callable[..., object], *values: object) -> None:
        """Call once after `delay_s`, unless the simulator stops before."""

        def call() -> None:
            self._timers.discard(timer)
            function(*values)

        timer = self.reactor.callLater(delay_s, call)
        self._timers.add(timer)

    def stop(self) -> None:
        """Let go of timers and of those who wait."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for watcher in list(self._watchers):
            watcher.cancel()

    def _new_id(self) -> str:
        self._next_id += 1
        return f"{self._next_id:x}"


def _comparable(number: str) -> str:
    try:
        return parse_msisdn(number)
    except NotAMobile:
        return number.strip().lstrip("+")
