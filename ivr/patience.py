"""Waiting a while for what goes on by itself, and asking again, whatever becomes of the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ivr.service import Clock
from store.database import StoreBusy, StoreUnavailable

T = TypeVar("T")

RETRY_S = 0.5  # doubled each time, up to:
RETRY_MOST_S = 10.0


class Bell:
    """Rung by somebody else, waited for by one coroutine, for a limited time."""

    def __init__(self, reactor: Clock) -> None:
        self._reactor = reactor
        self._rung = False
        self._waiter: Deferred[None] | None = None

    def ring(self) -> None:
        """Wake who waits; nobody waits: the next wait ends at once."""
        self._rung = True
        self._wake()

    async def wait(self, seconds: float) -> bool:
        """Wait until it rings; False: it did not in that time. It is then silent again."""
        if not self._rung:
            self._waiter = Deferred(self._forget)
            timer = self._reactor.callLater(max(seconds, 0), self._wake)
            try:
                await self._waiter
            finally:
                if timer.active():
                    timer.cancel()
        rung, self._rung = self._rung, False
        return rung

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)

    def _forget(self, _cancelled: Deferred[None]) -> None:
        self._waiter = None


class Pending(Generic[T]):
    """Work that is never cancelled: who gives up waiting leaves it going on.

    When `done`, either `result` is what it returned or `error` why it failed; `failed` is told of
    an error, so that none is lost when nobody waits any more.
    """

    def __init__(
        self,
        work: Deferred[T],
        reactor: Clock,
        failed: Callable[[Exception], object],
    ) -> None:
        self.done = False
        self.result: T | None = None
        self.error: Exception | None = None
        self._failed = failed
        self._bell = Bell(reactor)
        work.addCallbacks(self._succeed, self._fail)

    async def within(self, seconds: float) -> bool:
        """Wait until it is done; False: it is not in that time."""
        if not self.done:
            await self._bell.wait(seconds)
        return self.done

    def _succeed(self, result: T) -> None:
        self.result = result
        self._end()

    def _fail(self, failure: Failure) -> None:
        error = failure.value
        self.error = error if isinstance(error, Exception) else RuntimeError(repr(error))
        self._failed(self.error)
        self._end()

    def _end(self) -> None:
        self.done = True
        self._bell.ring()


class Asking(Generic[T]):
    """A request that a store which cannot do it just now is asked again and again.

    `is_due`: it was asked and has not answered, so it may still do it. `give_up` ends the asking.
    """

    def __init__(self, ask: Callable[[], Deferred[T]], reactor: Clock) -> None:
        self.is_due = True
        self._ask = ask
        self._reactor = reactor
        self._given_up = Bell(reactor)
        self._is_given_up = False

    def give_up(self) -> None:
        """Ask no more; the answer to what was asked already still counts."""
        self._is_given_up = True
        self._given_up.ring()

    async def answer(self, within_s: float) -> T:
        """Return the answer; raises the store's last error if there is none `within_s`."""
        until_s = self._reactor.seconds() + within_s
        pause_s = RETRY_S
        while True:
            try:
                return await self._ask()
            except (StoreUnavailable, StoreBusy):
                self.is_due = False
                await self._given_up.wait(pause_s)
                if self._is_given_up or self._reactor.seconds() >= until_s:
                    raise
            self.is_due = True
            pause_s = min(2 * pause_s, RETRY_MOST_S)
