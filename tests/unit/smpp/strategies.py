"""Every PDU there is, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from smpp.commands import (
    AlertNotification,
    Bind,
    BindResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)

octet = st.integers(0, 255)
sequence = st.integers(0, 0xFFFF_FFFF)
status = st.integers(0, 0xFFFF_FFFF)
modes = st.sampled_from(["transceiver", "receiver", "transmitter"])

# Known tags, vendors' tags and repeats are all as likely.
SIZES = {0x001E: (1, 65), 0x020C: (2, 2), 0x020E: (1, 1), 0x020F: (1, 1), 0x0423: (3, 3),
         0x0427: (1, 1)}  # fmt: skip
tags = st.one_of(st.sampled_from([0x0424, 0x1400, *SIZES]), st.integers(0, 0xFFFF))


def a_tlv(tag: int) -> st.SearchStrategy[tuple[int, bytes]]:
    """A TLV of a size that its tag may have."""
    fewest, most = SIZES.get(tag, (0, 40))
    return st.tuples(st.just(tag), st.binary(min_size=fewest, max_size=most))


tlvs = st.lists(tags.flatmap(a_tlv), max_size=4).map(tuple)


def c_string(size: int) -> st.SearchStrategy[str]:
    """What fits into a field of `size` octets with its NUL."""
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=size - 1)


def short_message(kind: type[SubmitSm] | type[DeliverSm]) -> st.SearchStrategy[Any]:
    return st.builds(
        kind,
        sequence=sequence,
        source_addr=c_string(21),
        destination_addr=c_string(21),
        short_message=st.binary(max_size=254),
        data_coding=octet,
        esm_class=octet,
        registered_delivery=octet,
        validity_period=c_string(17),
        source_addr_ton=octet,
        source_addr_npi=octet,
        dest_addr_ton=octet,
        dest_addr_npi=octet,
        service_type=c_string(6),
        protocol_id=octet,
        priority_flag=octet,
        schedule_delivery_time=c_string(17),
        replace_if_present_flag=octet,
        sm_default_msg_id=octet,
        tlvs=tlvs,
    )


def message_resp(kind: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, sequence=sequence, status=status, message_id=c_string(65), tlvs=tlvs)


data_sm = st.builds(
    DataSm,
    sequence=sequence,
    source_addr=c_string(65),
    destination_addr=c_string(65),
    data_coding=octet,
    esm_class=octet,
    registered_delivery=octet,
    source_addr_ton=octet,
    source_addr_npi=octet,
    dest_addr_ton=octet,
    dest_addr_npi=octet,
    service_type=c_string(6),
    tlvs=tlvs,
)
binds = st.builds(
    Bind,
    sequence=sequence,
    system_id=c_string(16),
    password=c_string(9),
    mode=modes,
    system_type=c_string(13),
    interface_version=octet,
    addr_ton=octet,
    addr_npi=octet,
    address_range=c_string(41),
    tlvs=tlvs,
)
alerts = st.builds(
    AlertNotification,
    sequence=sequence,
    source_addr=c_string(65),
    esme_addr=c_string(65),
    source_addr_ton=octet,
    source_addr_npi=octet,
    esme_addr_ton=octet,
    esme_addr_npi=octet,
    tlvs=tlvs,
)
pdus: st.SearchStrategy[Pdu] = st.one_of(
    short_message(SubmitSm),
    short_message(DeliverSm),
    data_sm,
    message_resp(SubmitSmResp),
    message_resp(DeliverSmResp),
    message_resp(DataSmResp),
    st.builds(EnquireLink, sequence=sequence),
    st.builds(EnquireLinkResp, sequence=sequence, status=status),
    binds,
    st.builds(
        BindResp, sequence=sequence, status=status, system_id=c_string(16), mode=modes, tlvs=tlvs
    ),
    st.builds(Unbind, sequence=sequence),
    st.builds(UnbindResp, sequence=sequence, status=status),
    st.builds(GenericNack, sequence=sequence, status=status),
    st.builds(Outbind, sequence=sequence, system_id=c_string(16), password=c_string(9)),
    alerts,
)
