from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Table, create_engine, func, insert, select
from sqlalchemy.event import listens_for as event_listener

from ordering import callbacks, consent, orders, records, retention
from ordering import outbox as outbox_of
from ordering.callbacks import CallbackRequest
from ordering.consent import Question
from ordering.records import Preview
from store.database import LocalDatabase
from store.schema import (
    call,
    callback,
    event,
    metadata,
    mo,
    order,
    outbox,
    outbox_part,
    preview,
    question,
    receipt,
    shown_list,
)
from store.schema import consent as consent_table
from tests.fakes.messages import a_call, a_message
from tests.fakes.outbox import claim, put, report, send
from tests.unit.ordering.test_orders import LIMITS, NOON, NUMBER, a_notice, a_request

KEPT_FOR = timedelta(days=180)
INSTANT = timedelta(microseconds=1)
END = NOON + timedelta(days=3)


def sweep(database: LocalDatabase, now: datetime, most: int = 100) -> int:
    """Delete what is older than `KEPT_FOR`, step by step; return how many rows that were looked
    at are gone."""
    deleted, place = 0, ""
    while True:
        swept = database.run_now(retention.sweep, now - KEPT_FOR, place, most)
        deleted += swept.deleted
        place = swept.place
        if not place:
            return deleted


def count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar() or 0


def left(database: LocalDatabase) -> set[str]:
    """Return the names of the tables that still have rows."""
    tables = (call, preview, question, mo, outbox, outbox_part, receipt, event, callback,
              shown_list, order, consent_table)  # fmt: skip
    return {table.name for table in tables if database.run_now(count, table)}


def put_row(connection: Connection, /, table: Table, **values: Any) -> None:
    connection.execute(insert(table).values(**values))


def a_question(question_id: str = "q", tone_code: str = "1029") -> Question:
    return Question(
        question_id=question_id, msisdn=NUMBER, tone_code=tone_code, title="茉莉花",
        tier="visitor", price_fen=200, member_price_fen=150, senior_price_fen=100, pays_fen=200,
        shown="回Y1029", asked_at=NOON,
        expires_at=NOON + timedelta(minutes=60),
    )  # fmt: skip


def record_call(database: LocalDatabase, call_id: str = "c1") -> None:
    heard = Preview(1, "1029", NOON, 9000, to_the_end=True)
    ended = a_call(call_id, started_at=NOON, answered_at=NOON, ended_at=NOON, previews=(heard,))
    database.run_now(records.call_ended, ended, None, NOON)


def record_mo(database: LocalDatabase, mo_id: str = "mo1") -> None:
    database.run_now(
        put_row, mo, mo_id=mo_id, smsc="smsc", msisdn=NUMBER, destination="12530019", text="1029",
        digest="d", intent="order", outcome="asked", received_at=NOON,
    )  # fmt: skip


def everything_but_an_order(database: LocalDatabase) -> None:
    record_call(database)
    record_mo(database)
    put(database, a_message())
    claim(database)
    send(database, "7")
    report(database, "7", "DELIVRD")
    database.run_now(consent.ask, a_question())
    database.run_now(consent.close, "q", "declined", NOON)
    database.run_now(callbacks.ask, CallbackRequest("cb", NUMBER, "1029", "sms"), NOON)
    database.run_now(put_row, shown_list, msisdn=NUMBER, codes="[]", shown_at=NOON)
    for one in database.run_now(callbacks.claim, "host", 1, NOON, 60.0):
        database.run_now(callbacks.called, one, "host", "answered", "", NOON)


def test_records_are_kept_to_the_last_instant_of_their_time_and_then_deleted(
    database: LocalDatabase,
) -> None:
    everything_but_an_order(database)
    before = left(database)
    assert before >= {"call", "preview", "mo", "outbox", "outbox_part", "receipt", "question"}
    assert sweep(database, NOON + KEPT_FOR) == 0
    assert left(database) == before
    assert sweep(database, NOON + KEPT_FOR + INSTANT) > 0
    assert left(database) == set()
    assert sweep(database, NOON + KEPT_FOR + INSTANT) == 0


