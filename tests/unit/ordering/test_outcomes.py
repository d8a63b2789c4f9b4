from __future__ import annotations

from datetime import timedelta

from ordering import contact, outcomes
from ordering.outcomes import Part
from store.database import LocalDatabase
from tests.fakes.messages import NOON, a_message, an_offer
from tests.fakes.outbox import claim, claimed, put, report, row, settle, state

LATER = NOON + timedelta(minutes=1)
LONG = "歌" * 150
PART_1, PART_2, PART_3 = (Part(number, "smsc", str(number + 6)) for number in (1, 2, 3))


def test_a_sent_message_is_sent_once_and_for_all(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    settle(database, "sent", parts=(PART_1,))
    settle(database, "sent", parts=(PART_1,))
    found = database.run_now(row)
    assert (found.state, found.sent_at, found.attempts) == ("sent", NOON, 1)
    assert claim(database, now=NOON + timedelta(hours=1)) == []


def test_a_refused_message_has_failed_with_the_reason(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    settle(database, "failed", reason="RINVDSTADR", of=1)
    assert state(database) == ("failed", "RINVDSTADR")
    assert database.run_now(row).sent_at is None


def test_a_reason_longer_than_its_column_is_cut(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    settle(database, "failed", reason="x" * 99)
    assert state(database) == ("failed", "x" * 40)


def test_a_half_sent_message_has_failed_and_keeps_the_part_that_went(
    database: LocalDatabase,
) -> None:
    put(database, a_message())
    claim(database)
    settle(database, "failed", parts=(PART_1,), reason="RINVDSTADR", of=2)
    assert database.run_now(row).sent_at == NOON
    assert report(database, "7", "DELIVRD") == "m1"
    assert state(database) == ("failed", "RINVDSTADR")


def test_a_message_that_may_have_gone_counts_as_gone_out(database: LocalDatabase) -> None:
    put(database, an_offer())
    claim(database)
    settle(database, "failed", "o1", reason=outcomes.RESPONSE_LOST, in_doubt=True)
    with database.engine.connect() as connection:
        assert contact.had_offer(connection, an_offer().msisdn, LATER)


def test_a_message_that_could_not_go_now_is_due_again_with_the_reason(
    database: LocalDatabase,
) -> None:
    put(database, a_message())
    claim(database)
    settle(database, "later", reason="RSYSERR", again_at=LATER, attempts=1)
    assert state(database) == ("due", "RSYSERR")
    assert claim(database, claimant="host/2") == []
    (again,) = claimed(database, now=LATER, claimant="host/2")
    assert again.attempts == 1


def test_what_expired_on_the_way_is_dropped(database: LocalDatabase) -> None:
    put(database, a_message())
    claim(database)
    settle(database, "dropped", reason="expired")
    assert state(database) == ("dropped", "expired")


# ---------------------------------------------------------------- parts


def half_sent(database: LocalDatabase) -> None:
    put(database, a_message(text=LONG))
    claim(database)
    settle(database, "later", parts=(PART_1, PART_3), of=3, reason="RSYSERR", again_at=NOON)


def test_parts_that_were_accepted_are_not_sent_again_nor_the_others_by_another_smsc(
    database: LocalDatabase,
) -> None:
    half_sent(database)
    (again,) = claimed(database, claimant="host/2")
    assert (again.smsc, again.left) == ("smsc", (2,))
    assert claimed(database, claimant="host/2") == (again,)


def test_a_message_is_sent_when_its_last_part_is(database: LocalDatabase) -> None:
    half_sent(database)
    report(database, "7", "DELIVRD")
    claim(database, claimant="host/2")
    settle(database, "sent", claimant="host/2", parts=(PART_2,))
    assert state(database) == ("sent", None)
    report(database, "8", "DELIVRD")
    report(database, "9", "DELIVRD")
    assert state(database) == ("delivered", None)


def test_a_half_sent_message_that_fails_in_the_end_has_gone_out(database: LocalDatabase) -> None:
    half_sent(database)
    claim(database, claimant="host/2")
    settle(database, "failed", at=LATER, claimant="host/2", reason="RINVDSTADR")
    found = database.run_now(row)
    assert (found.state, found.sent_at, found.ended_at) == ("failed", NOON, LATER)


def test_how_many_parts_there_are_is_not_forgotten_by_an_attempt_that_found_no_bind(
    database: LocalDatabase,
) -> None:
    half_sent(database)
    claim(database, claimant="host/2")
    settle(database, "later", claimant="host/2", reason="not_sent", again_at=NOON)
    (again,) = claimed(database, claimant="host/3")
    assert (again.smsc, again.left) == ("smsc", (2,))


# ---------------------------------------------------------------- late responses


def test_a_part_accepted_late_is_not_sent_again(database: LocalDatabase) -> None:
    half_sent(database)
    settle(database, "late", claimant="", parts=(PART_2,))
    assert state(database) == ("sent", None)
    assert claim(database, claimant="host/2") == []


def test_a_first_part_accepted_late_leaves_the_others_to_be_sent(database: LocalDatabase) -> None:
    put(database, a_message(text=LONG))
    claim(database)
    settle(database, "later", of=3, reason=outcomes.RESPONSE_LOST, again_at=NOON)
    settle(database, "late", claimant="", parts=(PART_1,))
    (again,) = claimed(database, claimant="host/2")
    assert (again.smsc, again.left) == ("smsc", (2, 3))


def test_an_offer_given_up_without_a_response_is_sent_when_the_response_comes(
    database: LocalDatabase,
) -> None:
    put(database, an_offer())
    claim(database)
    settle(database, "failed", "o1", of=1, reason=outcomes.RESPONSE_LOST, in_doubt=True)
    settle(database, "late", "o1", claimant="", parts=(PART_1,))
    assert state(database, "o1") == ("sent", None)
    report(database, "7", "DELIVRD")
    assert state(database, "o1") == ("delivered", None)


def test_a_refused_message_stays_failed_whatever_comes_late(database: LocalDatabase) -> None:
    put(database, a_message(text=LONG))
    claim(database)
    settle(database, "failed", of=2, parts=(PART_1,), reason="RINVDSTADR")
    settle(database, "late", claimant="", parts=(PART_2,))
    assert state(database) == ("failed", "RINVDSTADR")


def test_a_late_response_to_what_nobody_knows_changes_nothing(database: LocalDatabase) -> None:
    settle(database, "late", "nobody's", claimant="", parts=(PART_1,))
    put(database, a_message())
    settle(database, "late", claimant="", parts=(PART_1,))
    assert state(database) == ("due", None)
