"""typed PDUs <-> bytes; the only importer of smpplib.

SMPP 3.4, Issue 1.2. The eight PDUs of a busy day (submit_sm, deliver_sm, data_sm, enquire_link and
their responses) have a struct codec of our own, every length checked; the rest goes through smpplib
and is accepted only if it encodes back to the very bytes that came in, because smpplib alone takes
truncated and unterminated fields for good ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from functools import partial
from typing import Any, Final, TypeVar

from smpplib import command as smpplib_command
from smpplib import smpp as smpplib_codec

from smpp.commands import (
    AlertNotification,
    Bind,
    BindMode,
    BindResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    MessageResp,
    Outbind,
    Pdu,
    Response,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tlvs,
    Unbind,
    UnbindResp,
)

HEADER_LENGTH: Final = 16
CAP: Final = 70_000
"""Octets of the longest PDU accepted: a full message_payload (65,535) and room for the rest."""


class MalformedPdu(Exception):
    """What came in is no PDU: `why` is for a person, `status` for the answer (section 5.1.3)."""

    def __init__(self, command_id: int, sequence: int, status: int, why: str) -> None:
        super().__init__(f"command 0x{command_id:08x}, sequence {sequence}: {why}")
        self.command_id = command_id
        self.sequence = sequence
        self.status = status
        self.why = why

    @property
    def is_response(self) -> bool:
        """Whether it claims to answer one of our requests (and so must not be answered)."""
        return bool(self.command_id & _RESPONSE)


class UnencodablePdu(ValueError):
    """A value does not fit its field; nothing was encoded."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}")
        self.field = field


