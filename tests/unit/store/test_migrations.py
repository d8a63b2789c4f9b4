from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from catalog.editions import all_editions
from store import migrations
from store.database import LocalDatabase
from store.engine import StoreError, StoreUnavailable, engine_for
from store.schema import metadata
from tests.postgres import Postgres


def test_a_migrated_database_has_exactly_the_tables_of_the_schema(database: LocalDatabase) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_partial_indexes_have_the_condition_of_the_schema(tmp_path: Path) -> None:
    # Alembic compares no conditions; the engine's own words for them are compared instead.
    migrations.upgrade(f"sqlite:///{tmp_path / 'migrated.db'}")
    migrated = engine_for(f"sqlite:///{tmp_path / 'migrated.db'}")
    created = engine_for(f"sqlite:///{tmp_path / 'created.db'}")
    metadata.create_all(created)
    assert _partial_indexes(migrated) == _partial_indexes(created) != {}


def _partial_indexes(engine: Engine) -> dict[str, str]:
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '%WHERE%'"
    with engine.connect() as connection:
        return {name: " ".join(sql.split()) for name, sql in connection.execute(text(query))}


def test_the_head_that_the_quick_look_knows_is_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_upgrading_twice_does_something_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new folder' / 'toneline.db'}"
    assert migrations.upgrade(url) is True
    assert migrations.upgrade(url) is False


def test_editions_of_before_keep_their_beginning(tmp_path: Path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'toneline.db'}")
    with engine.begin() as connection:
        command.upgrade(migrations.scripts(connection), "0001")
        connection.execute(text(_AN_EDITION))
        connection.execute(text("INSERT INTO edition_slot VALUES (1, 1, '1029', 'file')"))
    assert migrations.upgrade(f"sqlite:///{tmp_path / 'toneline.db'}") is True
    (kept,) = LocalDatabase(engine).run_now(all_editions)
    assert (kept.said_from, kept.said_at) == (kept.valid_from, kept.published_at)
    assert kept.songs == ("1029",)


_AN_EDITION = """
    INSERT INTO edition
        (edition_id, owner, kind, valid_from, checksum, author, published_at)
    VALUES (1, 'yangzhou', 'regular', 1000000, 'abc', 'files', 2000000)
"""


def test_an_unreachable_database_is_told_in_a_sentence() -> None:
    with pytest.raises(StoreUnavailable, match="cannot do this now"):
        migrations.upgrade("postgresql+psycopg://nobody@127.0.0.1:1/nothing")


def test_a_database_of_a_newer_program_is_refused_and_left_as_it_is(
    database: LocalDatabase, database_url: str
) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="a newer program has migrated it"):
        migrations.upgrade(database_url)
    assert migrations.current(database.engine) == "9999"
    with database.engine.begin() as connection:
        restored = text("UPDATE alembic_version SET version_num = :head")
        connection.execute(restored, {"head": migrations.HEAD})


def test_programs_that_upgrade_at_once_wait_for_each_other(
    tmp_path: Path, postgres: Postgres
) -> None:
    name = f"upgraded_{uuid4().hex}"
    for url in (f"sqlite:///{tmp_path / 'toneline.db'}", postgres.create(name)):
        programs = [subprocess.Popen([sys.executable, "-c", _UPGRADE, url]) for _ in range(2)]
        assert [program.wait() for program in programs] == [0, 0]
        assert migrations.upgrade(url) is False
    postgres.drop(name)


_UPGRADE = "import sys; from store.migrations import upgrade; upgrade(sys.argv[1])"


def _rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_but_its_user_and_group_reads_the_database(tmp_path: Path) -> None:
    file = tmp_path / "var" / "toneline.db"
    migrations.upgrade(f"sqlite:///{file}")
    assert _rights(file.parent) & 0o026 == 0
    engine = engine_for(f"sqlite:///{file}")
    with engine.begin():
        files = sorted(path.name for path in file.parent.iterdir())
        assert files == ["toneline.db", "toneline.db-shm", "toneline.db-wal"]
        assert {_rights(path) & 0o027 for path in file.parent.iterdir()} == {0}
    engine.dispose()


def test_a_database_that_all_could_read_is_closed_to_others(tmp_path: Path) -> None:
    file = tmp_path / "toneline.db"
    migrations.upgrade(f"sqlite:///{file}")
    file.chmod(0o664)
    migrations.upgrade(f"sqlite:///{file}")
    assert _rights(file) == 0o660
