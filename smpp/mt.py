"""drains the outbox into the free window of the binds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from catalog.values import mask
from ordering import claims, contact, receipts
from ordering.claims import Claim
from ordering.contact import ContactPolicy
from ordering.outcomes import Outcome, Part, settle, settle_all
from smpp.commands import Status
from smpp.messages import LateResponse, MtMessage, SubmitResult
from smpp.receipt import Receipt
from smpp.retry import OnLost, outcome_of
from smpp.waiting import at_most
from store.database import Database, StoreBusy, StoreError, StoreUnavailable

log = structlog.get_logger()

POLL_S = 1.0
"""What was put in by another host, or became due, is looked for so often."""
MOST_A_CLAIM = 100
"""A claim looks at twice as many at most; so answers that piled up are soon no longer behind."""
RENEWED_AFTER = claims.LEASE / 3
"""Claims still under way are renewed then: an SMSC may take longer than a lease to answer."""
OFFER_HELD = timedelta(seconds=5)
"""An offer that has not left so long after it was claimed needs anew what allowed it then."""
ON_LOST: OnLost = MappingProxyType({"answer": "resend", "order": "resend", "offer": "drop"})
"""What becomes of a message without a response, unless its SMSC's settings say otherwise."""


class Binds(Protocol):
    """What is needed of an `SmscPool`, or of a single `EsmeService`."""

    def free(self) -> int:
        """How many parts would leave at once."""

    def window(self) -> int:
        """How many parts may be under way at once, those that are included."""

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        """Send a message; always succeeds, with what became of its parts and at which SMSC."""


@dataclass(slots=True)
class _UnderWay:
    """A message that is to be submitted, or was; `late` parts of earlier attempts came since."""

    claim: Claim
    claimed_at: datetime
    leased_at: datetime
    late: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Done:
    """An outcome to be recorded, and what it is about (None: a late response)."""

    outcome: Outcome
    claim: Claim | None = None