class _Fault(Exception):
    """The body cannot be read; `decode` adds the header's part to it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


_RESPONSE: Final = 0x8000_0000
_HEADER = struct.Struct(">IIII")
_TLV = struct.Struct(">HH")
_SUBMIT_SM, _DELIVER_SM, _DATA_SM, _ENQUIRE_LINK = 0x04, 0x05, 0x103, 0x15
_OUTBIND, _UNBIND, _ALERT = 0x0B, 0x06, 0x102
_BIND_IDS: Final[dict[BindMode, int]] = {"receiver": 0x01, "transmitter": 0x02, "transceiver": 0x09}
_BIND_MODES: Final = {command_id: mode for mode, command_id in _BIND_IDS.items()}


_Read = TypeVar("_Read", Bind, BindResp, AlertNotification)
_Bare = TypeVar("_Bare", EnquireLink, Unbind)
_BareResp = TypeVar("_BareResp", EnquireLinkResp, UnbindResp, GenericNack)


# ---- framing


def cut(buffer: bytes) -> tuple[list[bytes], bytes, MalformedPdu | None]:
    """Cut a stream into whole PDUs: (PDUs, what is left, why the stream cannot be read further).

    A command_length that no PDU can have is found as soon as its sixteen octets are there and ends
    the stream: where the next PDU begins is unknown from then on.
    """
    found: list[bytes] = []
    at = 0
    while len(buffer) - at >= HEADER_LENGTH:
        length, command_id, _, sequence = _HEADER.unpack_from(buffer, at)
        if not HEADER_LENGTH <= length <= CAP:
            why = f"command_length {length} is not within {HEADER_LENGTH} to {CAP}"
            return found, b"", MalformedPdu(command_id, sequence, Status.RINVCMDLEN, why)
        if len(buffer) - at < length:
            break
        found.append(buffer[at : at + length])
        at += length
    return found, buffer[at:], None


def decode(data: bytes) -> Pdu:
    """Read one whole PDU, as `cut` gives it; MalformedPdu if it is anything else."""
    if len(data) < HEADER_LENGTH:
        raise MalformedPdu(0, 0, Status.RINVCMDLEN, f"{len(data)} octets are no header")
    length, command_id, status, sequence = _HEADER.unpack_from(data)
    try:
        return _decoder(command_id, length - len(data))(data, status, sequence)
    except _Fault as fault:
        raise MalformedPdu(command_id, sequence, fault.status, fault.why) from None
    except IndexError:
        why = "ends before its mandatory fields do"
        raise MalformedPdu(command_id, sequence, Status.RINVCMDLEN, why) from None


def _decoder(command_id: int, missing: int) -> _Decoder:
    if missing:
        raise _Fault(Status.RINVCMDLEN, f"command_length differs by {missing} from the octets")
    if command_id not in _DECODERS:
        raise _Fault(Status.RINVCMDID, "unknown command")
    return _DECODERS[command_id]


def encode(pdu: Pdu) -> bytes:
    """Write one PDU; UnencodablePdu if a value does not fit its field."""
    return _ENCODERS[type(pdu)](pdu)


def refusal(command_id: int, sequence: int, status: int) -> Response | None:
    """Return the error response that a request of this command gets; None for what gets none."""
    if command_id & _RESPONSE or command_id == _ALERT:
        return None
    if command_id in _BIND_MODES:
        return BindResp(sequence, status, mode=_BIND_MODES[command_id])
    return _REFUSALS.get(command_id, GenericNack)(sequence, status)


# ---- our own codec: the eight hot PDUs


def _c_string(data: bytes, at: int, size: int, field: str, status: int) -> tuple[str, int]:
    """Read a C-octet string of at most `size` octets, its NUL included."""
    if data[at] == 0:
        return "", at + 1
    end = data.find(0, at, at + size)
    if end < 0:
        raise _Fault(status, f"{field} does not end within {size} octets")
    return data[at:end].decode("latin-1"), end + 1


def _read_tlvs(data: bytes, at: int) -> Tlvs:
    end = len(data)
    if at == end:
        return ()
    found = []
    while at < end:
        if at + 4 > end:
            raise _Fault(Status.RINVOPTPARSTREAM, "ends within a TLV's header")
        tag, length = _TLV.unpack_from(data, at)
        at += 4 + length
        if at > end:
            raise _Fault(Status.RINVOPTPARSTREAM, f"TLV 0x{tag:04x} is longer than the PDU")
        found.append((tag, data[at - length : at]))
    return tuple(found)


def _read_message(
    kind: type[SubmitSm] | type[DeliverSm], data: bytes, _status: int, sequence: int
) -> SubmitSm | DeliverSm:
    """Read the body that submit_sm and deliver_sm share (sections 4.4.1 and 4.6.1)."""
    service_type, at = _c_string(data, HEADER_LENGTH, 6, "service_type", Status.RINVSERTYP)
    source_ton, source_npi = data[at], data[at + 1]
    source, at = _c_string(data, at + 2, 21, "source_addr", Status.RINVSRCADR)
    dest_ton, dest_npi = data[at], data[at + 1]
    destination, at = _c_string(data, at + 2, 21, "destination_addr", Status.RINVDSTADR)
    esm_class, protocol_id, priority = data[at], data[at + 1], data[at + 2]
    schedule, at = _c_string(data, at + 3, 17, "schedule_delivery_time", Status.RINVSCHED)
    validity, at = _c_string(data, at, 17, "validity_period", Status.RINVEXPIRY)
    registered, replace, coding = data[at], data[at + 1], data[at + 2]
    default_id, length = data[at + 3], data[at + 4]
    at += 5
    end = at + length
    if length > 254 or end > len(data):
        raise _Fault(Status.RINVMSGLEN, f"sm_length {length} of {len(data) - at} octets")
    return kind(
        sequence, source, destination, data[at:end], coding, esm_class, registered, validity,
        source_ton, source_npi, dest_ton, dest_npi, service_type, protocol_id, priority, schedule,
        replace, default_id, _read_tlvs(data, end),
    )  # fmt: skip


def _read_data_sm(data: bytes, _status: int, sequence: int) -> DataSm:
    service_type, at = _c_string(data, HEADER_LENGTH, 6, "service_type", Status.RINVSERTYP)
    source_ton, source_npi = data[at], data[at + 1]
    source, at = _c_string(data, at + 2, 65, "source_addr", Status.RINVSRCADR)
    dest_ton, dest_npi = data[at], data[at + 1]
    destination, at = _c_string(data, at + 2, 65, "destination_addr", Status.RINVDSTADR)
    esm_class, registered, coding = data[at], data[at + 1], data[at + 2]
    return DataSm(
        sequence, source, destination, coding, esm_class, registered,
        source_ton, source_npi, dest_ton, dest_npi, service_type, _read_tlvs(data, at + 3),
    )  # fmt: skip


def _read_message_resp(
    kind: type[SubmitSmResp] | type[DeliverSmResp] | type[DataSmResp],
    data: bytes,
    status: int,
    sequence: int,
) -> MessageResp:
    """Read a message's response, whose body may be missing (section 4.4.2)."""
    if len(data) == HEADER_LENGTH:
        return kind(sequence, status)
    message_id, at = _c_string(data, HEADER_LENGTH, 65, "message_id", Status.RINVMSGID)
    return kind(sequence, status, message_id, _read_tlvs(data, at))


