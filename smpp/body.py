"""the mandatory fields and TLVs of a PDU's body, read at one stroke.

A layout is a body's fields in the order of the wire. It is compiled into one regular expression
that reads them all: a third of what field by field costs. Only when that fails are the fields
walked one by one, to say which is wrong.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from smpp.commands import Status, Tag, Tlvs

HEADER_LENGTH: Final = 16
LONGEST_TEXT: Final = 254
"""Octets of the longest short_message (section 5.2.21)."""

_SIZES: Final[dict[int, range]] = {
    Tag.RECEIPTED_MESSAGE_ID: range(1, 66),
    Tag.SAR_MSG_REF_NUM: range(2, 3),
    Tag.SAR_TOTAL_SEGMENTS: range(1, 2),
    Tag.SAR_SEGMENT_SEQNUM: range(1, 2),
    Tag.NETWORK_ERROR_CODE: range(3, 4),
    Tag.MESSAGE_STATE: range(1, 2),
}
"""Octets of the TLVs by which a message is understood (section 5.3.2); others are not looked at."""

_TLV = struct.Struct(">HH")
_read_tlv_header = _TLV.unpack_from


class Fault(Exception):
    """A body cannot be read: `status` is the answer's (section 5.1.3), `why` for a person."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class UnencodablePdu(ValueError):
    """A value does not fit its field; nothing was encoded."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}")
        self.field = field


class CString(NamedTuple):
    """A C-octet string of at most `size` octets, its NUL included; `status` if it is wrong."""

    name: str
    size: int
    status: int

    def write(self, value: str) -> bytes:
        """Write the string and its NUL; UnencodablePdu if it does not fit."""
        try:
            octets = value.encode("latin-1")
        except UnicodeEncodeError:
            raise UnencodablePdu(self.name, "has characters no SMPP field can carry") from None
        if len(octets) >= self.size:
            raise UnencodablePdu(self.name, f"has {len(octets)} octets, {self.size - 1} at most")
        if 0 in octets:
            raise UnencodablePdu(self.name, "has a NUL in it")
        return octets + b"\0"

    def end(self, data: bytes, at: int) -> int:
        """Return where the next field begins; Fault if this one does not end in its size."""
        found = data.find(0, at, at + self.size)
        if found >= 0:
            return found + 1
        if at + self.size > len(data):
            raise Fault(Status.RINVCMDLEN, f"ends within {self.name}")
        raise Fault(self.status, f"{self.name} does not end within {self.size} octets")


class Octet(NamedTuple):
    """An integer of one octet."""

    name: str

    def write(self, value: int) -> bytes:
        """Write the octet; UnencodablePdu if the value is none."""
        if not 0 <= value <= 0xFF:
            raise UnencodablePdu(self.name, f"is no octet: {value}")
        return bytes((value,))

    def end(self, data: bytes, at: int) -> int:
        """Return where the next field begins; Fault if this one is not there."""
        if at >= len(data):
            raise Fault(Status.RINVCMDLEN, f"ends before {self.name}")
        return at + 1


class Layout:
    """The fields of a body in the order of the wire.

    `match` reads them at one stroke from a PDU decoded as Latin-1, beginning at HEADER_LENGTH; its
    groups are the fields. `pattern` is the same without groups, to be part of another.
    """

    def __init__(self, *fields: CString | Octet) -> None:
        self.names = [field.name for field in fields]
        self.fields = fields
        longest = [field.size - 1 if isinstance(field, CString) else None for field in fields]
        # Possessive: a string ends at its first NUL or not at all, no other end is tried.
        parts = [(".", "") if size is None else (f"[^\0]{{0,{size}}}+", "\0") for size in longest]
        self.pattern: Final = "".join(value + end for value, end in parts)
        groups = "".join(f"({value}){end}" for value, end in parts)
        self.match: Final = re.compile(groups, re.DOTALL).match

    def read(self, data: bytes) -> re.Match[str]:
        """Read the fields of a whole PDU: the match's groups. TLVs may begin at its end."""
        return self.match(data.decode("latin-1"), HEADER_LENGTH) or self.explain(data)

    def values(self, octets: str) -> list[str | int]:
        """Read the fields of what `pattern` has matched."""
        groups = self.match(octets).groups()  # type: ignore[union-attr]  # so this matches as well
        return [
            value if isinstance(field, CString) else ord(value)
            for field, value in zip(self.fields, groups, strict=True)
        ]

    def explain(self, data: bytes) -> NoReturn:
        """Raise the Fault because of which `match` does not read this PDU."""
        self.end(data)
        raise Fault(Status.RINVCMDLEN, "cannot be read")  # not while pattern and `end` agree

    def end(self, data: bytes) -> int:
        """Return where the fields end and TLVs may begin; Fault if one of them is wrong."""
        at = HEADER_LENGTH
        for field in self.fields:
            at = field.end(data, at)
        return at

    def write(self, values: Sequence[str | int]) -> bytes:
        """Write the fields one by one; UnencodablePdu names the one whose value does not fit."""
        return b"".join(
            field.write(value)  # type: ignore[arg-type]  # a field gets its own kind of value
            for field, value in zip(self.fields, values, strict=True)
        )


def read_tlvs(data: bytes, at: int) -> Tlvs:
    """Read all TLVs from `at` to the PDU's end; Fault if the last does not end there."""
    end = len(data)
    if at == end:
        return ()
    found = []
    while at + 4 <= end:
        tag, length = _read_tlv_header(data, at)
        at += 4 + length
        found.append((tag, data[at - length : at]))
    if at > end:
        raise Fault(Status.RINVOPTPARSTREAM, f"TLV 0x{tag:04x} is longer than the PDU")
    if at < end:
        raise Fault(Status.RINVOPTPARSTREAM, "ends within a TLV's header")
    return tuple(found)


def read_message_tlvs(data: bytes, at: int) -> Tlvs:
    """Read the TLVs of a message; Fault also if one that says what it is has a wrong length.

    A response cannot be refused: there `read_tlvs` takes every length.
    """
    tlvs = read_tlvs(data, at)
    for tag, value in tlvs:
        sizes = _SIZES.get(tag)
        if sizes is not None and len(value) not in sizes:
            raise Fault(Status.RINVPARLEN, f"TLV 0x{tag:04x} has {len(value)} octets")
    return tlvs


def write_tlvs(tlvs: Tlvs) -> bytes:
    """Write TLVs in their order; UnencodablePdu if a tag or length is beyond two octets."""
    try:
        return b"".join([_TLV.pack(tag, len(value)) + value for tag, value in tlvs])
    except struct.error:
        raise UnencodablePdu("tlvs", "have a tag or a length beyond 65535") from None
