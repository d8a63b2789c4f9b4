from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select, text

from catalog.tones import Prices
from ordering import fulfilment, orders
from ordering.orders import Limits, OrderRefused, OrderRequest, Placed
from ordering.outbox import Message
from ordering.provisioning import Quote
from store.database import LocalDatabase
from store.schema import consent, event, outbox

NUMBER = "8613905250001"
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)  # 12:00 in Shanghai
LIMITS = Limits(orders_per_day=3, spend_per_day_fen=1000, undo_min=30, timezone="Asia/Shanghai")
MINUTE = timedelta(minutes=1)


def a_request(
    order_id: str = "a", tone_code: str = "1029", at: datetime = NOON, pays_fen: int = 200
) -> OrderRequest:
    return OrderRequest(
        order_id=order_id,
        msisdn=NUMBER,
        tone_code=tone_code,
        title="茉莉花",
        channel="ivr",
        quote=Quote(True, None, "visitor", Prices(pays_fen, 150, 100), pays_fen),
        requested_at=at,
        confirmed_at=at,
        shown='["offer_pays"]',
        answer="1",
        call_id="c1",
    )


def a_notice(mt_id: str = "m") -> Message:
    return Message(
        mt_id, NUMBER, "12530019", "您已订购", "order", "order_notice", NOON, NOON + 60 * MINUTE
    )


def place(
    database: LocalDatabase, request: OrderRequest, limits: Limits = LIMITS
) -> Placed | OrderRefused:
    return database.run_now(
        orders.place, request, a_notice("m" + request.order_id), limits, request.confirmed_at
    )


def fulfil(database: LocalDatabase, now: datetime, undo_min: int = 30) -> list[str]:
    due = database.run_now(fulfilment.claim_due, "host", 100, now, 60.0)
    confirmed = [order for order in due if order.state == "confirmed"]
    owned = [order for order in due if order.state == "provisioned"]
    database.run_now(fulfilment.provisioned, confirmed, undo_min, now)
    database.run_now(fulfilment.captured, owned, now)
    return [order.order_id for order in due]


def count(connection: Connection, table: object) -> int:
    return len(connection.execute(select(table)).all())  # type: ignore[call-overload]


def test_an_order_its_consent_its_trace_and_its_notice_are_one(database: LocalDatabase) -> None:
    assert place(database, a_request()) == Placed("a", "confirmed")
    order = database.run_now(orders.find_order, "a")
    assert order is not None
    assert (order.state, order.pays_fen, order.price_fen) == ("confirmed", 200, 200)
    proof = database.run_now(orders.consent_of, "a")
    assert proof is not None
    assert proof["shown"] == ["offer_pays"]
    assert proof["answer"] == "1"
    assert proof["quote"]["prices"] == {"visitor": 200, "member": 150, "senior": 100}
    for table in (consent, event, outbox):
        assert database.run_now(count, table) == 1


def test_the_same_order_placed_again_is_the_same_order(database: LocalDatabase) -> None:
    place(database, a_request())
    assert place(database, a_request()) == Placed("a", "confirmed")
    assert database.run_now(count, outbox) == 1


def test_a_tone_under_way_or_owned_is_not_ordered_again(database: LocalDatabase) -> None:
    place(database, a_request())
    assert place(database, a_request("b")) == OrderRefused("being_ordered", "a")
    fulfil(database, NOON)
    assert place(database, a_request("c")) == OrderRefused("owned", "a")
    assert database.run_now(count, outbox) == 1


def test_twenty_confirmations_at_once_make_one_order(database: LocalDatabase) -> None:
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda n: place(database, a_request(f"o{n}")), range(20)))
    assert sum(isinstance(result, Placed) for result in results) == 1
    assert len(database.run_now(orders.orders_of, NUMBER)) == 1
    assert database.run_now(count, outbox) == 1


def test_an_order_recorded_late_can_be_undone_as_long_as_any_other(database: LocalDatabase) -> None:
    later = NOON + 45 * MINUTE
    database.run_now(orders.place, a_request(), a_notice(), LIMITS, later)
    fulfil(database, later)
    assert fulfil(database, later + 29 * MINUTE) == []
    sent_at = later + 29 * MINUTE
    undone = database.run_now(orders.undo_last, NUMBER, sent_at, 30, sent_at)
    assert undone is not None
    proof = database.run_now(orders.consent_of, "a")
    assert proof is not None
    assert proof["answered_at"] == NOON


def test_an_order_recorded_late_is_charged_when_its_time_to_undo_is_over(
    database: LocalDatabase,
) -> None:
    later = NOON + 45 * MINUTE
    database.run_now(orders.place, a_request(), a_notice(), LIMITS, later)
    fulfil(database, later)
    assert fulfil(database, later + 30 * MINUTE) == ["a"]
    assert database.run_now(orders.state_of, "a") == "captured"


