from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from store.changes import (
    EXTERNAL,
    ROUNDS_TO_WAIT,
    Subscriptions,
    Watch,
    announce,
    forget,
    publish,
    watch,
)
from store.database import LocalDatabase
from store.engine import engine_for
from store.group import Groups, Request
from tests.fakes import ledger


def test_each_topic_is_published_once_in_the_order_announced(database: LocalDatabase) -> None:
    with database.engine.begin() as connection:
        for topic in ("orders", "outbox", "orders"):
            announce(connection, topic)
        assert publish(connection) == ("orders", "outbox")
        assert publish(connection) == ()


def test_forgotten_topics_are_not_published(database: LocalDatabase) -> None:
    with database.engine.begin() as connection:
        announce(connection, "orders")
        assert forget(connection) == ("orders",)
        assert publish(connection) == ()


def test_subscribers_hear_their_topic_until_they_unsubscribe() -> None:
    heard: list[str] = []
    subscriptions = Subscriptions(lambda *_: None)
    end = subscriptions.add("orders", lambda: heard.append("orders"))
    subscriptions.add("outbox", lambda: heard.append("outbox"))
    subscriptions.tell(["orders", "nobody's"])
    assert heard == ["orders"]
    subscriptions.tell([EXTERNAL])
    assert heard == ["orders", "orders", "outbox"]
    end()
    end()
    subscriptions.tell(["orders"])
    assert len(heard) == 3


def test_a_callback_may_unsubscribe_itself_and_others_while_told() -> None:
    heard: list[str] = []
    subscriptions = Subscriptions(lambda *_: None)

    def once() -> None:
        heard.append("once")
        end()

    end = subscriptions.add("orders", once)
    subscriptions.add("orders", lambda: heard.append("always"))
    subscriptions.tell(["orders"])
    subscriptions.tell(["orders"])
    assert heard == ["once", "always", "always"]


def test_a_failing_callback_is_reported_and_the_next_is_called() -> None:
    failed: list[str] = []
    heard: list[str] = []
    subscriptions = Subscriptions(lambda topic, error: failed.append(f"{topic}: {error}"))

    def fail() -> None:
        raise ValueError("mine")

    subscriptions.add("orders", fail)
    subscriptions.add("orders", lambda: heard.append("orders"))
    subscriptions.tell(["orders"])
    assert failed == ["orders: mine"]
    assert heard == ["orders"]


def test_a_watch_sees_what_others_commit_and_not_what_we_do(
    database: LocalDatabase, database_url: str
) -> None:
    ledger.create(database.engine)
    groups = Groups(engine_for(database_url))
    changed = watch(engine_for(database_url), groups.driver_connection)
    assert changed.topics() in {(), (EXTERNAL,)}  # nothing to compare with yet
    groups.run([Request(ledger.enter, ("ours", 1))])
    changed.topics()
    groups.run([Request(ledger.enter, ("ours too", 1))])
    assert changed.topics() == ()
    database.run_now(ledger.enter, "another's", 1)
    seen = _next(changed)
    assert seen in {(EXTERNAL,), ("ledger", "entry:another's")}
    assert changed.topics() == ()
    groups.close()
    ledger.drop(database.engine)


def test_a_watch_whose_database_goes_away_says_nothing_and_then_that_anything_may_have_changed(
    database: LocalDatabase, database_url: str
) -> None:
    if database.engine.dialect.name != "postgresql":
        return  # a file does not go away
    changed = watch(engine_for(database_url), lambda: None)
    assert changed.topics() == (EXTERNAL,)
    database.run_now(_end_listeners)
    seen = [changed.topics() for _ in range(2 * ROUNDS_TO_WAIT)]
    assert (EXTERNAL,) in seen
    assert set(seen) <= {(), (EXTERNAL,)}


def _end_listeners(connection: Connection) -> None:
    connection.execute(
        text(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%'"
        )
    )


def test_a_watch_of_a_database_that_is_not_there_is_silent() -> None:
    assert watch(engine_for("postgresql+psycopg://x@127.0.0.1:1/x"), lambda: None).topics() == ()
    assert watch(engine_for("sqlite:////nowhere/x.db"), lambda: None).topics() == ()


def test_more_topics_than_a_notice_holds_are_told_as_external(
    database: LocalDatabase, database_url: str
) -> None:
    changed = watch(engine_for(database_url), lambda: None)
    first = changed.topics()
    database.run_now(_announce_many)
    if first == (EXTERNAL,):  # PostgreSQL: it listens
        assert _next(changed) == (EXTERNAL,)


def _next(changed: Watch) -> tuple[str, ...]:
    # PostgreSQL delivers a notice soon after the commit, not with it.
    while not (topics := changed.topics()):
        pass
    return topics


def _announce_many(connection: Connection) -> None:
    for n in range(500):
        announce(connection, f"order:{n:032}")


@pytest.mark.parametrize("topic", ["orders", "order:1"])
def test_a_local_database_calls_back_after_its_commit(database: LocalDatabase, topic: str) -> None:
    heard: list[str] = []
    end = database.on_change(topic, lambda: heard.append(topic))
    database.run_now(_announce, topic)
    with pytest.raises(ValueError, match="nothing"):
        database.run_now(_announce_nothing)
    assert heard == [topic]
    end()
    database.run_now(_announce, topic)
    assert heard == [topic]


def _announce(connection: Connection, topic: str) -> None:
    announce(connection, topic)


def _announce_nothing(connection: Connection) -> None:
    for topic in ("orders", "order:1"):
        announce(connection, topic)
    raise ValueError("nothing")
