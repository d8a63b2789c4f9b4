from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    UnbindResp,
    status_name,
    tlv,
)
from tests.fakes.session import framed
from tests.unit.smpp.strategies import octet, pdus, short_message


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


@given(st.integers(16, pdu.CAP), st.integers(0, 300), st.lists(st.integers(1, 20_000), max_size=9))
def test_what_is_held_back_of_a_pdu_that_never_ends_is_below_the_cap(
    length: int, missing: int, pieces: list[int]
) -> None:
    rest = struct.pack(">IIII", length, 5, 0, 1)
    for piece in [*pieces, max(0, length - 16 - sum(pieces) - missing)]:
        _, rest, broken = pdu.cut(rest + bytes(piece))
        if broken is not None:  # what followed the PDU is no length
            return
        assert len(rest) < pdu.CAP


# ---- malformed bodies, each with its status


BODY = b"\0" + b"\1\1" + b"139\0" + b"\0\00012530019\0" + b"\0\0\0" + b"\0\0" + b"\0\0\0\0\2hi"

MALFORMED = {
    "short header": (b"\0\0\0\5", Status.RINVCMDLEN, "no header"),
    "length differs": (struct.pack(">IIII", 17, 0x15, 0, 1), Status.RINVCMDLEN, "is 17 of 16"),
    "unknown command": (framed(0x21, b""), Status.RINVCMDID, "unknown"),
    "no body": (framed(4, b""), Status.RINVCMDLEN, "ends within service_type"),
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
    "cut within an address": (
        framed(4, b"\0\1\1" + b"139"),
        Status.RINVCMDLEN,
        "ends within source_addr",
    ),
    "data_sm": (framed(0x103, b"\0\1\1"), Status.RINVCMDLEN, "ends within source_addr"),
    "data_sm with a long source": (
        framed(0x103, b"\0\1\1" + b"1" * 65 + b"\0" * 7),
        Status.RINVSRCADR,
        "source_addr does not end within 65",
    ),
    "bind cut short": (
        framed(9, b"me\0secret\0\0\x34"),
        Status.RINVCMDLEN,
        "ends before addr_ton",
    ),
    "bind not ended": (
        framed(9, b"me\0secret\0\0\x34\0\0abc"),
        Status.RINVCMDLEN,
        "ends within address_range",
    ),
    "bind with more": (
        framed(9, b"me\0secret\0\0\x34\0\0\0xy"),
        Status.RINVOPTPARSTREAM,
        "TLV's header",
    ),
    "bind with a long name": (
        framed(9, b"0123456789abcdef\0\0\0\x34\0\0\0"),
        Status.RINVSYSID,
        "system_id",
    ),
    "bind with a long password": (
        framed(9, b"me\x00123456789\0\0\x34\0\0\0"),
        Status.RINVPASWD,
        "password",
    ),
    "bind with a long system_type": (
        framed(9, b"me\0\x00123456789abcd\0\x34\0\0\0"),
        Status.RINVSYSTYP,
        "system_type",
    ),
    "bind with a long address_range": (
        framed(9, b"me\0\0\0\x34\0\0" + b"1" * 41 + b"\0"),
        Status.RINVPARLEN,
        "address_range does not end within 41",
    ),
    "bind_resp not ended": (framed(0x8000_0009, b"smsc"), Status.RINVCMDLEN, "system_id"),
    "bind_resp with a long name": (
        framed(0x8000_0009, b"0123456789abcdef\0"),
        Status.RINVPARLEN,
        "system_id",
    ),
    "outbind with more": (framed(0x0B, b"me\0pw\0x"), Status.RINVCMDLEN, "1 octets after"),
    "alert cut short": (
        framed(0x102, b"\1\1" + b"139\0\1"),
        Status.RINVCMDLEN,
        "before esme_addr_npi",
    ),
    "alert with half a TLV": (
        framed(0x102, b"\0\0\0\0\0\0\x14\0\0\2x"),
        Status.RINVOPTPARSTREAM,
        "0x1400 is longer",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_octets_say_why_and_what_to_answer(case: str) -> None:
    octets, status, why = MALFORMED[case]
    with pytest.raises(pdu.MalformedPdu) as malformed:
        pdu.decode(octets)
    assert malformed.value.status == status
    assert why in malformed.value.why


def test_a_malformed_response_still_tells_its_status_and_whose_it_is() -> None:
    with pytest.raises(pdu.MalformedPdu) as malformed:
        pdu.decode(framed(0x8000_0004, b"1" * 70, Status.RTHROTTLED))
    assert malformed.value.is_response
    assert malformed.value.command_status == Status.RTHROTTLED
    assert malformed.value.sequence == 7


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
    "esm_class": DeliverSm(1, "1", "2", esm_class=256),
    "protocol_id": DeliverSm(1, "1", "2", protocol_id=-1),
    "dest_addr_ton": SubmitSm(1, "1", "2", dest_addr_ton=0x11_0000),
    "dest_addr_npi": SubmitSm(1, "1", "2", dest_addr_npi=0xD800),
    "schedule_delivery_time": SubmitSm(1, "1", "2", schedule_delivery_time="0" * 17),
    "validity_period": SubmitSm(1, "1", "2", validity_period="下周"),
    "source_addr_npi": DataSm(1, "1", "2", source_addr_npi=256),
    "tlvs": SubmitSm(1, "1", "2", tlvs=((0x10000, b""),)),
    "command_length": DataSm(1, "1", "2", tlvs=((1, b"x" * 40_000), (2, b"x" * 40_000))),
    "header": EnquireLink(-1),
    "message_id": SubmitSmResp(1, 0, "x" * 65),
    "system_id": Bind(1, "a name of 16 let"),
    "password": Bind(1, "me", "123456789"),
    "interface_version": Bind(1, "me", interface_version=300),
    "address_range": Bind(1, "me", address_range="x" * 41),
    "esme_addr": AlertNotification(1, "1", "x" * 65),
}


@given(short_message(SubmitSm), st.data())
def test_a_value_beyond_its_field_is_refused_whatever_the_others_are(
    value: SubmitSm, data: Any
) -> None:
    field = data.draw(st.sampled_from(sorted(value._fields)))
    bad: Any = {
        str: st.text(min_size=70) | st.just("1\0") | st.just("彩"),
        int: st.integers(max_value=-1) | st.integers(min_value=2**32),
        bytes: st.binary(min_size=255, max_size=300),
        tuple: st.sampled_from([((-1, b""),), ((65_536, b""),), ((1, b"x" * 65_536),)]),
    }[type(getattr(value, field))]
    with pytest.raises(pdu.UnencodablePdu):
        pdu.encode(value._replace(**{field: data.draw(bad)}))


@pytest.mark.parametrize("field", TOO_MUCH)
def test_what_does_not_fit_is_refused_by_the_field_s_name(field: str) -> None:
    with pytest.raises(pdu.UnencodablePdu) as refused:
        pdu.encode(TOO_MUCH[field])
    assert refused.value.field == field


# ---- TLVs


@pytest.mark.parametrize(
    "kind",
    [
        lambda tlvs: SubmitSm(1, "1", "2", tlvs=tlvs),
        lambda tlvs: DeliverSm(1, "1", "2", b"hi", tlvs=tlvs),
        lambda tlvs: DataSm(1, "1", "2", tlvs=tlvs),
        lambda tlvs: SubmitSmResp(1, 0, "id", tlvs),
        lambda tlvs: BindResp(1, 0, "smsc", tlvs=tlvs),
        lambda tlvs: Bind(1, "me", tlvs=tlvs),
        lambda tlvs: AlertNotification(1, "1", "2", tlvs=tlvs),
    ],
)
def test_vendor_tlvs_go_both_ways_in_their_order_and_repeated(kind: Any) -> None:
    """Section 5.3.2 leaves 0x1400 to 0x3FFF to vendors; none of 5.3.2 is treated otherwise."""
    tlvs = ((0x1401, b"a"), (0x0424, b"text"), (0x1401, b""), (0x3FFF, b"\0" * 300), (0x1401, b"a"))
    sent = kind(tlvs)
    octets = pdu.encode(sent)
    assert pdu.decode(octets) == sent
    assert octets.endswith(b"\x14\1\0\1a")


def test_a_message_payload_of_full_length_fits() -> None:
    sent = DataSm(1, "1", "2", tlvs=((0x0424, b"x" * 0xFFFF),))
    assert pdu.decode(pdu.encode(sent)) == sent


# ---- small things


def test_values_of_two_kinds_are_never_equal() -> None:
    kinds: list[Pdu] = [SubmitSmResp(1), DeliverSmResp(1), DataSmResp(1), EnquireLinkResp(1)]
    messages: list[Pdu] = [SubmitSm(1, "1", "2"), DeliverSm(1, "1", "2"), DataSm(1, "1", "2")]
    assert len({*kinds, *messages, *kinds, *messages}) == 7
    assert kinds[0] == SubmitSmResp(1)
    assert kinds[0] != kinds[1]


def test_the_first_tlv_of_a_tag_is_found() -> None:
    values = ((5, b"a"), (6, b"b"), (5, b"c"))
    assert tlv(values, 5) == b"a"
    assert tlv(values, 7) is None


def test_statuses_have_names_or_numbers() -> None:
    assert status_name(0x58) == "RTHROTTLED"
    assert status_name(0x401) == "0x00000401"
