"""The simulated SMSC without sockets: binds, messages both ways, what an ESME does wrong."""

from __future__ import annotations

from typing import Any

import pytest

from smpp import pdu, text
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
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    UnbindResp,
    tlv,
)
from smpp.smsc import BIND_S, UNBIND_S
from smpp.smsc_rules import Profile, ReceiptForm, Rule, Script
from tests.fakes.esme import LINE, NUMBER, SECRET, FakeEsme, SmscScene, mt


def first_message(esme: FakeEsme) -> DeliverSm:
    message = esme.read()[0]
    assert isinstance(message, DeliverSm)
    return message


# ---- binds


def test_a_bind_is_accepted_with_the_interface_version() -> None:
    esme = SmscScene().connect()
    esme.send(Bind(1, "toneline", SECRET))
    version = ((Tag.SC_INTERFACE_VERSION, b"\x34"),)
    assert esme.read() == [BindResp(1, Status.ROK, "simulator", tlvs=version)]


@pytest.mark.parametrize(
    ("bind", "status"),
    [
        (Bind(1, "nobody", SECRET), Status.RINVSYSID),
        (Bind(1, "toneline", "wrong"), Status.RINVPASWD),
    ],
)
def test_a_bind_with_the_wrong_name_or_password_is_refused(bind: Bind, status: Status) -> None:
    scene = SmscScene()
    esme = scene.connect()
    esme.send(bind)
    assert esme.read() == [BindResp(1, status, "simulator")]
    assert scene.core.binds == []
    assert scene.counts["binds_refused"] == 1


def test_a_second_bind_on_a_connection_is_refused() -> None:
    esme = SmscScene().bind()
    esme.send(Bind(2, "toneline", SECRET))
    assert esme.read() == [BindResp(2, Status.RALYBND, "simulator")]


@pytest.mark.parametrize(
    ("times", "status"),
    [
        ({"validity_period": "abc"}, Status.RINVEXPIRY),
        ({"schedule_delivery_time": "7"}, Status.RINVSCHED),
        ({"validity_period": "261127120000032+"}, Status.ROK),
    ],
)
def test_times_that_are_none_are_refused(times: dict[str, Any], status: Status) -> None:
    esme = SmscScene().bind()
    esme.send(mt(2, **times))
    (response,) = esme.read()
    assert isinstance(response, SubmitSmResp)
    assert response.status == status


def test_an_unbind_before_the_bind_is_refused() -> None:
    esme = SmscScene().connect()
    esme.send(Unbind(1))
    assert esme.read() == [UnbindResp(1, Status.RINVBNDSTS)]


def test_a_second_bind_is_refused_also_while_the_first_is_held_back() -> None:
    scene = SmscScene(Rule("bind", "delay", delay_s=2))
    esme = scene.connect()
    esme.send(Bind(1, "toneline", SECRET), Bind(2, "toneline", SECRET))
    scene.advance(2)
    first, second = esme.read()
    assert isinstance(first, BindResp)
    assert (first.status, second) == (0, BindResp(2, Status.RALYBND, "simulator"))
    esme.leave()
    scene.put("Y")
    assert scene.core.waiting == 1


def test_who_submits_for_days_fills_no_memory() -> None:
    scene = SmscScene()
    esme = scene.bind()
    for _ in range(50):
        esme.send(mt(2))
        scene.advance(0.5)
    assert len(esme.link.accepted_at) <= 2


def test_another_script_asks_those_who_are_bound_already() -> None:
    scene = SmscScene(profile=Profile(enquire_link_s=100))
    esme = scene.bind()
    scene.core.play(Script(1, Profile(enquire_link_s=10), ReceiptForm(), ()), scene.now)
    scene.carry_out()
    scene.advance(10)
    assert esme.read() == [EnquireLink(1)]
    esme.send(EnquireLinkResp(1))
    scene.core.play(Script(1, Profile(), ReceiptForm(), ()), scene.now)
    scene.advance(200)
    assert esme.read() == []


def test_a_receipt_of_a_longer_address_than_a_deliver_sm_has_is_delivered() -> None:
    scene = SmscScene()
    esme = scene.bind()
    payload = ((Tag.MESSAGE_PAYLOAD, b"hi"),)
    esme.send(DataSm(2, "12530019", "8" * 30, registered_delivery=1, tlvs=payload))
    scene.advance(1)
    _, receipt = esme.read()
    assert isinstance(receipt, DeliverSm)
    assert receipt.source_addr == "8" * 20


def test_who_does_not_bind_is_cut() -> None:
    scene = SmscScene()
    silent, bound = scene.connect(), scene.bind()
    scene.advance(BIND_S)
    assert (silent.ended, bound.ended) == ("cut", "")


def test_an_unbind_is_answered_and_the_connection_closed() -> None:
    scene = SmscScene()
    esme = scene.bind()
    esme.send(Unbind(2), EnquireLink(3))
    assert esme.read() == [UnbindResp(2)]
    assert esme.ended == "closed"
    assert scene.core.binds == []


