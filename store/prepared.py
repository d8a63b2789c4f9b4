"""A statement that was compiled once: its text, and how values go in and rows come out.

What puts values in order and makes rows is written out for each statement, as `namedtuple` and
dataclasses do it: loops over names and converters cost a third of what the store does for an order.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from weakref import finalize

from sqlalchemy import Delete, Dialect, Float, Insert, Select, Update
from sqlalchemy.sql.type_api import TypeEngine

from store.result import Result

Convert: TypeAlias = Callable[[Any], Any]
Names: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement's text for one engine; `bound` makes what the driver takes of a mapping.

    `row` makes a row of what the driver returns, `keys` are its names; both empty if none comes.
    """

    sql: str
    bound: Convert
    keys: Names
    row: Convert | None

    def run(self, cursor: Any, values: Mapping[str, Any]) -> Result:
        """Run it with these values, and fetch all it finds."""
        cursor.execute(self.sql, self.bound(values))
        if self.row is None:
            return Result((), (), cursor.rowcount)
        return Result(self.keys, [*map(self.row, cursor.fetchall())], cursor.rowcount)

    def run_many(self, cursor: Any, rows: Sequence[Mapping[str, Any]]) -> Result:
        """Run it with each of these; nothing comes back but how many rows were written."""
        cursor.executemany(self.sql, [*map(self.bound, rows)])
        return Result((), (), cursor.rowcount)


_FLOAT8 = 701
"""PostgreSQL's number for the type of our floats, which SQLAlchemy asks for."""


class PreparedStatements:
    """The statements of one engine that were prepared; one that is thrown away is forgotten."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._known: dict[int, dict[Names, Prepared | None]] = {}  # by id()

    def find(self, statement: Any, values: Mapping[str, Any]) -> Prepared | None:
        """Return the statement prepared for values of these names; None: SQLAlchemy must run it."""
        names = tuple(values)
        try:
            return self._known[id(statement)][names]
        except KeyError:
            return self._prepare(statement, names)

    def _prepare(self, statement: Any, names: Names) -> Prepared | None:
        if not isinstance(statement, Select | Insert | Update | Delete):
            return None
        if id(statement) not in self._known:
            self._known[id(statement)] = {}
            finalize(statement, self._known.pop, id(statement)).atexit = False
        found = self._known[id(statement)][names] = _prepare(statement, self._dialect, names)
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
    binds = compiled.bind_names.items()
    converts = {name: to for bound, name in binds if (to := _bind(bound.type, dialect))}
    fixed = {
        name: (state.processors.get(name) or converts.get(name) or _same)(value)
        for name, value in state.parameters.items()
        if name not in names
    }
    row_converts = {
        index: to for index, column in enumerate(columns) if (to := _result(column.type, dialect))
    }
    row: Any = namedtuple("Row", keys, rename=True) if columns else None
    return Prepared(
        sql=state.statement,
        bound=(
            _by_name(state.parameters, fixed, converts)
            if state.positiontup is None
            else _in_order(state.positiontup, fixed, converts)
        ),
        keys=() if row is None else row._fields,
        row=None if row is None else _made(row, row_converts),
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


def _same(value: Any) -> Any:
    return value


# ---- written out


def _in_order(
    names: Sequence[str], fixed: Mapping[str, Any], converts: Mapping[str, Convert]
) -> Convert:
    """Return what makes a tuple of these values of a mapping."""
    words, scope = _expressions(names, fixed, converts)
    return _written(_tuple(words), scope)


def _by_name(
    names: Collection[str], fixed: Mapping[str, Any], converts: Mapping[str, Convert]
) -> Convert:
    """Return what makes a dictionary of these values of a mapping."""
    words, scope = _expressions(names, fixed, converts)
    pairs = (f"{name!r}: {word}" for name, word in zip(names, words, strict=True))
    return _written(f"{{{', '.join(pairs)}}}", scope)


def _made(row: Any, converts: Mapping[int, Convert]) -> Convert:
    """Return what makes a row of the tuple that the driver returns."""
    if not converts:
        return partial(tuple.__new__, row)  # what a named tuple's own `_make` calls
    words, scope = _expressions(range(len(row._fields)), {}, converts)
    return _written(f"new(row, {_tuple(words)})", scope | {"new": tuple.__new__, "row": row})


def _expressions(
    keys: Iterable[Any], fixed: Mapping[Any, Any], converts: Mapping[Any, Convert]
) -> tuple[list[str], dict[str, Any]]:
    """Return how each value is found in `given`, and what the names in that stand for."""
    words, scope = [], {}
    for number, key in enumerate(keys):
        if key in fixed:
            words.append(f"fixed{number}")
            scope[f"fixed{number}"] = fixed[key]
        elif key in converts:
            words.append(f"to{number}(given[{key!r}])")
            scope[f"to{number}"] = converts[key]
        else:
            words.append(f"given[{key!r}]")
    return words, scope


def _tuple(words: Iterable[str]) -> str:
    return f"({''.join(word + ', ' for word in words)})"


def _written(expression: str, scope: dict[str, Any]) -> Convert:
    made: Convert = eval(f"lambda given: {expression}", scope)  # noqa: S307  over names of ours
    return made
