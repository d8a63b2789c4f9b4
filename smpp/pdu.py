"""typed PDUs <-> bytes; the only importer of smpplib.

SMPP 3.4, Issue 1.2. The eight PDUs of a busy day (submit_sm, deliver_sm, data_sm, enquire_link and
their responses) have a codec of our own, every length checked, and so has what smpplib does not
know or cuts. Binds go through smpplib and are accepted only if they encode back to the very bytes
that came in, because smpplib alone takes truncated and unterminated fields for good ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn, TypeVar, cast

from smpplib import command as smpplib_command
from smpplib import smpp as smpplib_codec

from smpp.body import (
    HEADER_LENGTH,
    LONGEST_TEXT,
    CString,
    Fault,
    Layout,
    Octet,
    UnencodablePdu,
    read_message_tlvs,
    read_tlvs,
    write_tlvs,
)
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
from smpp.envelope import DESTINATION, MESSAGE, divide, opened, sealed

__all__ = [
    "CAP",
    "HEADER_LENGTH",
    "MalformedPdu",
    "UnencodablePdu",
    "cut",
    "decode",
    "encode",
    "encode_answer",
    "encode_as",
    "read",
    "refusal",
]

CAP: Final = 70_000
"""Octets of the longest PDU accepted: a full message_payload (65,535) and room for the rest."""


class MalformedPdu(Exception):
    """What came in is no PDU: `why` is for a person, `status` for the answer (section 5.1.3).

    `command_status` is what its header says: of a response that cannot be read any further, what
    became of the request.
    """

    def __init__(
        self, command_id: int, sequence: int, status: int, why: str, command_status: int = 0
    ) -> None:
        super().__init__(f"command 0x{command_id:08x}, sequence {sequence}: {why}")
        self.command_id = command_id
        self.sequence = sequence
        self.status = status
        self.why = why
        self.command_status = command_status

    @property
    def is_response(self) -> bool:
        """Whether it claims to answer one of our requests (and so must not be answered)."""
        return bool(self.command_id & _RESPONSE)


_RESPONSE: Final = 0x8000_0000
_HEADER = struct.Struct(">IIII")
_BARE_ANSWER = struct.Struct(">IIIIB")  # with an empty message_id
_write_bare_answer = _BARE_ANSWER.pack
_read_header, _write_header = _HEADER.unpack_from, _HEADER.pack
_SUBMIT_SM, _DELIVER_SM, _DATA_SM, _ENQUIRE_LINK = 0x04, 0x05, 0x103, 0x15
_DELIVER_SM_RESP, _DATA_SM_RESP = _DELIVER_SM | _RESPONSE, _DATA_SM | _RESPONSE
_OUTBIND_ID, _UNBIND, _ALERT_ID = 0x0B, 0x06, 0x102
_BIND_IDS: Final[dict[BindMode, int]] = {"receiver": 0x01, "transmitter": 0x02, "transceiver": 0x09}
_BIND_MODES: Final = {command_id: mode for mode, command_id in _BIND_IDS.items()}

_Read = TypeVar("_Read", Bind, BindResp)
_Bare = TypeVar("_Bare", EnquireLink, Unbind)
_Taken = TypeVar("_Taken")
_Decoding = tuple[Callable[[Any, bytes, int, int], _Taken], object]
_Decoders = dict[int, _Decoding[_Taken]]
_BareResp = TypeVar("_BareResp", EnquireLinkResp, UnbindResp, GenericNack)


# ---- framing


def read(buffer: bytes) -> tuple[list[Pdu | MalformedPdu], bytes, MalformedPdu | None]:
    """Read a stream's whole PDUs: (PDUs, what is left, why the stream cannot be read further).

    A PDU that cannot be read stands in its place as what is wrong with it. A command_length that no
    PDU can have is found as soon as its sixteen octets are there and ends the stream: where the
    next PDU begins is unknown from then on.
    """
    return _cut(buffer, _DECODERS, _UNKNOWN)


def cut(buffer: bytes) -> tuple[list[bytes], bytes, MalformedPdu | None]:
    """As `read`, but the PDUs as they are: to `decode` one by one, or not at all."""
    found, rest, broken = _cut(buffer, {}, (_as_it_is, None))
    return cast("list[bytes]", found), rest, broken


def decode(data: bytes) -> Pdu:
    """Read one whole PDU, as `cut` gives it; MalformedPdu if it is anything else."""
    if len(data) < HEADER_LENGTH:
        raise MalformedPdu(0, 0, Status.RINVCMDLEN, f"{len(data)} octets are no header")
    length, command_id, status, sequence = _read_header(data)
    if length != len(data):
        why = f"command_length is {length} of {len(data)} octets"
        raise MalformedPdu(command_id, sequence, Status.RINVCMDLEN, why, status)
    found, _, broken = read(data)
    whole = broken or found[0]
    if isinstance(whole, MalformedPdu):
        raise whole
    return whole


def _cut(
    buffer: bytes, decoders: _Decoders[_Taken], other: _Decoding[_Taken]
) -> tuple[list[_Taken | MalformedPdu], bytes, MalformedPdu | None]:
    found: list[_Taken | MalformedPdu] = []
    at, size = 0, len(buffer)
    while size - at >= HEADER_LENGTH:
        length, command_id, status, sequence = _read_header(buffer, at)
        if not HEADER_LENGTH <= length <= CAP:
            why = f"command_length {length} is not within {HEADER_LENGTH} to {CAP}"
            return found, b"", MalformedPdu(command_id, sequence, Status.RINVCMDLEN, why, status)
        end = at + length
        if end > size:
            break
        decoder, what = decoders.get(command_id, other)
        try:
            found.append(decoder(what, buffer[at:end], status, sequence))
        except Fault as fault:
            found.append(MalformedPdu(command_id, sequence, fault.status, fault.why, status))
        at = end
    return found, buffer[at:], None


def encode(pdu: Pdu) -> bytes:
    """Write one PDU; UnencodablePdu if a value does not fit its field."""
    return _ENCODERS[type(pdu)](pdu)


def encode_as(message: SubmitSm | DataSm, sequence: int) -> bytes:
    """Write a message under another sequence number than its own."""
    if type(message) is SubmitSm:
        return _write_message(_SUBMIT_SM, message, sequence)
    return encode(message._replace(sequence=sequence))


def encode_answer(kind: type[DeliverSm | DataSm], sequence: int, status: int) -> bytes:
    """Write the response to such a message that says no more than `status`."""
    command_id = _DATA_SM_RESP if kind is DataSm else _DELIVER_SM_RESP
    return _write_bare_answer(_BARE_ANSWER.size, command_id, status, sequence, 0)


def refusal(command_id: int, sequence: int, status: int) -> Response | None:
    """Return the error response that a request of this command gets; None for what gets none."""
    if command_id & _RESPONSE or command_id == _ALERT_ID:
        return None
    if command_id in _BIND_MODES:
        return BindResp(sequence, status, mode=_BIND_MODES[command_id])
    return _REFUSALS.get(command_id, GenericNack)(sequence, status)


# ---- our own codec: the eight hot PDUs

_DATA: Final = Layout(
    CString("service_type", 6, Status.RINVSERTYP),
    Octet("source_addr_ton"),
    Octet("source_addr_npi"),
    CString("source_addr", 65, Status.RINVSRCADR),
    Octet("dest_addr_ton"),
    Octet("dest_addr_npi"),
    CString("destination_addr", 65, Status.RINVDSTADR),
    Octet("esm_class"),
    Octet("registered_delivery"),
    Octet("data_coding"),
)
"""data_sm, section 4.7.1."""

_MESSAGE_ID: Final = CString("message_id", 65, Status.RINVMSGID)
_MESSAGE_ID_ENDS: Final = HEADER_LENGTH + _MESSAGE_ID.size

# What a NamedTuple's own constructor calls once it has sorted its arguments: half the time.
_typed = tuple.__new__


def _read_message(
    kind: type[SubmitSm] | type[DeliverSm], data: bytes, _status: int, sequence: int
) -> SubmitSm | DeliverSm:
    found = divide(data.decode("latin-1"), HEADER_LENGTH) or MESSAGE.explain(data)
    before, source, after = found.groups()
    (
        service_type, source_ton, source_npi, dest_ton, dest_npi, destination,
        esm_class, protocol_id, priority, schedule, validity,
        registered, replace, coding, default_id, length,
    ) = opened(before, after)  # fmt: skip
    at = found.end()
    end = at + length
    if end > len(data) or length > LONGEST_TEXT:
        raise Fault(Status.RINVMSGLEN, f"sm_length {length} of {len(data) - at} octets")
    return _typed(kind, (
        sequence, source, destination, data[at:end], coding, esm_class, registered,
        validity, source_ton, source_npi, dest_ton, dest_npi, service_type,
        protocol_id, priority, schedule, replace, default_id,
        () if end == len(data) else read_message_tlvs(data, end),
    ))  # fmt: skip


def _read_data_sm(_what: object, data: bytes, _status: int, sequence: int) -> DataSm:
    found = _DATA.read(data)
    (
        service_type, source_ton, source_npi, source, dest_ton, dest_npi, destination,
        esm_class, registered, coding,
    ) = found.groups()  # fmt: skip
    return DataSm(
        sequence, source, destination, ord(coding), ord(esm_class), ord(registered),
        ord(source_ton), ord(source_npi), ord(dest_ton), ord(dest_npi), service_type,
        read_message_tlvs(data, found.end()),
    )  # fmt: skip


def _read_message_resp(
    kind: type[SubmitSmResp] | type[DeliverSmResp] | type[DataSmResp],
    data: bytes,
    status: int,
    sequence: int,
) -> MessageResp:
    """Read a message's response, whose body may be missing (section 4.4.2)."""
    size = len(data)
    if size == HEADER_LENGTH:
        return _typed(kind, (sequence, status, "", ()))
    nul = data.find(0, HEADER_LENGTH, _MESSAGE_ID_ENDS)
    end = nul + 1 if nul > 0 else _MESSAGE_ID.end(data, HEADER_LENGTH)  # which says what is wrong
    message_id = data[HEADER_LENGTH : end - 1].decode("latin-1")
    tlvs = () if end == size else read_tlvs(data, end)
    return _typed(kind, (sequence, status, message_id, tlvs))


