"""A connection that compiles a statement once and lets the driver run it.

`Connection.execute` adds several times the database's own work in Python every time: an order, of
seven statements, took seven times the bare driver's CPU, and takes less than twice of it this way.
So what is executed *with values*, `execute(STATEMENT, {...})`, as every hot statement is, goes the
short way; everything else, and what the short way cannot do, is SQLAlchemy's own as ever.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias, cast
from weakref import finalize

from sqlalchemy import Connection, Delete, Dialect, Float, Insert, Select, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.type_api import TypeEngine

from store.result import Result

Convert: TypeAlias = Callable[[Any], Any]
Names: TypeAlias = tuple[str, ...]


class QuickConnection:
    """A `Connection` for functions of ours: `execute` as described above, all else as it is.

    A row's columns go by their names and positions, not by column objects.
    """

    def __init__(self, connection: Connection, prepared: PreparedStatements) -> None:
        self._connection = connection
        self._prepared = prepared
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
            prepared = self._prepared.find(statement, values[0] if is_many else values, is_many)
            if prepared is not None:
                try:
                    return prepared.run(self._cursor, values, is_many)
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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement's text for one engine, and how values go in and rows come out.

    `fixed` are the statement's own values, converted; `converts` what becomes of some of those it
    is given. Drivers take them by name or, with `in_order`, in that order. `row` is the class of
    the rows that come out, if any do.
    """

    sql: str
    fixed: Mapping[str, Any]
    converts: Sequence[tuple[str, Convert]]
    in_order: Convert | None
    row: Any | None
    row_converts: Sequence[tuple[int, Convert]]

    def run(self, cursor: Any, values: Any, is_many: bool) -> Result:
        """Run it with a mapping of values, or with a list of them, and fetch all it finds."""
        if is_many:
            cursor.executemany(self.sql, [self._bound(row) for row in values])
        else:
            cursor.execute(self.sql, self._bound(values))
        if self.row is None:
            return Result((), (), cursor.rowcount)
        rows = cursor.fetchall()
        if self.row_converts:
            rows = [self._converted(row) for row in rows]
        return Result(self.row._fields, [*map(self.row._make, rows)], cursor.rowcount)

    def _bound(self, values: Mapping[str, Any]) -> Any:
        """Return the values as the driver takes them: by position, or by name."""
        bound = {**self.fixed, **values}
        for name, convert in self.converts:
            bound[name] = convert(bound[name])
        return bound if self.in_order is None else self.in_order(bound)

    def _converted(self, row: Iterable[Any]) -> list[Any]:
        values = list(row)
        for index, convert in self.row_converts:
            values[index] = convert(values[index])
        return values


_FLOAT8 = 701
"""PostgreSQL's number for the type of our floats, which SQLAlchemy asks for."""


class PreparedStatements:
    """The statements of one engine that were prepared; one that is thrown away is forgotten."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._known: dict[int, dict[Names, Prepared | None]] = {}  # by id()

    def wrap(self, connection: Connection) -> Connection:
        """Return the connection with the short way."""
        return cast(Connection, QuickConnection(connection, self))

    def find(self, statement: Any, values: Mapping[str, Any], is_many: bool) -> Prepared | None:
        """Return the statement prepared for values of these names; None: SQLAlchemy must run it."""
        by_names = self._known.get(id(statement))
        if by_names is None:
            if not isinstance(statement, Select | Insert | Update | Delete):
                return None
            by_names = self._known[id(statement)] = {}
            finalize(statement, self._known.pop, id(statement)).atexit = False
        names = tuple(values)
        try:
            found = by_names[names]
        except KeyError:
            found = by_names[names] = _prepare(statement, self._dialect, names)
        if is_many and found is not None and found.row is not None:
            return None  # no driver returns the rows of many
        return found


def _prepare(statement: Any, dialect: Dialect, names: Names) -> Prepared | None:
    if isinstance(statement, Insert) and _has_key_to_report(statement, names):
        return None
    keys = None if isinstance(statement, Select) else list(names)
    compiled: Any = statement.compile(dialect=dialect, column_keys=keys)
    if any(bound.expanding and bound.key in names for bound in compiled.bind_names):
        return None  # the list's length is another every time
    columns = list(statement.exported_columns)
    keys = [column.key or f"_{index}" for index, column in enumerate(columns)]
    if len(set(keys)) < len(keys):
        return None
    # IN lists are written out with the values they have in the statement itself.
    state = compiled.construct_expanded_state(dict.fromkeys(names))
    given = compiled.bind_names.items()
    converts = {name: to for bound, name in given if (to := _bind(bound.type, dialect))}
    row_converts = [(index, _result(column.type, dialect)) for index, column in enumerate(columns)]
    return Prepared(
        sql=state.statement,
        fixed={
            name: (state.processors.get(name) or converts.get(name) or _same)(value)
            for name, value in state.parameters.items()
            if name not in names
        },
        converts=[(name, to) for name, to in converts.items() if name in names],
        in_order=None if state.positiontup is None else _picked(state.positiontup),
        row=namedtuple("Row", [*keys], rename=True) if columns else None,
        row_converts=[(index, to) for index, to in row_converts if to],
    )


def _has_key_to_report(statement: Insert, names: Names) -> bool:
    """Whether SQLAlchemy's result would know a key that the database made: `inline()` says no."""
    counted = getattr(statement.table, "autoincrement_column", None)
    return counted is not None and counted.key not in names and not statement._inline


def _bind(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    found = _FLOAT8 if isinstance(kind, Float) else None
    return kind.dialect_impl(dialect).result_processor(dialect, found)


def _picked(names: Sequence[str]) -> Convert:
    """Return what takes these out of a mapping, in their order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: [values[name] for name in names]


def _same(value: Any) -> Any:
    return value
