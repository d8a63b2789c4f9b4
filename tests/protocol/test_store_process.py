"""The store process as its clients know it: through its socket, and killed now and then."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.process import reapAllProcesses
from twisted.internet.task import LoopingCall

from store.client import MOST_SENDINGS, StoreClient
from store.database import LocalDatabase
from store.engine import StoreBusy, StoreClosed, StoreError, StoreUnavailable, engine_for
from store.service import StoreService
from tests.fakes import ledger
from tests.reactor import reactor, run_in_reactor

T = TypeVar("T")
PACKAGES = ("tests.fakes.ledger",)


class Store:
    """A store process of one test's own, with one client."""

    def __init__(self, url: str, standby_after_s: float) -> None:
        self.url = url
        self.service = StoreService(reactor, url, PACKAGES, standby_after_s)
        self.client = self.new_client()
        # The reactor of the tests runs without signal handlers, so nothing else tells it of a
        # process' end.
        self._reaper = LoopingCall(reapAllProcesses)

    def new_client(self, **options: Any) -> StoreClient:
        return StoreClient(reactor, self.service.socket_path, PACKAGES, **options)

    async def start(self) -> None:
        self._reaper.start(0.01)
        self.service.startService()
        self.client.startService()
        await self.service.ready()

    async def stop(self) -> None:
        await self.client.stopService()
        await self.service.stopService()
        self._reaper.stop()

    def kill(self) -> None:
        assert self.service.pid is not None
        os.kill(self.service.pid, signal.SIGKILL)


def with_store(
    url: str,
    use: Callable[[Store], Awaitable[T]],
    standby_after_s: float = 3600,
    timeout_s: float = 60,
) -> T:
    """Run `use` with a store process; everything is gone afterwards."""

    async def run() -> T:
        store = Store(url, standby_after_s)
        await store.start()
        try:
            return await use(store)
        finally:
            await store.stop()
            assert not os.path.exists(store.service.socket_path)

    return run_in_reactor(run, timeout_s)


async def _after(store: Store, topic: str) -> None:
    changed: Deferred[None] = Deferred()

    def tell() -> None:
        if not changed.called:
            changed.callback(None)

    end = store.client.on_change(topic, tell)
    await changed
    end()


def test_a_function_runs_in_the_process_and_its_dataclass_comes_back(url: str) -> None:
    async def use(store: Store) -> ledger.Entry:
        await store.client.run(ledger.enter, "a", 7)
        return await store.client.run(ledger.entry_named, "a")

    assert with_store(url, use) == ledger.Entry("a", 7)


