"""How the database finds its rows: no statement of a busy day may read a whole table."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Delete, Select, Update, create_engine
from sqlalchemy.dialects import sqlite

from store.prepared import PreparedStatements
from store.schema import metadata

MODULES = (
    "ordering.callbacks",
    "ordering.consent",
    "ordering.contact",
    "ordering.claims",
    "ordering.fulfilment",
    "ordering.orders",
    "ordering.outbox",
    "ordering.outcomes",
    "ordering.receipts",
    "ordering.records",
    "ordering.subscribers",
    "smpp.answers",
    "smpp.cancelling",
    "smpp.looking_up",
    "smpp.parts",
)


def statements() -> Iterator[tuple[str, Select[tuple[object, ...]] | Update | Delete]]:
    """Every statement that is built once, by its name."""
    for name in MODULES:
        module = importlib.import_module(name)
        for constant, value in vars(module).items():
            if isinstance(value, Select | Update | Delete):
                yield f"{name}.{constant}", value


STATEMENTS = dict(statements())


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection


# Partial indexes that never hold more than the messages under way and the calls that are owed.
SMALL = frozenset(
    {
        "SCAN CONSTANT ROW",
        "SCAN outbox USING INDEX ix_outbox_claimed",
        "SCAN callback USING INDEX uq_callback_open",
    }
)


def plan(connection: Connection, name: str) -> tuple[str, ...]:
    statement = STATEMENTS[name]
    compiled = statement.compile(dialect=sqlite.dialect())
    values = dict.fromkeys(key for key, bound in compiled.binds.items() if bound.required)
    prepared = PreparedStatements(connection.dialect).find(statement, values)
    assert prepared is not None, "it is not run the quick way"
    marks = [None] * prepared.sql.count("?")
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {prepared.sql}", tuple(marks))
    return tuple(row[3] for row in rows)


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_reads_no_whole_table(connection: Connection, name: str) -> None:
    steps = plan(connection, name)
    assert [step for step in steps if step.startswith("SCAN") and step not in SMALL] == []


def test_a_numbers_orders_of_a_day_are_found_by_the_number(connection: Connection) -> None:
    (step,) = plan(connection, "ordering.orders._TODAY")
    assert "msisdn=?" in step


@pytest.mark.parametrize("name", ["ordering.claims._CANDIDATES", "ordering.fulfilment._DUE"])
def test_what_is_due_is_found_in_its_order(connection: Connection, name: str) -> None:
    found = "; ".join(plan(connection, name))
    assert "ix_" in found
    assert "TEMP B-TREE" not in found, "a queue of any length would be sorted with every look"
