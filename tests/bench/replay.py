"""The statements that a store process has run, in the same groups, through the bare driver.

`noted` has a line write them down (tests/bench/statements), `replay` runs them on a copy of the
database as it was before: the limit of what the line can reach on this machine's disk.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "statements"
Call = tuple[str, str, Any]  # way, SQL, values
_LONGEST_CACHE = 512  # statements kept prepared, as the store has it


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the bare driver did, for how long, and what of it was its own work (not the disk's)."""

    seconds: float
    cpu_s: float
    commits: int
    statements: int


@contextmanager
def noted(statements: Path) -> Iterator[None]:
    """Let stores that are started meanwhile write their statements to a file."""
    ours = {"PYTHONPATH": str(FOLDER), "TRIPS_STATEMENTS": str(statements)}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def copy(database: Path, to: Path) -> None:
    """Copy a database that is in use."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def size(statements: Path) -> int:
    """How much is written down so far: what comes next begins there."""
    return statements.stat().st_size if statements.exists() else 0


def replay(database: Path, statements: Path, begin: int) -> Replayed:
    """Run what was written after ``begin`` on a database, each group with its commit."""
    groups = list(_groups(statements, begin))
    options: dict[str, Any] = {"isolation_level": None, "cached_statements": _LONGEST_CACHE}
    with closing(sqlite3.connect(database, **options)) as connection:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        began, cpu_began_s = time.perf_counter(), time.process_time()
        for group in groups:
            for way, sql, values in group:
                getattr(connection, way)(sql, values).fetchall()
            connection.commit()
        lasted, used_s = time.perf_counter() - began, time.process_time() - cpu_began_s
    return Replayed(lasted, used_s, len(groups), sum(len(group) for group in groups))


def _groups(statements: Path, begin: int) -> Iterator[list[Call]]:
    """Transactions, each from its BEGIN IMMEDIATE."""
    group: list[Call] = []
    with statements.open("rb") as file:
        file.seek(begin)
        while True:
            try:
                way, sql, values = pickle.load(file)  # noqa: S301  written by our own process
            except EOFError:
                return
            if sql.startswith("BEGIN"):
                group = [(way, sql, values)]
            elif way != "commit":
                group.append((way, sql, values))
            elif group:
                yield group
                group = []
