from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from store.restarts import FIRST_BACKOFF_S, LONGEST_BACKOFF_S, MOST_FAILED_STARTS, SETTLED_S
from store.service import END_S, LONGEST_SOCKET_PATH, StoreService

STANDBY_AFTER_S = 5.0


class Process:
    """A started process, as its transport: what it was told and whether it still runs."""

    def __init__(self, pid: int, protocol: Any) -> None:
        self.pid = pid
        self.told: list[bytes] = []
        self.signals: list[str] = []
        self.has_stdin = True
        self._protocol = protocol
        protocol.makeConnection(self)

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def closeStdin(self) -> None:
        self.has_stdin = False

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)

    def say_ready(self) -> None:
        self._protocol.outReceived(b"ready\n")

    def say(self, words: bytes) -> None:
        self._protocol.errReceived(words)

    def end(self) -> None:
        self._protocol.processEnded(Failure(ProcessTerminated(1)))

    @property
    def serves(self) -> bool:
        return bool(self.told)


class Machine(Clock):
    """A reactor that starts processes only in name."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []

    def spawnProcess(self, protocol: Any, *_: object, **__: object) -> Process:
        self.processes.append(Process(len(self.processes) + 1, protocol))
        return self.processes[-1]


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def service(machine: Machine) -> Iterator[StoreService]:
    started = StoreService(machine, "sqlite:///x.db", ["ordering"], STANDBY_AFTER_S)
    started.startService()
    yield started
    if started.running:
        started.stopService()
    for process in machine.processes:
        process.end()


def test_the_process_is_told_the_database_on_its_standard_input_not_on_its_command_line(
    machine: Machine, service: StoreService
) -> None:
    [process] = machine.processes
    assert json.loads(process.told[0]) == {"url": "sqlite:///x.db", "socket": service.socket_path}


def test_it_is_ready_when_the_process_says_so(machine: Machine, service: StoreService) -> None:
    waits = service.ready()
    words = [service.health()]
    waits.addCallback(lambda _: words.append(service.health()))
    machine.processes[0].say_ready()
    assert words == [("starting", ""), ("ok", "pid 1")]
    assert service.ready().called


def test_a_standby_is_prepared_later_and_takes_over_at_once(
    machine: Machine, service: StoreService
) -> None:
    machine.processes[0].say_ready()
    assert len(machine.processes) == 1
    machine.advance(STANDBY_AFTER_S)
    _, standby = machine.processes
    assert standby.told == []
    machine.processes[0].end()
    assert standby.serves
    assert service.pid == 2
    assert service.health()[0] == "starting"
    standby.say_ready()
    machine.advance(STANDBY_AFTER_S)
    assert [process.serves for process in machine.processes] == [True, True, False]


def test_a_standby_that_dies_is_replaced_when_it_is_wanted(
    machine: Machine, service: StoreService
) -> None:
    machine.processes[0].say_ready()
    machine.advance(STANDBY_AFTER_S)
    machine.processes[1].end()
    machine.processes[0].end()
    assert machine.processes[2].serves


def test_what_dies_again_and_again_is_started_less_and_less_often(
    machine: Machine, service: StoreService
) -> None:
    machine.processes[0].end()
    assert len(machine.processes) == 2, "the first death is answered at once"
    pauses = []
    for _ in range(9):
        machine.processes[-1].end()
        restart: Any = machine.getDelayedCalls()[0]
        pauses.append(round(restart.getTime() - machine.seconds(), 3))
        machine.advance(pauses[-1])
    assert pauses[:4] == [FIRST_BACKOFF_S, 0.2, 0.4, 0.8]
    assert max(pauses) == LONGEST_BACKOFF_S
    assert len(machine.processes) == 11


def test_who_waits_for_a_process_that_never_starts_is_told_its_last_words(
    machine: Machine, service: StoreService
) -> None:
    told: list[Failure] = []
    service.ready().addErrback(told.append)
    for _ in range(MOST_FAILED_STARTS):
        assert not told
        machine.processes[-1].say(b"ModuleNotFoundError: No module named 'ordering'\n")
        machine.processes[-1].end()
        machine.advance(LONGEST_BACKOFF_S)
    assert told[0].getErrorMessage() == (
        "the store process does not start: ModuleNotFoundError: No module named 'ordering'"
    )
    machine.processes[-1].say_ready()
    assert service.ready().called


def test_a_process_that_lived_a_while_is_replaced_at_once(
    machine: Machine, service: StoreService
) -> None:
    for _ in range(3):
        machine.advance(SETTLED_S)
        started = len(machine.processes)
        machine.processes[-1].end()
        assert len(machine.processes) == started + 1


def test_stopping_ends_both_processes_and_removes_the_folder(
    machine: Machine, service: StoreService
) -> None:
    machine.processes[0].say_ready()
    machine.advance(STANDBY_AFTER_S)
    folder = os.path.dirname(service.socket_path)
    assert os.stat(folder).st_mode & 0o777 == 0o700
    stopped = service.stopService()
    assert [process.has_stdin for process in machine.processes] == [False, False]
    for process in machine.processes:
        assert not stopped.called
        process.end()
    assert stopped.called
    assert not os.path.exists(folder)
    assert machine.getDelayedCalls() == []
    assert service.health() == ("stopped", "")


def test_a_process_that_does_not_end_is_killed(machine: Machine, service: StoreService) -> None:
    [process] = machine.processes
    service.stopService()
    process.say_ready()  # too late: no standby is prepared for it
    machine.advance(END_S)
    assert process.signals == ["KILL"]
    assert len(machine.processes) == 1


def test_stopping_between_two_lives_starts_no_third(
    machine: Machine, service: StoreService
) -> None:
    machine.processes[0].end()
    machine.processes[1].end()
    assert service.stopService().called
    machine.advance(LONGEST_BACKOFF_S)
    assert len(machine.processes) == 2


def test_a_socket_has_a_short_path_even_where_temporary_files_have_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/" + "long" * 30)
    path = StoreService(Machine(), "sqlite:///x.db", []).socket_path
    assert len(path) <= LONGEST_SOCKET_PATH
    assert path.startswith("/tmp/toneline-")


def test_what_the_process_says_is_not_lost_when_it_comes_in_pieces(
    machine: Machine, service: StoreService, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.processes[0].say(b"a client was ")
    machine.processes[0].say(b"let go\nand more")
    said = capsys.readouterr().out
    assert "a client was let go" in said
    assert "and more" not in said