def _no_body(data: bytes) -> None:
    if len(data) != HEADER_LENGTH:
        raise Fault(Status.RINVCMDLEN, f"{len(data) - HEADER_LENGTH} octets after the header")


def _read_bare_request(kind: type[_Bare], data: bytes, _status: int, sequence: int) -> _Bare:
    _no_body(data)
    return kind(sequence)


def _read_bare_response(
    kind: type[_BareResp], data: bytes, status: int, sequence: int
) -> _BareResp:
    _no_body(data)
    return kind(sequence, status)


def _framed(command_id: int, status: int, sequence: int, body: bytes) -> bytes:
    length = HEADER_LENGTH + len(body)
    if length > CAP:
        raise UnencodablePdu("command_length", f"would be {length}, {CAP} at most")
    try:
        return _write_header(length, command_id, status, sequence) + body
    except struct.error:
        raise UnencodablePdu("header", f"cannot carry {status=} {sequence=}") from None


def _write_message(command_id: int, pdu: SubmitSm | DeliverSm, sequence: int) -> bytes:
    (
        _, source, destination, text, coding, esm_class, registered,
        validity, source_ton, source_npi, dest_ton, dest_npi, service_type,
        protocol_id, priority, schedule, replace, default_id, tlvs,
    ) = pdu  # fmt: skip
    length = len(text)
    if length > LONGEST_TEXT:
        raise UnencodablePdu("short_message", f"has {length} octets, {LONGEST_TEXT} at most")
    before, after = sealed(
        service_type, source_ton, source_npi, source, dest_ton, dest_npi,
        esm_class, protocol_id, priority, schedule, validity,
        registered, replace, coding, default_id, length,
    )  # fmt: skip
    body = before + DESTINATION.write(destination) + after + text
    return _framed(command_id, 0, sequence, body + write_tlvs(tlvs) if tlvs else body)


