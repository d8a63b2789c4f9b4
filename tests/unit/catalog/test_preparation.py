from __future__ import annotations

from datetime import datetime

from catalog.editions import all_editions, withdraw
from catalog.preparation import preparations
from catalog.switching import OWNERS
from store.database import LocalDatabase
from tests.fakes.catalogue import CODES, SHANGHAI
from tests.fakes.editions import an_edition, local, publish

TEN = CODES[:10]


def prepared(database: LocalDatabase, at: datetime, days: int) -> dict[str, tuple[str, ...]]:
    found = database.run_now(preparations, at, days, SHANGHAI)
    return {one.holiday.name: one.prepared for one in found}


def test_the_next_holidays_are_told_with_who_is_ready_and_who_is_not(
    database: LocalDatabase,
) -> None:
    publish(
        database,
        [
            an_edition("yangzhou", "2026-12-24", "2026-12-26", songs=TEN),
            an_edition("wuxi", "2026-12-25", "2026-12-26", songs=TEN),
            an_edition("wuxi", "2026-12-31", "2027-01-03", songs=TEN),
            an_edition("suzhou", "2026-12-20", songs=TEN),
        ],
        local("2026-12-01"),
    )
    christmas, new_year = database.run_now(preparations, local("2026-12-20", 23), 12, SHANGHAI)
    assert (christmas.holiday.name, christmas.days_left) == ("christmas", 5)
    assert christmas.prepared == ("wuxi", "yangzhou")
    assert len(christmas.missing) == len(OWNERS) - 2
    assert (new_year.holiday.title, new_year.days_left) == ("元旦", 12)
    assert new_year.prepared == ("wuxi",)


def test_an_edition_that_covers_part_of_the_day_is_none(database: LocalDatabase) -> None:
    publish(
        database,
        [
            an_edition("wuxi", "2026-12-24", "2026-12-25", songs=TEN),
            an_edition("suzhou", "2026-12-26", "2026-12-27", songs=TEN),
        ],
        local("2026-12-01"),
    )
    assert prepared(database, local("2026-12-20"), 5) == {"christmas": ()}


def test_on_the_day_itself_it_is_still_listed(database: LocalDatabase) -> None:
    publish(
        database,
        [an_edition("wuxi", "2026-12-25", "2026-12-26", songs=TEN)],
        local("2026-12-01"),
    )
    assert prepared(database, local("2026-12-25", 23), 0) == {"christmas": ("wuxi",)}
    assert prepared(database, local("2026-12-26"), 0) == {}


def test_a_holiday_edition_that_was_withdrawn_prepares_nothing(database: LocalDatabase) -> None:
    now = local("2026-12-01")
    publish(database, [an_edition("wuxi", "2026-12-25", "2026-12-26", songs=TEN)], now)
    (edition,) = database.run_now(all_editions)
    database.run_now(withdraw, "wuxi", edition.edition_id, "li", "", now)
    assert prepared(database, local("2026-12-20"), 5) == {"christmas": ()}
