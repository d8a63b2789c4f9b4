from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp import text
from smpp.commands import DataSm, DeliverSm, Tag
from smpp.smsc_mailbox import Joined, Parts
from smpp.text import Part, Segment

GSM7 = "".join(sorted(text._TO_GSM7))
whole_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=500)
ways = st.sampled_from(["udh8", "udh16", "sar", "payload"])


def deliver(segment: Segment, source: str = "8613905250001") -> DeliverSm:
    return DeliverSm(
        1,
        source,
        "12530019",
        segment.short_message,
        segment.data_coding,
        segment.esm_class,
        tlvs=segment.tlvs,
    )


def octets_on_air(segment: Segment) -> float:
    """How many octets the phone's network carries for a segment: septets are packed."""
    if segment.data_coding != 0:
        return len(segment.short_message)
    header = segment.short_message[0] + 1 if segment.esm_class & text.UDHI else 0
    septets = len(segment.short_message) - header
    return (-(-header * 8 // 7) + septets) * 7 / 8


# ---- characters


def test_every_character_of_gsm_03_38_survives() -> None:
    octets = text.encode_gsm7(GSM7)
    assert octets is not None
    assert text.decode_gsm7(octets) == GSM7
    assert len(GSM7) == 127 + 10


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"\x1b\x65", "€"),
        (b"\x1b\x41", "A"),  # an escape nobody knows shows the basic character
        (b"\x1b\x1b\x65", " e"),  # TS 23.038 6.2.1.1 note 1: reserved, a space
        (b"\x1b", ""),
        (b"\x80a", "\ufffda"),
        (b"\x00\x11", "@_"),
    ],
)
def test_odd_septets_are_read_as_the_specification_says(octets: bytes, shown: str) -> None:
    assert text.decode_gsm7(octets) == shown


@pytest.mark.parametrize(
    ("coding", "octets", "alphabet", "shown"),
    [
        (0, b"\x00\x1b\x65", "gsm7", "@€"),
        (0, b"\xe9", "latin1", "é"),
        (0, "订购".encode("gb18030"), "gb18030", "订购"),
        (1, b"DG 1029", "gsm7", "DG 1029"),
        (3, b"\xe9", "gsm7", "é"),
        (4, b"\xe9", "gsm7", "é"),
        (5, "カ".encode("shift_jis"), "gsm7", "カ"),
        (6, "Ж".encode("iso8859-5"), "gsm7", "Ж"),
        (7, "ש".encode("iso8859-8"), "gsm7", "ש"),
        (8, "订😀".encode("utf-16-be"), "gsm7", "订😀"),
        (8, b"\x8b\xa2\x8d", "gsm7", "订\ufffd"),
        (8, b"\xd8\x3d", "gsm7", "\ufffd"),
        (14, "한".encode("euc_kr"), "gsm7", "한"),
        (15, "订购".encode("gb18030"), "gsm7", "订购"),
        (0x0B, b"\xe9", "gsm7", "é"),
        (0x10, b"A\x00", "gsm7", "A@"),
        (0x14, b"\xe9", "gsm7", "é"),
        (0x18, "订".encode("utf-16-be"), "gsm7", "订"),
        (0x1C, b"A", "gsm7", "A"),
        (0xF0, b"\x00", "gsm7", "@"),
        (0xF4, b"\xe9", "gsm7", "é"),
        (0xC8, b"\x00", "gsm7", "@"),
        (0xE0, "订".encode("utf-16-be"), "gsm7", "订"),
        (0x80, b"A", "gsm7", "A"),
    ],
)
def test_each_data_coding_is_read_in_its_alphabet(
    coding: int, octets: bytes, alphabet: Any, shown: str
) -> None:
    assert text.decode_text(coding, octets, alphabet) == shown


@given(st.integers(0, 255), st.binary(max_size=300), st.sampled_from(["gsm7", "latin1", "gb18030"]))
def test_reading_never_fails(coding: int, octets: bytes, alphabet: Any) -> None:
    assert isinstance(text.decode_text(coding, octets, alphabet), str)


@pytest.mark.parametrize(
    ("words", "alphabet", "coding", "octets"),
    [
        ("Y1029", "gsm7", 0, b"Y1029"),
        ("price: 2€ `", "gsm7", 8, None),
        ("é`", "latin1", 0, b"\xe9`"),
        ("订", "latin1", 8, None),
        ("Y", "gb18030", 0, b"Y"),
        ("订", "gb18030", 8, b"\x8b\xa2"),
        ("a\ud800", "gsm7", 8, b"\0a\xff\xfd"),
    ],
)
def test_the_smsc_s_own_alphabet_is_used_where_it_is_enough(
    words: str, alphabet: Any, coding: int, octets: bytes | None
) -> None:
    assert text.encode_text(words, alphabet) == (
        coding,
        words.encode("utf-16-be") if octets is None else octets,
    )


