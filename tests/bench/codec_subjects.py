"""One codec's cost: `python -m tests.bench.codec_subjects NAME SECONDS` prints us a PDU as JSON.

To encode is to go from the fields' values through the codec's own object to octets, to decode is to
go from octets to that object. All codecs get the same PDUs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from timeit import Timer
from typing import Any

ROUNDS = 9
SOURCE, DESTINATION = "12530019", "8613905250001"
QUESTION = "《茉莉花》2元/月,会员1元。回Y1029订购"
MO_TEXT = "DG 1029"
MESSAGE_ID = "0a1b2c3d"

# By name of the PDU: how to encode it, how to decode its octets.
Ways = dict[str, tuple[Callable[[], bytes], Callable[[bytes], object]]]


def toneline() -> Ways:
    from smpp import pdu
    from smpp.commands import DeliverSm, DeliverSmResp, EnquireLink, SubmitSm, SubmitSmResp

    question, mo = QUESTION.encode("utf-16-be"), MO_TEXT.encode()
    makers: dict[str, Callable[[], Any]] = {
        "submit_sm": lambda: SubmitSm(
            7, SOURCE, DESTINATION, question, 8, 0, 1, "",
            source_addr_npi=1, dest_addr_ton=1, dest_addr_npi=1,
        ),
        "submit_sm_resp": lambda: SubmitSmResp(7, 0, MESSAGE_ID),
        "deliver_sm": lambda: DeliverSm(
            7, DESTINATION, SOURCE, mo,
            source_addr_ton=1, source_addr_npi=1, dest_addr_npi=1,
        ),
        "deliver_sm_resp": lambda: DeliverSmResp(7, 0),
        "enquire_link": lambda: EnquireLink(7),
    }  # fmt: skip
    return {
        name: (lambda make=make: pdu.encode(make()), pdu.decode)  # type: ignore[misc]
        for name, make in makers.items()
    }


def smpplib() -> Ways:
    from smpplib import command, smpp

    addresses = {"source_addr_npi": 1, "dest_addr_npi": 1}
    question, mo = QUESTION.encode("utf-16-be"), MO_TEXT.encode()
    fields: dict[str, dict[str, Any]] = {
        "submit_sm": {
            "source_addr": SOURCE, "destination_addr": DESTINATION, "short_message": question,
            "dest_addr_ton": 1, "data_coding": 8, "registered_delivery": 1, **addresses,
        },
        "submit_sm_resp": {"message_id": MESSAGE_ID},
        "deliver_sm": {
            "source_addr": DESTINATION, "destination_addr": SOURCE, "short_message": mo,
            "source_addr_ton": 1, **addresses,
        },
        "deliver_sm_resp": {},
        "enquire_link": {},
    }  # fmt: skip

    def encode(name: str) -> bytes:
        made = command.factory(name, sequence=0, **fields[name])
        made.sequence = 7  # what it is given it does not write
        octets: bytes = made.generate()
        return octets

    def decode(octets: bytes) -> object:
        return smpp.parse_pdu(octets, sequence=7, allow_unknown_opt_params=True)

    return {name: (lambda name=name: encode(name), decode) for name in fields}  # type: ignore[misc]


def aiosmpplib() -> Ways:
    # By name: it is installed where this is run, not where types are checked.
    state: Any = import_module("aiosmpplib.state")
    p: Any = import_module("aiosmpplib.protocol")
    ton, isdn = state.TON, state.NPI.ISDN
    line = state.PhoneNumber(SOURCE, ton.UNKNOWN, isdn)
    subscriber = state.PhoneNumber(DESTINATION, ton.INTERNATIONAL, isdn)
    makers: dict[str, tuple[Any, Callable[[], Any]]] = {
        "submit_sm": (
            p.SubmitSm,
            lambda: p.SubmitSm(7, short_message=QUESTION, source=line, destination=subscriber,
                               encoding="ucs2"),
        ),
        "submit_sm_resp": (p.SubmitSmResp, lambda: p.SubmitSmResp(7, message_id=MESSAGE_ID)),
        "deliver_sm": (
            p.DeliverSm,
            lambda: p.DeliverSm(7, short_message=MO_TEXT, source=subscriber, destination=line,
                                registered_delivery=0),
        ),
        "deliver_sm_resp": (p.DeliverSmResp, lambda: p.DeliverSmResp(7)),
        "enquire_link": (p.EnquireLink, lambda: p.EnquireLink(7)),
    }  # fmt: skip

    def decode(kind: Any, octets: bytes) -> object:
        return kind.from_pdu(octets, p.SmppMessage.parse_header(octets), "gsm0338")

    return {
        name: (lambda make=make: make().pdu(), lambda octets, kind=kind: decode(kind, octets))  # type: ignore[misc]
        for name, (kind, make) in makers.items()
    }


SUBJECTS = {"toneline": toneline, "smpplib": smpplib, "aiosmpplib": aiosmpplib}


def us_a_call(call: Callable[[], object], seconds: float) -> float:
    """The fastest of several rounds: whatever else the machine does only adds."""
    timer = Timer(call)
    number = max(1, int(seconds / ROUNDS / (timer.timeit(20) / 20)))
    return round(min(timer.repeat(ROUNDS, number)) / number * 1e6, 3)


def main() -> None:
    name, seconds = sys.argv[1], float(sys.argv[2])
    found: dict[str, Any] = {"version": "" if name == "toneline" else version(name)}
    for pdu, (encode, decode) in SUBJECTS[name]().items():
        octets = encode()
        found[pdu] = {
            "octets": octets.hex(),
            "encode_us": us_a_call(encode, seconds),
            "decode_us": us_a_call(lambda d=decode, o=octets: d(o), seconds),  # type: ignore[misc]
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
