"""The simulated SMSC without sockets, on a clock that the tests move on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from smpp import smsc as module
from smpp import text
from smpp.commands import DataSm, DeliverSm, Status, SubmitSm, Tag, tlv
from smpp.receipt import parse
from smpp.smsc import Delivery, Faults, Smsc

MT = SubmitSm(1, "12530019", "8613905250001", b"Y", registered_delivery=1)


class Bind:
    """A receiving connection that keeps what is delivered."""

    def __init__(self, room: int = 10, mode: str = "transceiver") -> None:
        self.mode: str | None = mode
        self.room = room
        self.since = datetime(2026, 11, 22, tzinfo=UTC)
        self.peer = "192.0.2.1"
        self.deliveries: list[Delivery] = []

    def deliver(self, delivery: Delivery) -> None:
        self.room -= 1
        self.deliveries.append(delivery)

    @property
    def texts(self) -> list[bytes]:
        return [delivery.message.short_message for delivery in self.deliveries]


class House:
    def __init__(self, faults: Faults = module.NO_FAULTS, kept: int = 100) -> None:
        self.clock = Clock()
        self.smsc = Smsc(
            self.clock,
            self.now,
            system_id="toneline",
            password="secret",
            faults=faults,
            receipt_delay_s=2.0,
            kept=kept,
        )

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self.clock.seconds())

    def put(self, words: str) -> module.Mo:
        return self.smsc.put_mo("8613905250001", "12530019", text.segment(words, 1))


def test_binds_take_turns_and_a_full_one_is_passed_over() -> None:
    house = House()
    first, second = Bind(room=1), Bind(room=3)
    house.smsc.bound(first)
    house.smsc.bound(second)
    for words in "abcde":
        house.put(words)
    assert (first.texts, second.texts) == ([b"a"], [b"b", b"c", b"d"])
    assert house.smsc.waiting == 1


def test_what_a_lost_connection_had_comes_first_elsewhere_and_in_order() -> None:
    house = House()
    gone, other = Bind(), Bind()
    house.smsc.bound(gone)
    house.put("a")
    house.put("b")
    house.smsc.left(gone)
    house.put("c")
    house.smsc.put_back(gone.deliveries)
    house.smsc.bound(other)
    assert other.texts == [b"a", b"b", b"c"]


def test_what_is_refused_for_now_is_delivered_again_after_a_pause() -> None:
    house = House()
    bind = Bind()
    house.smsc.bound(bind)
    mo = house.put("a")
    house.smsc.answered(bind.deliveries[0], Status.RMSGQFUL)
    house.clock.advance(0.9)
    assert len(bind.deliveries) == 1
    house.clock.advance(0.1)
    assert bind.deliveries[0] is bind.deliveries[1]
    answered: Deferred[int] = Deferred()
    mo.answered.append(answered)
    house.smsc.answered(bind.deliveries[1], Status.RX_P_APPN)
    assert answered.result == Status.RX_P_APPN


def test_a_receipt_follows_in_its_time_and_can_be_read() -> None:
    house = House()
    bind = Bind()
    house.smsc.bound(bind)
    message_id = house.smsc.accept(MT)
    house.clock.advance(1.9)
    assert bind.deliveries == []
    house.clock.advance(0.1)
    message = bind.deliveries[0].message
    assert (message.source_addr, message.destination_addr) == ("8613905250001", "12530019")
    read = parse(message, "text", UTC)
    assert (read.message_id, read.state) == (message_id, "DELIVRD")
    assert read.submitted == datetime(2026, 11, 22, tzinfo=UTC)
    house.smsc.answered(bind.deliveries[0], Status.ROK)
    assert house.smsc.counts["receipts_answered"] == 1


@pytest.mark.parametrize(
    ("state", "asked", "comes"),
    [
        ("DELIVRD", 0, False), ("DELIVRD", 2, False), ("UNDELIV", 2, True), ("REJECTD", 1, True),
        ("EXPIRED", 0x11, True),
    ],
)  # fmt: skip
def test_receipts_come_as_they_were_asked_for(state: str, asked: int, comes: bool) -> None:
    house = House(Faults(receipt_state=state))
    bind = Bind()
    house.smsc.bound(bind)
    house.smsc.accept(MT._replace(registered_delivery=asked))
    house.clock.advance(2.0)
    assert [parse(one.message, "text", UTC).state for one in bind.deliveries] == [state] * comes


def test_receipts_without_a_bind_do_not_fill_the_memory() -> None:
    house = House(kept=2)
    for _ in range(3):
        house.smsc.accept(MT)
    house.clock.advance(2.0)
    assert (house.smsc.waiting, house.smsc.counts["receipts_dropped"]) == (2, 1)


def test_parts_are_kept_as_one_message_with_all_their_ids() -> None:
    house = House()
    parts = [
        MT._replace(short_message=one.short_message, esm_class=64, data_coding=8)
        for one in text.segment("订" * 100, 7)
    ]
    ids = [house.smsc.accept(part) for part in parts]
    (mt,) = house.smsc.mts
    assert (mt.text, mt.parts, mt.missing, mt.message_ids) == ("订" * 100, 2, 0, tuple(ids))
    house.smsc.accept(parts[0])
    assert len(house.smsc.mts) == 1


def test_parts_whose_siblings_never_come_are_kept_as_they_are() -> None:
    house = House()
    part = MT._replace(short_message=b"\5\0\3\1\3\2abc", esm_class=64)
    message_id = house.smsc.accept(part)
    house.clock.advance(61.0)
    house.smsc.accept(MT)
    whole, half = house.smsc.mts
    assert (whole.text, half.text, half.missing) == ("Y", "abc", 2)
    assert half.message_ids == (message_id,)


def test_ids_of_parts_that_never_end_do_not_fill_the_memory() -> None:
    house = House(kept=2)
    for reference in range(5):
        house.smsc.accept(
            MT._replace(short_message=bytes((5, 0, 3, reference, 2, 1)), esm_class=64)
        )
    assert len(house.smsc._ids) <= 2


def test_data_sm_is_kept_too() -> None:
    house = House()
    house.smsc.accept(DataSm(1, "12530019", "1", tlvs=((Tag.MESSAGE_PAYLOAD, b"Y"),)))
    assert house.smsc.mts[0].text == "Y"


def test_ids_grow_from_run_to_run() -> None:
    first = House().smsc.accept(MT)
    later = House()
    later.clock.advance(1.0)
    again = Smsc(later.clock, later.now, system_id="a", password="b")
    assert int(again.accept(MT), 16) > int(first, 16)


@pytest.mark.parametrize(
    ("asked", "found"),
    [("", 2), ("13905250001", 1), ("+86 139 0525 0001", 1), ("12530019", 1), ("13905250002", 0)],
)
def test_messages_are_found_by_any_form_of_their_number(asked: str, found: int) -> None:
    house = House()
    house.smsc.accept(MT)
    house.smsc.accept(MT._replace(destination_addr="+12530019"))
    assert len(house.smsc.mts_since(0, asked)) == found
    assert len(house.smsc.mts_since(2, asked)) == 0


def test_a_stopped_simulator_leaves_nothing_behind() -> None:
    house = House()
    house.smsc.accept(MT)
    watching = house.smsc.next_mt()
    ended: list[Any] = []
    watching.addErrback(ended.append)
    house.smsc.stop()
    assert len(ended) == 1
    assert house.clock.getDelayedCalls() == []


def test_a_receipt_names_its_message_in_a_tlv_as_well() -> None:
    house = House()
    bind = Bind()
    house.smsc.bound(bind)
    message_id = house.smsc.accept(MT)
    house.clock.advance(2.0)
    message: DeliverSm = bind.deliveries[0].message
    assert tlv(message.tlvs, Tag.RECEIPTED_MESSAGE_ID) == message_id.encode() + b"\0"
