from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp import pdu
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
    Tag,
    Unbind,
    UnbindResp,
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
from smpp.session import Limits, LocalProtocolError, Session
from smpp.states import TRANSITIONS, Cause, State

LIMITS = Limits(
    window=3,
    enquire_link_s=30.0,
    response_timeout_s=10.0,
    mo_response_deadline_s=8.0,
    mo_retry_status=0x14,
)
MESSAGE = SubmitSm(0, "12530019", "8613905250001", b"hi")
MO = DeliverSm(5, "8613905250001", "12530019", b"CX")
RECEIPT = DeliverSm(6, "8613905250001", "12530019", b"id:0a stat:DELIVRD", esm_class=4)


def connected(message_id: Any = "text") -> Session:
    return Session(LIMITS, message_id, UTC)


def feed(session: Session, *values: Pdu, now: float = 1.0) -> list[Event]:
    return session.receive_data(b"".join(pdu.encode(value) for value in values), now)


def sent(session: Session) -> list[Pdu]:
    found, rest, broken = pdu.cut(session.data_to_send())
    assert (rest, broken) == (b"", None)
    return [pdu.decode(octets) for octets in found]


def bound(message_id: Any = "text", mode: BindMode = "transceiver") -> Session:
    session = connected(message_id)
    session.bind(Bind(0, "toneline", "secret", mode), 0.0)
    assert feed(session, BindResp(1, Status.ROK, "SMSC", mode), now=0.0) == [Bound("SMSC")]
    assert sent(session) == [Bind(1, "toneline", "secret", mode)]
    return session


# ---- binding


def test_a_bind_is_sent_and_its_acceptance_binds() -> None:
    session = bound()
    assert session.state is State.BOUND
    assert session.free == 3


def test_a_refused_bind_closes() -> None:
    session = connected()
    session.bind(Bind(0, "toneline"), 0.0)
    assert feed(session, BindResp(1, Status.RALYBND)) == [
        BindRefused(Status.RALYBND),
        Closed("bind refused: RALYBND"),
    ]
    assert session.state is State.CLOSED
    assert session.next_deadline() is None


def test_a_bind_may_be_refused_by_generic_nack() -> None:
    session = connected()
    session.bind(Bind(0, "toneline"), 0.0)
    assert feed(session, GenericNack(1, Status.RINVCMDID)) == [
        BindRefused(Status.RINVCMDID),
        Closed("bind refused: RINVCMDID"),
    ]


def test_a_bind_nobody_answers_closes_at_its_deadline() -> None:
    session = connected()
    session.bind(Bind(0, "toneline"), 5.0)
    assert session.next_deadline() == 15.0
    assert session.expire(14.9) == []
    assert session.expire(15.0) == [Closed("no answer while binding")]


def test_a_bind_response_nobody_asked_for_changes_nothing() -> None:
    session = bound()
    (event,) = feed(session, BindResp(9))
    assert isinstance(event, Malformed)
    assert session.state is State.BOUND


def test_nothing_is_asked_before_the_bind() -> None:
    session = connected()
    with pytest.raises(LocalProtocolError, match="cannot submit while connected"):
        session.submit(MESSAGE, 0.0)
    with pytest.raises(LocalProtocolError, match="cannot unbind while connected"):
        session.unbind(0.0)


def test_a_second_bind_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="cannot bind while bound"):
        bound().bind(Bind(0, "toneline"), 0.0)


def test_an_outbind_is_refused_and_the_bind_goes_on() -> None:
    session = connected()
    session.bind(Bind(0, "toneline"), 0.0)
    session.data_to_send()
    (event,) = feed(session, Outbind(9, "smsc"))
    assert event == Malformed("Outbind from an SMSC")
    assert sent(session) == [GenericNack(9, Status.RINVBNDSTS)]
    assert feed(session, BindResp(1)) == [Bound("")]


def test_messages_before_the_bind_are_refused() -> None:
    session = connected()
    (event,) = feed(session, MO)
    assert isinstance(event, Malformed)
    assert sent(session) == [DeliverSmResp(5, Status.RINVBNDSTS)]


# ---- submitting


