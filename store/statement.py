"""A statement of the hot path: Core, compiled once and run by the driver itself.

`connection.execute` adds several times the database's own work in Python, every time; an order is
seven statements, and more follow with every call. What runs seldom stays with `connection.execute`;
everything is written in Core either way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.type_api import TypeEngine

Values = Mapping[str, Any]
Convert = Callable[[Any], Any]
_NONE: Values = {}


class Statement:
    """A `select`, `insert`, `update` or `delete` whose `bindparam`s get their values when it runs.

    An insert takes the columns that it is given values for, and returns no keys. Rows are named
    tuples. Errors are SQLAlchemy's, as from `connection.execute`.
    """

    __slots__ = ("_core", "_prepared")

    def __init__(self, core: Select[Any] | Insert | Update | Delete) -> None:
        self._core = core.inline() if isinstance(core, Insert) else core
        self._prepared: dict[tuple[str, tuple[str, ...]], _Prepared] = {}

    def rows(self, connection: Connection, values: Values = _NONE) -> list[Any]:
        """Return all rows that it selects or returns."""
        prepared = self._for(connection.dialect, values)
        return prepared.rows(self._run(connection, prepared, values).fetchall())

    def one_or_none(self, connection: Connection, values: Values = _NONE) -> Any | None:
        """Return the row, or None when there is none.

        Raises:
            LookupError: there are several.
        """
        rows = self.rows(connection, values)
        if len(rows) > 1:
            raise LookupError(f"{len(rows)} rows where one was expected")
        return rows[0] if rows else None

    def execute(self, connection: Connection, values: Values = _NONE) -> int:
        """Run it and return how many rows it wrote."""
        prepared = self._for(connection.dialect, values)
        return cast(int, self._run(connection, prepared, values).rowcount)

    def execute_many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Run it for each of `rows`, which have the same keys; on PostgreSQL in one round trip."""
        if rows:
            prepared = self._for(connection.dialect, rows[0])
            bound = [prepared.bind(row) for row in rows]
            _drive(connection, prepared.sql, lambda driver: driver.cursor().executemany, bound)

    def _run(self, connection: Connection, prepared: _Prepared, values: Values) -> Any:
        bound = prepared.bind(values)
        return _drive(connection, prepared.sql, lambda driver: driver.execute, bound)

    def _for(self, dialect: Dialect, values: Values) -> _Prepared:
        key = (dialect.name, tuple(values))
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = _prepare(self._core, dialect, key[1])
        return prepared


def _drive(connection: Connection, sql: str, how: Callable[[Any], Any], bound: Any) -> Any:
    driver = connection.connection.driver_connection
    dbapi = connection.dialect.loaded_dbapi
    try:
        return how(driver)(sql, bound)
    except dbapi.Error as error:
        lost = connection.dialect.is_disconnect(error, driver, None)  # type: ignore[arg-type]
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            sql, None, error, dbapi.Error,
            hide_parameters=True, connection_invalidated=lost, dialect=connection.dialect,
        ) from error  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement's text for one engine, and what turns values into what its driver takes."""

    sql: str
    fixed: Values
    converts: Sequence[tuple[str, Convert]]
    order: Sequence[str] | None
    make_row: Convert
    row_converts: Sequence[tuple[int, Convert]]

    def bind(self, values: Values) -> Any:
        bound = {**self.fixed, **values}
        for name, convert in self.converts:
            bound[name] = convert(bound[name])
        return bound if self.order is None else [bound[name] for name in self.order]

    def rows(self, found: Iterable[Sequence[Any]]) -> list[Any]:
        if not self.row_converts:
            return [self.make_row(row) for row in found]
        converted = []
        for row in found:
            values = list(row)
            for index, convert in self.row_converts:
                values[index] = convert(values[index])
            converted.append(self.make_row(values))
        return converted


def _prepare(
    core: Select[Any] | Insert | Update | Delete, dialect: Dialect, names: tuple[str, ...]
) -> _Prepared:
    keys = None if isinstance(core, Select) else list(names)
    compiled: Any = core.compile(dialect=dialect, column_keys=keys)
    # IN lists are written out with the values they have: those of the statement, for ever.
    state = compiled.construct_expanded_state(dict.fromkeys(names))
    converts = {name: _bind(bound.type, dialect) for name, bound in compiled.binds.items()}
    fixed = {
        name: state.processors.get(name, _same)(value)
        for name, value in state.parameters.items()
        if name not in names
    }
    columns = list(core.exported_columns)
    row_converts = [(index, _result(column.type, dialect)) for index, column in enumerate(columns)]
    row_type = namedtuple("Row", [column.key or "_" for column in columns], rename=True)  # type: ignore[misc]  # noqa: PYI024  its fields are known only now
    return _Prepared(
        state.statement,
        fixed,
        [(name, convert) for name, convert in converts.items() if convert],
        state.positiontup,
        row_type._make,
        [(index, convert) for index, convert in row_converts if convert],
    )


def _bind(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _same(value: Any) -> Any:
    return value
