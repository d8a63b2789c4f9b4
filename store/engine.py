"""How a connection to either engine is opened, and what its errors mean.

SQLite is opened with our own `BEGIN IMMEDIATE`, WAL, `synchronous=FULL` (a commit
is on the disk before its caller hears of it). PostgreSQL is psycopg 3 in READ COMMITTED.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

BUSY_TIMEOUT_MS = 5000
"""How long one transaction waits for another's lock before it is told so, on both engines."""
WAL_PAUSE_S = 0.01
_BEGIN = "BEGIN IMMEDIATE"

# A host that froze inside a transaction must not hold its rows for ever; one whose database went
# away without a word must notice within seconds.
_POSTGRES = {
    "application_name": "toneline",
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
    "options": f"-c lock_timeout={BUSY_TIMEOUT_MS} -c idle_in_transaction_session_timeout=30000",
}


class StoreError(Exception):
    """The request was not done; the text says why, in a sentence for a person.

    `trace` is the traceback inside the store, for the log; empty when there is nothing to find.
    """

    def __init__(self, sentence: str, trace: str = "") -> None:
        super().__init__(sentence)
        self.trace = trace


class StoreBusy(StoreError):
    """Too many requests are waiting already: nothing was begun, the caller may try later."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or written just now (lost, locked, full): it may be later."""


class StoreClosed(StoreError):
    """This process asks its store no more; the request may have been done or not."""


AWAY = (StoreBusy, StoreClosed, StoreUnavailable)
"""Why a request that could be done later was not done now."""


def engine_for(url: str) -> Engine:
    """Return an engine for `sqlite:///FILE` or `postgresql+psycopg://...`.

    Raises:
        StoreError: the URL is neither.
    """
    if _backend(url) == "postgresql":
        return _postgres(url, _POSTGRES)
    engine = _sqlite(url)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def reader_for(url: str) -> Engine:
    """Return an engine that can only read, and on SQLite keeps nobody from writing.

    There each statement sees the database as it is then, and not as a transaction would.

    Raises:
        StoreError: as `engine_for`.
    """
    if _backend(url) == "postgresql":
        options = f"{_POSTGRES['options']} -c default_transaction_read_only=on"
        return _postgres(url, {**_POSTGRES, "options": options})
    engine = _sqlite(url)
    event.listen(engine, "connect", let_sqlite_read)
    return engine


def _backend(url: str) -> str:
    try:
        backend: str = make_url(url).get_dialect().name
    except ArgumentError as error:
        raise StoreError(f"the database's URL cannot be used: {error}") from error
    except ValueError:  # its words may be a part of the password
        raise StoreError("the database's URL cannot be used: its port is no number") from None
    if backend not in ("sqlite", "postgresql"):
        raise StoreError(f"a database of kind {backend!r} is not known: sqlite or postgresql is")
    return backend


# Parameters hold subscribers' numbers, and errors are logged: hide_parameters.


def _sqlite(url: str) -> Engine:
    options = {"isolation_level": None, "cached_statements": 512}
    return create_engine(url, connect_args=options, hide_parameters=True)


def _postgres(url: str, options: Mapping[str, object]) -> Engine:
    engine = create_engine(url, connect_args=dict(options), hide_parameters=True)
    event.listen(engine, "connect", _prepare_postgres)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def let_sqlite_read(connection: sqlite3.Connection, _record: Any) -> None:
    """Let a new connection wait for others' locks, and write nothing."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA query_only = ON")


def _use_wal(connection: sqlite3.Connection) -> None:
    # Two programs that open a new file at once: SQLite refuses one of them without waiting.
    until_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until_s:
                raise
            time.sleep(WAL_PAUSE_S)
        else:
            return


def _prepare_postgres(connection: Any, _record: Any) -> None:
    connection.prepared_max = 512


def _begin_immediate(connection: Connection) -> None:
    # With SQLite's deferred transactions two writers that both have read deadlock at the first
    # write; and the driver's own BEGIN leaves rows behind when a savepoint was rolled back.
    driver: Any = connection.connection.driver_connection
    try:
        driver.cursor().execute(_BEGIN)  # SQLAlchemy's way there takes longer than the statement
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            _BEGIN, None, error, sqlite3.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


def is_lost(error: Exception) -> bool:
    """Return whether the connection died, so that the same work may go through on a new one."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def explained(error: Exception, trace: str = "") -> StoreError:
    """Return the error as its caller shall see it; no subscriber's number is in its text."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, OperationalError | InterfaceError):
        return StoreUnavailable(f"the database cannot do this now: {_first_line(error)}", trace)
    if isinstance(error, DBAPIError):
        return StoreError(f"the database refused this: {_first_line(error)}", trace)
    return StoreError(f"{type(error).__name__}: {error}", trace)


def _first_line(error: DBAPIError) -> str:
    # PostgreSQL's later lines quote the row, numbers and all.
    return str(error.orig).partition("\n")[0]
