"""Requests on the disk while the store is away: nothing of them is lost, whoever dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from store import kept
from store.database import LocalDatabase, StoreBusy, StoreClosed, StoreError, StoreUnavailable
from store.engine import engine_for
from store.kept import KeptRequests, NotKept
from store.kept_file import KeptFile
from store.wire import REQUEST, WireError, frame
from tests.fakes import ledger

PACKAGES = ("tests.fakes.ledger",)
NOON = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)


class Disk:
    """Runs what waits for the disk at once, or, while it `is_slow`, when the test says so.

    It may fail to write (`error`).
    """

    def __init__(self) -> None:
        self.writes = 0
        self.error: Exception | None = None
        self.is_slow = False
        self._waiting: list[tuple[Deferred[Any], Any, Any]] = []

    def run(self, function: Any, *values: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self._waiting.append((done, function, values))
        if not self.is_slow:
            self.turn()
        return done

    def turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        for done, function, values in waiting:
            is_write = function.__name__ == "_append"
            self.writes += is_write
            if is_write and self.error is not None:
                done.errback(self.error)
            else:
                Deferred.fromCoroutine(_result_of(function, values)).chainDeferred(done)


async def _result_of(function: Any, values: Any) -> Any:
    return function(*values)


class Store:
    """A database that refuses its next requests with `errors`, or `is_away`, or `hangs`."""

    def __init__(self) -> None:
        self.local = LocalDatabase(engine_for("sqlite://"))
        self.errors: list[StoreError] = []
        self.is_away = False
        self.hangs = False
        self.asked = 0
        ledger.create(self.local.engine)

    def run(self, function: Any, *values: Any, **_named: Any) -> Deferred[Any]:
        self.asked += 1
        if self.hangs:
            return Deferred()
        if self.is_away:
            return fail(StoreUnavailable("away"))
        return fail(self.errors.pop(0)) if self.errors else self.local.run(function, *values)

    def on_change(self, topic: str, callback: Any) -> Any:
        return self.local.on_change(topic, callback)

    def entries(self) -> list[str]:
        return self.local.run_now(ledger.entries)


class Host:
    """A host with its folder, clock and store; processes on it come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "kept"
        self.clock = Clock()
        self.store = Store()
        self.disk = Disk()
        self.running: list[KeptRequests] = []

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock.seconds())

    def process(self) -> KeptRequests:
        service = KeptRequests(
            self.store, PACKAGES, self.folder, self.clock, self.now, self.disk.run
        )
        service.startService()
        self.running.append(service)
        self.clock.advance(0)
        return service

    def end(self, service: KeptRequests) -> list[object]:
        self.running.remove(service)
        ended: list[object] = []
        service.stopService().addBoth(ended.append)
        return ended

    def files(self) -> list[str]:
        return sorted(file.suffix for file in self.folder.glob("*"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    for service in list(host.running):
        host.end(service)


def result_of(coroutine: Any) -> list[Any]:
    """What has become of it so far: nothing, its result, or its error."""
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    return [result.value if isinstance(result, Failure) else result for result in results]


def keep(service: KeptRequests, *names: str) -> None:
    for name in names:
        assert result_of(service.keep(ledger.enter_at, name)) == [None]


def test_what_is_kept_is_done_as_soon_as_the_store_can_with_that_time(host: Host) -> None:
    service = host.process()
    host.store.is_away = True
    assert result_of(service.surely(ledger.enter_at, "a")) == [None]
    assert host.files() == [".kept"]
    octets = sum(file.stat().st_size for file in host.folder.iterdir())
    word = f"{octets} octets wait for the store, 0 files failed"
    assert service.health() == (True, word)
    host.clock.pump([1.0] * 20)
    host.store.is_away = False
    host.clock.pump([1.0] * 10)
    assert host.store.entries() == ["a"]
    with host.store.local.engine.connect() as connection:
        assert ledger.entry_named(connection, "a").n > 20
    assert (service.waiting, host.files()) == (0, [])


def test_what_can_be_done_now_is_not_kept(host: Host) -> None:
    service = host.process()
    assert result_of(service.surely(ledger.enter_at, "a")) == [0]
    assert (host.store.entries(), host.files()) == (["a"], [])


@pytest.mark.parametrize("away", [StoreBusy, StoreClosed, StoreUnavailable])
def test_every_reason_to_do_it_later_keeps_it(host: Host, away: type[StoreError]) -> None:
    service = host.process()
    host.store.errors = [away("not now")]
    assert result_of(service.surely(ledger.enter_at, "a")) == [None]
    assert host.files() == [".kept"]


def test_what_the_store_does_not_answer_in_time_is_kept(host: Host) -> None:
    service = host.process()
    host.store.hangs = True
    Deferred.fromCoroutine(service.surely(ledger.enter_at, "a"))
    host.clock.advance(kept.PATIENCE_S - 0.1)
    assert host.files() == []
    host.clock.advance(0.2)
    assert host.files() == [".kept"]


def test_what_the_store_refuses_is_not_kept(host: Host) -> None:
    service = host.process()
    (error,) = result_of(service.surely(ledger.fail_at))
    assert (str(error), host.files()) == ("not at 00 either", [])


def test_it_is_on_the_disk_before_anybody_hears_that_it_is_kept(host: Host) -> None:
    service = host.process()
    host.disk.is_slow = True
    kept: list[object] = []
    Deferred.fromCoroutine(service.keep(ledger.enter_at, "a")).addBoth(kept.append)
    assert (kept, host.files()) == ([], [])
    host.disk.turn()
    assert (kept, host.files()) == ([None], [".kept"])


def test_what_is_kept_together_is_written_together(host: Host) -> None:
    service = host.process()
    host.disk.is_slow = True
    for name in "abcd":
        result_of(service.keep(ledger.enter_at, name))
    host.disk.turn()
    host.disk.turn()
    assert host.disk.writes == 2
    host.disk.is_slow = False
    host.clock.pump([1.0] * 3)
    assert host.store.entries() == ["a", "b", "c", "d"]


def test_the_next_process_does_what_one_has_left(host: Host) -> None:
    host.store.is_away = True
    first = host.process()
    keep(first, "a", "b")
    assert host.end(first) == [None]
    host.store.is_away = False
    with capture_logs() as logs:
        host.process()
    assert host.store.entries() == ["a", "b"]
    assert [one["event"] for one in logs] == ["kept_requests_found", "kept_requests_done"]
    assert (logs[1]["count"], logs[1]["failed"]) == (2, 0)
    assert host.files() == []


def test_a_process_looks_now_and_then_for_what_the_dead_have_left(host: Host) -> None:
    host.store.is_away = True
    worker, parent = host.process(), host.process()
    keep(worker, "a")
    host.end(worker)
    host.store.is_away = False
    host.clock.pump([1.0] * int(kept.LOOK_S + 2))
    assert (host.store.entries(), parent.waiting) == (["a"], 0)


def test_what_a_living_process_keeps_is_its_own(host: Host) -> None:
    host.store.is_away = True
    keep(host.process(), "a")
    asked = host.store.asked
    other = host.process()
    assert host.store.asked == asked
    assert other.waiting > 0, "it counts what waits on this host, whoever has it"


def test_a_store_that_is_away_is_asked_ever_more_seldom(host: Host) -> None:
    service = host.process()
    host.store.is_away = True
    keep(service, "a")
    host.clock.pump([1.0] * 120)
    assert 12 <= host.store.asked <= 20


def test_a_store_that_goes_away_in_between_is_given_what_is_left(host: Host) -> None:
    service = host.process()
    host.store.is_away = True
    names = [f"e{number:03}" for number in range(120)]
    keep(service, *names)
    host.store.is_away = False
    host.store.errors = []
    answered = host.store.run

    def away_after_60(function: Any, *values: Any, **_named: Any) -> Deferred[Any]:
        host.store.is_away = len(host.store.entries()) == 60
        return answered(function, *values)

    host.store.run = away_after_60  # type: ignore[method-assign]  # it dies in the second group
    host.clock.advance(1.0)
    assert len(host.store.entries()) == 60
    host.store.run = answered  # type: ignore[method-assign]
    host.store.is_away = False
    host.clock.pump([1.0] * 20)
    assert (host.store.entries(), service.waiting, host.files()) == (names, 0, [])


def test_what_fails_for_good_is_put_aside_and_the_others_are_done(host: Host) -> None:
    service = host.process()
    keep(service, "a")
    assert result_of(service.keep(ledger.fail_at)) == [None]
    keep(service, "b")
    with capture_logs() as logs:
        host.clock.pump([1.0] * 3)
    assert (host.store.entries(), host.files()) == (["a", "b"], [".failed"])
    assert (service.waiting, service.failed) == (0, 1)
    (failed,) = [one for one in logs if one["event"] == "kept_request_failed"]
    assert failed["log_level"] == "error"
    (aside,) = host.folder.glob("*.failed")
    aside.rename(aside.with_suffix(".kept"))
    host.clock.pump([1.0] * int(kept.LOOK_S + 2))
    assert host.files() == [".failed"], "tried again, as its name said"


def test_a_request_of_a_function_that_is_no_more_is_put_aside(host: Host) -> None:
    service = host.process()
    keep(service, "a")
    (file,) = host.folder.glob("*.kept")
    file.write_bytes(file.read_bytes().replace(b"enter_at", b"enter_it"))
    with capture_logs() as logs:
        host.clock.pump([1.0] * 3)
    assert host.files() == [".failed"]
    assert "enter_it" in str(logs)


def test_what_is_no_file_of_requests_is_put_aside(host: Host) -> None:
    host.folder.mkdir()
    (host.folder / "x.kept").write_bytes(b"\xff" * 100)
    with capture_logs() as logs:
        host.process()
    assert host.files() == [".failed"]
    assert [one["event"] for one in logs if one["log_level"] == "error"] == [
        "kept_requests_unreadable"
    ]


@pytest.mark.parametrize("error", [OSError("no space left"), MemoryError()], ids=["full", "odd"])
def test_a_disk_that_fails_is_told_to_who_asked_and_the_next_is_kept(
    host: Host, error: Exception
) -> None:
    service = host.process()
    host.disk.error = error
    with capture_logs() as logs:
        (told,) = result_of(service.keep(ledger.enter_at, "a"))
    assert isinstance(told, NotKept)
    assert [(one["event"], one["count"]) for one in logs] == [("requests_not_kept", 1)]
    host.disk.error = None
    keep(service, "b")
    host.clock.pump([1.0] * 3)
    assert host.store.entries() == ["b"]


def test_an_end_waits_for_what_is_being_written(host: Host) -> None:
    host.store.is_away = True
    service = host.process()
    host.disk.is_slow = True
    result_of(service.keep(ledger.enter_at, "a"))
    ended = host.end(service)
    assert ended == []
    host.disk.turn()
    assert ended == [None]
    host.store.is_away = host.disk.is_slow = False
    host.process()
    assert host.store.entries() == ["a"]


def test_an_end_does_not_wait_for_ever_for_a_disk_that_hangs(host: Host) -> None:
    service = host.process()
    host.disk.is_slow = True
    result_of(service.keep(ledger.enter_at, "a"))
    with capture_logs() as logs:
        ended = host.end(service)
        host.clock.advance(kept.STOP_S + 1)
    assert ended == [None]
    assert logs[-1]["event"] == "requests_not_kept"


def test_a_long_outage_takes_one_file_and_its_end_is_noticed_however_much_is_kept(
    host: Host,
) -> None:
    service = host.process()
    host.store.is_away = True
    for number in range(200):
        keep(service, f"e{number:03}")
        host.clock.advance(0.9)
    assert len(host.files()) == 1
    host.store.is_away = False
    for number in range(200, 220):
        keep(service, f"e{number:03}")
        host.clock.advance(0.9)
    assert len(host.store.entries()) >= 210
    host.clock.pump([1.0] * 12)
    assert (len(host.store.entries()), host.files()) == (220, [])


def test_a_file_that_cannot_be_opened_keeps_no_other_from_being_done(host: Host) -> None:
    (host.folder / "0.kept").mkdir(parents=True)
    with capture_logs() as logs:
        service = host.process()
        keep(service, "a")
        host.clock.pump([1.0] * 100)
    assert host.store.entries() == ["a"]
    assert [one["event"] for one in logs if one["log_level"] == "error"] == [
        "kept_requests_unusable"
    ]


def test_a_file_that_cannot_be_removed_is_not_done_again_and_again(host: Host) -> None:
    service = host.process()
    keep(service, "a")
    (file,) = host.folder.glob("*.kept")
    aside = file.with_suffix(".aside")
    file.rename(aside)  # so that its end finds nothing to remove
    with capture_logs() as logs:
        host.clock.advance(1.0)
        aside.rename(file)
        asked = host.store.asked
        host.clock.pump([1.0] * 100)
    assert (host.store.entries(), host.store.asked) == (["a"], asked)
    assert [one["event"] for one in logs if one["log_level"] == "error"] == [
        "kept_requests_unusable"
    ]


def test_a_request_that_kills_the_store_takes_no_other_with_it(host: Host) -> None:
    service = host.process()
    keep(service, "a")
    assert result_of(service.keep(ledger.fail_at)) == [None]
    keep(service, "b")
    host.store.errors = [StoreError("the store process died 5 times with this request")] * 3
    host.clock.advance(1.0)
    assert (host.store.entries(), host.files()) == (["a", "b"], [".failed"])


def test_a_request_that_the_store_can_never_do_keeps_no_other_waiting(host: Host) -> None:
    service = host.process()
    keep(service, "a")
    assert result_of(service.keep(ledger.busy_at)) == [None]
    keep(service, "b")
    host.clock.advance(1.0)
    assert host.store.entries() == ["a", "b"]
    keep(service, "c")
    host.clock.pump([1.0] * 30)
    assert host.store.entries() == ["a", "b", "c"]
    before = host.store.asked
    host.clock.pump([1.0] * 100)
    assert host.store.asked - before <= 11, "it alone is asked again"


# ---------------------------------------------------------------- the file


def test_what_was_half_written_is_no_request(tmp_path: Path) -> None:
    file = KeptFile.create(tmp_path / "a.kept")
    file.append(b"\0\0\0\3\1\0\0\0\0\0\0\0\0abc" + b"\0\0\0\3\1\0\0\0\0\0\0\0\0d")
    assert (file.read(10), file.read(10)) == ([b"abc"], [])
    assert not file.is_read
    file.let_go()


def test_a_frame_longer_than_any_is_an_error(tmp_path: Path) -> None:
    file = KeptFile.create(tmp_path / "a.kept")
    file.append(b"\0\0\0\3\1\0\0\0\0\0\0\0\0abc" + b"\xff" * 20)
    assert file.read(10) == [b"abc"], "what is before it is whole"
    with pytest.raises(WireError, match="octet 16"):
        file.read(10)
    file.let_go()


def test_a_long_request_is_read_as_well_as_short_ones(tmp_path: Path) -> None:
    file = KeptFile.create(tmp_path / "a.kept")
    bodies = [b"short", b"x" * 1_000_000, b"short too", b"y" * 300_000]
    for body in bodies:
        file.append(frame(REQUEST, 0, body))
    read: list[bytes] = []
    while group := file.read(2):
        read += group
    assert (read, file.is_read) == (bodies, True)
    file.let_go()


def test_a_file_has_one_user(tmp_path: Path) -> None:
    file = KeptFile.create(tmp_path / "a.kept")
    assert KeptFile.adopt(file.path) is None
    file.let_go()
    found = KeptFile.adopt(file.path)
    assert found is not None
    found.end()
    assert KeptFile.adopt(file.path) is None


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = KeptFile.create(tmp_path / "a.kept")
    assert os.stat(file.path).st_mode & 0o777 == 0o600
    file.let_go()


def test_nothing_of_what_did_not_fit_is_in_the_file(tmp_path: Path) -> None:
    program = (
        "import resource, sys, pathlib\n"
        "from store.kept_file import KeptFile\n"
        "file = KeptFile.create(pathlib.Path(sys.argv[1]))\n"
        "file.append(b'whole')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))\n"
        "try:\n"
        "    file.append(b'too long')\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
        "file.append(b'fit')\n"
    )
    path = tmp_path / "a.kept"
    words = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, path.read_bytes()) == ("27\n", b"wholefit")
