from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from catalog.tones import Prices
from ordering import fulfilment, orders
from ordering.prices import pays
from ordering.provisioning import (
    LocalOperator,
    LocalTerms,
    NoQuote,
    Quote,
    local_function_quote,
    local_quote,
)
from ordering.subscribers import set_subscriber
from store.database import LocalDatabase
from tests.fakes.catalogue import SHANGHAI, a_tone
from tests.unit.ordering.test_orders import LIMITS, NOON, NUMBER, a_request

TERMS = LocalTerms("Asia/Shanghai", stop_selling_days=7)
MIDNIGHT = datetime(2026, 11, 22, 16, tzinfo=UTC)  # in Shanghai, where the 23rd begins


def quote(database: LocalDatabase, until: date | None = None) -> Quote:
    return database.run_now(local_quote, NUMBER, a_tone(licence_until=until), TERMS, MIDNIGHT)


def test_an_unknown_number_pays_the_visitors_price(database: LocalDatabase) -> None:
    assert quote(database) == Quote(True, None, "visitor", Prices(200, 150, 100), 200)


@pytest.mark.parametrize(("tier", "fen"), [("visitor", 200), ("member", 150), ("senior", 100)])
def test_a_member_pays_his_price(database: LocalDatabase, tier: str, fen: int) -> None:
    database.run_now(set_subscriber, NUMBER, NOON, tier, None, None)  # type: ignore[arg-type]  # parametrised
    assert quote(database).pays_fen == fen


def test_nobody_pays_more_than_the_list_price() -> None:
    assert pays(Prices(200, 300, 100), "member") == 200


@pytest.mark.parametrize(
    ("function", "state", "reason"),
    [("off", "active", "function_closed"), ("on", "suspended", "suspended")],
)
def test_who_may_not_order_is_told_why(
    database: LocalDatabase, function: str, state: str, reason: str
) -> None:
    database.run_now(set_subscriber, NUMBER, NOON, None, function, state)  # type: ignore[arg-type]  # parametrised
    assert quote(database).reason == reason


def test_an_owned_tone_is_not_sold_again(database: LocalDatabase) -> None:
    database.run_now(orders.place, a_request(), None, LIMITS, NOON)
    assert quote(database).eligible
    due = database.run_now(fulfilment.claim_due, "host", 1, NOON, 60.0)
    database.run_now(fulfilment.provisioned, due, 30, NOON)
    assert quote(database).reason == "owned"


@pytest.mark.parametrize(
    ("function", "state", "reason"),
    [("off", "active", None), ("on", "active", "owned"), ("off", "suspended", "suspended")],
)
def test_the_function_has_a_quote_of_its_own(
    database: LocalDatabase, function: str, state: str, reason: str | None
) -> None:
    database.run_now(set_subscriber, NUMBER, NOON, None, function, state)  # type: ignore[arg-type]  # parametrised
    found = database.run_now(local_function_quote, NUMBER)
    assert (found.reason, found.eligible) == (reason, reason is None)
    assert (found.pays_fen, found.function_fee_fen) == (500, 500)
    assert found.function_open == (function == "on")
    assert quote(database).function_open == (function == "on")


@pytest.mark.parametrize(
    ("until", "reason"),
    [(date(2026, 11, 30), None), (date(2026, 11, 29), "licence_ended")],
)
def test_selling_stops_days_before_the_licence_ends(
    database: LocalDatabase, until: date, reason: str | None
) -> None:
    assert quote(database, until).reason == reason


class SilentDatabase:
    """A database that never answers."""

    def run(self, function: object, *values: object) -> Deferred[object]:
        return Deferred()

    def on_change(self, topic: str, callback: object) -> object:
        raise NotImplementedError


def operator(database: object, clock: Clock) -> LocalOperator:
    return LocalOperator(
        database,  # type: ignore[arg-type]  # the fakes implement what is used
        lambda: datetime(2026, 11, 23, 4, tzinfo=UTC),
        clock,  # type: ignore[arg-type]  # zope's interfaces are unknown to mypy
        timezone=SHANGHAI,
        stop_selling_days=7,
        timeout_s=4.0,
    )


def test_the_local_operator_quotes_provisions_and_captures(database: LocalDatabase) -> None:
    local = operator(database, Clock())
    asked = Deferred.fromCoroutine(local.quote(NUMBER, a_tone()))
    results: list[object] = []
    asked.addBoth(results.append)
    assert results == [Quote(True, None, "visitor", Prices(200, 150, 100), 200)]
    database.run_now(orders.place, a_request(), None, LIMITS, NOON)
    (order,) = database.run_now(orders.owned, NUMBER)
    Deferred.fromCoroutine(local.provision(order))
    Deferred.fromCoroutine(local.capture(order))


def test_without_an_answer_in_time_there_is_no_quote() -> None:
    clock = Clock()
    asked = Deferred.fromCoroutine(operator(SilentDatabase(), clock).quote(NUMBER, a_tone()))
    clock.advance(4.1)
    failures: list[object] = []
    asked.addErrback(lambda failure: failures.append(failure.type))
    assert failures == [NoQuote]
