from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpplib import command as smpplib_command
from smpplib import smpp as smpplib_codec

from smpp import pdu
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
    Outbind,
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    UnbindResp,
    status_name,
    tlv,
)

octet = st.integers(0, 255)
sequence = st.integers(0, 0xFFFF_FFFF)
status = st.integers(0, 0xFFFF_FFFF)
tlvs = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=4).map(tuple)


def c_string(size: int) -> st.SearchStrategy[str]:
    """What fits into a field of `size` octets with its NUL."""
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=size - 1)


def short_message(kind: type[SubmitSm] | type[DeliverSm]) -> st.SearchStrategy[Any]:
    return st.builds(
        kind,
        sequence=sequence,
        source_addr=c_string(21),
        destination_addr=c_string(21),
        short_message=st.binary(max_size=254),
        data_coding=octet,
        esm_class=octet,
        registered_delivery=octet,
        validity_period=c_string(17),
        source_addr_ton=octet,
        source_addr_npi=octet,
        dest_addr_ton=octet,
        dest_addr_npi=octet,
        service_type=c_string(6),
        protocol_id=octet,
        priority_flag=octet,
        schedule_delivery_time=c_string(17),
        replace_if_present_flag=octet,
        sm_default_msg_id=octet,
        tlvs=tlvs,
    )


data_sm = st.builds(
    DataSm,
    sequence=sequence,
    source_addr=c_string(65),
    destination_addr=c_string(65),
    data_coding=octet,
    esm_class=octet,
    registered_delivery=octet,
    source_addr_ton=octet,
    source_addr_npi=octet,
    dest_addr_ton=octet,
    dest_addr_npi=octet,
    service_type=c_string(6),
    tlvs=tlvs,
)


def message_resp(kind: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, sequence=sequence, status=status, message_id=c_string(65), tlvs=tlvs)


modes = st.sampled_from(["transceiver", "receiver", "transmitter"])
binds = st.builds(
    Bind,
    sequence=sequence,
    system_id=c_string(16),
    password=c_string(9),
    mode=modes,
    system_type=c_string(13),
    interface_version=octet,
    addr_ton=octet,
    addr_npi=octet,
    address_range=c_string(41),
)
pdus: st.SearchStrategy[Pdu] = st.one_of(
    short_message(SubmitSm),
    short_message(DeliverSm),
    data_sm,
    message_resp(SubmitSmResp),
    message_resp(DeliverSmResp),
    message_resp(DataSmResp),
    st.builds(EnquireLink, sequence=sequence),
    st.builds(EnquireLinkResp, sequence=sequence, status=status),
    binds,
    st.builds(
        BindResp, sequence=sequence, status=status, system_id=c_string(16), mode=modes, tlvs=tlvs
    ),
    st.builds(Unbind, sequence=sequence),
    st.builds(UnbindResp, sequence=sequence, status=status),
    st.builds(GenericNack, sequence=sequence, status=status),
    st.builds(Outbind, sequence=sequence, system_id=c_string(16), password=c_string(9)),
    st.builds(
        AlertNotification,
        sequence=sequence,
        source_addr=c_string(21),
        esme_addr=c_string(21),
        source_addr_ton=octet,
        source_addr_npi=octet,
        esme_addr_ton=octet,
        esme_addr_npi=octet,
        ms_availability_status=st.none() | octet,
    ),
)


@given(pdus)
def test_what_is_encoded_decodes_to_the_same(value: Pdu) -> None:
    octets = pdu.encode(value)
    again = pdu.decode(octets)
    assert type(again) is type(value)
    assert again == value
    assert pdu.encode(again) == octets


