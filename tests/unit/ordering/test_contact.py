from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select

from catalog.tones import Prices
from ordering import claims, contact, orders, outbox, outcomes, records
from ordering.contact import ContactPolicy, Offer
from ordering.provisioning import Quote
from store.database import LocalDatabase
from store.schema import outbox as table
from tests.fakes.messages import LOCAL_NOON, MSISDN, NOON, POLICY, a_call, a_message, an_offer

LIMITS = orders.Limits(10, 3000, 30, "Asia/Shanghai")


def why_not(database: LocalDatabase, message: outbox.Message, now: datetime = NOON) -> str | None:
    return database.run_now(contact.may_send, message, POLICY, now)


def send(database: LocalDatabase, message: outbox.Message, at: datetime) -> None:
    database.run_now(outbox.put, message, at)
    database.run_now(outcomes.sent, message.mt_id, (), at)


def order(database: LocalDatabase, code: str, at: datetime) -> None:
    request = orders.OrderRequest(
        order_id=f"order-{code}",
        msisdn=MSISDN,
        tone_code=code,
        title="曲",
        channel="ivr",
        quote=Quote(True, None, "visitor", Prices(200, 150, 100), 200),
        requested_at=at,
        confirmed_at=at,
        shown="{}",
        answer="1",
    )
    assert isinstance(database.run_now(orders.place, request, None, LIMITS, at), orders.Placed)


def waiting(database: LocalDatabase) -> dict[str, tuple[str, str | None]]:
    with database.engine.connect() as connection:
        rows = connection.execute(select(table.c.mt_id, table.c.state, table.c.reason)).all()
    return {mt_id: (state, reason) for mt_id, state, reason in rows}


# ---------------------------------------------------------------- the gate


def test_an_offer_to_somebody_who_only_called_may_be_sent(database: LocalDatabase) -> None:
    database.run_now(records.call_ended, a_call(), None, NOON)
    assert why_not(database, an_offer()) is None


@pytest.mark.parametrize("message_class", ["answer", "order"])
def test_what_is_no_offer_is_always_sent(database: LocalDatabase, message_class: str) -> None:
    database.run_now(contact.stop_offers, MSISDN, NOON)
    night = LOCAL_NOON.replace(hour=3)
    assert why_not(database, a_message(message_class=message_class), night) is None


@pytest.mark.parametrize(
    ("clock", "reason"),
    [
        (time(7, 59, 59), "outside_hours"),
        (time(8), None),
        (time(21, 59), None),
        (time(22, 0, 1), "outside_hours"),
    ],
)
def test_no_offer_outside_its_hours(
    database: LocalDatabase, clock: time, reason: str | None
) -> None:
    now = datetime.combine(LOCAL_NOON.date(), clock, LOCAL_NOON.tzinfo)
    assert why_not(database, an_offer(), now) == reason


def test_hours_may_be_all_day(database: LocalDatabase) -> None:
    always = replace(POLICY, hangup_hours=(time.min, time.max))
    assert (
        database.run_now(contact.may_send, an_offer(), always, LOCAL_NOON.replace(hour=3)) is None
    )


def opted_out(database: LocalDatabase) -> None:
    database.run_now(contact.stop_offers, MSISDN, NOON)


def on_the_line_again(database: LocalDatabase) -> None:
    started = records.CallStarted("c2", MSISDN, "12530019", None, NOON - timedelta(minutes=14))
    database.run_now(records.call_started, started)


def still_hears_the_goodbye(database: LocalDatabase) -> None:
    began = NOON - timedelta(minutes=POLICY.max_call_min, seconds=65)
    started = records.CallStarted("c2", MSISDN, "12530019", None, began)
    database.run_now(records.call_started, started)


def has_ordered_in_or_after_the_call(database: LocalDatabase) -> None:
    database.run_now(records.call_ended, a_call(), None, NOON)
    order(database, "1041", NOON - timedelta(minutes=2))


def has_that_tone(database: LocalDatabase) -> None:
    order(database, "1029", NOON - timedelta(days=30))


def had_one_today(database: LocalDatabase) -> None:
    send(database, an_offer("earlier", tone_code="1041"), LOCAL_NOON.replace(hour=8))