def test_a_message_is_accepted_with_its_id_as_receipts_will_name_it() -> None:
    session = bound("hex_dec")
    assert session.submit(MESSAGE, 0.0) == 2
    assert sent(session) == [MESSAGE._replace(sequence=2)]
    assert not session.idle
    assert feed(session, SubmitSmResp(2, 0, "1A2B")) == [Submitted(2, "6699")]
    assert session.idle


def test_responses_may_come_in_any_order() -> None:
    session = bound()
    sequences = [session.submit(MESSAGE, 0.0) for _ in range(3)]
    events = feed(session, *(SubmitSmResp(sequence, 0, "x") for sequence in reversed(sequences)))
    assert events == [Submitted(sequence, "x") for sequence in reversed(sequences)]


def test_the_window_is_kept() -> None:
    session = bound()
    for left in (2, 1, 0):
        session.submit(MESSAGE, 0.0)
        assert session.free == left
    with pytest.raises(LocalProtocolError, match="window is full"):
        session.submit(MESSAGE, 0.0)
    feed(session, SubmitSmResp(3, 0, "x"))
    assert session.free == 1


def test_a_refused_message_names_its_status() -> None:
    session = bound()
    session.submit(MESSAGE, 0.0)
    session.submit(MESSAGE, 0.0)
    assert feed(session, SubmitSmResp(2, 0x0B), GenericNack(3, 0x03)) == [
        SubmitFailed(2, 0x0B),
        SubmitFailed(3, 0x03),
    ]


def test_a_field_that_does_not_fit_sends_nothing() -> None:
    session = bound()
    with pytest.raises(pdu.UnencodablePdu):
        session.submit(MESSAGE._replace(destination_addr="1" * 30), 0.0)
    assert session.data_to_send() == b""
    assert session.idle


def test_a_response_that_does_not_come_in_time_is_lost_and_frees_its_place() -> None:
    session = bound()
    session.submit(MESSAGE, 1.0, "first")
    session.submit(MESSAGE, 2.0)
    assert session.next_deadline() == 11.0
    assert session.expire(11.5) == [ResponseLost(2, "first")]
    assert session.free == 2
    assert session.expire(12.0) == [ResponseLost(3)]


def test_a_response_after_its_time_is_told_once() -> None:
    session = bound("hex_dec")
    for about in ("a", "b"):
        session.submit(MESSAGE, 1.0, about)
    session.expire(11.0)
    assert feed(session, SubmitSmResp(2, 0, "1F"), SubmitSmResp(3, Status.RTHROTTLED)) == [
        ResponseLate(2, Status.ROK, "31", "a"),
        ResponseLate(3, Status.RTHROTTLED, "", "b"),
    ]
    (again,) = feed(session, SubmitSmResp(2, 0, "1F"))
    assert isinstance(again, Malformed)


def test_only_so_many_late_responses_are_waited_for() -> None:
    session = Session(replace(LIMITS, window=6000), "text", UTC)
    session.bind(Bind(0, "toneline"), 0.0)
    feed(session, BindResp(1), now=0.0)
    for now in (0.0, 10.0):
        for _ in range(5001):
            session.submit(MESSAGE, now)
        session.expire(now + 10.0)
        feed(session, SubmitSmResp(session.submit(MESSAGE, now + 10.0)), now=now + 10.0)
    oldest, next_oldest, third = feed(
        session, SubmitSmResp(2), SubmitSmResp(3), SubmitSmResp(4, 0, "x")
    )
    assert (type(oldest), type(next_oldest), type(third)) == (Malformed, Malformed, ResponseLate)


def test_a_window_of_messages_lost_in_a_row_is_a_stall() -> None:
    session = bound()
    for _ in range(3):
        session.submit(MESSAGE, 1.0)
    feed(session, EnquireLink(1), now=11.0)
    events = session.expire(11.0)
    assert events[-1] == Closed("no response to 3 messages in a row")
    assert [type(event) for event in events] == [ResponseLost] * 3 + [Closed]


