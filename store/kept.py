"""Requests that must not be lost with this process: on its disk until the store has done them.

Callers are told that their order is accepted though the database is away just then, and what they
heard must be on record. Whoever cannot have such a request done now has it kept: it is on the disk
before he goes on. It is done as soon as the store can, by this process or by the next one that
looks into the folder. It may be done twice, as any request to the store: it is idempotent.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.python.failure import Failure

from store.database import AWAY, Database
from store.kept_file import ASIDE, ENDING, KeptFile, size_of
from store.kept_round import Round
from store.wire import Codec

T = TypeVar("T")

PATIENCE_S = 1.5
"""What the store has not answered so long is kept; it may still do it, and then does it twice."""
RETRY_S, RETRY_MOST_S = 1.0, 10.0
"""After so long what is kept is tried again, doubled each time it is in vain, up to so long."""
LOOK_S = 30.0
"""So often a process looks for what a dead one has left in the folder."""
STOP_S = 5.0
"""So long an end waits for the disk."""

_log = structlog.get_logger()


class NotKept(Exception):
    """A request is neither done nor on the disk; the sentence says why."""


class Keeper(Protocol):
    """What is needed of `KeptRequests`.

    Functions are as for `store.database.Database.run`, write, and take the time as their last
    value, which is not given: it is the moment when they are done.
    """

    async def surely(self, function: Callable[..., T], *values: Any) -> T | None:
        """Have it done now, or keep it: then None.

        Raises:
            StoreError: it was refused.
            NotKept: it is lost with this process, if that ends now.
        """

    async def keep(self, function: Callable[..., object], *values: Any) -> None:
        """Return when it is on the disk.

        Raises:
            NotKept: it is not.
        """


class KeptRequests(Service):
    """A `Keeper` with its folder; `in_thread` runs what waits for the disk.

    It is to be stopped after `database`, which fails what it could not do at its end. `waiting` are
    the octets in all files of the folder, also those of other processes, and `failed` the files put
    aside, when it last looked.
    """

    def __init__(
        self,
        database: Database,
        packages: Iterable[str],
        folder: Path,
        reactor: Any,
        clock: Callable[[], datetime],
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self.waiting = self.failed = 0
        self._database = database
        self._codec = Codec(packages)
        self._folder = folder
        self._reactor = reactor
        self._clock = clock
        self._in_thread = in_thread
        self._numbers = itertools.count()
        self._unwritten: list[tuple[bytes, Deferred[None]]] = []
        self._is_writing = self._is_at_work = False
        self._idle: list[Deferred[None]] = []  # of who waits for the end of both
        self._file: KeptFile | None = None  # what is kept now goes there
        self._files: list[KeptFile] = []  # others, to be done
        self._told: set[Path] = set()  # that they are of no use to us
        self._timer: Any = None
        self._pause_s = RETRY_S

    def health(self) -> tuple[bool, str]:
        """Whether all is well, and a word about it for /healthz: what waits harms no call."""
        return True, f"{self.waiting} octets wait for the store, {self.failed} files failed"

    def startService(self) -> None:
        """Begin with what was kept before."""
        super().startService()
        self._soon(0)

    async def surely(self, function: Callable[..., T], *values: Any) -> T | None:
        """See `Keeper`."""
        asked: Deferred[T] = self._database.run(function, *values, self._clock())
        try:
            return await asked.addTimeout(PATIENCE_S, self._reactor)
        except (*AWAY, TimeoutError):
            await self.keep(function, *values)
            return None

    async def keep(self, function: Callable[..., object], *values: Any) -> None:
        """See `Keeper`."""
        kept: Deferred[None] = Deferred()
        self._unwritten.append((self._codec.request(0, function, values), kept))
        if not self._is_writing:
            self._is_writing = True
            Deferred.fromCoroutine(self._write()).addErrback(_log_failure)
        await kept

    def stopService(self) -> Deferred[None]:
        """Let what is to be kept reach the disk, and leave the rest to the next process."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._cancel_timer()
        if self._is_writing or self._is_at_work:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            with suppress(TimeoutError):
                await idle.addTimeout(STOP_S, self._reactor)
        if self._is_writing or self._is_at_work:
            _log.error("requests_not_kept", count=len(self._unwritten), reason="the disk hangs")
            return
        for file in self._all_files():
            file.let_go()
        self._files, self._file = [], None

    def _notice_idle(self) -> None:
        if not self._is_writing and not self._is_at_work:
            idle, self._idle = self._idle, []
            for one in idle:
                one.callback(None)

    def _all_files(self) -> tuple[KeptFile, ...]:
        return (*self._files, *([] if self._file is None else [self._file]))

    # ---------------------------------------------------------------- to the disk

    async def _write(self) -> None:
        while self._unwritten:
            asked, self._unwritten = self._unwritten, []
            frames = b"".join(frame for frame, _ in asked)
            try:
                await self._in_thread(self._append, frames)
            except Exception as error:  # whatever it is, those who wait must hear of it
                _log.exception("requests_not_kept", count=len(asked), reason=str(error))
                for _, kept in asked:
                    kept.errback(NotKept(f"the store is away, and so is the disk: {error}"))
            else:
                self.waiting += len(frames)
                for _, kept in asked:
                    kept.callback(None)
        self._is_writing = False
        if self.running:
            self._soon(self._pause_s)
        self._notice_idle()

    def _append(self, frames: bytes) -> None:
        if self._file is not None and self._file.is_broken:
            self._files.append(self._file)
            self._file = None
        if self._file is None:
            name = f"{self._clock():%Y%m%dT%H%M%S}-{os.getpid()}-{next(self._numbers)}"
            self._file = KeptFile.create(self._folder / f"{name}{ENDING}")
        self._file.append(frames)

    # ---------------------------------------------------------------- to the store

    def _soon(self, delay_s: float) -> None:
        """Work after so long, if not sooner."""
        if self._is_at_work:
            return  # which looks once more at its end
        at_s = self._reactor.seconds() + delay_s
        if self._timer is not None and self._timer.active() and self._timer.getTime() <= at_s:
            return
        self._cancel_timer()
        self._timer = self._reactor.callLater(delay_s, self._work)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _work(self) -> None:
        self._is_at_work = True
        round_ = Round(self._ask, self._in_thread, lambda: bool(self.running))
        doing = Deferred.fromCoroutine(self._do_all(round_))
        doing.addErrback(_log_failure).addBoth(lambda _: self._rest(round_))

    def _rest(self, round_: Round) -> None:
        self._is_at_work = False
        if round_.done or round_.failed:
            _log.info("kept_requests_done", count=round_.done, failed=round_.failed)
            self._pause_s = RETRY_S
        if self.running and self._all_files():
            self._soon(self._pause_s)
            self._pause_s = min(2 * self._pause_s, RETRY_MOST_S)
        elif self.running:
            self._pause_s = RETRY_S
            self._soon(LOOK_S)
        self._notice_idle()

    async def _do_all(self, round_: Round) -> None:
        self._files += await self._in_thread(self._adopted)
        for file in self._all_files():
            if not await round_.do(file):
                break
            if not file.left:
                await self._end(file)
        await self._in_thread(self._measure)

    async def _ask(self, body: bytes) -> Any:
        function, values = self._codec.asked(body)
        return await self._database.run(function, *values, self._clock())

    def _adopted(self) -> list[KeptFile]:
        """Take over what dead processes have left."""
        self._measure()
        mine = {file.path for file in self._all_files()}
        found = []
        for path in sorted(self._folder.glob(f"*{ENDING}")):
            if path in mine or path in self._told:
                continue
            try:
                file = KeptFile.adopt(path)
            except OSError as error:
                self._tell(path, error)
                continue
            if file is not None:
                found.append(file)
                _log.warning("kept_requests_found", file=str(path))
        return found

    def _measure(self) -> None:
        self.waiting = sum(size_of(path) for path in self._folder.glob(f"*{ENDING}"))
        self.failed = sum(1 for _ in self._folder.glob(f"*{ASIDE}"))

    def _tell(self, path: Path, error: Exception) -> None:
        self._told.add(path)
        _log.error("kept_requests_unusable", file=str(path), reason=str(error))

    async def _end(self, file: KeptFile) -> None:
        if file is self._file:
            if self._is_writing or not (file.is_read or file.is_broken):
                return  # it has got more
            self._file = None
        else:
            self._files.remove(file)
        try:
            await self._in_thread(file.end)
        except OSError as error:
            self._tell(file.path, error)


def _log_failure(failure: Failure) -> None:
    _log.error("kept_requests_stuck", error=failure.getErrorMessage(), trace=failure.getTraceback())
