"""An order in the call: what is heard, what counts, who may, what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from catalog.tones import Tone
from ordering import orders, subscribers
from ordering.provisioning import NoQuote
from store import schema
from store.changes import announce
from store.database import StoreBusy, StoreError, StoreUnavailable
from tests.fakes.catalogue import a_tone
from tests.fakes.channel import HANG_UP, IN_SILENCE, Key
from tests.fakes.line import NOON, LineFixture
from tests.unit.ivr.calls import (
    DIRECT,
    ORDER,
    TONE,
    own,
    part_after,
    tones_played,
)

# ---------------------------------------------------------------- an order


def test_an_order_hears_title_three_prices_what_he_pays_and_validity(line: LineFixture) -> None:
    said = part_after(line.call(dialled=DIRECT, keys=ORDER).said, "1029-a")
    assert said == [
        "offer_title", "code", "d1", "d0", "d2", "d9_end",
        "price_visitor", "yuan_2", "price_member", "yuan_1", "jiao_5", "price_senior", "yuan_1",
        "offer_pays", "yuan_2", "offer_forever", "offer_confirm",
        "ordering_wait", "ordered", "choices",
    ]  # fmt: skip


def test_a_licence_that_ends_is_told(line: LineFixture) -> None:
    line.snapshot = LineFixture((a_tone(licence_until=date(2027, 12, 31)),)).snapshot
    assert "offer_until" in line.call(dialled=DIRECT, keys=ORDER).said


def test_1_then_confirms_and_the_order_is_placed_with_its_proof(line: LineFixture) -> None:
    channel = line.call(dialled=DIRECT, keys=ORDER)
    (order,) = line.orders()
    assert (order["state"], order["msisdn"], order["tone_code"], order["pays_fen"]) == (
        "provisioned", "8613905250001", "1029", 200
    )  # fmt: skip
    (consent,) = line.rows(schema.consent)
    shown = json.loads(consent["shown"])
    words = line.line.prompts.texts["offer_pays"]
    heard = [prompt for prompt in shown["prompts"] if prompt["id"].endswith("offer_pays")]
    assert heard == [
        {
            "id": "prompts/zh_CN/offer_pays",
            "text": words,
            "sha256": "sha256 of prompts/zh_CN/offer_pays",
            "played_ms": 1000,
        }
    ]
    assert shown["key_ms"] == 17_100
    assert words in shown["text"]
    assert consent["answer"] == "1"
    assert "ordered" in channel.said
    (notice,) = [row for row in line.messages() if row["purpose"] == "order_notice"]
    assert notice["order_id"] == order["order_id"]
    assert notice["expires_at"] - notice["due_at"] == timedelta(hours=48)


def test_a_member_pays_the_members_price(line: LineFixture) -> None:
    line.local.run_now(subscribers.set_subscriber, "8613905250001", NOON, "member")
    channel = line.call(dialled=DIRECT, keys=ORDER)
    assert part_after(channel.said, "offer_pays")[:2] == ["yuan_1", "jiao_5"]
    assert line.orders()[0]["pays_fen"] == 150


def test_star_gives_up_at_once(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("during offer_title", "*"), (IN_SILENCE, HANG_UP)]
    said = line.call(dialled=DIRECT, keys=keys).said
    assert part_after(said, "offer_title")[0] == "order_given_up"
    assert line.orders() == []


def test_silence_after_the_question_asks_once_more_and_then_gives_up(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("during order_given_up", HANG_UP)]
    said = part_after(line.call(dialled=DIRECT, keys=keys).said, "1029-a")
    assert said.count("offer_pays") == said.count("offer_confirm") == 2
    assert said.count("offer_title") == 1
    assert line.orders() == []


def test_a_1_before_the_price_was_heard_is_recorded_and_ignored_and_the_sentence_goes_on(
    line: LineFixture,
) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("during price_member", "1", 400),
            ("during offer_pays", "1", 900), (IN_SILENCE, HANG_UP)]  # fmt: skip
    channel = line.call(dialled=DIRECT, keys=keys)
    parts = [(p.from_ms, p.to_ms) for p in channel.played if p.sound.endswith("price_member")]
    assert parts == [(0, 400), (400, 1000)]
    assert line.orders() == []
    ignored = [key for key in line.keys_pressed() if "ignored" in key]
    assert ignored == [{"digit": "1", "ignored": "the price was not heard"}] * 2


def test_1_counts_as_soon_as_the_price_was_heard_to_its_end(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("during offer_forever", "1", 1), (IN_SILENCE, HANG_UP)]
    assert "ordered" in line.call(dialled=DIRECT, keys=keys).said


def test_the_buffer_is_emptied_when_the_order_sentence_begins(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("then", "1", 200), ("then", "1", 200),
            ("then", "1", 200), (IN_SILENCE, HANG_UP)]  # fmt: skip
    line.call(dialled=DIRECT, keys=keys)
    assert line.orders() == []


def test_two_quick_ones_do_not_order(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("then", "1", 50), (IN_SILENCE, HANG_UP)]
    line.call(dialled=DIRECT, keys=keys)
    assert line.orders() == []


def test_a_counted_1_stands_even_if_the_caller_hangs_up_before_the_answer(
    line: LineFixture,
) -> None:
    line.database.delays_s = {"place": 2.0}
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "1"), ("during ordering_wait", HANG_UP)]
    line.call(dialled=DIRECT, keys=keys)
    line.clock.pump([1.0] * 10)
    assert [order["state"] for order in line.orders()] == ["provisioned"]


def test_a_1_during_the_title_does_not_order(line: LineFixture) -> None:
    keys = [("during d2", "1"), (IN_SILENCE, "1"), (IN_SILENCE, HANG_UP)]
    channel = line.call(dialled=DIRECT, keys=keys)
    assert part_after(channel.said, "d2")[0] == "1029-a"
    assert line.keys_pressed()[0] == {"digit": "1", "ignored": "the tone had not begun"}
    assert line.orders() == []


def test_a_key_pressed_before_a_list_began_never_orders(line: LineFixture) -> None:
    keys = [(0.5, "1"), (0.8, "1"), (1.1, "1"), (1.4, "1"), (IN_SILENCE, HANG_UP)]
    channel = line.call(keys=keys)
    assert "offer_title" not in channel.said
    assert line.orders() == []


@pytest.mark.parametrize("key", "23456789")
def test_other_keys_do_not_end_the_order_sentence(line: LineFixture, key: str) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("during offer_title", key), (IN_SILENCE, "1"),
            (IN_SILENCE, HANG_UP)]  # fmt: skip
    assert "ordered" in line.call(dialled=DIRECT, keys=keys).said


def test_0_in_an_order_helps_and_says_the_sentence_again(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "0"), (IN_SILENCE, "1"),
            (IN_SILENCE, HANG_UP)]  # fmt: skip
    said = line.call(dialled=DIRECT, keys=keys).said
    assert said.count("offer_title") == 2
    assert part_after(said, "help_order")[0] == "offer_title"
    assert "ordered" in said


def test_star_during_the_help_gives_the_order_up(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("during offer_confirm", "0"),
            ("during help_order", "*"), (IN_SILENCE, "1"), (IN_SILENCE, HANG_UP)]  # fmt: skip
    said = line.call(dialled=DIRECT, keys=keys).said
    assert part_after(said, "help_order")[0] == "order_given_up"
    assert line.orders() == []


def test_1_during_the_help_confirms_what_was_offered_whole(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "0"), ("during help_order", "1"),
            (IN_SILENCE, HANG_UP)]  # fmt: skip
    said = line.call(dialled=DIRECT, keys=keys).said
    assert part_after(said, "help_order")[:2] == ["ordering_wait", "ordered"]


def test_1_during_a_help_before_the_price_orders_nothing(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("during offer_title", "0"), ("during help_order", "1"),
            ("during offer_title", "*"), (IN_SILENCE, HANG_UP)]  # fmt: skip
    assert "order_given_up" in line.call(dialled=DIRECT, keys=keys).said
    assert line.orders() == []


def test_0_during_the_help_says_it_again(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "0"), ("during help_order", "0", 500),
            (IN_SILENCE, HANG_UP)]  # fmt: skip
    said = line.call(dialled=DIRECT, keys=keys).said
    assert part_after(said, "help_order")[:2] == ["help_order", "offer_title"]


def test_a_key_pressed_while_the_order_is_on_its_way_acts_after_the_sentence_about_it(
    line: LineFixture,
) -> None:
    keys = [*ORDER[:2], ("during ordering_wait", "2"), (IN_SILENCE, HANG_UP)]
    channel = line.call(dialled=DIRECT, keys=keys)
    assert "ordered" in channel.said
    assert tones_played(channel)[1:] != ["1029"]
    assert len(tones_played(channel)) == 2


@pytest.mark.parametrize("key", ["1", "2"])
def test_a_key_pressed_while_nothing_is_played_does_not_cut_off_what_became_of_the_order(
    line: LineFixture, key: str
) -> None:
    line.provision_after_s = 3.0
    keys = [*ORDER[:2], ("then", key, 2000), (IN_SILENCE, HANG_UP)]
    channel = line.call(dialled=DIRECT, keys=keys)
    heard_ms = [p.to_ms for p in channel.played if p.sound.endswith("/ordered")]
    assert heard_ms == [0, 1000]
    assert len(tones_played(channel)) == int(key)  # 1 has no meaning then, 2 is the next tone


def test_ordering_the_same_tone_again_in_the_call_says_what_became_of_it(
    line: LineFixture,
) -> None:
    keys = [*ORDER[:2], (IN_SILENCE, "1"), (IN_SILENCE, HANG_UP)]
    assert line.call(dialled=DIRECT, keys=keys).said.count("ordered") == 2
    assert len(line.orders()) == 1


def test_a_second_call_hears_that_the_tone_is_owned(line: LineFixture) -> None:
    line.call(dialled=DIRECT, keys=ORDER)
    assert "refused_owned" in line.call(dialled=DIRECT, keys=ORDER).said


def test_a_second_call_hears_that_the_tone_is_being_ordered(line: LineFixture) -> None:
    line.provision_after_s = None
    line.call(dialled=DIRECT, keys=ORDER)
    said = line.call(dialled=DIRECT, keys=ORDER).said
    assert part_after(said, "ordering_wait")[0] == "being_ordered"


def test_over_the_days_orders_it_is_refused_with_where_to_ask(line: LineFixture) -> None:
    line.use(policy=line.policy.model_copy(update={"orders_per_day": 1}))
    own(line, a_tone("1007"))
    said = line.call(dialled=DIRECT, keys=ORDER).said
    assert part_after(said, "ordering_wait")[:2] == ["refused_orders_per_day", "ask_10086"]


def test_over_the_days_spending_it_is_refused_with_where_to_ask(line: LineFixture) -> None:
    line.use(policy=line.policy.model_copy(update={"spend_per_day_fen": 199}))
    said = line.call(dialled=DIRECT, keys=ORDER).said
    assert part_after(said, "ordering_wait")[:2] == ["refused_spend_per_day", "ask_10086"]


def test_9_in_an_order_says_the_sentence_from_its_start(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "9"), (IN_SILENCE, "1"),
            (IN_SILENCE, HANG_UP)]  # fmt: skip
    said = line.call(dialled=DIRECT, keys=keys).said
    assert said.count("offer_title") == 2
    assert "ordered" in said


def test_a_key_without_meaning_in_the_silence_after_the_question_is_ignored(
    line: LineFixture,
) -> None:
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "5"), (IN_SILENCE, "1"),
            (IN_SILENCE, HANG_UP)]  # fmt: skip
    assert "ordered" in line.call(dialled=DIRECT, keys=keys).said
    assert {"digit": "5", "ignored": "no meaning here"} in line.keys_pressed()


def test_a_language_that_names_no_price_sells_nothing(line: LineFixture) -> None:
    book = line.line.prompts
    line.use(prompts=replace(book, sentences={**book.sentences, "offer_pays": ()}))
    channel = line.call(dialled=DIRECT, keys=ORDER)
    assert "line_trouble" in channel.said
    assert line.orders() == []


# ---------------------------------------------------------------- who may order


@pytest.mark.parametrize(
    ("caller", "sentence"),
    [
        ("051487654321", "refused_landline"),
        ("87654321", "refused_landline"),
        ("1440123456789", "refused_iot"),
        ("unknown", "refused_unknown"),
        ("anonymous", "refused_unknown"),
        ("", "refused_unknown"),
        ("+4915112345678", "refused_unknown"),
    ],
)
def test_who_is_no_mobile_may_listen_but_not_order(
    line: LineFixture, caller: str, sentence: str
) -> None:
    channel = line.call(dialled=DIRECT, caller=caller, keys=ORDER)
    assert tones_played(channel) == ["1029"]
    assert sentence in channel.said
    assert "offer_title" not in channel.said


def test_a_tone_out_of_licence_is_not_sold(line: LineFixture) -> None:
    line.snapshot = LineFixture((a_tone(licence_until=date(2026, 11, 25)),)).snapshot
    assert "refused_licence_ended" in line.call(dialled=DIRECT, keys=ORDER).said


class _NoOperator:
    """An operator's side that answers `after_s` later, with no quote."""

    def __init__(self, line: LineFixture, after_s: float) -> None:
        self.asked: list[str] = []
        self._line = line
        self._after_s = after_s

    async def quote(self, msisdn: str, tone: Tone) -> Any:
        self.asked.append(tone.code)
        passed: Deferred[None] = Deferred()
        self._line.clock.callLater(self._after_s, passed.callback, None)
        await passed
        raise NoQuote("nobody answers")


