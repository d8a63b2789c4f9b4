from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select

from ordering import consent, contact, fulfilment, orders, receipts, records
from ordering.outbox import Message
from ordering.outcomes import Part
from ordering.records import CallEnded, CallStarted, Preview
from store.database import LocalDatabase
from store.schema import call, outbox, preview
from tests.fakes.messages import a_message
from tests.fakes.outbox import claim, put, settle
from tests.unit.ordering.test_orders import LIMITS, NOON, NUMBER, a_notice, a_request

STARTED = CallStarted("c1", NUMBER, "125300191029", "yangzhou", NOON)
ENDED = CallEnded(
    call_id="c1",
    msisdn=NUMBER,
    dialled="125300191029",
    branch="yangzhou",
    started_at=NOON,
    answered_at=NOON,
    ended_at=NOON + timedelta(seconds=20),
    outcome="hung_up",
    events=json.dumps(
        [
            [0, "played", {"sound": "tones/1029", "from_ms": 0, "to_ms": 9000}],
            [9000, "key", {"digit": "1"}],
            [9001, "quote", {"missing": "no answer"}],
        ]
    ),
    previews=(Preview(1, "1029", NOON, 9000, to_the_end=False),),
)


def kinds(database: LocalDatabase) -> list[str]:
    return [happening.kind for happening in database.run_now(records.trace, NUMBER)]


def rows(connection: Connection, table: object) -> list[object]:
    return list(connection.execute(select(table)))  # type: ignore[call-overload]  # any table


def test_a_call_is_traced_key_by_key(database: LocalDatabase) -> None:
    database.run_now(records.call_started, STARTED)
    database.run_now(records.call_ended, ENDED, None, NOON)
    started, played, key, quote, ended = database.run_now(records.trace, NUMBER)
    assert (started.kind, started.detail) == (
        "call_started",
        {"dialled": "125300191029", "branch": "yangzhou"},
    )
    assert (played.kind, played.detail["to_ms"]) == ("played", 9000)
    assert (key.kind, key.at) == ("key", NOON + timedelta(seconds=9))
    assert quote.detail == {"missing": "no answer"}
    assert (ended.kind, ended.detail["outcome"]) == ("call_ended", "hung_up")
    assert {happening.call_id for happening in (started, played, key, ended)} == {"c1"}


def test_a_calls_end_is_recorded_once_and_without_its_start(database: LocalDatabase) -> None:
    for _ in range(2):
        database.run_now(records.call_ended, ENDED, None, NOON)
    database.run_now(records.call_started, STARTED)
    assert len(database.run_now(rows, call)) == 1
    assert len(database.run_now(rows, preview)) == 1
    assert kinds(database)[-1] == "call_ended"


def test_a_call_that_still_runs_is_traced_as_far_as_it_is_known(database: LocalDatabase) -> None:
    database.run_now(records.call_started, STARTED)
    assert kinds(database) == ["call_started"]


def test_the_end_of_a_call_plans_its_hangup_sms_in_the_same_transaction(
    database: LocalDatabase,
) -> None:
    due_at = ENDED.ended_at + timedelta(seconds=45)
    offer = Message(
        "m1", NUMBER, "12530019", "您刚才试听了", "offer", "hangup_sms",
        due_at, due_at + timedelta(minutes=15), tone_code="1029", call_id="c1",
    )  # fmt: skip
    database.run_now(records.call_ended, ENDED, contact.Offer(offer, None), NOON)
    (mt,) = [one for one in database.run_now(records.trace, NUMBER) if one.kind == "mt"]
    assert (mt.detail["purpose"], mt.detail["state"], mt.call_id) == ("hangup_sms", "due", "c1")


