"""The receipts of the simulated SMSC, read as the application reads them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import get_args

import pytest

from smpp.commands import DeliverSm, SubmitSmResp, Tag, tlv
from smpp.receipt import Receipt, UnreadableReceipt, normal_id, parse
from smpp.smsc_rules import IdForm, Profile, ReceiptForm, Rule, State
from tests.fakes.esme import BEGAN, LINE, NUMBER, FakeEsme, SmscScene, mt


def receipts(esme: FakeEsme) -> list[Receipt]:
    """What came, read by the application's own parser."""
    found = [value for value in esme.read() if isinstance(value, DeliverSm)]
    for message in found:
        esme.answer(message)
    return [parse(message, "text") for message in found]


def told(form: ReceiptForm, wait_s: float = 1.0) -> tuple[str, Sequence[Receipt]]:
    """Submit one message: its id, and what is told of it."""
    scene = SmscScene(receipt=form)
    esme = scene.bind()
    esme.send(mt(2))
    (response,) = esme.read()
    assert isinstance(response, SubmitSmResp)
    scene.advance(wait_s)
    return response.message_id, receipts(esme)


@pytest.mark.parametrize("state", get_args(State))
@pytest.mark.parametrize("by", ["both", "tlv", "text"])
def test_every_state_is_told_by_tlv_and_by_text(state: State, by: str) -> None:
    form = ReceiptForm(state=state, by=by, error="034")  # type: ignore[arg-type]  # one of the ways
    message_id, (receipt,) = told(form)
    assert (receipt.message_id, receipt.state, receipt.error) == (message_id, state, "034")


def test_a_receipt_goes_back_the_way_of_its_message_with_both_times() -> None:
    scene = SmscScene(receipt=ReceiptForm(delay_s=60))
    esme = scene.bind()
    esme.send(mt(2))
    scene.advance(60)
    _, message = esme.read()
    assert isinstance(message, DeliverSm)
    assert (message.source_addr, message.destination_addr) == (NUMBER, LINE)
    assert message.esm_class == 0x04
    assert tlv(message.tlvs, Tag.MESSAGE_STATE) == b"\x02"
    assert f"submit date:{BEGAN:%y%m%d%H%M} done date:".encode() in message.short_message
    assert (
        f"done date:{BEGAN + timedelta(seconds=60):%y%m%d%H%M} ".encode() in message.short_message
    )
    esme.answer(message)
    assert scene.counts["receipts_answered"] == 1


def test_a_receipt_that_names_no_message_is_unreadable() -> None:
    with pytest.raises(UnreadableReceipt):
        told(ReceiptForm(by="nothing"))


@pytest.mark.parametrize(("registered", "state", "comes"), [
    (0, "DELIVRD", False), (1, "DELIVRD", True), (2, "DELIVRD", False), (2, "UNDELIV", True),
])  # fmt: skip
def test_only_what_was_asked_for_is_told(registered: int, state: State, comes: bool) -> None:
    scene = SmscScene(receipt=ReceiptForm(state=state))
    esme = scene.bind()
    esme.send(mt(2, registered_delivery=registered))
    esme.octets = b""
    scene.advance(1)
    assert bool(receipts(esme)) == comes


def test_a_receipt_may_never_come() -> None:
    scene = SmscScene(Rule("receipt", "never", every=2))
    esme = scene.bind()
    esme.send(mt(2), mt(3))
    esme.octets = b""
    scene.advance(1)
    assert len(receipts(esme)) == 1
    assert scene.counts["receipts_never"] == 1


@pytest.mark.parametrize("final_first", [False, True])
def test_intermediate_states_come_before_the_final_or_after_it(final_first: bool) -> None:
    form = ReceiptForm(
        state="UNDELIV", intermediate=("ENROUTE", "ACCEPTD"), final_first=final_first
    )
    _, all_told = told(form)
    between: list[str] = ["ENROUTE", "ACCEPTD"]
    states = [receipt.state for receipt in all_told]
    assert states == (["UNDELIV", *between] if final_first else [*between, "UNDELIV"])


def test_a_receipt_may_come_again_and_again() -> None:
    _, all_told = told(ReceiptForm(copies=3))
    assert len(all_told) == 3
    assert len(set(all_told)) == 1