def test_without_a_quote_in_time_there_is_no_order_and_the_line_says_so(line: LineFixture) -> None:
    line.use(operator=_NoOperator(line, 4.0))
    keys = [(f"during {TONE}", "1", 1000), (IN_SILENCE, HANG_UP)]
    said = part_after(line.call(dialled=DIRECT, keys=keys).said, "1029-a")
    assert said[:2] == ["ordering_wait", "quote_missing"]
    assert line.orders() == []


def test_star_while_the_quote_is_waited_for_gives_the_order_up(line: LineFixture) -> None:
    line.database.delays_s = {"local_quote": 3.0}
    keys = [(f"during {TONE}", "1", 500), ("during ordering_wait", "*"), (IN_SILENCE, HANG_UP)]
    said = line.call(dialled=DIRECT, keys=keys).said
    assert part_after(said, "ordering_wait")[0] == "order_given_up"
    assert "offer_title" not in said


def test_the_quote_is_asked_for_when_the_tone_begins(line: LineFixture) -> None:
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP, 2000)])
    events = line.record()["events"]
    (quoted_ms,) = [ms for ms, kind, _ in events if kind == "quote"]
    (began_ms,) = [ms for ms, kind, detail in events if detail.get("sound") == TONE]
    assert quoted_ms == began_ms


