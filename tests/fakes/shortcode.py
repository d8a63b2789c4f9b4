"""A short code to text to, without SMSC or reactor: the real answers on a real database."""

from __future__ import annotations

import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select, text
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from catalog.snapshot import Snapshot
from catalog.tones import Tone, put_tones
from ordering import contact, fulfilment, orders, outcomes
from ordering import outbox as outgoing
from ordering.provisioning import LocalOperator, LocalTerms, NoQuote, Operator
from ordering.texts import Texts
from smpp.messages import MoMessage
from smpp.mo import MoService
from smpp.turn import Rules
from store.database import LocalDatabase
from store.schema import mo, outbox
from tests.fakes.catalogue import a_snapshot, some_tones
from tests.fakes.messages import MSISDN, NOON, an_offer

SIGNATURE = "【彩铃直通车】"
TEXTS = Texts.load(Path("config/messages/zh_CN/sms.toml").read_text(encoding="utf-8"), SIGNATURE)
ENGLISH = Texts.load(Path("config/messages/en/sms.toml").read_text(encoding="utf-8"), SIGNATURE)
RULES = Rules(orders.Limits(10, 3000, 30, "Asia/Shanghai"), 60, "12530019")


class SilentOperator:
    """Never gives a quote."""

    local: LocalTerms | None = None

    async def quote(self, msisdn: str, tone: Tone) -> Any:
        raise NoQuote("no answer")

    async def quote_function(self, msisdn: str) -> Any:
        raise NoQuote("no answer")

    async def provision(self, order: orders.Order) -> None:
        raise NotImplementedError

    async def capture(self, order: orders.Order) -> None:
        raise NotImplementedError


def done(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that has nothing to wait for."""
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


@dataclass(slots=True)
class FakeConnection:
    """What responses are written to."""

    is_closed: bool = False


class ShortCode:
    """Text to it, and read what it put into the outbox; `now` moves on by a second each time."""

    def __init__(self, database: LocalDatabase) -> None:
        self.database = database
        self.now = NOON
        self.connection = FakeConnection()
        self._ids = map("{:032x}".format, itertools.count(1))
        self.tones = some_tones()
        database.run_now(put_tones, self.tones, NOON)
        timer: Any = Clock()  # it has IReactorTime's methods, but does not say so
        self.service = MoService(
            database=database,
            operator=LocalOperator(
                database,
                lambda: self.now,
                timer,
                timezone=ZoneInfo("Asia/Shanghai"),
                stop_selling_days=7,
                timeout_s=4,
            ),
            snapshot=self.snapshot,
            texts=TEXTS,
            rules=RULES,
            short_codes=["12530019"],
            now=lambda: self.now,
            new_id=lambda: next(self._ids),
        )

    def snapshot(self) -> Snapshot:
        return a_snapshot(self.tones)

    def with_(self, **changes: Any) -> None:
        """Go on as a process with other parts; the one before ended in order."""
        done(self.service.note_responses(timedelta(0)))
        self.service = replace(self.service, **changes)

    def with_operator(self, operator: Operator) -> None:
        self.with_(operator=operator)

    def wait(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)

    def text(
        self,
        words: str,
        source: str = MSISDN,
        received_at: datetime | None = None,
        message_id: str | None = None,
        destination: str = "12530019",
    ) -> str:
        """Text it; return the answer without its signature, empty if there is none."""
        self.now += timedelta(seconds=1)
        before = len(self.answers())
        raw = words.encode("utf-16-be", "surrogatepass")
        at = received_at or self.now
        self.deliver(MoMessage("smsc", source, destination, raw, 8, at, message_id=message_id))
        answers = self.answers()[before:]
        assert len(answers) <= 1
        return answers[0].text.removeprefix(SIGNATURE) if answers else ""

    def deliver(self, message: MoMessage) -> None:
        """Hand over what an SMSC delivers; its response leaves, unless `connection` is closed."""
        assert done(self.service.receive(message)) == 0
        message.response.sent_on = self.connection

    def answer_overdue(self) -> None:
        """Answer what waited for its parts long enough."""
        done(self.service.answer_overdue())

    def answers(self) -> list[Any]:
        return self.rows(select(outbox).order_by(outbox.c.created_at, outbox.c.mt_id))

    def received(self) -> list[Any]:
        return self.rows(select(mo).order_by(mo.c.received_at, mo.c.mo_id))

    def rows(self, statement: Any) -> list[Any]:
        with self.database.engine.connect() as connection:
            return list(connection.execute(statement).all())

    def kinds(self) -> list[str]:
        """Return the kinds of events in the number's trace."""
        return [kind for (kind,) in self.rows(text("SELECT kind FROM event ORDER BY event_id"))]

    def orders(self) -> dict[str, str]:
        """Return the state of each order by its tone's code."""

        def read(connection: Connection) -> dict[str, str]:
            found = orders.orders_of(connection, MSISDN)
            return {order.tone_code: order.state for order in found}

        with self.database.engine.connect() as connection:
            return read(connection)

    def provision(self) -> None:
        """Do what the scheduler does with orders that are due."""
        due = self.database.run_now(fulfilment.claim_due, "host", 100, self.now, 60)
        self.database.run_now(fulfilment.provisioned, due, 30, self.now)

    def send_offer(self) -> None:
        """Let an offer have been sent just now."""
        self.database.run_now(outgoing.put, an_offer(), self.now)
        self.database.run_now(outcomes.sent, "o1", (), self.now)

    def plan_offer(self) -> None:
        """Let an offer wait for its time after a call."""
        self.database.run_now(
            outgoing.put, an_offer(due_at=self.now + timedelta(hours=1)), self.now
        )

    def opted_out(self) -> bool:
        """Say whether no offers may be sent (and let it be so)."""
        return not self.database.run_now(contact.stop_offers, MSISDN, self.now)

    def order(self, *codes: str) -> None:
        for code in codes:
            self.text(code)
            self.text(f"Y{code}")
