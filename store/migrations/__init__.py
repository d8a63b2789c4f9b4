"""Alembic: from whatever revision a database has to the tables of store.schema.

After a change of the schema `python -m store.migrations "What it is for"` writes the next revision.
"""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from store.engine import StoreError, engine_for, explained
from store.onlooker import place_of

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0006"
"""The newest revision in `versions`: a database that says so needs nothing."""

_VERSION = text("SELECT version_num FROM alembic_version")


def upgrade(url: str) -> bool:
    """Bring the database at `url` to `HEAD`, creating it if there is none; False: nothing to do.

    A SQLite file's folder is created. Two programs that upgrade at once wait for each other.

    Raises:
        StoreError: the database cannot be reached or written, or is newer than this program.
    """
    engine = engine_for(url)
    try:
        _create_file(engine)
        revision = current(engine)
        if revision == HEAD:
            return False
        _refuse_newer(revision)
        _migrate(engine)
    except Exception as error:
        raise explained(error) from error
    finally:
        engine.dispose()
    return True


def create(url: str) -> None:
    """Give the database at `url` its tables if it has none; what has some is left as it is.

    Raises:
        StoreError: as `upgrade`, or it is of another revision: a running line may be using it.
    """
    engine = engine_for(url)
    try:
        _create_file(engine)
        is_new = current(engine) is None
        if not is_new:
            require_head(engine, url)
    except Exception as error:
        raise explained(error) from error
    finally:
        engine.dispose()
    if is_new:
        upgrade(url)


def require_head(engine: Engine, url: str) -> None:
    """Do nothing if the database, which is the one at `url`, is at `HEAD`.

    Raises:
        StoreError: it has no tables of ours, or those of another revision; what to do.
    """
    revision = current(engine)
    _refuse_newer(revision)
    if revision != HEAD:
        has = "no tables yet" if revision is None else f"the tables of revision {revision}"
        raise StoreError(
            f"{place_of(url)}: has {has}, this program needs {HEAD}; `toneline db upgrade` makes"
            " them, and so does the line when it starts (`make run`)"
        )


def current(engine: Engine) -> str | None:
    """Return the revision the database says it has; None: it has no tables of ours."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.execute(_VERSION).scalar()
        return revision


def _refuse_newer(revision: str | None) -> None:
    if revision is not None and revision > HEAD:
        raise StoreError(
            f"the database is at revision {revision}, this program knows {HEAD} at most: a newer"
            " program has migrated it, install that"
        )


def _create_file(engine: Engine) -> None:
    """Make SQLite's file, and its folder, and let nobody but its user and group read it.

    It holds whole numbers and texts. SQLite gives the files beside it the same rights.
    """
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:":
        return
    file = Path(name).absolute()
    try:
        # Others may pass through: the sounds, which Asterisk's user reads, may lie below.
        file.parent.mkdir(mode=0o751, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{file.parent}: this folder cannot be made: {error.strerror}; see [paths] var"
        ) from error
    try:
        file.touch(mode=0o640, exist_ok=False)
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreError(f"{file}: cannot be written: {error.strerror}") from error
    for each in (file, *(Path(f"{file}{ending}") for ending in ("-wal", "-shm"))):
        with suppress(FileNotFoundError, PermissionError):  # another user's: he may have his reason
            each.chmod(stat.S_IMODE(each.stat().st_mode) & ~stat.S_IRWXO)


def _migrate(engine: Engine) -> None:
    # Imported only when there is something to migrate: it takes as long as a whole start.
    from alembic import command  # noqa: PLC0415

    with engine.begin() as connection:
        _take_turns(connection)
        command.upgrade(scripts(connection), "head")


def scripts(connection: Connection) -> Config:
    """Return Alembic's configuration: our revisions, on this connection."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _take_turns(connection: Connection) -> None:
    # SQLite's BEGIN IMMEDIATE has done so already.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('toneline db upgrade'))"))
