from __future__ import annotations

from datetime import UTC, datetime

from ordering.subscribers import Subscriber, set_subscriber, subscriber
from store.database import LocalDatabase

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