@given(
    st.lists(pdus, max_size=5), st.lists(st.integers(0, 2000), max_size=8), st.binary(max_size=15)
)
def test_any_cut_of_the_stream_gives_the_same_pdus(
    values: list[Pdu], cuts: list[int], tail: bytes
) -> None:
    whole = [pdu.encode(value) for value in values]
    stream = b"".join(whole) + tail
    found: list[bytes] = []
    rest = b""
    edges = [0, *sorted(min(at, len(stream)) for at in cuts), len(stream)]
    for start, end in zip(edges, edges[1:], strict=False):
        pieces, rest, broken = pdu.cut(rest + stream[start:end])
        assert broken is None
        found += pieces
    assert found == whole
    assert rest == tail


@given(st.binary(max_size=200))
def test_random_octets_are_a_pdu_or_malformed_and_nothing_else(octets: bytes) -> None:
    _decoded_or_malformed(octets)


@given(pdus, st.data())
def test_a_damaged_pdu_is_a_pdu_or_malformed_and_nothing_else(value: Pdu, data: Any) -> None:
    octets = bytearray(pdu.encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(octet)
    if data.draw(st.booleans()):
        del octets[data.draw(st.integers(16, len(octets))) :]
    struct.pack_into(">I", octets, 0, len(octets))
    _decoded_or_malformed(bytes(octets))


def _decoded_or_malformed(octets: bytes) -> None:
    with suppress(pdu.MalformedPdu):
        assert len(pdu.encode(pdu.decode(octets))) >= 16


# ---- framing


@pytest.mark.parametrize("length", [0, 15, pdu.CAP + 1, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_an_impossible_length_ends_the_stream_at_once(length: int) -> None:
    first = pdu.encode(EnquireLink(1))
    header = struct.pack(">IIII", length, 4, 0, 9)
    found, rest, broken = pdu.cut(first + header)
    assert found == [first]
    assert rest == b""
    assert broken is not None
    assert (broken.sequence, broken.status) == (9, Status.RINVCMDLEN)


def test_a_length_up_to_the_cap_is_waited_for() -> None:
    header = struct.pack(">IIII", pdu.CAP, 4, 0, 9)
    assert pdu.cut(header) == ([], header, None)


# ---- malformed bodies, each with its status


def framed(command_id: int, body: bytes, status: int = 0) -> bytes:
    return struct.pack(">IIII", 16 + len(body), command_id, status, 7) + body


BODY = b"\0" + b"\1\1139\0" + b"\0\00012530019\0" + b"\0\0\0" + b"\0\0" + b"\0\0\0\0\2hi"

MALFORMED = {
    "short header": (b"\0\0\0\5", Status.RINVCMDLEN, "no header"),
    "length differs": (struct.pack(">IIII", 17, 0x15, 0, 1), Status.RINVCMDLEN, "differs by 1"),
    "unknown command": (framed(0x21, b""), Status.RINVCMDID, "unknown"),
    "no body": (framed(4, b""), Status.RINVCMDLEN, "ends before"),
    "ends in the flags": (framed(4, BODY[:24]), Status.RINVCMDLEN, "ends before"),
    "service_type": (framed(4, b"toolong\0" + BODY[1:]), Status.RINVSERTYP, "service_type"),
    "source": (framed(4, b"\0\1\1" + b"1" * 21 + b"\0"), Status.RINVSRCADR, "source_addr"),
    "destination": (
        framed(4, b"\0\1\0019\0\1\1" + b"1" * 30),
        Status.RINVDSTADR,
        "destination_addr",
    ),
    "schedule": (
        framed(4, b"\0\0\0\0\0\0\0\0\0\0" + b"1" * 17 + b"\0"),
        Status.RINVSCHED,
        "schedule",
    ),
    "validity": (
        framed(4, b"\0\0\0\0\0\0\0\0\0\0\0" + b"1" * 17 + b"\0"),
        Status.RINVEXPIRY,
        "validity",
    ),
    "text beyond the end": (framed(4, BODY[:-1]), Status.RINVMSGLEN, "sm_length 2 of 1"),
    "text of 255": (
        framed(5, BODY[:-3] + b"\xff" + b"x" * 255),
        Status.RINVMSGLEN,
        "sm_length 255",
    ),
    "half a TLV header": (framed(4, BODY + b"\0\1\0"), Status.RINVOPTPARSTREAM, "TLV's header"),
    "TLV beyond the end": (
        framed(4, BODY + b"\4\x24\0\5hi"),
        Status.RINVOPTPARSTREAM,
        "0x0424 is longer",
    ),
    "message_id": (framed(0x8000_0004, b"1" * 65), Status.RINVMSGID, "message_id"),
    "enquire_link with a body": (framed(0x15, b"x"), Status.RINVCMDLEN, "1 octets after"),
    "data_sm": (framed(0x103, b"\0\1\1"), Status.RINVCMDLEN, "ends before"),
    "bind cut short": (framed(9, b"me\0secret\0\0\x34"), Status.RINVCMDLEN, ""),
    "bind not ended": (
        framed(9, b"me\0secret\0\0\x34\0\0abc"),
        Status.RINVCMDLEN,
        "cannot be read",
    ),
    "bind with more": (
        framed(9, b"me\0secret\0\0\x34\0\0\0xy"),
        Status.RINVCMDLEN,
        "cannot be read",
    ),
    "bind with a long password": (
        framed(9, b"me\x00123456789\0\0\x34\0\0\0"),
        Status.RINVPARLEN,
        "password",
    ),
    "bind_resp not ended": (framed(0x8000_0009, b"smsc"), Status.RINVPARLEN, "system_id"),
    "bind_resp with a long name": (
        framed(0x8000_0009, b"0123456789abcdef\0"),
        Status.RINVPARLEN,
        "system_id",
    ),
    "outbind with more": (framed(0x0B, b"me\0pw\0x"), Status.RINVCMDLEN, "1 octets after"),
    "alert with an unknown TLV": (
        framed(0x102, b"\0\0\0\0\0\0\x14\0\0\1x"),
        Status.RINVCMDLEN,
        "cannot be read",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_octets_say_why_and_what_to_answer(case: str) -> None:
    octets, status, why = MALFORMED[case]
    with pytest.raises(pdu.MalformedPdu) as malformed:
        pdu.decode(octets)
    assert malformed.value.status == status
    assert why in malformed.value.why


def test_a_response_on_error_may_have_no_body() -> None:
    assert pdu.decode(framed(0x8000_0004, b"", 0x58)) == SubmitSmResp(7, 0x58)
    assert pdu.decode(framed(0x8000_0009, b"", 0x0E)) == BindResp(7, 0x0E)


@pytest.mark.parametrize(
    ("command_id", "answer"),
    [
        (0x04, SubmitSmResp(7, 1)),
        (0x05, DeliverSmResp(7, 1)),
        (0x103, DataSmResp(7, 1)),
        (0x15, EnquireLinkResp(7, 1)),
        (0x06, UnbindResp(7, 1)),
        (0x01, BindResp(7, 1, mode="receiver")),
        (0x02, BindResp(7, 1, mode="transmitter")),
        (0x09, BindResp(7, 1)),
        (0x21, GenericNack(7, 1)),
        (0x102, None),
        (0x8000_0004, None),
        (0x8000_0000, None),
    ],
)
def test_a_malformed_request_is_refused_in_its_own_kind(
    command_id: int, answer: Pdu | None
) -> None:
    assert pdu.refusal(command_id, 7, 1) == answer
    assert pdu.MalformedPdu(command_id, 7, 1, "x").is_response is (command_id >= 0x8000_0000)


# ---- what does not fit

TOO_MUCH: dict[str, Pdu] = {
    "source_addr": SubmitSm(1, "1" * 21, "2"),
    "destination_addr": SubmitSm(1, "1", "2\0003"),
    "service_type": DataSm(1, "1", "2", service_type="彩铃"),
    "short_message": SubmitSm(1, "1", "2", b"x" * 255),
    "esm_class ..": DeliverSm(1, "1", "2", esm_class=256),
    "tlvs": SubmitSm(1, "1", "2", tlvs=((0x10000, b""),)),
    "command_length": DataSm(1, "1", "2", tlvs=((1, b"x" * 40_000), (2, b"x" * 40_000))),
    "header": EnquireLink(-1),
    "message_id": SubmitSmResp(1, 0, "x" * 65),
    "system_id": Bind(1, "a name of 16 let"),
    "password": Bind(1, "me", "123456789"),
    "interface_version ..": Bind(1, "me", interface_version=300),
    "address_range": Bind(1, "me", address_range="x" * 41),
    "esme_addr": AlertNotification(1, "1", "x" * 21),
}


@pytest.mark.parametrize("field", TOO_MUCH)
def test_what_does_not_fit_is_refused_by_the_field_s_name(field: str) -> None:
    with pytest.raises(pdu.UnencodablePdu) as refused:
        pdu.encode(TOO_MUCH[field])
    assert refused.value.field == field


# ---- beside smpplib, where smpplib is right

COMMON = [
    "service_type", "source_addr_ton", "source_addr_npi", "source_addr", "dest_addr_ton",
    "dest_addr_npi", "destination_addr", "esm_class", "protocol_id", "priority_flag",
    "schedule_delivery_time", "validity_period", "registered_delivery", "replace_if_present_flag",
    "data_coding", "sm_default_msg_id",
]  # fmt: skip


@given(st.one_of(short_message(SubmitSm), short_message(DeliverSm)))
def test_smpplib_reads_our_messages_as_we_wrote_them(value: SubmitSm | DeliverSm) -> None:
    plain = value._replace(tlvs=())
    theirs = smpplib_codec.parse_pdu(pdu.encode(plain), sequence=0)
    assert theirs.sequence == plain.sequence
    for field in COMMON:
        ours = getattr(plain, field)
        wanted = ours.encode("latin-1") if isinstance(ours, str) else ours
        assert getattr(theirs, field) == wanted, field
    assert (theirs.short_message or b"") == plain.short_message


@given(st.one_of(short_message(SubmitSm), short_message(DeliverSm)))
def test_we_read_smpplib_s_messages_as_it_wrote_them(value: SubmitSm | DeliverSm) -> None:
    name = "submit_sm" if isinstance(value, SubmitSm) else "deliver_sm"
    theirs = smpplib_command.factory(name, sequence=1)
    theirs.sequence = value.sequence
    for field in [*COMMON, "short_message"]:
        setattr(theirs, field, getattr(value, field))
    assert pdu.decode(theirs.generate()) == value._replace(tlvs=())


@given(message_resp(SubmitSmResp))
def test_smpplib_reads_our_responses_as_we_wrote_them(value: SubmitSmResp) -> None:
    octets = pdu.encode(SubmitSmResp(value.sequence, value.status, value.message_id))
    theirs = smpplib_codec.parse_pdu(octets, sequence=0)
    assert (theirs.sequence, theirs.status) == (value.sequence, value.status)
    assert theirs.message_id == value.message_id.encode("latin-1")


def test_a_response_may_carry_a_tlv_that_makes_smpplib_fail() -> None:
    """Section 4.4.2 gives submit_sm_resp no TLV, 3.3 asks to ignore unexpected ones."""
    octets = framed(0x8000_0004, b"id1\0\0\x1d\0\2no")
    assert pdu.decode(octets) == SubmitSmResp(
        7, 0, "id1", ((Tag.ADDITIONAL_STATUS_INFO_TEXT, b"no"),)
    )


# ---- small things


def test_the_first_tlv_of_a_tag_is_found() -> None:
    values = ((5, b"a"), (6, b"b"), (5, b"c"))
    assert tlv(values, 5) == b"a"
    assert tlv(values, 7) is None


def test_statuses_have_names_or_numbers() -> None:
    assert status_name(0x58) == "RTHROTTLED"
    assert status_name(0x401) == "0x00000401"
