"""sans-IO ESME: bind states, window, sequence numbers, deadlines.

Bytes in, events out, in the manner of h11: `receive_data` and `expire` return events,
`data_to_send` what is to be written after either, `next_deadline` when to call `expire`. `now` is
monotonic time in seconds. Nothing that arrives raises; what the owner does wrong raises
`LocalProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from smpp import pdu as codec
from smpp import receipt as receipts
from smpp.commands import (
    AlertNotification,
    Bind,
    BindMode,
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
    ResponseLate,
    ResponseLost,
    SubmitFailed,
    Submitted,
)
from smpp.states import TRANSITIONS, Cause, State

THROTTLING: Final = frozenset({Status.RTHROTTLED, Status.RMSGQFUL})
"""Statuses that mean: slower, please. Nothing is wrong with the message."""

_MAX_SEQUENCE: Final = 0x7FFF_FFFF
_MAX_UNANSWERED: Final = 1000
_MAX_LATE: Final = 10_000
_LEAST_STALL, _MOST_STALL = 3, 10  # messages without a response, one after the other
_NEVER: Final = float("inf")
# An enum's members are looked up through its class, which takes longer than all that is asked of
# them for each message.
_made = tuple.__new__  # half the time of a NamedTuple's own constructor, which sorts its arguments
_BOUND, _CLOSED, _ROK = State.BOUND, State.CLOSED, int(Status.ROK)


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

    def __init__(self, limits: Limits, message_id: receipts.IdForm) -> None:
        """`message_id` tells how this SMSC writes ids."""
        self.state = State.CONNECTED
        self._limits = limits
        self._id_form = message_id
        self._mode: BindMode = "transceiver"
        self._buffer = b""
        self._to_send: list[bytes] = []
        self._sequence = 0
        # Deadlines by sequence number; all wait equally long, so the first is the next.
        self._submits: dict[int, tuple[float, Any]] = {}
        # What came, until when.
        self._unanswered: dict[int, tuple[DeliverSm | DataSm, float]] = {}
        self._late: dict[int, Any] = {}  # lost to a deadline; an answer may still come
        self._lost_in_a_row = 0
        self._stall = min(max(limits.window, _LEAST_STALL), _MOST_STALL)
        self._control: tuple[int, float] | None = None  # our bind, unbind or enquire_link
        self._enquire_at = _NEVER

    # ---- what the owner asks

    def bind(self, request: Bind, now: float) -> None:
        """Begin: `Bound` or `BindRefused` follows. The request's sequence number is replaced."""
        self._require(State.CONNECTED, "bind")
        self._mode = request.mode
        self._request(request, now)
        self._move(Cause.BIND_SENT)

    @property
    def free(self) -> int:
        """How many messages may be submitted now: 0 unless bound as a sender."""
        if self.state is not _BOUND or self._mode == "receiver":
            return 0
        return self._limits.window - len(self._submits)

    @property
    def under_way(self) -> int:
        """How many messages wait for their response."""
        return len(self._submits)

    def submit(self, message: SubmitSm | DataSm, now: float, about: Any = None) -> int:
        """Send a message and return its sequence number, which replaces the one it has.

        One of `Submitted`, `SubmitFailed` and `ResponseLost` follows, with `about` in it.
        UnencodablePdu if a field does not fit: then nothing was sent.
        """
        if (
            len(self._submits) >= self._limits.window
            or self.state is not _BOUND
            or self._mode == "receiver"
        ):
            self._require(State.BOUND, "submit")
            raise LocalProtocolError("the window is full, or the bind is a receiver")
        sequence = self._next_sequence()
        self._to_send.append(codec.encode_as(message, sequence))
        self._submits[sequence] = (now + self._limits.response_timeout_s, about)
        return sequence

    def answer(self, sequence: int, status: int) -> bool:
        """Answer a MoReceived or ReceiptReceived; False if it was answered, or nobody is there."""
        waiting = self._unanswered.pop(sequence, None)
        if waiting is None or self.state is _CLOSED:
            return False
        self._to_send.append(codec.encode_answer(type(waiting[0]), sequence, status))
        return True

    def unbind(self, now: float) -> None:
        """Say goodbye: `Closed` follows. Responses still under way are waited for no longer."""
        self._require(State.BOUND, "unbind")
        self._enquire_at = _NEVER
        self._request(Unbind(0), now)
        self._move(Cause.UNBIND_SENT)

    @property
    def idle(self) -> bool:
        """Whether no response is waited for, in either direction."""
        return not self._submits and not self._unanswered

    @property
    def window(self) -> int:
        """How many messages may wait for their response at once."""
        return self._limits.window

    @property
    def unsent(self) -> int:
        """How many PDUs `data_to_send` would return."""
        return len(self._to_send)

    def data_to_send(self) -> bytes:
        """Return what is to be written now, once."""
        octets = b"".join(self._to_send)
        self._to_send.clear()
        return octets

    def next_deadline(self) -> float | None:
        """When `expire` is to be called next, at the latest."""
        if self.state is _CLOSED:
            return None
        deadline = self._enquire_at
        if self._control is not None:
            deadline = min(deadline, self._control[1])
        if self._submits:
            deadline = min(deadline, next(iter(self._submits.values()))[0])
        if self._unanswered:
            deadline = min(deadline, next(iter(self._unanswered.values()))[1])
        return None if deadline == _NEVER else deadline

    # ---- what happens

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take in what arrived; the events it causes, in order."""
        events: list[Event] = []
        found, self._buffer, broken = codec.read(self._buffer + data if self._buffer else data)
        if found and self._enquire_at != _NEVER:
            self._enquire_at = now + self._limits.enquire_link_s
        for received in found:
            if self.state is _CLOSED:
                return events
            _RECEIVERS[type(received)](self, received, now, events)
        if broken is not None and self.state is not _CLOSED:
            self._send(GenericNack(broken.sequence, broken.status))
            events.append(Malformed(str(broken)))
            self._close(Cause.UNREADABLE, "unreadable from here on", events)
        return events

    def expire(self, now: float) -> list[Event]:
        """Do what is due: lost responses, late MO answers, enquire_link, silence of the SMSC."""
        events: list[Event] = []
        self._expire_submits(now, events)
        while self._unanswered:
            sequence, (_, deadline) = next(iter(self._unanswered.items()))
            if deadline > now:
                break
            self.answer(sequence, self._limits.mo_retry_status)
        if self._control is not None and self._control[1] <= now:
            self._close(Cause.NO_ANSWER, f"no answer while {self.state.value}", events)
        elif self.state is State.BOUND and self._lost_in_a_row >= self._stall:
            why = f"no response to {self._lost_in_a_row} messages in a row"
            self._close(Cause.STALLED, why, events)
        elif self._enquire_at <= now:
            self._enquire_at = _NEVER
            self._request(EnquireLink(0), now)
        return events

    def connection_lost(self, why: str = "connection lost") -> list[Event]:
        """The connection is gone: `ResponseLost` for all that was under way, then `Closed`."""
        events: list[Event] = []
        self._close(Cause.CONNECTION_LOST, why, events)
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

    def _receive_submit_resp(
        self, received: SubmitSmResp | DataSmResp, _now: float, events: list[Event]
    ) -> None:
        sequence, status, raw_id, _ = received
        waiting = self._submits.pop(sequence, None)
        if waiting is None:
            self._receive_late(received, events)
            return
        self._lost_in_a_row = 0
        if status == _ROK:
            message_id = receipts.normal_id(raw_id, "response", self._id_form)
            events.append(_made(Submitted, (sequence, message_id, waiting[1])))
        else:
            events.append(SubmitFailed(sequence, status, waiting[1]))

    def _receive_late(self, received: SubmitSmResp | DataSmResp, events: list[Event]) -> None:
        sequence = received.sequence
        if sequence not in self._late:
            name = type(received).__name__
            events.append(Malformed(f"{name} (sequence {sequence}) unasked for"))
            return
        self._lost_in_a_row = 0
        message_id = receipts.normal_id(received.message_id, "response", self._id_form)
        about = self._late.pop(sequence)
        events.append(ResponseLate(sequence, received.status, message_id, about))

    def _receive_message(
        self, received: DeliverSm | DataSm, now: float, events: list[Event]
    ) -> None:
        sequence = received.sequence
        before = self._unanswered.get(sequence)
        if before is not None and before[0] == received:
            # The response that is to come answers both; another would have it sent once more.
            events.append(Malformed(f"a message (sequence {sequence}) twice before its response"))
            return
        if (
            self.state is not _BOUND
            or self._mode == "transmitter"
            or before is not None
            or len(self._unanswered) >= _MAX_UNANSWERED
        ):
            self._refuse_message(received, events)
            return
        event: Event = _made(MoReceived, (sequence, received))
        if (received.esm_class or received.tlvs) and receipts.is_receipt(received):
            try:
                receipt = receipts.parse(received, self._id_form)
            except receipts.UnreadableReceipt as error:
                # Accepted: refused it would come again, no more readable than before.
                self._respond(received, Status.ROK)
                events.append(Malformed(str(error)))
                return
            event = ReceiptReceived(sequence, receipt)
        deadline = now + self._limits.mo_response_deadline_s
        self._unanswered[sequence] = (received, deadline)
        events.append(event)

    def _refuse_message(self, received: DeliverSm | DataSm, events: list[Event]) -> None:
        if self.state not in (State.BOUND, State.UNBINDING):
            self._respond(received, Status.RINVBNDSTS)
            events.append(Malformed("a message before the bind"))
        elif self._mode == "transmitter":
            self._respond(received, Status.RINVBNDSTS)
            events.append(Malformed("a message to a transmitter"))
        else:
            self._respond(received, self._limits.mo_retry_status)
            if received.sequence in self._unanswered:
                why = f"sequence {received.sequence} used twice before it was answered"
                events.append(Malformed(why))

    def _respond(self, received: DeliverSm | DataSm, status: int) -> None:
        self._to_send.append(codec.encode_answer(type(received), received.sequence, status))

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
        if not self._take_refusal(received.sequence, received.status, now, events):
            why = f"generic_nack {status_name(received.status)} (sequence {received.sequence})"
            events.append(Malformed(f"{why} of nothing we sent"))

    def _take_refusal(self, sequence: int, status: int, now: float, events: list[Event]) -> bool:
        """Take what we sent under this number for refused; False: there is nothing."""
        if sequence in self._submits:
            self._lost_in_a_row = 0
            _, about = self._submits.pop(sequence)
            # A refusal without a reason says nothing of what became of the message.
            is_told = status != _ROK
            events.append(
                SubmitFailed(sequence, status, about) if is_told else ResponseLost(sequence, about)
            )
        elif sequence in self._late:
            self._lost_in_a_row = 0
            if status != _ROK:  # else it says nothing either; a response with its id may come
                events.append(ResponseLate(sequence, status, "", self._late.pop(sequence)))
        elif not self._answers_control(sequence):
            return False
        elif self.state is State.BINDING:
            events.append(BindRefused(status))
            why = f"bind refused: {status_name(status)}"
            self._close(Cause.BIND_REFUSED, why, events)
        elif self.state is State.UNBINDING:
            self._close(Cause.UNBIND_ANSWERED, "unbind refused", events)
        else:  # It knows no enquire_link, but it is there.
            self._control = None
            self._enquire_at = now + self._limits.enquire_link_s
        return True

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

    def _refuse_malformed(
        self, malformed: codec.MalformedPdu, now: float, events: list[Event]
    ) -> None:
        events.append(Malformed(str(malformed)))
        if malformed.is_response:
            self._receive_unreadable(malformed.sequence, malformed.command_status, now, events)
            return
        refusal = codec.refusal(malformed.command_id, malformed.sequence, malformed.status)
        if refusal is not None:
            self._send(refusal)

    def _receive_unreadable(
        self, sequence: int, status: int, now: float, events: list[Event]
    ) -> None:
        """Take a response by its header, which says enough of a refusal and of a sign of life."""
        if status != _ROK or self.state is not State.BINDING:
            self._take_refusal(sequence, status, now, events)

    def _request(self, request: Bind | Unbind | EnquireLink, now: float) -> None:
        sequence = self._next_sequence()
        self._to_send.append(codec.encode(replace(request, sequence=sequence)))
        self._control = (sequence, now + self._limits.response_timeout_s)

    def _answers_control(self, sequence: int) -> bool:
        return self._control is not None and self._control[0] == sequence

    def _send(self, response: Pdu) -> None:
        self._to_send.append(codec.encode(response))

    def _next_sequence(self) -> int:
        sequence = self._sequence % _MAX_SEQUENCE + 1
        while sequence in self._submits or sequence in self._late:
            sequence = sequence % _MAX_SEQUENCE + 1
        self._sequence = sequence
        return sequence

    def _expire_submits(self, now: float, events: list[Event]) -> None:
        while self._submits:
            sequence, (deadline, about) = next(iter(self._submits.items()))
            if deadline > now:
                return
            del self._submits[sequence]
            self._lost_in_a_row += 1
            self._late[sequence] = about
            if len(self._late) > _MAX_LATE:
                del self._late[next(iter(self._late))]
            events.append(ResponseLost(sequence, about))

    def _require(self, state: State, verb: str) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"cannot {verb} while {self.state.value}")

    def _move(self, cause: Cause) -> None:
        self.state = TRANSITIONS[self.state, cause]

    def _close(self, cause: Cause, why: str, events: list[Event]) -> None:
        if self.state is State.CLOSED:
            return
        self._move(cause)
        events.extend(ResponseLost(seq, about) for seq, (_, about) in self._submits.items())
        self._submits.clear()
        self._late.clear()
        self._unanswered.clear()
        self._control, self._enquire_at = None, _NEVER
        self._buffer = b""
        events.append(Closed(why))


_Receiver = Callable[[Session, Any, float, list[Event]], None]

_RECEIVERS: Final[dict[type[Pdu | codec.MalformedPdu], _Receiver]] = {
    BindResp: Session._receive_bind_resp,
    SubmitSmResp: Session._receive_submit_resp,
    DataSmResp: Session._receive_submit_resp,
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
    codec.MalformedPdu: Session._refuse_malformed,
}
