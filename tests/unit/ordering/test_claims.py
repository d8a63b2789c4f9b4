from __future__ import annotations

from datetime import timedelta

import pytest

from ordering import claims, outbox, outcomes
from ordering.claims import LEASE, MOST_LOOKED_AT
from store.database import LocalDatabase
from tests.fakes.messages import NOON, POLICY, a_message, an_offer
from tests.fakes.outbox import claim, claimed, put, send, settle, state

LATER = NOON + timedelta(minutes=1)
RESENT = ("answer", "order")
AFTER_LEASE = NOON + LEASE + timedelta(seconds=1)


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
    assert claimed(database, room=1) == claimed(database, room=1)


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
    found = database.run_now(claims.claim, "host/1", 2, POLICY, NOON)
    assert [one.message.mt_id for one in found.claims] == ["m1"]
    assert found.dropped == 5
    assert not found.more
    assert state(database, "s0") == ("dropped", "expired")


def test_after_a_long_outage_one_claim_drops_only_so_many(database: LocalDatabase) -> None:
    stale = [
        an_offer(f"s{n}", expires_at=NOON, due_at=NOON - timedelta(hours=1))
        for n in range(MOST_LOOKED_AT + 5)
    ]
    put(database, *stale, an_offer("fresh"), a_message())
    first = database.run_now(claims.claim, "host/1", 3, POLICY, NOON)
    assert [one.message.mt_id for one in first.claims] == ["m1"]
    assert first.dropped == MOST_LOOKED_AT - 1
    assert first.more
    second = database.run_now(claims.claim, "host/2", 3, POLICY, NOON)
    assert [one.message.mt_id for one in second.claims] == ["fresh"]
    assert not second.more


def test_a_full_claim_says_that_there_may_be_more(database: LocalDatabase) -> None:
    put(database, a_message("a1"), a_message("a2"))
    assert database.run_now(claims.claim, "host/1", 1, POLICY, NOON).more
    assert not database.run_now(claims.claim, "host/2", 2, POLICY, NOON).more


def test_a_claim_tells_offers_that_are_left_from_what_is_owed(database: LocalDatabase) -> None:
    put(database, a_message("a1"), a_message("o1", message_class="order"))
    put(database, *(an_offer(f"p{n}", msisdn=f"861390525000{n}") for n in range(2)))
    told = []
    for host in ("host/1", "host/2", "host/3", "host/4"):
        found = database.run_now(claims.claim, host, 1, POLICY, NOON)
        told.append((found.claims[0].message.mt_id, found.more, found.behind))
    assert told == [
        ("a1", True, True),
        ("o1", True, False),
        ("p0", True, False),
        ("p1", True, False),
    ]


def test_a_claimed_message_comes_as_it_was_put(database: LocalDatabase) -> None:
    message = a_message(tone_code="1029", order_id="o", call_id="c", mo_id="m")
    put(database, message)
    (found,) = claimed(database)
    assert (found.message, found.attempts, found.smsc, found.left) == (message, 0, "", ())


# ---------------------------------------------------------------- claims of the dead


def test_what_a_dead_host_had_claimed_is_sent_by_another_but_no_offer_twice(
    database: LocalDatabase,
) -> None:
    put(database, a_message(), an_offer())
    claim(database)
    assert database.run_now(claims.release_stale, NOON, RESENT) == 0
    assert database.run_now(claims.release_stale, AFTER_LEASE, RESENT) == 2
    (again,) = claimed(database, now=AFTER_LEASE, claimant="other/1")
    assert (again.message.mt_id, again.attempts) == ("m1", 1)
    assert state(database, "o1") == ("dropped", "perhaps_sent")


def test_the_class_says_what_is_sent_twice(database: LocalDatabase) -> None:
    put(database, a_message(), an_offer())
    claim(database)
    database.run_now(claims.release_stale, AFTER_LEASE, ("offer",))
    assert state(database) == ("dropped", "perhaps_sent")
    assert claim(database, now=AFTER_LEASE, claimant="other/1") == ["o1"]


