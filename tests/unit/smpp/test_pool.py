from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from config.settings import Smsc as Settings
from smpp.messages import MtMessage, PartResult, SubmitResult
from smpp.pool import Member, SmscPool, member_of
from tests.fakes.wired import outcomes, result

MT = MtMessage("12530019", "8613905250001", "Y", 1)


class FakeSmsc:
    """Accepts what it is given, or answers as told."""

    def __init__(self, name: str, room: int = 10) -> None:
        self.name_of_smsc = name
        self.can_send = True
        self.room = room
        self.answer: Deferred[SubmitResult] | None = None
        self.submitted: list[MtMessage] = []

    def free(self) -> int:
        return self.room if self.can_send else 0

    def window(self) -> int:
        return 10 if self.can_send else 0

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        self.submitted.append(message)
        if self.answer is not None:
            return self.answer
        part = PartResult(1, "accepted", message_id="7")
        return succeed(SubmitResult((part,), self.name_of_smsc))


class House:
    """A pool of fake SMSCs named a, b, c, ... with these settings."""

    def __init__(self, *members: dict[str, Any]) -> None:
        self.smscs = [FakeSmsc("abcdef"[n]) for n in range(len(members))]
        self.pool = SmscPool(
            [Member(smsc, **values) for smsc, values in zip(self.smscs, members, strict=True)]
        )

    def sent(self, number: str = MT.destination, times: int = 1, **more: Any) -> str:
        """Return the names of the SMSCs that messages went to, in order."""
        results = [
            result(self.pool.submit(replace(MT, destination=number, **more))) for _ in range(times)
        ]
        return "".join(one.smsc or "-" for one in results)


def test_equal_ones_take_turns() -> None:
    house = House({}, {})
    assert house.sent(times=6) == "ababab"


def test_weights_are_shares_spread_evenly() -> None:
    house = House({"weight": 5}, {"weight": 1}, {"weight": 1})
    assert house.sent(times=7) == "aabacaa"
    assert Counter(house.sent(times=700)) == {"a": 500, "b": 100, "c": 100}


def test_those_with_room_come_first() -> None:
    house = House({"weight": 100}, {})
    house.smscs[0].room = 0
    assert house.sent(times=3) == "bbb"
    house.smscs[1].room = 0
    assert house.sent(times=3) == "aaa"


def test_one_that_was_away_is_not_flooded_when_it_is_back() -> None:
    house = House({}, {})
    house.smscs[0].can_send = False
    assert house.sent(times=100) == "b" * 100
    house.smscs[0].can_send = True
    assert house.sent(times=4) in ("abab", "baba")


def test_the_longest_prefix_decides() -> None:
    house = House({}, {"prefixes": ["86139"]}, {"prefixes": ["86138", "8613905"]})
    assert house.sent("8613905250001") == "c"
    assert house.sent("8613915250001") == "b"
    assert house.sent("8613805250001") == "c"
    assert house.sent("8615005250001") == "a"


def test_a_number_falls_back_to_shorter_prefixes_then_to_all_then_to_standbys() -> None:
    house = House(
        {"standby": True}, {}, {"prefixes": ["86139"]}, {"prefixes": ["8613905"]},
    )  # fmt: skip
    went = []
    for n in (3, 2, 1, 0):
        went.append(house.sent())
        house.smscs[n].can_send = False
    assert went == ["d", "c", "b", "a"]
    assert house.sent() == "-"


def test_no_number_goes_where_its_prefix_is_not() -> None:
    house = House({"prefixes": ["86139"]}, {"prefixes": ["86138"]})
    house.smscs[0].can_send = False
    assert house.sent("8613905250001") == "-"
    refused = result(house.pool.submit(replace(MT, destination="8615005250001")))
    assert refused.parts == (PartResult(1, "refused", why="no SMSC takes such numbers"),)


def test_a_message_whose_part_is_with_an_smsc_waits_for_it() -> None:
    house = House({}, {})
    assert house.sent(smsc="b", times=3) == "bbb"
    house.smscs[1].can_send = False
    assert house.sent(smsc="b") == "-"
    assert house.sent(smsc="gone") == "-"
    assert house.smscs[0].submitted == []


