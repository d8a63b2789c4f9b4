from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

import catalog.current
from catalog.current import CurrentCatalogue
from catalog.snapshot import Snapshot, load_snapshot
from catalog.tones import move_tone, put_tones
from store.database import LocalDatabase
from tests.fakes.catalogue import BRANCHES, CODES, SHANGHAI, a_tone, some_tones

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


class SlowDatabase:
    """A store whose answers come when the test lets them."""

    def __init__(self, database: LocalDatabase) -> None:
        self._database = database
        self.waiting: list[Callable[[], None]] = []
        self.announce: Callable[[], None] = lambda: None

    def run(self, function: Any, *values: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.waiting.append(lambda: answer.callback(self._database.run_now(function, *values)))
        return answer

    def on_change(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        assert topic == "catalogue"
        self.announce = callback
        return lambda: None

    def answer_all(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


class Turns(Clock):
    """A clock that counts what was put off."""

    turns = 0

    def callLater(self, *when_what: Any) -> Any:  # type: ignore[override]  # counts, no more
        self.turns += 1
        return super().callLater(*when_what)


class Followed:
    """A catalogue that follows a store, and the reactor's turns."""

    def __init__(self, database: LocalDatabase, store: Any) -> None:
        database.run_now(put_tones, some_tones(), NOW)
        self.clock = Turns()
        self.catalogue = CurrentCatalogue(
            store, load_snapshot(database, BRANCHES, SHANGHAI, NOW), self.clock, lambda: NOW
        )
        self.catalogue.startService()
        self._answer = getattr(store, "answer_all", lambda: None)
        self.settle()

    def __call__(self) -> Snapshot:
        return self.catalogue()

    def settle(self) -> None:
        """Let the store answer and the reactor turn until nothing is left to do."""
        self._answer()
        while self.clock.getDelayedCalls():
            self.clock.advance(0)
            self._answer()


def test_a_change_is_heard_at_once_and_a_pinned_snapshot_stays(database: LocalDatabase) -> None:
    current = Followed(database, database)
    pinned = current()
    database.run_now(move_tone, "1029", "retire", NOW)
    current.settle()
    assert current().tone("1029") is None
    assert pinned.tone("1029") is not None
    assert current.catalogue.health() == (True, f"12 tones, version {current().version}")
    current.catalogue.stopService()
    database.run_now(move_tone, "1032", "retire", NOW)
    current.settle()
    assert current().tone("1032") is not None


def test_changes_during_a_reading_are_read_after_it(database: LocalDatabase) -> None:
    store = SlowDatabase(database)
    current = Followed(database, store)
    database.run_now(move_tone, "1029", "retire", NOW)
    store.announce()
    store.waiting.pop(0)()
    database.run_now(move_tone, "1032", "retire", NOW)
    store.announce()
    current.settle()
    assert current().tone("1029") is None
    assert current().tone("1032") is None


def test_a_change_between_two_pages_is_in_the_same_swap(
    database: LocalDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog.current, "ROWS_A_PAGE", 3)
    store = SlowDatabase(database)
    current = Followed(database, store)
    before = current()
    database.run_now(put_tones, [replace(tone, title="新") for tone in some_tones()], NOW)
    store.announce()
    for _ in range(4):  # the version, the editions, two pages
        store.waiting.pop(0)()
        current.clock.advance(0)
        while current.clock.getDelayedCalls():
            current.clock.advance(0)
    database.run_now(move_tone, "1007", "retire", NOW)
    assert current() is before
    current.settle()
    assert current().tone("1007") is None
    assert [current().tone(code).title for code in CODES[1:]] == ["新"] * 12  # type: ignore[union-attr]


def test_what_changed_before_the_start_is_read_at_the_start(database: LocalDatabase) -> None:
    database.run_now(put_tones, some_tones(), NOW)
    snapshot = load_snapshot(database, BRANCHES, SHANGHAI, NOW)
    database.run_now(move_tone, "1029", "retire", NOW)
    clock = Clock()
    current = CurrentCatalogue(database, snapshot, clock, lambda: NOW)
    current.startService()
    while clock.getDelayedCalls():
        clock.advance(0)
    assert current().tone("1029") is None


def test_an_announcement_without_a_change_reads_nothing(database: LocalDatabase) -> None:
    store = SlowDatabase(database)
    current = Followed(database, store)
    before = current()
    store.announce()
    current.settle()
    assert current() is before


def test_a_store_that_fails_leaves_the_snapshot_in_force(database: LocalDatabase) -> None:
    class FailingDatabase(SlowDatabase):
        def run(self, function: Any, *values: Any) -> Deferred[Any]:
            raise ConnectionError("the store is away")

    store = FailingDatabase(database)
    current = Followed(database, store)
    before = current()
    store.announce()
    assert current() is before
    store.announce()


def test_who_stops_while_it_reads_says_nothing_of_a_fault(database: LocalDatabase) -> None:
    store = SlowDatabase(database)
    current = Followed(database, store)
    store.announce()
    with capture_logs() as said:
        current.catalogue.stopService()
    assert said == []


def test_a_swap_takes_a_turn_of_the_reactor_for_each_part_of_the_catalogue_it_changes(
    database: LocalDatabase,
) -> None:
    tones = [a_tone(str(code), f"曲{code}") for code in range(10_000, 12_000)]
    current = Followed(database, database)
    before = current.clock.turns
    database.run_now(put_tones, tones, NOW)
    current.settle()
    assert current.clock.turns - before > 100
    assert len(current()) == 2013
