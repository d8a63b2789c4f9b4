"""A closed ring-back function in the call: opened first, by a confirmation of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from catalog.tones import Tone
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


@pytest.mark.parametrize("sentence", ["ordering_wait", "function_opened"])
def test_star_while_the_function_is_opened_gives_up_the_tone(
    line: LineFixture, sentence: str
) -> None:
    close_function(line)
    keys = [*ORDER[:1], (IN_SILENCE, "1"), (f"during {sentence}", "*"), (IN_SILENCE, HANG_UP)]
    said = line.call(dialled=DIRECT, keys=keys).said
    assert part_after(said, "function_opened")[0] == "order_given_up"
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
    assert part_after(channel.said, "ordering_wait")[0] == "function_accepted"
    assert [order["tone_code"] for order in line.orders()] == ["KT"]


class StillClosed:
    """An operator's side that sells no song until the function is really open."""

    def __init__(self, operator: Any) -> None:
        self.quote_function = operator.quote_function
        self._operator = operator

    async def quote(self, msisdn: str, tone: Tone) -> Any:
        quote = await self._operator.quote(msisdn, tone)
        return replace(quote, eligible=False, reason="function_closed")


def later_songs(line: LineFixture) -> list[str]:
    return [row["text"] for row in line.messages() if row["purpose"] == "song_later"]


def test_a_caller_whose_function_is_not_open_in_time_is_told_how_to_order_the_song(
    line: LineFixture,
) -> None:
    close_function(line)
    line.provision_after_s = 6.0
    line.call(dialled=DIRECT, keys=[*ORDER[:1], (IN_SILENCE, "1"), *ORDER[1:]])
    (text,) = later_songs(line)
    assert "《茉莉花》未订购" in text
    assert text.endswith("1029")


def test_who_hangs_up_while_his_function_is_being_opened_is_texted_about_the_song(
    line: LineFixture,
) -> None:
    close_function(line)
    keys = [*ORDER[:1], (IN_SILENCE, "1"), ("during ordering_wait", HANG_UP)]
    line.call(dialled=DIRECT, keys=keys)
    assert len(later_songs(line)) == 1


def test_a_function_that_is_being_opened_is_not_offered_again_in_the_call(
    line: LineFixture,
) -> None:
    close_function(line)
    line.use(operator=StillClosed(line.line.operator))
    line.provision_after_s = None
    again = [("during choices", "1"), (IN_SILENCE, HANG_UP)]
    said = line.call(dialled=DIRECT, keys=[*ORDER[:1], (IN_SILENCE, "1"), *again]).said
    assert said.count("function_offer") == 1
    assert said.count("function_accepted") == 2


def test_no_text_about_the_song_comes_when_it_is_offered_at_once(line: LineFixture) -> None:
    close_function(line)
    line.call(dialled=DIRECT, keys=[*ORDER[:1], (IN_SILENCE, "1"), *ORDER[1:]])
    assert later_songs(line) == []


def test_without_a_quote_of_the_function_there_is_no_order(line: LineFixture) -> None:
    close_function(line)
    line.database.failures["local_function_quote"] = [StoreError("the disk is full")]
    assert "quote_missing" in line.call(dialled=DIRECT, keys=ORDER).said
