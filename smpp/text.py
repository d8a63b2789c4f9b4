"""GSM 03.38 / UCS-2 / Latin-1, segmentation, UDH and SAR, reassembly.

Sources: 3GPP TS 23.038 section 6.2.1 (default alphabet and its extension), TS 23.040 section
9.2.3.24 (concatenation), SMPP 3.4 sections 5.2.19 (data_coding) and 5.3.2.22-24 (SAR).
Seven-bit text travels one septet an octet, as SMSCs take it over SMPP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

from smpp.commands import DataSm, DeliverSm, SubmitSm, Tag, Tlvs, tlv

Alphabet = Literal["gsm7", "latin1", "gb18030"]
"""What data_coding 0 means at an SMSC."""

LongMessages = Literal["udh8", "udh16", "sar", "payload"]
"""How a text longer than one message travels."""

UDHI: Final = 0x40
UCS2: Final = 8
_ESCAPE: Final = 0x1B
_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]",
    0x40: "|", 0x65: "€",
}  # fmt: skip
_TO_GSM7: Final = {
    **{character: bytes((_ESCAPE, code)) for code, character in _EXTENSION.items()},
    **{character: bytes((code,)) for code, character in enumerate(_BASIC) if code != _ESCAPE},
}
_CODECS: Final = {
    1: "latin-1", 2: "latin-1", 3: "latin-1", 4: "latin-1", 5: "shift_jis", 6: "iso8859-5",
    7: "iso8859-8", 8: "utf-16-be", 10: "iso2022_jp", 13: "euc_jp", 14: "euc_kr",
    # Not in SMPP 3.4, but what Chinese gateways mean by it (CMPP's Msg_Fmt 15).
    15: "gb18030",
}  # fmt: skip


class TooLong(ValueError):
    """The text does not fit into 255 parts, or not into one message_payload."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a text as it goes into one submit_sm (or deliver_sm)."""

    short_message: bytes
    data_coding: int
    esm_class: int = 0
    tlvs: Tlvs = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Where a received part belongs: the `number`-th (from 1) of `total` with this `reference`."""

    reference: int
    total: int
    number: int


# ---- characters


def encode_gsm7(text: str) -> bytes | None:
    """One octet a septet, two for the extension table; None if a character is in neither."""
    try:
        return b"".join([_TO_GSM7[character] for character in text])
    except KeyError:
        return None


def decode_gsm7(octets: bytes) -> str:
    """Total: an unknown escape shows the basic character (TS 23.038 6.2.1.1), others U+FFFD."""
    text = []
    escaped = False
    for octet in octets:
        if escaped and octet in _EXTENSION:
            text.append(_EXTENSION[octet])
            escaped = False
        elif octet == _ESCAPE:
            if escaped:
                text.append(" ")
            escaped = not escaped
        else:
            text.append(_BASIC[octet] if octet < 0x80 else "\ufffd")
            escaped = False
    return "".join(text)


def decode_text(data_coding: int, octets: bytes, alphabet: Alphabet = "gsm7") -> str:
    """Return the text of `octets`; total: what cannot be read becomes U+FFFD.

    `alphabet` is what the SMSC means by data_coding 0. Message classes (0x1X, 0xFX) and waiting
    indications (0xCX to 0xEX) carry the alphabet of TS 23.038 section 4.
    """
    coding = _plain_coding(data_coding)
    if coding != 0:
        return octets.decode(_CODECS.get(coding, "latin-1"), "replace")
    if alphabet == "gsm7":
        return decode_gsm7(octets)
    return octets.decode("latin-1" if alphabet == "latin1" else "gb18030", "replace")


def _plain_coding(data_coding: int) -> int:
    if data_coding < 0x10:
        return data_coding
    if data_coding < 0x40:
        return {0x00: 0, 0x04: 4, 0x08: UCS2}.get(data_coding & 0x0C, 0)
    if data_coding >= 0xF0:
        return 4 if data_coding & 0x04 else 0
    return UCS2 if data_coding & 0xF0 == 0xE0 else 0


def encode_text(text: str, alphabet: Alphabet = "gsm7") -> tuple[int, bytes]:
    """Return (data_coding, octets): the SMSC's own alphabet where it is enough, else UCS-2.

    A GB 18030 SMSC gets its own alphabet for ASCII alone: what it makes of the rest for a phone is
    its secret, while UCS-2 is what it is everywhere.
    """
    own = encode_gsm7(text) if alphabet == "gsm7" else None
    if alphabet == "latin1" and all(ord(character) < 0x100 for character in text):
        own = text.encode("latin-1")
    if alphabet == "gb18030" and text.isascii():
        own = text.encode("ascii")
    if own is not None:
        return 0, own
    return UCS2, encode_ucs2(text)


def encode_ucs2(text: str) -> bytes:
    """Two octets a UTF-16 unit; a lone surrogate becomes U+FFFD."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        whole = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")
        return whole.encode("utf-16-be")


# ---- long messages