def an_order(database: LocalDatabase, **changes: Any) -> None:
    """Place an order with all that proves it: call, MO, question, consent, notice and its parts."""
    record_call(database)
    record_mo(database)
    database.run_now(consent.ask, a_question())
    database.run_now(consent.close, "q", "confirmed", NOON)
    request = replace(a_request(), mo_id="mo1", **changes)
    database.run_now(orders.place, request, a_notice_of(request.order_id), LIMITS, NOON)
    claim(database)
    send(database, "7", mt_id="m")
    report(database, "7", "DELIVRD")


def a_notice_of(order_id: str) -> Any:
    return replace(a_notice(), order_id=order_id)


PROOF = {"call", "preview", "mo", "outbox", "outbox_part", "receipt", "question", "event",
         "orders", "consent"}  # fmt: skip


def test_a_live_subscription_keeps_its_proof_whatever_its_age(database: LocalDatabase) -> None:
    an_order(database)
    record_call(database, "other")
    database.run_now(outbox_of.put_dropped, a_message(), "expired", NOON)
    assert sweep(database, NOON + timedelta(days=3000)) == 2
    assert left(database) == PROOF
    assert database.run_now(count, call) == database.run_now(count, outbox) == 1
    assert database.run_now(orders.consent_of, "a") is not None


def test_a_subscription_that_ended_is_kept_as_long_again_from_its_end(
    database: LocalDatabase,
) -> None:
    an_order(database)
    database.run_now(orders.cancel, NUMBER, ["1029"], "TD", END)
    assert sweep(database, END + KEPT_FOR) == 0
    assert left(database) == PROOF
    sweep(database, END + KEPT_FOR + INSTANT)
    assert left(database) == set()


def test_an_order_that_was_undone_counts_from_then(database: LocalDatabase) -> None:
    an_order(database)
    database.run_now(orders.undo_last, NUMBER, NOON, 30, END)
    assert sweep(database, END + KEPT_FOR) == 0
    sweep(database, END + KEPT_FOR + INSTANT)
    assert left(database) == set()


def test_another_number_s_order_keeps_nothing(database: LocalDatabase) -> None:
    an_order(database, msisdn="8613905250002", order_id="b")
    sweep(database, NOON + timedelta(days=300))
    assert left(database) == {"orders", "consent", "event", "outbox", "outbox_part", "receipt"}


def test_what_waits_to_be_sent_or_called_is_not_deleted(database: LocalDatabase) -> None:
    put(database, a_message())
    database.run_now(callbacks.ask, CallbackRequest("cb", NUMBER, "1029", "sms"), NOON)
    sweep(database, NOON + timedelta(days=300))
    assert left(database) == {"outbox", "callback"}


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_steps_of_any_size_delete_the_same(database: LocalDatabase, most: int) -> None:
    for number in range(5):
        record_call(database, f"c{number}")
        record_mo(database, f"m{number}")
    an_order(database, call_id="c3")
    sweep(database, NOON + timedelta(days=300), most)
    assert database.run_now(count, call) == database.run_now(count, mo) == 1
    assert left(database) == PROOF


def test_a_step_looks_at_no_more_rows_than_it_was_told(database: LocalDatabase) -> None:
    for number in range(5):
        record_call(database, f"c{number}")
    calls = "[1, null]"
    first = database.run_now(retention.sweep, NOON + INSTANT, calls, 2)
    assert (first.deleted, first.place) == (2, '[1, "c1"]')


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection


@pytest.mark.parametrize("number", range(len(retention._KINDS)))
def test_every_step_goes_along_a_key_and_finds_what_keeps_a_row_by_an_index(
    connection: Connection, number: int
) -> None:
    plans: list[str] = []

    @event_listener(connection, "before_cursor_execute")
    def explain(_: object, cursor: Any, statement: str, values: Any, *more: object) -> None:
        rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        plans.extend(row[3] for row in rows)

    connection.execute(retention._next(number, False, 500), {"after": "1"})
    for statement in retention._deletions(number):
        connection.execute(statement, {"gone": ["1", "2"]})
    along = ("SEARCH", "CORRELATED SCALAR SUBQUERY")
    assert plans
    assert [line for line in plans if not line.startswith(along)] == []
