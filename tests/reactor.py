"""The one reactor of the test run: tests hand it a coroutine and wait for its result.

A Twisted reactor starts once a process, so it lives in a daemon thread of its own from the first
test that needs it. What a coroutine function touches of Twisted it touches in that thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")

reactor: Any = _reactor  # the module poses as the reactor, which no stub of Twisted's tells


@cache
def _start() -> threading.Thread:
    running = threading.Event()
    thread = threading.Thread(
        target=reactor.run, kwargs={"installSignalHandlers": False}, name="reactor", daemon=True
    )
    reactor.callWhenRunning(running.set)
    thread.start()
    running.wait()
    return thread


def run_in_reactor(
    coroutine_function: Callable[[], Coroutine[Any, Any, T]], timeout_s: float = 20
) -> T:
    """Run ``coroutine_function()`` in the reactor's thread and return what it returns.

    Its exception is raised here. After ``timeout_s`` it is cancelled, so that its ``finally`` runs,
    and TimeoutError is raised with the line where it stood.
    """
    _start()
    result: Future[T] = Future()
    started: list[Deferred[T]] = []
    coroutine = coroutine_function()

    def start() -> None:
        deferred = Deferred.fromCoroutine(coroutine)
        started.append(deferred)
        deferred.addCallbacks(
            result.set_result, lambda failure: result.set_exception(_error(failure))
        )

    reactor.callFromThread(start)
    try:
        return result.result(timeout_s)
    except TimeoutError:
        if result.done():
            raise
    where = _where(coroutine)
    reactor.callFromThread(started[0].cancel)
    raise TimeoutError(f"no result within {timeout_s} s: waits at {where}")


def _error(failure: Failure) -> BaseException:
    error = failure.value
    return error if error is not None else RuntimeError(str(failure))


def _where(coroutine: Coroutine[Any, Any, Any]) -> str:
    """The innermost frame of ours in which ``coroutine`` waits."""
    where = "its start"
    awaited: Any = coroutine
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        awaited = awaited.cr_await
    return where


def leftovers() -> list[str]:
    """What still lives in the reactor: a word for each delayed call, reader and writer.

    Empty when everything a test started is gone. The reactor's own wake-up pipe is left out.
    """

    async def look() -> list[str]:
        own = reactor._internalReaders  # Twisted's own tests know it the same way
        readers = [reader for reader in reactor.getReaders() if reader not in own]
        return [
            *(f"delayed call {call}" for call in reactor.getDelayedCalls()),
            *(f"reader {reader}" for reader in readers),
            *(f"writer {writer}" for writer in reactor.getWriters()),
        ]

    return run_in_reactor(look)
