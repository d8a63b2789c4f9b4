from __future__ import annotations

import pytest

from smpp import pdu
from smpp.commands import (
    DataSm,
    DataSmResp,
    DeliverSmResp,
    EnquireLink,
    GenericNack,
    Pdu,
    Status,
    SubmitSmResp,
    Tag,
)
from smpp.events import (
    Closed,
    Malformed,
    MoReceived,
    ReceiptReceived,
    ResponseLate,
    ResponseLost,
    SubmitFailed,
    Submitted,
)
from smpp.session import LocalProtocolError
from smpp.states import State
from tests.fakes.session import MESSAGE, MO, RECEIPT, bound, feed, sent

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
    session = bound()
    lost: list[int] = []
    while len(lost) < 10_001:
        now = 10.0 * len(lost)
        lost += [session.submit(MESSAGE, now) for _ in range(2)]
        session.expire(now + 10.0)
        feed(session, SubmitSmResp(session.submit(MESSAGE, now + 10.0)), now=now + 10.0)
    oldest, next_oldest, third = feed(session, *(SubmitSmResp(one, 0, "x") for one in lost[:3]))
    assert (type(oldest), type(next_oldest), type(third)) == (Malformed, Malformed, ResponseLate)


def test_a_window_of_messages_lost_in_a_row_is_a_stall() -> None:
    session = bound()
    for _ in range(3):
        session.submit(MESSAGE, 1.0)
    feed(session, EnquireLink(1), now=11.0)
    events = session.expire(11.0)
    assert events[-1] == Closed("no response to 3 messages in a row")
    assert [type(event) for event in events] == [ResponseLost] * 3 + [Closed]


def test_with_a_large_window_ten_are_enough() -> None:
    session = bound(window=1000)
    for _ in range(10):
        session.submit(MESSAGE, 1.0)
    feed(session, EnquireLink(1), now=11.0)
    assert session.expire(11.0)[-1] == Closed("no response to 10 messages in a row")


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
    events = feed(session, MO, MO._replace(short_message=b"Y"))
    assert [type(event) for event in events] == [MoReceived, Malformed]
    assert sent(session) == [DeliverSmResp(5, 0x14)]


def test_a_message_that_comes_again_before_its_response_has_that_one_alone() -> None:
    session = bound()
    events = feed(session, MO, MO)
    assert [type(event) for event in events] == [MoReceived, Malformed]
    assert sent(session) == []
    session.answer(5, Status.ROK)
    assert sent(session) == [DeliverSmResp(5)]


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
