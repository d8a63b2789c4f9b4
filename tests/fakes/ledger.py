"""Functions for the store to run in tests: a ledger that shows what was written, and how often."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table, func, select

from store.changes import announce
from store.engine import StoreError, StoreUnavailable

_metadata = MetaData()
entry = Table(
    "test_entry", _metadata, Column("entry_id", String(32), primary_key=True), Column("n", Integer)
)
counter = Table(
    "test_counter", _metadata, Column("id", Integer, primary_key=True), Column("n", Integer)
)


@dataclass(frozen=True, slots=True)
class Entry:
    entry_id: str
    n: int


def create(engine: Engine) -> None:
    _metadata.drop_all(engine)
    _metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(counter.insert().values(id=1, n=0))


def drop(engine: Engine) -> None:
    _metadata.drop_all(engine)


def enter(connection: Connection, entry_id: str, n: int) -> int:
    """Write an entry once, whatever often it is asked; announce it; return `n`."""
    known = connection.execute(select(entry.c.n).where(entry.c.entry_id == entry_id)).first()
    if known is None:
        connection.execute(entry.insert().values(entry_id=entry_id, n=n))
        connection.execute(counter.update().values(n=counter.c.n + 1))
        announce(connection, "ledger")
        announce(connection, f"entry:{entry_id}")
    return n


def enter_at(connection: Connection, entry_id: str, now: datetime) -> int:
    """Write an entry once, with the second of `now`: what a `Keeper` has done."""
    return enter(connection, entry_id, now.second)


def busy_at(connection: Connection, now: datetime) -> None:
    raise StoreUnavailable("one row is locked for ever")


def fail_at(connection: Connection, now: datetime) -> None:
    raise StoreError(f"not at {now:%S} either")


def enter_and_fail(connection: Connection, entry_id: str) -> None:
    enter(connection, entry_id, 0)
    raise ValueError(f"{entry_id} is not wanted")


def enter_twice(connection: Connection, entry_id: str) -> None:
    """Break the table's key, which is an error of the database's."""
    for _ in range(2):
        connection.execute(entry.insert().values(entry_id=entry_id, n=0))


def refuse(connection: Connection) -> None:
    raise StoreError("no, thank you")


def counts(connection: Connection) -> tuple[int, int]:
    """How many entries there are, and how often one was written."""
    entries = connection.execute(select(func.count()).select_from(entry)).scalar_one()
    return entries, connection.execute(select(counter.c.n)).scalar_one()


def entries(connection: Connection) -> list[str]:
    return list(connection.execute(select(entry.c.entry_id).order_by(entry.c.entry_id)).scalars())


def wait_for(connection: Connection, lock: str) -> str:
    """Hold the whole store until the file is not locked."""
    with open(lock) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
    return "waited"


def end_the_process(connection: Connection) -> None:
    os._exit(3)


def unsendable(connection: Connection) -> object:
    return lambda: None


def entry_named(connection: Connection, entry_id: str) -> Entry:
    n = connection.execute(select(entry.c.n).where(entry.c.entry_id == entry_id)).scalar_one()
    return Entry(entry_id, n)
