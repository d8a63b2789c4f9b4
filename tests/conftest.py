"""What many tests share: a clean database on each engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from store.database import LocalDatabase
from store.engine import engine_for
from store.migrations import upgrade
from store.schema import metadata
from tests import postgres as postgres_server
from tests.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for the whole run, started by the first test that wants it."""
    with postgres_server.running() as server:
        yield server


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "toneline.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def _migrated_postgres(postgres: Postgres) -> Iterator[Engine]:
    url = postgres.create("toneline")
    upgrade(url)
    engine = engine_for(url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database that has its tables, on each engine."""
    if request.param == "sqlite":
        file = tmp_path / "toneline.db"
        shutil.copyfile(request.getfixturevalue("_migrated_sqlite"), file)
        return f"sqlite:///{file}"
    engine: Engine = request.getfixturevalue("_migrated_postgres")
    _empty(engine)
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def database(database_url: str) -> Iterator[LocalDatabase]:
    """An empty database that has its tables, in this process, on each engine."""
    opened = LocalDatabase(engine_for(database_url))
    yield opened
    opened.close()


def _empty(engine: Engine) -> None:
    # Deleting from tables that are mostly empty takes a tenth of truncating them.
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