def test_an_operator_that_fails_costs_no_call(line: LineFixture) -> None:
    class Broken:
        async def quote(self, msisdn: str, tone: Tone) -> Any:
            raise ValueError("this is a mistake")

    line.use(operator=Broken())
    assert "quote_missing" in line.call(dialled=DIRECT, keys=ORDER).said
    assert line.log.of("quote_failed")


# ---------------------------------------------------------------- what became of the order


def test_provisioned_within_four_seconds_is_a_success(line: LineFixture) -> None:
    line.provision_after_s = 3.5
    assert "ordered" in line.call(dialled=DIRECT, keys=ORDER).said


def test_provisioned_later_is_accepted_and_comes_by_sms(line: LineFixture) -> None:
    line.provision_after_s = 5.0
    channel = line.call(dialled=DIRECT, keys=ORDER)
    assert "ordered" not in channel.said
    assert "order_accepted" in channel.said


def test_an_order_that_the_store_has_not_done_yet_is_accepted_and_done_later(
    line: LineFixture,
) -> None:
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "1"), ("during order_accepted", HANG_UP)]
    line.database.delays_s = {"place": 30.0}
    channel = line.call(dialled=DIRECT, keys=keys)
    assert channel.said[-1] == "order_accepted"
    assert line.orders() == []
    line.clock.pump([10.0] * 4)
    assert len(line.orders()) == 1


