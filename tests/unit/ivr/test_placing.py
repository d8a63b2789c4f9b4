"""A confirmed order whose fate is known late: who was not told by a sentence is told by SMS."""

from __future__ import annotations

from typing import Any

import pytest

from ordering import late as late_orders
from ordering import orders, outbox
from store.database import StoreClosed, StoreError, StoreUnavailable
from tests.fakes.catalogue import a_tone
from tests.fakes.channel import HANG_UP, IN_SILENCE, FakeChannel
from tests.fakes.line import LineFixture, provision_all
from tests.unit.ivr.calls import DIRECT, ORDER, TONE, own, part_after

CONFIRMED = ORDER[:2]
GONE = [*CONFIRMED, ("during ordering_wait", HANG_UP)]


def late(line: LineFixture, **script: Any) -> FakeChannel:
    """Make a call and let the store have time for what the call left, also on the disk."""
    channel = line.call(dialled=DIRECT, **script)
    line.clock.pump([1.0] * 60)
    line.kept.do_all(line.local)
    return channel


def one_order_a_day(line: LineFixture) -> None:
    line.use(policy=line.policy.model_copy(update={"orders_per_day": 1}))
    own(line, a_tone("1007"))


def answers(line: LineFixture) -> list[tuple[str, str]]:
    """Purpose and tone of the answers that wait to be sent."""
    return [
        (row["purpose"], row["tone_code"])
        for row in line.messages()
        if row["message_class"] == "answer" and row["state"] == "due"
    ]


def test_a_refusal_that_comes_after_the_sentence_is_texted(line: LineFixture) -> None:
    one_order_a_day(line)
    line.database.delays_s = {"place": 6.0}
    channel = late(line, keys=ORDER)
    assert "order_accepted" in channel.said
    assert "refused_orders_per_day" not in channel.said
    assert answers(line) == [("refused", "1029")]
    (text,) = [row["text"] for row in line.messages() if row["purpose"].startswith("refused")]
    assert "未收费" in text


@pytest.mark.parametrize(("delay_s", "reason"), [(0.0, "order_failed"), (2.0, "being_ordered")])
def test_no_offer_follows_a_text_that_there_is_no_order_nor_is_called_ordered(
    line: LineFixture, delay_s: float, reason: str
) -> None:
    one_order_a_day(line)
    line.database.delays_s = {"place": delay_s}
    late(line, keys=GONE)
    (offer,) = [row for row in line.messages() if row["message_class"] == "offer"]
    assert (offer["state"], offer["reason"]) == ("dropped", reason)


def test_a_refusal_that_the_caller_hears_is_not_texted(line: LineFixture) -> None:
    one_order_a_day(line)
    assert "refused_orders_per_day" in late(line, keys=ORDER).said
    assert answers(line) == []


@pytest.mark.parametrize("delay_s", [0.0, 2.0, 6.0])
def test_who_hung_up_before_he_heard_the_refusal_is_texted(
    line: LineFixture, delay_s: float
) -> None:
    one_order_a_day(line)
    line.database.delays_s = {"place": delay_s}
    late(line, keys=GONE)
    assert answers(line) == [("refused", "1029")]


def test_who_hangs_up_in_mid_refusal_is_texted(line: LineFixture) -> None:
    one_order_a_day(line)
    late(line, keys=[*CONFIRMED, ("during refused_orders_per_day", HANG_UP)])
    assert answers(line) == [("refused", "1029")]


def test_whose_call_is_ended_as_too_long_before_he_hears_the_refusal_is_texted(
    line: LineFixture,
) -> None:
    one_order_a_day(line)
    line.database.delays_s = {"place": 2.0}
    channel = late(line, keys=CONFIRMED, too_long_at_s=29.8)
    assert part_after(channel.said, "ordering_wait")[0] == "call_too_long"
    assert answers(line) == [("refused", "1029")]


def test_whose_call_is_ended_as_too_long_has_his_order(line: LineFixture) -> None:
    line.database.delays_s = {"place": 2.0}
    late(line, keys=CONFIRMED, too_long_at_s=28.35)
    assert len(line.orders()) == 1
    assert answers(line) == []


def test_an_error_after_the_sentence_is_texted(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreError("cannot be done")]
    late(line, keys=GONE)
    assert line.orders() == []
    assert answers(line) == [("order_failed", "1029")]


def test_the_text_waits_until_the_store_can_take_it(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreError("cannot be done")]
    line.database.failures["not_placed"] = [StoreUnavailable("locked")] * 5
    late(line, keys=GONE)
    assert answers(line) == [("order_failed", "1029")]


def test_who_heard_that_it_failed_is_not_texted_as_well(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreUnavailable("locked")] * 100
    assert "order_failed" in late(line, keys=ORDER).said
    assert answers(line) == []


