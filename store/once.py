"""Insert a row unless it is there already: what makes a repeated request harmless."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_once(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row; return False, and change nothing, when a unique key of it is taken.

    No exception is raised for a taken key: on PostgreSQL it would spoil the group's transaction.
    """
    done = connection.execute(_statement(connection.dialect.name, table), values)
    return done.rowcount == 1


@cache
def _statement(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    build = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = build(table).on_conflict_do_nothing()
    # Without RETURNING, which SQLAlchemy would add for keys that nobody reads, rows are counted.
    return statement.inline().execution_options(preserve_rowcount=True)
