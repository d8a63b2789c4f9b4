from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.task import Clock

from catalog.editions import all_editions
from catalog.tones import put_tones
from catalog.written import Written
from scheduler.directory_watch import POLL_S, QUIET_S, DirectoryWatch
from store.database import LocalDatabase, StoreError
from store.schema import outbox
from tests.fakes.catalogue import CODES, a_tone, some_tones
from tests.fakes.line import chinese_texts

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
FIRST = ", ".join(CODES[:10])
SECOND = ", ".join(CODES[1:11])


class Watched:
    """A folder, a store and a watch on a clock that the test moves on."""

    def __init__(self, folder: Path, database: LocalDatabase) -> None:
        self.folder = folder
        self.database = database
        self.clock = Clock()
        self.noticed: Callable[[], None] = lambda: None
        self.watch = DirectoryWatch(
            folder,
            database,
            self.clock,
            lambda: NOW,
            timezone="Asia/Shanghai",
            texts=chinese_texts(),
            sender="12530019",
            in_thread=maybeDeferred,
            notices=self._notices,
        )
        database.run_now(put_tones, some_tones(), NOW)

    def _notices(self, folder: Path, changed: Callable[[], None]) -> Callable[[], None]:
        assert folder == self.folder
        self.noticed = changed
        return lambda: None

    def write(self, songs: str, name: str = "yangzhou.yaml", contact: str = "13905250000") -> None:
        said = f'branch: yangzhou\ncontact: "{contact}"\neditions:\n  - from: 2026-01-05\n'
        (self.folder / name).write_text(f"{said}    songs: [{songs}]\n")

    def later(self) -> None:
        """Let a poll find what changed, and the quiet after it pass."""
        self.clock.advance(POLL_S)
        self.clock.advance(QUIET_S)

    def songs(self) -> list[tuple[str, ...]]:
        return [edition.songs for edition in self.database.run_now(all_editions)]

    def messages(self) -> list[Any]:
        with self.database.engine.connect() as connection:
            return list(connection.execute(select(outbox)))


@pytest.fixture
def watched(tmp_path: Path, database: LocalDatabase) -> Watched:
    structlog.reset_defaults()
    folder = tmp_path / "directories"
    folder.mkdir()
    return Watched(folder, database)


def test_files_are_published_at_start_and_when_they_change(watched: Watched) -> None:
    watched.write(FIRST)
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    assert watched.songs() == [CODES[:10]]
    watched.write(SECOND)
    watched.later()
    assert watched.songs() == [CODES[:10], CODES[1:11]]
    assert watched.watch.health() == (True, "1 files, 0 refused")
    watched.watch.stopService()
    assert watched.clock.getDelayedCalls() == []


def test_the_systems_notice_saves_the_poll(watched: Watched) -> None:
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    watched.write(FIRST)
    watched.noticed()
    watched.clock.advance(QUIET_S)
    assert watched.songs() == [CODES[:10]]


def test_a_file_is_not_read_while_it_is_being_written(watched: Watched) -> None:
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    watched.write("1007, 10")
    watched.noticed()
    watched.clock.advance(QUIET_S / 2)
    watched.write(FIRST)
    watched.noticed()
    watched.clock.advance(QUIET_S / 2)
    assert watched.songs() == []
    watched.clock.advance(QUIET_S / 2)
    assert watched.songs() == [CODES[:10]]
    assert watched.messages() == []


def test_a_bad_file_changes_nothing_and_is_told_once(watched: Watched) -> None:
    watched.write(FIRST)
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    with capture_logs() as logs:
        watched.write(FIRST.replace("1041", "1999"))
        for _ in range(5):
            watched.later()
        (watched.folder / "yangzhou.yaml").touch()
        watched.later()
    assert watched.songs() == [CODES[:10]]
    (alarm,) = [event for event in logs if event["event"] == "directory_refused"]
    assert alarm["errors"] == [
        f"{watched.folder / 'yangzhou.yaml'}:5:37: tone 1999 is not in the catalogue"
    ]
    assert alarm["contact"] == "139****0000"
    (message,) = watched.messages()
    assert (message.msisdn, message.message_class) == ("8613905250000", "order")
    assert "yangzhou.yaml有1处错误(第5行起)" in message.text
    assert watched.watch.health() == (True, "1 files, 1 refused")


