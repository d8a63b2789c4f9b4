"""Outbound preview calls through AMI (pyst2).

The platform calls a subscriber back and lets the dialplan connect him to the line as if he had
dialled 12530019 and the tone's code; TONELINE_MSISDN says who he is, so that what he orders is his.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall

from catalog.values import mask
from config.settings import Ami
from ivr.ami import AmiError, Headers, Refused, accepted
from ivr.ami_connection import NotSent, Reactor
from ivr.ami_link import AmiLink
from ordering import callbacks
from ordering.callbacks import Callback, Outcome
from store.database import Database

POLL_S = 5.0  # how late a call that another host or a clock made due may be noticed
AT_ONCE = 30  # telephones that one process rings at once
OUTCOME_S = 10.0  # Asterisk tells what became of a call so long after its ringing at the latest
CAUSE_S = 1.0  # the cause of a failure comes as an event of its own, before or after the failure
LEASE_S = 60.0  # from the claim to the outcome, beside the ringing

_USER_BUSY = "17"  # causes: ITU-T Q.850, as Asterisk's Hangup event has them
_NO_ANSWER = ("18", "19")
_STILL_RINGING = "3"  # reasons of OriginateResponse: Asterisk's control frames
_BUSY = "5"

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Called:
    """What became of a call, and a word for it."""

    outcome: Outcome
    reason: str = ""


def dialled_number(msisdn: str, number_format: str) -> str:
    """Return a number of `86` and 11 digits as the trunk wants it."""
    return {"national": msisdn[2:], "e164": msisdn, "plus": f"+{msisdn}"}[number_format]


def originate_action(settings: Ami, callback: Callback, line: str, channel_id: str) -> Headers:
    """Return the AMI action that rings a subscriber and sends him to `line` and the tone's code.

    Its outcome carries `channel_id` as ActionID, and its channel's end as Uniqueid.
    """
    number = dialled_number(callback.msisdn, settings.number_format)
    return {
        "Action": "Originate",
        "ActionID": channel_id,
        "ChannelId": channel_id,
        "Channel": settings.channel.replace("{number}", number),
        "Context": settings.context,
        "Exten": line + callback.tone_code,
        "Priority": "1",
        "Timeout": str(settings.ring_s * 1000),
        "CallerID": settings.caller_id,
        "Variable": f"TONELINE_MSISDN={callback.msisdn}",
        "Async": "true",
    }


def outcome_of(response: Headers, hangup: Headers | None) -> Called:
    """Return what an OriginateResponse tells, with the Hangup of its channel if there was one.

    The response's own Reason is 0 for a busy telephone (seen in Asterisk 16 and 22): the cause
    decides.
    """
    if response.get("Response") == "Success":
        return Called("answered")
    cause = "" if hangup is None else hangup.get("Cause", "")
    reason = response.get("Reason", "")
    if cause == _USER_BUSY or reason == _BUSY:
        return Called("busy")
    if cause in _NO_ANSWER or reason == _STILL_RINGING:
        return Called("no_answer")
    if hangup is None:
        return Called("failed", f"reason {reason}")
    return Called("failed", f"cause {cause} {hangup.get('Cause-txt', '')}".strip())


@dataclass(slots=True, eq=False)
class _Ringing:
    """The two events that tell what became of a call on its way."""

    response: Deferred[Headers] = field(default_factory=Deferred)
    hangup: Deferred[Headers] = field(default_factory=Deferred)


class CallbackService(Service):
    """Places the calls that are due, as soon as the store tells of them and AMI is there.

    `line` is the access number; `host` names this process in claims.
    """

    def __init__(
        self,
        database: Database,
        link: AmiLink,
        settings: Ami,
        reactor: Reactor,
        *,
        line: str,
        host: str,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self.dropped = 0
        self.failures = 0
        self._database = database
        self._link = link
        self._settings = settings
        self._reactor = reactor
        self._line = line
        self._host = host
        self._clock = clock
        self._new_id = new_id
        self._calls: set[Deferred[None]] = set()
        self._ringing: dict[str, _Ringing] = {}
        self._draining = False
        self._drained: Deferred[None] | None = None
        self._placing: Deferred[None] | None = None
        self._again = False
        self._unsubscribe: Callable[[], None] | None = None
        self._poll = LoopingCall(self._wake)
        self._poll.clock = reactor  # type: ignore[assignment]  # zope, see Reactor
        link.on_event = self._hear
        link.on_connected = self._wake
        link.on_lost = self._lose

    @property
    def calls_ringing(self) -> int:
        """How many telephones are being rung."""
        return len(self._calls)

    def health(self) -> tuple[bool, str]:
        """Whether calls can be placed, and a word about it for /healthz."""
        return self._link.is_connected, self._link.detail

    def startService(self) -> None:
        """Begin to connect, and to place calls once connected."""
        super().startService()
        self._draining = False
        self._unsubscribe = self._database.on_change(callbacks.TOPIC, self._wake)
        self._link.start()
        self._poll.start(POLL_S)

    async def drain(self, deadline_s: float) -> None:
        """Place no more calls, and wait until no telephone rings, `deadline_s` at most."""
        self._draining = True
        if not self._calls:
            return
        self._drained = Deferred()
        with suppress(defer.TimeoutError):
            await self._drained.addTimeout(deadline_s, self._reactor)  # type: ignore[arg-type]  # zope, see Reactor

    def stopService(self) -> Deferred[None]:
        """End at once: what rings goes on ringing, and its outcome is never known."""
        super().stopService()
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._poll.running:
            self._poll.stop()
        for work in (self._placing, *self._calls):
            if work is not None:
                work.cancel()
        return self._link.stop()

    # Which calls are placed.

    def _wake(self) -> None:
        self._again = True
        if self.running and self._placing is None:
            # A store that answers at once has ended this before it is assigned.
            placing = Deferred.fromCoroutine(self._place())
            self._placing = None if placing.called else placing

    async def _place(self) -> None:
        try:
            while self._again and self.running:
                self._again = False
                self.dropped += await self._database.run(callbacks.drop_overdue, self._clock())
                await self._place_due()
        except CancelledError:
            pass
        except Exception:  # the edge of a job: the next poll tries again
            self.failures += 1
            _log.exception("callbacks_not_placed")
        finally:
            self._placing = None

    async def _place_due(self) -> None:
        while room := self._room():
            by = f"{self._host}/{self._new_id()[-8:]}"
            lease_s = self._settings.ring_s + LEASE_S
            due = await self._database.run(callbacks.claim, by, room, self._clock(), lease_s)
            for callback in due:
                self._start(callback, by)
            if len(due) < room:
                return

    def _room(self) -> int:
        if self._draining or not self.running or not self._link.is_connected:
            return 0
        return AT_ONCE - len(self._calls)

    def _start(self, callback: Callback, by: str) -> None:
        call = Deferred.fromCoroutine(self._call(callback, by))
        if not call.called:
            self._calls.add(call)
        call.addBoth(self._end, call)

    def _end(self, _result: object, call: Deferred[None]) -> None:
        self._calls.discard(call)
        if not self._calls and self._drained is not None and not self._drained.called:
            self._drained.callback(None)
        if len(self._calls) == AT_ONCE - 1:
            self._wake()

    # One call.

    async def _call(self, callback: Callback, by: str) -> None:
        told = {"msisdn": mask(callback.msisdn), "tone_code": callback.tone_code}
        try:
            called = await self._originate(callback)
            self.outcomes[called.outcome] += 1
            _log.info("callback", **told, outcome=called.outcome, reason=called.reason)
            await self._database.run(
                callbacks.called, callback, by, called.outcome, called.reason, self._clock()
            )
        except NotSent as error:
            _log.warning("callback_not_sent", **told, reason=str(error))
            await self._database.run(callbacks.give_back, callback, by)
        except CancelledError:
            _log.warning("callback_outcome_unknown", **told)
        except Exception:  # the edge of a call: its lease ends, and so does it
            self.failures += 1
            _log.exception("callback_failed", **told)

    async def _originate(self, callback: Callback) -> Called:
        if self._draining:
            raise NotSent("draining")
        channel_id = f"toneline-{self._new_id()}"
        action = originate_action(self._settings, callback, self._line, channel_id)
        ringing = self._ringing[channel_id] = _Ringing()
        try:
            accepted(await self._link.send(action))
            within_s = self._settings.ring_s + OUTCOME_S
            response = await ringing.response.addTimeout(within_s, self._reactor)  # type: ignore[arg-type]  # zope, see Reactor
            if response.get("Response") == "Success":
                return outcome_of(response, None)
            return outcome_of(response, await self._cause(ringing))
        except NotSent:
            raise
        except Refused as refused:
            return Called("failed", str(refused))
        except AmiError as error:
            return Called("unknown", str(error))
        except defer.TimeoutError:
            return Called("unknown", "Asterisk told no outcome")
        finally:
            del self._ringing[channel_id]
            # A connection that is lost while the action is sent fails both; one is enough.
            ringing.response.addErrback(lambda _: None)

    async def _cause(self, ringing: _Ringing) -> Headers | None:
        try:
            return await ringing.hangup.addTimeout(CAUSE_S, self._reactor)  # type: ignore[arg-type]  # zope, see Reactor
        except defer.TimeoutError:
            return None

    def _hear(self, headers: Headers) -> None:
        """Give an event to the call it is about; most are about nobody's."""
        is_response = headers.get("Event") == "OriginateResponse"
        ringing = self._ringing.get(headers.get("ActionID" if is_response else "Uniqueid", ""))
        if ringing is not None:
            event = ringing.response if is_response else ringing.hangup
            if not event.called:
                event.callback(headers)

    def _lose(self, reason: str) -> None:
        for ringing in tuple(self._ringing.values()):
            if not ringing.response.called:
                ringing.response.errback(AmiError(reason))
