"""A voice worker's life: it takes calls from its parent's word on, until another or its end."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from catalog.current import CurrentCatalogue
from catalog.snapshot import Snapshot, load_snapshot
from catalog.tones import version
from config.settings import zone
from ivr.service import VoiceService
from store.client import StoreClient
from store.database import LocalDatabase
from store.engine import reader_for
from store.kept import KeptRequests
from toneline.garbage import collect_seldom
from toneline.logs import configure_logs
from toneline.sources import now
from toneline.voice import VoicePlan, kept_requests, operator_of, voice_service
from toneline.workers import talk
from toneline.workers.board import BEAT_S, Board
from toneline.workers.talk import Begin, Begun, Drain, Drained, End, Hearing, Word, said
from toneline.workers.turns import FairEndpoint

log = structlog.get_logger()


class Worker:
    """Does what its parent says; `tell` answers it, `leave` ends the process with a status."""

    def __init__(
        self, reactor: Any, tell: Callable[[Word], None], leave: Callable[[int], None]
    ) -> None:
        self._reactor = reactor
        self._tell = tell
        self._leave = leave
        self._services: list[Service] = []  # in the order in which they start
        self._database: StoreClient | None = None
        self._kept: KeptRequests | None = None
        self._voice: VoiceService | None = None

    def obey(self, word: Word) -> None:
        """Do what a word of the parent's says."""
        match word:
            case Begin():
                Deferred.fromCoroutine(self._begin(word))
            case Drain(deadline_s):
                Deferred.fromCoroutine(self._drain(deadline_s))
            case End():
                Deferred.fromCoroutine(self._end())

    def orphaned(self) -> None:
        """End: without a parent, and its store, nothing can be done for a call.

        What the store has not answered is kept for the next line.
        """
        if self._voice is not None:  # before that there is no log
            log.error("parent_gone", calls_lost=self._voice.calls_live)
        Deferred.fromCoroutine(self._keep_all()).addBoth(lambda _: self._leave(1))

    async def _keep_all(self) -> None:
        if self._database is not None and self._database.running:
            self._database.stopService().cancel()
        if self._kept is not None and self._kept.running:
            await self._kept.stopService()

    async def _begin(self, begin: Begin) -> None:
        configure_logs(
            begin.plan.settings.log.level,
            begin.plan.settings.log.format,
            Lines(talk.LOGS),
            {"worker": begin.worker},
        )
        try:
            await self._take_calls(begin)
        except Exception as error:  # the edge of the process: whatever it is, say it and end
            log.exception("worker_cannot_start")
            sys.stderr.write(f"{error}\n")
            self._leave(1)
        else:
            self._tell(Begun())

    async def _take_calls(self, begin: Begin) -> None:
        plan, reactor = begin.plan, self._reactor
        self._database = database = StoreClient(reactor, begin.store_socket, begin.store_modules)
        catalogue = CurrentCatalogue(database, _read_catalogue(plan), reactor, now)
        self._kept = kept = kept_requests(database, begin.store_modules, plan.folders, reactor)
        board = Board(talk.BOARD, begin.workers)
        row = board.rows[begin.worker - 1]
        port = AdoptedStreamServerEndpoint(reactor, talk.PORT, begin.family)
        endpoint: Any = FairEndpoint(port, board.room(begin.worker), reactor)
        self._voice = voice_service(
            plan,
            endpoint,
            database,
            kept,
            catalogue,
            operator_of(plan.settings, database, reactor),
            reactor,
            counts=row.counts,
            calls_elsewhere=board.calls_of_others(begin.worker),
        )

        def beat() -> None:
            row.beat_s = time.monotonic()

        LoopingCall(beat).start(BEAT_S)
        self._services += [kept, database, catalogue, self._voice]
        database.startService()
        await database.run(version)  # before the first caller needs the store
        catalogue.startService()
        kept.startService()
        collect_seldom()
        self._voice.startService()
        await self._voice.bound()

    async def _drain(self, deadline_s: float) -> None:
        self._tell(Drained(0 if self._voice is None else await self._voice.drain(deadline_s)))

    async def _end(self) -> None:
        for service in reversed(self._services):
            if service.running:
                try:
                    await maybeDeferred(service.stopService)
                except Exception:  # the edge of the process: whatever it is, go on ending
                    log.exception("not_stopped", service=type(service).__name__)
        self._leave(0)


def _read_catalogue(plan: VoicePlan) -> Snapshot:
    """Read it past the store: a million tones take seconds, and nobody waits for a reader."""
    with closing(LocalDatabase(reader_for(plan.folders.database_url))) as database:
        return load_snapshot(database, plan.branches, zone(plan.settings), now())


class Lines(io.TextIOWrapper):
    """A pipe for log lines; one that nobody reads any more is no reason for a call to fail."""

    def __init__(self, fileno: int) -> None:
        super().__init__(os.fdopen(fileno, "wb"), encoding="utf-8")

    def write(self, text: str, /) -> int:
        """Write; see `io.TextIOBase`."""
        with suppress(BrokenPipeError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Send what was written."""
        with suppress(BrokenPipeError):
            super().flush()


class _Parent(Protocol):
    """The pipes to and from the parent."""

    transport: Any

    def __init__(self, reactor: Any, leave: Callable[[int], None]) -> None:
        self._hearing = Hearing()
        self._worker = Worker(reactor, lambda word: self.transport.write(said(word)), leave)

    def dataReceived(self, data: bytes) -> None:
        for word in self._hearing.hear(data):
            self._worker.obey(word)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  Twisted's
        self._worker.orphaned()


def run() -> None:
    """Be a worker until the parent says so or ends."""
    from twisted.internet import reactor  # noqa: PLC0415  importing it installs it

    running: Any = reactor
    StandardIO(_Parent(running, _leave))
    running.run(installSignalHandlers=False)


def _leave(status: int) -> None:
    # At once: calls that were left would raise whatever is in their way out of the interpreter.
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)
