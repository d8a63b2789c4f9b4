"""SMPP's commands as values: every PDU's fields, status codes, TLV tags.

Names are the specification's (SMPP 3.4, Issue 1.2). Octet strings are `bytes`, C-octet strings
`str` (one character an octet, Latin-1: total both ways), TLVs `(tag, value)` in the order of the
wire, known or not, repeats kept. `smpp.pdu` turns these into bytes and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any, Literal, NamedTuple, TypeVar

Tlvs = tuple[tuple[int, bytes], ...]
BindMode = Literal["transceiver", "receiver", "transmitter"]


class Status(IntEnum):
    """command_status values this project names (section 5.1.3); any other int is as legal."""

    ROK = 0x00
    RINVMSGLEN = 0x01
    RINVCMDLEN = 0x02
    RINVCMDID = 0x03
    RINVBNDSTS = 0x04
    RALYBND = 0x05
    RSYSERR = 0x08
    RINVSRCADR = 0x0A
    RINVDSTADR = 0x0B
    RINVMSGID = 0x0C
    RBINDFAIL = 0x0D
    RINVPASWD = 0x0E
    RINVSYSID = 0x0F
    RMSGQFUL = 0x14
    RINVSERTYP = 0x15
    RSUBMITFAIL = 0x45
    RINVSYSTYP = 0x53
    RTHROTTLED = 0x58
    RINVSCHED = 0x61
    RINVEXPIRY = 0x62
    RX_T_APPN = 0x64
    RX_P_APPN = 0x65
    RX_R_APPN = 0x66
    RINVOPTPARSTREAM = 0xC0
    RINVPARLEN = 0xC2
    RUNKNOWNERR = 0xFF


class Tag(IntEnum):
    """TLV tags this project reads or writes (section 5.3.2)."""

    ADDITIONAL_STATUS_INFO_TEXT = 0x001D
    RECEIPTED_MESSAGE_ID = 0x001E
    SAR_MSG_REF_NUM = 0x020C
    SAR_TOTAL_SEGMENTS = 0x020E
    SAR_SEGMENT_SEQNUM = 0x020F
    SC_INTERFACE_VERSION = 0x0210
    NETWORK_ERROR_CODE = 0x0423
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


def status_name(status: int) -> str:
    """`RTHROTTLED` for 0x58; the number in hex for a status without a name here."""
    try:
        return Status(status).name
    except ValueError:
        return f"0x{status:08x}"


def tlv(tlvs: Tlvs, tag: int) -> bytes | None:
    """Return the first value of `tag`, or None."""
    for found, value in tlvs:
        if found == tag:
            return value
    return None


def relative_time(period: timedelta) -> str:
    """Write a validity_period by the SMSC's own clock (section 7.1.1.2); 28 days at most."""
    seconds = min(max(int(period.total_seconds()), 1), 28 * 86_400)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"0000{days:02d}{hour:02d}{minute:02d}{second:02d}000R"


_Kind = TypeVar("_Kind")


def _apart(kind: type[_Kind]) -> type[_Kind]:
    """Let values of two kinds never be equal, as bare tuples of equal fields would be."""

    def equal(one: tuple[Any, ...], other: object) -> bool:
        return type(one) is type(other) and tuple.__eq__(one, other)

    def unequal(one: tuple[Any, ...], other: object) -> bool:
        return not equal(one, other)

    kind.__eq__ = equal  # type: ignore[method-assign,assignment]  # as if written in its body
    kind.__ne__ = unequal  # type: ignore[method-assign,assignment]
    return kind


@_apart
class SubmitSm(NamedTuple):
    """submit_sm, section 4.4.1: a message to the SMSC.

    A NamedTuple where the project's habit is a frozen dataclass, as are the other messages and
    their responses: with 19 fields it is built in 0.8 instead of 4.5 us, and four of these are
    built for every message a line answers.
    """

    sequence: int
    source_addr: str
    destination_addr: str
    short_message: bytes = b""
    data_coding: int = 0
    esm_class: int = 0
    registered_delivery: int = 0
    validity_period: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    service_type: str = ""
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    replace_if_present_flag: int = 0
    sm_default_msg_id: int = 0
    tlvs: Tlvs = ()