def test_what_surely_left_for_none_goes_to_the_next_at_once() -> None:
    house = House({}, {})
    house.smscs[0].answer = Deferred()
    waiting = house.pool.submit(MT)
    house.smscs[0].can_send = False
    house.smscs[0].answer.callback(SubmitResult((PartResult(1, "not_sent"),)))
    assert (outcomes(waiting), result(waiting).smsc) == (["accepted"], "b")


def test_with_nobody_else_it_was_not_sent() -> None:
    house = House({}, {})
    house.smscs[1].can_send = False
    house.smscs[0].answer = succeed(SubmitResult((PartResult(1, "not_sent"),)))
    assert outcomes(house.pool.submit(MT)) == ["not_sent"]


@pytest.mark.parametrize("outcome", ["accepted", "lost", "refused"])
def test_no_other_gets_a_message_of_which_a_part_left(outcome: Any) -> None:
    house = House({}, {})
    parts = (PartResult(1, outcome), PartResult(2, "not_sent"))
    house.smscs[0].answer = succeed(SubmitResult(parts, "a"))
    assert result(house.pool.submit(MT)).parts == parts
    assert house.smscs[1].submitted == []


def test_what_no_smsc_could_carry_is_tried_with_none() -> None:
    house = House({}, {})
    parts = (PartResult(1, "refused", why="destination_addr has 30 octets"),)
    house.smscs[0].answer = succeed(SubmitResult(parts))
    assert result(house.pool.submit(MT)).parts == parts
    assert house.smscs[1].submitted == []


def test_room_is_that_of_all_and_of_standbys_while_nobody_else_can_take_some_numbers() -> None:
    house = House({}, {}, {"standby": True})
    house.smscs[0].room = 3
    assert (house.pool.free(), house.pool.window()) == (13, 20)
    house.smscs[0].can_send = False
    assert (house.pool.free(), house.pool.window()) == (10, 10)
    house.smscs[1].can_send = False
    house.smscs[2].room = 4
    assert (house.pool.free(), house.pool.window()) == (4, 10)


@pytest.mark.parametrize(
    ("bound", "away", "is_needed"),
    [
        ([], ["86139"], False),
        (["8613"], ["86139", "86138"], False),
        (["86139"], ["86139", "86138"], True),
        (["86139"], [], True),
    ],
)
def test_a_standby_is_needed_for_numbers_that_nobody_else_takes(
    bound: list[str], away: list[str], is_needed: bool
) -> None:
    house = House({"prefixes": bound}, {"prefixes": away}, {"standby": True})
    house.smscs[1].can_send = False
    assert house.pool.free() == (20 if is_needed else 10)


def test_a_full_queue_wakes_no_standby() -> None:
    house = House({}, {"standby": True})
    house.smscs[0].answer = succeed(SubmitResult((PartResult(1, "not_sent"),)))
    assert house.sent() == "-"
    assert house.smscs[1].submitted == []


def test_what_a_bind_that_broke_had_not_sent_leaves_by_a_standby() -> None:
    house = House({}, {"standby": True})
    house.smscs[0].answer = waiting = Deferred[SubmitResult]()
    submitted = house.pool.submit(MT)
    house.smscs[0].can_send = False
    waiting.callback(SubmitResult((PartResult(1, "not_sent"),)))
    assert result(submitted).smsc == "b"


def test_standbys_alone_are_as_good_as_others() -> None:
    house = House({"standby": True}, {"standby": True})
    assert house.pool.free() == 20
    assert house.sent(times=2) == "ab"


def test_settings_become_shares() -> None:
    smsc = FakeSmsc("a")
    settings = Settings(
        name="a", host="h", system_id="s", password="p", weight=3, prefixes=["139"], standby=True
    )
    member = member_of(smsc, settings)
    assert (member.weight, member.prefixes, member.standby) == (3, ["86139"], True)
