from __future__ import annotations

from datetime import timedelta

import pytest

from ordering import contact, delivery, outbox
from ordering.delivery import LEASE, MOST_LOOKED_AT, Part
from store.database import LocalDatabase
from tests.fakes.messages import NOON, POLICY, a_message, an_offer
from tests.fakes.outbox import claim, claims, put, report, row, send, settle, state

LATER = NOON + timedelta(minutes=1)
LONG = "歌" * 150
RESENT = ("answer", "order")
AFTER_LEASE = NOON + LEASE + timedelta(seconds=1)
PART_1, PART_2, PART_3 = (Part(number, "smsc", str(number + 6)) for number in (1, 2, 3))

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
    assert claims(database, room=1) == claims(database, room=1)


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
    assert [one.message.mt_id for one in claimed.claims] == ["m1"]
    assert claimed.dropped == 5
    assert not claimed.more
    assert state(database, "s0") == ("dropped", "expired")


def test_after_a_long_outage_one_claim_drops_only_so_many(database: LocalDatabase) -> None:
    stale = [
        an_offer(f"s{n}", expires_at=NOON, due_at=NOON - timedelta(hours=1))
        for n in range(MOST_LOOKED_AT + 5)
    ]
    put(database, *stale, an_offer("fresh"), a_message())
    first = database.run_now(delivery.claim, "host/1", 3, POLICY, NOON)
    assert [one.message.mt_id for one in first.claims] == ["m1"]
    assert first.dropped == MOST_LOOKED_AT - 1
    assert first.more
    second = database.run_now(delivery.claim, "host/2", 3, POLICY, NOON)
    assert [one.message.mt_id for one in second.claims] == ["fresh"]
    assert not second.more


def test_a_full_claim_says_that_there_may_be_more(database: LocalDatabase) -> None:
    put(database, a_message("a1"), a_message("a2"))
    assert database.run_now(delivery.claim, "host/1", 1, POLICY, NOON).more
    assert not database.run_now(delivery.claim, "host/2", 2, POLICY, NOON).more


def test_a_claimed_message_comes_as_it_was_put(database: LocalDatabase) -> None:
    message = a_message(tone_code="1029", order_id="o", call_id="c", mo_id="m")
    put(database, message)
    (claimed,) = claims(database)
    assert (claimed.message, claimed.attempts, claimed.smsc, claimed.left) == (message, 0, "", ())


# ---------------------------------------------------------------- what came of it


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
    settle(database, "failed", "o1", reason=delivery.RESPONSE_LOST, in_doubt=True)
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
    (again,) = claims(database, now=LATER, claimant="host/2")
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
    (again,) = claims(database, claimant="host/2")
    assert (again.smsc, again.left) == ("smsc", (2,))
    assert claims(database, claimant="host/2") == (again,)


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
    (again,) = claims(database, claimant="host/3")
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
    settle(database, "later", of=3, reason=delivery.RESPONSE_LOST, again_at=NOON)
    settle(database, "late", claimant="", parts=(PART_1,))
    (again,) = claims(database, claimant="host/2")
    assert (again.smsc, again.left) == ("smsc", (2, 3))


def test_an_offer_given_up_without_a_response_is_sent_when_the_response_comes(
    database: LocalDatabase,
) -> None:
    put(database, an_offer())
    claim(database)
    settle(database, "failed", "o1", of=1, reason=delivery.RESPONSE_LOST, in_doubt=True)
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


# ---------------------------------------------------------------- claims of the dead


def test_what_a_dead_host_had_claimed_is_sent_by_another_but_no_offer_twice(
    database: LocalDatabase,
) -> None:
    put(database, a_message(), an_offer())
    claim(database)
    assert database.run_now(delivery.release_stale, NOON, RESENT) == 0
    assert database.run_now(delivery.release_stale, AFTER_LEASE, RESENT) == 2
    (again,) = claims(database, now=AFTER_LEASE, claimant="other/1")
    assert (again.message.mt_id, again.attempts) == ("m1", 1)
    assert state(database, "o1") == ("dropped", "perhaps_sent")


def test_the_class_says_what_is_sent_twice(database: LocalDatabase) -> None:
    put(database, a_message(), an_offer())
    claim(database)
    database.run_now(delivery.release_stale, AFTER_LEASE, ("offer",))
    assert state(database) == ("dropped", "perhaps_sent")
    assert claim(database, now=AFTER_LEASE, claimant="other/1") == ["o1"]


def test_a_renewed_claim_is_not_stale(database: LocalDatabase) -> None:
    put(database, a_message("m1"), a_message("m2"))
    claim(database)
    soon = NOON + timedelta(seconds=10)
    database.run_now(delivery.renew, (("m1", "host/1"), ("m2", "another")), soon)
    database.run_now(delivery.renew, (), soon)
    assert database.run_now(delivery.release_stale, AFTER_LEASE, RESENT) == 1
    assert state(database) == ("claimed", None)


@pytest.mark.parametrize("message", [a_message("x"), an_offer("x")])
def test_a_message_sent_after_its_claim_was_taken_back_is_sent(
    database: LocalDatabase, message: outbox.Message
) -> None:
    put(database, message)
    claim(database)
    database.run_now(delivery.release_stale, AFTER_LEASE, RESENT)
    send(database, "7", mt_id="x")
    assert state(database, "x") == ("sent", None)
    assert claim(database, now=AFTER_LEASE, claimant="other/1") == []


@pytest.mark.parametrize("word", ["failed", "later"])
def test_a_claim_that_was_taken_over_is_its_new_holders_alone(
    database: LocalDatabase, word: str
) -> None:
    put(database, a_message())
    claim(database)
    database.run_now(delivery.release_stale, AFTER_LEASE, RESENT)
    claim(database, now=AFTER_LEASE, claimant="other/1")
    settle(database, word, reason="RSYSERR", again_at=NOON)
    assert state(database) == ("claimed", None)


# ---------------------------------------------------------------- both in one


def test_an_exchange_records_what_is_done_before_it_claims(database: LocalDatabase) -> None:
    put(database, a_message("m1"), a_message("m2"))
    claim(database, room=1)
    done = delivery.Outcome("m1", "host/1", "sent", NOON, (PART_1,))
    claimed = database.run_now(delivery.exchange, (done,), "host/2", 5, POLICY, NOON)
    assert state(database) == ("sent", None)
    assert [one.message.mt_id for one in claimed.claims] == ["m2"]
    nothing = database.run_now(delivery.exchange, (done,), "", 0, POLICY, NOON)
    assert nothing == delivery.Claimed((), 0, more=False)