def test_what_hosts_had_claimed_that_are_known_to_be_dead_is_taken_back_at_once(
    database: LocalDatabase,
) -> None:
    for number, claimant in enumerate(("a/7/x/1", "a/7/x/2", "a/7/xy/1", "b/7/x/1")):
        put(database, a_message(f"m{number}"))
        claim(database, claimant=claimant)
    put(database, an_offer())
    claim(database, claimant="a/7/x/3")
    released = database.run_now(claims.release_held, ("a/7/x", "c/1/z"), NOON, RESENT)
    assert released == 3
    assert claim(database, claimant="a/8/y/1") == ["m0", "m1"]
    assert state(database, "o1") == ("dropped", outcomes.PERHAPS_SENT)
    assert database.run_now(claims.release_held, ("a/7/x",), NOON, RESENT) == 0


def test_a_renewed_claim_is_not_stale(database: LocalDatabase) -> None:
    put(database, a_message("m1"), a_message("m2"))
    claim(database)
    soon = NOON + timedelta(seconds=10)
    database.run_now(claims.renew, (("m1", "host/1"), ("m2", "another")), soon)
    database.run_now(claims.renew, (), soon)
    assert database.run_now(claims.release_stale, AFTER_LEASE, RESENT) == 1
    assert state(database) == ("claimed", None)


@pytest.mark.parametrize("message", [a_message("x"), an_offer("x")])
def test_a_message_sent_after_its_claim_was_taken_back_is_sent(
    database: LocalDatabase, message: outbox.Message
) -> None:
    put(database, message)
    claim(database)
    database.run_now(claims.release_stale, AFTER_LEASE, RESENT)
    send(database, "7", mt_id="x")
    assert state(database, "x") == ("sent", None)
    assert claim(database, now=AFTER_LEASE, claimant="other/1") == []


@pytest.mark.parametrize("word", ["failed", "later"])
def test_a_claim_that_was_taken_over_is_its_new_holders_alone(
    database: LocalDatabase, word: str
) -> None:
    put(database, a_message())
    claim(database)
    database.run_now(claims.release_stale, AFTER_LEASE, RESENT)
    claim(database, now=AFTER_LEASE, claimant="other/1")
    settle(database, word, reason="RSYSERR", again_at=NOON)
    assert state(database) == ("claimed", None)


# ---------------------------------------------------------------- both in one


def test_an_exchange_records_what_is_done_before_it_claims(database: LocalDatabase) -> None:
    put(database, a_message("m1"), a_message("m2"))
    claim(database, room=1)
    done = outcomes.Outcome("m1", "host/1", "sent", NOON, (outcomes.Part(1, "smsc", "7"),))
    found = database.run_now(claims.exchange, (done,), "host/2", 5, POLICY, NOON)
    assert state(database) == ("sent", None)
    assert [one.message.mt_id for one in found.claims] == ["m2"]
    nothing = database.run_now(claims.exchange, (done,), "", 0, POLICY, NOON)
    assert nothing == claims.Claimed((), 0, more=False)


# ---------------------------------------------------------------- claimed as they are put in


def test_what_is_put_in_claimed_is_left_to_its_host_for_its_lease(database: LocalDatabase) -> None:
    heard: list[str] = []
    database.on_change("outbox", lambda: heard.append("outbox"))
    message = a_message(text="long " * 40)
    made = database.run_now(claims.put_claimed, message, "host/1", NOON)
    assert made == claims.Claim(message, "host/1", reference=1, attempts=0)
    assert database.run_now(claims.claimed, "host/1") == [made]
    assert claim(database, claimant="other/1") == []
    assert heard == []
    database.run_now(claims.release_stale, AFTER_LEASE, RESENT)
    assert claim(database, claimant="other/1", now=AFTER_LEASE) == ["m1"]


def test_what_is_put_in_claimed_is_put_in_once(database: LocalDatabase) -> None:
    put(database, a_message())
    assert database.run_now(claims.put_claimed, a_message(), "host/1", NOON) is None
    assert claim(database) == ["m1"]
