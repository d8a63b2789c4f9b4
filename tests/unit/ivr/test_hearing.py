"""A tone in the call: its keys, and what silence after it leads to."""

from __future__ import annotations

from store.database import StoreError, StoreUnavailable
from tests.fakes.catalogue import a_tone
from tests.fakes.channel import HANG_UP, IN_SILENCE
from tests.fakes.line import PROVINCE_SONGS, LineFixture
from tests.unit.ivr.calls import (
    DIRECT,
    TONE,
    part_after,
    tones_played,
)

# ---------------------------------------------------------------- a tone


def test_2_in_a_tone_is_the_next_of_the_list_he_came_from(line: LineFixture) -> None:
    first, second = PROVINCE_SONGS[:2]
    keys = [(IN_SILENCE, "1"), (IN_SILENCE, "1"), (f"during tones/{first}-a", "2"),
            (f"during tones/{second}-a", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(keys=keys)) == [first, second]


def test_2_after_the_lists_last_song_says_so_and_goes_back(line: LineFixture) -> None:
    last = PROVINCE_SONGS[-1]
    keys = [(IN_SILENCE, "1"), (IN_SILENCE, "0"), (f"during tones/{last}-a", "2"),
            ("during list_intro", HANG_UP)]  # fmt: skip
    assert line.call(keys=keys).said[-3:] == ["no_next", "branch_jiangsu", "list_intro"]


def test_2_in_a_tone_dialled_directly_is_one_of_the_same_style() -> None:
    others = (a_tone("1007", style="小调"), a_tone("1032", style="小调"), a_tone("1041"))
    line = LineFixture((a_tone("1029"), *others))
    keys = [(f"during {TONE}", "2"), ("during tones/1041-a", HANG_UP)]
    assert tones_played(line.call(dialled=DIRECT, keys=keys)) == ["1029", "1041"]


def test_a_tone_alone_in_its_style_has_no_next() -> None:
    line = LineFixture((a_tone("1029"),))
    keys = [(f"during {TONE}", "2"), ("during back_to_menu", HANG_UP)]
    assert line.call(dialled=DIRECT, keys=keys).said[-2:] == ["no_next", "back_to_menu"]


def test_3_sends_the_code_by_sms_and_the_tone_goes_on_where_it_was(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "3", 7000), (f"during {TONE}", "3", 2000), (IN_SILENCE, HANG_UP)]
    channel = line.call(dialled=DIRECT, keys=keys)
    assert channel.said.count("code_sent") == 2
    parts = [(p.from_ms, p.to_ms) for p in channel.played if p.sound == TONE]
    assert parts == [(0, 7000), (7000, 9000), (9000, 40_000)]
    (sms,) = [row for row in line.messages() if row["purpose"] == "code_by_sms"]
    assert sms["message_class"] == "answer"
    assert "1029" in sms["text"]
    assert sms["call_id"] == line.record()["call_id"]


def test_3_of_a_caller_without_a_mobile_number_sends_nothing(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "3"), (IN_SILENCE, HANG_UP)]
    assert "code_not_sent" in line.call(dialled=DIRECT, caller="051487654321", keys=keys).said
    assert line.messages() == []


def test_a_code_that_could_not_be_stored_is_not_said_to_be_sent(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "3", 7000), (IN_SILENCE, HANG_UP)]
    line.database.failures["put"] = [StoreError("the disk is full")]
    channel = line.call(dialled=DIRECT, keys=keys)
    assert "code_not_sent" in channel.said


def test_a_code_that_the_store_cannot_take_just_now_is_sent_when_it_can(line: LineFixture) -> None:
    line.database.failures["put"] = [StoreUnavailable("locked")] * 5
    keys = [(f"during {TONE}", "3", 6000), ("during code_sent", HANG_UP)]
    line.call(dialled=DIRECT, keys=keys)
    line.kept.do_all(line.local)
    assert "code_by_sms" in [message["purpose"] for message in line.messages()]


def test_9_in_a_tone_is_again(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "9"), (f"during {TONE}", HANG_UP)]
    assert tones_played(line.call(dialled=DIRECT, keys=keys)) == ["1029", "1029"]


def test_hash_in_a_tone_skips_to_the_choices(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "#"), ("during choices", HANG_UP)]
    assert line.call(dialled=DIRECT, keys=keys).said[-2:] == ["1029-a", "choices"]


def test_hash_in_the_title_skips_the_title_only(line: LineFixture) -> None:
    keys = [("during code", "#"), (f"during {TONE}", HANG_UP)]
    assert line.call(dialled=DIRECT, keys=keys).said == ["code", "1029-a"]


def test_star_in_a_tone_is_back_to_the_list_else_the_menu(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "*"), ("during back_to_menu", HANG_UP)]
    assert line.call(dialled=DIRECT, keys=keys).said[-1] == "back_to_menu"
    keys = [(IN_SILENCE, "1"), (IN_SILENCE, "1"), (f"during {TONE}", "*"),
            ("during list_intro", HANG_UP)]  # fmt: skip
    assert line.call(keys=keys).said[-2:] == ["branch_jiangsu", "list_intro"]


def test_0_in_a_tone_helps(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "0"), (f"during {TONE}", HANG_UP, 500)]
    assert line.call(dialled=DIRECT, keys=keys).said[-2:] == ["1029-a", "help_tone"]


def test_silence_after_a_tone_says_the_choices_once_more_and_goes_back(line: LineFixture) -> None:
    channel = line.call(dialled=DIRECT, keys=[("during back_to_menu", HANG_UP)])
    assert part_after(channel.said, "1029-a") == [
        "choices", "hangup_sms_notice", "choices_short", "back_to_menu"
    ]  # fmt: skip


def test_a_wrong_key_in_a_tone_does_not_end_it(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "6", 3000), (IN_SILENCE, HANG_UP)]
    channel = line.call(dialled=DIRECT, keys=keys)
    parts = [(p.from_ms, p.to_ms) for p in channel.played if p.sound == TONE]
    assert parts == [(0, 3000), (3000, 40_000)]
    assert "wrong_key" in channel.said