def _no_body(data: bytes) -> None:
    if len(data) != HEADER_LENGTH:
        raise _Fault(Status.RINVCMDLEN, f"{len(data) - HEADER_LENGTH} octets after the header")


def _read_bare_request(kind: type[_Bare], data: bytes, _status: int, sequence: int) -> _Bare:
    _no_body(data)
    return kind(sequence)


def _read_bare_response(
    kind: type[_BareResp], data: bytes, status: int, sequence: int
) -> _BareResp:
    _no_body(data)
    return kind(sequence, status)


def _z(value: str, size: int, field: str) -> bytes:
    """Write a C-octet string of at most `size` octets, its NUL included."""
    if not value:
        return b"\0"
    try:
        octets = value.encode("latin-1")
    except UnicodeEncodeError:
        raise UnencodablePdu(field, "has characters no SMPP field can carry") from None
    if len(octets) >= size:
        raise UnencodablePdu(field, f"has {len(octets)} octets, {size - 1} at most")
    if 0 in octets:
        raise UnencodablePdu(field, "has a NUL in it")
    return octets + b"\0"


def _write_tlvs(tlvs: Tlvs) -> bytes:
    for tag, value in tlvs:
        if not 0 <= tag <= 0xFFFF or len(value) > 0xFFFF:
            raise UnencodablePdu("tlvs", f"cannot carry tag {tag} with {len(value)} octets")
    return b"".join(_TLV.pack(tag, len(value)) + value for tag, value in tlvs)


def _octets(field: str, *values: int) -> bytes:
    try:
        return bytes(values)
    except ValueError:
        raise UnencodablePdu(field, f"has a value that is no octet: {values}") from None


def _framed(command_id: int, status: int, sequence: int, body: bytes) -> bytes:
    length = HEADER_LENGTH + len(body)
    if length > CAP:
        raise UnencodablePdu("command_length", f"would be {length}, {CAP} at most")
    try:
        return _HEADER.pack(length, command_id, status, sequence) + body
    except struct.error:
        raise UnencodablePdu("header", f"cannot carry {status=} {sequence=}") from None


def _write_message(command_id: int, pdu: SubmitSm | DeliverSm) -> bytes:
    text = pdu.short_message
    if len(text) > 254:
        raise UnencodablePdu("short_message", f"has {len(text)} octets, 254 at most")
    body = (
        _z(pdu.service_type, 6, "service_type")
        + _octets("source_addr_ton/npi", pdu.source_addr_ton, pdu.source_addr_npi)
        + _z(pdu.source_addr, 21, "source_addr")
        + _octets("dest_addr_ton/npi", pdu.dest_addr_ton, pdu.dest_addr_npi)
        + _z(pdu.destination_addr, 21, "destination_addr")
        + _octets("esm_class ..", pdu.esm_class, pdu.protocol_id, pdu.priority_flag)
        + _z(pdu.schedule_delivery_time, 17, "schedule_delivery_time")
        + _z(pdu.validity_period, 17, "validity_period")
        + _octets(
            "registered_delivery ..", pdu.registered_delivery, pdu.replace_if_present_flag,
            pdu.data_coding, pdu.sm_default_msg_id, len(text),
        )
        + text
    )  # fmt: skip
    return _framed(command_id, 0, pdu.sequence, body + _write_tlvs(pdu.tlvs))


