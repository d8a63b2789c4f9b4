"""Valid PDUs of every kind, and ways to damage them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

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
)

_RECEIPT = b"id:00000a sub:001 dlvrd:001 submit date:2611221200 done date:2611221201 stat:DELIVRD"
_SAR = (
    (Tag.SAR_MSG_REF_NUM, b"\0\7"), (Tag.SAR_TOTAL_SEGMENTS, b"\2"), (Tag.SAR_SEGMENT_SEQNUM, b"\1")
)  # fmt: skip
VALID: tuple[Pdu, ...] = (
    SubmitSm(
        1, "12530019", "8613905250001", "回Y1029订购".encode("utf-16-be"), 8, 0, 1,
        "000000060000000R", 0, 1, 1, 1, "CMT", 0, 1, "261122120000000+",
    ),
    SubmitSm(2, "12530019", "8613905250001", tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 700), *_SAR)),
    DeliverSm(3, "8613905250001", "12530019", b"DG 1029", 0, 0, 0, "", 1, 1, 0, 1),
    DeliverSm(4, "8613905250001", "12530019", b"\5\0\3\7\2\1ab", 0, 0x40, tlvs=((0x1400, b"v"),)),
    DeliverSm(5, "8613905250001", "12530019", _RECEIPT, 3, 4),
    DeliverSm(
        6, "8613905250001", "12530019", b"", 0, 4,
        tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"a\0"), (Tag.MESSAGE_STATE, b"\2"), (0x1401, b""),
              (Tag.NETWORK_ERROR_CODE, b"\3\0\0"), (0x1401, b"again")),
    ),
    # Every field as long as it may be: one octet more is too much.
    SubmitSm(
        24, "1" * 20, "2" * 20, b"x" * 254, service_type="CMTXX", schedule_delivery_time="3" * 16,
        validity_period="4" * 16,
    ),
    DataSm(25, "1" * 64, "2" * 64, service_type="CMTXX"), DeliverSm(26, "", "", b"x" * 254),
    Bind(27, "5" * 15, "6" * 8, "transmitter", "7" * 12, address_range="8" * 40),
    BindResp(28, 0, "9" * 15), Outbind(29, "1" * 15, "2" * 8),
    AlertNotification(30, "3" * 64, "4" * 64),
    DataSm(7, "8613905250001", "12530019", 8, 0, 1, 1, 1, 0, 1, "", ((0x0424, b"\0C\0X"),)),
    SubmitSmResp(8, 0, "0A1B2C3D"), SubmitSmResp(9, Status.RTHROTTLED),
    SubmitSmResp(10, 0, "x" * 64, ((Tag.ADDITIONAL_STATUS_INFO_TEXT, b"busy\0"),)),
    DeliverSmResp(11), DataSmResp(12, 0, "77"), EnquireLink(13), EnquireLinkResp(14),
    Bind(15, "toneline", "secret", "transceiver", "VMA"), Bind(16, "toneline", mode="receiver"),
    BindResp(17, 0, "SMSC", tlvs=((Tag.SC_INTERFACE_VERSION, b"\x34"),)),
    BindResp(18, Status.RINVPASWD), Unbind(19), UnbindResp(20), GenericNack(21),
    Outbind(22, "SMSC", "secret"), AlertNotification(23, "8613905250001", "12530019"),
)  # fmt: skip
CORPUS: tuple[bytes, ...] = tuple(pdu.encode(value) for value in VALID)

_EDGES = (0, 1, 2, 5, 15, 16, 20, 21, 64, 65, 127, 128, 253, 254, 255)
_Mutation = Callable[[Random, bytearray], None]


def damaged(random: Random) -> bytes:
    """A valid PDU, damaged up to six times; its command_length is mostly right again."""
    octets = bytearray(random.choice(CORPUS))
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 6))):
        random.choice(_MUTATIONS)(random, octets)
    if len(octets) >= 4 and random.random() < 0.9:
        struct.pack_into(">I", octets, 0, len(octets))
    return bytes(octets)


def _flip(random: Random, octets: bytearray) -> None:
    at = _somewhere(random, octets)
    octets[at : at + 1] = bytes(octet ^ 1 << random.randrange(8) for octet in octets[at : at + 1])


def _edge(random: Random, octets: bytearray) -> None:
    at = _somewhere(random, octets)
    octets[at : at + 1] = bytes((random.choice(_EDGES),))


def _nul(random: Random, octets: bytearray) -> None:
    octets.insert(_somewhere(random, octets), 0)


def _lose_nul(random: Random, octets: bytearray) -> None:
    at = octets.find(0, _somewhere(random, octets))
    if at >= 0:
        octets[at] = 0x31


def _cut_off(random: Random, octets: bytearray) -> None:
    del octets[_somewhere(random, octets) :]


def _take_out(random: Random, octets: bytearray) -> None:
    at = _somewhere(random, octets)
    del octets[at : at + random.randint(1, 8)]


def _insert(random: Random, octets: bytearray) -> None:
    at = _somewhere(random, octets)
    octets[at:at] = random.randbytes(random.choice((1, 1, 1, 2, 4, 20, 65, 260)))


def _one_more(random: Random, octets: bytearray) -> None:
    """One octet too many in a field that is full, and a sm_length that says so."""
    octets.insert(_somewhere(random, octets), 0x31)
    at = octets.find(0xFE)
    if at >= 0:
        octets[at] = 0xFF


def _repeat(random: Random, octets: bytearray) -> None:
    start, end = sorted((_somewhere(random, octets), _somewhere(random, octets)))
    octets[end:end] = octets[start:end]


def _splice(random: Random, octets: bytearray) -> None:
    other = random.choice(CORPUS)
    octets[_somewhere(random, octets) :] = other[random.randrange(len(other)) :]


def _other_command(random: Random, octets: bytearray) -> None:
    octets[4:8] = random.choice(CORPUS)[4:8]


def _add_tlv(random: Random, octets: bytearray) -> None:
    length = random.choice((0, 1, 2, 40))
    claimed = length if random.random() < 0.7 else random.randrange(0x10000)
    tag = random.choice((*Tag, 0x1400, 0x3FFF, random.randrange(0x10000)))
    octets += struct.pack(">HH", tag, claimed) + random.randbytes(length)


def _somewhere(random: Random, octets: bytearray) -> int:
    """Mostly behind the header, which is damaged easily and tells little."""
    return random.randint(16 if len(octets) > 16 and random.random() < 0.9 else 0, len(octets))


_MUTATIONS: tuple[_Mutation, ...] = (
    _flip, _edge, _nul, _lose_nul, _cut_off, _take_out, _insert, _one_more, _repeat, _splice,
    _other_command, _add_tlv,
)  # fmt: skip