@pytest.mark.parametrize("answer", [SubmitSmResp(2), SubmitSmResp(4), GenericNack(4)], ids=str)
def test_any_response_to_a_message_ends_a_row_of_lost_ones(answer: Pdu) -> None:
    session = bound()
    session.submit(MESSAGE, 1.0)
    session.submit(MESSAGE, 1.0)
    session.submit(MESSAGE, 2.0)
    session.expire(11.0)
    feed(session, answer, now=11.5)
    session.submit(MESSAGE, 11.5)
    session.expire(21.5)
    assert session.state is State.BOUND


def test_a_malformed_response_is_a_lost_one() -> None:
    session = bound()
    session.submit(MESSAGE, 0.0)
    session.data_to_send()
    octets = pdu.encode(SubmitSmResp(2, 0, "x"))[:-1] + b"x"
    malformed, lost = session.receive_data(octets, 1.0)
    assert isinstance(malformed, Malformed)
    assert lost == ResponseLost(2)
    assert session.data_to_send() == b""


def test_sequence_numbers_wrap_and_pass_over_those_under_way_and_lost() -> None:
    session = bound()
    session.submit(MESSAGE, 0.0)
    session.submit(MESSAGE, 5.0)
    session.expire(10.0)
    session._sequence = 0x7FFF_FFFE
    assert session.submit(MESSAGE, 10.0) == 0x7FFF_FFFF
    session._sequence = 1
    assert session.submit(MESSAGE, 10.0) == 4


def test_a_message_may_go_as_data_sm() -> None:
    session = bound()
    message = DataSm(0, "12530019", "8613905250001", tlvs=((Tag.MESSAGE_PAYLOAD, b"hi"),))
    session.submit(message, 0.0)
    assert sent(session) == [message._replace(sequence=2)]
    assert feed(session, DataSmResp(2, 0, "7")) == [Submitted(2, "7")]


# ---- one way only


def test_a_receiver_submits_nothing_and_receives() -> None:
    session = bound(mode="receiver")
    assert session.free == 0
    with pytest.raises(LocalProtocolError, match="receiver"):
        session.submit(MESSAGE, 0.0)
    assert feed(session, MO) == [MoReceived(5, MO)]


def test_a_transmitter_submits_and_is_delivered_nothing() -> None:
    session = bound(mode="transmitter")
    assert session.free == 3
    (event,) = feed(session, MO)
    assert event == Malformed("a message to a transmitter")
    assert sent(session) == [DeliverSmResp(5, Status.RINVBNDSTS)]


# ---- receiving


def test_a_message_is_answered_when_the_owner_says_so() -> None:
    session = bound()
    assert feed(session, MO) == [MoReceived(5, MO)]
    assert session.data_to_send() == b""
    assert not session.idle
    assert session.answer(5, Status.ROK)
    assert not session.answer(5, Status.RSYSERR)
    assert sent(session) == [DeliverSmResp(5)]
    assert session.idle


def test_data_sm_is_answered_in_kind() -> None:
    session = bound()
    message = DataSm(8, "8613905250001", "12530019", tlvs=((Tag.MESSAGE_PAYLOAD, b"CX"),))
    assert feed(session, message) == [MoReceived(8, message)]
    session.answer(8, 0x14)
    assert sent(session) == [DataSmResp(8, 0x14)]


def test_a_message_not_answered_in_time_is_asked_for_again() -> None:
    session = bound()
    feed(session, MO, now=1.0)
    assert session.next_deadline() == 9.0
    assert session.expire(9.0) == []
    assert sent(session) == [DeliverSmResp(5, 0x14)]
    session.answer(5, Status.ROK)
    assert session.data_to_send() == b""


def test_a_sequence_number_used_twice_is_refused_for_now() -> None:
    session = bound()
    events = feed(session, MO, MO)
    assert [type(event) for event in events] == [MoReceived, Malformed]
    assert sent(session) == [DeliverSmResp(5, 0x14)]


def test_more_unanswered_messages_than_memory_allows_are_refused_for_now() -> None:
    session = bound()
    messages = [MO._replace(sequence=sequence) for sequence in range(1, 1002)]
    assert len(feed(session, *messages)) == 1000
    assert sent(session) == [DeliverSmResp(1001, 0x14)]