def test_our_own_unbind_waits_for_its_answer_and_takes_nothing_more() -> None:
    scene = SmscScene()
    esme, silent, stranger = scene.bind(), scene.bind(), scene.connect()
    for one in (esme, silent, stranger):
        scene.core.unbind(one.link, scene.now)
    scene.carry_out()
    assert esme.read() == [Unbind(1)]
    assert stranger.ended == "closed"
    esme.send(mt(2), UnbindResp(1))
    assert (esme.read(), esme.ended, scene.counts["accepted"]) == ([], "closed", 0)
    scene.advance(UNBIND_S)
    assert silent.ended == "cut"


def test_an_enquire_link_is_answered() -> None:
    esme = SmscScene().connect()
    esme.send(EnquireLink(9))
    assert esme.read() == [EnquireLinkResp(9)]


def test_it_asks_itself_whether_an_esme_is_there_and_cuts_one_that_is_silent() -> None:
    scene = SmscScene(profile=Profile(enquire_link_s=10))
    answering, nacking, silent = scene.bind(), scene.bind(), scene.bind()
    scene.advance(10)
    answering.send(EnquireLinkResp(1))
    nacking.send(GenericNack(1))
    scene.advance(10)
    assert [esme.ended for esme in (answering, nacking, silent)] == ["", "", "cut"]
    assert answering.read() == [EnquireLink(1), EnquireLink(2)]
    assert scene.counts["enquire_unanswered"] == 1


# ---- to the ESME


def test_binds_take_turns_and_a_full_one_is_passed_over() -> None:
    scene = SmscScene(profile=Profile(window=2))
    first, second = scene.bind(), scene.bind()
    for words in "12345":
        scene.put(words)
    one = first_message(first)
    assert (one.short_message, scene.core.waiting) == (b"1", 1)
    assert second.texts() == [b"2", b"4", b"5"]
    scene.put("6")
    assert second.texts() == [b"6"]


def test_messages_wait_for_a_bind_that_receives() -> None:
    scene = SmscScene()
    scene.put("1")
    transmitter = scene.bind("transmitter")
    assert (transmitter.read(), scene.core.waiting) == ([], 1)
    assert scene.bind("receiver").link in scene.core.binds
    assert scene.core.waiting == 0


@pytest.mark.parametrize("status", [Status.RMSGQFUL, Status.RX_T_APPN, Status.RSYSERR])
def test_a_message_refused_for_now_comes_again_after_a_pause(status: Status) -> None:
    scene = SmscScene(profile=Profile(retry_s=2.0))
    esme = scene.bind()
    mo = scene.put("Y")
    esme.answer(first_message(esme), status)
    scene.advance(1.9)
    assert esme.read() == []
    scene.advance(0.1)
    esme.answer(first_message(esme))
    assert (scene.answered, mo.status) == ([mo], Status.ROK)


def test_a_message_refused_for_good_does_not_come_again() -> None:
    scene = SmscScene()
    esme = scene.bind()
    mo = scene.put("Y")
    esme.answer(first_message(esme), Status.RX_P_APPN)
    assert (scene.answered, mo.status) == ([mo], Status.RX_P_APPN)


def test_a_message_is_answered_when_all_its_parts_are_with_the_highest_status() -> None:
    scene = SmscScene()
    esme = scene.bind()
    mo = scene.put("订" * 100)
    first, second = (value for value in esme.read() if isinstance(value, DeliverSm))
    esme.answer(second, Status.RX_R_APPN)
    assert scene.answered == []
    esme.answer(first)
    assert (scene.answered, mo.status) == ([mo], Status.RX_R_APPN)


def test_what_a_lost_connection_had_not_answered_comes_first_in_its_order() -> None:
    scene = SmscScene(profile=Profile(window=2))
    leaving = scene.bind()
    for words in "123":
        scene.put(words)
    leaving.leave()
    assert scene.bind().texts() == [b"1", b"2", b"3"]


def test_an_unanswered_message_comes_again() -> None:
    scene = SmscScene(profile=Profile(deliver_timeout_s=5, retry_s=1))
    esme = scene.bind()
    scene.put("Y")
    assert first_message(esme).sequence == 1
    scene.advance(6)
    assert first_message(esme).sequence == 2
    esme.send(DeliverSmResp(1))
    assert (scene.answered, scene.counts["responses_unasked"]) == ([], 1)


def test_a_message_carries_its_own_id_where_that_is_asked_for() -> None:
    scene = SmscScene(profile=Profile(mo_id_tlv=0x1400, retry_s=1))
    esme = scene.bind()
    mo = scene.put("Y")
    scene.put("订" * 100)
    message, *parts = (value for value in esme.read() if isinstance(value, DeliverSm))
    assert tlv(message.tlvs, 0x1400) == mo.mo_id.encode() + b"\0"
    assert len({tlv(part.tlvs, 0x1400) for part in parts}) == 2
    esme.answer(message, Status.RX_T_APPN)
    scene.advance(1)
    assert tlv(first_message(esme).tlvs, 0x1400) == mo.mo_id.encode() + b"\0"


# ---- from the ESME


