from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred

from ordering import fulfilment, orders
from ordering.orders import Order
from scheduler.jobs import fulfil_due
from scheduler.timetable import timetable
from store.database import LocalDatabase
from store.wire import name_of
from tests.fakes.messages import a_message, an_offer
from tests.fakes.outbox import claim, put, send, state
from tests.unit.ordering.test_orders import LIMITS, NOON, NUMBER, a_request

LATER = NOON + timedelta(minutes=31)


class RecordingOperator:
    """The operator's side: keeps what it was asked for, and fails when told to."""

    def __init__(self, failing: bool = False, failing_for: str = "") -> None:
        self.done: list[tuple[str, str]] = []
        self.failed: list[str] = []
        self._failing = failing
        self._failing_for = failing_for

    async def quote(self, msisdn: str, tone: object) -> object:
        raise NotImplementedError

    async def provision(self, order: Order) -> None:
        self._do("provision", order)

    async def capture(self, order: Order) -> None:
        self._do("capture", order)

    def _do(self, what: str, order: Order) -> None:
        if self._failing or order.order_id == self._failing_for:
            raise ConnectionError("the operator's system is away")
        self.done.append((what, order.order_id))


def fulfil(
    database: LocalDatabase, operator: RecordingOperator, at: datetime, undo_min: int = 30
) -> object:
    return result(
        fulfil_due(
            database,
            operator,  # type: ignore[arg-type]  # quote is not used here
            "host",
            undo_min,
            lambda: at,
            lambda order, _failure: operator.failed.append(order.order_id),
        )
    )


def result(coroutine: Coroutine[Any, Any, object]) -> object:
    results: list[object] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    return results[0]


def test_an_order_is_provisioned_and_charged_each_once(database: LocalDatabase) -> None:
    operator = RecordingOperator()
    database.run_now(orders.place, a_request(), None, LIMITS, NOON)
    assert fulfil(database, operator, NOON) == 1
    assert fulfil(database, operator, NOON) == 0
    assert fulfil(database, operator, LATER) == 1
    assert operator.done == [("provision", "a"), ("capture", "a")]
    assert database.run_now(orders.state_of, "a") == "captured"


def test_without_an_undo_time_an_order_is_charged_at_once(database: LocalDatabase) -> None:
    operator = RecordingOperator()
    database.run_now(orders.place, a_request(), None, LIMITS, NOON)
    assert fulfil(database, operator, NOON, undo_min=0) == 2
    assert database.run_now(orders.state_of, "a") == "captured"


def test_what_was_begun_is_recorded_at_the_end_and_nothing_else_is_begun(
    database: LocalDatabase,
) -> None:
    operator: Any = RecordingOperator()
    for order_id, number in (("a", NUMBER), ("b", "8613905250009")):
        request = replace(a_request(order_id), msisdn=number)
        database.run_now(orders.place, request, None, LIMITS, NOON)
    goes_on = iter([True, False])
    none_fails: Any = None
    taken = fulfil_due(
        database, operator, "host", 0, lambda: NOON, none_fails, lambda: next(goes_on)
    )
    assert result(taken) == 2
    assert database.run_now(orders.state_of, "a") == "provisioned"  # and not captured yet
    assert sorted(operator.done) == [("provision", "a"), ("provision", "b")]


def test_what_was_undone_is_never_charged(database: LocalDatabase) -> None:
    operator = RecordingOperator()
    database.run_now(orders.place, a_request(), None, LIMITS, NOON)
    fulfil(database, operator, NOON)
    database.run_now(orders.undo_last, NUMBER, NOON, 30, NOON)
    assert fulfil(database, operator, LATER) == 0


def test_an_order_whose_operator_failed_is_tried_again_after_its_lease(
    database: LocalDatabase,
) -> None:
    database.run_now(orders.place, a_request(), None, LIMITS, NOON)
    fulfil(database, RecordingOperator(failing=True), NOON)
    assert database.run_now(orders.state_of, "a") == "confirmed"
    working = RecordingOperator()
    assert fulfil(database, working, NOON) == 0
    assert fulfil(database, working, NOON + timedelta(minutes=2)) == 1


