from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from store.changes import announce
from store.database import LocalDatabase
from store.engine import StoreError, StoreUnavailable, engine_for
from store.group import PATIENCE_S, Groups, Request
from tests.fakes import ledger


@pytest.fixture
def engine(database: LocalDatabase) -> Iterator[Engine]:
    ledger.create(database.engine)
    yield database.engine
    ledger.drop(database.engine)


def enter(name: str, n: int = 1) -> Request:
    return Request(ledger.enter, (name, n))


def test_a_group_is_one_transaction(engine: Engine) -> None:
    commits: list[Connection] = []
    event.listen(engine, "commit", commits.append)
    groups = Groups(engine)
    results, topics = groups.run([enter("a", 1), enter("b", 2), enter("c", 3)])
    groups.close()
    assert results == [(1, None), (2, None), (3, None)]
    assert topics == ("ledger", "entry:a", "entry:b", "entry:c")
    assert len(commits) == 1


def test_a_member_that_raises_leaves_nothing_behind_and_the_others_everything(
    engine: Engine,
) -> None:
    groups = Groups(engine)
    requests = [enter("a"), Request(ledger.enter_and_fail, ("bad",)), enter("b")]
    results, topics = groups.run(requests)
    assert [value for value, error in results if error is None] == [1, 1]
    assert str(results[1][1]) == "ValueError: bad is not wanted"
    assert topics == ("ledger", "entry:a", "entry:b")
    assert groups.run([Request(ledger.entries, ())])[0] == [(["a", "b"], None)]
    groups.close()


def test_an_error_of_the_database_tells_no_row(engine: Engine) -> None:
    groups = Groups(engine)
    [(_, error)], _ = groups.run([Request(ledger.enter_twice, ("8613905250001",))])
    groups.close()
    assert error is not None
    assert str(error).startswith("the database refused this: ")
    assert "8613905250001" not in str(error)
    assert "8613905250001" not in error.trace


def test_a_statement_the_database_does_not_know_is_an_error_of_its_own(engine: Engine) -> None:
    groups = Groups(engine)
    [(_, error), (one, _)], _ = groups.run([Request(nonsense, ()), Request(one_row, ())])
    groups.close()
    assert isinstance(error, StoreError)
    assert one == 1


def nonsense(connection: Connection) -> None:
    connection.execute(text("SELECT nothing FROM nowhere"))


def one_row(connection: Connection) -> Any:
    return connection.execute(text("SELECT 1")).scalar()


def test_a_connection_that_died_costs_no_request(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        return  # there is no connection to lose
    groups = Groups(engine_for(engine.url.render_as_string(hide_password=False)))
    groups.run([enter("a")])
    _kill_connections(groups, engine)
    results, _ = groups.run([enter("b", 2), enter("c", 3)])
    assert results == [(2, None), (3, None)]
    groups.close()


def _kill_connections(groups: Groups, other: Engine) -> None:
    connection = groups.driver_connection()
    assert connection is not None
    with other.begin() as killer:
        killer.execute(
            text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": connection.info.backend_pid}
        )


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def unreachable() -> Engine:
    return engine_for("postgresql+psycopg://nobody@127.0.0.1:1/nothing")


def test_a_database_that_is_away_is_tried_for_a_while_and_then_told_of_at_once() -> None:
    clock = Clock()
    groups = Groups(unreachable(), lambda: clock.now, clock.sleep)
    for _ in range(2):
        results, topics = groups.run([enter("a"), enter("b")])
        assert [type(error) for _, error in results] == [StoreUnavailable, StoreUnavailable]
        assert topics == ()
        assert PATIENCE_S <= clock.now < PATIENCE_S + 0.2


def test_a_database_that_comes_back_in_time_is_no_error(sqlite_engine: Engine) -> None:
    clock = Clock()
    fails = iter([True, True])

    def refuse(*_: object) -> None:
        if next(fails, False):
            raise StoreUnavailable("away")

    event.listen(sqlite_engine, "do_connect", refuse)
    groups = Groups(sqlite_engine, lambda: clock.now, clock.sleep)
    assert groups.run([enter("a", 4)])[0] == [(4, None)]


def test_a_locked_database_is_told_of_and_works_again_when_it_is_free(
    sqlite_engine: Engine,
) -> None:
    _impatient(sqlite_engine)
    groups = Groups(sqlite_engine)
    with sqlite_engine.connect() as other, other.begin():
        [(_, error), _], _ = groups.run([enter("a"), enter("b")])
        assert isinstance(error, StoreUnavailable)
        assert "locked" in str(error)
    assert groups.run([enter("a", 5)])[0] == [(5, None)]


def test_a_full_disk_is_told_of_and_reading_goes_on(sqlite_engine: Engine) -> None:
    def fill(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    event.listen(sqlite_engine, "connect", fill)
    groups = Groups(sqlite_engine)
    results, topics = groups.run([big_entry(), Request(ledger.counts, ()), big_entry()])
    assert [type(error) for _, error in results] == [StoreUnavailable, type(None), StoreUnavailable]
    assert "full" in str(results[0][1])
    assert results[1][0] == (0, 0)
    assert topics == ()


def big_entry() -> Request:
    return Request(ledger.enter, ("x" * 100_000, 1))


def test_a_commit_that_fails_announces_nothing(sqlite_engine: Engine) -> None:
    def fail(_: Connection) -> None:
        raise RuntimeError("the disk went away")

    groups = Groups(sqlite_engine)
    event.listen(sqlite_engine, "commit", fail)
    results, topics = groups.run([enter("a")])
    assert str(results[0][1]) == "RuntimeError: the disk went away"
    assert topics == ()
    event.remove(sqlite_engine, "commit", fail)
    assert groups.run([Request(quiet, ())]) == ([(0, None)], ())


def quiet(connection: Connection) -> int:
    return ledger.counts(connection)[0]


def test_what_a_rolled_back_member_announced_is_forgotten(sqlite_engine: Engine) -> None:
    groups = Groups(sqlite_engine)
    assert groups.run([Request(announce_and_fail, ())])[1] == ()
    assert groups.run([Request(quiet, ())])[1] == ()


def announce_and_fail(connection: Connection) -> None:
    announce(connection, "orders")
    raise ValueError


@pytest.fixture
def sqlite_engine(tmp_path: Any) -> Engine:
    engine = engine_for(f"sqlite:///{tmp_path / 'toneline.db'}")
    ledger.create(engine)
    engine.dispose()
    return engine


def _impatient(engine: Engine) -> None:
    def hurry(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout = 1")

    event.listen(engine, "connect", hurry)
