from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred

from catalog.tones import catalogue_changed, version
from store.database import LocalDatabase, StoreError, StoreUnavailable, engine_for
from store.engine import reader_for
from store.onlooker import onlooker_for
from tests.fakes import ledger


@pytest.fixture
def kept(database: LocalDatabase) -> Iterator[LocalDatabase]:
    ledger.create(database.engine)
    yield database
    ledger.drop(database.engine)


def test_what_a_function_wrote_stays_when_it_returns(kept: LocalDatabase) -> None:
    assert kept.run_now(ledger.enter, "a", 3) == 3
    assert kept.run_now(ledger.entries) == ["a"]


def test_what_a_function_wrote_goes_when_it_raises(kept: LocalDatabase) -> None:
    with pytest.raises(ValueError, match="bad is not wanted"):
        kept.run_now(ledger.enter_and_fail, "bad")
    assert kept.run_now(ledger.entries) == []


def test_run_answers_as_the_store_process_does(kept: LocalDatabase) -> None:
    assert _result(kept.run(ledger.enter, "a", 3)) == 3
    assert isinstance(_result(kept.run(ledger.enter_and_fail, "bad")), StoreError)
    with pytest.raises(TypeError, match="no module-level function"):
        kept.run(lambda _: None)


def _result(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addCallbacks(results.append, lambda failure: results.append(failure.value))
    return results[0]


def test_sqlite_is_opened_safe_and_with_foreign_keys(tmp_path: Path) -> None:
    database = LocalDatabase(engine_for(f"sqlite:///{tmp_path / 'toneline.db'}"))
    settings = {
        name: database.run_now(_pragma, name)
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    assert settings == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000,
    }  # fmt: skip


def _pragma(connection: Connection, name: str) -> Any:
    return connection.execute(text(f"PRAGMA {name}")).scalar()


def test_a_sqlite_transaction_writes_from_its_first_statement_on(tmp_path: Path) -> None:
    file = tmp_path / "toneline.db"
    database = LocalDatabase(engine_for(f"sqlite:///{file}"))
    ledger.create(database.engine)
    other = sqlite3.connect(file, timeout=0, isolation_level=None)
    with database.engine.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_reader_reads_and_never_writes(kept: LocalDatabase) -> None:
    kept.run_now(ledger.enter, "a", 3)
    url = kept.engine.url.render_as_string(hide_password=False)
    reader = LocalDatabase(reader_for(url))
    assert reader.run_now(ledger.entries) == ["a"]
    with pytest.raises(DBAPIError):
        reader.run_now(ledger.enter, "b", 4)
    assert kept.run_now(ledger.entries) == ["a"]
    reader.close()


def test_a_sqlite_reader_keeps_nobody_from_writing_and_sees_what_was_written(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'toneline.db'}"
    database, reader = LocalDatabase(engine_for(url)), LocalDatabase(reader_for(url))
    ledger.create(database.engine)
    with reader.engine.connect() as reading, reading.begin():
        assert ledger.entries(reading) == []
        database.run_now(ledger.enter, "a", 3)
        assert ledger.entries(reading) == ["a"]


@pytest.mark.parametrize("url", ["mysql://h/d", "nonsense", "sqlite+nonsense:///x"])
def test_a_url_of_another_kind_is_refused_in_a_sentence(url: str) -> None:
    for open_ in (engine_for, reader_for):
        with pytest.raises(StoreError, match="database"):
            open_(url)


def test_a_lost_database_is_unavailable_and_not_broken() -> None:
    away = LocalDatabase(engine_for("postgresql+psycopg://nobody@127.0.0.1:1/nothing"))
    assert isinstance(_result(away.run(ledger.counts)), StoreUnavailable)


def test_an_onlooker_writes_nothing_and_sees_what_was_committed(
    database: LocalDatabase, database_url: str
) -> None:
    with closing(LocalDatabase(onlooker_for(database_url))) as reader:
        assert reader.run_now(version) == 0
        with pytest.raises(DBAPIError, match="read-?only"):
            reader.run_now(catalogue_changed)
        database.run_now(catalogue_changed)
        assert reader.run_now(version) == 1
