"""A whole line in this process: real catalogue, prompts, texts, orders and SQLite in memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, Connection, MetaData, String, select
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.python.failure import Failure

import ivr.prompts
from catalog.directories import Edition
from catalog.tones import Tone
from config.settings import Line as LineSettings
from config.settings import Policy, Sms
from ivr.call import Line
from ivr.channel import CallerHungUp
from ivr.line import take_call
from ivr.prompts import PromptBook
from ordering import fulfilment
from ordering.provisioning import LocalOperator
from ordering.texts import Texts
from store import schema
from store.database import LocalDatabase
from store.engine import engine_for
from tests.fakes.catalogue import a_snapshot
from tests.fakes.channel import FakeChannel
from tests.fakes.keeper import FakeKeeper

P = ParamSpec("P")
T = TypeVar("T")

MESSAGES = Path("config/messages/zh_CN")
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # in Shanghai
PROVINCE_SONGS = ("1029", "1007", "1010", "1032", "1041", "1055", "1064", "1078", "1086", "1093")
YANGZHOU_SONGS = ("1119", "1108", "1093", "1086", "1078", "1064", "1055", "1041", "1032", "1010")


class Logged:
    """A log that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, object]]] = []

    def info(self, event: str, **values: object) -> None:
        self.events.append(("info", event, values))

    def warning(self, event: str, **values: object) -> None:
        self.events.append(("warning", event, values))

    def error(self, event: str, **values: object) -> None:
        self.events.append(("error", event, values))

    exception = error

    def of(self, event: str) -> list[dict[str, object]]:
        return [values for _, name, values in self.events if name == event]


class ScriptedDatabase:
    """A LocalDatabase whose answers to a function come late, or are errors first.

    `delays_s` and `failures` are by the function's name.
    """

    def __init__(self, database: LocalDatabase, clock: Clock) -> None:
        self.database = database
        self.delays_s: dict[str, float] = {}
        self.failures: dict[str, list[Exception]] = {}
        self.requests: list[str] = []
        self._held: dict[str, list[Deferred[Any]]] = {}
        self._clock = clock

    def hold(self, name: str) -> list[Deferred[Any]]:
        """Answer no request for a function; return those that wait for their answer."""
        return self._held.setdefault(name, [])

    def run(
        self, function: Callable[Concatenate[Connection, P], T], *values: P.args, **named: P.kwargs
    ) -> Deferred[T]:
        name = function.__name__
        self.requests.append(name)
        if name in self._held:
            self._held[name].append(Deferred())
            return self._held[name][-1]
        if self.failures.get(name):
            return fail(self.failures[name].pop(0))
        if name not in self.delays_s:
            return self.database.run(function, *values, **named)
        deferred: Deferred[T] = Deferred()
        self._clock.callLater(self.delays_s[name], self._run, deferred, function, values)
        return deferred

    def _run(self, deferred: Deferred[Any], function: Any, values: Any) -> None:
        self.database.run(function, *values).chainDeferred(deferred)

    def on_change(self, topic: str, callback: Any) -> Any:
        return self.database.on_change(topic, callback)


