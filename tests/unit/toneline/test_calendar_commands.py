"""`toneline directories holidays` and `toneline tones licences`, as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from catalog.holidays import coming
from catalog.switching import OWNERS
from catalog.tones import put_tones
from store.database import LocalDatabase
from store.engine import engine_for
from tests.fakes.catalogue import CODES, SHANGHAI, a_tone, some_tones
from tests.fakes.editions import an_edition, publish
from toneline.cli import main
from toneline.command import now

DAY = timedelta(days=1)


@pytest.fixture
def today() -> date:
    return now().astimezone(SHANGHAI).date()


@pytest.fixture
def database(tmp_path: Path, _migrated_sqlite: Path) -> Iterator[LocalDatabase]:
    file = tmp_path / "toneline.db"
    file.write_bytes(_migrated_sqlite.read_bytes())
    opened = LocalDatabase(engine_for(f"sqlite:///{file}"))
    yield opened
    opened.close()


def said(database: LocalDatabase, *words: str) -> str:
    url = database.engine.url.render_as_string()
    var = str(Path(database.engine.url.database or "").parent)
    environment = {"TONELINE_DATABASE__URL": url, "TONELINE_PATHS__VAR": var}
    done = CliRunner().invoke(main, list(words), env=environment)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_holidays_to_come_are_listed_with_who_has_prepared(
    database: LocalDatabase, today: date
) -> None:
    first, *_, last = coming(today, 150)
    ten = CODES[:10]
    publish(
        database,
        [an_edition("wuxi", first.day, first.day + DAY, songs=ten)]
        + [an_edition(owner, last.day, last.day + DAY, songs=ten) for owner in OWNERS],
        now(),
    )
    found = json.loads(said(database, "directories", "holidays", "--days", "150", "--json"))
    assert len(found) == len(coming(today, 150))
    assert (found[0]["name"], found[0]["prepared"]) == (first.name, ["wuxi"])
    assert found[0]["day"] == first.day.isoformat()
    assert len(found[0]["missing"]) == len(OWNERS) - 1
    assert found[-1]["missing"] == []
    lines = said(database, "directories", "holidays", "--days", "150").splitlines()
    assert lines[0].endswith("prepared: wuxi alone")
    assert lines[-1].endswith("all 14 have prepared")
    assert first.title in lines[0]


def test_licences_that_end_are_listed_with_the_lists_they_are_heard_in(
    database: LocalDatabase, today: date
) -> None:
    until = today + 20 * DAY
    database.run_now(put_tones, [*some_tones(), a_tone("1130", licence_until=until)], now())
    database.run_now(put_tones, [a_tone("1029", licence_until=until + DAY)], now())
    publish(database, [an_edition("wuxi", today, songs=CODES[:10])], now())
    first, second = json.loads(said(database, "tones", "licences", "--json"))
    assert (first["code"], first["directories"]) == ("1130", [])
    assert (second["code"], second["directories"], second["days_left"]) == ("1029", ["wuxi"], 21)
    assert second["sold_until"] == (until + DAY - 7 * DAY).isoformat()
    lines = said(database, "tones", "licences").splitlines()
    assert lines[1].endswith("in wuxi")
    assert json.loads(said(database, "tones", "licences", "--days", "19", "--json")) == []