def another_is_just_being_sent(database: LocalDatabase) -> None:
    database.run_now(outbox.put, an_offer("earlier", tone_code="1041"), NOON)
    database.run_now(claims.claim, "host/1", 1, POLICY, NOON)


def had_the_same_a_week_ago(database: LocalDatabase) -> None:
    send(database, an_offer("earlier"), NOON - timedelta(days=6, hours=23))


@pytest.mark.parametrize(
    ("happened", "reason"),
    [
        (opted_out, "opted_out"),
        (on_the_line_again, "on_the_line"),
        (still_hears_the_goodbye, "on_the_line"),
        (has_ordered_in_or_after_the_call, "ordered"),
        (has_that_tone, "ordered"),
        (had_one_today, "one_a_day"),
        (another_is_just_being_sent, "one_a_day"),
        (had_the_same_a_week_ago, "same_content"),
    ],
)
def test_an_offer_is_not_sent_to_who(
    database: LocalDatabase, happened: Callable[[LocalDatabase], None], reason: str
) -> None:
    happened(database)
    assert why_not(database, an_offer()) == reason
    database.run_now(outbox.put, an_offer(), NOON)
    database.run_now(claims.claim, "host/2", 5, POLICY, NOON)
    assert waiting(database)["o1"] == ("dropped", reason)
    assert why_not(database, an_offer(msisdn="8613905250002")) is None


def a_call_lost_long_ago(database: LocalDatabase) -> None:
    started = records.CallStarted("c2", MSISDN, "12530019", None, NOON - timedelta(minutes=18))
    database.run_now(records.call_started, started)


def an_order_before_the_call(database: LocalDatabase) -> None:
    database.run_now(records.call_ended, a_call(), None, NOON)
    order(database, "1041", NOON - timedelta(minutes=4))


def one_yesterday_of_another_tone(database: LocalDatabase) -> None:
    send(database, an_offer("earlier", tone_code="1041"), NOON - timedelta(hours=12, seconds=1))


def the_same_long_ago(database: LocalDatabase) -> None:
    send(database, an_offer("earlier"), NOON - timedelta(days=7, seconds=1))


def the_same_but_dropped(database: LocalDatabase) -> None:
    database.run_now(outbox.put_dropped, an_offer("earlier"), "ordered", NOON)


@pytest.mark.parametrize(
    "happened",
    [
        a_call_lost_long_ago,
        an_order_before_the_call,
        one_yesterday_of_another_tone,
        the_same_long_ago,
        the_same_but_dropped,
    ],
)
def test_an_offer_is_sent_in_spite_of(
    database: LocalDatabase, happened: Callable[[LocalDatabase], None]
) -> None:
    happened(database)
    assert why_not(database, an_offer()) is None


