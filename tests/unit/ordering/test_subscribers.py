from __future__ import annotations

from datetime import UTC, datetime

from catalog.values import FUNCTION_CODE
from ordering import orders
from ordering.subscribers import Subscriber, set_subscriber, subscriber
from store.database import LocalDatabase
from tests.unit.ordering.test_orders import LIMITS, a_request

NUMBER = "8613905250001"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_an_unknown_number_is_an_active_visitor_with_the_function_open(
    database: LocalDatabase,
) -> None:
    assert database.run_now(subscriber, NUMBER) == Subscriber(NUMBER, "visitor", "on", "active")


def test_only_what_is_given_is_changed(database: LocalDatabase) -> None:
    database.run_now(set_subscriber, NUMBER, NOW, "senior", None, None)
    database.run_now(set_subscriber, NUMBER, NOW, None, "off", None)
    database.run_now(set_subscriber, NUMBER, NOW, None, None, "suspended")
    assert database.run_now(subscriber, NUMBER) == Subscriber(NUMBER, "senior", "off", "suspended")


def test_an_order_of_the_function_opens_it_until_it_ends(database: LocalDatabase) -> None:
    database.run_now(set_subscriber, NUMBER, NOW, None, "off", None)
    order = a_request(tone_code=FUNCTION_CODE)
    database.run_now(orders.place, order, None, LIMITS, NOW)
    assert database.run_now(subscriber, NUMBER).function == "on"
    changed = database.run_now(set_subscriber, NUMBER, NOW, "senior", None, None)
    assert changed.function == "on"
    closed = database.run_now(set_subscriber, NUMBER, NOW, None, "off", None)
    assert closed == Subscriber(NUMBER, "senior", "off", "active")
    assert database.run_now(orders.live_order, NUMBER, FUNCTION_CODE) is None