def _write_data_sm(pdu: DataSm) -> bytes:
    body = _DATA.write(
        (
            pdu.service_type, pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr,
            pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr,
            pdu.esm_class, pdu.registered_delivery, pdu.data_coding,
        )
    )  # fmt: skip
    return _framed(_DATA_SM, 0, pdu.sequence, body + write_tlvs(pdu.tlvs))


def _write_message_resp(command_id: int, pdu: MessageResp) -> bytes:
    sequence, status, message_id, tlvs = pdu
    body = _MESSAGE_ID.write(message_id) if message_id else b"\0"
    return _framed(command_id, status, sequence, body + write_tlvs(tlvs) if tlvs else body)


# ---- the rest: mandatory fields through smpplib where it knows them, TLVs by us

_BIND: Final = Layout(
    CString("system_id", 16, Status.RINVSYSID),
    CString("password", 9, Status.RINVPASWD),
    CString("system_type", 13, Status.RINVSYSTYP),
    Octet("interface_version"),
    Octet("addr_ton"),
    Octet("addr_npi"),
    CString("address_range", 41, Status.RINVPARLEN),
)
_SYSTEM_ID: Final = CString("system_id", 16, Status.RINVPARLEN)


def _through_smpplib(
    name: str, sequence: int, status: int, tlvs: Tlvs = (), **fields: str | int
) -> bytes:
    made = smpplib_command.factory(name, sequence=sequence)
    for field, value in fields.items():
        setattr(made, field, value)
    octets: bytes = made.generate()
    _, command_id, _, _ = _HEADER.unpack_from(octets)
    return _framed(command_id, status, sequence, octets[HEADER_LENGTH:] + write_tlvs(tlvs))


