from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from catalog.directories import (
    LAST_GOOD,
    Edition,
    Resolved,
    current_edition,
    resolve,
    standing,
)
from tests.fakes.catalogue import CODES, a_snapshot, a_tone, some_tones

MONDAY = datetime(2026, 11, 22, 16, tzinfo=UTC)
WEEK = timedelta(days=7)


def edition(
    number: int = 1,
    kind: str = "regular",
    begins: datetime = MONDAY,
    ends: datetime | None = None,
    songs: tuple[str, ...] = CODES[:10],
    **said: Any,
) -> Edition:
    return Edition(
        "yangzhou", kind, begins, ends, songs, (), number, ("file",) * len(songs), **said
    )


def chosen(editions: Sequence[Edition], at: datetime) -> int:
    found = current_edition(editions, at)
    return 0 if found is None else found.edition_id


def test_an_edition_holds_from_its_beginning_to_just_before_its_end() -> None:
    held = edition(ends=MONDAY + WEEK)
    moment = timedelta(microseconds=1)
    assert [held.holds(at) for at in (MONDAY - moment, MONDAY, MONDAY + WEEK - moment)] == [
        False, True, True,
    ]  # fmt: skip
    assert not held.holds(MONDAY + WEEK)


def test_an_emergency_goes_before_a_holiday_and_a_holiday_before_the_week() -> None:
    later = MONDAY + WEEK
    week = edition(1, begins=MONDAY + timedelta(days=2))
    holiday = edition(2, "holiday", MONDAY, later)
    emergency = edition(3, "emergency", MONDAY, MONDAY + timedelta(days=1))
    editions = (week, holiday, emergency)
    assert chosen(editions, MONDAY) == 3
    assert chosen(editions, MONDAY + timedelta(days=3)) == 2
    assert chosen(editions, later) == 1


def test_nothing_is_heard_before_it_has_been_published() -> None:
    old = edition(1, begins=MONDAY - WEEK)
    late = edition(2, published_at=MONDAY + timedelta(hours=9))
    assert chosen((old, late), MONDAY + timedelta(hours=8)) == 1
    assert chosen((old, late), MONDAY + timedelta(hours=9)) == 2


def test_the_correction_of_a_file_goes_before_what_the_chart_made_of_it() -> None:
    filled = edition(2, begins=MONDAY, said_from=MONDAY - WEEK, said_at=MONDAY - WEEK)
    corrected = edition(3, begins=MONDAY - WEEK, said_at=MONDAY + timedelta(days=1))
    assert chosen((filled, corrected), MONDAY + timedelta(days=2)) == 3


def heard(*editions: Edition, at: datetime = MONDAY, owner: str = "yangzhou") -> Resolved:
    by_owner: dict[str, list[Edition]] = {}
    for one in editions:
        by_owner.setdefault(one.owner, []).append(one)
    return resolve(owner, by_owner, at, lambda code: code in CODES, CODES)


def test_a_branch_keeps_its_last_good_edition_for_thirty_days() -> None:
    mine = edition(1, ends=MONDAY, begins=MONDAY - WEEK)
    province = Edition("jiangsu", "regular", MONDAY - WEEK, None, CODES[3:13], (), 2)
    assert heard(mine, province).edition_id == 1
    assert heard(mine, province, at=MONDAY + LAST_GOOD - timedelta(seconds=1)).edition_id == 1
    assert heard(mine, province, at=MONDAY + LAST_GOOD).edition_id == 2


def test_a_holiday_that_is_over_is_not_kept() -> None:
    holiday = edition(1, "holiday", MONDAY - WEEK, MONDAY)
    assert heard(holiday).edition_id == 0


def test_without_any_edition_the_catalogue_is_heard() -> None:
    songs = heard().songs
    assert [song.code for song in songs] == list(CODES[:10])
    assert {song.source for song in songs} == {"reserve"}


def test_each_slot_tells_its_true_source() -> None:
    mine = Edition(
        "yangzhou", "regular", MONDAY, None, (*CODES[:8], "9999", CODES[8]), (CODES[12],), 1,
        ("file",) * 7 + ("chart", "file", "chart"),
    )  # fmt: skip
    songs = heard(mine).songs
    assert [song.source for song in songs] == ["file"] * 7 + ["chart", "reserve", "chart"]
    assert songs[8].code == CODES[12]