def _write_data_sm(pdu: DataSm) -> bytes:
    body = (
        _z(pdu.service_type, 6, "service_type")
        + _octets("source_addr_ton/npi", pdu.source_addr_ton, pdu.source_addr_npi)
        + _z(pdu.source_addr, 65, "source_addr")
        + _octets("dest_addr_ton/npi", pdu.dest_addr_ton, pdu.dest_addr_npi)
        + _z(pdu.destination_addr, 65, "destination_addr")
        + _octets("esm_class ..", pdu.esm_class, pdu.registered_delivery, pdu.data_coding)
    )
    return _framed(_DATA_SM, 0, pdu.sequence, body + _write_tlvs(pdu.tlvs))


def _write_message_resp(command_id: int, pdu: MessageResp) -> bytes:
    body = _z(pdu.message_id, 65, "message_id") + _write_tlvs(pdu.tlvs)
    return _framed(command_id | _RESPONSE, pdu.status, pdu.sequence, body)


# ---- the rest, through smpplib (but outbind, which it does not know)


def _through_smpplib(
    name: str, sequence: int, status: int = 0, **fields: str | int | None
) -> bytes:
    made = smpplib_command.factory(name, sequence=sequence)
    made.status, made.sequence = status, sequence
    for field, value in fields.items():
        setattr(made, field, value)
    octets: bytes = made.generate()
    return octets


def _parsed(data: bytes) -> dict[str, Any]:
    """Let smpplib read the fields of a PDU without TLVs; strings come back as str."""
    try:
        made = smpplib_codec.parse_pdu(data, sequence=0)
    except Exception as error:  # smpplib leaks whatever its parsing met: struct.error, KeyError ...
        raise _Fault(Status.RINVCMDLEN, f"cannot be read ({type(error).__name__})") from None
    values = {name: getattr(made, name, None) for name in made.params_order}
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in values.items()
        if value is not None
    }


def _same(read: _Read, data: bytes) -> _Read:
    """Accept what smpplib read only if it is all that was there."""
    try:
        again = encode(read)
    except UnencodablePdu as error:
        raise _Fault(Status.RINVPARLEN, str(error)) from None
    if again[HEADER_LENGTH:] != data[HEADER_LENGTH:]:
        raise _Fault(Status.RINVCMDLEN, "body has more or fewer octets than its fields")
    return read


def _read_bind(mode: BindMode, data: bytes, _status: int, sequence: int) -> Bind:
    return _same(Bind(sequence, mode=mode, **{"system_id": "", **_parsed(data)}), data)


def _write_bind(pdu: Bind) -> bytes:
    for field, size in (("system_id", 16), ("password", 9), ("system_type", 13)):
        _z(getattr(pdu, field), size, field)
    _z(pdu.address_range, 41, "address_range")
    _octets("interface_version ..", pdu.interface_version, pdu.addr_ton, pdu.addr_npi)
    return _through_smpplib(
        f"bind_{pdu.mode}",
        pdu.sequence,
        system_id=pdu.system_id,
        password=pdu.password,
        system_type=pdu.system_type,
        interface_version=pdu.interface_version,
        addr_ton=pdu.addr_ton,
        addr_npi=pdu.addr_npi,
        address_range=pdu.address_range,
    )


def _read_bind_resp(mode: BindMode, data: bytes, status: int, sequence: int) -> BindResp:
    """Read a bind response: smpplib its system_id, we its TLVs, of which smpplib knows one.

    The body may be missing on errors (section 4.1.2).
    """
    end = data.find(0, HEADER_LENGTH) + 1
    if not end:
        if len(data) > HEADER_LENGTH:
            raise _Fault(Status.RINVPARLEN, "system_id does not end")
        return BindResp(sequence, status, mode=mode)
    system_id = _parsed(data[:end]).get("system_id", "")
    return _same(BindResp(sequence, status, system_id, mode, _read_tlvs(data, end)), data)


def _write_bind_resp(pdu: BindResp) -> bytes:
    _z(pdu.system_id, 16, "system_id")
    name = f"bind_{pdu.mode}_resp"
    made = _through_smpplib(name, pdu.sequence, pdu.status, system_id=pdu.system_id)
    tlvs = _write_tlvs(pdu.tlvs)
    return _HEADER.pack(len(made) + len(tlvs), *_HEADER.unpack_from(made)[1:]) + made[16:] + tlvs