def test_who_hangs_up_in_mid_apology_for_a_store_that_is_away_is_texted(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreUnavailable("locked")] * 100
    line.database.failures["not_placed"] = [StoreUnavailable("locked")] * 3
    late(line, keys=[*CONFIRMED, ("during order_failed", HANG_UP)])
    assert answers(line) == [("order_failed", "1029")]


def test_nobody_is_told_of_a_failure_when_the_order_is_there(line: LineFixture) -> None:
    line.database.delays_s = {"place": 6.0}
    late(line, keys=ORDER)
    (order,) = line.orders()
    assert order["state"] == "provisioned"
    assert answers(line) == []


def test_the_log_names_as_ordered_only_what_the_store_has_taken(line: LineFixture) -> None:
    one_order_a_day(line)
    line.database.delays_s = {"place": 6.0}
    late(line, keys=[*CONFIRMED, ("during order_accepted", HANG_UP)])
    (ended,) = line.log.of("call_ended")
    assert (ended["ordered"], ended["undecided"]) == ([], ["1029"])
    (came,) = line.log.of("order_came_late")
    assert (came["call_id"], came["outcome"]) == (ended["call_id"], "refused_orders_per_day")


def test_what_was_refused_late_may_be_wished_again_in_the_call(line: LineFixture) -> None:
    one_order_a_day(line)
    line.database.delays_s = {"place": 4.5}
    channel = late(line, keys=[*CONFIRMED, ("during choices", "1"), *ORDER[1:]])
    assert channel.said.count("offer_title") == 2


def test_a_refused_second_tone_does_not_undo_that_the_first_was_ordered(line: LineFixture) -> None:
    line.use(policy=line.policy.model_copy(update={"orders_per_day": 1}))
    second = [("during tones/", "1", 6000), (IN_SILENCE, "1"), (IN_SILENCE, HANG_UP)]
    late(line, keys=[*CONFIRMED, ("during choices", "2"), *second])
    assert [order["tone_code"] for order in line.orders()] == ["1029"]
    (offer,) = [row for row in line.messages() if row["message_class"] == "offer"]
    assert offer["reason"] == "ordered"


def test_a_failure_is_not_told_of_an_order_that_is_there(line: LineFixture) -> None:
    line.call(dialled=DIRECT, keys=ORDER)
    (notice,) = [row for row in line.messages() if row["purpose"] == "order_notice"]
    message = outbox.Message(
        "m", "8613905250001", "12530019", "?", "answer", "order_failed", line.now(),
        notice["expires_at"],
    )  # fmt: skip
    values = (line.orders()[0]["order_id"], message, line.now())
    assert not line.local.run_now(late_orders.not_placed, *values)
    assert answers(line) == []


# ---------------------------------------------------------------- kept on the disk


def test_an_order_whose_caller_is_gone_while_the_store_is_away_is_kept_and_placed_later(
    line: LineFixture,
) -> None:
    line.database.failures["place"] = [StoreUnavailable("locked")] * 100
    line.call(dialled=DIRECT, keys=GONE)
    assert (line.kept.names(), line.orders()) == (["place_late"], [])
    asked = line.database.requests.count("place")
    line.clock.pump([10.0] * 10)
    assert line.database.requests.count("place") <= asked + 1, "it is asked for besides"
    line.kept.do_all(line.local)
    (order,) = line.orders()
    assert order["state"] == "confirmed"
    assert "order_notice" in [row["purpose"] for row in line.messages()]
    assert answers(line) == []


def test_an_order_is_on_the_disk_before_its_caller_hears_that_it_is_accepted(
    line: LineFixture,
) -> None:
    line.database.delays_s = {"place": 60.0}
    channel = FakeChannel(line.clock, dialled=DIRECT, keys=CONFIRMED, stall="order_accepted")
    line.begin(channel)
    line.clock.pump([0.1] * 100)
    assert channel.commands[-1].endswith("order_accepted")
    assert line.kept.names() == ["place_late"]


def test_an_order_that_store_and_disk_both_bring_is_one(line: LineFixture) -> None:
    line.database.delays_s = {"place": 6.0}
    channel = late(line, keys=ORDER)
    assert "order_accepted" in channel.said
    assert len(line.orders()) == 1
    assert [row["purpose"] for row in line.messages() if row["state"] == "due"] == ["order_notice"]


def test_a_refusal_that_store_and_disk_both_bring_is_texted_once(line: LineFixture) -> None:
    one_order_a_day(line)
    line.database.delays_s = {"place": 6.0}
    line.call(dialled=DIRECT, keys=ORDER)
    assert line.kept.names() == ["place_late"]
    line.clock.pump([1.0] * 60)
    line.kept.do_all(line.local)
    assert answers(line) == [("refused", "1029")]