# ---- long messages


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("订" * 70, 1), ("订" * 71, 2), ("订" * 134, 2), ("订" * 135, 3), ("订" * 201, 3),
        ("订" * 202, 4), ("😀" * 35, 1), ("😀" * 36, 2), ("😀" * 66, 2), ("😀" * 67, 3),
        ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1),
        ("€" * 81, 2), ("€" * 153, 3), ("", 1),
    ],
)  # fmt: skip
def test_texts_need_as_many_parts_as_phones_count(words: str, parts: int) -> None:
    assert len(text.segment(words, 1)) == parts


@given(whole_text, st.integers(0, 0xFFFF), ways, st.sampled_from(["gsm7", "latin1", "gb18030"]))
def test_parts_fit_cut_no_character_and_join_again(
    words: str, reference: int, way: Any, alphabet: Any
) -> None:
    segments = text.segment(words, reference, alphabet, way)
    parts = Parts(alphabet)
    joined: Joined | None = None
    for segment in reversed(segments):
        if segment.short_message:
            assert octets_on_air(segment) <= 140
        octets, _ = text.content(deliver(segment))
        assert (
            "\ufffd" not in text.decode_text(segment.data_coding, octets, alphabet)
            or "\ufffd" in words
        )
        assert joined is None
        joined = parts.add(deliver(segment), 0.0)
    assert joined is not None
    assert joined.text == words
    assert joined.missing == 0


def test_the_headers_are_those_of_the_specifications() -> None:
    words = "a" * 161
    assert text.segment(words, 0x1FF)[1].short_message[:6] == b"\x05\x00\x03\xff\x02\x02"
    assert text.segment(words, 0x1FF, "gsm7", "udh16")[0].short_message[:7] == (
        b"\x06\x08\x04\x01\xff\x02\x01"
    )
    assert text.segment(words, 0x1FF, "gsm7", "sar")[1].tlvs == (
        (Tag.SAR_MSG_REF_NUM, b"\x01\xff"),
        (Tag.SAR_TOTAL_SEGMENTS, b"\x02"),
        (Tag.SAR_SEGMENT_SEQNUM, b"\x02"),
    )
    (payload,) = text.segment(words, 1, "gsm7", "payload")
    assert payload.tlvs == ((Tag.MESSAGE_PAYLOAD, words.encode()),)
    assert len(text.segment("é" * 267, 1, "latin1", "udh16")) == 3
    assert len(text.segment("订" * 133, 1, "gsm7", "udh16")) == 3


def test_what_no_255_parts_can_carry_is_refused() -> None:
    with pytest.raises(text.TooLong, match="255 at most"):
        text.segment("订" * 67 * 255 + "订", 1)
    with pytest.raises(text.TooLong, match="message_payload"):
        text.segment("订" * 40_000, 1, "gsm7", "payload")


# ---- received parts


@pytest.mark.parametrize(
    ("esm_class", "octets", "content"),
    [
        (0, b"\x05\x00\x03\x01\x02\x01hi", (b"\x05\x00\x03\x01\x02\x01hi", None)),
        (0x40, b"\x05\x00\x03\x01\x02\x01hi", (b"hi", Part(1, 2, 1))),
        (0x40, b"\x06\x08\x04\x01\x00\x02\x02hi", (b"hi", Part(256, 2, 2))),
        (0x40, b"\x08\x24\x01\x02\x00\x03\x01\x02\x01hi", (b"hi", Part(1, 2, 1))),
        (0x40, b"\x05\x00\x03\x01\x00\x01hi", (b"hi", None)),
        (0x40, b"\x05\x00\x03\x01\x02\x03hi", (b"hi", None)),
        (0x40, b"\x05\x00\x03\x01\x01\x01hi", (b"hi", None)),
        (0x40, b"\x05\x00\x02\x01\x02\x01hi", (b"hi", None)),
        (0x40, b"\x03\x00\x09\x01hi", (b"hi", None)),
        (0x40, b"hi", (b"hi", None)),
        (0x40, b"", (b"", None)),
    ],
)
def test_user_data_headers_are_taken_off(
    esm_class: int, octets: bytes, content: tuple[bytes, Part | None]
) -> None:
    assert text.content(DeliverSm(1, "1", "2", octets, esm_class=esm_class)) == content


def test_text_may_be_in_the_payload_and_its_place_in_tlvs() -> None:
    sar = (
        (Tag.SAR_MSG_REF_NUM, b"\x01\x02"),
        (Tag.SAR_TOTAL_SEGMENTS, b"\x03"),
        (Tag.SAR_SEGMENT_SEQNUM, b"\x01"),
    )
    message = DataSm(1, "1", "2", tlvs=((Tag.MESSAGE_PAYLOAD, b"hi"), *sar))
    assert text.content(message) == (b"hi", Part(0x102, 3, 1))
    assert text.content(message._replace(tlvs=sar[:2])) == (b"", None)
