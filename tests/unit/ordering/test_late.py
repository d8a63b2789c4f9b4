"""Orders and calls that reach the store late: out of order, twice, or when nobody wants them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ordering import late, orders, records
from ordering.contact import Offer
from ordering.orders import OrderRefused, Placed
from ordering.records import CallEnded
from store.database import LocalDatabase
from store.schema import event, mo
from store.schema import outbox as table
from tests.fakes.messages import a_call, an_offer
from tests.unit.ordering.test_orders import LIMITS, MINUTE, NOON, NUMBER, a_notice, a_request

ONE = replace(LIMITS, orders_per_day=1)
FAILURE = late.Failure(
    replace(a_notice("told"), message_class="answer", purpose="order_failed", order_id="b"),
    {reason: (f"no_{reason}", f"no order: {reason}") for reason in orders.REFUSALS},
)


def place_late(
    database: LocalDatabase, at: datetime, limits: orders.Limits = LIMITS
) -> Placed | OrderRefused:
    """Do what was kept: order `b`, confirmed at noon."""
    request = a_request("b", "1030", NOON)
    return database.run_now(late.place_late, request, a_notice("mb"), FAILURE, limits, at)


def messages(connection: Connection) -> dict[str, tuple[Any, ...]]:
    rows = connection.execute(select(table))
    return {row.mt_id: (row.purpose, row.state, row.reason, row.due_at) for row in rows}


def refusals(connection: Connection) -> int:
    return len(connection.execute(select(event).where(event.c.kind == "refused")).all())


def text_in(connection: Connection, intent: str, at: datetime, text: str = "0") -> None:
    row = {
        "mo_id": "m", "smsc": "s", "msisdn": NUMBER, "destination": "12530019", "text": text,
        "digest": "", "intent": intent, "outcome": "", "received_at": at,
    }  # fmt: skip
    connection.execute(insert(mo).values(row))


def test_an_order_is_placed_once_however_often_it_is_done(database: LocalDatabase) -> None:
    for minutes in (1, 2):
        assert place_late(database, NOON + minutes * MINUTE) == Placed("b", "confirmed")
    assert set(database.run_now(messages)) == {"mb"}


def test_an_order_that_is_refused_is_told_once_with_its_reason(database: LocalDatabase) -> None:
    database.run_now(orders.place, a_request("a"), a_notice("ma"), ONE, NOON)
    for minutes in range(1, 5):
        assert place_late(database, NOON + minutes * MINUTE, ONE) == OrderRefused("orders_per_day")
    told = database.run_now(messages)["told"]
    assert told[:2] == ("no_orders_per_day", "due")
    assert database.run_now(refusals) == 1


def test_an_order_that_was_refused_stays_so_when_it_would_be_possible_now(
    database: LocalDatabase,
) -> None:
    database.run_now(orders.place, a_request("a"), a_notice("ma"), ONE, NOON)
    place_late(database, NOON + MINUTE, ONE)
    database.run_now(orders.undo_last, NUMBER, NOON + 2 * MINUTE, 30, NOON + 2 * MINUTE)
    assert isinstance(place_late(database, NOON + 3 * MINUTE, ONE), OrderRefused)


def test_who_was_told_by_sms_that_there_is_no_order_gets_none(database: LocalDatabase) -> None:
    assert database.run_now(late.not_placed, "b", FAILURE.message, NOON + MINUTE)
    assert place_late(database, NOON + 2 * MINUTE) == OrderRefused("order_failed")
    assert database.run_now(orders.find_order, "b") is None


def test_an_order_that_is_an_hour_late_is_not_placed(database: LocalDatabase) -> None:
    assert place_late(database, NOON + late.LATEST + MINUTE) == OrderRefused(late.TOO_LATE)
    told = database.run_now(messages)["told"]
    assert (told[0], told[3]) == ("order_failed", NOON + late.LATEST + MINUTE)


def test_an_order_that_is_there_is_not_too_late(database: LocalDatabase) -> None:
    place_late(database, NOON + MINUTE)
    assert isinstance(place_late(database, NOON + late.LATEST + MINUTE), Placed)


@pytest.mark.parametrize("intent", ["undo", "cancel", "cancel_all"])
def test_who_has_texted_since_that_he_wants_none_gets_none(
    database: LocalDatabase, intent: str
) -> None:
    database.run_now(text_in, intent, NOON + MINUTE)
    assert place_late(database, NOON + 2 * MINUTE) == OrderRefused(late.TAKEN_BACK)
    assert database.run_now(messages)["told"][0] == "order_failed"


@pytest.mark.parametrize(
    ("text", "is_taken_back"),
    [
        ("TD 1030", True),
        ("TD１０３０", True),
        ("TD 1041 1030", True),
        ("TD", True),
        ("TD 2", True),
        ("TD 1041", False),
        ("TD１０４１", False),
    ],
)
def test_who_cancels_another_tone_by_its_code_keeps_this_order(
    database: LocalDatabase, text: str, is_taken_back: bool
) -> None:
    database.run_now(text_in, "cancel", NOON + MINUTE, text)
    placed = place_late(database, NOON + 2 * MINUTE)
    assert placed == OrderRefused(late.TAKEN_BACK) if is_taken_back else isinstance(placed, Placed)


@pytest.mark.parametrize(("intent", "at"), [("list", NOON + MINUTE), ("undo", NOON - MINUTE)])
def test_what_he_texted_before_or_of_other_things_takes_nothing_back(
    database: LocalDatabase, intent: str, at: datetime
) -> None:
    database.run_now(text_in, intent, at)
    assert isinstance(place_late(database, NOON + 2 * MINUTE), Placed)


# ---------------------------------------------------------------- calls out of order

SECOND = timedelta(seconds=1)


def a_late_call(call_id: str, ended_at: datetime) -> CallEnded:
    began = ended_at - 40 * SECOND
    return a_call(call_id, started_at=began, answered_at=began, ended_at=ended_at)


def its_offer(call_id: str, ended_at: datetime) -> Offer:
    due = ended_at + 120 * SECOND
    until = due + 15 * MINUTE
    return Offer(an_offer(f"m{call_id}", call_id=call_id, due_at=due, expires_at=until), None)


def test_an_earlier_calls_offer_does_not_come_after_a_later_calls_no(
    database: LocalDatabase,
) -> None:
    later = NOON + 60 * SECOND
    database.run_now(records.call_ended, a_late_call("b", later), Offer(None, "refused"), later)
    values = (a_late_call("a", NOON), its_offer("a", NOON), later + SECOND)
    database.run_now(records.call_ended, *values)
    assert database.run_now(messages)["ma"][1:3] == ("dropped", "replaced")


def test_an_earlier_call_does_not_take_a_later_calls_offer(database: LocalDatabase) -> None:
    later = NOON + 30 * MINUTE
    database.run_now(records.call_ended, a_late_call("b", later), its_offer("b", later), later)
    values = (a_late_call("a", NOON), its_offer("a", NOON), later + SECOND)
    database.run_now(records.call_ended, *values)
    assert database.run_now(messages)["mb"][1:3] == ("due", None)


def test_an_earlier_call_does_not_put_a_later_calls_offer_off(database: LocalDatabase) -> None:
    yesterday, later = NOON - timedelta(days=1), NOON + 60 * SECOND
    database.run_now(records.call_ended, a_late_call("y", yesterday), None, yesterday)
    database.run_now(records.call_ended, a_late_call("b", later), its_offer("b", later), later)
    database.run_now(records.call_ended, a_late_call("a", NOON), None, later + SECOND)
    assert database.run_now(messages)["mb"][3] == later + 120 * SECOND


def test_a_call_recorded_when_its_offer_would_be_too_late_leaves_none(
    database: LocalDatabase,
) -> None:
    values = (a_late_call("a", NOON), its_offer("a", NOON), NOON + 60 * MINUTE)
    database.run_now(records.call_ended, *values)
    assert database.run_now(messages)["ma"][1:3] == ("dropped", "expired")
