"""sans-IO ESME: bind states, window, sequence numbers, deadlines, throttling.

Bytes in, events out, in the manner of h11: `receive_data` and `expire` return events,
`data_to_send` what is to be written after either, `next_deadline` when to call `expire`. `now` is
monotonic time in seconds. Nothing that arrives raises; what the owner does wrong raises
`LocalProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from enum import Enum
from typing import Any, Final

from smpp import pdu as codec
from smpp import receipt as receipts
from smpp.commands import (
    AlertNotification,
    Bind,
    BindResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    status_name,
)
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

THROTTLING: Final = frozenset({Status.RTHROTTLED, Status.RMSGQFUL})
"""Statuses that mean: slower, please. Nothing is wrong with the message."""

_MAX_SEQUENCE: Final = 0x7FFF_FFFF
_MAX_UNANSWERED: Final = 1000
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 32.0


class State(Enum):
    """Where the session stands (section 2.2, with the steps between its states)."""

    CONNECTED = "connected"
    BINDING = "binding"
    BOUND = "bound"
    UNBINDING = "unbinding"
    CLOSED = "closed"


class Cause(Enum):
    """What moves the session from one state to another."""

    BIND_SENT = "bind sent"
    BIND_ACCEPTED = "bind accepted"
    BIND_REFUSED = "bind refused"
    UNBIND_SENT = "unbind sent"
    UNBIND_ANSWERED = "unbind answered"
    UNBIND_RECEIVED = "unbind received"
    NO_ANSWER = "no answer"
    UNREADABLE = "unreadable"
    CONNECTION_LOST = "connection lost"


TRANSITIONS: Final[dict[tuple[State, Cause], State]] = {
    (State.CONNECTED, Cause.BIND_SENT): State.BINDING,
    (State.CONNECTED, Cause.UNREADABLE): State.CLOSED,
    (State.CONNECTED, Cause.CONNECTION_LOST): State.CLOSED,
    (State.BINDING, Cause.BIND_ACCEPTED): State.BOUND,
    (State.BINDING, Cause.BIND_REFUSED): State.CLOSED,
    (State.BINDING, Cause.NO_ANSWER): State.CLOSED,
    (State.BINDING, Cause.UNREADABLE): State.CLOSED,
    (State.BINDING, Cause.CONNECTION_LOST): State.CLOSED,
    (State.BOUND, Cause.UNBIND_SENT): State.UNBINDING,
    (State.BOUND, Cause.UNBIND_RECEIVED): State.CLOSED,
    (State.BOUND, Cause.NO_ANSWER): State.CLOSED,
    (State.BOUND, Cause.UNREADABLE): State.CLOSED,
    (State.BOUND, Cause.CONNECTION_LOST): State.CLOSED,
    (State.UNBINDING, Cause.UNBIND_ANSWERED): State.CLOSED,
    (State.UNBINDING, Cause.UNBIND_RECEIVED): State.CLOSED,
    (State.UNBINDING, Cause.NO_ANSWER): State.CLOSED,
    (State.UNBINDING, Cause.UNREADABLE): State.CLOSED,
    (State.UNBINDING, Cause.CONNECTION_LOST): State.CLOSED,
}
"""Every way from one state to another; what is not here cannot happen."""


class LocalProtocolError(Exception):
    """Our own side asked for what the session's state does not allow."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session allows itself and the SMSC; times in seconds."""

    window: int = 10
    enquire_link_s: float = 30.0
    response_timeout_s: float = 30.0
    mo_response_deadline_s: float = 8.0
    mo_retry_status: int = Status.RMSGQFUL