def test_the_day_is_the_local_one(database: LocalDatabase) -> None:
    half_past_midnight = datetime(2026, 11, 23, 0, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
    send(database, an_offer("earlier", tone_code="1041"), half_past_midnight)
    all_day = (time.min, time.max)
    in_utc = ContactPolicy(all_day, all_day, 7, 15, "UTC")
    assert database.run_now(contact.may_send, an_offer(), in_utc, NOON) is None
    assert why_not(database, an_offer()) == "one_a_day"


# ---------------------------------------------------------------- caps, senders, a dry run


def a_campaign_offer(mt_id: str = "p1", **changes: Any) -> outbox.Message:
    return an_offer(mt_id, **{"purpose": "campaign", "call_id": None, **changes})


def refused(
    database: LocalDatabase,
    message: outbox.Message,
    now: datetime = NOON,
    **changes: Any,
) -> str | None:
    return database.run_now(contact.may_send, message, replace(POLICY, **changes), now)


@pytest.mark.parametrize(
    ("clock", "reason"), [(time(7, 59, 59), "outside_hours"), (time(21), None),
                          (time(21, 30), "outside_hours")],
)  # fmt: skip
def test_other_offers_have_their_own_hours(
    database: LocalDatabase, clock: time, reason: str | None
) -> None:
    now = datetime.combine(LOCAL_NOON.date(), clock, LOCAL_NOON.tzinfo)
    assert why_not(database, a_campaign_offer(), now) == reason


def test_offers_of_every_kind_count_for_the_day(database: LocalDatabase) -> None:
    send(database, an_offer("earlier", tone_code="1041"), LOCAL_NOON.replace(hour=8))
    assert refused(database, a_campaign_offer()) == "offers_per_day"
    assert refused(database, a_campaign_offer(), offers_per_day=2) is None
    assert refused(database, an_offer(), offers_per_day=2) == "one_a_day"


def test_the_month_is_the_local_calendar_month(database: LocalDatabase) -> None:
    first = datetime(2026, 11, 1, 0, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
    for number, at in enumerate([first - timedelta(seconds=1), first, first + timedelta(days=9)]):
        send(database, a_campaign_offer(f"earlier{number}"), at)
    assert refused(database, a_campaign_offer(), offers_per_month=3) is None
    assert refused(database, a_campaign_offer(), offers_per_month=2) == "offers_per_month"


def test_a_cap_of_none_forbids_all_offers(database: LocalDatabase) -> None:
    assert refused(database, a_campaign_offer(), offers_per_day=0) == "offers_per_day"


def test_answers_and_notices_do_not_count_as_offers(database: LocalDatabase) -> None:
    send(database, a_message("a"), LOCAL_NOON.replace(hour=8))
    send(database, a_message("n", message_class="order"), LOCAL_NOON.replace(hour=8))
    assert refused(database, a_campaign_offer()) is None


def test_an_offer_of_which_nobody_knows_whether_it_was_sent_counts(
    database: LocalDatabase,
) -> None:
    database.run_now(outbox.put, a_campaign_offer("earlier"), NOON)
    database.run_now(claims.claim, "dead", 1, POLICY, NOON)
    database.run_now(claims.release_stale, NOON + timedelta(minutes=1), ())
    assert refused(database, a_campaign_offer()) == "offers_per_day"


def test_an_offer_never_comes_from_the_sender_of_answers(database: LocalDatabase) -> None:
    shared = frozenset({"12530019"})
    assert refused(database, an_offer(), service_senders=shared) == "shared_sender"
    own = an_offer(sender="12530020")
    assert refused(database, own, service_senders=shared) is None
    answer = a_message(sender="12530019")
    assert refused(database, answer, service_senders=shared) is None


def test_a_dry_run_decides_and_sends_nothing(database: LocalDatabase) -> None:
    assert refused(database, an_offer(), dry_run=True) == "dry_run"
    assert refused(database, a_message(), dry_run=True) is None
    database.run_now(contact.stop_offers, MSISDN, NOON)
    assert refused(database, an_offer(), dry_run=True) == "opted_out"


def test_two_offers_of_a_number_never_leave_together(database: LocalDatabase) -> None:
    for name in ("p1", "p2"):
        database.run_now(outbox.put, a_campaign_offer(name), NOON)
    first = database.run_now(claims.claim, "host/1", 5, POLICY, NOON)
    assert [claim.message.mt_id for claim in first.claims] == ["p1"]
    database.run_now(claims.claim, "host/2", 5, POLICY, NOON)
    assert waiting(database)["p2"] == ("dropped", "offers_per_day")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_only_one_host_at_a_time_decides_about_a_number(database: LocalDatabase) -> None:
    for name in ("p1", "p2"):
        database.run_now(outbox.put, a_campaign_offer(name), NOON)
    with database.engine.connect() as other, other.begin():
        taken = claims.claim(other, "other/1", 1, POLICY, NOON)
        assert [claim.message.mt_id for claim in taken.claims] == ["p1"]
        here = database.run_now(claims.claim, "here/1", 5, POLICY, NOON)
        assert here.claims == ()
    assert waiting(database)["p2"] == ("due", None)
    database.run_now(claims.claim, "here/2", 5, POLICY, NOON)
    assert waiting(database)["p2"] == ("dropped", "offers_per_day")


# ---------------------------------------------------------------- planning


def test_the_offer_of_a_later_call_replaces_the_one_that_waits(database: LocalDatabase) -> None:
    database.run_now(contact.plan_offer, MSISDN, Offer(an_offer("o1"), None), NOON)
    database.run_now(contact.plan_offer, MSISDN, Offer(an_offer("o2"), None), NOON)
    assert waiting(database) == {"o1": ("dropped", "replaced"), "o2": ("due", None)}


def test_planning_twice_is_planning_once(database: LocalDatabase) -> None:
    for _ in range(2):
        database.run_now(contact.plan_offer, MSISDN, Offer(an_offer("o1"), None), NOON)
    assert waiting(database) == {"o1": ("due", None)}


@pytest.mark.parametrize("reason", ["ordered", "order_failed", "refused", "gave_up", "code_sent"])
def test_what_the_call_forbids_is_recorded_as_dropped_with_the_one_before(
    database: LocalDatabase, reason: str
) -> None:
    database.run_now(contact.plan_offer, MSISDN, Offer(an_offer("o1"), None), NOON)
    database.run_now(contact.plan_offer, MSISDN, Offer(an_offer("o2"), reason), NOON)
    assert waiting(database) == {"o1": ("dropped", reason), "o2": ("dropped", reason)}


def test_further_calls_put_the_offer_off(database: LocalDatabase) -> None:
    end = a_call().ended_at
    due, life = end + timedelta(seconds=45), timedelta(minutes=15)
    offer = an_offer(due_at=due, expires_at=due + life)
    database.run_now(records.call_ended, a_call(), Offer(offer, None), NOON)
    for minutes in (1, 3):
        later = end + timedelta(minutes=minutes)
        database.run_now(records.call_ended, a_call(f"c{minutes}", ended_at=later), None, NOON)
    due = end + timedelta(minutes=3, seconds=45)
    too_early = due - timedelta(seconds=1)
    claimed = database.run_now(claims.claim, "host/1", 1, POLICY, too_early)
    assert claimed.claims == ()
    claimed = database.run_now(claims.claim, "host/2", 1, POLICY, due)
    assert [claim.message.expires_at for claim in claimed.claims] == [due + life]


def test_a_first_call_has_nothing_to_put_off(database: LocalDatabase) -> None:
    database.run_now(records.call_ended, a_call(), None, NOON)
    assert waiting(database) == {}


def test_an_offer_that_finds_the_queue_full_is_refused_and_recorded(
    database: LocalDatabase,
) -> None:
    database.run_now(outbox.put, an_offer("other", msisdn="8613905250009"), NOON)
    assert database.run_now(outbox.measure_queue, NOON, 1) == 1
    database.run_now(contact.plan_offer, MSISDN, Offer(an_offer("o1"), None), NOON)
    assert waiting(database)["o1"] == ("dropped", "queue_full")


# ---------------------------------------------------------------- refusing and allowing


def test_refusing_drops_what_waits_and_is_new_only_once(database: LocalDatabase) -> None:
    database.run_now(outbox.put, an_offer(), NOON)
    database.run_now(outbox.put, a_message(), NOON)
    assert database.run_now(contact.stop_offers, MSISDN, NOON)
    assert not database.run_now(contact.stop_offers, MSISDN, NOON)
    assert waiting(database) == {"o1": ("dropped", "opted_out"), "m1": ("due", None)}


def test_allowing_again_is_new_only_after_refusing(database: LocalDatabase) -> None:
    assert not database.run_now(contact.resume_offers, MSISDN)
    database.run_now(contact.stop_offers, MSISDN, NOON)
    assert database.run_now(contact.resume_offers, MSISDN)
    assert why_not(database, an_offer()) is None


@pytest.mark.parametrize(
    ("sent_ago", "answerable"),
    [(timedelta(0), True), (timedelta(hours=47), True), (timedelta(hours=48), False)],
)
def test_an_offer_can_be_answered_for_48_hours(
    database: LocalDatabase, sent_ago: timedelta, answerable: bool
) -> None:
    def had_offer(connection: Connection) -> bool:
        return contact.had_offer(connection, MSISDN, NOON)

    send(database, an_offer(), NOON - sent_ago)
    with database.engine.connect() as connection:
        assert had_offer(connection) == answerable