def segment(
    text: str, reference: int, alphabet: Alphabet = "gsm7", long_messages: LongMessages = "udh8"
) -> tuple[Segment, ...]:
    """Cut a text into what one submit_sm each can carry, never within a character.

    `reference` tells this text's parts from another's (its low 8 or 16 bits are used). Sizes:
    70 UTF-16 units alone and 67 a part, 160 and 153 septets; one septet or unit less with a 16-bit
    reference, and with SAR, where the SMSC may choose that.
    """
    data_coding, octets = encode_text(text, alphabet)
    septets = data_coding == 0 and alphabet == "gsm7"
    return segment_octets(octets, data_coding, septets, reference, long_messages)


def segment_octets(
    octets: bytes,
    data_coding: int,
    septets: bool,
    reference: int,
    long_messages: LongMessages = "udh8",
) -> tuple[Segment, ...]:
    """Cut what is encoded already; `septets`: its octets are GSM 03.38 septets."""
    if len(octets) <= (160 if septets else 140):
        return (Segment(octets, data_coding),)
    if long_messages == "payload":
        if len(octets) > 0xFFFF:
            raise TooLong(f"{len(octets)} octets do not fit into one message_payload")
        return (Segment(b"", data_coding, tlvs=((Tag.MESSAGE_PAYLOAD, octets),)),)
    limit = _part_size(data_coding, septets, long_messages == "udh8")
    pieces = list(_pieces(octets, limit, data_coding, septets))
    if len(pieces) > 255:
        raise TooLong(f"{len(pieces)} parts, 255 at most")
    return tuple(
        _part(piece, data_coding, Part(reference, len(pieces), number), long_messages)
        for number, piece in enumerate(pieces, 1)
    )


def _part_size(data_coding: int, septets: bool, short_header: bool) -> int:
    if septets:
        return 153 if short_header else 152
    return 134 if short_header else 132 if data_coding == UCS2 else 133


def _pieces(octets: bytes, limit: int, data_coding: int, septets: bool) -> Iterator[bytes]:
    at = 0
    while at < len(octets):
        end = min(at + limit, len(octets))
        if end < len(octets):
            if septets and octets[end - 1] == _ESCAPE:
                end -= 1
            elif data_coding == UCS2 and 0xD8 <= octets[end - 2] <= 0xDB:
                end -= 2
        yield octets[at:end]
        at = end


def _part(piece: bytes, data_coding: int, part: Part, long_messages: LongMessages) -> Segment:
    place = bytes((part.total, part.number))
    if long_messages == "sar":
        sar = (
            (Tag.SAR_MSG_REF_NUM, (part.reference & 0xFFFF).to_bytes(2, "big")),
            (Tag.SAR_TOTAL_SEGMENTS, place[:1]),
            (Tag.SAR_SEGMENT_SEQNUM, place[1:]),
        )
        return Segment(piece, data_coding, tlvs=sar)
    if long_messages == "udh16":
        header = b"\x06\x08\x04" + (part.reference & 0xFFFF).to_bytes(2, "big") + place
    else:
        header = b"\x05\x00\x03" + bytes((part.reference & 0xFF,)) + place
    return Segment(header + piece, data_coding, esm_class=UDHI)


# ---- received messages


def content(message: SubmitSm | DeliverSm | DataSm) -> tuple[bytes, Part | None]:
    """Return a message's octets without headers, and its place if it is a part of a longer one.

    message_payload counts when short_message is empty. A user data header that is longer than the
    message is taken for text: better odd characters than nothing.
    """
    octets = b"" if isinstance(message, DataSm) else message.short_message
    if not octets:
        octets = tlv(message.tlvs, Tag.MESSAGE_PAYLOAD) or b""
    if message.esm_class & UDHI and octets and octets[0] < len(octets):
        header, octets = octets[1 : octets[0] + 1], octets[octets[0] + 1 :]
        return octets, _part_in_udh(header) or _part_in_tlvs(message.tlvs)
    return octets, _part_in_tlvs(message.tlvs)


def _part_in_udh(header: bytes) -> Part | None:
    at = 0
    while at + 2 <= len(header):
        element, value = header[at], header[at + 2 : at + 2 + header[at + 1]]
        at += 2 + header[at + 1]
        if (element, len(value)) in ((0x00, 3), (0x08, 4)):
            return _sane(int.from_bytes(value[:-2], "big"), value[-2], value[-1])
    return None


def _part_in_tlvs(tlvs: Tlvs) -> Part | None:
    reference = tlv(tlvs, Tag.SAR_MSG_REF_NUM)
    total = tlv(tlvs, Tag.SAR_TOTAL_SEGMENTS)
    number = tlv(tlvs, Tag.SAR_SEGMENT_SEQNUM)
    if not (reference and total and number):
        return None
    return _sane(*(int.from_bytes(value, "big") for value in (reference, total, number)))


def _sane(reference: int, total: int, number: int) -> Part | None:
    """A header with a total of 0 or a number beyond it counts as absent (TS 23.040 9.2.3.24.1)."""
    return Part(reference, total, number) if 1 < total <= 255 and 1 <= number <= total else None


def join_text(parts: Sequence[tuple[int, bytes]], alphabet: Alphabet = "gsm7") -> str:
    """Return the text of parts in their order, each with its data_coding.

    Parts of one coding are decoded together: a surrogate pair, or an escape and its character, that
    the sender cut in two is whole again.
    """
    runs = groupby(parts, lambda part: part[0])
    return "".join(
        decode_text(coding, b"".join(octets for _, octets in run), alphabet) for coding, run in runs
    )
