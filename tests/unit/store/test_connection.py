"""The short way returns what SQLAlchemy's own returns, on both engines."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Date,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    MultipleResultsFound,
    NoResultFound,
    SQLAlchemyError,
)

from store.connection import short_way
from store.database import LocalDatabase
from store.engine import is_lost
from store.prepared import PreparedStatements
from store.result import Result
from store.schema import Instant

_metadata = MetaData()
thing = Table(
    "test_thing",
    _metadata,
    Column("thing_id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(20), nullable=False, unique=True),
    Column("seen_at", Instant),
    Column("day", Date),
    Column("is_new", Boolean),
    Column("weight", Float),
)
named = Table("test_named", _metadata, Column("name", String(20), primary_key=True))
NOON = datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=UTC)

ALL = select(thing.c.name, thing.c.seen_at, thing.c.day, thing.c.is_new).order_by(thing.c.name)
SINCE = ALL.where(thing.c.name >= bindparam("least"))
BY_NAME = ALL.where(thing.c.name == bindparam("wanted"))
ADD = insert(thing).inline()


@pytest.fixture
def connection(database: LocalDatabase) -> Iterator[Connection]:
    """A connection with the short way, in a transaction."""
    _metadata.create_all(database.engine)
    with database.engine.connect() as opened:
        transaction = opened.begin()
        yield short_way(opened, PreparedStatements(database.engine.dialect))
        if not opened.invalidated:
            transaction.rollback()
    _metadata.drop_all(database.engine)


def full(name: str) -> dict[str, Any]:
    return {"name": name, "seen_at": NOON, "day": date(2026, 11, 22), "is_new": True}


def test_rows_are_what_sqlalchemy_returns(connection: Any) -> None:
    connection.execute(ADD, full("a"))
    connection.execute(ADD, {"name": "b"})
    quick = connection.execute(SINCE, {"least": "a"})
    assert isinstance(quick, Result)
    rows = quick.all()
    assert rows == connection.execute(ALL).all()
    assert rows == [("a", NOON, date(2026, 11, 22), True), ("b", None, None, None)]


def test_a_float_comes_back_as_it_is(connection: Any) -> None:
    connection.execute(ADD, {"name": "a", "weight": 1 / 3})
    statement = select(thing.c.weight).where(thing.c.name == bindparam("wanted"))
    assert connection.execute(statement, {"wanted": "a"}).scalar_one() == 1 / 3


def test_a_result_has_all_that_results_have(connection: Any) -> None:
    connection.execute(ADD, [full(name) for name in "abc"])
    found = {"least": "b"}
    assert [row.name for row in connection.execute(SINCE, found)] == ["b", "c"]
    assert connection.execute(SINCE, found).scalars().all() == ["b", "c"]
    assert connection.execute(SINCE, found).scalar() == "b"
    assert connection.execute(SINCE, found).mappings().all() == [full("b"), full("c")]
    assert connection.execute(SINCE, {"least": "x"}).mappings().all() == []
    with pytest.raises(NoResultFound):
        connection.execute(BY_NAME, {"wanted": "x"}).scalar_one()
    assert connection.execute(SINCE, found).first() == (*full("b").values(),)
    assert connection.execute(BY_NAME, {"wanted": "a"}).scalar_one() == "a"
    assert connection.execute(BY_NAME, {"wanted": "a"}).one()._asdict() == full("a")
    assert connection.execute(BY_NAME, {"wanted": "x"}).one_or_none() is None
    with pytest.raises(MultipleResultsFound):
        connection.execute(SINCE, found).one_or_none()


def test_a_list_inside_the_statement_is_written_out(connection: Any) -> None:
    connection.execute(ADD, [full(name) for name in "abc"])
    chosen = select(func.count(), func.max(thing.c.seen_at).label("newest")).where(
        thing.c.name.in_(("a", "b")),
        thing.c.seen_at <= bindparam("until"),
        thing.c.day.in_([date(2026, 11, 22), date(2026, 11, 23)]),
        thing.c.seen_at.in_([NOON]),
    )
    result = connection.execute(chosen, {"until": NOON})
    assert isinstance(result, Result)
    row = result.one()
    assert (row, row.newest) == ((2, NOON), NOON)


def test_an_update_counts_its_rows_and_keeps_what_the_statement_says_itself(
    connection: Any,
) -> None:
    connection.execute(ADD, [full(name) for name in "ab"])
    change = (
        update(thing)
        .where(thing.c.name == bindparam("wanted"))
        .values(is_new=False, seen_at=bindparam("at"), day=None)
    )
    assert connection.execute(change, {"wanted": "a", "at": NOON}).rowcount == 1
    assert connection.execute(change, {"wanted": "nobody", "at": NOON}).rowcount == 0
    assert connection.execute(BY_NAME, {"wanted": "a"}).all() == [("a", NOON, None, False)]


def test_a_delete_may_return_what_it_took(connection: Any) -> None:
    connection.execute(ADD, full("a"))
    gone = delete(thing).where(thing.c.name == bindparam("wanted"))
    taken = connection.execute(gone.returning(thing.c.name, thing.c.seen_at), {"wanted": "a"})
    assert isinstance(taken, Result)
    assert taken.all() == [("a", NOON)]
    assert connection.execute(gone, {"wanted": "a"}).rowcount == 0


def test_an_insert_takes_the_columns_it_is_given_each_time(connection: Any) -> None:
    connection.execute(ADD, {"name": "a"})
    connection.execute(ADD, {"is_new": True, "name": "b"})
    connection.execute(ADD, {"name": "c", "is_new": False})
    assert [row.is_new for row in connection.execute(SINCE, {"least": ""})] == [None, True, False]


def test_an_insert_whose_key_somebody_may_want_to_know_is_sqlalchemys(
    connection: Any,
) -> None:
    added = connection.execute(insert(thing), {"name": "a"})
    assert not isinstance(added, Result)
    assert added.inserted_primary_key == (1,)
    assert isinstance(connection.execute(insert(named), {"name": "a"}), Result)
    assert isinstance(connection.execute(insert(thing), {"thing_id": 9, "name": "b"}), Result)


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (ALL, None),
        (select(thing.c.name).where(thing.c.name.in_(bindparam("names"))), {"names": ["a", "b"]}),
        (text("SELECT name FROM test_thing WHERE name >= :least"), {"least": "a"}),
        (
            select(thing.c.name).where(thing.c.name >= bindparam("x")).union(select(named.c.name)),
            {"x": "a"},
        ),
        (
            select(thing.c.name, named.c.name)
            .join(named, named.c.name == thing.c.name)
            .where(named.c.name == bindparam("x")),
            {"x": "a"},
        ),
        (delete(thing).returning(thing.c.name), [{}]),
    ],
)
def test_what_the_short_way_cannot_do_is_sqlalchemys(
    connection: Any, statement: Any, values: Any
) -> None:
    connection.execute(insert(named), {"name": "a"})
    connection.execute(ADD, full("a"))
    result = connection.execute(statement, values)
    assert not isinstance(result, Result)
    assert [row[0] for row in result] == ["a"]


def test_many_statements_cannot_return_rows(connection: Any) -> None:
    gone = delete(thing).where(thing.c.name == bindparam("x")).returning(thing.c.name)
    with pytest.raises(SQLAlchemyError):
        connection.execute(gone, [{"x": "a"}, {"x": "b"}]).all()


def test_a_taken_key_is_sqlalchemys_own_error(connection: Any) -> None:
    connection.execute(ADD, {"name": "a"})
    with pytest.raises(IntegrityError) as caught:
        connection.execute(ADD, {"name": "a"})
    assert not is_lost(caught.value)


def test_a_key_taken_among_many_is_sqlalchemys_own_error(connection: Any) -> None:
    with pytest.raises(IntegrityError):
        connection.execute(ADD, [{"name": "a"}, {"name": "a"}])


def test_a_missing_value_is_told(connection: Any) -> None:
    with pytest.raises(SQLAlchemyError, match="wanted"):
        connection.execute(BY_NAME, {"needed": "a"})


def test_a_wrong_statement_is_no_lost_connection(connection: Any) -> None:
    nowhere = Table("test_nowhere", MetaData(), Column("n", Integer))
    with pytest.raises(DBAPIError) as caught:
        connection.execute(select(nowhere.c.n).where(nowhere.c.n == bindparam("x")), {"x": 1})
    assert not is_lost(caught.value)


def test_a_lost_connection_is_told_from_a_wrong_statement(connection: Any) -> None:
    if connection.dialect.name != "postgresql":
        return  # there is no connection to lose
    driver: Any = connection.connection.driver_connection
    end = select(func.pg_terminate_backend(bindparam("pid")))
    with pytest.raises(DBAPIError) as caught:
        connection.execute(end, {"pid": driver.info.backend_pid})
    assert is_lost(caught.value)
    assert connection.invalidated


def test_a_statement_that_is_thrown_away_is_forgotten(database: LocalDatabase) -> None:
    prepared = PreparedStatements(database.engine.dialect)
    for name in "ab":
        assert prepared.find(ALL.where(thing.c.name > bindparam("x")), {"x": name})
    gc.collect()
    assert len(prepared._known) == 0
    assert prepared.find(SINCE, {"least": "a"}) is prepared.find(SINCE, {"least": "b"})