instants = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants naive bounds
unknown = st.sampled_from((*CODES, "9994", "9988"))


@st.composite
def an_edition(draw: st.DrawFn) -> Edition:
    start, end = sorted([draw(instants), draw(instants)])
    kind = draw(st.sampled_from(["regular", "holiday", "emergency"]))
    songs = draw(st.lists(unknown, max_size=10, unique=True))
    reserve = draw(st.lists(unknown, max_size=3, unique=True))
    return Edition(
        owner=draw(st.sampled_from(["yangzhou", "jiangsu"])),
        kind=kind,
        valid_from=start,
        valid_to=draw(st.sampled_from([end, None])) if kind == "regular" else end,
        songs=tuple(songs),
        reserve=tuple(reserve),
        edition_id=draw(st.integers(1, 1000)),
        sources=("file",) * len(songs),
        said_from=draw(st.sampled_from([None, MONDAY, MONDAY + WEEK])),
        said_at=draw(instants),
        published_at=draw(st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), start])),
        checksum=draw(st.text("0123456789abcdef", min_size=4, max_size=4)),
    )


editions_drawn = st.lists(an_edition(), max_size=8, unique_by=lambda one: one.edition_id)


@settings(deadline=None)
@given(editions_drawn, instants, st.randoms(use_true_random=False))
def test_the_current_edition_does_not_depend_on_the_order_of_storing(
    editions: list[Edition], at: datetime, random: Random
) -> None:
    found = current_edition(editions, at)
    shuffled = list(editions)
    random.shuffle(shuffled)
    assert current_edition(shuffled, at) == found
    assert found is None or found.holds(at)
    assert (found is None) == (not any(one.holds(at) for one in standing(editions, at)))
    assert found is None or found in standing(editions, at)


@settings(deadline=None)
@given(editions_drawn, instants, st.data())
def test_what_is_said_later_of_the_same_takes_its_place_and_nothing_elses(
    editions: list[Edition], at: datetime, data: st.DataObject
) -> None:
    found = current_edition(editions, at)
    assume(found is not None)
    assert found is not None
    kind, begins = found.statement
    end = data.draw(st.sampled_from([found.valid_from, at + WEEK]))
    later = replace(
        found, edition_id=2000, valid_to=end, said_from=begins, songs=(), published_at=at,
        said_at=max(one.said_at for one in editions) + timedelta(seconds=1),
    )  # fmt: skip
    now = current_edition([*editions, later], at)
    others = [one for one in editions if one.statement != (kind, begins)]
    assert now == (later if end > at else current_edition(others, at))
    before = at - timedelta(microseconds=1)
    assert current_edition([*editions, later], before) == current_edition(editions, before)


@settings(deadline=None)
@given(
    editions_drawn,
    instants,
    st.sets(st.sampled_from(CODES), max_size=3),
    st.dictionaries(st.sampled_from(CODES), st.dates(date(2026, 1, 1), date(2028, 1, 1)),
                    max_size=5),
)  # fmt: skip
def test_at_every_instant_there_are_ten_different_playable_songs(
    editions: list[Edition], at: datetime, retired: set[str], licences: dict[str, date]
) -> None:
    tones = [
        a_tone(
            code,
            licence_until=licences.get(code),
            state="retired" if code in retired else "published",
        )
        for code in CODES
    ] + [a_tone(f"20{number:02}") for number in range(10)]
    snapshot = a_snapshot(tones, editions)
    directory = snapshot.directory("yangzhou", at)
    codes = [tone.code for tone in directory.tones]
    assert len(set(codes)) == len(codes) == len(directory.sources) == 10
    assert not retired & set(codes)
    day = (at + timedelta(hours=8)).date()
    assert all(code not in licences or day <= licences[code] for code in codes)


@settings(deadline=None)
@given(editions_drawn, instants)
def test_a_slot_whose_song_plays_keeps_it(editions: list[Edition], at: datetime) -> None:
    directory = a_snapshot(some_tones(), editions).directory("yangzhou", at)
    edition = next((one for one in editions if one.edition_id == directory.edition_id), None)
    for slot, code in enumerate(() if edition is None else edition.songs):
        if code in CODES:
            assert directory.tones[slot].code == code
