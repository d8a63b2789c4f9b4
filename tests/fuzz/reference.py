"""SMPP 3.4's tables, read octet by octet: what the codec must accept, and as what.

Written from the specification alone and without regard to speed. A C-octet string ends with a NUL
within its size (section 3.1); an optional parameter is a tag, a length and as many octets
(3.2.4.1), whether it is known or not (3.3); command_length counts the header (5.1.1); sm_length is
254 at most (5.2.21); a response's body may be missing (4.4.2). In a message, the optional
parameters by which it is understood have the sizes of 5.3.2.
"""

from __future__ import annotations

from typing import Any

_MESSAGE = (
    ("service_type", 6), ("source_addr_ton", 0), ("source_addr_npi", 0), ("source_addr", 21),
    ("dest_addr_ton", 0), ("dest_addr_npi", 0), ("destination_addr", 21), ("esm_class", 0),
    ("protocol_id", 0), ("priority_flag", 0), ("schedule_delivery_time", 17),
    ("validity_period", 17), ("registered_delivery", 0), ("replace_if_present_flag", 0),
    ("data_coding", 0), ("sm_default_msg_id", 0), ("short_message", -1),
)  # fmt: skip
_DATA = (
    ("service_type", 6), ("source_addr_ton", 0), ("source_addr_npi", 0), ("source_addr", 65),
    ("dest_addr_ton", 0), ("dest_addr_npi", 0), ("destination_addr", 65), ("esm_class", 0),
    ("registered_delivery", 0), ("data_coding", 0),
)  # fmt: skip
_BIND = (
    ("system_id", 16), ("password", 9), ("system_type", 13), ("interface_version", 0),
    ("addr_ton", 0), ("addr_npi", 0), ("address_range", 41),
)  # fmt: skip
_ALERT = (
    ("source_addr_ton", 0), ("source_addr_npi", 0), ("source_addr", 65),
    ("esme_addr_ton", 0), ("esme_addr_npi", 0), ("esme_addr", 65),
)  # fmt: skip

# Field and octets: 0 an integer of one, -1 sm_length and short_message, else a C-octet string.
_BODIES: dict[int, tuple[tuple[str, int], ...]] = {
    0x01: _BIND, 0x02: _BIND, 0x09: _BIND, 0x04: _MESSAGE, 0x05: _MESSAGE, 0x103: _DATA,
    0x0B: (("system_id", 16), ("password", 9)), 0x102: _ALERT,
    0x8000_0004: (("message_id", 65),), 0x8000_0005: (("message_id", 65),),
    0x8000_0103: (("message_id", 65),), 0x8000_0001: (("system_id", 16),),
    0x8000_0002: (("system_id", 16),), 0x8000_0009: (("system_id", 16),),
    0x06: (), 0x15: (), 0x8000_0000: (), 0x8000_0006: (), 0x8000_0015: (),
}  # fmt: skip
_MESSAGES = frozenset({0x04, 0x05, 0x103})
# Tag, fewest and most octets: receipted_message_id, sar_msg_ref_num, sar_total_segments,
# sar_segment_seqnum, network_error_code, message_state (5.3.2.12, .22, .23, .24, .31, .35).
_SIZES = {0x1E: (1, 65), 0x20C: (2, 2), 0x20E: (1, 1), 0x20F: (1, 1), 0x423: (3, 3), 0x427: (1, 1)}
_WITHOUT_TLVS = frozenset({0x06, 0x0B, 0x15, 0x8000_0000, 0x8000_0006, 0x8000_0015})


class Refused(Exception):
    pass


class _Octets:
    """A PDU's octets, taken one after another and never beyond their end."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def take(self, count: int) -> bytes:
        taken = self._octets[self._at : self._at + count]
        if len(taken) < count:
            raise Refused
        self._at += count
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def c_string(self, size: int) -> str:
        string = ""
        while (octet := self.number(1)) != 0:
            string += chr(octet)
            if len(string) == size:
                raise Refused
        return string

    @property
    def left(self) -> int:
        return len(self._octets) - self._at


def read(octets: bytes) -> dict[str, Any]:
    """The fields of a PDU by name; Refused if it is none."""
    source = _Octets(octets)
    length, command_id, status, sequence = (source.number(4) for _ in range(4))
    if length != len(octets) or command_id not in _BODIES:
        raise Refused
    found: dict[str, Any] = {"sequence": sequence}
    if command_id & 0x8000_0000:
        found["status"] = status
        if not source.left:
            return found
    for name, size in _BODIES[command_id]:
        if size > 0:
            found[name] = source.c_string(size)
        elif size == 0:
            found[name] = source.number(1)
        else:
            found[name] = _text(source)
    if command_id not in _WITHOUT_TLVS:
        found["tlvs"] = _tlvs(source)
        if command_id in _MESSAGES:
            _check_sizes(found["tlvs"])
    if source.left:
        raise Refused
    return found


def _text(source: _Octets) -> bytes:
    length = source.number(1)
    if length > 254:
        raise Refused
    return source.take(length)


def _tlvs(source: _Octets) -> tuple[tuple[int, bytes], ...]:
    found = []
    while source.left:
        tag, length = source.number(2), source.number(2)
        found.append((tag, source.take(length)))
    return tuple(found)


def _check_sizes(tlvs: tuple[tuple[int, bytes], ...]) -> None:
    for tag, value in tlvs:
        fewest, most = _SIZES.get(tag, (0, 0xFFFF))
        if not fewest <= len(value) <= most:
            raise Refused
