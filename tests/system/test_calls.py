"""Real calls: SIPp dials, Asterisk connects, the line answers, and the audio proves what was heard.

Every caller has a number of his own, so no test meets another's orders or messages.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.system.hearing import UNKNOWN
from tests.system.load import Load
from tests.system.scene import Scene, in_order, prompt, scene
from tests.system.sip import Call

LINE = "12530019"
SONG = "1029"
UNKNOWN_CODE = "1028"  # its check digit is wrong
YANGZHOU = "1390525"  # prefix of numbers of Yangzhou
DELAY_S = 1  # of the hang-up SMS, tests.system.line


def dial_song(open_line: Scene, caller: str, *, hidden: bool = False) -> Call:
    return open_line.call(LINE + SONG, caller, hidden=hidden)


def order_by_keys(open_line: Scene, call: Call) -> None:
    """Order the tone that is playing: 1, and 1 again once everything was said."""
    call.press("1")
    call.wait_until_heard(prompt("offer_confirm"), up_to_ms=500)
    call.press("1")


# ---------------------------------------------------------------- what is heard


def test_a_dialled_code_plays_that_tone_from_its_first_syllable(open_line: Scene) -> None:
    with dial_song(open_line, YANGZHOU + "0001") as call:
        answered = call.wait_until_answered()
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=3000)
        call.hang_up()
    heard = open_line.heard(call)
    assert open_line.said(call)[-1] == f"tone {SONG}"
    assert UNKNOWN not in open_line.said(call)
    assert {h.file_from_ms for h in heard} == {0}
    assert heard[0].from_ms - answered * 1000 >= 300  # lead_in_ms


def test_an_unknown_code_is_told_and_asked_for_again(open_line: Scene) -> None:
    with open_line.call(LINE + UNKNOWN_CODE, YANGZHOU + "0002") as call:
        call.wait_until_heard(prompt("ask_code_again"), up_to_ms=1000, timeout_s=60)
        call.press(SONG)
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=500)
        call.hang_up()
    said = open_line.said(call)
    digits = [*(f"d{digit}" for digit in UNKNOWN_CODE[:-1]), f"d{UNKNOWN_CODE[-1]}_end"]
    assert in_order(
        said, "code", *digits, "code_unknown", "code_nearest_intro", "ask_code_again"
    ), said
    assert said[-1] == f"tone {SONG}"
    assert UNKNOWN not in said


def test_menu_branch_list_third_song_order(open_line: Scene) -> None:
    caller = YANGZHOU + "0003"
    third = open_line.line.command("directories", "show", "yangzhou")["songs"][2]
    with open_line.call(LINE, caller) as call:
        call.wait_until_heard(prompt("menu_rest"), up_to_ms=1000)
        call.press("2")
        call.wait_until_heard(prompt("ordinal_3"), up_to_ms=300, timeout_s=60)
        call.press("3")
        call.wait_until_heard(open_line.tone(third["code"]), up_to_ms=2000)
        order_by_keys(open_line, call)
        call.wait_until_heard(prompt("ordered"), up_to_ms=1000)
        call.hang_up()
    said = open_line.said(call)
    menu = ("welcome", "menu_province", "branch_yangzhou", "menu_branch", "menu_rest")
    songs = ("branch_yangzhou", "list_intro", "ordinal_1", "ordinal_2", "ordinal_3")
    order = ("offer_title", "price_visitor", "offer_pays", "offer_forever", "offer_confirm")
    assert in_order(said, *menu, *songs, f"tone {third['code']}", *order, "ordered"), said
    assert UNKNOWN not in said
    (ordered,) = open_line.line.orders(caller)
    assert (ordered["tone_code"], ordered["state"]) == (third["code"], "provisioned")
    (notice,) = open_line.line.messages(caller, wait_s=20)
    assert third["title"] in notice["text"]


def test_a_code_typed_at_the_menu_plays_that_tone(open_line: Scene) -> None:
    with open_line.call(LINE, YANGZHOU + "0004") as call:
        call.wait_until_heard(prompt("menu_province"))
        call.press(SONG)
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=500)
        call.hang_up()
    assert in_order(open_line.said(call), "menu_province", f"tone {SONG}")
    assert "branch_yangzhou" not in open_line.said(call)


def test_type_ahead_goes_through_the_whole_menu(open_line: Scene) -> None:
    songs = open_line.line.command("directories", "show", "yangzhou")["songs"]
    with open_line.call(LINE, YANGZHOU + "0005") as call:
        call.wait_until_answered()
        call.press("23")
        call.wait_until_heard(open_line.tone(songs[2]["code"]), up_to_ms=500)
        call.hang_up()
    said = open_line.said(call)
    assert not {"menu_rest", "list_intro", "ordinal_1"} & set(said), said
    assert said[-1] == f"tone {songs[2]['code']}"


def test_the_initials_of_a_title_find_it_on_the_keypad(open_line: Scene) -> None:
    with open_line.call(LINE, YANGZHOU + "0009") as call:
        call.wait_until_heard(prompt("menu_province"))
        call.press("5")
        call.wait_until_heard(prompt("ask_initials"), up_to_ms=500)
        call.press("222#")  # nothing has them
        call.wait_until_heard(prompt("search_none"), up_to_ms=500)
        call.press("654#")
        call.wait_until_heard(prompt("ordinal_1"), up_to_ms=300)
        call.press("1")
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=500)
        call.hang_up()
    said = open_line.said(call)
    assert in_order(said, "ask_initials", "search_none", "search_intro", f"tone {SONG}"), said
    assert UNKNOWN not in said


def test_two_callers_at_once_hear_different_tones(open_line: Scene) -> None:
    with (
        open_line.call(LINE + "1007", YANGZHOU + "0006") as one,
        open_line.call(LINE + "1010", YANGZHOU + "0007") as two,
    ):
        one.wait_until_heard(open_line.tone("1007"), up_to_ms=2000)
        two.wait_until_heard(open_line.tone("1010"), up_to_ms=2000)
    assert open_line.said(one)[-1] == "tone 1007"
    assert open_line.said(two)[-1] == "tone 1010"
    assert "tone 1010" not in open_line.said(one)
    assert "tone 1007" not in open_line.said(two)


def test_a_withheld_number_is_served_as_itself_and_never_spoken(open_line: Scene) -> None:
    caller = YANGZHOU + "0008"
    with dial_song(open_line, caller, hidden=True) as call:
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=500)
        order_by_keys(open_line, call)
        call.wait_until_heard(prompt("ordered"), up_to_ms=1000)
        call.hang_up()
    assert [order["tone_code"] for order in open_line.line.orders(caller)] == [SONG]


# ---------------------------------------------------------------- no order by mistake


def test_a_key_pressed_twice_does_not_order(open_line: Scene) -> None:
    caller = YANGZHOU + "0010"
    with dial_song(open_line, caller) as call:
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=500)
        call.press("11", length_ms=80, pause_ms=40)
        call.wait_until_heard(prompt("offer_confirm"), up_to_ms=2000)
        call.hang_up()
    said = open_line.said(call)
    assert in_order(said, f"tone {SONG}", "offer_title", "offer_pays", "offer_confirm"), said
    assert open_line.line.orders(caller) == []


def test_a_confirmation_before_the_price_is_ignored(open_line: Scene) -> None:
    caller = YANGZHOU + "0011"
    with dial_song(open_line, caller) as call:
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=500)
        call.press("1")
        call.wait_until_heard(prompt("price_visitor"))
        call.press("1")
        call.wait_until_heard(prompt("offer_confirm"), up_to_ms=2000)
        call.hang_up()
    assert "ordered" not in open_line.said(call)
    assert open_line.line.orders(caller) == []


def test_a_counted_confirmation_stands_though_the_caller_hangs_up(open_line: Scene) -> None:
    caller = YANGZHOU + "0012"
    with dial_song(open_line, caller) as call:
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=500)
        order_by_keys(open_line, call)
        call.hang_up()
    (notice,) = open_line.line.messages(caller, wait_s=20)
    assert "已订购" in notice["text"]
    assert [order["tone_code"] for order in open_line.line.orders(caller)] == [SONG]


# ---------------------------------------------------------------- the hang-up SMS


def hangup_messages(open_line: Scene, caller: str) -> list[dict[str, Any]]:
    """What the trace knows of hang-up SMS to a number."""
    return [
        happening["detail"]
        for happening in open_line.line.trace(caller, "mt")
        if happening["detail"]["purpose"] == "hangup_sms"
    ]


def wait_for_drop(open_line: Scene, caller: str, count: int = 1) -> list[str]:
    """The reasons why hang-up SMS were not sent, once there are so many."""

    def reasons() -> list[str]:
        details = hangup_messages(open_line, caller)
        return [detail["reason"] for detail in details if detail["state"] == "dropped"]

    open_line.line.wait_for(lambda: len(reasons()) >= count, f"{count} dropped for {caller}")
    return reasons()


def listen_and_hang_up(open_line: Scene, caller: str, *keys: str, code: str = SONG) -> Call:
    """Hear a tone for more than five seconds, press keys one by one, hang up."""
    with open_line.call(LINE + code, caller) as call:
        call.wait_until_heard(open_line.tone(code), up_to_ms=5500, timeout_s=60)
        for key in keys:
            call.press(key)
            call.wait(0.5)
        call.hang_up()
    return call


def test_who_hangs_up_in_mid_tone_gets_its_code_after_the_delay(open_line: Scene) -> None:
    caller = YANGZHOU + "0020"
    listen_and_hang_up(open_line, caller)
    (message,) = open_line.line.messages(caller, wait_s=30)
    assert SONG in message["text"]
    assert "茉莉花" in message["text"]
    assert message["source"] == LINE
    (ended,) = open_line.line.trace(caller, "call_ended")
    assert seconds_between(ended["at"], message["at"]) >= DELAY_S


def seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def test_who_heard_less_than_five_seconds_gets_none(open_line: Scene) -> None:
    caller = YANGZHOU + "0021"
    with dial_song(open_line, caller) as call:
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=1000)
        call.hang_up()
    ended = open_line.line
    ended.wait_for(lambda: bool(ended.trace(caller, "call_ended")), "the call's end")
    assert hangup_messages(open_line, caller) == []


def test_who_ordered_gets_none(open_line: Scene) -> None:
    caller = YANGZHOU + "0022"
    with dial_song(open_line, caller) as call:
        call.wait_until_heard(open_line.tone(SONG), up_to_ms=5500)
        order_by_keys(open_line, call)
        call.wait_until_heard(prompt("ordered"))
        call.hang_up()
    assert wait_for_drop(open_line, caller) == ["ordered"]


@pytest.mark.parametrize(
    ("last_digit", "keys", "reason"),
    [("3", ["8"], "refused"), ("4", ["3"], "code_sent"), ("5", ["1", "*"], "gave_up")],
    ids=["who pressed 8", "who asked for the code", "who gave up an order"],
)
def test_whose_keys_say_no_gets_none(
    open_line: Scene, last_digit: str, keys: list[str], reason: str
) -> None:
    caller = YANGZHOU + "002" + last_digit
    listen_and_hang_up(open_line, caller, *keys)
    assert wait_for_drop(open_line, caller) == [reason]


def test_who_said_r_gets_none(open_line: Scene) -> None:
    caller = YANGZHOU + "0026"
    assert open_line.line.text(caller, "R")
    listen_and_hang_up(open_line, caller)
    assert wait_for_drop(open_line, caller) == ["opted_out"]


def test_who_is_on_the_line_again_gets_none(open_line: Scene) -> None:
    caller = YANGZHOU + "0027"
    with open_line.call(LINE, caller) as again:
        again.wait_until_answered()
        listen_and_hang_up(open_line, caller)
        assert wait_for_drop(open_line, caller) == ["on_the_line"]
        again.hang_up()


def test_the_second_of_a_day_is_not_sent(open_line: Scene) -> None:
    caller = YANGZHOU + "0028"
    listen_and_hang_up(open_line, caller)
    assert len(open_line.line.messages(caller, wait_s=30)) == 1
    listen_and_hang_up(open_line, caller, code="1007")
    assert wait_for_drop(open_line, caller) == ["one_a_day"]
    assert len(open_line.line.messages(caller)) == 1


def test_outside_its_hours_it_is_dropped(tmp_path: Path, prepared_sounds: Path) -> None:
    never = {"policy": {"hangup_sms_hours": "00:00-00:01"}}
    caller = YANGZHOU + "0029"
    with scene(tmp_path / "line", prepared_sounds, never) as closed:
        listen_and_hang_up(closed, caller)
        assert wait_for_drop(closed, caller) == ["outside_hours"]


# ---------------------------------------------------------------- early media


@pytest.fixture(scope="module")
def early_line(tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path) -> Iterator[Scene]:
    early = {"line": {"answer": "early_media"}}
    with scene(tmp_path_factory.mktemp("early") / "line", prepared_sounds, early) as opened:
        yield opened


def test_in_early_media_a_caller_who_cancels_has_heard_the_tone_free_of_charge(
    early_line: Scene,
) -> None:
    caller = YANGZHOU + "0030"
    with dial_song(early_line, caller) as call:
        call.wait_until_heard(early_line.tone(SONG), up_to_ms=2000)
        call.hang_up()
    assert call.status == 487
    heard = early_line.heard(call)
    assert early_line.said(call)[-1] == f"tone {SONG}"
    assert {h.file_from_ms for h in heard} == {0}
    early_line.line.wait_for(lambda: bool(early_line.asterisk.call_records()), "a call record")
    record = early_line.asterisk.call_records()[-1]
    assert (record["source"], record["disposition"]) == (caller, "NO ANSWER")
    assert record["userfield"] == "free"
    assert early_line.line.trace(caller, "call_ended")[0]["detail"]["answered_at"] is None


def test_in_early_media_the_key_that_orders_makes_the_line_answer_first(
    early_line: Scene,
) -> None:
    caller = YANGZHOU + "0031"
    with dial_song(early_line, caller) as call:
        call.wait_until_heard(early_line.tone(SONG), up_to_ms=2000)
        assert call.status == 0
        key = call.press("1")
        answered = call.wait_until_answered()
        call.wait_until_heard(prompt("offer_confirm"), up_to_ms=500)
        call.press("1")
        call.wait_until_heard(prompt("ordered"), up_to_ms=1000)
        call.hang_up()
    assert answered >= key.down_s
    offered = [h.from_ms for h in early_line.heard(call) if h.name == prompt("offer_title")]
    # The answer and the first packet after it come on two sockets: either may be read first.
    assert offered[0] >= answered * 1000 - 20
    assert [order["tone_code"] for order in early_line.line.orders(caller)] == [SONG]


# ---------------------------------------------------------------- when something breaks


def test_the_second_server_answers_when_the_first_is_dead(
    tmp_path: Path, prepared_sounds: Path
) -> None:
    with (
        scene(tmp_path / "line", prepared_sounds, dead_first_server=True) as second,
        dial_song(second, YANGZHOU + "0040") as call,
    ):
        call.wait_until_heard(second.tone(SONG), up_to_ms=1000)
        call.hang_up()
        assert second.said(call)[-1] == f"tone {SONG}"


def test_a_drained_line_cuts_no_call_before_its_time(tmp_path: Path, prepared_sounds: Path) -> None:
    with scene(tmp_path / "line", prepared_sounds, {"agi": {"drain_s": 30}}) as draining:
        line = draining.line
        with Load(draining.asterisk, LINE + SONG, rate=40, seconds=1, hold_s=10) as load:
            line.wait_for(lambda: draining.asterisk.live_channels() >= 40, "40 calls")
            line.end()
            line.wait_for(lambda: bool(line.events("ending")), "the drain's beginning")
            with draining.call(LINE, YANGZHOU + "0041") as late:
                late.wait_until_ended()
            report = load.report()
            complaints = load.errors()
        assert (report.calls, report.succeeded, report.failed) == (40, 40, 0), complaints
        assert line.wait(40) == 0
        assert [event["cut"] for event in line.events("drained")] == [0]
        assert draining.said(late)[0] == "closing"


def test_the_store_killed_in_mid_order_loses_nothing_and_doubles_nothing(
    tmp_path: Path, prepared_sounds: Path
) -> None:
    caller = YANGZHOU + "0042"
    with scene(tmp_path / "line", prepared_sounds) as hurt:
        with dial_song(hurt, caller) as call:
            call.wait_until_heard(hurt.tone(SONG), up_to_ms=500)
            call.press("1")
            call.wait_until_heard(prompt("offer_confirm"), up_to_ms=500)
            killed = hurt.line.store_pid()
            os.kill(killed, signal.SIGKILL)
            call.press("1")
            call.wait_until_heard(prompt("ordering_wait"))
            call.wait_for_silence(1500)
            call.hang_up()
        said = hurt.said(call)
        assert {"ordered", "order_accepted"} & set(said), said
        (notice,) = hurt.line.messages(caller, wait_s=30)
        assert "已订购" in notice["text"]
        assert [order["tone_code"] for order in hurt.line.orders(caller)] == [SONG]
        assert hurt.line.store_pid() != killed
