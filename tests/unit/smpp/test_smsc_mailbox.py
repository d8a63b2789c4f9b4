from __future__ import annotations

from smpp import text
from smpp.commands import DeliverSm
from smpp.smsc_mailbox import Joined, Parts
from tests.unit.smpp.test_text import deliver


def two(reference: int = 1, words: str = "订" * 80) -> list[DeliverSm]:
    return [deliver(segment) for segment in text.segment(words, reference)]


def test_parts_of_two_senders_with_one_reference_stay_apart() -> None:
    parts = Parts()
    first, second = text.segment("订" * 80, 1)
    assert parts.add(deliver(first, "1"), 0.0) is None
    assert parts.add(deliver(second, "2"), 0.0) is None
    joined = parts.add(deliver(second, "1"), 0.0)
    assert joined is not None
    assert (joined.source, joined.text) == ("1", "订" * 80)


def test_a_repeated_part_counts_once_before_and_after_the_text_is_settled() -> None:
    parts = Parts()
    first, second = two()
    assert parts.add(first, 0.0) is None
    assert parts.add(first, 0.0) is None
    joined = parts.add(second, 1.0)
    assert joined is not None
    assert parts.add(second, 2.0) == joined  # not stored the first time: it comes out again
    parts.settle(joined)
    assert parts.add(second, 3.0) is None
    assert parts.add(first, 4.0) is None
    assert parts.expire(100.0) == []
    assert len(parts) == 0


def test_another_text_under_a_used_reference_begins_anew() -> None:
    parts = Parts()
    first, second = two()
    joined = [parts.add(part, 0.0) for part in (first, second)][-1]
    assert joined is not None
    parts.settle(joined)
    other = two(words="购" * 80)
    assert [parts.add(part, 1.0) for part in other][-1] == Joined(
        "8613905250001", "12530019", "购" * 80, ("购" * 80).encode("utf-16-be"), 8,
        key=("8613905250001", "12530019", 1, 2),
    )  # fmt: skip


def test_what_never_becomes_whole_comes_out_at_its_deadline() -> None:
    parts = Parts(deadline_s=60.0)
    assert parts.next_deadline() is None
    parts.add(two(1)[1], 10.0)
    parts.add(two(2)[0], 20.0)
    assert parts.next_deadline() == 70.0
    assert parts.expire(69.0) == []
    (given_up,) = parts.expire(70.0)
    assert (given_up.text, given_up.missing) == ("订" * 13, 1)
    assert len(parts) == 1
    parts.settle(given_up)
    assert parts.next_deadline() == 80.0


def test_memory_is_bounded_and_what_gives_way_is_not_lost() -> None:
    parts = Parts(limit=2)
    for reference in range(3):
        parts.add(two(reference)[0], float(reference))
    assert len(parts) == 2
    assert parts.next_deadline() == float("-inf")
    assert [given_up.missing for given_up in parts.expire(3.0)] == [1]


def test_parts_of_different_codings_are_read_each_in_its_own() -> None:
    parts = Parts()
    parts.add(DeliverSm(1, "1", "2", b"\x05\0\3\1\2\1\x00", 0, 0x40), 0.0)
    joined = parts.add(DeliverSm(2, "1", "2", b"\x05\0\3\1\2\2\x8b\xa2", 8, 0x40), 0.0)
    assert joined is not None
    assert joined.text == "@订"
    parts.settle(Joined("1", "2", "never in parts", b"", 0))


def test_a_surrogate_pair_another_sender_cut_in_two_is_whole_again() -> None:
    parts = Parts()
    octets = "😀".encode("utf-16-be")
    parts.add(DeliverSm(1, "1", "2", b"\x05\0\3\1\2\1" + octets[:2], 8, 0x40), 0.0)
    joined = parts.add(DeliverSm(2, "1", "2", b"\x05\0\3\1\2\2" + octets[2:], 8, 0x40), 0.0)
    assert joined is not None
    assert joined.text == "😀"
