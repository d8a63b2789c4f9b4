"""Requests that must not be lost with this process: on its disk until the store has done them.

Callers are told that their order is accepted though the database is away just then, and what they
heard must be on record. Whoever cannot have such a request done now has it kept: it is on the disk
before he goes on. It is done as soon as the store can, by this process or by the next one that
looks into the folder. It may be done twice, as any request to the store: it is idempotent.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, TimeoutError
from twisted.python.failure import Failure

from store.database import Database, StoreBusy, StoreClosed, StoreUnavailable
from store.kept_file import ENDING, KeptFile
from store.wire import Codec, WireError

T = TypeVar("T")

AWAY = (StoreBusy, StoreClosed, StoreUnavailable)
"""Why a request that could be done later was not done now."""
PATIENCE_S = 5.0
"""What the store has not answered so long is kept; it may still do it, and then does it twice."""
RETRY_S, RETRY_MOST_S = 1.0, 10.0
"""After so long what is kept is tried again, doubled each time it is in vain, up to so long."""
LOOK_S = 30.0
"""So often a process looks for what a dead one has left in the folder."""
TOGETHER = 50
"""Requests asked of the store at once: as many as it puts into one transaction."""

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
    """A `Keeper` with its folder; `in_thread` runs what may wait for the disk.

    It is to be stopped after `database`, which fails what it could not do at its end.
    """

    def __init__(
        self,
        database: Database,
        packages: Iterable[str],
        folder: Path,
        reactor: Any,
        clock: Callable[[], datetime],
        in_thread: Callable[..., Awaitable[None]],
    ) -> None:
        self.waiting = 0
        self._database = database
        self._codec = Codec(packages)
        self._folder = folder
        self._reactor = reactor
        self._clock = clock
        self._in_thread = in_thread
        self._numbers = itertools.count()
        self._unwritten: list[tuple[bytes, Deferred[None]]] = []
        self._is_writing = False
        self._written: list[Deferred[None]] = []  # of who waits for the end of it
        self._file: KeptFile | None = None  # being written
        self._files: deque[KeptFile] = deque()  # to be done
        self._timer: Any = None
        self._is_at_work = False
        self._pause_s = RETRY_S

    def health(self) -> tuple[bool, str]:
        """Whether all is well, and a word about it for /healthz."""
        return True, f"{self.waiting} requests wait for the store"

    def startService(self) -> None:
        """Begin with what was kept before."""
        super().startService()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        if self._is_writing:
            written: Deferred[None] = Deferred()
            self._written.append(written)
            await written
        for file in (*self._files, self._file):
            if file is not None:
                file.let_go()
        self._files.clear()
        self._file = None

    # ---------------------------------------------------------------- to the disk

    async def _write(self) -> None:
        while self._unwritten:
            asked, self._unwritten = self._unwritten, []
            try:
                await self._in_thread(self._append, b"".join(frame for frame, _ in asked))
            except OSError as error:
                _log.error("requests_not_kept", count=len(asked), reason=str(error))
                for _, kept in asked:
                    kept.errback(NotKept(f"the store is away, and so is the disk: {error}"))
            else:
                self.waiting += len(asked)
                for _, kept in asked:
                    kept.callback(None)
        self._is_writing = False
        if self.running:
            self._soon(RETRY_S)
        waits, self._written = self._written, []
        for wait in waits:
            wait.callback(None)

    def _append(self, frames: bytes) -> None:
        if self._file is None:
            name = f"{self._clock():%Y%m%dT%H%M%S}-{os.getpid()}-{next(self._numbers)}"
            self._file = KeptFile.create(self._folder / f"{name}{ENDING}")
        self._file.append(frames)

    # ---------------------------------------------------------------- to the store

    def _soon(self, delay_s: float) -> None:
        if self._is_at_work:
            return  # which looks once more at its end
        self._cancel_timer()
        self._timer = self._reactor.callLater(delay_s, self._work)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _work(self) -> None:
        self._is_at_work = True
        Deferred.fromCoroutine(self._do_all()).addErrback(_log_failure).addBoth(self._rest)

    def _rest(self, _done: object) -> None:
        self._is_at_work = False
        if not self.running:
            return
        if self._files or self._file is not None:
            self._soon(self._pause_s)
            self._pause_s = min(2 * self._pause_s, RETRY_MOST_S)
        else:
            self._pause_s = RETRY_S
            self._soon(LOOK_S)

    async def _do_all(self) -> None:
        self._adopt()
        if self._file is not None and not self._is_writing:
            self._files.append(self._file)
            self._file = None
        before = self.waiting
        while self._files and await self._do(self._files[0]):
            self._files.popleft().end()
        if before > self.waiting:
            _log.info("kept_requests_done", count=before - self.waiting, left=self.waiting)

    def _adopt(self) -> None:
        """Take over what dead processes have left."""
        mine = {file.path for file in (*self._files, self._file) if file is not None}
        for path in sorted(self._folder.glob(f"*{ENDING}")):
            found = KeptFile.adopt(path) if path not in mine else None
            if found is not None:
                count = len(_requests(found))
                self.waiting += count
                self._files.append(found)
                _log.warning("kept_requests_found", count=count, file=str(path))

    async def _do(self, file: KeptFile) -> bool:
        """Have all of a file done; False: the store cannot just now."""
        bodies = _requests(file)
        while file.done < len(bodies):
            group = bodies[file.done : file.done + TOGETHER]
            results = await DeferredList([self._ask(body) for body in group], consumeErrors=True)
            errors = [result.value for _, result in results if isinstance(result, Failure)]
            if not self.running or any(isinstance(error, AWAY) for error in errors):
                return False
            for error in errors:
                file.has_failed = True
                aside = f"it is in a file beside {file.path}"
                _log.error("kept_request_failed", reason=str(error), todo=aside)
            file.done += len(group)
            self.waiting -= len(group)
        return True

    def _ask(self, body: bytes) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._asked(body))

    async def _asked(self, body: bytes) -> Any:
        function, values = self._codec.asked(body)
        return await self._database.run(function, *values, self._clock())


def _requests(file: KeptFile) -> list[bytes]:
    """Return the requests of a file; one that is no such file is put aside with its alarm."""
    try:
        return file.requests()
    except (OSError, WireError) as error:
        file.has_failed = True
        _log.error("kept_requests_unreadable", file=str(file.path), reason=str(error))
        return []


def _log_failure(failure: Failure) -> None:
    _log.error("kept_requests_stuck", error=failure.getErrorMessage(), trace=failure.getTraceback())
