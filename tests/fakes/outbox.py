"""The outbox as a test's few words: put, claim, settle, and what is in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from ordering import outbox, outcomes, receipts
from ordering.claims import Claim
from ordering.claims import claim as claim_outbox
from ordering.outcomes import Part
from store.database import LocalDatabase
from store.schema import outbox as table
from tests.fakes.messages import NOON, POLICY


def row(connection: Connection, mt_id: str = "m1") -> Any:
    return connection.execute(select(table).where(table.c.mt_id == mt_id)).one()


def state(database: LocalDatabase, mt_id: str = "m1") -> tuple[str, str | None]:
    found = database.run_now(row, mt_id)
    return found.state, found.reason


def put(database: LocalDatabase, *messages: outbox.Message, now: datetime = NOON) -> None:
    for message in messages:
        database.run_now(outbox.put, message, now)


def claimed(
    database: LocalDatabase, room: int = 10, now: datetime = NOON, claimant: str = "host/1"
) -> tuple[Claim, ...]:
    return database.run_now(claim_outbox, claimant, room, POLICY, now).claims


def claim(
    database: LocalDatabase, room: int = 10, now: datetime = NOON, claimant: str = "host/1"
) -> list[str]:
    return [one.message.mt_id for one in claimed(database, room, now, claimant)]


def settle(
    database: LocalDatabase,
    word: Any,
    mt_id: str = "m1",
    at: datetime = NOON,
    claimant: str = "host/1",
    **more: Any,
) -> None:
    outcome = outcomes.Outcome(mt_id, claimant, word, at, **more)
    database.run_now(outcomes.settle, outcome)


def send(database: LocalDatabase, *message_ids: str, mt_id: str = "m1") -> None:
    parts = tuple(Part(number, "smsc", one) for number, one in enumerate(message_ids, start=1))
    database.run_now(outcomes.sent, mt_id, parts, NOON)


def report(database: LocalDatabase, message_id: str, word: str, at: datetime = NOON) -> str | None:
    return database.run_now(receipts.report, receipts.Report("smsc", message_id, word, "000", at))