@pytest.mark.parametrize("response", ["hex", "upper", "decimal", "padded"])
@pytest.mark.parametrize("receipt", ["same", "hex", "upper", "decimal", "padded"])
def test_ids_are_written_in_every_form(response: str, receipt: IdForm) -> None:
    profile = Profile(message_id=response)  # type: ignore[arg-type]  # one of the forms
    scene = SmscScene(profile=profile, receipt=ReceiptForm(message_id=receipt))
    esme = scene.bind()
    esme.send(mt(2))
    scene.advance(1)
    answer, message = esme.read()
    assert isinstance(answer, SubmitSmResp)
    assert isinstance(message, DeliverSm)
    told_id = (tlv(message.tlvs, Tag.RECEIPTED_MESSAGE_ID) or b"")[:-1].decode()
    assert f"id:{told_id} ".encode() in message.short_message
    if receipt == "same" or (response == "decimal") == (receipt == "decimal"):
        assert normal_id(told_id, "receipt", "text") == normal_id(
            answer.message_id, "response", "text"
        )
    elif receipt == "decimal":
        assert normal_id(told_id, "receipt", "hex_dec") == normal_id(
            answer.message_id, "response", "hex_dec"
        )


def test_a_receipt_may_leave_before_the_response() -> None:
    scene = SmscScene(receipt=ReceiptForm(before_response=True))
    esme = scene.bind()
    esme.send(mt(2))
    first, second = esme.read()
    assert isinstance(first, DeliverSm)
    assert isinstance(second, SubmitSmResp)


def test_without_that_it_never_does() -> None:
    profile = Profile(response_delay_s=0.2, response_jitter_s=0.2)
    scene = SmscScene(profile=profile, receipt=ReceiptForm(delay_s=0))
    esme = scene.bind()
    esme.send(mt(2))
    scene.advance(1)
    assert [type(value) for value in esme.read()] == [SubmitSmResp, DeliverSm]


@pytest.mark.parametrize(("wish", "counts"), [("same", (2, 0)), ("other", (0, 2))])
def test_a_receipt_comes_over_the_same_or_another_bind(wish: str, counts: tuple[int, int]) -> None:
    scene = SmscScene(receipt=ReceiptForm(bind=wish))  # type: ignore[arg-type]  # one of the ways
    one, other = scene.bind(), scene.bind()
    one.send(mt(2), mt(3))
    one.octets = b""
    scene.advance(1)
    assert (len(receipts(one)), len(receipts(other))) == counts


def test_receipts_of_one_bind_wait_for_room_there_and_none_is_overtaken() -> None:
    form = ReceiptForm(bind="same", intermediate=("EXPIRED", "UNKNOWN"), final_first=True)
    scene = SmscScene(profile=Profile(window=2), receipt=form)
    one, other = scene.bind(), scene.bind()
    one.send(mt(2))
    one.octets = b""
    scene.advance(1)
    assert [receipt.state for receipt in receipts(one)] == ["DELIVRD", "EXPIRED"]
    assert [receipt.state for receipt in receipts(one)] == ["UNKNOWN"]
    assert receipts(other) == []


def test_where_there_is_no_such_bind_it_takes_the_one_there_is() -> None:
    scene = SmscScene(receipt=ReceiptForm(bind="other"))
    esme = scene.bind()
    esme.send(mt(2))
    esme.octets = b""
    scene.advance(1)
    assert len(receipts(esme)) == 1
    scene = SmscScene(receipt=ReceiptForm(bind="same"))
    transmitter, receiver = scene.bind("transmitter"), scene.bind("receiver")
    transmitter.send(mt(2))
    scene.advance(1)
    assert len(receipts(receiver)) == 1


def test_receipts_overtake_one_another() -> None:
    scene = SmscScene(receipt=ReceiptForm(delay_s=1, jitter_s=10))
    esme = scene.bind()
    esme.send(*(mt(sequence) for sequence in range(2, 12)))
    ids = [value.message_id for value in esme.read() if isinstance(value, SubmitSmResp)]
    scene.advance(11)
    told_ids = [receipt.message_id for receipt in receipts(esme)]
    assert sorted(told_ids) == sorted(ids)
    assert told_ids != ids


def test_a_rule_tells_otherwise_of_some_messages() -> None:
    never = ReceiptForm(state="EXPIRED", delay_s=0.5)
    scene = SmscScene(Rule("receipt", "send", text="^2$", receipt=never))
    esme = scene.bind()
    esme.send(mt(2, b"1"), mt(3, b"2"))
    esme.octets = b""
    scene.advance(1)
    assert [receipt.state for receipt in receipts(esme)] == ["DELIVRD", "EXPIRED"]


def test_no_more_receipts_wait_than_messages_are_kept() -> None:
    scene = SmscScene(kept=2)
    scene.bind("transmitter").send(*(mt(sequence) for sequence in range(2, 6)))
    scene.advance(1)
    assert (scene.core.waiting, scene.counts["receipts_dropped"]) == (2, 2)
    assert scene.core.undelivered == 0
