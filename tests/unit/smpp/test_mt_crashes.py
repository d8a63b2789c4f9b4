"""What an SMSC gets of the outbox when hosts die at any moment and responses are lost."""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime, timedelta
from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from ordering import claims, outbox
from smpp.commands import Status
from smpp.messages import MtMessage, PartResult, SubmitResult
from smpp.mt import MtService
from store.database import Database, LocalDatabase, StoreUnavailable
from store.schema import outbox as table
from store.schema import outbox_part
from tests.fakes.messages import NOON, POLICY, a_message, an_offer

WINDOW = 3
ANSWERS, OFFERS = 6, 4
RESENT = ("answer", "order")


class Mortal:
    """A database as seen by a host that may be dead by now."""

    def __init__(self, database: LocalDatabase) -> None:
        self._database = database
        self.dead = False

    def run(self, *values: Any) -> Deferred[Any]:
        return fail(StoreUnavailable("dead")) if self.dead else self._database.run(*values)

    def on_change(self, topic: str, callback: Any) -> Any:
        return self._database.on_change(topic, callback)


class Town:
    """One SMSC, one host after another, and the time that passes for all."""

    def __init__(self, database: LocalDatabase) -> None:
        self.database = database
        self.seconds = 0
        self.ids = map(str, range(1_000_000))
        self.accepted: Counter[str] = Counter()
        self.under_way: deque[tuple[MtMessage, Deferred[SubmitResult]]] = deque()
        self.crashes = self.lost = 0
        self.start()

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def start(self) -> None:
        self.store = Mortal(self.database)
        self.timer = Clock()
        # Both have their protocol's methods, but do not say so.
        store, timer = cast(Database, self.store), cast(IReactorTime, self.timer)
        self.service = MtService(store, POLICY, "host", timer, self.now, lambda: next(self.ids))
        self.service.send_through(self)
        self.service.startService()

    def free(self) -> int:
        return WINDOW - len(self.under_way)

    def window(self) -> int:
        return WINDOW

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        submitted: Deferred[SubmitResult] = Deferred()
        self.under_way.append((message, submitted))
        return submitted

    def answer(self, how: str) -> None:
        if not self.under_way:
            return
        message, submitted = self.under_way.popleft()
        results = {
            "accept": PartResult(1, "accepted", message_id=message.mt_id),
            "throttle": PartResult(1, "refused", status=Status.RTHROTTLED),
            "lose_response": PartResult(1, "lost"),
            "lose_request": PartResult(1, "lost"),
            "not_sent": PartResult(1, "not_sent"),
        }
        self.accepted[message.mt_id] += how in ("accept", "lose_response")
        self.lost += how.startswith("lose")
        submitted.callback(SubmitResult((results[how],), "smsc"))

    def crash(self, taken: int) -> None:
        """End the host; the SMSC had taken so many of those under way."""
        self.store.dead = True
        for message, _ in list(self.under_way)[:taken]:
            self.accepted[message.mt_id] += 1
        self.under_way.clear()
        self.crashes += 1
        self.start()

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.seconds += 1
            self.database.run_now(claims.release_stale, self.now(), RESENT)
            self.timer.advance(1)

    def states(self) -> dict[str, tuple[str, str | None]]:
        with self.database.engine.connect() as connection:
            rows = connection.execute(select(table.c.mt_id, table.c.state, table.c.reason)).all()
        return {mt_id: (state, reason) for mt_id, state, reason in rows}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.sampled_from(
            ["accept", "accept", "throttle", "lose_response", "lose_request", "not_sent"])),
        st.tuples(st.just("crash"), st.integers(0, WINDOW)),
        st.tuples(st.just("wait"), st.sampled_from([1, 5, 40])),
    ),
    max_size=25,
)  # fmt: skip


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_nothing_is_lost_and_nothing_doubled_but_what_its_class_allows(
    database: LocalDatabase, happenings: list[tuple[str, Any]]
) -> None:
    with database.engine.begin() as connection:
        connection.execute(delete(outbox_part))
        connection.execute(delete(table))
    for number in range(max(ANSWERS, OFFERS)):
        msisdn = f"86139052500{number:02d}"
        if number < OFFERS:
            database.run_now(outbox.put, an_offer(f"o{number}", msisdn=msisdn), NOON)
        database.run_now(outbox.put, a_message(f"a{number}", msisdn=msisdn), NOON)
    town = Town(database)
    for what, value in happenings:
        getattr(town, what)(value)
    for _ in range(25):
        town.wait(5)
        while town.under_way:
            town.answer("accept")
    town.service.stopService()
    states = town.states()
    for number in range(ANSWERS):
        name = f"a{number}"
        sent = states[name][0] == "sent" and town.accepted[name] >= 1
        assert sent or states[name] == ("failed", "response_lost")
    doubled = sum(max(0, town.accepted[f"a{number}"] - 1) for number in range(ANSWERS))
    assert doubled <= town.crashes * WINDOW + town.lost
    for number in range(OFFERS):
        name = f"o{number}"
        assert town.accepted[name] <= 1
        assert states[name] in (
            ("sent", None),
            ("failed", "response_lost"),
            ("dropped", "perhaps_sent"),
            ("dropped", "expired"),
        )
        assert states[name][0] != "sent" or town.accepted[name] == 1
