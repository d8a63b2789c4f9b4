"""the simulated SMSC's delivery receipts, in every form that SMSCs have.

SMPP 3.4: esm_class in 5.2.12, the TLVs receipted_message_id, message_state and network_error_code
in 5.3.2, the text in Appendix B.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from smpp.commands import DataSm, DeliverSm, SubmitSm, Tag, Tlvs
from smpp.smsc_rules import IdForm, ReceiptForm, State

_NUMBERS: Final[dict[State, int]] = {
    "ENROUTE": 1, "DELIVRD": 2, "EXPIRED": 3, "DELETED": 4, "UNDELIV": 5, "ACCEPTD": 6,
    "UNKNOWN": 7, "REJECTD": 8,
}  # fmt: skip
_FINAL_RECEIPT: Final = 0x04
_INTERMEDIATE: Final = 0x20
_GSM: Final = b"\x03"
_LONGEST_ADDRESS: Final = 20
"""Of a deliver_sm (4.6.1); a data_sm may have had 64 (4.7.1)."""


def written_id(number: int, form: IdForm) -> str:
    """Write a message id; `same` is hexadecimal, as responses have it if nothing else is asked."""
    if form == "decimal":
        return str(number)
    if form == "padded":
        return f"{number:020x}"
    return f"{number:X}" if form == "upper" else f"{number:x}"


def wanted(message: SubmitSm | DataSm, state: State) -> bool:
    """Whether the sender asked for a receipt (registered_delivery, 5.2.17); 2 is of failures."""
    asked = message.registered_delivery & 0x03
    return asked == 1 or (asked == 2 and state != "DELIVRD")


def receipts(
    message: SubmitSm | DataSm,
    message_id: str,
    form: ReceiptForm,
    submitted: datetime,
    done: datetime,
) -> tuple[DeliverSm, ...]:
    """Write everything that is told about a message, in the order in which it is told.

    `message_id` is written already; times are the SMSC's own.
    """
    told: list[tuple[State, int]] = [(state, _INTERMEDIATE) for state in form.intermediate]
    told.insert(0 if form.final_first else len(told), (form.state, _FINAL_RECEIPT))
    return tuple(
        DeliverSm(
            0,
            message.destination_addr[:_LONGEST_ADDRESS],
            message.source_addr[:_LONGEST_ADDRESS],
            _text(message_id, state, form, submitted, done),
            esm_class=esm_class,
            tlvs=_tlvs(message_id, state, form),
        )
        for state, esm_class in told
        for _ in range(form.copies)
    )


def _text(
    message_id: str, state: State, form: ReceiptForm, submitted: datetime, done: datetime
) -> bytes:
    if form.by == "tlv":
        return b""
    named = "" if form.by == "nothing" else f"id:{message_id} "
    return (
        f"{named}sub:001 dlvrd:{int(state == 'DELIVRD'):03d} submit date:{submitted:%y%m%d%H%M} "
        f"done date:{done:%y%m%d%H%M} stat:{state} err:{form.error} text:"
    ).encode("ascii")


def _tlvs(message_id: str, state: State, form: ReceiptForm) -> Tlvs:
    if form.by not in ("tlv", "both"):
        return ()
    tlvs: Tlvs = (
        (Tag.RECEIPTED_MESSAGE_ID, message_id.encode("ascii") + b"\0"),
        (Tag.MESSAGE_STATE, bytes((_NUMBERS[state],))),
    )
    if form.error != "000":
        tlvs += ((Tag.NETWORK_ERROR_CODE, _GSM + int(form.error).to_bytes(2, "big")),)
    return tlvs