def test_a_receipt_is_told_apart() -> None:
    session = bound()
    (event,) = feed(session, RECEIPT)
    assert isinstance(event, ReceiptReceived)
    assert (event.receipt.message_id, event.receipt.state) == ("a", "DELIVRD")
    session.answer(6, Status.ROK)
    assert sent(session) == [DeliverSmResp(6)]


def test_an_unreadable_receipt_is_accepted_and_told() -> None:
    session = bound()
    assert feed(session, RECEIPT._replace(short_message=b"?")) == [
        Malformed("a delivery receipt that names no message")
    ]
    assert sent(session) == [DeliverSmResp(6)]


# ---- signs of life


def test_enquiries_are_answered_in_every_state() -> None:
    for session in (connected(), bound()):
        assert feed(session, EnquireLink(77)) == []
        assert sent(session) == [EnquireLinkResp(77)]


def test_silence_is_broken_by_an_enquiry_and_its_answer_starts_anew() -> None:
    session = bound()
    assert session.next_deadline() == 30.0
    assert session.expire(30.0) == []
    assert sent(session) == [EnquireLink(2)]
    assert session.next_deadline() == 40.0
    assert feed(session, EnquireLinkResp(2), now=31.0) == []
    assert session.next_deadline() == 61.0


def test_traffic_is_a_sign_of_life() -> None:
    session = bound()
    feed(session, AlertNotification(3, "1", "2"), now=20.0)
    assert session.data_to_send() == b""
    assert session.next_deadline() == 50.0


def test_an_smsc_that_knows_no_enquiry_is_alive() -> None:
    session = bound()
    session.expire(30.0)
    assert feed(session, GenericNack(2, Status.RINVCMDID), now=31.0) == []
    assert session.next_deadline() == 61.0


def test_an_enquiry_nobody_answers_closes_and_loses_what_was_under_way() -> None:
    session = bound()
    session.expire(30.0)
    session.submit(MESSAGE, 35.0)
    assert session.expire(40.0) == [ResponseLost(3), Closed("no answer while bound")]
    assert session.free == 0


# ---- the end


def test_our_unbind_is_answered_and_closes() -> None:
    session = bound()
    session.submit(MESSAGE, 0.0)
    session.unbind(0.0)
    assert session.free == 0
    events = feed(session, SubmitSmResp(2, 0, "x"), MO, UnbindResp(3))
    assert events == [Submitted(2, "x"), Closed("unbound")]
    assert sent(session) == [MESSAGE._replace(sequence=2), Unbind(3), DeliverSmResp(5, 0x14)]


def test_a_refused_unbind_closes_as_well() -> None:
    session = bound()
    session.unbind(0.0)
    assert feed(session, GenericNack(2, 3)) == [Closed("unbind refused")]


def test_an_unbind_nobody_answers_closes_at_its_deadline() -> None:
    session = bound()
    session.unbind(0.0)
    assert session.expire(10.0) == [Closed("no answer while unbinding")]


def test_an_enquiry_s_answer_that_crosses_our_unbind_is_no_fault() -> None:
    session = bound()
    session.expire(30.0)
    session.unbind(31.0)
    assert feed(session, EnquireLinkResp(2)) == []


@pytest.mark.parametrize("unbinding", [False, True])
def test_the_smsc_s_unbind_is_answered_and_closes(unbinding: bool) -> None:
    session = bound()
    session.submit(MESSAGE, 0.0)
    if unbinding:
        session.unbind(0.0)
    session.data_to_send()
    assert feed(session, Unbind(9), MO) == [ResponseLost(2), Closed("the SMSC unbound")]
    assert sent(session) == [UnbindResp(9)]


def test_an_unbind_before_the_bind_is_refused() -> None:
    session = connected()
    (event,) = feed(session, Unbind(9))
    assert isinstance(event, Malformed)
    assert sent(session) == [UnbindResp(9, Status.RINVBNDSTS)]


def test_a_lost_connection_loses_what_was_under_way_once() -> None:
    session = bound()
    session.submit(MESSAGE, 0.0)
    feed(session, MO)
    session.data_to_send()
    assert session.connection_lost() == [ResponseLost(2), Closed("connection lost")]
    assert session.connection_lost() == []
    session.answer(5, Status.ROK)
    assert session.data_to_send() == b""
    assert feed(session, MO) == []


