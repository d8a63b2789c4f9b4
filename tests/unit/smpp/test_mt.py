from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import chain, repeat
from typing import Any

import pytest
from sqlalchemy import select
from twisted.internet.defer import Deferred, fail

from ordering import claims, outbox, outcomes
from smpp.commands import Status
from smpp.messages import LateResponse, PartResult
from smpp.mt import MtService
from smpp.receipt import Receipt
from store.database import LocalDatabase, StoreBusy, StoreError, StoreUnavailable
from store.schema import outbox_part
from tests.fakes.house import FakeBinds, House, a_clock
from tests.fakes.messages import MSISDN, NOON, POLICY, a_message, an_offer


def accepted(number: int) -> PartResult:
    return PartResult(number, "accepted", message_id=str(number + 6))


def refused(status: Status, number: int = 1) -> PartResult:
    return PartResult(number, "refused", status=status, why=status.name)


ACCEPTED = accepted(1)


@pytest.fixture
def house(database: LocalDatabase) -> House:
    return House(database)


def test_a_message_leaves_when_it_is_put_in_and_is_sent_when_accepted(house: House) -> None:
    house.service.startService()
    house.put(a_message(sender="12530019"))
    (submitted,) = house.bind.submitted
    assert (submitted.source, submitted.destination, submitted.text) == (
        "12530019",
        MSISDN,
        "您好",
    )
    assert submitted.validity == timedelta(hours=6)
    assert house.state() == ("claimed", None)
    house.bind.answer(ACCEPTED)
    assert house.state() == ("sent", None)
    with house.database.engine.connect() as connection:
        (part,) = connection.execute(select(outbox_part)).all()
    assert (part.smsc, part.message_id, part.part) == ("smsc", "7", 1)


def test_what_waited_before_the_start_leaves_at_the_start(house: House) -> None:
    house.put(a_message())
    assert house.bind.submitted == []
    house.service.startService()
    assert len(house.bind.submitted) == 1


def test_what_becomes_due_leaves_within_a_second(house: House) -> None:
    house.service.startService()
    house.put(a_message(due_at=NOON + timedelta(seconds=45)))
    house.timer.pump([1] * 44)
    assert house.bind.submitted == []
    house.timer.pump([1, 1])
    assert len(house.bind.submitted) == 1


def test_no_more_is_claimed_than_the_bind_has_room_for(database: LocalDatabase) -> None:
    house = House(database, room=2)
    house.put(*(a_message(f"m{number}") for number in range(5)))
    house.service.startService()
    assert len(house.bind.submitted) == 2
    house.bind.answer(ACCEPTED)
    house.service.wake()
    assert len(house.bind.submitted) == 3


def test_more_than_one_claim_holds_goes_on_at_once(database: LocalDatabase) -> None:
    house = House(database, room=1000)
    house.put(*(a_message(f"m{number}") for number in range(101)))
    house.service.startService()
    assert len(house.bind.submitted) == 101


def test_a_message_is_submitted_once_though_the_store_forgot_its_claim(
    database: LocalDatabase,
) -> None:
    house = House(database)
    house.service.startService()
    house.put(a_message())
    after = NOON + claims.LEASE + timedelta(seconds=1)
    database.run_now(claims.release_stale, after, ("answer",))
    house.service.wake()
    assert len(house.bind.submitted) == 1
    house.bind.answer(refused(Status.RINVDSTADR))
    assert house.state() == ("failed", "RINVDSTADR")


def test_messages_of_several_parts_wait_for_their_room(database: LocalDatabase) -> None:
    house = House(database, room=6)
    house.bind.parts = 3
    house.put(*(a_message(f"m{number}") for number in range(5)))
    house.service.startService()
    assert len(house.bind.submitted) == 2
    house.timer.pump([1] * 60)
    assert len(house.bind.submitted) == 2
    house.bind.answer(ACCEPTED)
    house.service.room()
    assert [message.mt_id for message in house.bind.submitted] == ["m0", "m1", "m2"]
    database.run_now(claims.release_stale, house.now(), ())
    assert house.state("m4") == ("claimed", None)