class MtService(Service):
    """Sends what waits in the outbox while the binds have room.

    `room` is given to the binds as their `on_ready`, `receipt` as their `on_receipt`, `late` as
    their `on_late`. An answer that has a place reserved comes already claimed.
    """

    def __init__(
        self,
        database: Database,
        policy: ContactPolicy,
        host: str,
        reactor: IReactorTime,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        on_lost: Mapping[str, OnLost] = MappingProxyType({}),
        drain_s: float = 60.0,
    ) -> None:
        """`on_lost` is by the SMSC's name; one that is not there has `ON_LOST`.

        `drain_s` is how long the end waits for what is under way.
        """
        self._database = database
        self._policy = policy
        self._host = host
        self._reactor: Any = reactor  # its interface is declared without self
        self._now = now
        self._new_id = new_id
        self._on_lost = on_lost
        self._drain_s = drain_s
        self._binds: Binds | None = None
        self._wanted = True  # the outbox may hold something to claim
        self._behind = True  # it may hold answers that were not claimed as they were put in
        self._exchanging = False
        self._claimant: str | None = None  # of a claim whose answer never came
        self._reserved = 0  # places kept for answers that are being stored
        self._goes_on_soon = False
        self._done: list[_Done] = []
        self._ready: deque[_UnderWay] = deque()  # claimed, and no room for them yet
        self._under_way: dict[str, _UnderWay] = {}
        self._poll = LoopingCall(self._look)
        self._poll.clock = reactor
        self._unsubscribe: tuple[Callable[[], None], ...] = ()
        self._idle: list[Deferred[None]] = []

    def send_through(self, binds: Binds) -> None:
        """Tell which binds to use: they are made after this service, which they call back."""
        self._binds = binds

    def startService(self) -> None:
        """Begin to drain, woken by the store, by the binds and every second."""
        super().startService()
        self._unsubscribe = (
            self._database.on_change("outbox", self.wake),
            self._database.on_change(contact.OFFERS_STOPPED, self._ask_again_for_offers),
        )
        self._poll.start(POLL_S).addErrback(_failed)

    def stopService(self) -> Deferred[None]:
        """Claim nothing more; fire when what is under way has been recorded, or after `drain_s`.

        What has no answer by then is left to its lease: its class decides what becomes of it.
        """
        super().stopService()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        if self._poll.running:
            self._poll.stop()
        return Deferred.fromCoroutine(self._end())

    async def _end(self) -> None:
        stopped: Deferred[None] = Deferred()
        self._idle.append(stopped)
        self._go_on_or_end()
        await at_most(self._reactor, self._drain_s, stopped)
        if self._under_way:
            log.warning("mt_left_under_way", mt_ids=sorted(self._under_way))

    def _go_on_or_end(self) -> None:
        if self.running:
            self._submit_ready()
        else:
            self._give_back_ready()
        self._go_on()
        self._notice_idle()

    def _give_back_ready(self) -> None:
        """Let others send what was claimed and is not submitted."""
        while self._ready:
            self._give_back(self._ready.popleft().claim)

    def _give_back(self, claim: Claim) -> None:
        now, mt_id = self._now(), claim.message.mt_id
        by, tried = claim.claimant, claim.attempts
        back = Outcome(mt_id, by, "later", now, again_at=now, attempts=tried)
        self._done.append(_Done(back, claim))

    def _ask_again_for_offers(self, older_than: timedelta = timedelta(0)) -> None:
        """Give back the offers that have not left: who claims them asks anew whether they may."""
        since = self._now() - older_than
        kept: deque[_UnderWay] = deque()
        for one in self._ready:
            if one.claim.message.message_class == "offer" and one.claimed_at <= since:
                self._give_back(one.claim)
                self._wanted = True
            else:
                kept.append(one)
        self._ready = kept
        self._go_on()

    def health(self) -> tuple[bool, str]:
        """Whether it runs, and how much is under way."""
        unrecorded = f", {len(self._done)} to be recorded" if self._done else ""
        count = len(self._ready) + len(self._under_way)
        return bool(self.running), f"{count} messages under way{unrecorded}"

    # ---- out

    def wake(self) -> None:
        """Look into the outbox, now or, if that is being done, once more after it."""
        self._wanted = True
        self._go_on()

    def room(self) -> None:
        """There is room in the binds again: look into the outbox if something was left in it."""
        self._submit_ready()
        if self._wanted:
            self._go_on()

    def reserve(self) -> str:
        """Keep a place for an answer that is being stored; return who claims it, empty: no place.

        No more are kept ahead than the window holds. Once an answer had to be left to the outbox
        there are no places until no other waits there: what came first leaves first.
        """
        if self._behind or not self._has_place():
            self._behind = True
            return ""
        self._reserved += 1
        return self._new_claimant()

    def _has_place(self) -> bool:
        if self._binds is None or not self.running:
            return False
        return self._reserved + len(self._ready) < self._binds.window()

    def send_reserved(self, claimant: str, claim: Claim | None) -> None:
        """Send what was claimed for the place, or give the place back."""
        if not claimant:
            return
        self._reserved -= 1
        if claim is not None:
            self._hold(claim)
        # The response to what it answers is written in this turn of the reactor, and leaves first:
        # a message that comes again after the answer to its answer would be taken for a new one.
        if not self._goes_on_soon:
            self._goes_on_soon = True
            self._reactor.callLater(0, self._go_on_soon)

    def _go_on_soon(self) -> None:
        self._goes_on_soon = False
        self._go_on_or_end()

    def _new_claimant(self) -> str:
        return f"{self._host[:31]}/{self._new_id()}"

    def _look(self) -> None:
        # What has waited since the last look found no room beside the places: now it comes first.
        self._behind = self._behind or self._wanted
        self._ask_again_for_offers(OFFER_HELD)
        old = self._now() - RENEWED_AFTER
        claimed = (*self._ready, *self._under_way.values())
        held = [one for one in claimed if one.leased_at <= old]
        if held:
            Deferred.fromCoroutine(self._renew(held)).addErrback(_failed)
        self.wake()

    async def _renew(self, held: list[_UnderWay]) -> None:
        now = self._now()
        leased = tuple((one.claim.message.mt_id, one.claim.claimant) for one in held)
        for one in held:
            one.leased_at = now
        await self._database.run(claims.renew, leased, now)

    def _go_on(self) -> None:
        if not self._exchanging and self._has_work():
            self._exchanging = True
            Deferred.fromCoroutine(self._drain()).addErrback(_failed)

    def _has_work(self) -> bool:
        return bool(self._done) or (self._wanted and self._room() > 0)

    def _room(self) -> int:
        if self._binds is None or not self.running or self._ready:
            return 0
        return max(0, min(self._binds.free() - self._reserved, MOST_A_CLAIM))

    async def _drain(self) -> None:
        try:
            while self._has_work():
                await self._exchange()
        except (StoreBusy, StoreUnavailable) as error:
            log.warning("outbox_unreachable", error=str(error), unrecorded=len(self._done))
        except StoreError:
            log.exception("outbox_refused", unrecorded=len(self._done))
            await self._record_singly()
        finally:
            self._exchanging = False
            self._notice_idle()

    async def _exchange(self) -> None:
        """Record what is done and claim what there is room for, in one go.

        What this host has sent and not recorded stays within the window: what was answered keeps
        its place in it until it is recorded.
        """
        done, room = tuple(self._done), self._room() if self._wanted else 0
        outcomes = tuple(one.outcome for one in done)
        if room:
            claimed = await self._claim(outcomes, room)
        else:
            await self._database.run(settle_all, outcomes)
        del self._done[: len(done)]
        for one in done:
            _tell(one)
        if room:
            self._take(claimed)
        self._submit_ready()

    async def _claim(self, outcomes: tuple[Outcome, ...], room: int) -> claims.Claimed:
        self._claimant = self._claimant or self._new_claimant()
        self._wanted = False
        values = (outcomes, self._claimant, room, self._policy, self._now())
        try:
            claimed = await self._database.run(claims.exchange, *values)
        except StoreError:
            self._wanted = True
            raise
        self._claimant = None
        return claimed

    def _take(self, claimed: claims.Claimed) -> None:
        if claimed.dropped:
            log.info("mt_dropped", count=claimed.dropped)
        # A claim that looked at much may have left something behind.
        self._wanted = self._wanted or claimed.more
        self._behind = claimed.behind
        for claim in claimed.claims:
            self._hold(claim)

    def _hold(self, claim: Claim) -> None:
        again, now = self._under_way.get(claim.message.mt_id), self._now()
        if again is None:
            self._ready.append(_UnderWay(claim, now, now))
        else:  # the store was away for longer than its lease
            again.claim, again.leased_at = claim, now

    def _submit_ready(self) -> None:
        """Submit what was claimed: there may be room for less of it, as it has several parts."""
        while self._ready and self._binds is not None and self._binds.free() > len(self._done):
            self._submit(self._binds, self._ready.popleft())

    def _submit(self, binds: Binds, under_way: _UnderWay) -> None:
        claim, now = under_way.claim, self._now()
        message = claim.message
        if message.message_class == "offer" and now - under_way.claimed_at >= OFFER_HELD:
            self._give_back(claim)
            self._wanted = True
            self._go_on()
            return
        if message.expires_at <= now:
            expired = Outcome(message.mt_id, claim.claimant, "dropped", now, reason="expired")
            self._record(_Done(expired, claim))
            return
        self._under_way[message.mt_id] = under_way
        submitted = binds.submit(
            MtMessage(
                source=message.sender,
                destination=message.msisdn,
                text=message.text,
                reference=claim.reference,
                validity=message.expires_at - now,
                only=claim.left,
                mt_id=message.mt_id,
                smsc=claim.smsc,
            )
        )
        submitted.addCallback(self._submitted, message.mt_id)
        submitted.addErrback(self._broken, message.mt_id)

    def _submitted(self, result: SubmitResult, mt_id: str) -> None:
        under_way = self._under_way.pop(mt_id)
        claim, on_lost = under_way.claim, self._on_lost.get(result.smsc, ON_LOST)
        outcome = outcome_of(claim, result, on_lost, self._now(), under_way.late)
        self._record(_Done(outcome, claim))

    def _broken(self, failure: Failure, mt_id: str) -> None:
        """Leave a message to its lease: nobody knows whether it was sent."""
        self._under_way.pop(mt_id, None)
        log.error("mt_broken", mt_id=mt_id, error=failure.getErrorMessage())
        self._notice_idle()

    def late(self, response: LateResponse) -> None:
        """Take a response to a part that had been given up: accepted, it is not sent again."""
        if response.part.outcome != "accepted":
            return
        part = Part(response.part.number, response.smsc, response.part.message_id)
        under_way = self._under_way.get(response.mt_id)
        if under_way is not None:
            under_way.late.append(part)
        else:
            self._record(_Done(Outcome(response.mt_id, "", "late", self._now(), (part,))))

    def _record(self, done: _Done) -> None:
        self._done.append(done)
        self._go_on()

    async def _record_singly(self) -> None:
        """Record what can be: one outcome that the store refuses must not hold up the others."""
        done, self._done = self._done, []
        for one in done:
            try:
                await self._database.run(settle, one.outcome)
            except (StoreBusy, StoreUnavailable):
                self._done.append(one)
            except StoreError:
                log.exception("mt_not_recorded", mt_id=one.outcome.mt_id)
            else:
                _tell(one)

    # ---- receipts

    async def receipt(self, smsc: str, receipt: Receipt) -> int:
        """Record a delivery receipt; return the status for its deliver_sm_resp, after the commit.

        Raises:
            StoreError: it could not be stored; the SMSC is to send it again.
        """
        report = receipts.Report(
            smsc, receipt.message_id[:65], receipt.state, receipt.error[:10], self._now()
        )
        mt_id = await self._database.run(receipts.report, report)
        log.info(
            "receipt", smsc=smsc, mt_id=mt_id, message_id=report.message_id, state=report.state
        )
        return Status.ROK

    def _notice_idle(self) -> None:
        if self.running or self._exchanging or self._under_way or self._reserved or self._ready:
            return
        idle, self._idle = self._idle, []
        for stopped in idle:
            stopped.callback(None)


def _tell(done: _Done) -> None:
    outcome, claim = done.outcome, done.claim
    if claim is None:
        log.info("mt_late", mt_id=outcome.mt_id, smsc=outcome.parts[0].smsc)
        return
    message = claim.message
    log.info(
        "mt",
        mt_id=message.mt_id,
        smsc=outcome.parts[0].smsc if outcome.parts else claim.smsc,
        msisdn=mask(message.msisdn),
        message_class=message.message_class,
        purpose=message.purpose,
        parts=len(outcome.parts),
        attempts=outcome.attempts,
        outcome=outcome.word,
        reason=outcome.reason,
        order_id=message.order_id,
        call_id=message.call_id,
        mo_id=message.mo_id,
    )


def _failed(failure: Failure) -> None:
    log.error("outbox_not_drained", error=failure.getErrorMessage())
