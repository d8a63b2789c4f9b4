"""A closed ring-back function in the call: opened first, by a confirmation of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ordering import subscribers
from store import schema
from store.database import StoreError
from tests.fakes.channel import HANG_UP, IN_SILENCE
from tests.fakes.line import NOON, LineFixture
from tests.unit.ivr.calls import DIRECT, ORDER, part_after


def close_function(line: LineFixture) -> None:
    line.local.run_now(subscribers.set_subscriber, "8613905250001", NOON, None, "off")


@pytest.mark.parametrize("function", ["on", "off"])
def test_who_is_suspended_is_told_and_asked_nothing(line: LineFixture, function: Any) -> None:
    line.local.run_now(
        subscribers.set_subscriber, "8613905250001", NOON, None, function, "suspended"
    )
    channel = line.call(dialled=DIRECT, keys=ORDER)
    assert "refused_suspended" in channel.said
    assert not {"offer_title", "function_offer"} & set(channel.said)


def test_a_closed_function_is_opened_by_a_confirmation_of_its_own(line: LineFixture) -> None:
    close_function(line)
    channel = line.call(dialled=DIRECT, keys=[*ORDER[:1], (IN_SILENCE, "1"), *ORDER[1:]])
    said = part_after(channel.said, "1029-a")
    assert said[:5] == ["function_offer", "yuan_5", "function_confirm", "ordering_wait",
                        "function_opened"]  # fmt: skip
    assert said[5] == "offer_title"
    assert "ordered" in said
    function, tone = line.orders()
    assert (function["tone_code"], function["pays_fen"]) == ("KT", 500)
    assert (tone["tone_code"], tone["pays_fen"]) == ("1029", 200)
    proofs = [json.loads(consent["shown"]) for consent in line.rows(schema.consent)]
    assert [proof["text"][:6] for proof in proofs] == ["您还没有开通", "您选择的是："]
    notices = [row["text"] for row in line.messages() if row["message_class"] == "order"]
    assert ["已开通彩铃功能" in text for text in notices] == [True, False]


def test_who_opens_the_function_has_not_yet_ordered_the_tone(line: LineFixture) -> None:
    close_function(line)
    keys = [*ORDER[:1], (IN_SILENCE, "1"), ("during offer_confirm", "*"), (IN_SILENCE, HANG_UP)]
    line.call(dialled=DIRECT, keys=keys)
    assert [order["tone_code"] for order in line.orders()] == ["KT"]


def test_who_does_not_want_the_function_orders_nothing(line: LineFixture) -> None:
    close_function(line)
    keys = [*ORDER[:1], ("during function_offer", "*"), (IN_SILENCE, HANG_UP)]
    said = line.call(dialled=DIRECT, keys=keys).said
    assert "order_given_up" in said
    assert "offer_title" not in said
    assert line.orders() == []


def test_the_functions_fee_must_be_heard_before_1_counts(line: LineFixture) -> None:
    close_function(line)
    keys = [*ORDER[:1], ("during function_offer", "1"), (IN_SILENCE, HANG_UP)]
    assert "function_opened" not in line.call(dialled=DIRECT, keys=keys).said
    assert line.orders() == []


def test_a_function_that_is_not_open_in_time_ends_the_order(line: LineFixture) -> None:
    close_function(line)
    line.provision_after_s = None
    channel = line.call(dialled=DIRECT, keys=[*ORDER[:1], (IN_SILENCE, "1"), *ORDER[1:]])
    assert part_after(channel.said, "ordering_wait")[0] == "order_accepted"
    assert [order["tone_code"] for order in line.orders()] == ["KT"]


def test_without_a_quote_of_the_function_there_is_no_order(line: LineFixture) -> None:
    close_function(line)
    line.database.failures["local_function_quote"] = [StoreError("the disk is full")]
    assert "quote_missing" in line.call(dialled=DIRECT, keys=ORDER).said
