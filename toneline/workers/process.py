"""One voice worker as its parent sees it: what it is told, tells, logs and complains of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from toneline.workers import talk
from toneline.workers.talk import Begun, Drain, Drained, End, Hearing, Word, said

_log = structlog.get_logger()


class WorkerProcess(ProcessProtocol):
    """One `python -m toneline.workers`, from its start to its end.

    `on_begun` is called when it takes calls, `on_end` with why when it has ended; `relay` is given
    whole lines of its log. `last_words`: what Python itself complained of last.
    """

    transport: Any
    on_begun: Callable[[], None]
    on_end: Callable[[str], None]

    def __init__(self, number: int, began_s: float, relay: Callable[[str], object]) -> None:
        self.began_s = began_s
        self.is_ready = False
        self.pid: int | None = None
        self.last_words = ""
        self._number = number
        self._relay = relay
        self._hearing = Hearing()
        self._lines = {talk.COMPLAINS: b"", talk.LOGS: b""}
        self._draining: Deferred[int] | None = None

    def connectionMade(self) -> None:
        """Note its id; Twisted's, as those below."""
        self.pid = self.transport.pid

    def say(self, word: Word) -> None:
        """Tell it something."""
        self.transport.write(said(word))

    def drain(self, deadline_s: float) -> Deferred[int]:
        """Tell it to; the Deferred fires with the calls cut, or with 0 when it ends."""
        draining: Deferred[int] = Deferred()
        if self.is_ready:
            self._draining = draining
            self.say(Drain(deadline_s))
        else:
            self.end()
            draining.callback(0)
        return draining

    def end(self) -> None:
        """Stop it: one that takes no calls yet has nothing to finish."""
        if self.is_ready:
            self.say(End())
        else:
            self.kill()

    def kill(self) -> None:
        """Stop it, whatever it does."""
        with suppress(Exception):  # it ended in this very moment
            self.transport.signalProcess("KILL")

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Hear its words, and pass on what it logs."""
        if childFD == talk.TELLS:
            for word in self._hearing.hear(data):
                self._heard(word)
        elif lines := self._whole_lines(childFD, data):
            if childFD == talk.LOGS:
                self._relay(lines)
            else:
                self.last_words = lines.rpartition("\n")[2]
                _log.warning("worker_said", worker=self._number, pid=self.pid, said=lines)

    def processEnded(self, reason: Failure) -> None:
        """Tell that it has ended, after all that it wrote."""
        self._has_drained(0)
        self.on_end(reason.getErrorMessage())

    def _heard(self, word: Word) -> None:
        match word:
            case Begun():
                self.is_ready = True
                self.on_begun()
            case Drained(cut):
                self._has_drained(cut)

    def _has_drained(self, cut: int) -> None:
        draining, self._draining = self._draining, None
        if draining is not None and not draining.called:
            draining.callback(cut)

    def _whole_lines(self, childFD: int, data: bytes) -> str:
        # Without the last newline, which who writes them adds.
        lines, _, self._lines[childFD] = (self._lines[childFD] + data).rpartition(b"\n")
        return lines.decode(errors="replace")
