from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordering import receipts
from smpp import receipt
from smpp.commands import DeliverSm, Tag
from smpp.receipt import Receipt
from store.database import LocalDatabase

TEXT = (
    "id:0000012345 sub:001 dlvrd:001 submit date:2611221005 done date:261122100612 "
    "stat:DELIVRD err:000 text:id:9 stat:EXPIRED"
)


def deliver(words: str | bytes, esm_class: int = 0x04, **more: Any) -> DeliverSm:
    octets = words.encode("ascii") if isinstance(words, str) else words
    return DeliverSm(1, "8613905250001", "12530019", octets, esm_class=esm_class, **more)


def parse(words: str | bytes, form: receipt.IdForm = "text", **more: Any) -> Receipt:
    return receipt.parse(deliver(words, **more), form)


def test_the_text_of_appendix_b_is_read() -> None:
    assert parse(TEXT) == Receipt("12345", "DELIVRD", "000")


def test_tlvs_win_over_the_text() -> None:
    tlvs = (
        (Tag.RECEIPTED_MESSAGE_ID, b"ABC-7\0"),
        (Tag.MESSAGE_STATE, b"\x05"),
        (Tag.NETWORK_ERROR_CODE, b"\x03\x00\x1b"),
    )
    read = parse(TEXT, tlvs=tlvs)
    assert (read.message_id, read.state, read.error) == ("ABC-7", "UNDELIV", "027")


def test_a_tlv_that_says_nothing_leaves_the_text_to_speak() -> None:
    tlvs = (
        (Tag.RECEIPTED_MESSAGE_ID, b"\0"),
        (Tag.MESSAGE_STATE, b"\x63"),
        (Tag.NETWORK_ERROR_CODE, b"\x03"),
    )
    read = parse(TEXT, tlvs=tlvs)
    assert (read.message_id, read.state, read.error) == ("12345", "DELIVRD", "000")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("DELIVRD", "DELIVRD"), ("delivered", "DELIVRD"), ("EXPIRED", "EXPIRED"),
        ("DELETED", "DELETED"), ("UNDELIV", "UNDELIV"), ("UNDELIVERABLE", "UNDELIV"),
        ("ACCEPTD", "ACCEPTD"), ("ACCEPTED", "ACCEPTD"), ("UNKNOWN", "UNKNOWN"),
        ("REJECTD", "REJECTD"), ("ENROUTE", "ENROUTE"), ("", "UNKNOWN"), ("MK:0020", "UNKNOWN"),
    ],
)  # fmt: skip
def test_states_are_told_apart_however_they_are_written(word: str, state: str) -> None:
    assert parse(f"id:1 stat:{word} err:1").state == state


@pytest.mark.parametrize(
    "words",
    [
        "id: 7 sub: 001 stat: DELIVRD err: 000",
        "id:7,stat:DELIVRD,err:000",
        "id:7; sub:001; stat:DELIVRD; err:000;",
        "ID : 7;submit date:2611271200;done date:2611271201;STAT : DELIVRD;ERR:000",
    ],
)
def test_fields_are_read_however_they_are_set_apart(words: str) -> None:
    read = parse(words)
    assert (read.message_id, read.state, read.error) == ("7", "DELIVRD", "000")


def test_an_id_may_hold_a_colon_or_a_comma() -> None:
    assert parse("id:0A:1B,2 stat:DELIVRD").message_id == "0A:1B,2"


@pytest.mark.parametrize("number", range(1, 9))
def test_every_message_state_number_has_its_word(number: int) -> None:
    read = parse("id:1", tlvs=((Tag.MESSAGE_STATE, bytes((number,))),))
    assert read.state == receipt._BY_NUMBER[number]


def test_other_spellings_are_read_too() -> None:
    read = parse("ID:7 Sub:1 Submit_Date:2611221005 DoneDate:2611221006 Stat:UNDELIV Err:12 Text:")
    assert (read.message_id, read.state, read.error) == ("7", "UNDELIV", "12")


def test_a_receipt_in_ucs_2_is_read() -> None:
    assert parse("id:7 stat:DELIVRD".encode("utf-16-be"), data_coding=8).message_id == "7"


def test_what_no_database_keeps_is_cut_out(database: LocalDatabase) -> None:
    poison = b"id:01\x0023\0 stat:DELIVRD\0 err:0\x0107\0"
    for tlvs in ((), ((Tag.RECEIPTED_MESSAGE_ID, b"\x01123\0\0"),)):
        read = parse(poison, tlvs=tlvs)
        assert (read.message_id, read.state, read.error) == ("123", "DELIVRD", "007")
    at = datetime(2026, 11, 22, tzinfo=UTC)
    report = receipts.Report("smsc", read.message_id, read.state, read.error, at)
    assert database.run_now(receipts.report, report) is None


@pytest.mark.parametrize("form", ["text", "hex_dec"])
def test_an_id_of_any_length_is_one(form: receipt.IdForm) -> None:
    for digits in ("9" * 70_000, "f" * 70_000):
        assert len(parse(f"id:{digits} stat:DELIVRD", form).message_id) <= 80


@given(st.binary(max_size=200))
def test_a_receipt_s_fields_are_plain_text(octets: bytes) -> None:
    read = parse(b"id:1" + octets + b" err:" + octets)
    assert not any(ord(one) < 0x20 or 0x7F <= ord(one) < 0xA0 for one in read.message_id)
    assert "\0" not in read.error


@pytest.mark.parametrize("words", ["", "stat:DELIVRD", "id: sub:001", "text:id:5 stat:DELIVRD"])
def test_a_receipt_of_no_message_is_unreadable(words: str) -> None:
    with pytest.raises(receipt.UnreadableReceipt):
        parse(words)


def test_only_the_smsc_can_make_a_receipt() -> None:
    assert receipt.is_receipt(deliver("", 0x04))
    assert receipt.is_receipt(deliver("", 0x20))
    assert receipt.is_receipt(deliver("", 0x44))
    assert receipt.is_receipt(deliver("", 0, tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"1\0"),)))
    assert not receipt.is_receipt(deliver(TEXT, 0))
    assert not receipt.is_receipt(deliver(TEXT, 0x10))


@pytest.mark.parametrize(
    ("form", "response", "in_receipt"),
    [
        ("text", "12345", "0000012345"),
        ("text", "00AB12", "ab12"),
        ("text", " id-7 ", "id-7"),
        ("text", "0", "000"),
        ("hex_dec", "1A2B", "6699"),
        ("hex_dec", "00001a2b", "0006699"),
        ("hex_dec", "1a2b", "1A2B"),
        ("hex_dec", "uuid-1", "uuid-1"),
    ],
)
def test_ids_of_responses_and_receipts_become_the_same(
    form: receipt.IdForm, response: str, in_receipt: str
) -> None:
    assert receipt.normal_id(response, "response", form) == receipt.normal_id(
        in_receipt, "receipt", form
    )


@given(st.integers(0, 2**64), st.integers(0, 10))
def test_a_number_in_hex_and_decimal_is_one_id(number: int, padding: int) -> None:
    response = receipt.normal_id("0" * padding + f"{number:X}", "response", "hex_dec")
    assert response == receipt.normal_id("0" * padding + str(number), "receipt", "hex_dec")


@given(st.binary(max_size=254), st.sampled_from([0, 3, 8, 255]))
def test_any_receipt_is_read_or_unreadable(octets: bytes, coding: int) -> None:
    message = deliver(octets, data_coding=coding, tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"1\0"),))
    assert receipt.parse(message, "hex_dec").message_id == "1"