class LineFixture:
    """One line, its clock and its database; calls are made one after the other.

    Orders are provisioned `provision_after_s` after they were placed; None: never.
    """

    def __init__(self, tones: Iterable[Tone] | None = None, **settings: Any) -> None:
        self.clock = Clock()
        self.log = Logged()
        self.local = memory_database()
        self.database = ScriptedDatabase(self.local, self.clock)
        self.kept = FakeKeeper(self.database, self.now)
        self.provision_after_s: float | None = 0.0
        self.policy = Policy()
        self.snapshot = a_snapshot(tones, editions())
        ids = itertools.count(1)
        self.line = Line(
            settings=LineSettings(**settings),
            policy=self.policy,
            sms=Sms(),
            prompts=chinese_prompts(),
            sounds="/sounds",
            snapshot=lambda: self.snapshot,
            operator=LocalOperator(
                self.database,
                self.now,
                self.clock,  # type: ignore[arg-type]  # zope's interface, which mypy misreads
                timezone=ZoneInfo("Asia/Shanghai"),
                stop_selling_days=7,
                timeout_s=4.0,
            ),
            database=self.database,
            kept=self.kept,
            texts=chinese_texts(),
            clock=self.now,
            new_id=lambda: f"{next(ids):032x}",
            reactor=self.clock,
            length_ms=lambda _sound: None,
            fingerprint=lambda sound: f"sha256 of {sound}",
            log=self.log,
        )
        self.local.on_change("orders", self._provision_soon)

    def use(self, **collaborators: Any) -> None:
        """Give the line other collaborators."""
        self.line = replace(self.line, **collaborators)

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock.seconds())

    def call(self, **script: Any) -> FakeChannel:
        """Make a call and return what the caller got; his hang-up is no error."""
        channel = FakeChannel(self.clock, **script)
        self.finish(self.begin(channel))
        return channel

    def begin(self, channel: FakeChannel) -> Deferred[None]:
        return Deferred.fromCoroutine(take_call(self.line, channel))  # type: ignore[arg-type]

    def finish(self, call: Deferred[None], limit_s: float = 3600) -> None:
        """Let time pass until a call has ended, and what it left going on for a while."""
        ended: list[object] = []
        call.addBoth(ended.append)
        until_s = self.clock.seconds() + limit_s
        while not ended and self.clock.seconds() < until_s:
            self.clock.advance(0.1)
        assert ended, "the call does not end"
        self.clock.advance(0)
        if isinstance(ended[0], Failure):
            ended[0].trap(CallerHungUp)

    # What was written.

    def rows(self, table: Any) -> list[dict[str, Any]]:
        with self.local.engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def orders(self) -> list[dict[str, Any]]:
        return self.rows(schema.order)

    def messages(self) -> list[dict[str, Any]]:
        return self.rows(schema.outbox)

    def record(self) -> dict[str, Any]:
        """The record of the only call."""
        (call,) = self.rows(schema.call)
        events = json.loads(call["events"])
        call["events"] = [(ms, kind, detail) for ms, kind, detail in events]
        return call

    def keys_pressed(self) -> list[dict[str, Any]]:
        return [detail for _, kind, detail in self.record()["events"] if kind == "key"]

    def _provision_soon(self) -> None:
        if self.provision_after_s is not None:
            self.line.reactor.callLater(self.provision_after_s, self._provision)

    def _provision(self) -> None:
        self.local.run_now(provision_all, self.now())


def provision_all(connection: Connection, now: datetime) -> None:
    """What the scheduler does with orders that are due."""
    due = fulfilment.claim_due(connection, "test", 100, now, 60)
    waiting = [order for order in due if order.state == "confirmed"]
    if waiting:
        fulfilment.provisioned(connection, waiting, 30, now)


@cache
def _tables() -> bytes:
    engine = engine_for("sqlite://")
    _as_strict_as_postgresql().create_all(engine)
    with engine.connect() as connection:
        tables: bytes = connection.connection.driver_connection.serialize()  # type: ignore[union-attr]
    engine.dispose()
    return tables


def _as_strict_as_postgresql() -> MetaData:
    """The tables with texts no longer than they may be, which SQLite does not ask for."""
    strict = MetaData()
    for table in schema.metadata.sorted_tables:
        copied = table.to_metadata(strict)
        for column in copied.c:
            if isinstance(column.type, String) and column.type.length is not None:
                words = f"length({column.name}) <= {column.type.length}"
                copied.append_constraint(CheckConstraint(words, name=f"length_of_{column.name}"))
    return strict


def memory_database() -> LocalDatabase:
    engine = engine_for("sqlite://")
    with engine.connect() as connection:
        connection.connection.driver_connection.deserialize(_tables())  # type: ignore[union-attr]
    return LocalDatabase(engine)


@cache
def chinese_prompts() -> PromptBook:
    return ivr.prompts.load((MESSAGES / "prompts.toml").read_text(), "zh_CN")


@cache
def chinese_texts() -> Texts:
    return Texts.load((MESSAGES / "sms.toml").read_text(), Sms().signature)


def editions() -> tuple[Edition, ...]:
    since = NOON - timedelta(days=30)
    return (
        Edition("jiangsu", "regular", since, None, PROVINCE_SONGS, ("1120",), 1),
        Edition("yangzhou", "regular", since, None, YANGZHOU_SONGS, ("1007",), 2),
    )
