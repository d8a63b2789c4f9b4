from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred

from catalog.current import CurrentCatalogue
from catalog.snapshot import read_contents
from catalog.tones import put_tones, retire_tone
from store.database import LocalDatabase
from tests.fakes.catalogue import BRANCHES, SHANGHAI, some_tones

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


def followed(database: LocalDatabase, store: Any) -> CurrentCatalogue:
    database.run_now(put_tones, some_tones(), NOW)
    contents = database.run_now(read_contents)
    current = CurrentCatalogue(store, contents, BRANCHES, SHANGHAI)
    current.startService()
    return current


def test_a_change_is_heard_at_once_and_a_pinned_snapshot_stays(database: LocalDatabase) -> None:
    current = followed(database, database)
    pinned = current()
    database.run_now(retire_tone, "1029", NOW)
    assert current().tone("1029") is None
    assert pinned.tone("1029") is not None
    assert current.health() == (True, f"12 tones, version {current().version}")
    current.stopService()
    database.run_now(retire_tone, "1032", NOW)
    assert current().tone("1032") is not None


def test_changes_during_a_reading_are_read_after_it(database: LocalDatabase) -> None:
    store = SlowDatabase(database)
    current = followed(database, store)
    database.run_now(retire_tone, "1029", NOW)
    store.announce()
    store.waiting.pop(0)()
    database.run_now(retire_tone, "1032", NOW)
    store.announce()
    store.answer_all()
    assert current().tone("1029") is None
    assert current().tone("1032") is None


def test_an_announcement_without_a_change_reads_nothing(database: LocalDatabase) -> None:
    store = SlowDatabase(database)
    current = followed(database, store)
    before = current()
    store.announce()
    store.answer_all()
    assert current() is before


def test_a_store_that_fails_leaves_the_snapshot_in_force(database: LocalDatabase) -> None:
    class FailingDatabase(SlowDatabase):
        def run(self, function: Any, *values: Any) -> Deferred[Any]:
            raise ConnectionError("the store is away")

    store = FailingDatabase(database)
    current = followed(database, store)
    before = current()
    store.announce()
    assert current() is before
    store.announce()
