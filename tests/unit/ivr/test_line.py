"""The call: arriving, menu, lists, keys, its record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

import ivr.prompts
from config.settings import Sms
from ivr.agi import Reply
from ivr.channel import CommandRefused
from ivr.line import refuse_call
from ordering.texts import Texts
from tests.fakes.catalogue import a_tone, some_tones
from tests.fakes.channel import HANG_UP, IN_SILENCE, FakeChannel
from tests.fakes.line import NOON, PROVINCE_SONGS, YANGZHOU_SONGS, LineFixture
from tests.unit.ivr.calls import (
    DIRECT,
    MENU,
    MENU_AGAIN,
    ORDER,
    TONE,
    own,
    part_after,
    tones_played,
)

# ---------------------------------------------------------------- arriving


def test_the_number_alone_is_the_menu(line: LineFixture) -> None:
    channel = line.call(keys=[("during menu_rest", HANG_UP)])
    assert channel.said == MENU


def test_number_plus_digits_is_that_tone_at_once(line: LineFixture) -> None:
    channel = line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP)])
    assert channel.said == ["code", "d1", "d0", "d2", "d9_end", "1029-a"]


@pytest.mark.parametrize("dialled", ["051412530019", "+8612530019", "+8651412530019", "8612530019"])
def test_area_code_and_country_code_may_stand_before_the_number(
    line: LineFixture, dialled: str
) -> None:
    assert line.call(dialled=dialled, keys=[("during menu_rest", HANG_UP)]).said == MENU
    played = line.call(dialled=f"{dialled}1029", keys=[(f"during {TONE}", HANG_UP)])
    assert tones_played(played) == ["1029"]


def test_the_area_code_dialled_gives_the_branch(line: LineFixture) -> None:
    channel = line.call(dialled="02512530019", keys=[("during menu_rest", HANG_UP)])
    assert "branch_nanjing" in channel.said


def test_a_call_that_the_line_placed_itself_tells_its_number_in_the_argument(
    line: LineFixture,
) -> None:
    line.call(caller="12530019", arg_1="8613905250001", keys=[("during welcome", HANG_UP)])
    assert line.record()["msisdn"] == "8613905250001"


def test_the_line_answers_waits_its_lead_in_and_only_then_speaks(line: LineFixture) -> None:
    channel = line.call(keys=[("during welcome", HANG_UP)])
    assert channel.commands[:2] == ["answer", "wait 300"]
    assert channel.played[0].at_s == pytest.approx(0.3)


def test_keys_are_live_in_the_lead_in(line: LineFixture) -> None:
    channel = line.call(keys=[(0.1, "1"), ("during list_intro", HANG_UP)])
    assert channel.said == ["branch_jiangsu", "list_intro"]


def test_the_call_is_free_for_the_caller(line: LineFixture) -> None:
    assert line.call(keys=[("during welcome", HANG_UP)]).variables["CDR(userfield)"] == "free"


def test_nothing_is_asked_of_the_database_before_the_first_sound(line: LineFixture) -> None:
    line.database.delays_s = {"call_started": 60, "local_quote": 60}
    channel = FakeChannel(line.clock, dialled=DIRECT, keys=[(20.0, HANG_UP)])
    call = line.begin(channel)
    assert tones_played(channel) == ["1029"]
    line.finish(call)
    assert line.database.requests[0] == "call_started"


def test_an_asterisk_without_cdr_serves_calls_too(line: LineFixture) -> None:
    class NoCdr(FakeChannel):
        async def set_variable(self, name: str, value: str) -> None:
            raise CommandRefused("SET VARIABLE", Reply(510, "Invalid or unknown command"))

    channel = NoCdr(line.clock, keys=[("during menu_rest", HANG_UP)])
    line.finish(line.begin(channel))
    assert channel.said == MENU
    assert line.log.of("not_marked_free")


# ---------------------------------------------------------------- the menu


def test_menu_key_1_is_the_provinces_ten_songs(line: LineFixture) -> None:
    channel = line.call(keys=[(IN_SILENCE, "1"), (IN_SILENCE, HANG_UP)])
    assert "branch_jiangsu" in channel.said
    assert channel.said.count("key_0") == 1


def test_menu_key_2_is_the_branchs_ten_songs(line: LineFixture) -> None:
    keys = [(IN_SILENCE, "2"), (IN_SILENCE, "1"), (f"during tones/{YANGZHOU_SONGS[0]}-a", HANG_UP)]
    channel = line.call(keys=keys)
    assert "branch_yangzhou" in channel.said[len(MENU) :]
    assert tones_played(channel) == [YANGZHOU_SONGS[0]]


def test_menu_key_3_takes_a_code_and_hash(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "31029"]
    channel = line.call(keys=[*keys, ("then", "#", 500), (f"during {TONE}", HANG_UP)])
    title = ["code", "d1", "d0", "d2", "d9_end"]
    assert part_after(channel.said, "menu_rest") == ["ask_code", *title, "1029-a"]
    assert line.keys_pressed()[-1] == {"digit": "#", "ignored": "the end of the code"}


def test_menu_key_4_lists_my_tones(line: LineFixture) -> None:
    line.call(dialled=DIRECT, keys=ORDER)
    keys = [(IN_SILENCE, "4"), (IN_SILENCE, "1"), (f"during {TONE}", HANG_UP)]
    channel = line.call(keys=keys)
    assert "my_tones_intro" in channel.said
    assert tones_played(channel) == ["1029"]


def test_menu_key_4_of_somebody_without_tones_says_so(line: LineFixture) -> None:
    channel = line.call(keys=[(IN_SILENCE, "4"), ("during menu_rest", HANG_UP)])
    assert part_after(channel.said, "menu_rest") == ["my_tones_none", *MENU_AGAIN]


def test_my_tones_of_an_unknown_caller_cannot_be_told(line: LineFixture) -> None:
    channel = line.call(caller="anonymous", keys=[(IN_SILENCE, "4"), (IN_SILENCE, HANG_UP)])
    assert "refused_unknown" in channel.said


def test_my_tones_have_pages_of_ten_and_name_retired_ones(line: LineFixture) -> None:
    tones = some_tones()
    line.snapshot = LineFixture(tones[1:]).snapshot  # 1007 is retired, and the newest of all
    for tone in reversed(tones[:11]):
        own(line, tone)
    keys = [(IN_SILENCE, "4"), (IN_SILENCE, "#"), (IN_SILENCE, "1")]
    said = line.call(keys=[*keys, (IN_SILENCE, HANG_UP)]).said
    assert "d7_end" in part_after(said, "my_tones_intro")
    assert part_after(said, "tone_retired")[0] == "ordinal_1"
    assert said[-1] == "list_choices"


def test_my_tones_without_a_database_apologise(line: LineFixture) -> None:
    line.database.delays_s = {"owned": 60}
    channel = line.call(keys=[(IN_SILENCE, "4"), (IN_SILENCE, HANG_UP)])
    assert "line_trouble" in channel.said


def test_menu_key_9_says_it_again(line: LineFixture) -> None:
    channel = line.call(keys=[("during menu_province", "9"), ("during menu_rest", HANG_UP)])
    assert channel.said == [*MENU[:2], *MENU[1:]]


def test_menu_key_0_helps_and_0_again_asks_for_an_agent(line: LineFixture) -> None:
    keys = [(IN_SILENCE, "0"), ("during help_menu", "0", 500), ("during agent_missing", HANG_UP)]
    assert part_after(line.call(keys=keys).said, "menu_rest") == ["help_menu", "agent_missing"]


def test_an_agent_is_dialled_when_there_is_one() -> None:
    line = LineFixture(agent_dial="PJSIP/10086@trunk,30")
    keys = [(IN_SILENCE, "0"), (IN_SILENCE, "0"), ("during menu_rest", HANG_UP)]
    channel = line.call(keys=keys)
    assert "agent_connecting" in channel.said
    assert channel.executed == [("Dial", "PJSIP/10086@trunk", "30")]


@pytest.mark.parametrize("key", "67#*")
def test_a_key_without_meaning_is_said_to_have_none(line: LineFixture, key: str) -> None:
    channel = line.call(keys=[(IN_SILENCE, key), ("during menu_rest", HANG_UP)])
    assert part_after(channel.said, "menu_rest") == ["wrong_key", *MENU[1:]]


def test_silence_at_the_menu_says_it_once_more_and_then_goes_politely_on(
    line: LineFixture,
) -> None:
    channel = line.call(keys=[("during list_intro", HANG_UP)])
    assert part_after(channel.said, "welcome") == [
        *MENU[1:], "silence", *MENU[1:], "silence", "branch_jiangsu", "list_intro"
    ]  # fmt: skip
    assert "wait 3000" in channel.commands


# ---------------------------------------------------------------- an unknown branch


def test_key_2_of_an_unknown_branch_asks_for_the_area_code(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "20514"]
    channel = line.call(caller="", keys=[*keys, ("during list_intro", HANG_UP)])
    assert channel.said == [
        "welcome", "menu_province", "menu_area", "menu_rest",
        "ask_area_code", "branch_yangzhou", "list_intro",
    ]  # fmt: skip


def test_an_area_code_of_three_digits_is_enough(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "2025"]
    channel = line.call(caller="", keys=[*keys, ("during list_intro", HANG_UP)])
    assert channel.said[-2:] == ["branch_jiangsu", "list_intro"]  # Nanjing has no songs of its own
    assert line.record()["branch"] == "nanjing"


def test_without_a_known_area_code_the_provinces_list_serves(line: LineFixture) -> None:
    keys = [(IN_SILENCE, key) for key in "20999"]
    channel = line.call(caller="", keys=[*keys, ("during list_intro", HANG_UP)])
    assert channel.said[-3:] == ["area_code_unknown", "branch_jiangsu", "list_intro"]


def test_back_from_the_area_code_is_the_menu(line: LineFixture) -> None:
    keys = [(IN_SILENCE, "2"), (IN_SILENCE, "*"), ("during back_to_menu", HANG_UP)]
    assert line.call(caller="", keys=keys).said[-1] == "back_to_menu"


# ---------------------------------------------------------------- a list


def test_titles_are_read_with_their_keys(line: LineFixture) -> None:
    said = part_after(line.call(keys=[(IN_SILENCE, "1"), (IN_SILENCE, HANG_UP)]).said, "list_intro")
    first = ["ordinal_1", "code", "d1", "d0", "d2", "d9_end", "key_1"]
    assert said[: len(first)] == first
    assert said[-2:] == ["key_0", "list_choices"]


@pytest.mark.parametrize(("key", "place"), [("1", 0), ("9", 8), ("0", 9)])
def test_the_nth_songs_key_plays_it(line: LineFixture, key: str, place: int) -> None:
    code = PROVINCE_SONGS[place]
    keys = [(IN_SILENCE, "1"), (IN_SILENCE, key), (f"during tones/{code}-a", HANG_UP)]
    assert tones_played(line.call(keys=keys)) == [code]


def test_hash_goes_on_to_the_next_title(line: LineFixture) -> None:
    keys = [(IN_SILENCE, "1"), ("during ordinal_1", "#"), ("during ordinal_2", HANG_UP)]
    assert line.call(keys=keys).said[-2:] == ["ordinal_1", "ordinal_2"]


def test_star_in_a_list_is_back_to_the_menu(line: LineFixture) -> None:
    keys = [(IN_SILENCE, "1"), ("during ordinal_1", "*"), ("during back_to_menu", HANG_UP)]
    assert line.call(keys=keys).said[-1] == "back_to_menu"


def test_without_a_key_each_song_begins_then_the_titles_again_then_goodbye(
    line: LineFixture,
) -> None:
    channel = line.call(keys=[(IN_SILENCE, "1")])
    assert tones_played(channel) == [f"{code}-first" for code in PROVINCE_SONGS]
    said = channel.said
    assert said.index("list_excerpts") < said.index("list_again") < said.index("goodbye")
    assert channel.hung_up_by_line
    assert line.record()["outcome"] == "goodbye"


def test_a_key_that_is_no_songs_is_said_to_have_no_meaning() -> None:
    line = LineFixture((a_tone("1029"), a_tone("1032")))
    keys = [(IN_SILENCE, "1"), (IN_SILENCE, "7"), ("during wrong_key", HANG_UP)]
    assert line.call(keys=keys).said[-1] == "wrong_key"


def test_an_empty_catalogue_says_so_and_ends() -> None:
    line = LineFixture(())
    assert line.call(keys=[(IN_SILENCE, "1")]).said[-2:] == ["list_empty", "goodbye"]


# ---------------------------------------------------------------- prompts and keys


def test_every_prompt_listens_to_every_key(line: LineFixture) -> None:
    channel = line.call(keys=[("during welcome", "2"), ("during ordinal_1", "3"),
                              (f"during tones/{YANGZHOU_SONGS[2]}-a", HANG_UP)])  # fmt: skip
    assert tones_played(channel) == [YANGZHOU_SONGS[2]]


def test_type_ahead_goes_through_the_whole_menu(line: LineFixture) -> None:
    keys = [("during welcome", "2"), ("then", "3", 250),
            (f"during tones/{YANGZHOU_SONGS[2]}-a", HANG_UP)]  # fmt: skip
    assert tones_played(line.call(keys=keys)) == [YANGZHOU_SONGS[2]]


def test_a_missing_tone_is_said_logged_once_and_the_call_goes_on(line: LineFixture) -> None:
    channel = line.call(dialled=DIRECT, missing=[TONE], keys=[("during choices", HANG_UP)])
    assert channel.said[-2:] == ["sound_missing", "choices"]
    assert [event["sound"] for event in line.log.of("sound_missing")] == [TONE]


def test_a_missing_prompt_is_logged_and_the_call_goes_on(line: LineFixture) -> None:
    missing = ["prompts/zh_CN/menu_province"]
    channel = line.call(missing=missing, keys=[("during menu_rest", HANG_UP)])
    assert channel.said == [prompt for prompt in MENU if prompt != "menu_province"]
    assert [event["sound"] for event in line.log.of("sound_missing")] == missing


def test_a_price_that_cannot_be_said_is_never_ordered(line: LineFixture) -> None:
    missing = ["prompts/zh_CN/offer_pays"]
    channel = line.call(dialled=DIRECT, missing=missing, keys=ORDER)
    assert "line_trouble" in channel.said
    assert line.orders() == []


def test_a_sentence_that_cannot_be_said_is_logged_and_the_call_goes_on(line: LineFixture) -> None:
    book = line.line.prompts
    sentences = {name: parts for name, parts in book.sentences.items() if name != "tone_intro"}
    line.use(prompts=replace(book, sentences=sentences))
    channel = line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP)])
    assert channel.said == ["1029-a"]
    assert line.log.of("cannot_say")


# ---------------------------------------------------------------- early media


@pytest.fixture
def early() -> LineFixture:
    return LineFixture(answer="early_media", early_media_max_s=60)


def test_early_media_plays_the_first_tone_unanswered(early: LineFixture) -> None:
    channel = early.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP, 3000)])
    assert channel.commands[0] == "progress"
    assert channel.answered_at is None
    record = early.record()
    assert record["answered_at"] is None
    assert channel.variables["CDR(userfield)"] == "free"


def test_early_media_answers_at_the_first_key(early: LineFixture) -> None:
    keys = [("during menu_province", "1"), ("during list_intro", HANG_UP)]
    channel = early.call(keys=keys)
    assert [p.answered for p in channel.played] == [False, False, True, True]
    assert early.record()["answered_at"] == NOON + timedelta(seconds=1.4)


def test_early_media_answers_after_its_longest_time() -> None:
    line = LineFixture(answer="early_media", early_media_max_s=20)
    channel = line.call(dialled=DIRECT, keys=[("during back_to_menu", HANG_UP)])
    answered = {p.sound.rpartition("/")[2]: p.answered for p in channel.played}
    assert answered["1029-a"] is False
    assert answered["choices"] is True


def with_lengths(line: LineFixture, tone_ms: int) -> dict[str, int]:
    """Let the line know how long its sounds are, the tone 1029 among them; return that."""
    line.use(length_ms=lambda sound: tone_ms if sound.endswith(TONE) else 1000)
    return {TONE: tone_ms}


def test_the_first_tone_is_unanswered_to_its_end_and_what_follows_it_too_late_is_not() -> None:
    line = LineFixture(answer="early_media", early_media_max_s=40)
    channel = line.call(
        dialled=DIRECT, keys=[(IN_SILENCE, HANG_UP)], lengths_ms=with_lengths(line, 48_000)
    )
    answered = {p.sound.rpartition("/")[2]: p.answered for p in channel.played}
    assert (answered["d9_end"], answered["1029-a"], answered["choices"]) == (False, False, True)


def test_a_sound_that_would_be_early_media_for_too_long_is_played_answered() -> None:
    line = LineFixture(answer="early_media", early_media_max_s=1)
    channel = line.call(keys=[(IN_SILENCE, HANG_UP)], lengths_ms=with_lengths(line, 48_000))
    assert all(p.answered for p in channel.played[1:])


def test_a_sound_that_ends_in_time_is_early_media_to_its_end() -> None:
    line = LineFixture(answer="early_media", early_media_max_s=60)
    channel = line.call(
        dialled=DIRECT, keys=[("during 1029-a", HANG_UP, 47_000)],
        lengths_ms=with_lengths(line, 48_000),
    )  # fmt: skip
    assert channel.answered_at is None


def test_a_silence_in_early_media_ends_with_the_answer() -> None:
    line = LineFixture(answer="early_media", early_media_max_s=14)
    line.snapshot = LineFixture((a_tone("1029"),)).snapshot
    channel = line.call(dialled="12530019", lengths_ms=with_lengths(line, 48_000))
    assert channel.answered_at == pytest.approx(14)  # after the menu, which ended at 13.3


def test_early_media_answers_before_its_goodbye() -> None:
    line = LineFixture(answer="early_media", early_media_max_s=120)
    line.snapshot = LineFixture((a_tone("1029"),)).snapshot
    channel = line.call()
    assert channel.said[-1] == "goodbye"
    assert [p.answered for p in channel.played[-2:]] == [False, True]


def test_early_media_never_asks_for_a_confirmation_unanswered(early: LineFixture) -> None:
    channel = early.call(dialled=DIRECT, keys=ORDER)
    assert all(p.answered for p in channel.played if "offer" in p.sound)
    assert "ordered" in channel.said


# ---------------------------------------------------------------- no place on the line


@pytest.mark.parametrize("why", ["busy", "closing"])
def test_a_caller_for_whom_there_is_no_place_is_told_without_being_answered(
    line: LineFixture, why: Any
) -> None:
    channel = FakeChannel(line.clock)
    done: list[object] = []
    Deferred.fromCoroutine(refuse_call(line.line, channel, why)).addBoth(done.append)  # type: ignore[arg-type]
    assert done == [None]
    assert channel.said == [why]
    assert channel.answered_at is None
    assert channel.hung_up_by_line


# ---------------------------------------------------------------- another language


def test_a_made_up_language_of_ten_prompts_runs_the_whole_line(line: LineFixture) -> None:
    text = Path("tests/fakes/language_xx/prompts.toml").read_text()
    line.use(prompts=ivr.prompts.load(text, "xx"))
    keys = [(IN_SILENCE, "1"), (IN_SILENCE, "1"), (f"during {TONE}", "1", 6000), (IN_SILENCE, "1"),
            (IN_SILENCE, "*"), (IN_SILENCE, "*")]  # fmt: skip
    channel = line.call(keys=keys)
    prompts = {p.sound for p in channel.played if p.sound.startswith("prompts/")}
    assert prompts <= {f"prompts/xx/d{digit}" for digit in range(10)}
    assert len(line.orders()) == 1


def test_the_line_speaks_english_around_the_titles_of_the_songs(line: LineFixture) -> None:
    english = Path("config/messages/en")
    line.use(
        prompts=ivr.prompts.load((english / "prompts.toml").read_text(), "en"),
        texts=Texts.load((english / "sms.toml").read_text(), Sms().signature),
    )
    keys = [(IN_SILENCE, "1"), (IN_SILENCE, "1"), (f"during {TONE}", "1", 6000), (IN_SILENCE, "1"),
            (IN_SILENCE, "*"), (IN_SILENCE, "*")]  # fmt: skip
    channel = line.call(keys=keys)
    prompts = [p.sound for p in channel.played if p.sound.startswith("prompts/")]
    assert all(sound.startswith("prompts/en/") for sound in prompts)
    offer = ["price_visitor", "yuan_2", "price_member", "price_150", "price_senior", "yuan_1",
             "offer_pays", "yuan_2", "offer_forever", "offer_confirm"]  # fmt: skip
    assert in_order(channel.said, "welcome", "list_intro", "branch_jiangsu", "list_how", *offer)
    assert "ordered" in channel.said
    texts = [message["text"] for message in line.messages()]
    assert "【彩铃直通车】OK《茉莉花》¥2. Undo(30min):0 End:TD1029" in texts


def in_order(said: list[str], *expected: str) -> bool:
    rest = iter(said)
    return all(name in rest for name in expected)