def test_what_was_claimed_and_not_submitted_goes_back_when_stopping(
    database: LocalDatabase,
) -> None:
    house = House(database, room=2)
    house.bind.parts = 2
    house.put(an_offer("o1"), an_offer("o2", msisdn="8613905250002"))
    house.service.startService()
    house.service.stopService()
    house.bind.answer(ACCEPTED)
    assert [message.mt_id for message in house.bind.submitted] == ["o1"]
    assert house.state("o1") == ("sent", None)
    assert house.state("o2") == ("due", None)


def test_nothing_is_claimed_without_a_bind(database: LocalDatabase) -> None:
    house = House(database)
    service = MtService(database, POLICY, "host", house.timer, house.now, lambda: "1")
    house.put(a_message())
    service.startService()
    assert house.state() == ("due", None)


# ---------------------------------------------------------------- what the SMSC did not take


@pytest.mark.parametrize(
    ("make", "parts", "state", "again_s"),
    [
        (a_message, [refused(Status.RINVDSTADR)], ("failed", "RINVDSTADR"), 0),
        (a_message, [ACCEPTED, refused(Status.RINVDSTADR, 2)], ("failed", "RINVDSTADR"), 0),
        (a_message, [PartResult(1, "refused", why="the text is too long")],
         ("failed", "the text is too long"), 0),
        (a_message, [refused(Status.RTHROTTLED)], ("due", "RTHROTTLED"), 2),
        (a_message, [refused(Status.RMSGQFUL)], ("due", "RMSGQFUL"), 2),
        (a_message, [refused(Status.RSYSERR)], ("due", "RSYSERR"), 10),
        (a_message, [PartResult(1, "not_sent")], ("due", "not_sent"), 2),
        (a_message, [PartResult(1, "lost")], ("due", "response_lost"), 5),
        (an_offer, [PartResult(1, "lost")], ("failed", "response_lost"), 0),
        (an_offer, [PartResult(1, "not_sent")], ("due", "not_sent"), 2),
    ],
)  # fmt: skip
def test_what_becomes_of_a_message_the_smsc_did_not_take(
    house: House,
    make: Callable[[str], outbox.Message],
    parts: list[PartResult],
    state: tuple[str, str | None],
    again_s: int,
) -> None:
    house.service.startService()
    house.put(make("m1"))
    house.bind.answer(*parts)
    assert house.state() == state
    house.timer.pump([1] * (again_s - 1))
    assert len(house.bind.submitted) == 1
    house.timer.pump([1] * 12)
    assert len(house.bind.submitted) == (2 if again_s else 1)


def test_an_smsc_says_by_class_what_is_sent_again(database: LocalDatabase) -> None:
    smsc = {"answer": "drop", "order": "resend", "offer": "resend"}
    house = House(database, smsc=smsc)
    house.service.startService()
    house.put(a_message("m1"), an_offer("o1"))
    house.bind.answer(PartResult(1, "lost"))
    house.bind.answer(PartResult(1, "lost"))
    assert house.state("m1") == ("failed", "response_lost")
    assert house.state("o1") == ("due", "response_lost")


def test_only_the_parts_that_are_missing_are_sent_again_by_the_same_smsc(house: House) -> None:
    house.service.startService()
    house.put(a_message(text="歌" * 150))
    house.bind.answer(ACCEPTED, PartResult(2, "lost"), PartResult(3, "not_sent"))
    house.timer.pump([1] * 6)
    first, second = house.bind.submitted
    assert (first.only, first.smsc) == ((), "")
    assert (second.only, second.smsc) == ((2, 3), "smsc")
    assert second.reference == first.reference
    house.bind.answer(accepted(2), accepted(3))
    assert house.state() == ("sent", None)
    house.timer.pump([1] * 60)
    assert len(house.bind.submitted) == 2


def test_a_late_response_keeps_a_message_from_being_sent_again(house: House) -> None:
    house.service.startService()
    house.put(a_message())
    house.bind.answer(PartResult(1, "lost"))
    house.service.late(LateResponse("m1", "smsc", refused(Status.RSYSERR)))
    assert house.state() == ("due", "response_lost")
    house.service.late(LateResponse("m1", "smsc", ACCEPTED))
    assert house.state() == ("sent", None)
    house.timer.pump([1] * 60)
    assert len(house.bind.submitted) == 1


