from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from catalog.licences import STEPS, ending_and_placed, step_of
from catalog.tones import Tone, move_tone, put_tones
from store.database import LocalDatabase
from tests.fakes.catalogue import CODES, SHANGHAI, a_snapshot, a_tone
from tests.fakes.editions import an_edition, local, publish

TODAY = date(2026, 11, 26)
NOW = local(TODAY, 12)
DAY = timedelta(days=1)


def tones(**until: date) -> tuple[Tone, ...]:
    return tuple(a_tone(code, licence_until=until.get(f"c{code}")) for code in CODES)


def put(database: LocalDatabase, **until: date) -> None:
    database.run_now(put_tones, tones(**until), NOW)


def test_licences_that_end_are_listed_the_soonest_first(database: LocalDatabase) -> None:
    put(database, c1029=TODAY + 60 * DAY, c1032=TODAY, c1041=TODAY + 61 * DAY, c1007=TODAY - DAY)
    found = database.run_now(ending_and_placed, NOW, 60, SHANGHAI)
    assert [(one.code, one.days_left) for one in found] == [("1032", 0), ("1029", 60)]
    assert found[0].licence_until == TODAY
    assert found[0].title == "茉莉花"


def test_a_day_ends_at_local_midnight(database: LocalDatabase) -> None:
    put(database, c1029=TODAY)
    before, after = local(TODAY, 23) + timedelta(minutes=59), local(TODAY + DAY)
    assert len(database.run_now(ending_and_placed, before, 1, SHANGHAI)) == 1
    assert len(database.run_now(ending_and_placed, after, 1, SHANGHAI)) == 0


def test_it_says_in_which_current_lists_a_tone_stands(database: LocalDatabase) -> None:
    put(database, c1029=TODAY + DAY)
    ten = CODES[:10]
    publish(
        database,
        [
            an_edition("jiangsu", "2026-11-01", songs=ten),
            an_edition("yangzhou", "2026-11-01", songs=ten),
            an_edition("yangzhou", "2026-11-23", songs=CODES[3:13]),
            an_edition("wuxi", "2026-11-30", songs=ten),
            an_edition("suzhou", "2026-11-23", "2026-11-27", songs=ten),
        ],
        NOW,
    )
    (one,) = database.run_now(ending_and_placed, NOW, 30, SHANGHAI)
    assert sorted(one.directories) == ["jiangsu", "suzhou"]
    (one,) = database.run_now(ending_and_placed, NOW + DAY, 30, SHANGHAI)
    assert sorted(one.directories) == ["jiangsu"]


def test_a_retired_tone_needs_no_licence(database: LocalDatabase) -> None:
    put(database, c1029=TODAY)
    database.run_now(move_tone, "1029", "retire", NOW)
    assert database.run_now(ending_and_placed, NOW, 60, SHANGHAI) == ()


@pytest.mark.parametrize(
    ("days_left", "step"), [(31, None), (30, 30), (8, 30), (7, 7), (2, 7), (1, 1), (0, 1)]
)
def test_a_step_is_the_least_that_is_reached(days_left: int, step: int | None) -> None:
    assert step_of(days_left, STEPS) == step


def test_a_song_is_heard_to_the_last_instant_of_its_licence_and_then_replaced() -> None:
    edition = an_edition("yangzhou", "2026-11-01", songs=CODES[:10], reserve=("1120",))
    snapshot = a_snapshot(tones(c1029=TODAY), [edition])
    end = local(TODAY + DAY)

    def heard(at: datetime) -> list[str]:
        return [tone.code for tone in snapshot.directory("yangzhou", at).tones]

    assert heard(end - timedelta(microseconds=1)) == list(CODES[:10])
    assert heard(end) == ["1120" if code == "1029" else code for code in CODES[:10]]
