"""Imported by every Python that starts with this folder in PYTHONPATH: writes down a store's SQL.

The store process then runs its statements through connections that note them, with their values,
in the file that TRIPS_STATEMENTS names: what `tests.bench.replay` runs again.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
import sys
from typing import Any


class NotingCursor(sqlite3.Cursor):
    """Notes what it executes."""

    def execute(self, sql: str, values: Any = (), /) -> NotingCursor:
        """As the driver's."""
        note("execute", sql, values)
        return super().execute(sql, values)

    def executemany(self, sql: str, rows: Any, /) -> NotingCursor:
        """As the driver's."""
        rows = list(rows)
        note("executemany", sql, rows)
        return super().executemany(sql, rows)


class NotingConnection(sqlite3.Connection):
    """Notes its cursors' statements and its commits."""

    def cursor(self, *_: Any) -> Any:
        """Return a cursor that notes."""
        return super().cursor(NotingCursor)

    def commit(self) -> None:
        """As the driver's."""
        note("commit", "", ())
        super().commit()


def note(way: str, sql: str, values: Any) -> None:
    """Write one call down; a transaction's reach the file together."""
    _noted.append(pickle.dumps((way, sql, values)))
    if way == "commit":
        with open(os.environ["TRIPS_STATEMENTS"], "ab", buffering=0) as file:
            file.write(b"".join(_noted))
        _noted.clear()


_noted: list[bytes] = []


def connect(*words: Any, **options: Any) -> sqlite3.Connection:
    """Open a database whose statements are noted."""
    opened: sqlite3.Connection = _connect(*words, **{"factory": NotingConnection, **options})
    return opened


_connect = sqlite3.connect
if "store.process" in sys.orig_argv and "TRIPS_STATEMENTS" in os.environ:
    sqlite3.connect = sqlite3.dbapi2.connect = connect  # type: ignore[assignment]