def test_a_message_is_traced_with_its_attempts_its_smsc_and_each_part(
    database: LocalDatabase,
) -> None:
    put(database, a_message())
    claim(database)
    first = Part(1, "north", "0a")
    settle(database, "later", parts=(first,), of=2, reason="RTHROTTLED", again_at=NOON)
    (half,) = database.run_now(records.trace, NUMBER)
    assert (half.detail["smsc"], half.detail["attempts"]) == ("north", 1)
    assert [part["message_id"] for part in half.detail["parts"]] == ["0a"]
    claim(database, claimant="host/2")
    second = Part(2, "north", "0b")
    settle(database, "sent", parts=(second,), of=2, attempts=2, claimant="host/2")
    database.run_now(receipts.report, receipts.Report("north", "0b", "DELIVRD", "000", NOON))
    whole = next(one for one in database.run_now(records.trace, NUMBER) if one.kind == "mt")
    assert (whole.detail["state"], whole.detail["attempts"]) == ("sent", 2)
    assert whole.detail["parts"] == [
        {"part": 1, "smsc": "north", "message_id": "0a",
         "submitted_at": NOON.isoformat(), "receipt": None},
        {"part": 2, "smsc": "north", "message_id": "0b",
         "submitted_at": NOON.isoformat(), "receipt": "DELIVRD"},
    ]  # fmt: skip


def test_an_order_its_consent_charge_and_notice_are_in_the_trace(database: LocalDatabase) -> None:
    database.run_now(orders.place, a_request(), a_notice(), LIMITS, NOON)
    due = database.run_now(fulfilment.claim_due, "host", 1, NOON, 60.0)
    database.run_now(fulfilment.provisioned, due, 0, NOON)
    due = database.run_now(fulfilment.claim_due, "host", 1, NOON, 60.0)
    database.run_now(fulfilment.captured, due, NOON)
    assert sorted(kinds(database)) == ["charge", "consent", "mt", "order", "provision"]
    (consent,) = [one for one in database.run_now(records.trace, NUMBER) if one.kind == "consent"]
    assert consent.detail["answer"] == "1"
    assert consent.detail["quote"]["pays_fen"] == 200


def test_a_trace_shows_one_number_and_one_stretch_of_time(database: LocalDatabase) -> None:
    database.run_now(records.call_ended, ENDED, None, NOON)
    other = replace(ENDED, call_id="c2", msisdn="8613905250002")
    database.run_now(records.call_ended, other, None, NOON)
    second = NOON + timedelta(seconds=1)
    assert kinds(database) == ["call_started", "played", "key", "quote", "call_ended"]
    early = database.run_now(records.trace, NUMBER, NOON, second)
    assert [one.kind for one in early] == ["call_started", "played"]
    late = database.run_now(records.trace, NUMBER, second, datetime(2027, 1, 1, tzinfo=UTC))
    assert [one.kind for one in late] == ["key", "quote", "call_ended"]


def test_a_call_of_nobody_is_recorded_and_owed_nothing(database: LocalDatabase) -> None:
    nobody = replace(ENDED, msisdn=None)
    database.run_now(records.call_ended, nobody, None, NOON)
    assert len(database.run_now(rows, call)) == 1
    assert database.run_now(rows, outbox) == []


def test_what_came_of_one_instant_is_traced_causes_first(database: LocalDatabase) -> None:
    request = replace(a_request(), channel="sms")
    database.run_now(orders.place, request, a_notice(), LIMITS, NOON)
    asked = consent.Question(
        "q", NUMBER, "1029", "茉莉花", "visitor", 200, 150, 100, 200, "?", NOON, NOON
    )
    database.run_now(consent.ask, asked)
    database.run_now(orders.record, NOON, NUMBER, "quote", {"tone_code": "1029"})
    assert kinds(database) == ["quote", "question", "consent", "order", "mt"]


def test_what_a_call_noted_stays_in_its_order(database: LocalDatabase) -> None:
    noted = [[0, "quote", {}], [0, "key", {"digit": "1"}], [0, "played", {"sound": "s"}]]
    database.run_now(records.call_ended, replace(ENDED, events=json.dumps(noted)), None, NOON)
    assert kinds(database)[1:-1] == ["quote", "key", "played"]
