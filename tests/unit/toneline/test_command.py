"""What a command does to the database that it finds, or does not find."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from click.testing import CliRunner, Result

from catalog.tones import put_tones
from store.database import LocalDatabase
from store.engine import engine_for
from store.migrations import HEAD, current, scripts, upgrade
from tests.fakes.catalogue import some_tones
from tests.unit.catalog.test_finding import NOW
from toneline.cli import main

READING = (
    ("tones", "find", "x"),
    ("tones", "show", "1029"),
    ("tones", "codes"),
    ("tones", "licences"),
    ("subscribers", "show", "13905250001"),
    ("orders", "--msisdn", "13905250001"),
    ("orders", "show", "x"),
    ("trace", "13905250001"),
    ("charts", "show"),
    ("charts", "explain", "1029"),
    ("directories", "check"),
    ("directories", "show", "yangzhou"),
    ("directories", "history", "yangzhou"),
    ("directories", "holidays"),
)
WRITING = (
    ("tones", "retire", "1029"),
    ("subscribers", "set", "13905250001", "--tier", "member"),
    ("charts", "compute"),
    ("directories", "rollback", "yangzhou", "1"),
)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to type commands in, whose line would have its database below `var`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "directories").mkdir(parents=True)
    return tmp_path


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def url_below(house: Path) -> str:
    return f"sqlite:///{house / 'var' / 'toneline.db'}"


def of_revision(house: Path, revision: str) -> str:
    url = url_below(house)
    (house / "var").mkdir()
    engine = engine_for(url)
    with engine.begin() as connection:
        command.upgrade(scripts(connection), revision)
    engine.dispose()
    return url


@pytest.mark.parametrize("words", READING)
def test_where_there_is_no_database_reading_says_so_and_makes_none(
    house: Path, words: tuple[str, ...]
) -> None:
    done = typed(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"{house / 'var' / 'toneline.db'}: there is no database; `toneline db upgrade` makes one,"
        " and so does the line when it starts (`make run`)\n"
    )
    assert not (house / "var").exists()


@pytest.mark.parametrize("words", [READING[0], READING[7], *WRITING])
def test_a_database_of_another_revision_is_left_to_who_uses_it(
    house: Path, words: tuple[str, ...]
) -> None:
    url = of_revision(house, "0005")
    done = typed(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{house / 'var' / 'toneline.db'}: has the tables of revision")
    assert "`toneline db upgrade`" in done.stderr
    assert current(engine_for(url)) == "0005"


def test_a_writing_command_makes_the_database_that_it_needs(house: Path) -> None:
    assert typed(*WRITING[1]).exit_code == 0
    assert current(engine_for(url_below(house))) == HEAD


def test_reading_changes_nothing(house: Path) -> None:
    upgrade(url_below(house))
    database = LocalDatabase(engine_for(url_below(house)))
    database.run_now(put_tones, some_tones(), NOW)
    database.close()
    before = (house / "var" / "toneline.db").read_bytes()
    assert {typed(*words).exit_code for words in READING[:4]} == {0}
    assert (house / "var" / "toneline.db").read_bytes() == before


@pytest.mark.parametrize("words", [READING[0], WRITING[0], ("db", "upgrade"), ("doctor",)])
def test_a_folder_that_cannot_be_made_is_a_sentence(
    house: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (house / "file").write_text("")
    monkeypatch.setenv("TONELINE_PATHS__VAR", str(house / "file" / "var"))
    done = typed(*words)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert str(house / "file" / "var") in done.output