def test_a_day_has_a_limit_of_orders(database: LocalDatabase) -> None:
    for n, code in enumerate(("1007", "1010", "1029")):
        assert isinstance(place(database, a_request(f"o{n}", code)), Placed)
    assert place(database, a_request("x", "1032")) == OrderRefused("orders_per_day")
    local_midnight = NOON + timedelta(hours=12)
    assert place(database, a_request("y", "1032", local_midnight)) == Placed("y", "confirmed")


def test_a_day_has_a_limit_of_money_and_what_was_undone_does_not_count(
    database: LocalDatabase,
) -> None:
    place(database, a_request("a", "1007", pays_fen=600))
    assert place(database, a_request("b", "1010", pays_fen=500)) == OrderRefused("spend_per_day")
    database.run_now(orders.undo_last, NUMBER, NOON, 30, NOON)
    assert place(database, a_request("c", "1010", pays_fen=500)) == Placed("c", "confirmed")


def test_a_days_limits_count_what_was_confirmed_that_day_whenever_it_was_asked(
    database: LocalDatabase,
) -> None:
    midnight = NOON + timedelta(hours=12)

    def confirmed(order_id: str, code: str, at: datetime) -> Placed | OrderRefused:
        return place(database, replace(a_request(order_id, code), confirmed_at=at))

    for number, code in enumerate(("1007", "1010", "1029")):
        at = midnight + number * MINUTE
        assert confirmed(code, code, at) == Placed(code, "confirmed")
    assert confirmed("d", "1032", midnight + 4 * MINUTE) == OrderRefused("orders_per_day")
    # One that the store hears of late counts for the day of its consent, too.
    assert confirmed("e", "1032", midnight - MINUTE) == Placed("e", "confirmed")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_hosts_keep_a_days_limits_together(database: LocalDatabase) -> None:
    one_a_day = replace(LIMITS, orders_per_day=1)
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with ThreadPoolExecutor(1) as other_host, database.engine.connect() as here:
        with here.begin():
            first = orders.place(here, a_request("a", "1007"), None, one_a_day, NOON)
            second = other_host.submit(place, database, a_request("b", "1010"), one_a_day)
            with database.engine.connect() as watching:
                while not second.done() and not watching.scalar(waiting):
                    watching.rollback()
        assert first == Placed("a", "confirmed")
        assert second.result() == OrderRefused("orders_per_day")


def test_a_refused_order_stands_in_the_trace(database: LocalDatabase) -> None:
    place(database, a_request())
    place(database, a_request("b"))

    def refusals(connection: Connection) -> list[str]:
        rows = connection.execute(select(event).where(event.c.kind == "refused"))
        return [row.detail for row in rows]

    assert database.run_now(refusals) == ['{"tone_code": "1029", "reason": "being_ordered"}']


def test_an_order_is_provisioned_at_once_and_charged_after_the_undo_time(
    database: LocalDatabase,
) -> None:
    place(database, a_request())
    assert fulfil(database, NOON) == ["a"]
    assert database.run_now(orders.state_of, "a") == "provisioned"
    assert fulfil(database, NOON + 29 * MINUTE) == []
    assert fulfil(database, NOON + 30 * MINUTE) == ["a"]
    order = database.run_now(orders.find_order, "a")
    assert order is not None
    assert (order.state, order.captured_at) == ("captured", NOON + 30 * MINUTE)
    assert fulfil(database, NOON + 31 * MINUTE) == []


def test_a_claimed_order_is_left_alone_until_its_lease_ends(database: LocalDatabase) -> None:
    place(database, a_request())
    assert len(database.run_now(fulfilment.claim_due, "one", 10, NOON, 60.0)) == 1
    assert database.run_now(fulfilment.claim_due, "two", 10, NOON, 60.0) == ()
    assert database.run_now(fulfilment.release_stale_claims, NOON + MINUTE / 2) == 0
    assert database.run_now(fulfilment.release_stale_claims, NOON + 2 * MINUTE) == 1
    assert len(database.run_now(fulfilment.claim_due, "two", 10, NOON + 2 * MINUTE, 60.0)) == 1


def test_an_order_held_by_a_host_that_is_known_to_be_dead_is_free_at_once(
    database: LocalDatabase,
) -> None:
    place(database, a_request())
    database.run_now(fulfilment.claim_due, "one", 10, NOON, 60.0)
    assert database.run_now(fulfilment.release_held, ("two", "on")) == 0
    assert database.run_now(fulfilment.release_held, ("two", "one")) == 1
    assert len(database.run_now(fulfilment.claim_due, "two", 10, NOON, 60.0)) == 1