def place_three(database: LocalDatabase) -> None:
    for order_id, code in (("a", "1007"), ("b", "1010"), ("c", "1029")):
        database.run_now(orders.place, a_request(order_id, code), None, LIMITS, NOON)


def test_an_order_that_fails_does_not_hold_up_the_others(database: LocalDatabase) -> None:
    place_three(database)
    operator = RecordingOperator(failing_for="b")
    assert fulfil(database, operator, NOON) == 3
    # All three are due in the same instant: any may be first.
    assert sorted(operator.done) == [("provision", "a"), ("provision", "c")]
    states = [database.run_now(orders.state_of, order_id) for order_id in "abc"]
    assert states == ["provisioned", "confirmed", "provisioned"]
    assert operator.failed == ["b"]


def test_an_order_that_cannot_be_charged_does_not_hold_up_the_others(
    database: LocalDatabase,
) -> None:
    place_three(database)
    fulfil(database, RecordingOperator(), NOON)
    fulfil(database, RecordingOperator(failing_for="b"), LATER)
    states = [database.run_now(orders.state_of, order_id) for order_id in "abc"]
    assert states == ["captured", "provisioned", "captured"]


def test_an_order_that_goes_on_failing_is_tried_ever_more_seldom(database: LocalDatabase) -> None:
    database.run_now(orders.place, a_request(), None, LIMITS, NOON)
    operator = RecordingOperator(failing=True)
    tried = [
        minute
        for minute in range(600)
        if fulfil(database, operator, NOON + timedelta(minutes=minute, seconds=minute))
    ]
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (1, 60)


TIMETABLE = timetable(
    resent=("answer", "order"), offers_waiting=10, receipt_timeouts={"smsc": timedelta(hours=72)}
)


def run(database: LocalDatabase, name: str, at: datetime) -> int:
    duty = next(duty for duty in TIMETABLE if duty.name == name)
    return database.run_now(duty.job, at, *duty.values)


def test_every_duty_is_idempotent_and_known_to_the_store_process(database: LocalDatabase) -> None:
    for duty in TIMETABLE:
        assert name_of(duty.job).startswith("scheduler.jobs.")
        assert duty.every_s > 0
        assert run(database, duty.name, NOON) == 0
        assert run(database, duty.name, NOON) == 0
    assert len({duty.name for duty in TIMETABLE}) == len(TIMETABLE)


def test_stale_claims_of_orders_are_released(database: LocalDatabase) -> None:
    database.run_now(orders.place, a_request(), None, LIMITS, NOON)
    database.run_now(fulfilment.claim_due, "dead", 1, NOON, 60.0)
    assert run(database, "release_stale_orders", LATER) == 1
    assert run(database, "expire_questions", LATER) == 0


def test_of_a_dead_host_s_messages_only_those_of_a_resent_class_go_on(
    database: LocalDatabase,
) -> None:
    put(database, a_message(), an_offer())
    claim(database)
    assert run(database, "release_stale_messages", LATER) == 2
    assert state(database) == ("due", None)
    assert state(database, "o1") == ("dropped", "perhaps_sent")


def test_messages_past_their_time_are_dropped_without_an_smsc(database: LocalDatabase) -> None:
    put(database, a_message(), an_offer())
    assert run(database, "drop_expired_messages", LATER) == 1
    assert state(database, "o1") == ("dropped", "expired")


def test_a_full_queue_of_offers_is_noticed(database: LocalDatabase) -> None:
    put(database, *(an_offer(f"o{number}") for number in range(10)))
    assert run(database, "measure_queue", NOON) == 1


def test_receipts_that_never_came_are_given_up_in_the_smsc_s_time(database: LocalDatabase) -> None:
    put(database, a_message())
    send(database, "7")
    assert run(database, "give_up_receipts", NOON + timedelta(hours=72)) == 0
    assert run(database, "give_up_receipts", NOON + timedelta(hours=72, seconds=1)) == 1
    assert state(database) == ("unknown", None)
