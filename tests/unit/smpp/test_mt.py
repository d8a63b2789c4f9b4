from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ordering import delivery, outbox
from smpp.commands import Status
from smpp.messages import MtMessage, PartResult, SubmitResult
from smpp.mt import PATIENCE, MtService
from smpp.receipt import Receipt
from store.database import LocalDatabase, StoreUnavailable
from store.schema import outbox as table
from store.schema import outbox_part
from tests.fakes.messages import MSISDN, NOON, POLICY, a_message, an_offer

ACCEPTED = PartResult(1, "accepted", message_id="7")


class FakeBind:
    """Has room for `room` messages, and answers them when the test says so."""

    name_of_smsc = "smsc"

    def __init__(self, room: int) -> None:
        self.room = room
        self.submitted: list[MtMessage] = []
        self._waiting: list[Deferred[SubmitResult]] = []

    def free(self) -> int:
        return self.room - len(self._waiting)

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        self.submitted.append(message)
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def answer(self, *parts: PartResult) -> None:
        self._waiting.pop(0).callback(SubmitResult(parts))


def a_clock() -> Any:
    """Return a Clock: it has IReactorTime's methods, but does not say so."""
    return Clock()


class House:
    """The service with its database, a bind and a clock to turn."""

    def __init__(self, database: LocalDatabase, room: int = 10) -> None:
        self.database = database
        self.timer = a_clock()
        self.bind = FakeBind(room)
        self.ids = map(str, range(1_000_000))
        self.service = MtService(
            database, POLICY, "host", self.timer, self.now, lambda: next(self.ids)
        )
        self.service.send_through(self.bind)

    def now(self) -> Any:
        return NOON + timedelta(seconds=self.timer.seconds())

    def put(self, *messages: outbox.Message) -> None:
        for message in messages:
            self.database.run_now(outbox.put, message, self.now())

    def state(self, mt_id: str = "m1") -> tuple[str, str | None]:
        with self.database.engine.connect() as connection:
            row = connection.execute(select(table).where(table.c.mt_id == mt_id)).one()
        return row.state, row.reason


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
    assert len({message.reference for message in house.bind.submitted}) == 3


def test_more_than_one_claim_holds_goes_on_at_once(database: LocalDatabase) -> None:
    house = House(database, room=1000)
    house.put(*(a_message(f"m{number}") for number in range(101)))
    house.service.startService()
    assert len(house.bind.submitted) == 101


def test_nothing_is_claimed_without_a_bind(database: LocalDatabase) -> None:
    house = House(database)
    service = MtService(database, POLICY, "host", house.timer, house.now, lambda: "1")
    house.put(a_message())
    service.startService()
    assert house.state() == ("due", None)


@pytest.mark.parametrize(
    ("make", "parts", "state"),
    [
        (a_message, [PartResult(1, "refused", status=Status.RINVDSTADR, why="RINVDSTADR")],
         ("failed", "RINVDSTADR")),
        (a_message, [ACCEPTED, PartResult(2, "refused", status=Status.RSUBMITFAIL)],
         ("failed", "status 0x45")),
        (a_message, [PartResult(1, "refused", why="the text is too long")],
         ("failed", "the text is too long")),
        (a_message, [PartResult(1, "refused", status=Status.RTHROTTLED)], ("due", None)),
        (a_message, [PartResult(1, "refused", status=Status.RMSGQFUL)], ("due", None)),
        (a_message, [PartResult(1, "refused", status=Status.RSYSERR)], ("due", None)),
        (a_message, [PartResult(1, "not_sent")], ("due", None)),
        (a_message, [PartResult(1, "lost")], ("due", None)),
        (a_message, [ACCEPTED, PartResult(2, "not_sent")], ("due", None)),
        (an_offer, [PartResult(1, "lost")], ("failed", "response_lost")),
        (an_offer, [ACCEPTED, PartResult(2, "not_sent")], ("failed", "response_lost")),
        (an_offer, [PartResult(1, "not_sent")], ("due", None)),
    ],
)  # fmt: skip
def test_what_becomes_of_a_message_the_smsc_did_not_take(
    house: House,
    make: Callable[[str], outbox.Message],
    parts: list[PartResult],
    state: tuple[str, str | None],
) -> None:
    house.service.startService()
    house.put(make("m1"))
    house.bind.answer(*parts)
    assert house.state() == state
    assert len(house.bind.submitted) == 1
    house.timer.pump([1] * (int(PATIENCE.total_seconds()) + 1))
    assert len(house.bind.submitted) == (2 if state[0] == "due" else 1)


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


def test_stopping_what_never_started_is_at_once(house: House) -> None:
    assert house.service.stopService().called


def away_at_times(database: LocalDatabase) -> Any:
    class Away:
        lost = True

        def run(self, *values: Any) -> Deferred[Any]:
            if self.lost:
                raise StoreUnavailable("the database is lost")
            return database.run(*values)

        def on_change(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
            return database.on_change(topic, callback)

    return Away()


def test_a_store_that_is_away_is_asked_again(house: House) -> None:
    away = away_at_times(house.database)
    service = MtService(away, POLICY, "host", house.timer, house.now, lambda: "1")
    service.send_through(house.bind)
    house.put(a_message())
    service.startService()
    assert house.bind.submitted == []
    away.lost = False
    house.timer.advance(1)
    assert len(house.bind.submitted) == 1
    away.lost = True
    house.bind.answer(ACCEPTED)
    assert house.state() == ("claimed", None)


def test_a_receipt_is_recorded_before_it_is_answered(house: House) -> None:
    house.put(a_message())
    house.database.run_now(delivery.sent, "m1", (delivery.Part(1, "smsc", "7"),), NOON)
    statuses: list[int] = []
    receipt = Receipt("7", "DELIVRD", "000")
    coming = Deferred.fromCoroutine(house.service.receipt("smsc", receipt))
    coming.addCallback(statuses.append)
    assert statuses == [Status.ROK]
    assert house.state() == ("delivered", None)
