from __future__ import annotations

import pytest

from smpp.commands import (
    AlertNotification,
    Bind,
    BindResp,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Status,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from smpp.events import (
    BindRefused,
    Bound,
    Closed,
    Malformed,
    ResponseLost,
    Submitted,
)
from smpp.session import LocalProtocolError
from smpp.states import State
from tests.fakes.session import MESSAGE, MO, bound, connected, feed, sent

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