def test_what_was_kept_and_is_refused_then_is_texted(line: LineFixture) -> None:
    one_order_a_day(line)
    line.database.failures["place"] = [StoreUnavailable("locked")] * 2
    late(line, keys=GONE)
    assert answers(line) == [("refused", "1029")]


def test_a_store_that_answers_in_a_moment_leaves_nothing_on_the_disk(line: LineFixture) -> None:
    line.database.delays_s = {"place": 0.5}
    line.call(dialled=DIRECT, keys=GONE)
    line.clock.pump([0.5] * 10)
    assert (line.kept.names(), len(line.orders())) == ([], 1)


def test_a_line_that_ends_keeps_what_its_store_did_not_answer(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreClosed("the store was closed before it answered")]
    line.call(dialled=DIRECT, keys=GONE)
    assert line.kept.names() == ["place_late"]


def test_what_failed_by_its_sentence_is_not_kept(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreUnavailable("locked")] * 100
    channel = line.call(dialled=DIRECT, keys=ORDER)
    line.clock.pump([1.0] * 60)
    assert "order_failed" in channel.said
    assert line.kept.names() == []


def test_what_cannot_be_kept_is_asked_for_as_long_as_the_line_lives(line: LineFixture) -> None:
    line.kept.is_full = True
    line.database.failures["place"] = [StoreUnavailable("locked")] * 5
    late(line, keys=GONE)
    assert [event["tone_code"] for event in line.log.of("order_not_kept")] == ["1029"]
    assert len(line.orders()) == 1


def test_no_sms_says_that_a_kept_order_has_failed(line: LineFixture) -> None:
    held = line.database.hold("place")
    channel = line.call(dialled=DIRECT, keys=ORDER)
    assert "order_accepted" in channel.said
    assert line.kept.names() == ["place_late"]
    held[0].errback(StoreError("the store process died 5 times with this request"))
    line.clock.pump([1.0] * 5)
    line.kept.do_all(line.local)
    assert (len(line.orders()), answers(line)) == (1, [])


def test_a_code_is_not_said_to_be_sent_while_it_is_nowhere(line: LineFixture) -> None:
    line.database.hold("put")
    keys = [(f"during {TONE}", "3", 6000), (IN_SILENCE, HANG_UP)]
    channel = line.call(dialled=DIRECT, keys=keys)
    assert "code_not_sent" in channel.said


def test_a_disk_that_hangs_leaves_no_caller_in_silence(line: LineFixture) -> None:
    line.kept.hangs = True
    line.database.delays_s = {"place": 600.0}
    channel = FakeChannel(line.clock, dialled=DIRECT, keys=CONFIRMED)
    line.begin(channel)
    line.clock.pump([0.1] * 300)
    assert part_after(channel.said, "ordering_wait")[0] == "order_accepted"


def test_an_order_that_is_refused_a_place_in_the_last_call_is_kept_at_once(
    line: LineFixture,
) -> None:
    held = line.database.hold("place")
    line.call(dialled=DIRECT, keys=GONE)
    held[0].errback(StoreUnavailable("lost"))
    assert line.kept.names() == ["place_late"], "the line may end now"


def test_a_call_that_the_store_cannot_take_is_kept_with_all_that_was_heard(
    line: LineFixture,
) -> None:
    line.database.failures["call_ended"] = [StoreUnavailable("locked")]
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP, 9000)])
    assert line.kept.names() == ["call_ended"]
    line.clock.advance(3600)
    line.kept.do_all(line.local)
    assert line.record()["outcome"] == "hung_up"
    (offer,) = line.messages()
    assert (offer["state"], offer["reason"]) == ("dropped", "expired")


def test_an_order_that_the_store_takes_an_hour_later_can_still_be_undone(line: LineFixture) -> None:
    line.database.failures["place"] = [StoreUnavailable("locked")] * 10
    line.call(dialled=DIRECT, keys=GONE)
    line.clock.advance(59 * 60)
    line.kept.do_all(line.local)
    line.clock.advance(29 * 60)
    line.local.run_now(provision_all, line.now())
    values = ("8613905250001", line.now(), 30, line.now())
    assert line.local.run_now(orders.undo_last, *values) is not None


def test_what_the_store_could_not_take_for_more_than_an_hour_is_given_up_and_texted(
    line: LineFixture,
) -> None:
    line.database.failures["place"] = [StoreUnavailable("locked")] * 1000
    line.call(dialled=DIRECT, keys=GONE)
    line.clock.advance(61 * 60)
    line.kept.do_all(line.local)
    assert line.orders() == []
    assert answers(line) == [("order_failed", "1029")]
