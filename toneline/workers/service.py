"""Starts the voice workers on one port, restarts, drains and ends them: a Twisted service.

The parent binds the port and takes no call itself; the workers inherit the listening socket, so a
connection waits in the kernel for whoever comes first, and a dead worker takes none with it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from ivr.service import CUT_S
from store.restarts import MOST_FAILED_STARTS, Restarts
from toneline.workers import talk
from toneline.workers.board import Board
from toneline.workers.process import WorkerProcess
from toneline.workers.talk import Begin

DEAF_S = 3.0
"""After so long without any worker connections are closed: Asterisk tries another server."""
LATE_S = 5.0
"""Drained workers say so within their time; who is later than this does not answer any more."""
END_S = 20.0
"""How long an ending worker may take: the cut of its calls, and their records in the store or,
if that hangs, on the disk."""

_log = structlog.get_logger()


class WorkersFailed(Exception):
    """The voice workers do not start; the sentence tells which and its last words."""


@dataclass(slots=True, eq=False)
class _Place:
    """A worker's number, the process that has it now, and what its deaths cost."""

    number: int
    child: WorkerProcess | None = None
    restarts: Restarts = field(default_factory=Restarts)
    failed_starts: int = 0
    timer: Any = None

    @property
    def is_ready(self) -> bool:
        return self.child is not None and self.child.is_ready


class WorkersService(Service):
    """So many voice processes behind one port.

    `begin` gives a worker its first word, from its number and the socket's address family. `relay`
    writes out whole lines of the workers' logs.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: Any,
        begin: Callable[[int, int], Begin],
        workers: int,
        relay: Callable[[str], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.board = Board.make(workers)
        self._reactor = reactor
        self._endpoint = endpoint
        self._begin = begin
        self._relay = relay
        self._monotonic = monotonic
        self._places = tuple(_Place(number) for number in range(1, workers + 1))
        self._bound: Deferred[Any] | None = None
        self._port: Any = None
        self._deafness: Any = None
        self._draining = False
        self._waiting: list[Deferred[None]] = []
        self._stopped: Deferred[None] | None = None

    def health(self) -> tuple[bool, str]:
        """Whether every worker takes calls, and a word about them for /healthz."""
        calls = self.board.calls_live()
        if self._draining:
            return False, f"draining, {calls} calls left"
        now_s = self._monotonic()
        well = [p for p in self._places if p.is_ready and self.board.is_well(p.number, now_s)]
        of = len(self._places)
        return len(well) == of, f"{len(well)} of {of} workers, {calls} calls"

    async def ready(self) -> None:
        """Wait until every worker takes calls.

        Raises:
            CannotListenError: the port is taken.
            WorkersFailed: one ended `MOST_FAILED_STARTS` times before it took any.
        """
        if self._bound is not None:
            await self._bound
        if not all(place.is_ready for place in self._places):
            waiting: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiting)
            await waiting

    def startService(self) -> None:
        """Bind the port and start the workers; see :meth:`ready`."""
        super().startService()
        self._bound = self._endpoint.listen(_Deaf())
        self._bound.addCallback(self._start)

    async def drain(self, deadline_s: float) -> int:
        """Let no new call in and the running ones end within the time; return how many were cut."""
        self._draining = True
        self._cancel(*(place.timer for place in self._places))
        drained = [place.child.drain(deadline_s) for place in self._places if place.child]
        for each in drained:
            each.addTimeout(deadline_s + 2 * CUT_S + LATE_S, self._reactor)
            each.addErrback(_nothing_heard)
        return sum(await gatherResults(drained, consumeErrors=True))

    def stopService(self) -> Deferred[None]:
        """Close the port and end the workers at once; kill them after `END_S`."""
        super().stopService()
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        self._cancel(self._deafness, *(place.timer for place in self._places))
        if self._port is not None:
            self._port.stopListening()
        for place in self._places:
            if place.child is not None:
                place.child.end()
                place.timer = self._reactor.callLater(END_S, place.child.kill)
        self._ended_all()
        return stopped

    # A worker's way, from its start to its end.

    def _start(self, port: Any) -> Any:
        port.stopReading()
        self._port = port
        for place in self._places:
            self._spawn(place)
        return port

    def _spawn(self, place: _Place) -> None:
        child = WorkerProcess(place.number, self._reactor.seconds(), self._relay)
        child.on_begun = lambda: self._begun(place)
        child.on_end = lambda why: self._ended(place, child, why)
        place.child = child
        files = {
            talk.HEARS: "w",
            talk.TELLS: "r",
            talk.COMPLAINS: "r",
            talk.PORT: self._port.fileno(),
            talk.BOARD: self.board.fileno,
            talk.LOGS: "r",
        }
        arguments = [sys.executable, "-m", "toneline.workers"]
        try:
            self._reactor.spawnProcess(child, sys.executable, arguments, env=None, childFDs=files)
        except OSError as error:  # too many processes, or open files
            self._ended(place, child, str(error))
        else:
            child.say(self._begin(place.number, int(self._port.addressFamily)))

    def _begun(self, place: _Place) -> None:
        place.failed_starts = 0
        self._hear_again()
        _log.info("worker_ready", worker=place.number, pid=place.child and place.child.pid)
        if all(each.is_ready for each in self._places):
            self._tell_waiting(lambda waiting: waiting.callback(None))

    def _ended(self, place: _Place, child: WorkerProcess, why: str) -> None:
        calls = self.board.bury(place.number)
        place.child = None
        if self._stopped is not None:
            self._cancel(place.timer)
            self._ended_all()
            return
        _log.error("worker_died", worker=place.number, pid=child.pid, why=why, calls_lost=calls)
        if not child.is_ready:
            self._did_not_start(place, child.last_words or why)
        if not any(each.is_ready for each in self._places):
            self._be_deaf_soon()
        if not self._draining:
            lived_s = self._reactor.seconds() - child.began_s
            delay_s = place.restarts.delay_s(lived_s)
            place.timer = self._reactor.callLater(delay_s, self._spawn, place)

    def _did_not_start(self, place: _Place, why: str) -> None:
        place.failed_starts += 1
        if place.failed_starts >= MOST_FAILED_STARTS:
            error = WorkersFailed(f"voice worker {place.number} does not start: {why}")
            self._tell_waiting(lambda waiting: waiting.errback(error))

    def _tell_waiting(self, tell: Callable[[Deferred[None]], None]) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            tell(each)

    def _ended_all(self) -> None:
        if self._stopped is not None and not any(place.child for place in self._places):
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)

    def _cancel(self, *timers: Any) -> None:
        for timer in timers:
            if timer is not None and timer.active():
                timer.cancel()

    # While there is no worker at all.

    def _be_deaf_soon(self) -> None:
        if self._deafness is None and self._port is not None:
            self._deafness = self._reactor.callLater(DEAF_S, self._port.startReading)

    def _hear_again(self) -> None:
        if self._deafness is not None:
            self._cancel(self._deafness)
            self._deafness = None
            self._port.stopReading()


def _nothing_heard(failure: Failure) -> int:
    failure.trap(TimeoutError)
    return 0


class _Deaf(Factory):
    """Takes connections only to close them."""

    noisy = False

    def buildProtocol(self, addr: object) -> None:  # noqa: ARG002  Twisted's
        return None
