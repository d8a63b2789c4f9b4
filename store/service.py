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
from uuid import uuid4

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from store.engine import StoreError
from store.restarts import MOST_FAILED_STARTS, Restarts

LONGEST_SOCKET_PATH = 107  # bytes; sockaddr_un has room for 108 with the final NUL
STANDBY_AFTER_S = 5.0
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
        self._directory = _private_name()
        self._active: _Child | None = None
        self._standby: _Child | None = None
        self._timers: set[Any] = set()
        self._restarts = Restarts()
        self._stopped: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._failed_starts = 0

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
            backoff_s = self._restarts.backoff_s
            return "starting", f"again in {backoff_s:.1f} s" if backoff_s else ""
        return "ok", f"pid {self._active.pid}"

    def ready(self) -> Deferred[None]:
        """Return a Deferred that fires when a process serves.

        Fails with:
            StoreError: it ended `MOST_FAILED_STARTS` times before it served.
        """
        waiting: Deferred[None] = Deferred()
        if self._active is not None and self._active.is_ready:
            waiting.callback(None)
        else:
            self._waiting.append(waiting)
        return waiting

    def startService(self) -> None:
        """Start the process."""
        super().startService()
        self._stopped = None
        os.makedirs(self._directory, mode=0o700)
        self._serve()

    def stopService(self) -> Deferred[None]:
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
        child.serve(self._url, self.socket_path, self._reactor.seconds())

    def _prepare_standby(self) -> None:
        if self._standby is None:
            self._standby = self._spawn()

    def _spawn(self) -> _Child:
        child = _Child(self._is_ready, self._ended)
        arguments = [sys.executable, "-m", "store.process", *self._packages]
        self._reactor.spawnProcess(child, sys.executable, arguments, env=None)
        return child

    def _is_ready(self, child: _Child) -> None:
        if not self.running:
            return
        _log.info("store_ready", pid=child.pid)
        self._failed_starts = 0
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
            if not child.is_ready:
                self._did_not_start(child.last_words or why)
            self._restart(self._reactor.seconds() - child.serves_since)

    def _did_not_start(self, why: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= MOST_FAILED_STARTS:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.errback(StoreError(f"the store process does not start: {why}"))

    def _restart(self, lived_s: float) -> None:
        delay_s = self._restarts.delay_s(lived_s)
        if delay_s:
            self._later(delay_s, self._serve)
        else:
            self._serve()

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
        self, ready: Callable[[_Child], None], ended: Callable[[_Child, str], None]
    ) -> None:
        self.serves_since = 0.0
        self.is_ready = False
        self.pid: int | None = None
        self._ready = ready
        self._ended = ended
        self._errors = b""
        self.last_words = ""

    def connectionMade(self) -> None:
        self.pid = self.transport.pid

    def serve(self, url: str, socket_path: str, now_s: float) -> None:
        self.serves_since = now_s
        orders = json.dumps({"url": url, "socket": socket_path})
        self.transport.write(orders.encode() + b"\n")

    def end(self) -> None:
        self.transport.closeStdin()

    def kill(self) -> None:
        with contextlib.suppress(Exception):  # it ended in this very moment
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        if not self.is_ready and b"ready" in data:
            self.is_ready = True
            self._ready(self)

    def errReceived(self, data: bytes) -> None:
        *lines, self._errors = (self._errors + data).split(b"\n")
        for line in lines:
            self.last_words = line.decode(errors="replace")
            _log.warning("store_process", pid=self.pid, said=self.last_words)

    def processEnded(self, reason: Failure) -> None:
        self._ended(self, reason.getErrorMessage())


def _private_name() -> str:
    # Only this user may enter what is made there; TMPDIR may be too long for a socket's path.
    name = f"toneline-{uuid4().hex[:12]}"
    directory = os.path.join(tempfile.gettempdir(), name)
    if len(os.fsencode(directory)) + len("/store.sock") > LONGEST_SOCKET_PATH:
        return f"/tmp/{name}"  # noqa: S108  startService makes it, with mode 0700, or fails
    return directory
