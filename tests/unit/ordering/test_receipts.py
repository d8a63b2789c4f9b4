from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select

from ordering import claims, receipts
from ordering.outcomes import Part
from store.database import LocalDatabase
from store.schema import outbox as table
from store.schema import outbox_part, receipt
from tests.fakes.messages import NOON, a_message
from tests.fakes.outbox import claim, put, report, send, settle, state

LATER = NOON + timedelta(minutes=1)
PART_1 = Part(1, "smsc", "7")
HOURS = timedelta(hours=1)


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


def test_a_receipt_of_another_smsc_with_the_same_id_is_another(database: LocalDatabase) -> None:
    sent_message(database, "7")
    other = receipts.Report("other", "7", "UNDELIV", "", NOON)
    assert database.run_now(receipts.report, other) is None
    assert state(database) == ("sent", None)


def test_an_old_receipt_of_an_id_that_is_used_again_does_not_count(database: LocalDatabase) -> None:
    report(database, "7", "UNDELIV", at=NOON - timedelta(days=1))
    sent_message(database, "7")
    assert state(database) == ("sent", None)
    report(database, "7", "DELIVRD")
    assert state(database) == ("delivered", None)


def test_an_id_used_again_may_have_its_receipt_before_the_response(database: LocalDatabase) -> None:
    report(database, "7", "DELIVRD", at=NOON - timedelta(days=1))
    put(database, a_message())
    claim(database)
    report(database, "7", "DELIVRD")
    send(database, "7")
    assert state(database) == ("delivered", None)


def test_of_early_receipts_the_first_final_one_counts_though_it_was_repeated_last(
    database: LocalDatabase,
) -> None:
    put(database, a_message())
    claim(database)
    for seconds, word in enumerate(("DELIVRD", "EXPIRED", "DELIVRD")):
        report(database, "7", word, at=NOON + timedelta(seconds=seconds))
    send(database, "7")
    assert state(database) == ("delivered", None)


def test_a_receipt_means_the_newest_message_of_an_id(database: LocalDatabase) -> None:
    sent_message(database, "7")
    put(database, a_message("m2"))
    claim(database, claimant="host/2")
    settle(database, "sent", "m2", LATER, "host/2", parts=(PART_1,))
    assert report(database, "7", "DELIVRD", at=LATER) == "m2"
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


def test_every_receipt_is_kept_once_with_when_it_came_first_and_last(
    database: LocalDatabase,
) -> None:
    for at in (NOON, LATER):
        report(database, "9", "DELIVRD", at=at)
    with database.engine.connect() as connection:
        (kept,) = connection.execute(select(receipt)).all()
    assert (kept.received_at, kept.last_at) == (NOON, LATER)


# ---------------------------------------------------------------- none comes


def give_up(database: LocalDatabase, most: int = 10, smsc: str = "smsc") -> int:
    """Give up, an hour later, what was submitted before it."""
    now = NOON + HOURS
    return database.run_now(receipts.give_up, smsc, now, most, now)


def test_a_message_of_which_nothing_is_heard_is_unknown_until_something_is(
    database: LocalDatabase,
) -> None:
    sent_message(database, "7", "8")
    assert database.run_now(receipts.give_up, "smsc", NOON, 10, NOON) == 0
    assert give_up(database, smsc="other") == 0
    assert give_up(database) == 2
    assert give_up(database) == 0
    assert state(database) == ("unknown", None)
    report(database, "7", "DELIVRD")
    assert state(database) == ("unknown", None)
    report(database, "8", "DELIVRD")
    assert state(database) == ("delivered", None)


def test_that_a_message_is_on_its_way_is_not_all_that_is_awaited(database: LocalDatabase) -> None:
    sent_message(database, "7")
    report(database, "7", "ENROUTE")
    assert give_up(database) == 1
    assert state(database) == ("unknown", None)


def test_what_was_heard_of_is_not_given_up(database: LocalDatabase) -> None:
    sent_message(database, "7", "8")
    report(database, "7", "DELIVRD")
    assert give_up(database) == 1
    assert state(database) == ("unknown", None)
    report(database, "8", "UNDELIV")
    assert state(database) == ("failed", "UNDELIV")


def test_so_many_are_given_up_at_a_time(database: LocalDatabase) -> None:
    sent_message(database, "7", "8", "9")
    assert [give_up(database, most=2) for _ in range(3)] == [2, 1, 0]


def test_a_half_sent_message_is_not_concluded(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    settle(database, "later", parts=(PART_1,), of=2, again_at=LATER)
    assert give_up(database) == 1
    assert state(database) == ("due", None)


# ---------------------------------------------------------------- in any order


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.permutations(
        ["sent", "unheard", "7 ENROUTE", "7 DELIVRD", "8 DELIVRD", "8 ACCEPTD", "7 DELIVRD"]
    )
)
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
        elif happening == "unheard":
            give_up(database)
        else:
            message_id, word = happening.split()
            report(database, message_id, word)
    assert state(database) == ("delivered", None)


def test_parts_are_kept_in_one_row_each(database: LocalDatabase) -> None:
    sent_message(database, "7", "8")

    def kept(connection: Connection) -> list[tuple[int, str, str]]:
        rows = connection.execute(select(outbox_part).order_by(outbox_part.c.part)).all()
        return [(row.part, row.smsc, row.message_id) for row in rows]

    assert database.run_now(kept) == [(1, "smsc", "7"), (2, "smsc", "8")]
    assert database.run_now(claims.release_stale, LATER, ()) == 0
