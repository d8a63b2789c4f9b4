from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from store.restarts import LONGEST_BACKOFF_S, MOST_FAILED_STARTS
from toneline.workers import talk
from toneline.workers.board import SILENT_S
from toneline.workers.service import DEAF_S, END_S, WorkersFailed, WorkersService
from toneline.workers.talk import Begin, Begun, Drain, Drained, End, Hearing, Word, said

PORT_FILE = 40
PLAN: Any = None


def begin(number: int, family: int) -> Begin:
    return Begin(number, 2, PLAN, "store.sock", (), family)


@dataclass
class Port:
    """The listening port: whether the parent takes connections from it."""

    factory: Any
    addressFamily: int = 2
    is_reading: bool = True
    is_open: bool = True

    def fileno(self) -> int:
        return PORT_FILE

    def startReading(self) -> None:
        self.is_reading = True

    def stopReading(self) -> None:
        self.is_reading = False

    def stopListening(self) -> None:
        self.is_open = self.is_reading = False


class Process:
    """A started process, as its transport: what it was told."""

    def __init__(self, pid: int, protocol: Any, files: dict[int, Any]) -> None:
        self.pid = pid
        self.files = files
        self.signals: list[str] = []
        self.has_ended = False
        self._protocol = protocol
        self._hearing = Hearing()
        self._told = b""
        protocol.makeConnection(self)

    @property
    def told(self) -> list[Word]:
        """What it was told since the last time."""
        told, self._told = self._told, b""
        return self._hearing.hear(told)

    def write(self, data: bytes) -> None:
        self._told += data

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)

    def says(self, word: Word) -> None:
        self._protocol.childDataReceived(talk.TELLS, said(word))

    def logs(self, text: bytes) -> None:
        self._protocol.childDataReceived(talk.LOGS, text)

    def complains(self, text: bytes) -> None:
        self._protocol.childDataReceived(talk.COMPLAINS, text)

    def ends(self) -> None:
        self.has_ended = True
        self._protocol.processEnded(Failure(ProcessTerminated(1)))


