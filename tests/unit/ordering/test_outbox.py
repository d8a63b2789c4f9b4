from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from ordering import claims, outbox
from store.database import LocalDatabase
from tests.fakes.messages import NOON, POLICY, a_message, an_offer
from tests.fakes.outbox import claim, claimed, put, settle, state

LONG = "歌" * 71
LATER = NOON + timedelta(minutes=1)


def test_a_message_put_twice_is_one_message_and_announced_once(database: LocalDatabase) -> None:
    heard: list[str] = []
    database.on_change("outbox", lambda: heard.append("outbox"))
    put(database, a_message(), a_message())
    assert heard == ["outbox"]
    assert claim(database) == ["m1"]


def test_a_message_that_is_not_to_be_sent_is_kept_with_the_reason(database: LocalDatabase) -> None:
    database.run_now(outbox.put_dropped, an_offer(), "refused", NOON)
    assert state(database, "o1") == ("dropped", "refused")
    assert claim(database) == []


def test_what_is_claimed_is_not_dropped_any_more(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    database.run_now(outbox.drop, "m1", "opted_out", NOON)
    assert state(database) == ("claimed", None)


# ---------------------------------------------------------------- the reference of long texts


def references(database: LocalDatabase) -> dict[str, int]:
    return {one.message.mt_id: one.reference for one in claimed(database)}


def test_long_texts_to_one_number_have_different_references(database: LocalDatabase) -> None:
    for number in range(3):
        now = NOON + timedelta(seconds=number)
        put(database, a_message(f"m{number}", text=LONG), now=now)
        put(database, a_message(f"s{number}"), now=now + timedelta(milliseconds=1))
    found = references(database)
    assert [found[f"m{number}"] for number in range(3)] == [1, 2, 3]
    assert [found[f"s{number}"] for number in range(3)] == [0, 0, 0]


def test_a_reference_begins_again_after_the_last_there_is(database: LocalDatabase) -> None:
    put(database, a_message("m1", text=LONG))
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE outbox SET reference = 65535"))
    put(database, a_message("m2", text=LONG), now=LATER)
    assert references(database)["m2"] == 0


def test_a_message_keeps_its_reference_when_it_is_sent_again(database: LocalDatabase) -> None:
    put(database, a_message(text=LONG))
    (first,) = claimed(database)
    settle(database, "later", again_at=NOON, of=2)
    (second,) = claimed(database, claimant="host/2")
    assert first.reference == second.reference


# ---------------------------------------------------------------- what waits


def levels(database: LocalDatabase) -> dict[str, tuple[int, bool]]:
    found = database.run_now(outbox.levels)
    return {level.message_class: (level.waiting, level.is_full) for level in found}


def test_what_waits_is_counted_by_class(database: LocalDatabase) -> None:
    assert levels(database) == {}
    put(database, a_message("a1"), a_message("a2", due_at=LATER), an_offer())
    claim(database, room=1)
    assert database.run_now(outbox.measure_queue, NOON, 10) == 0
    assert levels(database) == {"answer": (1, False), "order": (0, False), "offer": (1, False)}
    oldest = {one.message_class: one.oldest_due_at for one in database.run_now(outbox.levels)}
    assert oldest == {"answer": LATER, "order": None, "offer": NOON}


def test_over_the_limit_offers_are_refused_and_answers_are_not(database: LocalDatabase) -> None:
    put(database, an_offer("o1"))
    assert database.run_now(outbox.measure_queue, NOON, 1) == 1
    assert database.run_now(outbox.put, an_offer("o2"), NOON) == outbox.QUEUE_FULL
    assert state(database, "o2") == ("dropped", "queue_full")
    assert database.run_now(outbox.put, a_message(), NOON) is None
    assert state(database) == ("due", None)


def test_offers_are_taken_again_when_fewer_wait(database: LocalDatabase) -> None:
    put(database, an_offer("o1"))
    database.run_now(outbox.measure_queue, NOON, 1)
    database.run_now(outbox.drop, "o1", "opted_out", NOON)
    assert database.run_now(outbox.measure_queue, NOON, 1) == 1
    assert database.run_now(outbox.put, an_offer("o2"), NOON) is None


def test_the_expired_are_dropped_so_many_at_a_time(database: LocalDatabase) -> None:
    put(database, *(a_message(f"m{n}", expires_at=LATER) for n in range(3)), a_message("fresh"))
    assert database.run_now(outbox.drop_expired, NOON, 2) == 0
    assert database.run_now(outbox.drop_expired, LATER, 2) == 2 - 1  # `fresh` is the first by name
    assert database.run_now(outbox.drop_expired, LATER, 5) == 2
    assert state(database, "m0") == ("dropped", "expired")
    assert state(database, "fresh") == ("due", None)


# ---------------------------------------------------------------- with 100,000 offers waiting


def a_full_outbox(connection: Connection, waiting: int) -> None:
    many = """
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :many)
        INSERT INTO outbox (mt_id, msisdn, sender, text, message_class, purpose, state, created_at,
                            due_at, expires_at, attempts)
        SELECT 'x' || n, '8613805' || (100000 + n), '12530019', 'x', 'offer', 'campaign', 'due',
               n, n, 9000000000000000, 0
        FROM numbers
    """
    connection.execute(text(many), {"many": waiting})


def plans(database: LocalDatabase, work: Callable[[Connection], object]) -> Iterator[str]:
    """Yield the plan of each statement that reads the outbox as `work` runs it."""
    ran: list[tuple[str, Any]] = []

    def remember(_c: object, _k: object, sql: str, values: Any, _x: object, _m: object) -> None:
        ran.append((sql, values))

    engine = database.engine
    event.listen(engine, "before_cursor_execute", remember)
    with engine.begin() as connection:
        work(connection)
    event.remove(engine, "before_cursor_execute", remember)
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        for sql, values in ran:
            if sql.startswith("SELECT") and "FROM outbox" in sql:
                rows = connection.exec_driver_sql(f"{explain} {sql}", values)
                yield "\n".join(" ".join(map(str, row)) for row in rows)


def claiming(connection: Connection) -> None:
    assert claims.claim(connection, "host/1", 1, POLICY, NOON).claims


def releasing(connection: Connection) -> None:
    assert claims.release_stale(connection, NOON, ()) == 0


@pytest.mark.parametrize("work", [claiming, releasing])
def test_queued_offers_do_not_slow_answers(
    database: LocalDatabase, work: Callable[[Connection], object]
) -> None:
    put(database, a_message())
    with database.engine.begin() as connection:
        a_full_outbox(connection, 20_000)
    with database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    found = list(plans(database, work))
    assert found
    for plan in found:
        # Those that are claimed are few: reading all of their index is no scan of the table.
        through_due = "ix_outbox_due" in plan and "SCAN outbox" not in plan
        assert through_due or "ix_outbox_claimed" in plan
        assert "Seq Scan" not in plan
