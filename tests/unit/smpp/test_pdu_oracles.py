"""The codec beside smpplib where smpplib is right, beside the specification where it is not."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from smpplib import command as smpplib_command
from smpplib import consts
from smpplib import smpp as smpplib_codec

from smpp import pdu
from smpp.commands import (
    Bind,
    DeliverSm,
    DeliverSmResp,
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
)
from tests.fakes.session import framed
from tests.fuzz import reference
from tests.unit.smpp.strategies import SIZES, binds, message_resp, pdus, short_message


def theirs(octets: bytes) -> Any:
    return smpplib_codec.parse_pdu(octets, sequence=0, allow_unknown_opt_params=True)


# ---- where smpplib is right

MESSAGE_FIELDS = [
    "service_type", "source_addr_ton", "source_addr_npi", "source_addr", "dest_addr_ton",
    "dest_addr_npi", "destination_addr", "esm_class", "protocol_id", "priority_flag",
    "schedule_delivery_time", "validity_period", "registered_delivery", "replace_if_present_flag",
    "data_coding", "sm_default_msg_id",
]  # fmt: skip


@given(short_message(SubmitSm) | short_message(DeliverSm))
def test_smpplib_reads_our_messages_as_we_wrote_them(value: SubmitSm | DeliverSm) -> None:
    read = theirs(pdu.encode(value._replace(tlvs=())))
    assert read.sequence == value.sequence
    for field in MESSAGE_FIELDS:
        ours = getattr(value, field)
        assert getattr(read, field) == (ours.encode("latin-1") if isinstance(ours, str) else ours)
    assert (read.short_message or b"") == value.short_message


@given(short_message(SubmitSm) | short_message(DeliverSm))
def test_we_read_smpplib_s_messages_as_it_wrote_them(value: SubmitSm | DeliverSm) -> None:
    name = "submit_sm" if isinstance(value, SubmitSm) else "deliver_sm"
    made = smpplib_command.factory(name, sequence=1)
    made.sequence = value.sequence
    for field in [*MESSAGE_FIELDS, "short_message"]:
        setattr(made, field, getattr(value, field))
    assert pdu.decode(made.generate()) == value._replace(tlvs=())


@given(message_resp(SubmitSmResp) | message_resp(DeliverSmResp))
def test_smpplib_reads_our_responses_as_we_wrote_them(value: SubmitSmResp | DeliverSmResp) -> None:
    read = theirs(pdu.encode(value._replace(tlvs=())))
    assert (read.sequence, read.status) == (value.sequence, value.status)
    assert read.message_id == value.message_id.encode("latin-1")


@given(binds)
def test_smpplib_reads_our_binds_as_we_wrote_them(value: Bind) -> None:
    octets = pdu.encode(value)
    read = theirs(octets[: len(octets) - sum(4 + len(tlv) for _, tlv in value.tlvs)])
    assert read.system_id == value.system_id.encode("latin-1")
    assert read.password == value.password.encode("latin-1")
    assert read.address_range == value.address_range.encode("latin-1")
    assert read.interface_version == value.interface_version


# ---- where smpplib is wrong: the specification

BODY = b"\0" + b"\1\1" + b"139\0" + bytes(2) + b"12530019\0" + bytes(9) + b"\2hi"
DATA_BODY = b"\0" + b"\1\1" + b"139\0" + bytes(2) + b"12530019\0" + bytes(3)
MESSAGE = DeliverSm(7, "139", "12530019", b"hi", source_addr_ton=1, source_addr_npi=1)


@given(pdus)
def test_every_pdu_is_written_as_the_specification_s_tables_say(value: Pdu) -> None:
    read = reference.read(pdu.encode(value))
    for name, wanted in read.items():
        assert getattr(value, name) == wanted


@pytest.mark.parametrize("tag", sorted({*consts.OPTIONAL_PARAMS.values(), 0x1400, 0x3FFF}))
def test_any_tlv_is_kept_in_any_command(tag: int) -> None:
    """Section 3.3: a parameter that is not expected is ignored, not an error.

    smpplib raises KeyError for 23 of the tags it knows.
    """
    value = b"n" * SIZES.get(tag, (2, 2))[0]
    octets = struct.pack(">HH", tag, len(value)) + value
    assert pdu.decode(framed(5, BODY + octets)) == MESSAGE._replace(tlvs=((tag, value),))
    assert pdu.decode(framed(0x8000_0004, b"id1\0" + octets)) == SubmitSmResp(
        7, 0, "id1", ((tag, value),)
    )


@pytest.mark.parametrize(
    ("tag", "size"),
    [(tag, size) for tag, (fewest, most) in SIZES.items() for size in (fewest - 1, most + 1)],
)
@pytest.mark.parametrize("command_id", [4, 5, 0x103])
def test_a_tlv_that_says_what_a_message_is_has_its_length(
    command_id: int, tag: int, size: int
) -> None:
    """Section 5.3.2 has the sizes, 5.1.3 the answer ESME_RINVPARLEN (0xC2).

    smpplib reads as many octets as it expects, and what follows from there.
    """
    body = BODY if command_id < 0x100 else DATA_BODY
    octets = framed(command_id, body + struct.pack(">HH", tag, size) + b"\1" * size)
    with pytest.raises(pdu.MalformedPdu, match=f"TLV 0x{tag:04x} has {size} octets") as malformed:
        pdu.decode(octets)
    assert malformed.value.status == Status.RINVPARLEN
    with pytest.raises(reference.Refused):
        reference.read(octets)


@pytest.mark.parametrize("tag", SIZES)
def test_a_response_is_read_whatever_the_length_of_its_tlvs(tag: int) -> None:
    """Section 5.1.3 has no answer to a response: its id counts, and nobody reads these of it."""
    octets = struct.pack(">HH", tag, 70) + b"x" * 70
    read = pdu.decode(framed(0x8000_0004, b"id1\0" + octets))
    assert read == SubmitSmResp(7, 0, "id1", ((tag, b"x" * 70),))


def test_a_tlv_s_length_is_its_own_and_shifts_nothing() -> None:
    """Section 3.2.4.1: a value has as many octets as its length says, whatever the tag suggests.

    smpplib reads two octets of source_port, then goes on within the value.
    """
    tlvs = ((consts.OPTIONAL_PARAMS["source_port"], b"\2\0\0"), (Tag.RECEIPTED_MESSAGE_ID, b"0a\0"))
    value = MESSAGE._replace(tlvs=tlvs)
    assert pdu.decode(pdu.encode(value)) == value
    assert getattr(theirs(pdu.encode(value)), "receipted_message_id", None) != b"0a"


def test_a_repeated_tlv_is_kept_as_often_as_it_came() -> None:
    """Section 3.2.4: optional parameters come in any order. smpplib keeps the last of a tag."""
    tlvs = ((Tag.MESSAGE_PAYLOAD, b"one"), (0x1400, b"x"), (Tag.MESSAGE_PAYLOAD, b"two"))
    value = MESSAGE._replace(tlvs=tlvs)
    assert pdu.decode(pdu.encode(value)) == value
    assert theirs(pdu.encode(value)).message_payload == b"two"


def test_a_string_without_its_nul_is_refused() -> None:
    """Section 3.1: a C-octet string is terminated by a NUL. smpplib makes up an id from it."""
    octets = framed(0x8000_0004, b"0a1b2c")
    assert theirs(octets).message_id == b"0a1b2"
    with pytest.raises(pdu.MalformedPdu, match="message_id"):
        pdu.decode(octets)


def test_a_string_longer_than_its_field_is_refused() -> None:
    """Section 4.6.1: source_addr has 21 octets at most. smpplib reads on to the next NUL."""
    octets = framed(5, BODY.replace(b"139", b"1" * 40))
    assert theirs(octets).source_addr == b"1" * 40
    with pytest.raises(pdu.MalformedPdu, match="source_addr") as malformed:
        pdu.decode(octets)
    assert malformed.value.status == Status.RINVSRCADR


def test_a_length_that_is_not_the_pdu_s_is_refused() -> None:
    """Section 5.1.1: command_length is that of the whole PDU. smpplib does not look at it."""
    octets = b"\x7f\xff\xff\xff" + framed(5, BODY)[4:]
    assert theirs(octets).short_message == b"hi"
    with pytest.raises(pdu.MalformedPdu, match="command_length"):
        pdu.decode(octets)
    assert pdu.cut(octets)[2] is not None


@pytest.mark.parametrize("length", [255, 200])
def test_a_text_that_is_not_there_is_refused(length: int) -> None:
    """Section 5.2.21: sm_length is 254 at most, and the text is there. smpplib takes what is."""
    octets = framed(5, BODY[:-3] + bytes((length,)) + b"hi")
    assert theirs(octets).short_message == b"hi"
    with pytest.raises(pdu.MalformedPdu) as malformed:
        pdu.decode(octets)
    assert malformed.value.status == Status.RINVMSGLEN


@pytest.mark.parametrize(
    ("value", "name", "fields"),
    [
        (Bind(1, "me", "123456789"), "bind_transceiver", {"password": "123456789"}),
        (SubmitSm(1, "1" * 21, "2"), "submit_sm", {"source_addr": "1" * 21}),
        (SubmitSm(1, "1", "2", b"x" * 255), "submit_sm", {"short_message": b"x" * 255}),
        (SubmitSm(1, "1\x002", "2"), "submit_sm", {"source_addr": "1\x002"}),
    ],
)
def test_what_does_not_fit_is_refused_and_never_cut(
    value: Pdu, name: str, fields: dict[str, Any]
) -> None:
    """Sections 4.1.1, 4.4.1: sizes of fields. smpplib cuts strings and lets the rest through."""
    made = smpplib_command.factory(name, sequence=1)
    for field in ("source_addr", "destination_addr", "system_id"):
        setattr(made, field, "")
    for field, content in fields.items():
        setattr(made, field, content)
    assert made.generate()
    with pytest.raises(pdu.UnencodablePdu):
        pdu.encode(value)
