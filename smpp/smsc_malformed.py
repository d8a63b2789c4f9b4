"""malformed PDUs, each wrong in one way, made from a right one.

Sections are SMPP 3.4's. All but `length`, `huge` and `garbage` leave a stream whose next PDU can be
found; after those three it cannot.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Final, Literal, get_args

Kind = Literal[
    "length", "huge", "truncated", "unterminated", "sm_length", "tlv", "command", "sequence",
    "garbage",
]  # fmt: skip

KINDS: Final[tuple[str, ...]] = get_args(Kind)
_HEADER: Final = struct.Struct(">IIII")


def malform(octets: bytes, kind: Kind, random: Random) -> bytes:
    """Return a PDU broken in one way.

    length: a command_length of 4, less than a header (3.2). huge: one of 2 GiB, of which nothing
    follows. truncated: half of the body is gone, and the header says so. unterminated: the body is
    a string that never ends (3.1). sm_length: text that is longer than what is left (5.2.21).
    tlv: an optional parameter longer than the PDU (5.3.1). command: a command_id that does not
    exist (5.1.2.1). sequence: a number nobody has used. garbage: 64 octets by chance.
    """
    return _BREAKS[kind](octets, random)


def _with_header(octets: bytes, **fields: int) -> bytes:
    names = ("length", "command", "status", "sequence")
    header = dict(zip(names, _HEADER.unpack_from(octets), strict=True))
    return _HEADER.pack(*(header | {"length": len(octets)} | fields).values()) + octets[16:]


def _truncated(octets: bytes, _random: Random) -> bytes:
    # Of a PDU without a body nothing can be cut off: it gets an octet that means nothing there.
    body = octets[16:]
    return _with_header(octets[:16] + (body[: len(body) // 2] if body else b"\x01"))


def _sm_length(octets: bytes, random: Random) -> bytes:
    """Break submit_sm's and deliver_sm's; others have none and are truncated."""
    if _HEADER.unpack_from(octets)[1] not in (0x04, 0x05):
        return _truncated(octets, random)
    at = 16
    at = octets.index(0, at) + 3  # service_type, ton, npi
    at = octets.index(0, at) + 3  # source_addr, ton, npi
    at = octets.index(0, at) + 4  # destination_addr, esm_class, protocol_id, priority_flag
    at = octets.index(0, octets.index(0, at) + 1) + 5  # both times, four octets
    return _with_header(octets[:at] + b"\xff" + octets[at + 1 :][:100])


_BREAKS: Final[dict[Kind, Callable[[bytes, Random], bytes]]] = {
    "length": lambda octets, _: _with_header(octets, length=4),
    "huge": lambda octets, _: _with_header(octets[:16], length=0x7FFF_FFFF),
    "truncated": _truncated,
    "unterminated": lambda octets, _: _with_header(octets[:16] + b"A" * 200),
    "sm_length": _sm_length,
    "tlv": lambda octets, _: _with_header(octets + b"\x14\x00\x7f\xffxy"),
    "command": lambda octets, _: _with_header(octets, command=0x0000_0777),
    "sequence": lambda octets, _: _with_header(octets, sequence=0x7ABC_DEF0),
    "garbage": lambda _, random: random.randbytes(64),
}