def test_another_host_sends_the_same_message_not_again(watched: Watched) -> None:
    watched.write("1999")
    for host in (watched, Watched(watched.folder, watched.database)):
        host.watch.startService()
        host.clock.advance(QUIET_S)
    assert len(watched.messages()) == 1


def test_the_contact_of_the_last_good_version_is_told(watched: Watched) -> None:
    watched.write(FIRST)
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    (watched.folder / "yangzhou.yaml").write_text("branch yangzhou\n- nonsense")
    watched.later()
    assert [message.msisdn for message in watched.messages()] == ["8613905250000"]


def test_nobody_is_told_where_no_contact_is_known(watched: Watched) -> None:
    (watched.folder / "wuxi.yaml").write_text("")
    watched.watch.startService()
    with capture_logs() as logs:
        watched.clock.advance(QUIET_S)
    assert watched.messages() == []
    assert [event["branch"] for event in logs if event["event"] == "directory_refused"] == ["wuxi"]


def test_one_bad_file_does_not_keep_the_others(watched: Watched) -> None:
    (watched.folder / "a.yaml").write_text("nonsense")
    watched.write(FIRST)
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    assert watched.songs() == [CODES[:10]]


def refusals(logs: Any) -> list[str]:
    return [event["branch"] for event in logs if event["event"] == "directory_refused"]


@pytest.mark.parametrize("word", [r"\UFFFFFFFF", r"\uD800", r"\0"])
def test_a_sign_that_is_no_character_keeps_no_other_branch(watched: Watched, word: str) -> None:
    bad = f'branch: changzhou\neditions:\n- from: 2026-01-05\n  songs: ["{word}"]\n'
    (watched.folder / "changzhou.yaml").write_text(bad)
    watched.write(FIRST)
    watched.watch.startService()
    with capture_logs() as logs:
        watched.clock.advance(QUIET_S)
        watched.later()
    assert watched.songs() == [CODES[:10]]
    assert refusals(logs) == ["changzhou"]


def test_what_the_store_cannot_do_with_one_file_keeps_no_other(watched: Watched) -> None:
    watched.write(FIRST)
    changzhou = f"branch: changzhou\neditions:\n- from: 2026-01-05\n  songs: [{FIRST}]\n"
    (watched.folder / "changzhou.yaml").write_text(changzhou)
    watched.watch._database = Choosy(watched.database, "changzhou.yaml")  # type: ignore[assignment]
    watched.watch.startService()
    with capture_logs() as logs:
        watched.clock.advance(QUIET_S)
        watched.later()
    assert watched.songs() == [CODES[:10]]
    assert refusals(logs) == ["changzhou"]
    assert watched.watch.health() == (True, "2 files, 1 refused")


def test_what_cannot_be_read_is_refused_once(watched: Watched) -> None:
    (watched.folder / "wuxi.yaml").mkdir()
    watched.write(FIRST)
    watched.watch.startService()
    with capture_logs() as logs:
        watched.clock.advance(QUIET_S)
        watched.write(SECOND)
        watched.later()
    assert watched.songs() == [CODES[:10], CODES[1:11]]
    assert refusals(logs) == ["wuxi"]
    assert watched.watch.refused == 1


def test_a_file_that_may_not_be_read_any_more_is_told_to_its_contact(watched: Watched) -> None:
    watched.write(FIRST)
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    (watched.folder / "yangzhou.yaml").unlink()
    (watched.folder / "yangzhou.yaml").mkdir()
    watched.later()
    assert [message.msisdn for message in watched.messages()] == ["8613905250000"]


def test_two_files_of_one_branch_publish_nothing_until_one_is_gone(watched: Watched) -> None:
    watched.write(FIRST)
    watched.write(SECOND, "new.yaml")
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    assert watched.songs() == []
    assert watched.watch.refused == 2
    (watched.folder / "yangzhou.yaml").unlink()
    watched.later()
    assert watched.songs() == [CODES[1:11]]


