from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from toneline.workers.turns import LOOK_S, FairEndpoint, FairPort


@dataclass
class Port:
    """A listening port: callers stand at it until it is read."""

    numberAccepts: int = 100
    waiting: int = 0
    taken: int = 0
    is_open: bool = True

    def listen(self, factory: Any) -> Deferred[Any]:
        return succeed(self)

    def getHost(self) -> str:
        return "here"

    def fileno(self) -> int:
        return 3

    def logPrefix(self) -> str:
        return "port"

    def stopReading(self) -> None:
        pass

    def stopListening(self) -> None:
        self.is_open = False

    def doRead(self) -> None:
        taken = min(self.numberAccepts, self.waiting)
        self.waiting -= taken
        self.taken += taken


class Machine(Clock):
    """A reactor that reads only what it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def turn(self) -> None:
        for reader in tuple(self.readers):
            reader.doRead()


class Worker:
    """One worker's port, with room for as many callers as the test says."""

    def __init__(self, room: int) -> None:
        self.machine = Machine()
        self.port = Port()
        self.room = room
        self.ports: list[FairPort] = []
        endpoint = FairEndpoint(self.port, lambda: self.room - self.port.taken, self.machine)
        endpoint.listen(Factory()).addCallback(self.ports.append)

    def come(self, callers: int) -> None:
        self.port.waiting += callers
        self.machine.turn()

    @property
    def is_waiting(self) -> bool:
        return bool(self.machine.readers)


def test_who_has_room_takes_callers_as_they_come() -> None:
    worker = Worker(room=10)
    for _ in range(5):
        worker.come(1)
    assert worker.port.taken == 5
    assert worker.machine.getDelayedCalls() == []


def test_of_a_crowd_only_as_many_are_taken_as_there_is_room_for() -> None:
    worker = Worker(room=3)
    worker.come(20)
    assert worker.port.taken == 3
    assert not worker.is_waiting


def test_who_is_ahead_leaves_a_caller_to_others_but_not_for_long() -> None:
    worker = Worker(room=1)
    worker.come(1)
    worker.come(2)
    assert (worker.port.taken, worker.port.waiting) == (1, 2)
    worker.machine.advance(LOOK_S)
    assert (worker.port.taken, worker.port.waiting) == (2, 1)
    worker.machine.advance(LOOK_S)
    assert worker.port.waiting == 0
    assert not worker.is_waiting


def test_who_is_no_longer_ahead_waits_at_the_port_again() -> None:
    worker = Worker(room=1)
    worker.come(1)
    worker.room = 10
    worker.machine.advance(LOOK_S)
    assert worker.is_waiting
    assert worker.machine.getDelayedCalls() == []
    worker.come(1)
    assert worker.port.taken == 2


def test_a_port_that_is_closed_is_looked_at_no_more() -> None:
    for room in (0, 5):
        worker = Worker(room)
        worker.come(1)
        (port,) = worker.ports
        assert port.getHost() == "here"
        port.stopListening()
        assert not worker.port.is_open
        assert not worker.is_waiting
        assert worker.machine.getDelayedCalls() == []
