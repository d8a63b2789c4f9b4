from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp import pdu
from smpp.commands import (
    Bind,
    BindResp,
    DataSmResp,
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
)
from smpp.events import (
    BindRefused,
    Closed,
    Malformed,
    MoReceived,
    ResponseLate,
    ResponseLost,
    SubmitFailed,
    Submitted,
)
from smpp.states import TRANSITIONS, Cause, State
from tests.fakes.session import MESSAGE, MO, RECEIPT, bound, connected, feed, framed, sent

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


SUBMIT_RESP, BIND_RESP, ENQUIRE_RESP, UNBIND_RESP = (
    0x8000_0004, 0x8000_0009, 0x8000_0015, 0x8000_0006,
)  # fmt: skip


def test_an_unreadable_response_to_a_message_says_at_least_that_it_was_refused() -> None:
    session = bound()
    session.submit(MESSAGE, 1.0, "a")
    session.submit(MESSAGE, 1.0, "b")
    throttled = framed(SUBMIT_RESP, b"busy", Status.RTHROTTLED, 2)
    accepted = framed(SUBMIT_RESP, b"an id without its end", Status.ROK, 3)
    told, refused, told_too, lost = session.receive_data(throttled + accepted, 1.0)
    assert (type(told), type(told_too)) == (Malformed, Malformed)
    assert refused == SubmitFailed(2, Status.RTHROTTLED, "a")
    assert lost == ResponseLost(3, "b")
    assert sent(session)[2:] == []


def test_an_unreadable_late_refusal_is_a_late_refusal_and_its_id_is_waited_for() -> None:
    session = bound()
    session.submit(MESSAGE, 1.0, "a")
    session.submit(MESSAGE, 1.0, "b")
    session.expire(11.0)
    refused = framed(SUBMIT_RESP, b"busy", Status.RTHROTTLED, 2)
    accepted = framed(SUBMIT_RESP, b"an id without its end", Status.ROK, 3)
    events = session.receive_data(refused + accepted, 12.0)
    assert events[1] == ResponseLate(2, Status.RTHROTTLED, "", "a")
    assert [type(event) for event in events[2:]] == [Malformed]
    (late,) = feed(session, SubmitSmResp(3, 0, "7"))
    assert late == ResponseLate(3, Status.ROK, "7", "b")


def test_an_unreadable_refusal_of_a_bind_is_one() -> None:
    session = connected()
    session.bind(Bind(0, "toneline"), 0.0)
    _, refused, closed = session.receive_data(framed(BIND_RESP, b"SMSC", Status.RINVPASWD, 1), 1.0)
    assert refused == BindRefused(Status.RINVPASWD)
    assert closed == Closed("bind refused: RINVPASWD")


def test_an_unreadable_acceptance_of_a_bind_is_none() -> None:
    session = connected()
    session.bind(Bind(0, "toneline"), 0.0)
    (told,) = session.receive_data(framed(BIND_RESP, b"SMSC", Status.ROK, 1), 1.0)
    assert isinstance(told, Malformed)
    assert session.state is State.BINDING


def test_an_unreadable_answer_to_enquire_link_is_a_sign_of_life() -> None:
    session = bound()
    session.expire(30.0)
    (told,) = session.receive_data(framed(ENQUIRE_RESP, b"?", Status.ROK, 2), 31.0)
    assert isinstance(told, Malformed)
    assert session.expire(40.0) == []


def test_an_unreadable_answer_to_unbind_ends_the_session() -> None:
    session = bound()
    session.unbind(1.0)
    _, closed = session.receive_data(framed(UNBIND_RESP, b"?", Status.ROK, 2), 1.0)
    assert isinstance(closed, Closed)


def test_nothing_is_asked_after_goodbye() -> None:
    session = bound()
    session.unbind(29.9)
    assert sent(session) == [Unbind(2)]
    assert session.expire(30.0) == []
    assert sent(session) == []
    assert feed(session, UnbindResp(2), now=30.1) == [Closed("unbound")]


def test_a_generic_nack_counts_when_it_comes_late() -> None:
    session = bound()
    session.submit(MESSAGE, 1.0, "a")
    session.expire(11.0)
    late = GenericNack(2, Status.RTHROTTLED)
    assert feed(session, late) == [ResponseLate(2, Status.RTHROTTLED, "", "a")]


def test_a_late_generic_nack_without_a_reason_accepts_nothing() -> None:
    session = bound()
    session.submit(MESSAGE, 1.0, "a")
    session.expire(11.0)
    assert feed(session, GenericNack(2, Status.ROK)) == []


def test_a_generic_nack_without_a_reason_leaves_open_what_became_of_the_message() -> None:
    session = bound()
    session.submit(MESSAGE, 1.0, "a")
    assert feed(session, GenericNack(2, Status.ROK)) == [ResponseLost(2, "a")]


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
