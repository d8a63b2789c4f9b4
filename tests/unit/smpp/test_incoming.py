"""What an SMSC delivers, and when it is answered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, fail

from smpp.commands import DataSm, DataSmResp, DeliverSmResp, GenericNack, Status, SubmitSm, Tag
from smpp.messages import MoMessage
from smpp.text import Part
from tests.fakes.wired import MO, House


def test_an_answer_waits_for_the_application_and_then_leaves_at_once() -> None:
    house = House()
    commit: Deferred[int] = Deferred()
    house.answer = lambda: commit
    wire = house.bind()
    wire.send(MO)
    assert wire.sent() == []
    commit.callback(Status.ROK)
    assert wire.sent() == [DeliverSmResp(5)]
    assert house.mos == [
        MoMessage(
            "smsc1", "8613905250001", "12530019", b"CX", 0,
            datetime(2026, 11, 22, 10, 0, tzinfo=UTC),
        )
    ]  # fmt: skip


def test_an_application_that_is_too_slow_is_asked_again() -> None:
    house = House(mo_retry_status=0x64, mo_response_deadline_s=3)
    commit: Deferred[int] = Deferred()
    house.answer = lambda: commit
    wire = house.bind()
    wire.send(MO)
    house.clock.advance(3.0)
    assert wire.sent() == [DeliverSmResp(5, 0x64)]
    commit.callback(Status.ROK)
    assert wire.sent() == []


def test_an_answer_for_a_connection_that_is_gone_goes_nowhere() -> None:
    house = House()
    commit: Deferred[int] = Deferred()
    house.answer = lambda: commit
    wire = house.bind()
    wire.send(MO)
    wire.close()
    house.clock.advance(1.0)
    house.clock.advance(1.0)
    house.wires[1].accept_bind()
    commit.callback(Status.ROK)
    assert house.wires[1].sent() == []


def test_receipts_are_told_with_the_smsc_s_name_and_answered_when_stored() -> None:
    house = House()
    wire = house.bind()
    receipt = MO._replace(esm_class=4, short_message=b"id:7 stat:DELIVRD")
    wire.send(receipt)
    house.answer = lambda: fail(RuntimeError("store is down"))
    wire.send(receipt._replace(sequence=6))
    assert wire.sent() == [DeliverSmResp(5), DeliverSmResp(6, 0x14)]
    assert [(name, one.message_id) for name, one in house.receipts] == [("smsc1", "7")] * 2


def test_what_the_smsc_may_not_send_is_counted_and_the_line_goes_on() -> None:
    house = House()
    wire = house.bind()
    wire.send(SubmitSm(9, "1", "2"), MO)
    assert wire.sent() == [GenericNack(9, Status.RINVBNDSTS), DeliverSmResp(5)]
    assert house.esme.counters.malformed == 1


def test_many_mistakes_of_an_smsc_make_one_line_a_second_with_their_number() -> None:
    house = House()
    wire = house.bind()
    with capture_logs() as logs:
        for sequence in range(100):
            wire.send(SubmitSm(sequence, "1", "2"))
        house.clock.advance(1.0)
        wire.send(SubmitSm(200, "1", "2"), SubmitSm(201, "1", "2"))
        wire.close()
    told = [line["count"] for line in logs if line["event"] == "smsc_malformed_pdu"]
    assert told == [1, 100, 1]
    assert house.esme.counters.malformed == 102


def test_each_part_is_told_with_its_place_and_answered_by_itself() -> None:
    house = House(alphabet="latin1")
    wire = house.bind()
    for n, words in ((2, b"1029"), (1, b"DG ")):
        header = bytes((5, 0, 3, 9, 2, n))
        wire.send(MO._replace(sequence=n, esm_class=0x40, short_message=header + words))
    assert [(mo.raw, mo.part, mo.alphabet) for mo in house.mos] == [
        (b"1029", Part(9, 2, 2), "latin1"),
        (b"DG ", Part(9, 2, 1), "latin1"),
    ]
    assert wire.sent() == [DeliverSmResp(2), DeliverSmResp(1)]


def test_data_sm_is_told_and_answered_in_kind() -> None:
    house = House()
    wire = house.bind()
    payload = ((Tag.MESSAGE_PAYLOAD, b"CX"),)
    wire.send(DataSm(8, "8613905250001", "12530019", tlvs=payload))
    assert [mo.text for mo in house.mos] == ["CX"]
    assert wire.sent() == [DataSmResp(8)]


@pytest.mark.parametrize(("id_", "known"), [(b"", None), (b"\x01\x02", "0102")])
def test_the_smsc_s_own_id_is_told_if_it_says_anything(id_: bytes, known: str | None) -> None:
    house = House(mo_id_tlv=0x1401)
    house.bind().send(MO._replace(tlvs=((0x1401, id_),)))
    assert [mo.message_id for mo in house.mos] == [known]


def test_it_is_known_whether_a_response_left() -> None:
    house = House(mo_response_deadline_s=3)
    wire = house.bind()
    wire.send(MO)
    (first,) = house.mos
    assert first.response.left
    wire.close()
    assert not first.response.left


def test_a_response_that_came_too_late_did_not_leave() -> None:
    house = House(mo_response_deadline_s=3)
    commit: Deferred[int] = Deferred()
    house.answer = lambda: commit
    wire = house.bind()
    wire.send(MO)
    house.clock.advance(3.0)
    commit.callback(Status.ROK)
    (first,) = house.mos
    assert not first.response.left