def _parsed(data: bytes) -> dict[str, Any]:
    """Let smpplib read the fields of a PDU without TLVs; strings come back as str."""
    try:
        made = smpplib_codec.parse_pdu(data, sequence=0)
    except Exception as error:  # smpplib leaks whatever its parsing met: struct.error, KeyError ...
        raise Fault(Status.RINVCMDLEN, f"cannot be read ({type(error).__name__})") from None
    values = {name: getattr(made, name, None) for name in made.params_order}
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in values.items()
        if value is not None
    }


def _same(read: _Read, data: bytes) -> _Read:
    """Accept what smpplib read only if it is all that was there."""
    if encode(read)[HEADER_LENGTH:] != data[HEADER_LENGTH:]:
        raise Fault(Status.RINVCMDLEN, "body has more or fewer octets than its fields")
    return read


def _read_bind(mode: BindMode, data: bytes, _status: int, sequence: int) -> Bind:
    end = _BIND.end(data)
    fields = {"system_id": "", **_parsed(data[:end])}
    return _same(Bind(sequence, mode=mode, **fields, tlvs=read_tlvs(data, end)), data)


def _write_bind(pdu: Bind) -> bytes:
    fields = {name: getattr(pdu, name) for name in _BIND.names}
    _BIND.write(tuple(fields.values()))  # they must fit: smpplib would cut them
    return _through_smpplib(f"bind_{pdu.mode}", pdu.sequence, 0, pdu.tlvs, **fields)


def _read_bind_resp(mode: BindMode, data: bytes, status: int, sequence: int) -> BindResp:
    """Read a bind response, whose body may be missing on errors (section 4.1.2)."""
    if len(data) == HEADER_LENGTH:
        return BindResp(sequence, status, mode=mode)
    end = _SYSTEM_ID.end(data, HEADER_LENGTH)
    system_id = _parsed(data[:end]).get("system_id", "")
    return _same(BindResp(sequence, status, system_id, mode, read_tlvs(data, end)), data)


def _write_bind_resp(pdu: BindResp) -> bytes:
    _SYSTEM_ID.write(pdu.system_id)  # it must fit: smpplib would cut it
    name = f"bind_{pdu.mode}_resp"
    return _through_smpplib(name, pdu.sequence, pdu.status, pdu.tlvs, system_id=pdu.system_id)


# ---- what smpplib does not know (outbind), or cuts to 20 octets (alert_notification, section 4.12)

_OUTBIND: Final = Layout(
    CString("system_id", 16, Status.RINVSYSID), CString("password", 9, Status.RINVPASWD)
)
_ALERT: Final = Layout(
    Octet("source_addr_ton"),
    Octet("source_addr_npi"),
    CString("source_addr", 65, Status.RINVSRCADR),
    Octet("esme_addr_ton"),
    Octet("esme_addr_npi"),
    CString("esme_addr", 65, Status.RINVPARLEN),
)


