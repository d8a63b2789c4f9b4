from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete

from catalog.directories import Edition, Resolved, resolve
from catalog.editions import Proof, all_editions, still_heard, store_edition
from store.database import LocalDatabase
from store.schema import edition as edition_table
from store.schema import edition_slot
from tests.fakes.catalogue import CODES

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
days = st.integers(0, 12).map(lambda n: START + 10 * n * DAY)
numbers = count(1)


@st.composite
def an_edition(draw: st.DrawFn) -> Edition:
    said_from, said_at = draw(days), draw(days)
    return Edition(
        owner=draw(st.sampled_from(["yangzhou", "jiangsu"])),
        kind=draw(st.sampled_from(["regular", "holiday"])),
        valid_from=said_from + draw(st.integers(0, 5)) * 7 * DAY,
        valid_to=draw(st.none() | days),
        songs=tuple(draw(st.permutations(CODES))[:10]),
        reserve=(),
        said_from=said_from,
        said_at=said_at,
        published_at=said_at + draw(st.integers(0, 2)) * 5 * DAY,
        checksum=str(next(numbers)),
    )


def stored(connection: Connection, editions: list[Edition]) -> None:
    connection.execute(delete(edition_slot))
    connection.execute(delete(edition_table))
    for edition in editions:
        store_edition(connection, edition, Proof("me", ""))


def heard(owner: str, editions: tuple[Edition, ...], at: datetime) -> Resolved:
    by_owner = {
        name: [one for one in editions if one.owner == name] for name in ("yangzhou", "jiangsu")
    }
    return resolve(owner, by_owner, at, CODES.__contains__, CODES)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(an_edition(), max_size=9), days, st.integers(0, 90))
def test_what_is_left_out_is_never_heard_again(
    database: LocalDatabase, editions: list[Edition], since: datetime, later: int
) -> None:
    database.run_now(stored, editions)
    every, still = database.run_now(all_editions), database.run_now(still_heard, since)
    assert set(still) <= set(every)
    at = since + later * DAY
    for owner in ("yangzhou", "jiangsu"):
        assert heard(owner, still, at) == heard(owner, every, at)


def test_of_years_only_the_last_weeks_are_left(database: LocalDatabase) -> None:
    first = Edition("yangzhou", "regular", START, None, CODES[:10], (), said_from=START)
    weeks = [
        replace(first, valid_from=at, published_at=at, checksum=str(week))
        for week in range(60)
        if (at := START + week * 7 * DAY)
    ]
    database.run_now(stored, weeks)
    left = database.run_now(still_heard, START + 58 * 7 * DAY)
    assert [one.checksum for one in left] == ["58", "59"]


def an_old_one(**changed: Any) -> Edition:
    old = Edition("yangzhou", "regular", START, None, CODES[:10], (), said_from=START)
    return replace(old, **{"said_at": START, "published_at": START} | changed)


@pytest.mark.parametrize(("days_ago", "left"), [(20, 1), (40, 0)])
def test_what_ended_lately_may_be_the_last_good_one(
    database: LocalDatabase, days_ago: int, left: int
) -> None:
    since = START + 100 * DAY
    database.run_now(stored, [an_old_one(valid_to=since - days_ago * DAY)])
    assert len(database.run_now(still_heard, since)) == left


@pytest.mark.parametrize(("at", "left"), [(49, ["old", "new"]), (50, ["new"]), (200, [])])
def test_what_was_replaced_is_left_out_once_that_was_published(
    database: LocalDatabase, at: int, left: list[str]
) -> None:
    said = START + 50 * DAY
    until = START + 100 * DAY
    new = an_old_one(said_at=said, published_at=said, checksum="new", valid_to=until)
    database.run_now(stored, [an_old_one(checksum="old"), new])
    found = database.run_now(still_heard, START + at * DAY)
    assert [one.checksum for one in found] == left


def test_what_ends_another_by_hindsight_is_not_left_out(database: LocalDatabase) -> None:
    said = START + 101 * DAY
    ended = an_old_one(said_at=said, published_at=said, checksum="new", valid_to=START + DAY)
    database.run_now(stored, [an_old_one(checksum="old"), ended])
    found = database.run_now(still_heard, START + 100 * DAY)
    assert [one.checksum for one in found] == ["old", "new"]
