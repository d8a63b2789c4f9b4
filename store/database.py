"""run(function, *values): one face, in this process (tests, commands) or in the store process.

The other implementation is `store.client.StoreClient`, for `serve`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred, fail, succeed

from store import changes
from store.connection import short_way
from store.engine import (
    AWAY,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreUnavailable,
    engine_for,
    explained,
)
from store.prepared import PreparedStatements
from store.wire import name_of

__all__ = [
    "AWAY",
    "Database",
    "LocalDatabase",
    "StoreBusy",
    "StoreClosed",
    "StoreError",
    "StoreUnavailable",
    "engine_for",
]

P = ParamSpec("P")
T = TypeVar("T")

_log = structlog.get_logger()


class Database(Protocol):
    """The truth, as services see it."""

    def run(
        self, function: Callable[Concatenate[Connection, P], T], *values: P.args, **named: P.kwargs
    ) -> Deferred[T]:
        """Run `function(connection, *values)` in one transaction; answer after its commit.

        `function` is module-level and synchronous; values and result are plain values and frozen
        dataclasses, by position. A function that writes is idempotent by an id among its values: a
        request whose answer was lost is run again. Cancel the Deferred to wait no longer.

        Fails with:
            StoreBusy: too many requests wait; this one was not begun.
            StoreUnavailable: the database is lost, locked or full just now.
            StoreClosed: this process asks no more.
            StoreError: anything else, in a sentence, with the store's traceback.
        """

    def on_change(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after every commit that announced `topic`; return what ends that."""


class LocalDatabase:
    """A `Database` in this process, without a reactor, for the command line and tests."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._prepared = PreparedStatements(engine.dialect)
        self._subscriptions = changes.Subscriptions(_callback_failed)

    def run_now(
        self, function: Callable[Concatenate[Connection, P], T], *values: P.args, **named: P.kwargs
    ) -> T:
        """Run `function(connection, *values)` in one transaction and return its result.

        Raises:
            Exception: whatever the function or the database raises; nothing was written then.
        """
        with self.engine.connect() as connection:
            try:
                with connection.begin():
                    result = function(short_way(connection, self._prepared), *values, **named)
                    topics = changes.publish(connection)
            finally:
                changes.forget(connection)
        self._subscriptions.tell(topics)
        return result

    def run(
        self, function: Callable[Concatenate[Connection, P], T], *values: P.args, **named: P.kwargs
    ) -> Deferred[T]:
        """Run it as the store process would, at once; see `Database`."""
        name_of(function)  # a function that only works here is a mistake to find in a test
        try:
            return succeed(self.run_now(function, *values, **named))
        except Exception as error:  # the store process answers every error alike
            return fail(explained(error))

    def on_change(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after commits of this object that announced the topic; see `Database`."""
        return self._subscriptions.add(topic, callback)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _callback_failed(topic: str, error: Exception) -> None:
    _log.error("store_callback_failed", topic=topic, exc_info=error)
