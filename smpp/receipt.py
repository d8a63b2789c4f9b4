"""delivery receipt (text and TLV) -> Receipt.

TLVs win over the text (SMPP 3.4 section 5.3.2: receipted_message_id, message_state,
network_error_code); the text is the one of Appendix B, read leniently, since every SMSC has its
own idea of it. Message ids come in as hexadecimal, decimal and padded: `normal_id` makes them one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from smpp.commands import DataSm, DeliverSm, Tag, tlv
from smpp.text import content, decode_text

IdForm = Literal["text", "hex_dec"]
"""hex_dec: responses carry hexadecimal ids, receipts the same number in decimal."""

State = Literal[
    "ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD"
]

_BY_NUMBER: Final[Mapping[int, State]] = {
    1: "ENROUTE", 2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 6: "ACCEPTD",
    7: "UNKNOWN", 8: "REJECTD",
}  # fmt: skip
_BY_PREFIX: Final[Mapping[str, State]] = {
    "ENR": "ENROUTE", "DELIV": "DELIVRD", "EXP": "EXPIRED", "DELE": "DELETED", "UNDEL": "UNDELIV",
    "ACC": "ACCEPTD", "REJ": "REJECTD",
}  # fmt: skip
_MESSAGE_TYPE: Final = 0x3C
_RECEIPT_TYPES: Final = frozenset({0x04, 0x20})
_HEX_DIGITS: Final = "0123456789abcdefABCDEF"
_LONGEST_ID: Final = 65
"""SMPP 3.4 section 4.4.2; a TLV or a text can hold any number of digits."""
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
"""Not white space; PostgreSQL keeps no NUL."""
_NEXT = r"[,;](?:\s|$|(?:id|sub|dlvrd|submit|done|stat|err|text)\b)"
_FIELD = re.compile(rf"\b(id|stat|err)\s*:(?:\s+(?!\w+\s*:))?((?:(?!{_NEXT})\S)*)", re.IGNORECASE)
"""Its value may stand apart from the colon, and a comma or semicolon before the next field."""


class UnreadableReceipt(Exception):
    """It claims to be a receipt and does not say of which message."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message we sent."""

    message_id: str
    state: State
    error: str = ""


def is_receipt(message: DeliverSm | DataSm) -> bool:
    """Whether this is a receipt: by esm_class (section 5.2.12), or by the TLV only an SMSC writes.

    Never by its text, which any subscriber could send.
    """
    if message.esm_class & _MESSAGE_TYPE in _RECEIPT_TYPES:
        return True
    return tlv(message.tlvs, Tag.RECEIPTED_MESSAGE_ID) is not None


def parse(message: DeliverSm | DataSm, form: IdForm) -> Receipt:
    """Read a receipt; UnreadableReceipt if it names no message."""
    octets, _ = content(message)
    fields = _fields(_text(message.data_coding, octets))
    raw_id = (tlv(message.tlvs, Tag.RECEIPTED_MESSAGE_ID) or b"").split(b"\0")[0].decode("latin-1")
    named = _CONTROLS.sub("", raw_id) or fields.get("id", "")
    message_id = normal_id(named[:_LONGEST_ID], "receipt", form)
    if not message_id:
        raise UnreadableReceipt("a delivery receipt that names no message")
    return Receipt(
        message_id,
        _state(tlv(message.tlvs, Tag.MESSAGE_STATE), fields.get("stat", "")),
        _error(tlv(message.tlvs, Tag.NETWORK_ERROR_CODE), fields.get("err", "")),
    )


def normal_id(raw: str, origin: Literal["response", "receipt"], form: IdForm) -> str:
    """Return a message id in the one form in which responses and receipts can be compared.

    `text`: as it is, without padding; hexadecimal digits in lower case. `hex_dec`: the number in
    decimal, read as hexadecimal from a response, as decimal from a receipt (as hexadecimal if it
    cannot be decimal).
    """
    trimmed = raw.strip(" \0")
    if not trimmed or trimmed.strip(_HEX_DIGITS):
        return trimmed
    if form == "text":
        return trimmed.lower().lstrip("0") or "0"
    decimal = origin == "receipt" and trimmed.isdecimal()
    return str(int(trimmed, 10 if decimal else 16))


def _text(data_coding: int, octets: bytes) -> str:
    """Read a receipt's text: ASCII in whatever the SMSC says it is, unless it is UCS-2.

    Some end it, or each of its fields, as C ends strings.
    """
    return _CONTROLS.sub("", decode_text(data_coding if data_coding == 8 else 3, octets))


def _fields(text: str) -> dict[str, str]:
    """Read `name:value` up to `text:`, where the subscriber's own words begin."""
    head = re.split(r"\btext\s*:", text, maxsplit=1, flags=re.IGNORECASE)[0]
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall(head):
        fields.setdefault(name.lower(), value)
    return fields


def _state(number: bytes | None, word: str) -> State:
    if number is not None and len(number) == 1 and number[0] in _BY_NUMBER:
        return _BY_NUMBER[number[0]]
    upper = word.upper()
    for prefix, state in _BY_PREFIX.items():
        if upper.startswith(prefix):
            return state
    return "UNKNOWN"


def _error(code: bytes | None, word: str) -> str:
    """Return the network's error: three digits from the TLV (its last two octets), or the word."""
    if code is not None and len(code) == 3:
        return f"{int.from_bytes(code[1:], 'big'):03d}"
    return word