# ---- what means nothing


def test_an_unknown_command_is_refused_and_the_line_goes_on() -> None:
    session = bound()
    events = session.receive_data(b"\0\0\0\x10\0\0\0\x21\0\0\0\0\0\0\0\x09", 1.0)
    assert [type(event) for event in events] == [Malformed]
    assert sent(session) == [GenericNack(9, Status.RINVCMDID)]
    assert feed(session, MO) == [MoReceived(5, MO)]


def test_a_malformed_message_is_refused_with_its_reason() -> None:
    session = bound()
    octets = bytearray(pdu.encode(MO))
    octets[-3] = 200
    (event,) = session.receive_data(bytes(octets), 1.0)
    assert isinstance(event, Malformed)
    assert sent(session) == [DeliverSmResp(5, Status.RINVMSGLEN)]


@pytest.mark.parametrize("state", ["connected", "bound"])
def test_garbage_ends_the_connection_after_one_answer(state: str) -> None:
    session = connected() if state == "connected" else bound()
    events = session.receive_data(b"GET / HTTP/1.1\r\nHost: line\r\n\r\n", 1.0)
    assert [type(event) for event in events] == [Malformed, Closed]
    (answer,) = sent(session)
    assert isinstance(answer, GenericNack)
    assert answer.status == Status.RINVCMDLEN


@pytest.mark.parametrize(
    "stray",
    [
        SubmitSm(9, "1", "2"), Bind(9, "me"), Outbind(9, "smsc"), DeliverSmResp(9), DataSmResp(9),
        EnquireLinkResp(9), UnbindResp(9), GenericNack(9), SubmitSmResp(9),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_an_smsc_does_not_send_is_one_event(stray: Pdu) -> None:
    session = bound()
    (event,) = feed(session, stray)
    assert isinstance(event, Malformed)
    refused = isinstance(stray, SubmitSm | Bind | Outbind)
    assert sent(session) == ([GenericNack(9, Status.RINVBNDSTS)] if refused else [])
    assert session.state is State.BOUND


def test_every_open_state_can_lose_its_connection_and_no_closed_one_moves() -> None:
    for state in State:
        assert ((state, Cause.CONNECTION_LOST) in TRANSITIONS) is (state is not State.CLOSED)
    assert all(state is not State.CLOSED for state, _ in TRANSITIONS)


# ---- whatever happens

INPUTS: list[Pdu] = [
    MO, RECEIPT, BindResp(1), SubmitSmResp(2, 0, "x"), SubmitSmResp(3, 0x58), EnquireLink(1),
    EnquireLinkResp(2), Unbind(4), UnbindResp(3), GenericNack(2),
]  # fmt: skip


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60).map(lambda octets: ("octets", octets)),
            st.sampled_from(INPUTS).map(lambda value: ("octets", pdu.encode(value))),
            st.floats(0, 50).map(lambda wait: ("wait", wait)),
            st.just(("submit", None)),
            st.just(("unbind", None)),
            st.just(("answer", None)),
        ),
        max_size=30,
    ),
    st.integers(1, 40),
)  # fmt: skip
def test_no_input_raises_and_every_submit_has_one_end(
    steps: list[tuple[str, Any]], piece: int
) -> None:
    session = connected()
    session.bind(Bind(0, "toneline"), 0.0)
    now, submits, events = 0.0, set(), []
    for kind, value in steps:
        if kind == "octets":
            for at in range(0, len(value), piece):
                events += session.receive_data(value[at : at + piece], now)
        elif kind == "wait":
            now += value
            events += session.expire(now)
        elif kind == "submit" and session.free:
            submits.add(session.submit(MESSAGE, now))
        elif kind == "unbind" and session.state is State.BOUND:
            session.unbind(now)
        elif kind == "answer":
            session.answer(5, Status.ROK)
        sent(session)
    events += session.connection_lost()
    ends = [
        event.sequence
        for event in events
        if isinstance(event, Submitted | SubmitFailed | ResponseLost)
    ]
    assert sorted(ends) == sorted(submits)
    assert sum(isinstance(event, Closed) for event in events) == 1
    assert session.idle