class Machine(Clock):
    """A reactor that starts processes only in name; `refusals` are raised first."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []
        self.refusals: list[OSError] = []

    def spawnProcess(self, protocol: Any, *_: object, childFDs: Any, **__: object) -> Process:
        if self.refusals:
            raise self.refusals.pop()
        self.processes.append(Process(len(self.processes) + 1, protocol, childFDs))
        return self.processes[-1]


@dataclass
class House:
    """Two workers of one service, and everything around them."""

    machine: Machine = field(default_factory=Machine)
    relayed: list[str] = field(default_factory=list)
    port: Port | None = None
    taken: CannotListenError | None = None

    def __post_init__(self) -> None:
        self.service = WorkersService(
            self.machine,
            self,
            begin,
            2,
            self.relayed.append,
            self.machine.seconds,
        )

    def listen(self, factory: Any) -> Deferred[Any]:
        if self.taken is not None:
            return fail(self.taken)
        self.port = Port(factory)
        return succeed(self.port)

    @property
    def workers(self) -> list[Process]:
        return self.machine.processes

    def begin(self) -> None:
        self.service.startService()
        for worker in list(self.workers):
            worker.says(Begun())
        for row in self.service.board.rows:
            row.beat_s = self.machine.seconds()


@pytest.fixture
def house() -> Iterator[House]:
    opened = House()
    yield opened
    if opened.service.running:
        opened.service.stopService()
    for worker in opened.workers:
        if not worker.has_ended:
            worker.ends()
    assert opened.machine.getDelayedCalls() == []


def result(coroutine: Any) -> list[Any]:
    """What a coroutine returned or raised, once it has."""
    results: list[Any] = []
    running = Deferred.fromCoroutine(coroutine)
    running.addCallbacks(results.append, lambda failure: results.append(failure.value))
    return results


def test_workers_inherit_the_port_of_which_the_parent_takes_nothing(house: House) -> None:
    house.service.startService()
    assert [worker.told for worker in house.workers] == [[begin(1, 2)], [begin(2, 2)]]
    for worker in house.workers:
        assert worker.files[talk.PORT] == PORT_FILE
        assert worker.files[talk.BOARD] == house.service.board.fileno
    assert house.port is not None
    assert not house.port.is_reading


def test_the_service_is_ready_when_every_worker_takes_calls(house: House) -> None:
    house.service.startService()
    ready = result(house.service.ready())
    house.workers[1].says(Begun())
    assert ready == []
    assert house.service.health()[0] is False
    house.workers[0].says(Begun())
    assert ready == [None]
    assert result(house.service.ready()) == [None]


def test_a_port_that_is_taken_is_told_and_no_worker_is_started(house: House) -> None:
    house.taken = CannotListenError("127.0.0.1", 4573, OSError("in use"))
    house.service.startService()
    assert result(house.service.ready()) == [house.taken]
    assert house.workers == []


def test_health_adds_up_calls_and_names_workers_that_are_away(house: House) -> None:
    house.begin()
    for counts in house.service.board.counts:
        counts.calls_live = 8
    assert house.service.health() == (True, "2 of 2 workers, 16 calls")
    house.workers[0].ends()
    assert house.service.health() == (False, "1 of 2 workers, 8 calls")


def test_a_worker_that_does_not_turn_any_more_is_not_well(house: House) -> None:
    house.begin()
    house.machine.advance(SILENT_S)
    house.service.board.rows[0].beat_s = house.machine.seconds()
    assert house.service.health() == (False, "1 of 2 workers, 0 calls")


def test_a_worker_that_dies_is_started_again_with_one_event_that_tells_its_calls(
    house: House,
) -> None:
    house.begin()
    house.service.board.counts[0].calls_live = 3
    with capture_logs() as events:
        house.workers[0].ends()
    assert [(event["event"], event["worker"], event["calls_lost"]) for event in events] == [
        ("worker_died", 1, 3)
    ]
    house.machine.advance(0)
    assert house.workers[2].told == [begin(1, 2)]
    house.workers[2].says(Begun())
    assert house.service.health() == (True, "2 of 2 workers, 0 calls")


def test_who_waits_for_a_worker_that_never_begins_is_told_its_last_words(house: House) -> None:
    house.service.startService()
    house.workers[1].says(Begun())
    ready = result(house.service.ready())
    for _ in range(MOST_FAILED_STARTS):
        assert ready == []
        worker = house.workers[0] if len(house.workers) == 2 else house.workers[-1]
        worker.complains(b"Traceback\nthe database is away\n")
        worker.ends()
        house.machine.advance(LONGEST_BACKOFF_S)
    (error,) = ready
    assert isinstance(error, WorkersFailed)
    assert str(error) == "voice worker 1 does not start: the database is away"


def test_a_process_that_cannot_be_started_is_tried_again(house: House) -> None:
    house.machine.refusals = [BlockingIOError(11, "Resource temporarily unavailable")]
    house.service.startService()
    assert len(house.workers) == 1
    house.machine.advance(0)
    assert house.workers[1].told == [begin(1, 2)]


def test_while_no_worker_is_left_connections_are_closed_after_a_while(house: House) -> None:
    house.begin()
    port = house.port
    assert port is not None
    for worker in house.workers[:2]:
        worker.ends()
    house.machine.advance(0)
    readings = [port.is_reading]  # a worker that comes soon takes what waits
    house.machine.advance(DEAF_S)
    readings.append(port.is_reading)
    assert port.factory.buildProtocol(None) is None
    house.workers[2].says(Begun())
    readings.append(port.is_reading)
    assert readings == [False, True, False]


def test_lines_of_logs_are_passed_on_whole(house: House) -> None:
    house.begin()
    first, second = house.workers
    first.logs(b'{"event": "call_')
    second.logs(b'{"event": "call_ended"}\n{"event"')
    first.logs(b'ended"}\n')
    assert house.relayed == ['{"event": "call_ended"}', '{"event": "call_ended"}']


def test_drained_is_who_has_heard_from_every_worker(house: House) -> None:
    house.begin()
    drained = result(house.service.drain(60))
    for worker in house.workers:
        assert worker.told[-1] == Drain(60)
    house.workers[0].says(Drained(2))
    assert drained == []
    assert house.service.health() == (False, "draining, 0 calls left")
    house.workers[1].says(Drained(1))
    assert drained == [3]


def test_a_worker_that_dies_in_a_drain_is_waited_for_no_longer_and_not_replaced(
    house: House,
) -> None:
    house.begin()
    drained = result(house.service.drain(60))
    house.workers[0].says(Drained(2))
    house.workers[1].ends()
    assert drained == [2]
    house.machine.advance(LONGEST_BACKOFF_S)
    assert len(house.workers) == 2


def test_a_worker_that_does_not_answer_keeps_a_drain_no_longer_than_its_time(house: House) -> None:
    house.begin()
    drained = result(house.service.drain(60))
    house.workers[0].says(Drained(2))
    house.machine.advance(59)
    assert drained == []
    house.machine.advance(30)
    assert drained == [2]


def test_a_drain_starts_no_worker_that_was_to_come(house: House) -> None:
    house.begin()
    for _ in range(2):
        house.workers[-1].ends()
        house.machine.advance(0)
    drained = result(house.service.drain(60))
    house.workers[0].says(Drained(0))
    assert drained == [0]
    house.machine.advance(LONGEST_BACKOFF_S)
    assert len(house.workers) == 3


def test_stopping_closes_the_port_and_waits_for_every_worker(house: House) -> None:
    house.begin()
    stopped = house.service.stopService()
    assert house.port is not None
    assert not house.port.is_open
    for worker in house.workers:
        assert worker.told[-1] == End()
        assert not stopped.called
        worker.ends()
    assert stopped.called
    assert house.machine.getDelayedCalls() == []


def test_a_worker_that_takes_no_calls_yet_is_not_waited_for(house: House) -> None:
    house.service.startService()
    house.workers[0].says(Begun())
    drained = result(house.service.drain(60))
    assert house.workers[1].signals == ["KILL"]
    house.workers[1].ends()
    house.workers[0].says(Drained(1))
    assert drained == [1]


def test_a_worker_that_does_not_end_is_killed(house: House) -> None:
    house.begin()
    stopped = house.service.stopService()
    house.workers[0].ends()
    house.machine.advance(END_S)
    assert house.workers[1].signals == ["KILL"]
    assert house.workers[0].signals == []
    house.workers[1].ends()
    assert stopped.called


def test_a_stop_in_mid_drain_ends_both(house: House) -> None:
    house.begin()
    draining = Deferred.fromCoroutine(house.service.drain(60))
    draining.addErrback(lambda _: None)
    draining.cancel()
    stopped = house.service.stopService()
    house.workers[0].says(Drained(0))
    for worker in house.workers:
        worker.ends()
    assert stopped.called
