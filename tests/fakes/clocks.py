"""A clock for services with threads: time stands still, and threads' calls wait to be let in."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

WAIT_S = 20.0


def at_once() -> Deferred[None]:
    """Rest for no time at all."""
    return succeed(None)


class ThreadedClock(Clock):
    """Twisted's Clock, and callFromThread: what a thread wants done is done by :meth:`until`."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted: queue.Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = queue.Queue()

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> None:
        """Let the test's own thread do it."""
        self._wanted.put((callable, args))

    def until(self, condition: Callable[[], bool]) -> None:
        """Do what threads want done until the condition holds."""
        while not condition():
            function, values = self._wanted.get(timeout=WAIT_S)
            function(*values)
