"""Offers that were claimed and could not leave: what allowed them is asked for again."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from ordering import claims, contact, records
from store.database import LocalDatabase
from tests.fakes.house import House
from tests.fakes.messages import MSISDN, a_message, an_offer
from tests.unit.smpp.test_mt import ACCEPTED


class StoreOfALostBind:
    """A store that answers claims, until told otherwise, when the bind has just been lost."""

    def __init__(self, database: LocalDatabase) -> None:
        self.house: House
        self.is_bound = False
        self._database = database
        self.on_change = database.on_change

    def run(self, function: Any, *values: Any) -> Deferred[Any]:
        answer = self._database.run(function, *values)
        if function is claims.exchange and not self.is_bound:
            self.house.bind.room = 0
        return answer


def lose_the_bind(store: StoreOfALostBind, database: LocalDatabase, *messages: Any) -> House:
    """Let a service claim messages, and its bind be gone when it has them."""
    house = store.house = House(database, store=store)
    house.put(*messages)
    house.service.startService()
    assert house.bind.submitted == []
    return house


def come_back(store: StoreOfALostBind) -> None:
    store.is_bound = True
    store.house.bind.room = 10
    store.house.service.room()


@pytest.fixture
def store(database: LocalDatabase) -> StoreOfALostBind:
    return StoreOfALostBind(database)


def test_an_offer_that_could_not_leave_waits_again_and_r_stops_it(
    store: StoreOfALostBind, database: LocalDatabase
) -> None:
    house = lose_the_bind(store, database, an_offer())
    assert house.state("o1") == ("claimed", None)
    house.timer.pump([1.0] * 120)
    assert house.state("o1") == ("due", None)
    database.run_now(contact.stop_offers, MSISDN, house.now())
    come_back(store)
    assert house.bind.submitted == []
    assert house.state("o1") == ("dropped", "opted_out")


def test_an_offer_that_could_not_leave_does_not_reach_who_is_on_the_line(
    store: StoreOfALostBind, database: LocalDatabase
) -> None:
    house = lose_the_bind(store, database, an_offer())
    house.timer.pump([1.0] * 120)
    started = records.CallStarted("c9", MSISDN, "12530019", None, house.now())
    database.run_now(records.call_started, started)
    come_back(store)
    assert house.bind.submitted == []
    assert house.state("o1") == ("dropped", "on_the_line")


def test_an_offer_that_could_not_leave_leaves_when_it_still_may(
    store: StoreOfALostBind, database: LocalDatabase
) -> None:
    house = lose_the_bind(store, database, an_offer())
    house.timer.pump([1.0] * 120)
    come_back(store)
    assert [message.mt_id for message in house.bind.submitted] == ["o1"]
    house.bind.answer(ACCEPTED)
    assert house.state("o1") == ("sent", None)


def test_an_answer_that_could_not_leave_stays_claimed(
    store: StoreOfALostBind, database: LocalDatabase
) -> None:
    house = lose_the_bind(store, database, a_message())
    house.timer.pump([1.0] * 120)
    assert house.state() == ("claimed", None)
    come_back(store)
    assert [message.mt_id for message in house.bind.submitted] == ["m1"]


def test_r_stops_an_offer_that_has_just_been_claimed(
    store: StoreOfALostBind, database: LocalDatabase
) -> None:
    house = lose_the_bind(store, database, an_offer(), a_message())
    database.run_now(contact.stop_offers, MSISDN, house.now())
    come_back(store)
    assert [message.mt_id for message in house.bind.submitted] == ["m1"]
    house.bind.answer(ACCEPTED)
    assert house.state("o1") == ("dropped", "opted_out")