@pytest.mark.parametrize("error", [StoreUnavailable("locked"), StoreBusy("too many")])
def test_a_database_that_cannot_just_now_is_asked_again(
    line: LineFixture, error: StoreError
) -> None:
    line.database.failures["place"] = [error, error]
    assert "ordered" in line.call(dialled=DIRECT, keys=ORDER).said
    assert len(line.orders()) == 1


def test_an_accepted_order_is_stored_as_soon_as_the_database_can(line: LineFixture) -> None:
    line.database.delays_s = {"place": 5.0}
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "1"), ("during order_accepted", HANG_UP)]
    channel = line.call(dialled=DIRECT, keys=keys)
    assert channel.said[-1] == "order_accepted"
    line.database.delays_s = {}
    line.clock.pump([1.0] * 10)
    assert len(line.orders()) == 1


def test_a_caller_who_hung_up_has_his_order_when_the_database_is_back(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreUnavailable("locked")] * 10
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "1"), ("during ordering_wait", HANG_UP)]
    line.call(dialled=DIRECT, keys=keys)
    line.kept.do_all(line.local)
    assert len(line.orders()) == 1


def test_an_order_that_was_cancelled_meanwhile_is_no_success(line: LineFixture) -> None:
    line.provision_after_s = None

    def cancel() -> None:
        values = ("8613905250001", ("1029",), "TD", line.now())
        line.clock.callLater(1.0, line.local.run_now, orders.cancel, *values)
        line.clock.callLater(1.1, line.local.run_now, announce_all, line.orders()[0]["order_id"])

    line.local.on_change("orders", cancel)
    assert "order_failed" in line.call(dialled=DIRECT, keys=ORDER).said


