from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select

from ordering import delivery, outbox
from ordering.delivery import Part, Report
from store.database import LocalDatabase
from store.schema import outbox as table
from store.schema import outbox_part, receipt
from tests.fakes.messages import NOON, POLICY, a_message, an_offer

LATER = NOON + timedelta(minutes=1)


def row(connection: Connection, mt_id: str = "m1") -> Any:
    return connection.execute(select(table).where(table.c.mt_id == mt_id)).one()


def state(database: LocalDatabase, mt_id: str = "m1") -> tuple[str, str | None]:
    found = database.run_now(row, mt_id)
    return found.state, found.reason


def put(database: LocalDatabase, *messages: outbox.Message, now: datetime = NOON) -> None:
    for message in messages:
        database.run_now(outbox.put, message, now)


def claim(
    database: LocalDatabase, room: int = 10, now: datetime = NOON, claimant: str = "host/1"
) -> list[str]:
    claimed = database.run_now(delivery.claim, claimant, room, POLICY, now)
    return [message.mt_id for message in claimed.messages]


def report(database: LocalDatabase, message_id: str, word: str, at: datetime = LATER) -> str | None:
    return database.run_now(delivery.report, Report("smsc", message_id, word, "000", at))


def send(database: LocalDatabase, *message_ids: str, mt_id: str = "m1") -> None:
    parts = tuple(Part(number, "smsc", one) for number, one in enumerate(message_ids, start=1))
    database.run_now(delivery.sent, mt_id, parts, NOON)


# ---------------------------------------------------------------- putting in


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


# ---------------------------------------------------------------- claiming


def test_answers_go_before_order_notices_and_those_before_offers(database: LocalDatabase) -> None:
    put(
        database,
        an_offer(due_at=NOON - timedelta(minutes=9)),
        a_message("n1", message_class="order", due_at=NOON - timedelta(minutes=5)),
        a_message("a2"),
        a_message("a1", due_at=NOON - timedelta(seconds=1)),
    )
    assert claim(database) == ["a1", "a2", "n1", "o1"]


def test_no_more_are_claimed_than_there_is_room_for(database: LocalDatabase) -> None:
    put(database, a_message("a1"), a_message("a2"), a_message("n1", message_class="order"))
    assert len(claim(database, room=2)) == 2
    assert claim(database, room=0, claimant="host/2") == []
    assert claim(database, claimant="host/3") == ["n1"]


def test_what_is_claimed_is_not_claimed_by_another(database: LocalDatabase) -> None:
    put(database, a_message())
    assert claim(database) == ["m1"]
    assert claim(database, claimant="other/1") == []


def test_a_claim_repeated_because_its_answer_was_lost_has_the_same_messages(
    database: LocalDatabase,
) -> None:
    put(database, a_message("a1"), a_message("a2"))
    assert claim(database, room=1) == claim(database, room=1)


def test_what_is_not_due_yet_waits(database: LocalDatabase) -> None:
    put(database, a_message(due_at=LATER))
    assert claim(database) == []
    assert claim(database, now=LATER) == ["m1"]


def test_what_is_past_its_time_is_dropped_and_the_next_take_its_place(
    database: LocalDatabase,
) -> None:
    stale = [
        a_message(f"s{n}", expires_at=NOON, due_at=NOON - timedelta(hours=7)) for n in range(5)
    ]
    put(database, *stale, a_message())
    claimed = database.run_now(delivery.claim, "host/1", 2, POLICY, NOON)
    assert [message.mt_id for message in claimed.messages] == ["m1"]
    assert claimed.dropped == 5
    assert state(database, "s0") == ("dropped", "expired")


def test_a_claimed_message_comes_as_it_was_put(database: LocalDatabase) -> None:
    message = a_message(tone_code="1029", order_id="o", call_id="c", mo_id="m")
    put(database, message)
    claimed = database.run_now(delivery.claim, "host/1", 1, POLICY, NOON)
    assert claimed.messages == (message,)


# ---------------------------------------------------------------- what came of it


