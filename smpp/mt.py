"""drains the outbox into the free window of the binds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from catalog.values import mask
from ordering import delivery, outbox
from ordering.contact import ContactPolicy
from smpp.commands import Status
from smpp.messages import MtMessage, PartResult, SubmitResult
from smpp.receipt import Receipt
from store.database import Database, StoreError

log = structlog.get_logger()

POLL_S = 1.0
"""What was put in by another host, or became due, is looked for so often."""
MOST_A_CLAIM = 50
PATIENCE = timedelta(seconds=2)
"""After which a message is tried again that an SMSC would not take now."""
TEMPORARY = frozenset({Status.RSYSERR, Status.RX_T_APPN})
"""Refusals that say nothing of the message (SMPP 3.4 section 5.1.3)."""


class Bind(Protocol):
    """What is needed of an `EsmeService`."""

    @property
    def name_of_smsc(self) -> str:
        """The SMSC's name in records."""

    def free(self) -> int:
        """How many parts would leave at once."""

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        """Send a message; always succeeds, with what became of its parts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message that was submitted, in one word, and why."""

    word: str
    reason: str = ""


class MtService(Service):
    """Sends what waits in the outbox while the bind has room.

    `room` is given to the bind as its `on_ready`, `receipt` as its `on_receipt`.
    """

    def __init__(
        self,
        database: Database,
        policy: ContactPolicy,
        host: str,
        reactor: IReactorTime,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        lease: timedelta = delivery.LEASE,
    ) -> None:
        """`lease` is how long sending may take: more than the SMSC's response timeout."""
        self._database = database
        self._policy = policy
        self._host = host
        self._now = now
        self._new_id = new_id
        self._lease = lease
        self._bind: Bind | None = None
        self._draining = False
        self._again = False
        self._has_more = True  # the outbox may hold what there was no room for
        self._under_way = 0
        self._reference = 0
        self._poll = LoopingCall(self.wake)
        self._poll.clock = reactor
        self._unsubscribe: Callable[[], None] = _nothing
        self._idle: list[Deferred[None]] = []

    def send_through(self, bind: Bind) -> None:
        """Tell which bind to use: it is made after this service, which it calls back."""
        self._bind = bind

    def startService(self) -> None:
        """Begin to drain, woken by the store, by the bind and every second."""
        super().startService()
        self._unsubscribe = self._database.on_change("outbox", self.wake)
        self._poll.start(POLL_S).addErrback(_failed)

    def stopService(self) -> Deferred[None]:
        """Claim nothing more; fire when what is under way has been recorded."""
        super().stopService()
        self._unsubscribe()
        if self._poll.running:
            self._poll.stop()
        stopped: Deferred[None] = Deferred()
        self._idle.append(stopped)
        self._notice_idle()
        return stopped

    # ---- out

    def wake(self) -> None:
        """Look into the outbox, now or, if that is being done, once more after it."""
        self._again = True
        if self.running and not self._draining:
            self._draining = True
            Deferred.fromCoroutine(self._drain()).addErrback(_failed)

    def room(self) -> None:
        """There is room in the bind again: look into the outbox if something was left in it."""
        if self._has_more:
            self.wake()

    async def _drain(self) -> None:
        try:
            while self.running and self._again:
                self._again = False
                await self._claim_and_submit()
        except StoreError as error:
            log.warning("outbox_unreachable", error=str(error))
        finally:
            self._draining = False
            self._notice_idle()

    async def _claim_and_submit(self) -> None:
        room = 0 if self._bind is None else min(self._bind.free(), MOST_A_CLAIM)
        if self._bind is None or room == 0:
            self._has_more = True
            return
        claimant = f"{self._host[:31]}/{self._new_id()}"
        claimed = await self._database.run(
            delivery.claim, claimant, room, self._policy, self._now(), self._lease
        )
        for message in claimed.messages:
            self._under_way += 1
            Deferred.fromCoroutine(self._send(self._bind, message)).addErrback(_failed)
        # A full claim may have left something behind, also one that found much to drop.
        self._has_more = len(claimed.messages) + claimed.dropped >= room
        self._again = self._again or self._has_more

    async def _send(self, bind: Bind, message: outbox.Message) -> None:
        try:
            result = await bind.submit(self._to_submit(message))
            outcome = await self._record(bind.name_of_smsc, message, result)
        finally:
            self._under_way -= 1
            self._notice_idle()
        log.info(
            "mt",
            mt_id=message.mt_id,
            smsc=bind.name_of_smsc,
            msisdn=mask(message.msisdn),
            message_class=message.message_class,
            purpose=message.purpose,
            parts=len(result.parts),
            outcome=outcome.word,
            reason=outcome.reason,
            order_id=message.order_id,
            call_id=message.call_id,
            mo_id=message.mo_id,
        )

    def _to_submit(self, message: outbox.Message) -> MtMessage:
        self._reference = (self._reference + 1) & 0xFFFF
        return MtMessage(
            source=message.sender,
            destination=message.msisdn,
            text=message.text,
            reference=self._reference,
            validity=message.expires_at - self._now(),
        )

    async def _record(self, smsc: str, message: outbox.Message, result: SubmitResult) -> Outcome:
        parts = tuple(
            delivery.Part(part.number, smsc, part.message_id)
            for part in result.parts
            if part.outcome == "accepted"
        )
        outcome = _outcome(message, result)
        run, mt_id, now = self._database.run, message.mt_id, self._now()
        if outcome.word == "sent":
            await run(delivery.sent, mt_id, parts, now)
        elif outcome.word == "failed":
            await run(delivery.failed, mt_id, parts, outcome.reason, now)
        else:
            await run(delivery.released, mt_id, now + PATIENCE)
        return outcome

    # ---- receipts

    async def receipt(self, smsc: str, receipt: Receipt) -> int:
        """Record a delivery receipt; return the status for its deliver_sm_resp, after the commit.

        Raises:
            StoreError: it could not be stored; the SMSC is to send it again.
        """
        report = delivery.Report(
            smsc, receipt.message_id[:65], receipt.state, receipt.error[:10], self._now()
        )
        mt_id = await self._database.run(delivery.report, report)
        log.info(
            "receipt", smsc=smsc, mt_id=mt_id, message_id=report.message_id, state=report.state
        )
        return Status.ROK

    def _notice_idle(self) -> None:
        if self.running or self._draining or self._under_way:
            return
        idle, self._idle = self._idle, []
        for stopped in idle:
            stopped.callback(None)


def _outcome(message: outbox.Message, result: SubmitResult) -> Outcome:
    """Decide between sent, failed and released.

    A part that was lost may have been taken: an offer is not sent again. Parts of a message that
    were accepted before another was not are sent again with it, since a half is of no use.
    """
    if result.accepted:
        return Outcome("sent")
    refused = next((part for part in result.parts if _is_final(part)), None)
    if refused is not None:
        return Outcome("failed", (refused.why or f"status {refused.status:#x}")[:40])
    if message.message_class == "offer" and any(
        part.outcome in ("accepted", "lost") for part in result.parts
    ):
        return Outcome("failed", "response_lost")
    return Outcome("released", next(part.outcome for part in result.parts))


def _is_final(part: PartResult) -> bool:
    return part.outcome == "refused" and not part.throttled and part.status not in TEMPORARY


def _failed(failure: Failure) -> None:
    log.error("outbox_not_drained", error=failure.getErrorMessage())


def _nothing() -> None:
    """Stand for an unsubscription before there is a subscription."""
