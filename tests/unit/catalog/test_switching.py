from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.directories import Edition
from catalog.snapshot import Snapshot, read_contents
from catalog.switching import OWNERS, changed_owners, directories_at
from catalog.tones import put_tones
from store.database import LocalDatabase
from tests.fakes.catalogue import BRANCHES, CODES, SHANGHAI, a_tone, some_tones
from tests.fakes.editions import an_edition, local, publish

TEN = CODES[:10]
OTHER_TEN = CODES[3:13]
MONDAY = local("2026-11-23")
BEFORE = MONDAY - timedelta(microseconds=1)


def changed(database: LocalDatabase) -> tuple[str, ...]:
    return database.run_now(changed_owners, BEFORE, MONDAY, SHANGHAI)


def test_owners_with_a_new_list_are_named(database: LocalDatabase) -> None:
    database.run_now(put_tones, some_tones(), BEFORE)
    publish(
        database,
        [
            an_edition("jiangsu", "2026-11-01", songs=TEN),
            an_edition("yangzhou", "2026-11-01", songs=TEN),
            an_edition("yangzhou", "2026-11-23", songs=OTHER_TEN),
            an_edition("wuxi", "2026-11-01", songs=OTHER_TEN),
            an_edition("wuxi", "2026-11-23", songs=OTHER_TEN),
        ],
        BEFORE,
    )
    assert changed(database) == ("yangzhou",)


def test_who_follows_the_province_changes_with_it(database: LocalDatabase) -> None:
    database.run_now(put_tones, some_tones(), BEFORE)
    publish(
        database,
        [
            an_edition("jiangsu", "2026-11-01", songs=TEN),
            an_edition("jiangsu", "2026-11-23", songs=OTHER_TEN),
            an_edition("wuxi", "2026-11-01", songs=OTHER_TEN),
        ],
        BEFORE,
    )
    assert changed(database) == tuple(owner for owner in OWNERS if owner != "wuxi")


def test_a_licence_that_ended_changes_a_list(database: LocalDatabase) -> None:
    ends = a_tone("1029", licence_until=date(2026, 11, 22))
    database.run_now(put_tones, [*some_tones(), ends][::-1], BEFORE)
    database.run_now(put_tones, [ends], BEFORE)
    publish(
        database,
        [
            an_edition("jiangsu", "2026-11-01", songs=OTHER_TEN),
            an_edition("wuxi", "2026-11-01", songs=TEN, reserve=("1119",)),
        ],
        BEFORE,
    )
    assert changed(database) == ("wuxi",)


def test_without_editions_there_is_nothing_to_switch(database: LocalDatabase) -> None:
    assert changed(database) == ()


DAYS = st.integers(0, 20).map(lambda day: date(2026, 11, 10) + timedelta(days=day))
LISTS = st.permutations(CODES).map(lambda codes: (tuple(codes[:10]), tuple(codes[10:])))
EDITIONS = st.lists(
    st.builds(
        lambda owner, start, days, lists: an_edition(
            owner,
            start,
            start + timedelta(days=days) if days else None,
            songs=lists[0],
            reserve=lists[1],
        ),
        st.sampled_from(OWNERS[:3]),
        DAYS,
        st.integers(0, 5),
        LISTS,
    ),
    max_size=8,
)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(EDITIONS, DAYS)
def test_the_lists_are_those_that_calls_hear(
    database: LocalDatabase, editions: list[Edition], day: date
) -> None:
    database.run_now(put_tones, some_tones(), BEFORE)
    publish(database, editions, BEFORE)
    at = local(day, 12)
    line = Snapshot(database.run_now(read_contents), BRANCHES, SHANGHAI)
    heard = {owner: line.directory(owner, at) for owner in OWNERS}
    if editions:  # without any, no tone stands in one
        assert database.run_now(directories_at, at, SHANGHAI) == heard


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(EDITIONS, DAYS, st.integers(0, 40), st.integers(0, 3))
def test_no_change_is_overlooked(
    database: LocalDatabase, editions: list[Edition], day: date, hours: int, ends: int
) -> None:
    until = date(2026, 11, 20) + timedelta(days=ends)
    ending = a_tone(CODES[ends], licence_until=until)
    database.run_now(put_tones, [*some_tones(), ending][::-1], BEFORE)
    database.run_now(put_tones, [ending], BEFORE)
    publish(database, editions, local("2026-11-01"))
    before = local(day, 12)
    after = before + timedelta(hours=hours)
    old, new = (database.run_now(directories_at, at, SHANGHAI) for at in (before, after))
    changed = tuple(owner for owner in OWNERS if old[owner].tones != new[owner].tones)
    assert database.run_now(changed_owners, before, after, SHANGHAI) == changed
