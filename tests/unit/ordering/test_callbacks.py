from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ordering import callbacks, contact, records
from ordering.callbacks import (
    CALL_WITHIN,
    ONE_CALL_IN,
    Asked,
    Callback,
    CallbackRefused,
    CallbackRequest,
    Outcome,
)
from store.database import LocalDatabase
from store.engine import engine_for
from store.schema import callback as table
from store.schema import event, metadata
from tests.fakes.messages import LOCAL_NOON, MSISDN, NOON

LEASE_S = 90.0
MORE = timedelta(seconds=1)


def a_wish(number: int = 1, msisdn: str = MSISDN, tone_code: str = "1029") -> CallbackRequest:
    return CallbackRequest(f"callback-{number}", msisdn, tone_code, "sms")


def ask(
    database: LocalDatabase, wish: CallbackRequest, at: datetime = NOON
) -> Asked | CallbackRefused:
    return database.run_now(callbacks.ask, wish, at)


def claim(
    database: LocalDatabase, by: str = "host/1", count: int = 10, at: datetime = NOON
) -> list[str]:
    claimed = database.run_now(callbacks.claim, by, count, at, LEASE_S)
    return [callback.callback_id for callback in claimed]


def end(database: LocalDatabase, outcome: Outcome, by: str = "host/1", at: datetime = NOON) -> None:
    callback = Callback("callback-1", MSISDN, "1029")
    database.run_now(callbacks.called, callback, by, outcome, "why", at)


def states(database: LocalDatabase) -> dict[str, str]:
    with database.engine.connect() as connection:
        rows = connection.execute(select(table.c.callback_id, table.c.state)).all()
    return {callback_id: state for callback_id, state in rows}


def traced(database: LocalDatabase, kind: str) -> list[dict[str, object]]:
    return [
        happening.detail
        for happening in database.run_now(records.trace, MSISDN)
        if happening.kind == kind
    ]


# ---------------------------------------------------------------- asking


def test_who_asks_is_owed_a_call_for_five_minutes(database: LocalDatabase) -> None:
    assert ask(database, a_wish()) == Asked("callback-1", "1029", NOON + CALL_WITHIN)
    assert claim(database) == ["callback-1"]


def test_asking_is_announced(database: LocalDatabase) -> None:
    told: list[bool] = []
    database.on_change("callbacks", lambda: told.append(True))
    ask(database, a_wish())
    ask(database, a_wish(2))
    assert told == [True]


def test_the_same_wish_again_is_the_same_call(database: LocalDatabase) -> None:
    first = ask(database, a_wish())
    assert ask(database, a_wish(), NOON + MORE) == first
    assert states(database) == {"callback-1": "due"}


def test_a_second_wish_while_one_is_open_is_refused_and_recorded(database: LocalDatabase) -> None:
    ask(database, a_wish())
    refused = ask(database, a_wish(2, tone_code="1032"), NOON + MORE)
    assert refused == CallbackRefused("called_lately", "1029", NOON + MORE + ONE_CALL_IN)
    assert traced(database, "refused") == [{"tone_code": "1032", "reason": "called_lately"}]
    assert states(database) == {"callback-1": "due"}


@pytest.mark.parametrize("outcome", ["answered", "busy", "no_answer", "failed", "unknown"])
def test_a_number_is_called_once_in_ten_minutes(database: LocalDatabase, outcome: Outcome) -> None:
    ask(database, a_wish())
    claim(database, at=NOON + MORE)
    end(database, outcome, at=NOON + 2 * MORE)
    again_at = NOON + MORE + ONE_CALL_IN
    refused = ask(database, a_wish(2), again_at - MORE)
    assert refused == CallbackRefused("called_lately", "1029", again_at)
    assert isinstance(ask(database, a_wish(3), again_at), Asked)


def test_another_number_is_called_at_the_same_time(database: LocalDatabase) -> None:
    ask(database, a_wish())
    assert isinstance(ask(database, a_wish(2, "8613805140001")), Asked)


def test_a_call_that_was_never_placed_does_not_count(database: LocalDatabase) -> None:
    ask(database, a_wish())
    database.run_now(callbacks.drop_overdue, NOON + CALL_WITHIN)
    assert isinstance(ask(database, a_wish(2), NOON + CALL_WITHIN), Asked)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=20))