def test_a_sent_message_is_sent_once_and_for_all(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    send(database, "7")
    send(database, "7")
    found = database.run_now(row)
    assert (found.state, found.sent_at, found.attempts) == ("sent", NOON, 1)
    assert claim(database, now=NOON + timedelta(hours=1)) == []


def test_a_refused_message_has_failed_with_the_reason(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    database.run_now(delivery.failed, "m1", (), "RINVDSTADR", NOON)
    assert state(database) == ("failed", "RINVDSTADR")
    assert database.run_now(row).sent_at is None


def test_a_half_sent_message_has_failed_and_keeps_the_part_that_went(
    database: LocalDatabase,
) -> None:
    put(database, a_message())
    claim(database)
    database.run_now(delivery.failed, "m1", (Part(1, "smsc", "7"),), "RINVDSTADR", NOON)
    assert report(database, "7", "DELIVRD") == "m1"
    assert state(database) == ("failed", "RINVDSTADR")


def test_a_message_that_could_not_go_now_is_due_again(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    database.run_now(delivery.released, "m1", LATER)
    assert claim(database, claimant="host/2") == []
    assert claim(database, now=LATER, claimant="host/2") == ["m1"]


def test_what_a_dead_host_had_claimed_is_sent_by_another_but_no_offer_twice(
    database: LocalDatabase,
) -> None:
    put(database, a_message(), an_offer())
    claim(database)
    assert database.run_now(delivery.release_stale, NOON) == 0
    after = NOON + delivery.LEASE + timedelta(seconds=1)
    assert database.run_now(delivery.release_stale, after) == 2
    assert claim(database, now=after, claimant="other/1") == ["m1"]
    assert state(database, "o1") == ("dropped", "perhaps_sent")


def test_a_message_sent_after_its_claim_was_taken_back_is_not_sent_again(
    database: LocalDatabase,
) -> None:
    put(database, a_message())
    claim(database)
    after = NOON + delivery.LEASE + timedelta(seconds=1)
    database.run_now(delivery.release_stale, after)
    send(database, "7")
    assert claim(database, now=after, claimant="other/1") == []


# ---------------------------------------------------------------- receipts


def sent_message(database: LocalDatabase, *message_ids: str) -> None:
    put(database, a_message())
    claim(database)
    send(database, *message_ids)


def test_a_message_is_delivered_when_all_its_parts_are(database: LocalDatabase) -> None:
    sent_message(database, "7", "8")
    assert report(database, "7", "DELIVRD") == "m1"
    assert state(database) == ("sent", None)
    report(database, "8", "DELIVRD")
    assert state(database) == ("delivered", None)


def test_a_receipt_that_comes_before_the_submit_response_counts(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    assert report(database, "7", "DELIVRD") is None
    send(database, "7")
    assert state(database) == ("delivered", None)


def test_an_old_receipt_of_an_id_that_is_used_again_does_not_count(database: LocalDatabase) -> None:
    report(database, "7", "UNDELIV", at=NOON - timedelta(days=1))
    sent_message(database, "7")
    assert state(database) == ("sent", None)
    report(database, "7", "DELIVRD")
    assert state(database) == ("delivered", None)


def test_a_receipt_means_the_newest_message_of_an_id(database: LocalDatabase) -> None:
    sent_message(database, "7")
    put(database, a_message("m2"))
    claim(database, claimant="host/2")
    parts = (Part(1, "smsc", "7"),)
    database.run_now(delivery.sent, "m2", parts, LATER)
    assert report(database, "7", "DELIVRD") == "m2"
    assert state(database) == ("sent", None)


@pytest.mark.parametrize("word", ["EXPIRED", "DELETED", "UNDELIV", "REJECTD"])
def test_a_message_of_which_a_part_failed_has_failed(database: LocalDatabase, word: str) -> None:
    sent_message(database, "7", "8")
    report(database, "7", word)
    report(database, "8", "DELIVRD")
    assert state(database) == ("failed", word)


def test_a_final_state_is_never_overwritten(database: LocalDatabase) -> None:
    sent_message(database, "7")
    report(database, "7", "ENROUTE")
    assert state(database) == ("sent", None)
    for word in ("DELIVRD", "ENROUTE", "UNDELIV", "ACCEPTD"):
        report(database, "7", word)
    assert state(database) == ("delivered", None)


def test_every_receipt_is_kept_once(database: LocalDatabase) -> None:
    for _ in range(2):
        report(database, "9", "DELIVRD")

    def kept(connection: Connection) -> int:
        return len(connection.execute(select(receipt)).all())

    with database.engine.connect() as connection:
        assert kept(connection) == 1


def test_parts_of_which_nothing_is_heard_become_unknown_until_something_is(
    database: LocalDatabase,
) -> None:
    sent_message(database, "7")
    assert database.run_now(delivery.give_up_receipts, NOON) == 0
    assert database.run_now(delivery.give_up_receipts, LATER) == 1
    assert state(database) == ("sent", None)
    report(database, "7", "DELIVRD")
    assert state(database) == ("delivered", None)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.permutations(["sent", "7 ENROUTE", "7 DELIVRD", "8 DELIVRD", "8 ACCEPTD", "7 DELIVRD"]))
def test_the_order_in_which_it_is_heard_does_not_matter(
    database: LocalDatabase, happenings: list[str]
) -> None:
    with database.engine.begin() as connection:
        for emptied in (outbox_part, receipt, table):
            connection.execute(delete(emptied))
    put(database, a_message())
    claim(database)
    for happening in happenings:
        if happening == "sent":
            send(database, "7", "8")
        else:
            message_id, word = happening.split()
            report(database, message_id, word)
    assert state(database) == ("delivered", None)