def test_the_last_order_is_undone_within_its_time_and_never_charged(
    database: LocalDatabase,
) -> None:
    place(database, a_request("a", "1007"))
    place(database, a_request("b", "1010", NOON + MINUTE))
    fulfil(database, NOON + MINUTE)
    late = NOON + 40 * MINUTE
    undone = database.run_now(orders.undo_last, NUMBER, NOON + 2 * MINUTE, 30, late)
    assert undone is not None
    assert (undone.order_id, undone.state, undone.undone_at) == ("b", "undone", late)
    assert "b" not in fulfil(database, late)


def test_what_was_confirmed_last_is_undone_first_whenever_it_was_asked(
    database: LocalDatabase,
) -> None:
    asked_first = replace(a_request("a", "1007"), confirmed_at=NOON + 3 * MINUTE)
    place(database, replace(a_request("b", "1010"), confirmed_at=NOON + 2 * MINUTE))
    place(database, asked_first)
    sent_at = NOON + 4 * MINUTE
    undone = [
        database.run_now(orders.undo_last, NUMBER, sent_at, 30, sent_at, code)
        for code in ("1041", None, "1010")
    ]
    assert [order and order.order_id for order in undone] == [None, "a", "b"]


def test_the_time_of_the_message_decides_whether_an_undo_is_in_time(
    database: LocalDatabase,
) -> None:
    place(database, a_request())
    sent_at = NOON + 31 * MINUTE
    assert database.run_now(orders.undo_last, NUMBER, sent_at, 30, sent_at) is None


def test_a_charged_order_is_not_undone(database: LocalDatabase) -> None:
    place(database, a_request())
    fulfil(database, NOON, undo_min=0)
    fulfil(database, NOON, undo_min=0)
    assert database.run_now(orders.state_of, "a") == "captured"
    assert database.run_now(orders.undo_last, NUMBER, NOON, 30, NOON) is None


def test_a_cancelled_tone_may_be_ordered_again(database: LocalDatabase) -> None:
    place(database, a_request())
    cancelled = database.run_now(orders.cancel, NUMBER, ["1029", "9999"], "td", NOON)
    assert [order.order_id for order in cancelled] == ["a"]
    assert database.run_now(orders.state_of, "a") == "cancelled"
    assert fulfil(database, NOON) == []
    assert place(database, a_request("b")) == Placed("b", "confirmed")


@pytest.mark.parametrize(
    ("steps", "state"), [(0, "confirmed"), (1, "provisioned"), (2, "captured")]
)
def test_what_was_cancelled_is_restored_as_it_was(
    database: LocalDatabase, steps: int, state: str
) -> None:
    place(database, a_request())
    for _ in range(steps):
        fulfil(database, NOON, undo_min=0)
    database.run_now(orders.cancel, NUMBER, ["1029"], "all", NOON)
    in_time, too_late = NOON + 20 * MINUTE, NOON + 31 * MINUTE
    assert database.run_now(orders.restore, NUMBER, "all", 30, too_late) == ()
    assert len(database.run_now(orders.restore, NUMBER, "all", 30, in_time)) == 1
    assert database.run_now(orders.state_of, "a") == state


def test_a_restored_order_is_not_charged_before_its_undo_time(database: LocalDatabase) -> None:
    place(database, a_request())
    fulfil(database, NOON)
    database.run_now(orders.cancel, NUMBER, ["1029"], "all", NOON + MINUTE)
    database.run_now(orders.restore, NUMBER, "all", 30, NOON + 2 * MINUTE)
    assert fulfil(database, NOON + 29 * MINUTE) == []
    assert fulfil(database, NOON + 30 * MINUTE) == ["a"]


def test_a_tone_ordered_anew_is_not_restored_over(database: LocalDatabase) -> None:
    place(database, a_request())
    database.run_now(orders.cancel, NUMBER, ["1029"], "all", NOON)
    place(database, a_request("b"))
    assert database.run_now(orders.restore, NUMBER, "all", 30, NOON) == ()


def test_an_order_without_a_notice_is_possible(database: LocalDatabase) -> None:
    request = replace(a_request(), channel="sms", call_id=None, mo_id="mo1")
    database.run_now(orders.place, request, None, LIMITS, NOON)
    assert database.run_now(count, outbox) == 0
    assert [order.order_id for order in database.run_now(orders.owned, NUMBER)] == ["a"]
    assert database.run_now(orders.consent_of, "nothing") is None
    assert database.run_now(orders.state_of, "nothing") is None
