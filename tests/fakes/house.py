"""An MtService with its database, binds that answer when they are told, and a clock to turn."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ordering import outbox
from smpp.messages import MtMessage, PartResult, SubmitResult
from smpp.mt import MtService
from store.database import LocalDatabase
from store.schema import outbox as table
from tests.fakes.messages import NOON, POLICY


class FakeBinds:
    """Have room for `room` messages, and answer them when the test says so."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.parts = 1  # each of them takes so much of it
        self.submitted: list[MtMessage] = []
        self._waiting: list[Deferred[SubmitResult]] = []

    def free(self) -> int:
        return max(0, self.room - self.parts * len(self._waiting))

    def window(self) -> int:
        return self.room

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        self.submitted.append(message)
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def answer(self, *parts: PartResult) -> None:
        self._waiting.pop(0).callback(SubmitResult(parts, "smsc"))

    def break_down(self) -> None:
        self._waiting.pop(0).errback(RuntimeError("a bug"))


def a_clock() -> Any:
    """Return a Clock: it has IReactorTime's methods, but does not say so."""
    return Clock()


class House:
    """The service with its database, a bind and a clock to turn."""

    DRAIN_S = 7.0

    def __init__(
        self, database: LocalDatabase, room: int = 10, store: Any = None, **on_lost: Any
    ) -> None:
        self.database = database
        self.timer = a_clock()
        self.bind = FakeBinds(room)
        self.ids = map(str, range(1_000_000))
        self.service = MtService(
            store or database,
            POLICY,
            "host",
            self.timer,
            self.now,
            lambda: next(self.ids),
            on_lost,
            self.DRAIN_S,
        )
        self.service.send_through(self.bind)

    def now(self) -> Any:
        return NOON + timedelta(seconds=self.timer.seconds())

    def put(self, *messages: outbox.Message) -> None:
        for message in messages:
            self.database.run_now(outbox.put, message, self.now())

    def state(self, mt_id: str = "m1") -> tuple[str, str | None]:
        with self.database.engine.connect() as connection:
            row = connection.execute(select(table).where(table.c.mt_id == mt_id)).one()
        return row.state, row.reason
