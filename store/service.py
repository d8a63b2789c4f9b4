"""Starts the store process, restarts it when it dies, and ends it: a Twisted service."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

LONGEST_SOCKET_PATH = 107  # bytes; sockaddr_un has room for 108 with the final NUL
STANDBY_AFTER_S = 5.0
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 5.0
SETTLED_S = 10.0
"""A process that lived so long was well: the next death starts the back-off anew."""
END_S = 5.0
"""How long an ending process may take before it is killed."""

_log = structlog.get_logger()


class StoreService(Service):
    """The store process and its standby.

    Python and SQLAlchemy take about a second to import, so a second process that has done so waits:
    when the first dies the standby serves within some 20 ms, and a new standby is started.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        packages: Sequence[str],
        standby_after_s: float = STANDBY_AFTER_S,
    ) -> None:
        self._reactor = reactor
        self._url = url
        self._packages = packages
        self._standby_after_s = standby_after_s
        self._directory = _private_directory()
        self._active: _Child | None = None
        self._standby: _Child | None = None
        self._timers: set[Any] = set()
        self._backoff_s = 0.0
        self._stopped: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    @property
    def socket_path(self) -> str:
        """Where `StoreClient`s of this host connect."""
        return os.path.join(self._directory, "store.sock")

    @property
    def pid(self) -> int | None:
        """The process that serves now."""
        return None if self._active is None else self._active.pid

    def health(self) -> tuple[str, str]:
        """Return a word (`ok`, `starting`, `stopped`) and a detail for people."""
        if not self.running:
            return "stopped", ""
        if self._active is None or not self._active.is_ready:
            return "starting", f"again in {self._backoff_s:.1f} s" if self._backoff_s else ""
        return "ok", f"pid {self._active.pid}"

    def ready(self) -> Deferred[None]:
        """Return a Deferred that fires when a process serves."""
        waiting: Deferred[None] = Deferred()
        if self._active is not None and self._active.is_ready:
            waiting.callback(None)
        else:
            self._waiting.append(waiting)
        return waiting

    def startService(self) -> None:  # noqa: N802  the name is Twisted's
        """Start the process."""
        super().startService()
        self._stopped = None
        self._serve()

    def stopService(self) -> Deferred[None]:  # noqa: N802  the name is Twisted's
        """End the processes: what they have received is done first; kill them after `END_S`."""
        super().stopService()
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for child in (self._active, self._standby):
            if child is not None:
                child.end()
                self._later(END_S, child.kill)
        self._ended_all()
        return stopped

    def _serve(self) -> None:
        child = self._standby or self._spawn()
        self._active, self._standby = child, None
        child.serve(self._url, self.socket_path)

    def _prepare_standby(self) -> None:
        if self._standby is None:
            self._standby = self._spawn()

    def _spawn(self) -> _Child:
        child = _Child(self._is_ready, self._ended, self._reactor.seconds())
        arguments = [sys.executable, "-m", "store.process", *self._packages]
        self._reactor.spawnProcess(child, sys.executable, arguments, env=None)
        return child

    def _is_ready(self, child: _Child) -> None:
        if not self.running:
            return
        _log.info("store_ready", pid=child.pid)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
        self._later(self._standby_after_s, self._prepare_standby)

    def _ended(self, child: _Child, why: str) -> None:
        if child is self._standby:
            self._standby = None
        if self._stopped is not None:
            self._active = None if child is self._active else self._active
            self._ended_all()
        elif child is self._active:
            self._active = None
            _log.error("store_process_died", pid=child.pid, why=why)
            self._restart(self._reactor.seconds() - child.started_at)

    def _restart(self, lived_s: float) -> None:
        if lived_s >= SETTLED_S:
            self._backoff_s = 0.0
        if self._backoff_s == 0.0:
            self._serve()
        else:
            self._later(self._backoff_s, self._serve)
        self._backoff_s = min(max(self._backoff_s * 2, FIRST_BACKOFF_S), LONGEST_BACKOFF_S)

    def _ended_all(self) -> None:
        if self._stopped is None or self._active is not None or self._standby is not None:
            return
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        shutil.rmtree(self._directory, ignore_errors=True)
        stopped, self._stopped = self._stopped, None
        stopped.callback(None)

    def _later(self, delay_s: float, function: Callable[[], None]) -> None:
        def call() -> None:
            self._timers.discard(timer)
            function()

        timer = self._reactor.callLater(delay_s, call)
        self._timers.add(timer)


class _Child(ProcessProtocol):
    """One `python -m store.process`, from its start to its end."""

    transport: Any

    def __init__(
        self,
        ready: Callable[[_Child], None],
        ended: Callable[[_Child, str], None],
        started_at: float,
    ) -> None:
        self.started_at = started_at
        self.is_ready = False
        self.pid: int | None = None
        self._ready = ready
        self._ended = ended
        self._errors = b""

    def connectionMade(self) -> None:  # noqa: N802  the name is Twisted's
        self.pid = self.transport.pid

    def serve(self, url: str, socket_path: str) -> None:
        orders = json.dumps({"url": url, "socket": socket_path})
        self.transport.write(orders.encode() + b"\n")

    def end(self) -> None:
        self.transport.closeStdin()

    def kill(self) -> None:
        with contextlib.suppress(Exception):  # it ended in this very moment
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:  # noqa: N802  the name is Twisted's
        if not self.is_ready and b"ready" in data:
            self.is_ready = True
            self._ready(self)

    def errReceived(self, data: bytes) -> None:  # noqa: N802  the name is Twisted's
        *lines, self._errors = (self._errors + data).split(b"\n")
        for line in lines:
            _log.warning("store_process", pid=self.pid, said=line.decode(errors="replace"))

    def processEnded(self, reason: Failure) -> None:  # noqa: N802  the name is Twisted's
        self._ended(self, reason.getErrorMessage())


def _private_directory() -> str:
    # Only this user may enter it; its name is short enough for a socket even if TMPDIR's is long.
    directory = tempfile.mkdtemp(prefix="toneline-")
    if len(os.fsencode(directory)) + len("/store.sock") > LONGEST_SOCKET_PATH:
        os.rmdir(directory)
        directory = tempfile.mkdtemp(prefix="toneline-", dir="/tmp")  # noqa: S108  mkdtemp is private
    return directory
