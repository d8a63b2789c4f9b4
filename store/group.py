"""Group commit: many requests in one transaction, redone one by one when one of them fails."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, RootTransaction

from store import changes
from store.connection import short_way
from store.engine import StoreError, StoreUnavailable, explained, is_lost
from store.prepared import PreparedStatements

PATIENCE_S = 1.0
"""For so long a lost database is tried again before its callers are told."""
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Request:
    """One function to run: `function(connection, *values)`."""

    function: Callable[..., Any]
    values: tuple[Any, ...]


Result = tuple[Any, StoreError | None]
"""What the function returned, or why there is nothing."""


class _NotBegunError(Exception):
    """No transaction could be begun: nothing was tried, and trying the next is of no use."""


class Groups:
    """One connection to the database, and the groups of requests it commits."""

    def __init__(
        self,
        engine: Engine,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._monotonic = monotonic
        self._sleep = sleep
        self._prepared = PreparedStatements(engine.dialect)
        self._connection: Connection | None = None
        self._lost_at: float | None = None

    def run(self, requests: Sequence[Request]) -> tuple[list[Result], tuple[str, ...]]:
        """Run all requests and commit; return each one's result and the topics announced.

        When a request fails the transaction is rolled back and each is run again in one of its own,
        so that only the failing one fails. When the connection dies the whole is run again on a new
        one: nobody knows whether the commit went through, and every function that writes is
        idempotent for this reason.
        """
        for _ in range(2):
            try:
                return self._together(requests)
            except _NotBegunError as error:
                return [(None, _unavailable(error))] * len(requests), ()
            except Exception as error:  # any function may fail in any way
                if not is_lost(error):
                    break
        return self._one_by_one(requests)

    def driver_connection(self) -> Any | None:
        """Return the open connection as its driver knows it, for `changes.Watch`."""
        return None if self._connection is None else self._connection.connection.driver_connection

    def close(self) -> None:
        """Close the connection; the next request would open another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # a dead one has nothing left to close
                connection.close()

    def _together(self, requests: Sequence[Request]) -> tuple[list[Result], tuple[str, ...]]:
        connection, transaction = self._begin()
        quick = short_way(connection, self._prepared)
        try:
            results: list[Result] = [(r.function(quick, *r.values), None) for r in requests]
            topics = changes.publish(connection)
            transaction.commit()
        except BaseException:
            changes.forget(connection)
            if not transaction.is_active:
                # A commit that failed may have left the driver's transaction open behind
                # SQLAlchemy's back.
                connection.invalidate()
            self.close()  # rolls back
            raise
        return results, topics

    def _one_by_one(self, requests: Sequence[Request]) -> tuple[list[Result], tuple[str, ...]]:
        results: list[Result] = []
        announced: dict[str, None] = {}
        for request in requests:
            try:
                done, topics = self._together([request])
            except _NotBegunError as error:
                missing = len(requests) - len(results)
                return results + [(None, _unavailable(error))] * missing, tuple(announced)
            except Exception as error:  # any function may fail in any way
                # The frames alone: the errors' own texts may quote rows, numbers and all.
                trace = "".join(traceback.format_tb(error.__traceback__))
                results.append((None, explained(error, trace)))
            else:
                results += done
                announced |= dict.fromkeys(topics)
        return results, tuple(announced)

    def _begin(self) -> tuple[Connection, RootTransaction]:
        while True:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                transaction = self._connection.begin()
            except Exception as error:
                was_connected = self._connection is not None and not is_lost(error)
                self.close()
                now = self._monotonic()
                self._lost_at = now if self._lost_at is None else self._lost_at
                if was_connected or now - self._lost_at >= PATIENCE_S:
                    raise _NotBegunError from error
                self._sleep(_PAUSE_S)
            else:
                self._lost_at = None
                return self._connection, transaction


def _unavailable(error: _NotBegunError) -> StoreError:
    cause = error.__cause__
    sentence = explained(cause) if isinstance(cause, Exception) else error
    return StoreUnavailable(str(sentence))