def test_no_number_is_ever_called_twice_in_ten_minutes(pauses_s: list[int]) -> None:
    engine = engine_for("sqlite://")
    metadata.create_all(engine, tables=[table, event])
    database = LocalDatabase(engine)
    at, called_at = NOON, []
    for number, pause_s in enumerate(pauses_s):
        at += timedelta(seconds=pause_s)
        ask(database, a_wish(number), at)
        for callback_id in claim(database, f"host/{number}", at=at + MORE):
            called_at.append(at + MORE)
            callback = Callback(callback_id, MSISDN, "1029")
            database.run_now(callbacks.called, callback, f"host/{number}", "busy", "", at + MORE)
    database.close()
    gaps = [after - before for before, after in zip(called_at, called_at[1:], strict=False)]
    assert all(gap >= ONE_CALL_IN for gap in gaps)
    assert called_at


def test_who_asks_himself_is_called_at_night_and_after_he_said_r(database: LocalDatabase) -> None:
    database.run_now(contact.stop_offers, MSISDN, NOON)
    assert isinstance(ask(database, a_wish(), LOCAL_NOON.replace(hour=3)), Asked)


# ---------------------------------------------------------------- calling


def test_several_hosts_never_get_the_same_call(database: LocalDatabase) -> None:
    for number in range(5):
        ask(database, a_wish(number, f"861380514000{number}"), NOON + number * MORE)
    first = claim(database, "host/1", 3, NOON + 5 * MORE)
    second = claim(database, "other/1", 3, NOON + 5 * MORE)
    assert first == ["callback-0", "callback-1", "callback-2"]  # the oldest wish first
    assert second == ["callback-3", "callback-4"]
    assert claim(database, "third/1", at=NOON + 5 * MORE) == []


def test_a_claim_whose_answer_was_lost_returns_the_same_calls(database: LocalDatabase) -> None:
    ask(database, a_wish())
    assert claim(database, "host/1") == claim(database, "host/1") == ["callback-1"]
    assert claim(database, "host/2") == []


@pytest.mark.parametrize("outcome", ["answered", "busy", "no_answer", "failed", "unknown"])
def test_every_outcome_is_recorded(database: LocalDatabase, outcome: Outcome) -> None:
    ask(database, a_wish())
    claim(database)
    end(database, outcome)
    end(database, outcome)
    assert states(database) == {"callback-1": outcome}
    (once,) = traced(database, "callback")
    told = {"callback_id": "callback-1", "tone_code": "1029", "outcome": outcome, "reason": "why"}
    assert once == told


def test_an_outcome_from_somebody_elses_claim_changes_nothing(database: LocalDatabase) -> None:
    ask(database, a_wish())
    claim(database)
    end(database, "busy", by="other/1")
    assert states(database) == {"callback-1": "calling"}


def test_a_call_too_old_is_dropped(database: LocalDatabase) -> None:
    ask(database, a_wish())
    late = NOON + CALL_WITHIN
    assert claim(database, at=late) == []
    assert database.run_now(callbacks.drop_overdue, late - MORE) == 0
    assert database.run_now(callbacks.drop_overdue, late) == 1
    assert database.run_now(callbacks.drop_overdue, late) == 0
    assert states(database) == {"callback-1": "expired"}
    assert [detail["outcome"] for detail in traced(database, "callback")] == ["expired"]


def test_a_call_whose_host_died_is_not_placed_again(database: LocalDatabase) -> None:
    ask(database, a_wish())
    claim(database)
    after = NOON + timedelta(seconds=LEASE_S)
    assert database.run_now(callbacks.drop_overdue, after - MORE) == 0
    assert database.run_now(callbacks.drop_overdue, after) == 1
    assert claim(database, "other/1", at=after) == []
    assert states(database) == {"callback-1": "unknown"}


def test_a_late_outcome_is_better_than_none(database: LocalDatabase) -> None:
    ask(database, a_wish())
    claim(database)
    database.run_now(callbacks.drop_overdue, NOON + timedelta(seconds=LEASE_S))
    end(database, "answered", at=NOON + timedelta(seconds=LEASE_S + 1))
    assert states(database) == {"callback-1": "answered"}
    outcomes = [detail["outcome"] for detail in traced(database, "callback")]
    assert outcomes == ["unknown", "answered"]


def test_a_call_given_back_is_placed_by_another_host(database: LocalDatabase) -> None:
    ask(database, a_wish())
    claim(database)
    callback = Callback("callback-1", MSISDN, "1029")
    database.run_now(callbacks.give_back, callback, "other/1")
    assert claim(database, "other/1") == []
    database.run_now(callbacks.give_back, callback, "host/1")
    assert claim(database, "other/1") == ["callback-1"]
