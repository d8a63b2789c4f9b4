"""Codes: typed at once at the menu and in lists, entered with key 3, unknown ones."""

from __future__ import annotations

from tests.fakes.catalogue import a_tone
from tests.fakes.channel import HANG_UP, IN_SILENCE
from tests.fakes.line import PROVINCE_SONGS, LineFixture
from tests.unit.ivr.calls import (
    TONE,
    part_after,
    tones_played,
)

# ---------------------------------------------------------------- codes


def test_a_code_typed_at_the_menu_plays_that_tone(line: LineFixture) -> None:
    keys = [("during menu_province", "1"), *[("then", key, 300) for key in "029"],
            (f"during {TONE}", HANG_UP)]  # fmt: skip
    channel = line.call(keys=keys)
    assert tones_played(channel) == ["1029"]
    assert part_after(channel.said, "menu_province")[0] == "branch_jiangsu"  # the 1 acted at once


def test_a_code_typed_in_a_list_plays_that_tone(line: LineFixture) -> None:
    keys = [(IN_SILENCE, "2"), (IN_SILENCE, "1"), *[("then", key, 1100) for key in "029"],
            (f"during {TONE}", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(keys=keys))[-1] == "1029"


def test_digits_further_apart_are_keys_of_their_own(line: LineFixture) -> None:
    keys = [("during menu_province", "1"), ("then", "0", 1300),
            (f"during tones/{PROVINCE_SONGS[9]}-a", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(keys=keys)) == [PROVINCE_SONGS[9]]


def test_held_digits_that_are_no_code_act_one_by_one_where_the_first_led(
    line: LineFixture,
) -> None:
    keys = [("during menu_province", "1"), ("then", "0", 400),
            (f"during tones/{PROVINCE_SONGS[9]}-a", HANG_UP)]  # fmt: skip
    channel = line.call(keys=keys)
    assert tones_played(channel) == [PROVINCE_SONGS[9]]
    assert "wait 1200" in channel.commands


def test_held_digits_never_order_and_never_send_an_sms(line: LineFixture) -> None:
    keys = [(IN_SILENCE, "1"), (IN_SILENCE, "1"), ("then", "1", 200), ("then", "3", 200),
            (IN_SILENCE, HANG_UP)]  # fmt: skip
    channel = line.call(keys=keys)
    assert "offer_title" not in channel.said
    assert line.orders() == []


def test_the_codes_first_digit_may_be_the_key_that_takes_codes() -> None:
    line = LineFixture((a_tone("3018"), a_tone("1029")))
    keys = [("during menu_province", "3"), *[("then", key, 300) for key in "018"],
            ("during tones/3018-a", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(keys=keys)) == ["3018"]


def test_key_3_and_a_code_typed_at_once_is_that_code() -> None:
    line = LineFixture((a_tone("3102"), a_tone("1029")))
    keys = [("during menu_province", "3"), *[("then", key, 300) for key in "1029#"],
            (f"during {TONE}", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(keys=keys)) == ["1029"]


def test_a_code_entered_with_key_3_before_hash_wins_over_one_that_begins_with_3() -> None:
    line = LineFixture((a_tone("3102"), a_tone("102")))
    keys = [("during menu_province", "3"), *[("then", key, 300) for key in "102#"],
            ("during tones/102-a", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(keys=keys)) == ["102"]


def test_a_longer_code_is_waited_for() -> None:
    line = LineFixture((a_tone("102"), a_tone("1029")))
    keys = [("during menu_province", "1"), *[("then", key, 300) for key in "02"]]
    short = line.call(keys=[*keys, ("during tones/102-a", HANG_UP)])
    assert tones_played(short) == ["102"]
    longer = line.call(keys=[*keys, ("then", "9", 300), (f"during {TONE}", HANG_UP)])
    assert tones_played(longer) == ["1029"]
    followed = line.call(keys=[*keys, ("then", "*", 300), ("during back_to_menu", HANG_UP)])
    assert tones_played(followed) == []
    assert followed.said[-1] == "back_to_menu"
    more = line.call(keys=[*keys, ("then", "7", 300), ("during wrong_key", HANG_UP)])
    assert "wrong_key" in more.said


def test_the_same_digit_within_150_ms_counts_once(line: LineFixture) -> None:
    keys = [("during menu_province", "1"), ("then", "1", 140), ("during list_choices", HANG_UP)]
    assert tones_played(line.call(keys=keys)) == []
    assert line.keys_pressed() == [{"digit": "1"}, {"digit": "1", "ignored": "bounce"}]


def test_the_same_digit_later_than_150_ms_counts_twice() -> None:
    line = LineFixture((a_tone("1029"), a_tone("2201")))
    keys = [("during menu_province", "1"), ("then", "1", 160), (f"during {TONE}", HANG_UP)]
    assert tones_played(line.call(keys=keys)) == ["1029"]


def test_code_entry_ends_at_hash(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "3102#"]
    channel = line.call(keys=[*keys, ("during code_unknown", HANG_UP)])
    assert part_after(channel.said, "ask_code") == ["code", "d1", "d0", "d2_end", "code_unknown"]


def test_code_entry_ends_at_the_longest_code(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "31999"]
    channel = line.call(keys=[*keys, ("during code_unknown", HANG_UP)])
    assert channel.said[-1] == "code_unknown"


def test_code_entry_ends_after_four_seconds(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "3102"]
    channel = line.call(keys=[*keys, ("during code_unknown", HANG_UP)])
    assert channel.said[-1] == "code_unknown"
    assert channel.commands.count("wait 4000") == 4


def test_a_whole_code_needs_no_hash(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "31029"]
    assert tones_played(line.call(keys=[*keys, (f"during {TONE}", HANG_UP)])) == ["1029"]


def test_star_in_code_entry_is_back_to_the_menu(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "31*"]
    assert line.call(keys=[*keys, ("during back_to_menu", HANG_UP)]).said[-1] == "back_to_menu"


def test_an_unknown_code_is_said_with_the_nearest_and_asked_again(line: LineFixture) -> None:
    channel = line.call(dialled="125300191028", keys=[("during ask_code_again", HANG_UP)])
    said = channel.said
    assert said[:6] == ["code", "d1", "d0", "d2", "d8_end", "code_unknown"]
    assert part_after(said, "code_nearest_intro")[:5] == ["code", "d1", "d0", "d2", "d9_end"]
    assert said[-1] == "ask_code_again"


def test_the_code_asked_again_may_be_typed_into_the_prompt(line: LineFixture) -> None:
    keys = [("during code_unknown", "1"), *[("then", key, 400) for key in "029"],
            (f"during {TONE}", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(dialled="125300199999", keys=keys)) == ["1029"]


def test_after_three_times_comes_the_list(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "9#9#9#"]
    channel = line.call(dialled="125300199", keys=[*keys, ("during list_intro", HANG_UP)])
    assert channel.said.count("ask_code_again") == 3
    assert channel.said[-3:] == ["code_gave_up", "branch_yangzhou", "list_intro"]


def test_silence_where_a_code_is_asked_for_leads_to_the_list_too(line: LineFixture) -> None:
    channel = line.call(keys=[(IN_SILENCE, "3"), ("during list_intro", HANG_UP)])
    assert channel.said.count("ask_code_again") == 3
    assert channel.said[-1] == "list_intro"


def test_more_digits_than_any_code_has_are_not_read_back(line: LineFixture) -> None:
    channel = line.call(dialled="12530019" + "1029" * 5, keys=[("during ask_code_again", HANG_UP)])
    assert channel.said == ["wrong_key", "ask_code_again"]


def test_a_code_that_begins_with_a_key_without_meaning_plays_too() -> None:
    line = LineFixture((a_tone("7018"), a_tone("1029")))
    keys = [("during menu_province", "7"), *[("then", key, 300) for key in "018"],
            ("during tones/7018-a", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(keys=keys)) == ["7018"]


def test_a_code_typed_at_the_menu_may_be_ended_with_hash(line: LineFixture) -> None:
    keys = [("during menu_province", "1"), *[("then", key, 300) for key in "029#"],
            (f"during {TONE}", HANG_UP)]  # fmt: skip
    assert line.call(keys=keys).said[-2:] == ["d9_end", "1029-a"]
    assert line.keys_pressed()[-1] == {"digit": "#", "ignored": "the end of the code"}


def test_a_bounce_while_digits_are_held_counts_once(line: LineFixture) -> None:
    keys = [("during menu_province", "1"), ("then", "0", 300), ("then", "0", 50),
            ("then", "2", 300), ("then", "9", 300), (f"during {TONE}", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(keys=keys)) == ["1029"]


def test_a_code_typed_while_an_area_code_is_asked_for_plays(line: LineFixture) -> None:
    line.snapshot = LineFixture((a_tone("2102"), a_tone("1029"))).snapshot
    keys = [("during menu_province", "2"), *[("then", key, 300) for key in "102"],
            ("during tones/2102-a", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(caller="", keys=keys)) == ["2102"]
