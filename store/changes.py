"""Who else changed something: announcements after a commit, NOTIFY, or SQLite's data_version.

A topic is a word: `outbox`, `offers_stopped`, `orders`, `order:ID`, `catalogue`, `callbacks`. Who
hears one reads again what the topic is about. `external`: another program wrote something; it
stands for all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

EXTERNAL = "external"
CHANNEL = "toneline"
ROUNDS_TO_WAIT = 10
"""A lost PostgreSQL is not asked again at once: connecting may take seconds to fail."""
_ANNOUNCED = "toneline_announced"
_NOTIFY = f"SELECT pg_notify('{CHANNEL}', %s)"
_LONGEST_PAYLOAD = 7900  # bytes; PostgreSQL's limit is below 8000


def announce(connection: Connection, topic: str) -> None:
    """Let everybody who listens to `topic` know, once this transaction has committed."""
    connection.info.setdefault(_ANNOUNCED, {})[topic] = None


def publish(connection: Connection) -> tuple[str, ...]:
    """Return what this transaction announced, each topic once; call it just before the commit.

    On PostgreSQL the other hosts are told as well, by the same commit.
    """
    topics = forget(connection)
    if topics and connection.dialect.name == "postgresql":
        payload = " ".join(topics)
        if len(payload) > _LONGEST_PAYLOAD:
            payload = EXTERNAL
        connection.exec_driver_sql(_NOTIFY, (payload,))
    return topics


def forget(connection: Connection) -> tuple[str, ...]:
    """Return what was announced and drop it: the transaction is over, or was rolled back."""
    if connection.invalidated:
        return ()  # what it had announced went with the driver's connection
    return tuple(connection.info.pop(_ANNOUNCED, ()))


class Subscriptions:
    """The callbacks of one process, by topic."""

    def __init__(self, failed: Callable[[str, Exception], None]) -> None:
        self._callbacks: dict[str, list[Callable[[], None]]] = {}
        self._failed = failed

    def add(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` whenever `topic` changed; return what ends that."""
        self._callbacks.setdefault(topic, []).append(callback)

        def unsubscribe() -> None:
            callbacks = self._callbacks.get(topic, [])
            if callback in callbacks:
                callbacks.remove(callback)
            if not callbacks:
                self._callbacks.pop(topic, None)

        return unsubscribe

    def tell(self, topics: Iterable[str]) -> None:
        """Call everybody the topics concern; one that fails does not keep the others from it."""
        wanted = list(topics)
        if EXTERNAL in wanted:
            wanted = list(self._callbacks)
        for topic in wanted:
            for callback in tuple(self._callbacks.get(topic, ())):
                try:
                    callback()
                except Exception as error:  # it is the listener's, not the store's
                    self._failed(topic, error)


class Watch(Protocol):
    """What other programs wrote to the same database, asked for every now and then."""

    def topics(self) -> tuple[str, ...]:
        """Return what changed since the last call; never waits, raises nothing."""


def watch(engine: Engine, writer: Callable[[], Any | None]) -> Watch:
    """Return the watch that fits the engine; `writer` gives our own driver connection, if open."""
    if engine.dialect.name == "sqlite":
        return SqliteWatch(writer)
    return PostgresWatch(engine, writer)


class SqliteWatch:
    """Asks `PRAGMA data_version`: it moves when any connection but the asking one commits."""

    def __init__(self, writer: Callable[[], Any | None]) -> None:
        self._writer = writer
        self._seen: tuple[int, int] | None = None

    def topics(self) -> tuple[str, ...]:
        """See `Watch`; which rows changed is not to be had, so it is `external` or nothing."""
        connection = self._writer()
        if connection is None:
            return ()
        try:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return ()  # the next request finds out and says so
        before, self._seen = self._seen, (id(connection), version)
        return () if before in {None, self._seen} else (EXTERNAL,)


class PostgresWatch:
    """LISTENs on a connection of its own; what our own writer announced is left out."""

    def __init__(self, engine: Engine, writer: Callable[[], Any | None]) -> None:
        self._engine = engine
        self._writer = writer
        self._driver_error = engine.dialect.loaded_dbapi.Error
        self._pooled: PoolProxiedConnection | None = None
        self._listener: Any | None = None
        self._rounds_to_wait = 0

    def topics(self) -> tuple[str, ...]:
        """See `Watch`; after a lost connection anything may have been missed: `external`."""
        if self._rounds_to_wait:
            self._rounds_to_wait -= 1
            return ()
        try:
            if self._listener is None:
                self._listener = self._listen()
                return (EXTERNAL,)
            writer = self._writer()
            own = None if writer is None else writer.info.backend_pid
            notices = [n for n in self._listener.notifies(timeout=0) if n.pid != own]
        except (DBAPIError, self._driver_error):
            self._drop()
            self._rounds_to_wait = ROUNDS_TO_WAIT
            return ()
        return tuple(dict.fromkeys(topic for n in notices for topic in n.payload.split(" ")))

    def _listen(self) -> Any:
        # Never given back to the pool: LISTEN belongs to this very connection.
        self._pooled = self._engine.raw_connection()
        listener: Any = self._pooled.driver_connection
        listener.autocommit = True
        listener.execute(f"LISTEN {CHANNEL}")
        return listener

    def _drop(self) -> None:
        self._listener = None
        if self._pooled is not None:
            self._pooled.invalidate()
            self._pooled = None