def test_killed_again_and_again_under_load_it_answers_all_and_loses_and_doubles_nothing(
    url: str,
) -> None:
    count, callers, kills = 600, 30, 3

    async def use(store: Store) -> tuple[list[int], tuple[int, int]]:
        numbers = iter(range(count))
        answers: list[int] = []

        async def one_caller() -> None:
            for n in numbers:
                if n % (count // (kills + 1)) == count // (kills + 2):
                    store.kill()
                answers.append(await store.client.run(ledger.enter, f"entry {n}", n))

        await gatherResults([Deferred.fromCoroutine(one_caller()) for _ in range(callers)])
        return answers, await store.client.run(ledger.counts)

    answers, counts = with_store(url, use, standby_after_s=0, timeout_s=120)
    assert sorted(answers) == list(range(count))
    assert counts == (count, count)


def test_a_failing_member_of_a_group_fails_alone(url: str, tmp_path: Path) -> None:
    lock = Lock(tmp_path)

    async def use(store: Store) -> tuple[list[Any], list[str]]:
        # While the first holds the store the others gather: they are one group.
        held = store.client.run(ledger.wait_for, lock.path)
        results: list[Any] = []
        waiting: list[Deferred[Any]] = [
            store.client.run(ledger.enter, "before", 1),
            store.client.run(ledger.enter_and_fail, "failing"),
            store.client.run(ledger.enter_twice, "twice"),
            store.client.run(ledger.refuse),
            store.client.run(ledger.enter, "behind", 2),
        ]
        for each in waiting:
            each.addCallbacks(results.append, lambda failure: results.append(failure.value))
        lock.release()
        await held
        return results, await store.client.run(ledger.entries)

    results, entries = with_store(url, use)
    assert entries == ["before", "behind"]
    assert [str(result) for result in results if isinstance(result, int)] == ["1", "2"]
    failed, broken, refused = [result for result in results if isinstance(result, StoreError)]
    assert str(failed) == "ValueError: failing is not wanted"
    assert "enter_and_fail" in failed.trace
    assert "the database refused this" in str(broken)
    assert str(refused) == "no, thank you"


def test_too_many_waiting_requests_are_refused_at_once(tmp_path: Path, sqlite_url: str) -> None:
    lock = Lock(tmp_path)

    async def use(store: Store) -> int:
        client = store.new_client(most_pending=3)
        client.startService()
        held: Deferred[Any] = client.run(ledger.wait_for, lock.path)
        waiting: list[Deferred[Any]] = [client.run(ledger.enter, name, 1) for name in "ab"]
        with pytest.raises(StoreBusy, match="3 requests wait"):
            await client.run(ledger.enter, "c", 1)
        lock.release()
        await gatherResults([held, *waiting])
        done = await client.run(ledger.enter, "c", 3)
        await client.stopService()
        return done

    assert with_store(sqlite_url, use) == 3


def test_a_caller_may_stop_waiting_and_the_next_is_served(tmp_path: Path, sqlite_url: str) -> None:
    lock = Lock(tmp_path)

    async def use(store: Store) -> list[str]:
        await store.client.run(ledger.counts)  # it is connected: what is asked now is sent now
        held = store.client.run(ledger.wait_for, lock.path)
        impatient = store.client.run(ledger.enter, "a", 1)
        impatient.cancel()
        with pytest.raises(CancelledError):
            await impatient
        assert store.client.pending == 2  # it still has its place in the store's queue
        lock.release()
        await held
        await store.client.run(ledger.enter, "b", 2)
        assert store.client.pending == 0
        return await store.client.run(ledger.entries)

    assert with_store(sqlite_url, use) == ["a", "b"]


def test_what_has_no_answer_at_the_end_fails_before_the_end_is_over(
    tmp_path: Path, sqlite_url: str
) -> None:
    lock = Lock(tmp_path)

    async def use(store: Store) -> list[object]:
        happened: list[object] = []
        held = store.client.run(ledger.wait_for, lock.path)
        client = store.new_client()
        client.startService()
        asked = client.run(ledger.enter, "a", 1)
        asked.addErrback(lambda failure: happened.append(type(failure.value)))
        ended = client.stopService()
        ended.addCallback(lambda _: happened.append("ended"))
        ended.cancel()  # whoever ends the line does not wait
        lock.release()
        await held
        return happened

    assert with_store(sqlite_url, use) == [StoreClosed, "ended"]


def test_requests_made_while_the_process_is_away_wait_for_the_next(sqlite_url: str) -> None:
    async def use(store: Store) -> list[str]:
        store.kill()
        cancelled = store.client.run(ledger.enter, "cancelled", 0)
        waiting = [store.client.run(ledger.enter, name, 1) for name in "abc"]
        cancelled.addErrback(lambda failure: failure.trap(CancelledError))
        cancelled.cancel()
        await gatherResults(waiting)
        return await store.client.run(ledger.entries)

    # What was cancelled may have reached the process that died, or not; the next is not asked.
    assert set(with_store(sqlite_url, use)) - {"cancelled"} == {"a", "b", "c"}


def test_a_request_that_kills_the_store_each_time_is_given_up(sqlite_url: str) -> None:
    async def use(store: Store) -> int:
        with pytest.raises(StoreError, match=f"died {MOST_SENDINGS} times"):
            await store.client.run(ledger.end_the_process)
        return await store.client.run(ledger.enter, "a", 8)

    assert with_store(sqlite_url, use, standby_after_s=0) == 8


def test_every_client_hears_what_a_commit_announced_and_nobody_what_failed(
    url: str,
) -> None:
    async def use(store: Store) -> list[str]:
        heard: list[str] = []
        other = store.new_client()
        other.startService()
        await other.run(ledger.counts)
        other.on_change("entry:bad", lambda: heard.append("bad"))
        end = other.on_change("entry:a", lambda: heard.append("a"))
        with pytest.raises(StoreError):
            await store.client.run(ledger.enter_and_fail, "bad")
        await store.client.run(ledger.enter, "a", 1)
        await other.run(ledger.counts)  # its answer comes behind what was announced before
        end()
        await store.client.run(ledger.enter_and_fail, "bad").addErrback(lambda _: None)
        await other.stopService()
        return heard

    assert with_store(url, use) == ["a"]


def test_a_listener_that_fails_does_not_keep_the_next_from_hearing(sqlite_url: str) -> None:
    async def use(store: Store) -> None:
        def fail() -> None:
            raise ValueError("a listener's own mistake")

        store.client.on_change("ledger", fail)
        heard = Deferred.fromCoroutine(_after(store, "ledger"))
        await store.client.run(ledger.enter, "a", 1)
        await heard

    with_store(sqlite_url, use)


def test_what_another_program_writes_is_heard(url: str) -> None:
    async def use(store: Store) -> None:
        await store.client.run(ledger.counts)
        elsewhere = LocalDatabase(engine_for(store.url))
        heard = Deferred.fromCoroutine(_after(store, "ledger"))
        # The store's look at other programs' changes may have begun only with the next commit.
        attempt = LoopingCall(lambda: elsewhere.run_now(ledger.enter, os.urandom(8).hex(), 1))
        attempt.start(0.2)
        await heard
        attempt.stop()
        elsewhere.close()

    with_store(url, use)


def test_after_a_restart_listeners_are_called_for_they_may_have_missed_something(
    sqlite_url: str,
) -> None:
    async def use(store: Store) -> None:
        await store.client.run(ledger.counts)
        heard = Deferred.fromCoroutine(_after(store, "ledger"))
        store.kill()
        await heard

    with_store(sqlite_url, use)


def test_what_is_not_on_the_list_is_not_called(sqlite_url: str) -> None:
    async def use(store: Store) -> list[str]:
        said = []
        for function in (_innocent, ledger.unsendable):
            with pytest.raises(StoreError) as caught:
                await store.client.run(function)
            said.append(str(caught.value))
        with pytest.raises(StoreError) as caught:
            await store.client.run(ledger.enter, Path, 1)  # type: ignore[arg-type]
        assert await store.client.run(ledger.enter, "still there", 5) == 5
        return [*said, str(caught.value)]

    not_listed, unsendable, _ = with_store(sqlite_url, use)
    assert not_listed.endswith(
        "_innocent may not be called: the store's list is tests.fakes.ledger"
    )
    assert unsendable.startswith("it is done, but its result cannot be sent")


def test_a_lambda_is_refused_where_it_is_written(sqlite_url: str) -> None:
    client = StoreClient(reactor, "/nowhere", PACKAGES)
    with pytest.raises(TypeError, match="no module-level function"):
        client.run(lambda _: None)


def test_a_database_that_cannot_be_opened_is_told_and_the_process_lives_on(tmp_path: Path) -> None:
    file = tmp_path / "later" / "toneline.db"

    async def use(store: Store) -> int:
        with pytest.raises(StoreUnavailable, match="unable to open database file"):
            await store.client.run(ledger.counts)
        file.parent.mkdir()
        _create_ledger(store.url)
        return await store.client.run(ledger.enter, "a", 4)

    assert with_store(f"sqlite:///{file}", use) == 4


def test_sigterm_ends_it_after_what_it_has_and_the_standby_goes_on(sqlite_url: str) -> None:
    async def use(store: Store) -> tuple[int | None, int | None]:
        await store.client.run(ledger.enter, "a", 1)
        first = store.service.pid
        assert first is not None
        os.kill(first, signal.SIGTERM)
        while store.service.pid in {first, None}:
            await store.client.run(ledger.counts)
        return first, store.service.pid

    first, second = with_store(sqlite_url, use, standby_after_s=0)
    assert first != second


def test_garbage_on_the_socket_costs_only_its_sender(sqlite_url: str) -> None:
    async def use(store: Store) -> int:
        for garbage in (
            b"GET / HTTP/1.0\r\n\r\n",
            b"\0" * 13,
            b"\xff" * 40,
            b"\0\0\0\1\1" + b"\0" * 20,
        ):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(store.service.socket_path)
                stranger.sendall(garbage)
                await store.client.run(ledger.counts)
        return await store.client.run(ledger.enter, "a", 6)

    assert with_store(sqlite_url, use) == 6


def test_it_ends_with_its_parent_however_that_ends_and_leaves_no_file(sqlite_url: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, sqlite_url], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    serves = next(line for line in parent.stdout if line.startswith("serves "))
    _, pid, socket_path = serves.split()
    ended = os.pidfd_open(int(pid))
    parent.kill()
    parent.wait()
    assert select.select([ended], [], [], 20)[0], "the store process outlives its parent"
    os.close(ended)
    assert not os.path.exists(os.path.dirname(socket_path))


_PARENT = """
import sys
from twisted.internet import reactor
from store.service import StoreService
service = StoreService(reactor, sys.argv[1], ["tests.fakes.ledger"])
service.startService()
service.ready().addCallback(lambda _:
    print("serves", service.pid, service.socket_path, flush=True))
reactor.run()
"""


def _innocent(connection: object) -> None: ...


class Lock:
    """A locked file: what the store runs waits for it."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "lock")
        self._file = open(self.path, "w")  # noqa: SIM115  held until release
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        self._file.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'toneline.db'}"
    _create_ledger(url)
    return url


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    """An empty ledger, on each engine."""
    _create_ledger(database_url)
    yield database_url
    engine = engine_for(database_url)
    ledger.drop(engine)
    engine.dispose()


def _create_ledger(url: str) -> None:
    engine = engine_for(url)
    ledger.create(engine)
    engine.dispose()