def test_a_refused_file_is_published_when_its_tone_has_come(watched: Watched) -> None:
    watched.write(FIRST.replace("1041", "1999"))
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    watched.database.run_now(put_tones, [a_tone("1999")], NOW)
    watched.later()
    assert len(watched.songs()) == 1


class Lost:
    """A store that is away at first."""

    def __init__(self, database: LocalDatabase) -> None:
        self._database = database
        self.away = True

    def run(self, function: Any, *values: Any) -> Deferred[Any]:
        return fail(OSError("away")) if self.away else self._database.run(function, *values)

    def on_change(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._database.on_change(topic, callback)


def test_the_same_mistake_made_again_is_told_again(watched: Watched) -> None:
    wrong = FIRST.replace("1041", "1999")
    watched.write(FIRST)
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    with capture_logs() as logs:
        for songs in (wrong, SECOND, wrong):
            watched.write(songs)
            watched.later()
            watched.later()
    assert refusals(logs) == ["yangzhou", "yangzhou"]
    assert len(watched.messages()) == 2


def test_a_file_that_went_back_to_what_was_replaced_is_told_to_its_contact(
    watched: Watched,
) -> None:
    watched.write(FIRST)
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    with capture_logs() as logs:
        for songs in (SECOND, FIRST):
            watched.write(songs)
            for _ in range(3):
                watched.later()
    assert watched.songs() == [CODES[:10], CODES[1:11]]
    (alarm,) = [event for event in logs if event["event"] == "directory_refused"]
    assert "rollback yangzhou" in alarm["errors"][0]
    assert [message.msisdn for message in watched.messages()] == ["8613905250000"]
    assert watched.watch.health() == (True, "1 files, 1 refused")


def test_what_was_to_come_and_stands_in_the_file_no_more_is_told(watched: Watched) -> None:
    watched.write(FIRST)
    file = watched.folder / "yangzhou.yaml"
    week = file.read_text()
    file.write_text(week + f"  - from: 2027-01-04\n    songs: [{SECOND}]\n")
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    with capture_logs() as logs:
        file.write_text(week)
        watched.later()
    (told,) = [event for event in logs if event["event"] == "directory_withdrawn"]
    assert (told["branch"], told["kind"]) == ("yangzhou", "regular")


class Choosy:
    """A store that chokes on one file."""

    def __init__(self, database: LocalDatabase, file: str) -> None:
        self._database = database
        self._file = file

    def run(self, function: Any, *values: Any) -> Deferred[Any]:
        if any(isinstance(value, Written) and self._file in value.file for value in values):
            return fail(StoreError("OverflowError: too large"))
        return self._database.run(function, *values)

    def on_change(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._database.on_change(topic, callback)


def test_a_lost_store_is_asked_again(watched: Watched) -> None:
    lost = Lost(watched.database)
    watched.watch._database = lost  # type: ignore[assignment]
    watched.write(FIRST)
    watched.watch.startService()
    with capture_logs() as logs:
        watched.clock.advance(QUIET_S)
    assert [event["event"] for event in logs] == ["directories_not_published"]
    lost.away = False
    watched.later()
    assert watched.songs() == [CODES[:10]]


def test_a_folder_that_is_not_there_is_told_and_waited_for(watched: Watched) -> None:
    watched.folder.rmdir()
    with capture_logs() as logs:
        watched.watch.startService()
        watched.later()
        watched.later()
    assert [event["event"] for event in logs] == ["directories_missing"]
    well, detail = watched.watch.health()
    assert (well, "No such file or directory" in detail) == (False, True)
    watched.folder.mkdir()
    watched.write(FIRST)
    watched.later()
    assert watched.songs() == [CODES[:10]]
    assert watched.watch.health() == (True, "1 files, 0 refused")


def test_a_file_that_was_saved_with_another_ending_is_told(watched: Watched) -> None:
    watched.write(FIRST)
    watched.watch.startService()
    watched.clock.advance(QUIET_S)
    with capture_logs() as logs:
        watched.write(SECOND, "yangzhou.yaml.txt")
        for _ in range(3):
            watched.later()
    assert refusals(logs) == ["yangzhou"]
    assert watched.songs() == [CODES[:10]]
    assert [message.msisdn for message in watched.messages()] == ["8613905250000"]
