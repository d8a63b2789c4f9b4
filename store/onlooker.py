"""How a database is opened by who only looks at it: nothing is created, migrated or written."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, make_url

from store.engine import StoreError, let_sqlite_read, reader_for


def onlooker_for(url: str) -> Engine:
    """Return an engine that only reads, and for SQLite's file needs no right to write it.

    Unlike with `reader_for` a transaction sees the database as it was when it began.

    Raises:
        StoreError: as `engine_for`, or SQLite's file is not there or may not be read.
    """
    reader = reader_for(url)
    return _sqlite(make_url(url)) if reader.dialect.name == "sqlite" else reader


def place_of(url: str) -> str:
    """Return a database as sentences name it: SQLite's file, or the URL without its password."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return parsed.database or ":memory:"
    return parsed.render_as_string(hide_password=True)


def _sqlite(url: URL) -> Engine:
    file = Path(url.database or ":memory:").absolute()
    _look_for(file)
    query = {"uri": "true", "mode": "ro"}
    if not Path(f"{file}-wal").exists() and not os.access(file.parent, os.W_OK):
        # Nobody has it open, and who may not write beside it cannot take part in its locks.
        query["immutable"] = "1"
    opened = url.set(database=f"file:{quote(str(file))}").update_query_dict(query)
    engine = create_engine(opened, connect_args={"isolation_level": None}, hide_parameters=True)
    event.listen(engine, "connect", let_sqlite_read)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _look_for(file: Path) -> None:
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{file}: there is no database; `toneline db upgrade` makes one, and so does the line"
            " when it starts (`make run`)"
        ) from None
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from error
    if not os.access(file, os.R_OK):
        raise StoreError(f"{file}: this user may not read it")