def _read_alert(data: bytes, _status: int, sequence: int) -> AlertNotification:
    return _same(
        AlertNotification(sequence, **{"source_addr": "", "esme_addr": "", **_parsed(data)}), data
    )


def _write_alert(pdu: AlertNotification) -> bytes:
    fields = {field.name: getattr(pdu, field.name) for field in dataclass_fields(pdu)}
    _z(pdu.source_addr, 21, "source_addr")
    _z(pdu.esme_addr, 21, "esme_addr")
    return _through_smpplib("alert_notification", **fields)


def _read_outbind(data: bytes, _status: int, sequence: int) -> Outbind:
    system_id, at = _c_string(data, HEADER_LENGTH, 16, "system_id", Status.RINVSYSID)
    password, at = _c_string(data, at, 9, "password", Status.RINVPASWD)
    if at != len(data):
        raise _Fault(Status.RINVCMDLEN, f"{len(data) - at} octets after the password")
    return Outbind(sequence, system_id, password)


def _write_outbind(pdu: Outbind) -> bytes:
    body = _z(pdu.system_id, 16, "system_id") + _z(pdu.password, 9, "password")
    return _framed(_OUTBIND, 0, pdu.sequence, body)


_Decoder = Callable[[bytes, int, int], Pdu]

_DECODERS: Final[dict[int, _Decoder]] = {
    _SUBMIT_SM: partial(_read_message, SubmitSm),
    _DELIVER_SM: partial(_read_message, DeliverSm),
    _DATA_SM: _read_data_sm,
    _SUBMIT_SM | _RESPONSE: partial(_read_message_resp, SubmitSmResp),
    _DELIVER_SM | _RESPONSE: partial(_read_message_resp, DeliverSmResp),
    _DATA_SM | _RESPONSE: partial(_read_message_resp, DataSmResp),
    _ENQUIRE_LINK: partial(_read_bare_request, EnquireLink),
    _ENQUIRE_LINK | _RESPONSE: partial(_read_bare_response, EnquireLinkResp),
    _UNBIND: partial(_read_bare_request, Unbind),
    _UNBIND | _RESPONSE: partial(_read_bare_response, UnbindResp),
    _RESPONSE: partial(_read_bare_response, GenericNack),
    _OUTBIND: _read_outbind,
    _ALERT: _read_alert,
    **{command_id: partial(_read_bind, mode) for mode, command_id in _BIND_IDS.items()},
    **{
        command_id | _RESPONSE: partial(_read_bind_resp, mode)
        for mode, command_id in _BIND_IDS.items()
    },
}

_ENCODERS: Final[dict[type[Pdu], Callable[[Any], bytes]]] = {
    SubmitSm: partial(_write_message, _SUBMIT_SM),
    DeliverSm: partial(_write_message, _DELIVER_SM),
    DataSm: _write_data_sm,
    SubmitSmResp: partial(_write_message_resp, _SUBMIT_SM),
    DeliverSmResp: partial(_write_message_resp, _DELIVER_SM),
    DataSmResp: partial(_write_message_resp, _DATA_SM),
    EnquireLink: lambda pdu: _framed(_ENQUIRE_LINK, 0, pdu.sequence, b""),
    EnquireLinkResp: lambda pdu: _framed(_ENQUIRE_LINK | _RESPONSE, pdu.status, pdu.sequence, b""),
    Unbind: lambda pdu: _through_smpplib("unbind", pdu.sequence),
    UnbindResp: lambda pdu: _through_smpplib("unbind_resp", pdu.sequence, pdu.status),
    GenericNack: lambda pdu: _through_smpplib("generic_nack", pdu.sequence, pdu.status),
    Outbind: _write_outbind,
    AlertNotification: _write_alert,
    Bind: _write_bind,
    BindResp: _write_bind_resp,
}

_REFUSALS: Final[dict[int, Callable[[int, int], Response]]] = {
    _SUBMIT_SM: SubmitSmResp,
    _DELIVER_SM: DeliverSmResp,
    _DATA_SM: DataSmResp,
    _ENQUIRE_LINK: EnquireLinkResp,
    _UNBIND: UnbindResp,
}