@_apart
class DeliverSm(NamedTuple):
    """deliver_sm, section 4.6.1: a message or a receipt from the SMSC; fields as in submit_sm."""

    sequence: int
    source_addr: str
    destination_addr: str
    short_message: bytes = b""
    data_coding: int = 0
    esm_class: int = 0
    registered_delivery: int = 0
    validity_period: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    service_type: str = ""
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    replace_if_present_flag: int = 0
    sm_default_msg_id: int = 0
    tlvs: Tlvs = ()


@_apart
class DataSm(NamedTuple):
    """data_sm, section 4.7.1: a message whose text is in the message_payload TLV."""

    sequence: int
    source_addr: str
    destination_addr: str
    data_coding: int = 0
    esm_class: int = 0
    registered_delivery: int = 0
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    service_type: str = ""
    tlvs: Tlvs = ()


@_apart
class SubmitSmResp(NamedTuple):
    """submit_sm_resp; `message_id` is empty when the SMSC sent none (it may on errors)."""

    sequence: int
    status: int = Status.ROK
    message_id: str = ""
    tlvs: Tlvs = ()


@_apart
class DeliverSmResp(NamedTuple):
    """deliver_sm_resp; its `message_id` is unused (section 4.6.2)."""

    sequence: int
    status: int = Status.ROK
    message_id: str = ""
    tlvs: Tlvs = ()


@_apart
class DataSmResp(NamedTuple):
    """data_sm_resp, section 4.7.2."""

    sequence: int
    status: int = Status.ROK
    message_id: str = ""
    tlvs: Tlvs = ()


@dataclass(frozen=True, slots=True)
class EnquireLink:
    """enquire_link, section 4.11: is anybody there."""

    sequence: int


@dataclass(frozen=True, slots=True)
class EnquireLinkResp:
    """enquire_link_resp."""

    sequence: int
    status: int = Status.ROK


@dataclass(frozen=True, slots=True)
class Bind:
    """bind_transceiver, bind_receiver or bind_transmitter, section 4.1, told apart by `mode`."""

    sequence: int
    system_id: str
    password: str = ""
    mode: BindMode = "transceiver"
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    tlvs: Tlvs = ()


@dataclass(frozen=True, slots=True)
class BindResp:
    """The response to a bind of the same `mode`."""

    sequence: int
    status: int = Status.ROK
    system_id: str = ""
    mode: BindMode = "transceiver"
    tlvs: Tlvs = ()


@dataclass(frozen=True, slots=True)
class Unbind:
    """unbind, section 4.2."""

    sequence: int


@dataclass(frozen=True, slots=True)
class UnbindResp:
    """unbind_resp."""

    sequence: int
    status: int = Status.ROK


@dataclass(frozen=True, slots=True)
class GenericNack:
    """generic_nack, section 4.3: the answer to what could not be understood."""

    sequence: int
    status: int = Status.RINVCMDID


@dataclass(frozen=True, slots=True)
class Outbind:
    """outbind, section 4.1.7: an SMSC asking to be bound to; never accepted here."""

    sequence: int
    system_id: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class AlertNotification:
    """alert_notification, section 4.12: a phone is reachable again; it has no response."""

    sequence: int
    source_addr: str
    esme_addr: str
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    tlvs: Tlvs = ()


MessageResp = SubmitSmResp | DeliverSmResp | DataSmResp
Response = MessageResp | EnquireLinkResp | BindResp | UnbindResp | GenericNack
Request = SubmitSm | DeliverSm | DataSm | EnquireLink | Bind | Unbind | Outbind | AlertNotification
Pdu = Request | Response