def test_a_message_is_kept_with_its_id() -> None:
    scene = SmscScene()
    esme = scene.bind()
    esme.send(mt(2, validity_period="000000060000000R"))
    (response,) = esme.read()
    assert isinstance(response, SubmitSmResp)
    (kept,) = scene.core.mailbox.since(0, "139-0525-0001")
    assert (kept.n, kept.text, kept.message_ids) == (1, "Y", (response.message_id,))
    assert (kept.validity, kept.at) == ("000000060000000R", scene.core.stage.date)
    assert scene.core.mailbox.since(1, "") == []
    assert scene.core.mailbox.since(0, LINE) == []


def test_parts_in_any_order_are_one_message_with_all_their_ids() -> None:
    scene = SmscScene()
    esme = scene.bind()
    for number, part in enumerate(reversed(text.segment("订" * 100, 7))):
        esme.send(mt(number + 2, part.short_message, data_coding=8, esm_class=part.esm_class))
    ids = [value.message_id for value in esme.read() if isinstance(value, SubmitSmResp)]
    (kept,) = scene.core.mailbox.since(0, "")
    assert (kept.text, kept.parts, list(kept.message_ids)) == ("订" * 100, 2, ids)


def test_a_message_whose_other_parts_never_come_is_kept_as_it_is() -> None:
    scene = SmscScene()
    esme = scene.bind()
    part = text.segment("订" * 100, 7)[1]
    esme.send(mt(2, part.short_message, data_coding=8, esm_class=part.esm_class))
    scene.advance(61)
    esme.send(mt(3))
    whole, broken = scene.core.mailbox.since(0, "")
    assert (whole.text, broken.text, broken.missing) == ("Y", "订" * 33, 1)


def test_the_second_text_under_a_reference_has_ids_of_its_own() -> None:
    scene = SmscScene()
    esme = scene.bind()
    for words in ("订" * 100, "回" * 100):
        for part in text.segment(words, 7):
            esme.send(mt(2, part.short_message, data_coding=8, esm_class=part.esm_class))
    first, second = scene.core.mailbox.since(0, "")
    assert len({*first.message_ids, *second.message_ids}) == 4


def test_only_the_last_messages_are_kept() -> None:
    scene = SmscScene(kept=2)
    esme = scene.bind()
    for number in range(2, 7):
        part = text.segment("订" * 100, number)[0]
        esme.send(mt(number), mt(9, part.short_message, data_coding=8, esm_class=part.esm_class))
    assert [kept.n for kept in scene.core.mailbox.since(0, "")] == [4, 5]


def test_data_sm_is_taken_as_well() -> None:
    esme = SmscScene().bind()
    esme.send(DataSm(2, LINE, NUMBER, tlvs=((Tag.MESSAGE_PAYLOAD, b"Y"),)))
    (response,) = esme.read()
    assert isinstance(response, DataSmResp)
    assert response.message_id


@pytest.mark.parametrize(
    ("mode", "message", "status"),
    [("receiver", mt(2), Status.RINVBNDSTS), ("transceiver", SubmitSm(2, LINE, ""), 0x0B)],
)
def test_a_message_that_may_not_be_sent_is_refused(
    mode: str, message: SubmitSm, status: int
) -> None:
    esme = SmscScene().bind(mode)  # type: ignore[arg-type]  # one of the three
    esme.send(message)
    assert esme.read() == [SubmitSmResp(2, status)]


# ---- garbage


def test_a_stream_that_cannot_be_read_is_refused_and_ended() -> None:
    scene = SmscScene()
    esme = scene.bind()
    esme.throw(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(esme.read()[0], GenericNack)
    assert (esme.ended, scene.counts["malformed"]) == ("closed", 1)


def test_a_malformed_pdu_is_refused_and_the_next_is_read() -> None:
    scene = SmscScene()
    esme = scene.bind()
    truncated = pdu.encode(mt(2))[:-3]
    esme.throw(len(truncated).to_bytes(4, "big") + truncated[4:])
    esme.throw(bytes.fromhex("00000010 00000021 00000000 00000007"))
    esme.throw(bytes.fromhex("00000010 80000777 00000000 00000008"))
    esme.send(EnquireLink(3))
    refusal, nack, answer = esme.read()
    assert isinstance(refusal, SubmitSmResp)
    assert (refusal.sequence, refusal.status) != (2, Status.ROK)
    assert (nack, answer) == (GenericNack(7, Status.RINVCMDID), EnquireLinkResp(3))
    assert scene.counts["malformed"] == 3


def test_what_no_esme_sends_is_refused_or_left_unanswered() -> None:
    scene = SmscScene()
    esme = scene.bind()
    esme.send(DeliverSm(2, NUMBER, LINE), AlertNotification(3, "1", "2"), DeliverSmResp(77))
    assert esme.read() == [DeliverSmResp(2, Status.RINVCMDID)]
    assert scene.counts["responses_unasked"] == 1


def test_a_response_before_the_bind_means_nothing() -> None:
    scene = SmscScene()
    scene.connect().send(DeliverSmResp(1), EnquireLinkResp(1))
    assert scene.counts["responses_unasked"] == 0