class Session:
    """One bind over one connection."""

    def __init__(self, limits: Limits, message_id: receipts.IdForm, zone: tzinfo) -> None:
        """`message_id` and `zone` tell how this SMSC writes ids and the times in its receipts."""
        self.state = State.CONNECTED
        self._limits = limits
        self._id_form = message_id
        self._zone = zone
        self._buffer = b""
        self._to_send: list[bytes] = []
        self._sequence = 0
        # Deadlines by sequence number; all wait equally long, so the first is the next.
        self._submits: dict[int, float] = {}
        self._unanswered: dict[int, tuple[type[DeliverSm] | type[DataSm], float]] = {}
        self._control: tuple[int, float] | None = None  # our bind, unbind or enquire_link
        self._enquire_at: float | None = None
        self._paused_until = float("-inf")
        self._pause_s = _FIRST_PAUSE_S

    # ---- what the owner asks

    def bind(self, request: Bind, now: float) -> None:
        """Begin: `Bound` or `BindRefused` follows. The request's sequence number is replaced."""
        self._require(State.CONNECTED, "bind")
        self._request(request, now)
        self._move(Cause.BIND_SENT)

    def free(self, now: float) -> int:
        """How many submit_sm may be sent now: 0 unless bound, and while the SMSC is throttling."""
        if self.state is not State.BOUND or now < self._paused_until:
            return 0
        return self._limits.window - len(self._submits)

    def submit(self, message: SubmitSm, now: float) -> int:
        """Send a message and return its sequence number, which replaces the one it has.

        One of `Submitted`, `SubmitFailed` and `ResponseLost` follows. UnencodablePdu if a field
        does not fit: then nothing was sent.
        """
        self._require(State.BOUND, "submit")
        if self.free(now) <= 0:
            raise LocalProtocolError("the window is full or the SMSC is throttling")
        sequence = self._next_sequence()
        self._to_send.append(codec.encode(message._replace(sequence=sequence)))
        self._submits[sequence] = now + self._limits.response_timeout_s
        return sequence

    def answer(self, sequence: int, status: int) -> None:
        """Answer a MoReceived or ReceiptReceived; nothing if its answer left already."""
        waiting = self._unanswered.pop(sequence, None)
        if waiting is not None and self.state is not State.CLOSED:
            response = DeliverSmResp if waiting[0] is DeliverSm else DataSmResp
            self._send(response(sequence, status))

    def unbind(self, now: float) -> None:
        """Say goodbye: `Closed` follows. Responses still under way are waited for no longer."""
        self._require(State.BOUND, "unbind")
        self._request(Unbind(0), now)
        self._move(Cause.UNBIND_SENT)

    @property
    def idle(self) -> bool:
        """Whether no response is waited for, in either direction."""
        return not self._submits and not self._unanswered

    def data_to_send(self) -> bytes:
        """Return what is to be written now, once."""
        octets = b"".join(self._to_send)
        self._to_send.clear()
        return octets

    def next_deadline(self) -> float | None:
        """When `expire` is to be called next, at the latest."""
        if self.state is State.CLOSED:
            return None
        deadlines = [deadline for deadline in (self._enquire_at,) if deadline is not None]
        if self._control is not None:
            deadlines.append(self._control[1])
        if self._submits:
            deadlines.append(next(iter(self._submits.values())))
        if self._unanswered:
            deadlines.append(next(iter(self._unanswered.values()))[1])
        if self._paused_until != float("-inf"):
            deadlines.append(self._paused_until)
        return min(deadlines, default=None)

    # ---- what happens

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take in what arrived; the events it causes, in order."""
        events: list[Event] = []
        found, self._buffer, broken = codec.cut(self._buffer + data if self._buffer else data)
        if found and self.state is State.BOUND and self._enquire_at is not None:
            self._enquire_at = now + self._limits.enquire_link_s
        for octets in found:
            if self.state is State.CLOSED:
                return events
            try:
                received = codec.decode(octets)
            except codec.MalformedPdu as malformed:
                self._refuse_malformed(malformed, events)
            else:
                _RECEIVERS[type(received)](self, received, now, events)
        if broken is not None and self.state is not State.CLOSED:
            self._send(GenericNack(broken.sequence, broken.status))
            events.append(Malformed(str(broken)))
            self._close(Cause.UNREADABLE, "unreadable from here on", events)
        return events

    def expire(self, now: float) -> list[Event]:
        """Do what is due: lost responses, late MO answers, enquire_link, silence of the SMSC."""
        events: list[Event] = []
        while self._submits:
            sequence, deadline = next(iter(self._submits.items()))
            if deadline > now:
                break
            del self._submits[sequence]
            events.append(ResponseLost(sequence))
        while self._unanswered:
            sequence, (_, deadline) = next(iter(self._unanswered.items()))
            if deadline > now:
                break
            self.answer(sequence, self._limits.mo_retry_status)
        if now >= self._paused_until:
            self._paused_until = float("-inf")
        if self._control is not None and self._control[1] <= now:
            self._close(Cause.NO_ANSWER, f"no answer while {self.state.value}", events)
        elif self._enquire_at is not None and self._enquire_at <= now:
            self._enquire_at = None
            self._request(EnquireLink(0), now)
        return events

    def connection_lost(self) -> list[Event]:
        """The connection is gone: `ResponseLost` for all that was under way, then `Closed`."""
        events: list[Event] = []
        self._close(Cause.CONNECTION_LOST, "connection lost", events)
        return events

    # ---- PDUs, one method each

    def _receive_bind_resp(self, received: BindResp, now: float, events: list[Event]) -> None:
        if not self._answers_control(received.sequence) or self.state is not State.BINDING:
            events.append(Malformed(f"a bind response (sequence {received.sequence}) unasked for"))
        elif received.status == Status.ROK:
            self._control = None
            self._enquire_at = now + self._limits.enquire_link_s
            self._move(Cause.BIND_ACCEPTED)
            events.append(Bound(received.system_id))
        else:
            events.append(BindRefused(received.status))
            why = f"bind refused: {status_name(received.status)}"
            self._close(Cause.BIND_REFUSED, why, events)

    def _receive_submit_resp(self, received: SubmitSmResp, now: float, events: list[Event]) -> None:
        if self._submits.pop(received.sequence, None) is None:
            why = f"submit_sm_resp (sequence {received.sequence}) unasked for or too late"
            events.append(Malformed(why))
        elif received.status == Status.ROK:
            self._pause_s = _FIRST_PAUSE_S
            message_id = receipts.normal_id(received.message_id, "response", self._id_form)
            events.append(Submitted(received.sequence, message_id))
        else:
            self._submit_failed(received.sequence, received.status, now, events)

    def _submit_failed(self, sequence: int, status: int, now: float, events: list[Event]) -> None:
        # A window's worth of refusals arrives together: they are one reason to slow down.
        if status in THROTTLING and now >= self._paused_until:
            self._paused_until = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        events.append(SubmitFailed(sequence, status))

    def _receive_message(
        self, received: DeliverSm | DataSm, now: float, events: list[Event]
    ) -> None:
        sequence = received.sequence
        response = DeliverSmResp if isinstance(received, DeliverSm) else DataSmResp
        if self.state not in (State.BOUND, State.UNBINDING):
            self._send(response(sequence, Status.RINVBNDSTS))
            events.append(Malformed("a message before the bind"))
            return
        if sequence in self._unanswered:
            self._send(response(sequence, self._limits.mo_retry_status))
            events.append(Malformed(f"sequence {sequence} used twice before it was answered"))
            return
        if self.state is State.UNBINDING or len(self._unanswered) >= _MAX_UNANSWERED:
            self._send(response(sequence, self._limits.mo_retry_status))
            return
        event: Event = MoReceived(sequence, received)
        if receipts.is_receipt(received):
            try:
                event = ReceiptReceived(
                    sequence, receipts.parse(received, self._id_form, self._zone)
                )
            except receipts.UnreadableReceipt as error:
                # Accepted: refused it would come again, no more readable than before.
                self._send(response(sequence, Status.ROK))
                events.append(Malformed(str(error)))
                return
        deadline = now + self._limits.mo_response_deadline_s
        self._unanswered[sequence] = (type(received), deadline)
        events.append(event)

    def _receive_enquire_link(
        self, received: EnquireLink, _now: float, _events: list[Event]
    ) -> None:
        self._send(EnquireLinkResp(received.sequence))

    def _receive_enquire_link_resp(
        self, received: EnquireLinkResp, now: float, events: list[Event]
    ) -> None:
        if self._answers_control(received.sequence) and self.state is State.BOUND:
            self._control = None
            self._enquire_at = now + self._limits.enquire_link_s
        elif self.state is not State.UNBINDING:
            events.append(
                Malformed(f"enquire_link_resp (sequence {received.sequence}) unasked for")
            )

    def _receive_unbind(self, received: Unbind, _now: float, events: list[Event]) -> None:
        if self.state in (State.BOUND, State.UNBINDING):
            self._send(UnbindResp(received.sequence))
            self._close(Cause.UNBIND_RECEIVED, "the SMSC unbound", events)
        else:
            self._send(UnbindResp(received.sequence, Status.RINVBNDSTS))
            events.append(Malformed("an unbind before the bind"))

    def _receive_unbind_resp(self, received: UnbindResp, _now: float, events: list[Event]) -> None:
        if self._answers_control(received.sequence) and self.state is State.UNBINDING:
            self._close(Cause.UNBIND_ANSWERED, "unbound", events)
        else:
            events.append(Malformed(f"unbind_resp (sequence {received.sequence}) unasked for"))

    def _receive_generic_nack(self, received: GenericNack, now: float, events: list[Event]) -> None:
        if self._submits.pop(received.sequence, None) is not None:
            self._submit_failed(received.sequence, received.status, now, events)
        elif not self._answers_control(received.sequence):
            why = f"generic_nack {status_name(received.status)} (sequence {received.sequence})"
            events.append(Malformed(f"{why} of nothing we sent"))
        elif self.state is State.BINDING:
            events.append(BindRefused(received.status))
            why = f"bind refused: {status_name(received.status)}"
            self._close(Cause.BIND_REFUSED, why, events)
        elif self.state is State.UNBINDING:
            self._close(Cause.UNBIND_ANSWERED, "unbind refused", events)
        else:  # It knows no enquire_link, but it is there.
            self._control = None
            self._enquire_at = now + self._limits.enquire_link_s

    def _receive_alert(
        self, _received: AlertNotification, _now: float, _events: list[Event]
    ) -> None:
        """Nothing to do and nothing to answer: nobody here waits for a phone to come back."""

    def _receive_unwanted(self, received: Pdu, _now: float, events: list[Event]) -> None:
        """Refuse what an SMSC does not send an ESME: submit_sm, bind, outbind."""
        name = type(received).__name__
        self._send(GenericNack(received.sequence, Status.RINVBNDSTS))
        events.append(Malformed(f"{name} from an SMSC"))

    def _receive_stray_resp(self, received: Pdu, _now: float, events: list[Event]) -> None:
        name = type(received).__name__
        events.append(Malformed(f"{name} (sequence {received.sequence}) unasked for"))

    # ---- small steps

    def _refuse_malformed(self, malformed: codec.MalformedPdu, events: list[Event]) -> None:
        events.append(Malformed(str(malformed)))
        if malformed.is_response and self._submits.pop(malformed.sequence, None) is not None:
            events.append(ResponseLost(malformed.sequence))
        refusal = codec.refusal(malformed.command_id, malformed.sequence, malformed.status)
        if refusal is not None:
            self._send(refusal)

    def _request(self, request: Bind | Unbind | EnquireLink, now: float) -> None:
        sequence = self._next_sequence()
        self._to_send.append(codec.encode(replace(request, sequence=sequence)))
        self._control = (sequence, now + self._limits.response_timeout_s)

    def _answers_control(self, sequence: int) -> bool:
        return self._control is not None and self._control[0] == sequence

    def _send(self, response: Pdu) -> None:
        self._to_send.append(codec.encode(response))

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % _MAX_SEQUENCE + 1
        while self._sequence in self._submits:
            self._sequence = self._sequence % _MAX_SEQUENCE + 1
        return self._sequence

    def _require(self, state: State, verb: str) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"cannot {verb} while {self.state.value}")

    def _move(self, cause: Cause) -> None:
        self.state = TRANSITIONS[self.state, cause]

    def _close(self, cause: Cause, why: str, events: list[Event]) -> None:
        if self.state is State.CLOSED:
            return
        self._move(cause)
        events.extend(ResponseLost(sequence) for sequence in self._submits)
        self._submits.clear()
        self._unanswered.clear()
        self._control = self._enquire_at = None
        self._buffer = b""
        events.append(Closed(why))


_RECEIVERS: Final[dict[type[Pdu], Callable[[Session, Any, float, list[Event]], None]]] = {
    BindResp: Session._receive_bind_resp,
    SubmitSmResp: Session._receive_submit_resp,
    DeliverSm: Session._receive_message,
    DataSm: Session._receive_message,
    EnquireLink: Session._receive_enquire_link,
    EnquireLinkResp: Session._receive_enquire_link_resp,
    Unbind: Session._receive_unbind,
    UnbindResp: Session._receive_unbind_resp,
    GenericNack: Session._receive_generic_nack,
    AlertNotification: Session._receive_alert,
    Bind: Session._receive_unwanted,
    Outbind: Session._receive_unwanted,
    SubmitSm: Session._receive_unwanted,
    DeliverSmResp: Session._receive_stray_resp,
    DataSmResp: Session._receive_stray_resp,
}