def test_a_late_response_counts_while_the_message_is_under_way_again(house: House) -> None:
    house.service.startService()
    house.put(a_message())
    house.bind.answer(PartResult(1, "lost"))
    house.timer.pump([1] * 6)
    house.service.late(LateResponse("m1", "smsc", ACCEPTED))
    assert house.state() == ("claimed", "response_lost")
    house.bind.answer(PartResult(1, "lost"))
    assert house.state() == ("sent", None)


def test_a_late_response_is_kept_under_the_smsc_that_gave_it(house: House) -> None:
    house.service.startService()
    house.put(a_message())
    house.bind.answer(PartResult(1, "lost"), PartResult(2, "lost"))
    house.timer.pump([1] * 6)
    house.service.late(LateResponse("m1", "before", ACCEPTED))
    house.bind.answer(PartResult(1, "not_sent"), PartResult(2, "not_sent"))
    with house.database.engine.connect() as connection:
        (part,) = connection.execute(select(outbox_part)).all()
    assert (part.smsc, part.message_id, part.part) == ("before", "7", 1)
    house.timer.pump([1] * 12)
    assert (house.bind.submitted[-1].only, house.bind.submitted[-1].smsc) == ((2,), "before")


def test_what_expires_between_claim_and_submit_is_not_sent(database: LocalDatabase) -> None:
    # The poll, the exchange and its claims are in time; the submit is not any more.
    at = chain([NOON] * 3, repeat(NOON + timedelta(hours=7)))
    bind, ids = FakeBinds(1), iter("123456789")
    service = MtService(database, POLICY, "host", a_clock(), lambda: next(at), lambda: next(ids))
    service.send_through(bind)
    database.run_now(outbox.put, a_message(), NOON)
    service.startService()
    assert bind.submitted == []
    assert House(database).state() == ("dropped", "expired")


def test_a_message_whose_submit_broke_is_left_to_its_lease(house: House) -> None:
    house.service.startService()
    house.put(a_message())
    house.bind.break_down()
    assert house.state() == ("claimed", None)
    assert house.service.stopService().called


def test_a_long_wait_for_the_smsc_keeps_its_claim(house: House) -> None:
    house.service.startService()
    house.put(a_message())
    for _ in range(100):
        house.timer.advance(1)
        house.database.run_now(claims.release_stale, house.now(), ("answer",))
    assert len(house.bind.submitted) == 1
    house.bind.answer(ACCEPTED)
    assert house.state() == ("sent", None)


# ---------------------------------------------------------------- stopping


def test_stopping_waits_for_what_is_under_way_and_claims_nothing_more(house: House) -> None:
    house.service.startService()
    house.put(a_message())
    stopped: list[None] = []
    house.service.stopService().addCallback(stopped.append)
    house.put(a_message("m2"))
    house.service.wake()
    assert stopped == []
    house.bind.answer(ACCEPTED)
    assert stopped == [None]
    assert house.state() == ("sent", None)
    assert house.state("m2") == ("due", None)


def test_stopping_waits_for_an_smsc_that_does_not_answer_no_longer_than_it_is_told(
    house: House,
) -> None:
    house.service.startService()
    house.put(a_message())
    stopped: list[None] = []
    house.service.stopService().addCallback(stopped.append)
    house.timer.advance(house.DRAIN_S - 1)
    assert stopped == []
    house.timer.advance(1)
    assert stopped == [None]
    assert house.state() == ("claimed", None)  # until its lease ends
    house.bind.answer(ACCEPTED)
    assert house.state() == ("sent", None)


def test_stopping_what_never_started_is_at_once(house: House) -> None:
    assert house.service.stopService().called


# ---------------------------------------------------------------- a store that is away


