"""What a call leaves behind: its record and its hang-up SMS."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from catalog.tones import Tone
from ordering.subscribers import set_subscriber
from store import schema
from store.database import StoreError
from tests.fakes.channel import HANG_UP, IN_SILENCE, FakeChannel
from tests.fakes.line import NOON, PROVINCE_SONGS, LineFixture
from tests.unit.ivr.calls import (
    DIRECT,
    ORDER,
    TONE,
)

# ---------------------------------------------------------------- the hang-up SMS


def offer(line: LineFixture) -> dict[str, Any]:
    (sms,) = [row for row in line.messages() if row["purpose"] == "hangup_sms"]
    return sms


def test_the_hangup_sms_is_due_its_delay_after_the_end(line: LineFixture) -> None:
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP, 5000)])
    sms = offer(line)
    ended_at = line.record()["ended_at"]
    assert (sms["state"], sms["message_class"], sms["tone_code"]) == ("due", "offer", "1029")
    assert sms["due_at"] == ended_at + timedelta(seconds=45)
    assert sms["expires_at"] == sms["due_at"] + timedelta(minutes=15)
    assert "1029" in sms["text"]


def test_there_is_no_hangup_sms_for_less_than_five_seconds(line: LineFixture) -> None:
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP, 4900)])
    assert line.messages() == []


def test_the_hangup_sms_is_for_the_tone_heard_longest(line: LineFixture) -> None:
    first, second, third = PROVINCE_SONGS[:3]
    keys = [
        (IN_SILENCE, "1"),
        (IN_SILENCE, "1"),
        (f"during tones/{first}-a", "2", 6000),
        (f"during tones/{second}-a", "2", 9000),
        (f"during tones/{third}-a", HANG_UP, 8000),
    ]
    line.call(keys=keys)
    assert offer(line)["tone_code"] == second


def test_the_hangup_sms_is_announced_once_in_the_call(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "#"), (IN_SILENCE, "9"), (IN_SILENCE, HANG_UP)]
    assert line.call(dialled=DIRECT, keys=keys).said.count("hangup_sms_notice") == 1


def test_it_is_not_announced_to_who_cannot_get_it(line: LineFixture) -> None:
    channel = line.call(dialled=DIRECT, caller="", keys=[(IN_SILENCE, HANG_UP)])
    assert "hangup_sms_notice" not in channel.said


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([(f"during {TONE}", "8", 6000), (f"during {TONE}", HANG_UP, 1000)], "refused"),
        (
            [(f"during {TONE}", "1", 6000), ("during offer_title", "8"),
             ("during offer_confirm", HANG_UP)],
            "refused",
        ),
        ([("during menu_rest", "8")], "refused"),
        (ORDER, "ordered"),
        ([(f"during {TONE}", "1", 6000), (IN_SILENCE, "*"), (IN_SILENCE, HANG_UP)], "gave_up"),
        ([(f"during {TONE}", "3", 6000), (IN_SILENCE, HANG_UP)], "code_sent"),
    ],
)  # fmt: skip
def test_what_happened_in_the_call_forbids_the_hangup_sms(
    line: LineFixture, keys: list[tuple[str, str]], reason: str
) -> None:
    if keys[0][0] == "during menu_rest":
        code = [("then", key, 400) for key in "029"]
        end = (f"during {TONE}", HANG_UP, 9000)
        line.call(keys=[*keys, ("during no_offers_noted", "1"), *code, end])
    else:
        line.call(dialled=DIRECT, keys=keys)
    assert (offer(line)["state"], offer(line)["reason"]) == ("dropped", reason)


State = Literal["active", "suspended"]
Function = Literal["on", "off"]


@pytest.mark.parametrize(
    ("state", "function", "reason"),
    [("suspended", "on", "not_eligible"), ("active", "off", None), ("active", "on", None)],
)
def test_what_the_caller_may_not_order_is_not_offered_to_him(
    line: LineFixture, state: State, function: Function, reason: str | None
) -> None:
    values = ("8613905250001", NOON, None, function, state)
    line.local.run_now(set_subscriber, *values)
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP, 9000)])
    assert offer(line)["reason"] == reason


@pytest.mark.parametrize("key", ["8", "3"])
def test_a_later_call_takes_back_what_an_earlier_one_was_owed(line: LineFixture, key: str) -> None:
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP, 9000)])
    assert offer(line)["state"] == "due"
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", key, 1000), (f"during {TONE}", HANG_UP, 9)])
    assert offer(line)["state"] == "dropped"


def test_hanging_up_in_the_order_sentence_gives_up_nothing(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), ("during offer_pays", HANG_UP)]
    line.call(dialled=DIRECT, keys=keys)
    assert offer(line)["state"] == "due"


def test_a_text_that_cannot_be_composed_does_not_cost_the_record(line: LineFixture) -> None:
    templates = {**line.line.texts.templates, "hangup_sms": "{nobody}"}
    line.use(texts=type(line.line.texts)("", templates))
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP, 9000)])
    assert line.record()["outcome"] == "hung_up"
    assert line.log.of("hangup_sms_failed")


# ---------------------------------------------------------------- the record


def test_every_sound_and_key_is_recorded(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "#", 2500), ("during choices", HANG_UP, 300)]
    line.call(dialled=DIRECT, keys=keys)
    record = line.record()
    assert (record["dialled"], record["branch"], record["outcome"]) == (
        DIRECT, "yangzhou", "hung_up"
    )  # fmt: skip
    played = [(ms, detail) for ms, kind, detail in record["events"] if kind == "played"]
    assert played[-2:] == [
        (5300, {"sound": TONE, "from_ms": 0, "to_ms": 2500}),
        (7800, {"sound": "prompts/zh_CN/choices", "from_ms": 0, "to_ms": 300}),
    ]
    assert (7800, "key", {"digit": "#"}) in record["events"]


def test_each_hearing_of_a_tone_is_a_preview(line: LineFixture) -> None:
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", "9", 2500), (IN_SILENCE, HANG_UP)])
    columns = ("number", "tone_code", "heard_ms", "to_the_end")
    heard = [tuple(row[name] for name in columns) for row in line.rows(schema.preview)]
    assert heard == [(1, "1029", 2500, False), (2, "1029", 40_000, True)]


def test_excerpts_of_a_list_are_no_previews(line: LineFixture) -> None:
    line.call(keys=[(IN_SILENCE, "1")])
    assert line.rows(schema.preview) == []
    assert line.messages() == []


def test_the_call_is_one_event_of_the_log_with_its_number_masked(line: LineFixture) -> None:
    line.call(dialled=DIRECT, keys=ORDER)
    (event,) = line.log.of("call_ended")
    assert event["msisdn"] == "139****0001"
    assert event["tones"] == ["1029"]
    assert event["ordered"] == ["1029"]
    assert event["outcome"] == "hung_up"
    assert event["seconds"] > 20  # type: ignore[operator]
    assert "13905250001" not in str(line.log.events)


def test_a_call_that_lasts_too_long_is_told_so_and_ended(line: LineFixture) -> None:
    channel = line.call(dialled=DIRECT, too_long_at_s=30.0)
    assert channel.said[-3:] == ["1029-a", "call_too_long", "goodbye"]
    assert channel.hung_up_by_line
    assert line.record()["outcome"] == "too_long"


def test_a_cancelled_call_is_recorded(line: LineFixture) -> None:
    channel = FakeChannel(line.clock, dialled=DIRECT, stall="1029-a")
    call = line.begin(channel)
    line.clock.advance(9.0)
    call.addErrback(lambda _: None)
    call.cancel()
    line.clock.advance(0)
    assert line.record()["outcome"] == "cut"
    assert offer(line)["tone_code"] == "1029"  # it was heard for nine seconds


def test_an_error_in_the_flow_is_recorded_said_and_raised(line: LineFixture) -> None:
    class Snapshot:
        def __getattr__(self, name: str) -> Any:
            return getattr(line.snapshot, name)

        def next_of_style(self, tone: Tone, at: datetime) -> Any:
            raise ValueError("this is a mistake")

    line.use(snapshot=Snapshot)
    channel = FakeChannel(line.clock, dialled=DIRECT, keys=[(f"during {TONE}", "2")])
    failures: list[Any] = []
    line.begin(channel).addErrback(failures.append)
    assert failures[0].check(ValueError)
    assert channel.said[-1] == "line_trouble"
    assert line.record()["outcome"] == "failed"


def test_a_record_that_cannot_be_written_is_logged_and_does_not_hold_the_call(
    line: LineFixture,
) -> None:
    line.database.failures["call_started"] = [StoreError("the disk is full")]
    line.database.failures["call_ended"] = [StoreError("the disk is full")]
    line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP)])
    assert len(line.log.of("call_not_recorded")) == 2


def test_a_key_in_the_goodbye_is_a_key_at_the_menu(line: LineFixture) -> None:
    keys = [(IN_SILENCE, "1"), ("during goodbye", "2"), ("during list_intro", HANG_UP)]
    assert line.call(keys=keys).said[-2:] == ["branch_yangzhou", "list_intro"]
