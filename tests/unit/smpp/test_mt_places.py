"""Places in the window that are kept for answers while they are stored."""

from __future__ import annotations

from typing import Any

import pytest

from ordering import claims
from smpp.messages import PartResult
from store.database import LocalDatabase
from tests.fakes.house import House
from tests.fakes.messages import a_message, an_offer

ACCEPTED = PartResult(1, "accepted", message_id="7")


@pytest.fixture
def house(database: LocalDatabase) -> House:
    return House(database)


def stored(house: House, claimant: str, mt_id: str = "m1") -> claims.Claim:
    """Put an answer in as `smpp.answers` does for a place."""
    made = house.database.run_now(
        claims.put_claimed, a_message(mt_id, due_at=house.now()), claimant, house.now()
    )
    assert made is not None
    return made


def test_an_answer_with_a_place_leaves_after_the_response_to_what_it_answers(house: House) -> None:
    house.service.startService()
    claimant = house.service.reserve()
    house.service.send_reserved(claimant, stored(house, claimant))
    assert house.bind.submitted == []  # the response is written in this turn of the reactor
    house.timer.advance(0)
    assert [message.mt_id for message in house.bind.submitted] == ["m1"]
    house.bind.answer(ACCEPTED)
    assert house.state() == ("sent", None)


def test_no_more_places_are_kept_than_the_window_holds(database: LocalDatabase) -> None:
    house = House(database, room=2)
    house.service.startService()
    assert all([house.service.reserve(), house.service.reserve()])
    assert house.service.reserve() == ""


def test_a_place_that_no_answer_needed_is_free_again(database: LocalDatabase) -> None:
    house = House(database, room=1)
    house.service.startService()
    house.service.send_reserved(house.service.reserve(), None)
    assert house.service.reserve()


def test_a_place_is_not_given_to_what_waits_in_the_outbox(database: LocalDatabase) -> None:
    house = House(database, room=1)
    house.service.startService()
    claimant = house.service.reserve()
    house.put(a_message("waits"))
    assert house.bind.submitted == []
    house.service.send_reserved(claimant, stored(house, claimant))
    house.timer.advance(0)
    assert [message.mt_id for message in house.bind.submitted] == ["m1"]


def test_once_an_answer_found_no_place_what_came_first_leaves_first(
    database: LocalDatabase,
) -> None:
    house = House(database, room=1)
    house.service.startService()
    house.service.send_reserved(house.service.reserve(), None)
    house.bind.room = 0
    assert house.service.reserve() == ""
    house.put(a_message("first"))
    house.bind.room = 1
    assert house.service.reserve() == ""
    house.service.room()
    house.bind.answer(ACCEPTED)
    house.timer.advance(1)
    assert house.service.reserve()
    assert house.state("first") == ("sent", None)


def test_offers_that_wait_leave_answers_their_places(database: LocalDatabase) -> None:
    house = House(database, room=1)
    for number in range(3):
        msisdn = f"861390525000{number}"
        house.put(an_offer(f"o{number}", msisdn=msisdn, due_at=house.now()))
    house.service.startService()
    assert [message.mt_id for message in house.bind.submitted] == ["o0"]
    claimant = house.service.reserve()
    house.service.send_reserved(claimant, stored(house, claimant))
    house.bind.answer(ACCEPTED)
    house.timer.advance(0)
    assert [message.mt_id for message in house.bind.submitted] == ["o0", "m1"]


def test_parts_under_way_take_no_places(database: LocalDatabase) -> None:
    house = House(database, room=6)
    house.bind.parts = 3
    house.service.startService()
    first = [house.service.reserve() for _ in range(2)]
    for number, claimant in enumerate(first):
        house.service.send_reserved(claimant, stored(house, claimant, f"m{number}"))
    house.timer.advance(0)
    assert house.bind.free() == 0
    assert all(house.service.reserve() for _ in range(6))
    assert house.service.reserve() == ""


def test_what_waits_is_not_forgotten_while_more_is_reserved_than_there_is_room(
    database: LocalDatabase,
) -> None:
    house = House(database, room=2)
    house.service.startService()
    for number in range(2):
        claimant = house.service.reserve()
        house.service.send_reserved(claimant, stored(house, claimant, f"m{number}"))
    house.timer.advance(0)
    kept = [house.service.reserve() for _ in range(2)]
    house.put(a_message("waits"))
    house.bind.answer(ACCEPTED)
    for claimant in kept:
        house.service.send_reserved(claimant, None)
    house.timer.advance(0)  # and no second later
    assert [message.mt_id for message in house.bind.submitted] == ["m0", "m1", "waits"]


def test_what_has_waited_for_a_second_comes_before_further_places(database: LocalDatabase) -> None:
    house = House(database, room=2)
    house.service.startService()
    kept = [house.service.reserve() for _ in range(2)]
    house.put(a_message("waits"))
    for _ in range(3):  # as many as there is room for are being stored at any time
        house.service.send_reserved(kept.pop(0), None)
        kept.append(house.service.reserve())
        house.timer.advance(0)
    assert house.bind.submitted == []
    house.timer.advance(1)
    house.service.send_reserved(kept.pop(0), None)
    assert house.service.reserve() == ""
    house.timer.advance(0)
    assert [message.mt_id for message in house.bind.submitted] == ["waits"]
    assert house.service.reserve()


def test_there_are_no_places_before_the_start_and_after_the_end(house: House) -> None:
    assert house.service.reserve() == ""
    house.service.startService()
    house.service.stopService()
    assert house.service.reserve() == ""


def test_an_answer_that_was_being_stored_at_the_end_is_left_to_others(house: House) -> None:
    house.service.startService()
    claimant = house.service.reserve()
    ended: Any = house.service.stopService()
    assert not ended.called
    house.service.send_reserved(claimant, stored(house, claimant))
    assert not ended.called
    house.timer.advance(0)
    assert ended.called
    assert house.bind.submitted == []
    assert house.state() == ("due", None)
