"""A connection that compiles a statement once and lets the driver run it.

`Connection.execute` adds several times the database's own work in Python every time: an order, of
seven statements, took seven times the bare driver's CPU, and takes less than twice of it this way.
So what is executed *with values*, `execute(STATEMENT, {...})`, as every hot statement is, goes the
short way; everything else, and what the short way cannot do, is SQLAlchemy's own as ever.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from store.prepared import Prepared, PreparedStatements


def short_way(connection: Connection, prepared: PreparedStatements) -> Connection:
    """Return the connection with the short way."""
    return cast(Connection, QuickConnection(connection, prepared))


class QuickConnection:
    """A `Connection` for functions of ours: `execute` as described above, all else as it is.

    A row's columns go by their names and positions, not by column objects.
    """

    def __init__(self, connection: Connection, prepared: PreparedStatements) -> None:
        self._connection = connection
        self._find = prepared.find
        self.dialect = connection.dialect
        self._dbapi = self.dialect.loaded_dbapi
        # Looked up once a transaction, not once a statement; what is found is fetched at once.
        driver: Any = connection.connection.driver_connection
        self._driver, self._cursor = driver, driver.cursor()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: Any, values: Any = None, **options: Any) -> Any:
        """Run the statement; `values` is a mapping, or a list of mappings with the same keys."""
        if values and not options:
            is_many = isinstance(values, list)
            prepared = self._find(statement, values[0] if is_many else values)
            # No driver returns the rows of many.
            if prepared is not None and not (is_many and prepared.row):
                try:
                    run = prepared.run_many if is_many else prepared.run
                    return run(self._cursor, values)
                except self._dbapi.Error as error:
                    raise self._explained(error, prepared) from error
        return self._connection.execute(statement, values, **options)

    def _explained(self, error: Any, prepared: Prepared) -> Exception:
        connection = self._connection
        lost = self.dialect.is_disconnect(error, self._driver, self._cursor)
        if lost:
            connection.invalidate(error)
        explained: Exception = DBAPIError.instance(
            prepared.sql, None, error, self._dbapi.Error,
            hide_parameters=True, connection_invalidated=lost, dialect=self.dialect,
        )  # fmt: skip
        return explained