def _read_outbind(_what: object, data: bytes, _status: int, sequence: int) -> Outbind:
    found = _OUTBIND.read(data)
    system_id, password = found.groups()
    if found.end() != len(data):
        raise Fault(Status.RINVCMDLEN, f"{len(data) - found.end()} octets after the password")
    return Outbind(sequence, system_id, password)


def _write_outbind(pdu: Outbind) -> bytes:
    return _framed(_OUTBIND_ID, 0, pdu.sequence, _OUTBIND.write((pdu.system_id, pdu.password)))


def _read_alert(_what: object, data: bytes, _status: int, sequence: int) -> AlertNotification:
    found = _ALERT.read(data)
    source_ton, source_npi, source, esme_ton, esme_npi, esme = found.groups()
    return AlertNotification(
        sequence, source, esme, ord(source_ton), ord(source_npi), ord(esme_ton), ord(esme_npi),
        read_tlvs(data, found.end()),
    )  # fmt: skip


def _write_alert(pdu: AlertNotification) -> bytes:
    body = _ALERT.write(tuple(getattr(pdu, name) for name in _ALERT.names))
    return _framed(_ALERT_ID, 0, pdu.sequence, body + write_tlvs(pdu.tlvs))


def _as_it_is(_what: object, data: bytes, _status: int, _sequence: int) -> bytes:
    return data


def _read_unknown(_what: object, _data: bytes, _status: int, _sequence: int) -> NoReturn:
    raise Fault(Status.RINVCMDID, "unknown command")


# With what each decoder makes of them: calls through `partial` take longer.
_DECODERS: Final[_Decoders[Pdu]] = {
    _SUBMIT_SM: (_read_message, SubmitSm),
    _DELIVER_SM: (_read_message, DeliverSm),
    _DATA_SM: (_read_data_sm, DataSm),
    _SUBMIT_SM | _RESPONSE: (_read_message_resp, SubmitSmResp),
    _DELIVER_SM | _RESPONSE: (_read_message_resp, DeliverSmResp),
    _DATA_SM | _RESPONSE: (_read_message_resp, DataSmResp),
    _ENQUIRE_LINK: (_read_bare_request, EnquireLink),
    _ENQUIRE_LINK | _RESPONSE: (_read_bare_response, EnquireLinkResp),
    _UNBIND: (_read_bare_request, Unbind),
    _UNBIND | _RESPONSE: (_read_bare_response, UnbindResp),
    _RESPONSE: (_read_bare_response, GenericNack),
    _OUTBIND_ID: (_read_outbind, Outbind),
    _ALERT_ID: (_read_alert, AlertNotification),
    **{command_id: (_read_bind, mode) for mode, command_id in _BIND_IDS.items()},
    **{command_id | _RESPONSE: (_read_bind_resp, mode) for mode, command_id in _BIND_IDS.items()},
}
_UNKNOWN: Final[_Decoding[Pdu]] = (_read_unknown, None)

_ENCODERS: Final[dict[type[Pdu], Callable[[Any], bytes]]] = {
    SubmitSm: lambda pdu: _write_message(_SUBMIT_SM, pdu, pdu.sequence),
    DeliverSm: lambda pdu: _write_message(_DELIVER_SM, pdu, pdu.sequence),
    DataSm: _write_data_sm,
    SubmitSmResp: partial(_write_message_resp, _SUBMIT_SM | _RESPONSE),
    DeliverSmResp: partial(_write_message_resp, _DELIVER_SM | _RESPONSE),
    DataSmResp: partial(_write_message_resp, _DATA_SM | _RESPONSE),
    EnquireLink: lambda pdu: _framed(_ENQUIRE_LINK, 0, pdu.sequence, b""),
    EnquireLinkResp: lambda pdu: _framed(_ENQUIRE_LINK | _RESPONSE, pdu.status, pdu.sequence, b""),
    Unbind: lambda pdu: _through_smpplib("unbind", pdu.sequence, 0),
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
