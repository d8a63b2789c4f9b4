"""One round of asking the store for what files hold: no request holds up the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from store.database import AWAY
from store.kept_file import KeptFile
from store.wire import WireError

TOGETHER = 50
"""Requests asked of the store at once: as many as it puts into one transaction."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Round:
    """How many requests were `done`, and how many `failed` for good.

    `ask` has a request done, `in_thread` runs what waits for the disk; the round ends early when it
    no longer `goes_on`.
    """

    ask: Callable[[bytes], Coroutine[Any, Any, Any]]
    in_thread: Callable[..., Awaitable[Any]]
    goes_on: Callable[[], bool]
    done: int = 0
    failed: int = 0

    async def do(self, file: KeptFile) -> bool:
        """Have all of a file done that can be; False: the store can do nothing just now.

        What can be done only later is `left` with the file.
        """
        left, file.left = file.left, []
        while left:
            group, left = left[:TOGETHER], left[TOGETHER:]
            if not await self._do_together(file, group):
                file.left += left
                return False
        while group := await self._read(file):
            if not await self._do_together(file, group):
                return False
        return True

    async def _read(self, file: KeptFile) -> list[bytes]:
        """Return the next requests; what is none is put aside with its file."""
        try:
            read: list[bytes] = await self.in_thread(file.read, TOGETHER)
        except WireError as error:
            if not file.has_failed:
                _log.error("kept_requests_unreadable", file=str(file.path), reason=str(error))
            file.has_failed = file.is_broken = True
            return []
        return read

    async def _do_together(self, file: KeptFile, bodies: Sequence[bytes]) -> bool:
        """Have a group done; False: the store can do none of several."""
        errors = await self._errors_of(bodies)
        away = [body for body, error in errors if isinstance(error, AWAY)]
        failed = [body for body, error in errors if not isinstance(error, AWAY)]
        self.done += len(bodies) - len(errors)
        file.left += away
        for body in failed:
            await self._do_alone(file, body)
        return self.goes_on() and not 1 < len(bodies) == len(away)

    async def _do_alone(self, file: KeptFile, body: bytes) -> None:
        """Have a request done once more: one that kills the store fails all that go with it."""
        errors = await self._errors_of([body])
        self.done += not errors
        for _, error in errors:
            if isinstance(error, AWAY):
                file.left.append(body)
            else:
                file.has_failed = True
                self.failed += 1
                _log.error("kept_request_failed", file=str(file.path), reason=str(error))

    async def _errors_of(self, bodies: Sequence[bytes]) -> list[tuple[bytes, BaseException]]:
        """Ask the store for requests, all at once; return those that were not done, and why."""
        asked = [Deferred.fromCoroutine(self.ask(body)) for body in bodies]
        results = await DeferredList(asked, consumeErrors=True)
        return [
            (body, result.value)
            for body, (_, result) in zip(bodies, results, strict=True)
            if isinstance(result, Failure) and result.value is not None
        ]