def announce_all(connection: Connection, order_id: str) -> None:
    announce(connection, f"order:{order_id}")


def test_a_database_that_stays_away_is_given_up_after_a_while(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreUnavailable("locked")] * 100
    assert "order_failed" in line.call(dialled=DIRECT, keys=ORDER).said
    line.clock.pump([10.0] * 20)
    assert len(line.database.failures["place"]) > 90  # nobody asks any more
    assert line.orders() == []


def test_an_order_that_certainly_failed_is_said_to_have_failed(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreError("this cannot be done")]
    said = line.call(dialled=DIRECT, keys=ORDER).said
    assert "order_failed" in said
    assert "ordered" not in said
    assert line.orders() == []
    (event,) = line.log.of("order_not_placed")
    assert event["msisdn"] == "139****0001"


# ---------------------------------------------------------------- whatever is pressed

PRESSES = st.lists(
    st.tuples(st.integers(1, 12_000), st.sampled_from("0123456789*#111")), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(
    dialled=st.sampled_from(["12530019", DIRECT, "125300191"]),
    presses=PRESSES,
    hang_up_after_ms=st.none() | st.integers(1, 60_000),
    answer=st.sampled_from(["immediate", "early_media"]),
)
def test_no_order_without_a_1_after_the_price_and_always_a_record(
    dialled: str, presses: list[tuple[int, str]], hang_up_after_ms: int | None, answer: str
) -> None:
    line = LineFixture(answer=answer)
    keys = [Key("then", digit, after_ms) for after_ms, digit in presses]
    if hang_up_after_ms is not None:
        keys.append(Key("then", HANG_UP, hang_up_after_ms))
    channel = line.call(dialled=dialled, keys=keys, too_long_at_s=900.0)
    record = line.record()
    assert record["ended_at"] is not None
    assert channel.hung_up
    for order in line.orders():
        assert was_confirmed(record["events"], order), "an order without its confirmation"


def was_confirmed(events: list[Any], order: dict[str, Any]) -> bool:
    """Whether a 1 was pressed at the order's confirmation, after what he pays had been heard."""
    confirmed_ms = round((order["confirmed_at"] - NOON).total_seconds() * 1000)
    played = [(ms, detail) for ms, kind, detail in events if kind == "played"]
    price_ends = [
        ms + 1000
        for (_, before), (ms, detail) in pairwise(played)
        if before["sound"].endswith("offer_pays") and detail["to_ms"] - detail["from_ms"] > 0
    ]
    pressed = any(
        kind == "key" and detail == {"digit": "1"} and abs(ms - confirmed_ms) <= 1
        for ms, kind, detail in events
    )
    return pressed and bool(price_ends) and min(price_ends) <= confirmed_ms
