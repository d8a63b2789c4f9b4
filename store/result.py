"""what the short way found: rows as named tuples, and the ways in which ours are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import MultipleResultsFound, NoResultFound


class Result:
    """Rows as of any SQLAlchemy result, and how many were written.

    Reading a row through SQLAlchemy takes longer than finding it, so what our functions ask for is
    here; all else is SQLAlchemy's own.
    """

    __slots__ = ("_keys", "_rows", "rowcount")

    def __init__(self, keys: Sequence[str], rows: Sequence[Any], rowcount: int) -> None:
        self._keys = keys
        self._rows = rows
        self.rowcount = rowcount

    def __getattr__(self, name: str) -> Any:
        return getattr(IteratorResult(SimpleResultMetaData(self._keys), iter(self._rows)), name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> Sequence[Any]:
        """Return the rows."""
        return self._rows

    def first(self) -> Any | None:
        """Return the first row."""
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> Any | None:
        """Return the only row; `MultipleResultsFound` if it is not the only one."""
        if len(self._rows) > 1:
            raise MultipleResultsFound("Multiple rows were found when one or none was required")
        return self.first()

    def one(self) -> Any:
        """Return the only row; `NoResultFound` if there is none."""
        if not self._rows:
            raise NoResultFound("No row was found when one was required")
        return self.one_or_none()

    def scalars(self) -> Result:
        """Return the first value of every row, to be read in the same ways."""
        return Result(self._keys[:1], [row[0] for row in self._rows], self.rowcount)

    def scalar(self) -> Any | None:
        """Return the first value of the first row."""
        return self._rows[0][0] if self._rows else None

    def scalar_one_or_none(self) -> Any | None:
        """Return the first value of the only row."""
        row = self.one_or_none()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:
        """Return the first value of the only row, which must be there."""
        return self.one()[0]
