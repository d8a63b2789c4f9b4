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
    Closed,
    Malformed,
    MoReceived,
    ResponseLost,
    SubmitFailed,
    Submitted,
)
from smpp.states import TRANSITIONS, Cause, State
from tests.fakes.session import MESSAGE, MO, RECEIPT, bound, connected, feed, sent

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