class Store:
    """A database that fails when told to: before it does anything, or after the commit."""

    def __init__(self, database: LocalDatabase) -> None:
        self._database = database
        self.before: StoreError | None = None
        self.after: StoreError | None = None
        self.refuses: str | None = None

    def run(self, function: Any, *values: Any) -> Deferred[Any]:
        if self.before is not None:
            return fail(self.before)
        if self.refuses is not None and self.refuses in str(values):
            return fail(StoreError("the database refused this"))
        done = self._database.run(function, *values)
        return done if self.after is None else fail(self.after)

    def on_change(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._database.on_change(topic, callback)


AWAY = StoreUnavailable("the database is lost")


def a_house_with_a_store(database: LocalDatabase, room: int = 10) -> tuple[House, Store]:
    store = Store(database)
    house = House(database, room, store)
    return house, store


@pytest.mark.parametrize("error", [AWAY, StoreBusy("too many requests"), StoreError("a bug")])
def test_a_store_that_is_away_is_asked_again(database: LocalDatabase, error: StoreError) -> None:
    house, store = a_house_with_a_store(database)
    store.before = error
    house.put(a_message())
    house.service.startService()
    assert house.bind.submitted == []
    store.before = None
    house.timer.advance(1)
    assert len(house.bind.submitted) == 1


@pytest.mark.parametrize("error", [AWAY, StoreBusy("too many requests")])
def test_what_came_of_a_message_is_recorded_when_the_store_is_back(
    database: LocalDatabase, error: StoreError
) -> None:
    house, store = a_house_with_a_store(database)
    house.service.startService()
    house.put(a_message())
    store.before = error
    house.bind.answer(ACCEPTED)
    assert house.state() == ("claimed", None)
    assert house.service.health() == (True, "0 messages under way, 1 to be recorded")
    store.before = None
    house.timer.advance(1)
    assert house.state() == ("sent", None)
    assert house.service.health() == (True, "0 messages under way")


def test_a_claim_whose_answer_was_lost_is_asked_for_again(database: LocalDatabase) -> None:
    house, store = a_house_with_a_store(database)
    house.put(a_message())
    store.after = AWAY
    house.service.startService()
    assert house.bind.submitted == []
    assert house.state() == ("claimed", None)
    store.after = None
    house.timer.advance(1)
    assert len(house.bind.submitted) == 1


def test_an_outcome_the_store_refuses_does_not_hold_up_the_others(database: LocalDatabase) -> None:
    house, store = a_house_with_a_store(database)
    house.service.startService()
    house.put(a_message("m1"), a_message("m2"))
    store.before = AWAY
    house.bind.answer(ACCEPTED)
    house.bind.answer(ACCEPTED)
    store.before, store.refuses = None, "'m1'"
    house.timer.advance(1)
    assert house.state("m1") == ("claimed", None)
    assert house.state("m2") == ("sent", None)
    assert house.service.health() == (True, "0 messages under way")


def test_stopping_without_a_store_ends_nevertheless(database: LocalDatabase) -> None:
    house, store = a_house_with_a_store(database)
    house.service.startService()
    house.put(a_message())
    store.before = AWAY
    house.bind.answer(ACCEPTED)
    assert house.service.stopService().called


def test_what_is_sent_and_not_recorded_stays_within_the_window(database: LocalDatabase) -> None:
    house, store = a_house_with_a_store(database, room=3)
    house.service.startService()
    house.put(*(a_message(f"m{number}") for number in range(9)))
    store.before = AWAY
    for _ in range(3):
        house.bind.answer(ACCEPTED)
        house.service.room()
    assert len(house.bind.submitted) == 3
    store.before = None
    house.timer.advance(1)
    assert len(house.bind.submitted) == 6


# ---------------------------------------------------------------- receipts


def test_a_receipt_is_recorded_before_it_is_answered(house: House) -> None:
    house.put(a_message())
    house.database.run_now(outcomes.sent, "m1", (outcomes.Part(1, "smsc", "7"),), NOON)
    statuses: list[int] = []
    receipt = Receipt("7", "DELIVRD", "000")
    coming = Deferred.fromCoroutine(house.service.receipt("smsc", receipt))
    coming.addCallback(statuses.append)
    assert statuses == [Status.ROK]
    assert house.state() == ("delivered", None)
