"""A rehearsal: another day's line, for staff by `**` and PIN, and for `toneline phone --at`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.directories import Edition
from ivr.agi import Dialogue, RemoteProtocolError
from ivr.caller import BadRehearsal, read_rehearsal, rehearsal_request
from ivr.rehearsal import next_day
from store import schema
from tests.fakes.asterisk import environment
from tests.fakes.catalogue import a_snapshot, a_tone, some_tones
from tests.fakes.channel import HANG_UP, IN_SILENCE, FakeChannel
from tests.fakes.line import YANGZHOU_SONGS, LineFixture, editions
from tests.unit.ivr.calls import DIRECT, MENU, MENU_AGAIN, TONE, part_after, tones_played

STAFF = "8613905250001"  # who calls in these tests
PIN = "2580"
SPRING = datetime(2027, 2, 5, 16, tzinfo=UTC)  # the sixth in Shanghai
BEGINNING = ["rehearsal", "year_2027", "month_2", "day_6", "rehearsal_line"]
DOOR = [(IN_SILENCE, "*"), (IN_SILENCE, "*", 300)]
SPRING_SONGS = tuple(reversed(YANGZHOU_SONGS))


def typed(keys: str) -> list[tuple[Any, ...]]:
    return [(IN_SILENCE, key) for key in keys]


@pytest.fixture
def line() -> LineFixture:
    line = LineFixture(rehearsal_pin=PIN, staff=[STAFF])
    line.use(staff=frozenset({STAFF}))
    spring = Edition("yangzhou", "regular", SPRING, None, SPRING_SONGS, (), 3)
    line.snapshot = a_snapshot(editions=[*editions(), spring])
    return line


def rehearse(line: LineFixture, at: datetime = SPRING, **script: Any) -> FakeChannel:
    """What `toneline phone --at` hears."""
    channel = FakeChannel(line.clock, **script)
    channel.environment["agi_request"] = rehearsal_request(at)
    line.finish(line.begin(channel))
    return channel


# ---------------------------------------------------------------- what is heard


def test_the_line_of_that_day_is_heard_and_it_says_so(line: LineFixture) -> None:
    keys = [*typed("21"), (f"during tones/{SPRING_SONGS[0]}-a", HANG_UP)]
    channel = rehearse(line, keys=keys)
    assert channel.said[:5] == BEGINNING
    assert channel.said[5 : 5 + len(MENU)] == MENU
    assert tones_played(channel) == [SPRING_SONGS[0]]


def test_a_call_meanwhile_hears_today(line: LineFixture) -> None:
    keys = [*typed("21"), (f"during tones/{YANGZHOU_SONGS[0]}-a", HANG_UP)]
    channel = line.call(keys=keys)
    assert tones_played(channel) == [YANGZHOU_SONGS[0]]
    assert channel.said[: len(MENU)] == MENU


def test_a_tone_whose_licence_has_ended_by_then_is_not_heard(line: LineFixture) -> None:
    tones = [
        replace(tone, licence_until=date(2027, 2, 5)) if tone.code == "1029" else tone
        for tone in some_tones()
    ]
    line.snapshot = a_snapshot(tones, editions())
    channel = rehearse(line, dialled=DIRECT, keys=[("during tone_retired", HANG_UP)])
    assert channel.said[-1] == "tone_retired"
    assert tones_played(line.call(dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP)])) == ["1029"]


def test_nothing_is_ordered_and_nobody_is_texted(line: LineFixture) -> None:
    keys = [(f"during {TONE}", "1", 6000), *typed("131"), (IN_SILENCE, HANG_UP)]
    channel = rehearse(line, dialled=DIRECT, keys=keys)
    assert channel.said.count("rehearsal_no_order") == 4
    assert line.orders() == []
    assert line.messages() == []
    assert "quote" not in line.database.requests
    assert "hangup_sms_notice" not in channel.said


def test_the_record_is_marked_and_no_hearing_counts(line: LineFixture) -> None:
    rehearse(line, dialled=DIRECT, keys=[(f"during {TONE}", HANG_UP, 20_000)])
    assert line.record()["outcome"] == "rehearsal"
    assert (0, "rehearsal", {"of": "2027-02-05T16:00:00+00:00"}) in line.record()["events"]
    assert line.rows(schema.preview) == []
    assert line.log.of("call_ended")[0]["outcome"] == "rehearsal"


# ---------------------------------------------------------------- who may ask for it


def test_what_is_no_instant_is_refused_and_not_taken_for_a_call() -> None:
    for at in ("", "tomorrow", "2027-02-06T00:00"):
        with pytest.raises(BadRehearsal):
            read_rehearsal({"agi_request": f"agi://127.0.0.1/rehearsal/{at}"})


@pytest.mark.parametrize("request_", ["agi://127.0.0.1:4573/", "agi://[::1]/", "agi://host", ""])
def test_the_dialplans_own_address_is_no_rehearsal(request_: str) -> None:
    assert read_rehearsal({"agi_request": request_}) is None


@pytest.mark.parametrize(
    "name", ["agi_callerid", "agi_calleridname", "agi_extension", "agi_dnid", "agi_rdnis"]
)
def test_no_caller_can_ask_for_it(name: str) -> None:
    asks = rehearsal_request(SPRING)
    for value in (asks, f"1\r{asks}", f"1 agi_request: {asks}", f"1\nx agi_request: {asks}"):
        (started,) = Dialogue().receive_data(environment(**{name: value}))
        assert read_rehearsal(started.environment) is None  # type: ignore[union-attr]
    for value in (f"1\nagi_request: {asks}", f"1\r\nagi_request: {asks}\n"):
        with pytest.raises(RemoteProtocolError, match="comes twice"):
            Dialogue().receive_data(environment(**{name: value}))


# ---------------------------------------------------------------- ** at the menu


def test_staff_rehearse_by_star_star_pin_and_day(line: LineFixture) -> None:
    songs = (f"during tones/{SPRING_SONGS[0]}-a", HANG_UP)
    channel = line.call(keys=[*DOOR, *typed(f"{PIN}#0206"), *typed("21"), songs])
    said = part_after(channel.said, "menu_rest")
    assert said[:2] == ["ask_pin", "ask_rehearsal_date"]
    assert said[2 : 7 + len(MENU)] == [*BEGINNING, *MENU]
    assert tones_played(channel) == [SPRING_SONGS[0]]
    assert line.record()["outcome"] == "rehearsal"


def test_it_may_be_typed_ahead_while_the_menu_is_read(line: LineFixture) -> None:
    keys = [(f"during {MENU[0]}", "*"), *(("then", key, 300) for key in f"*{PIN}#0206#")]
    channel = line.call(keys=[*keys, ("during menu_rest", HANG_UP)])
    assert channel.said == ["welcome", "ask_pin", "ask_rehearsal_date", *BEGINNING, *MENU]


def test_the_pin_is_not_in_the_record(line: LineFixture) -> None:
    line.call(keys=[*DOOR, *typed(f"{PIN}#0206"), ("during menu_rest", HANG_UP)])
    digits = "".join(key["digit"] for key in line.keys_pressed())
    assert digits == "**?????0206"
    assert PIN not in str(line.log.events)


def test_a_wrong_pin_is_an_event_and_three_are_the_most_a_call(line: LineFixture) -> None:
    keys = [*DOOR, *typed("1111#2222#3333#"), *DOOR[:1], ("during wrong_key", HANG_UP)]
    channel = line.call(keys=keys)
    said = part_after(channel.said, "menu_rest")
    again = ["pin_wrong", "ask_pin"]
    assert said == ["ask_pin", *again, *again, "pin_wrong", *MENU_AGAIN, "wrong_key"]
    events = line.log.of("rehearsal_pin_wrong")
    assert [event["tries"] for event in events] == [1, 2, 3]
    assert events[0]["msisdn"] == "139****0001"
    assert line.record()["outcome"] == "hung_up"


def test_a_day_that_does_not_exist_is_asked_for_again(line: LineFixture) -> None:
    keys = [*DOOR, *typed(f"{PIN}#0230"), *typed("13#"), *typed("9999")]
    channel = line.call(keys=[*keys, ("during menu_rest", HANG_UP)])
    said = part_after(channel.said, "ask_pin")
    ask = "ask_rehearsal_date"
    assert said == [ask, "date_wrong", ask, "date_wrong", ask, "date_wrong", *MENU_AGAIN]
    assert line.record()["outcome"] == "hung_up"


@pytest.mark.parametrize(("staff", "pin"), [((), PIN), ((STAFF,), ""), (("8613905250002",), PIN)])
def test_for_everybody_else_star_is_no_key(staff: tuple[str, ...], pin: str) -> None:
    line = LineFixture(rehearsal_pin=pin)
    line.use(staff=frozenset(staff))
    channel = line.call(keys=[*DOOR, ("during menu_rest", HANG_UP)])
    assert "ask_pin" not in channel.said
    assert "wrong_key" in channel.said


def test_one_star_is_no_key_for_staff_either(line: LineFixture) -> None:
    channel = line.call(keys=[*typed("*"), ("during menu_rest", HANG_UP)])
    assert part_after(channel.said, "menu_rest") == ["wrong_key", *MENU[1:]]


def test_a_key_after_one_star_is_the_menus(line: LineFixture) -> None:
    keys = [(IN_SILENCE, "*"), (IN_SILENCE, "1", 300), ("during list_intro", HANG_UP)]
    assert line.call(keys=keys).said[-2:] == ["branch_jiangsu", "list_intro"]


def test_what_was_ordered_before_the_rehearsal_stays_ordered(line: LineFixture) -> None:
    line.snapshot = a_snapshot([a_tone()], editions())
    keys = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "1"), ("during choices", "*"), *DOOR]
    line.call(dialled=DIRECT, keys=[*keys, *typed(f"{PIN}#0206"), (IN_SILENCE, HANG_UP)])
    assert len(line.orders()) == 1


@given(st.dates(date(2026, 1, 1), date(2120, 1, 1)), st.dates(date(2024, 1, 1), date(2024, 12, 31)))
def test_the_next_such_day_is_never_past_and_has_its_name(today: date, day: date) -> None:
    found = next_day(f"{day:%m%d}", today)
    assert found is not None
    assert found >= today
    assert (found.month, found.day) == (day.month, day.day)


def test_today_is_the_next_such_day() -> None:
    assert next_day("0206", date(2027, 2, 6)) == date(2027, 2, 6)
    assert next_day("0205", date(2027, 2, 6)) == date(2028, 2, 5)
    assert next_day("0229", date(2027, 2, 6)) == date(2028, 2, 29)
    assert next_day("0230", date(2027, 2, 6)) is None
