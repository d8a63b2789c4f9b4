"""A process from its start to its end: ready line, signals, drain."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError

from config.settings import Settings
from smpp.smsc_rules import Script
from toneline.app import App
from toneline.garbage import collect_seldom
from toneline.logs import configure_logs
from toneline.prepare import CannotStart, prepare
from toneline.wiring import SERVICES, build, simulator_app

__all__ = ["SERVICES", "serve", "serve_simulator"]

log = structlog.get_logger()

SECOND_SIGNAL_S = 1.0
"""Ctrl-C reaches a child of make twice at once; only a later signal is a second one."""


def serve(
    settings: Settings, chosen: Sequence[str], workers: int = 0, config: Path | None = None
) -> int:
    """Run the chosen services until a signal; return the process' status.

    `workers` voice processes take the calls; 0: this one does. `config` is the file that was named.
    """
    configure_logs(settings.log.level, settings.log.format)
    try:
        prepared = prepare(
            settings,
            lambda said: log.info("preparing", step=said),
            publishes=settings.paths.publish and "scheduler" in chosen,
        )
    except CannotStart as refused:
        return _refuse(refused.errors)
    reactor = _reactor()
    app = build(prepared, chosen, reactor, workers)
    return Process(app, reactor, ready_line(settings, chosen, config)).run()


def serve_simulator(settings: Settings, script: Script) -> int:
    """Run the SMSC simulator alone until a signal; return the process' status."""
    configure_logs(settings.log.level, settings.log.format)
    reactor = _reactor()
    simulator = settings.simulator
    line = f"ready: SMSC simulator on {simulator.listen}, HTTP on {simulator.http}"
    return Process(simulator_app(settings, script, reactor), reactor, line).run()


def _refuse(errors: Sequence[str]) -> int:
    for error in errors:
        sys.stderr.write(f"{error}\n")
    return 1


def _reactor() -> Any:
    # On Linux it is the epoll one, the fastest with AGI: 1.6 times the asyncio one (docs/adr).
    from twisted.internet import reactor  # noqa: PLC0415  importing it installs it

    return reactor


def ready_line(settings: Settings, chosen: Sequence[str], config: Path | None) -> str:
    """Return what `serve` says when it answers: how to dial and text what runs here."""
    number, program = settings.line.access_numbers[0], ".venv/bin/toneline"
    named = "" if config is None else f" --config {shlex.quote(str(config))}"
    said, to_try = [], []
    if "voice" in chosen:
        said.append(f"dial {number} through {settings.agi.listen}")
        to_try.append(f"{program} phone {number}1029 --from 13905250001 --keys 1,1{named}")
    if "sms" in chosen and not settings.smsc:
        said.append(f"text {settings.sms.short_codes[0]} through {settings.simulator.http}")
        to_try.append(f"{program} text 1029 --from 13905250001{named}")
    does = ", ".join(said) or " and ".join(chosen)
    return f"ready: {does}" + (f"; try: {' and '.join(to_try)}" if to_try else "")


class Process:
    """The services and the reactor that runs them, from the first to the last."""

    def __init__(
        self,
        app: App,
        reactor: Any,
        ready_line: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._reactor = reactor
        self._ready_line = ready_line
        self._monotonic = monotonic
        self._status = 0
        self._ending: Deferred[None] | None = None
        self._signalled_at = 0.0
        self._starting: Deferred[None] | None = None

    def run(self) -> int:
        """Run until a signal, or until a service cannot start; return the status."""
        self._reactor.callWhenRunning(self._start)
        self._reactor.run()
        return self._status

    def _start(self) -> None:
        # After the reactor's own handlers, which would stop it in mid-call.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)
        self._starting = Deferred.fromCoroutine(self._started())

    async def _started(self) -> None:
        try:
            await self._app.start()
        except CancelledError:
            return
        except CannotListenError as error:
            self._fail(
                f"cannot listen on {error.interface}:{error.port}: {error.socketError};"
                " is another line running?"
            )
        except Exception as error:  # the edge of the process: whatever it is, say it and end
            log.exception("cannot_start")
            self._fail(f"cannot start: {error}")
        else:
            collect_seldom()
            sys.stdout.write(f"{self._ready_line}\n")
            sys.stdout.flush()

    def _fail(self, sentence: str) -> None:
        self._status = 1
        sys.stderr.write(f"{sentence}\n")
        self._end(at_once=True)

    def _signalled(self, number: int, _frame: object) -> None:
        self._reactor.callFromThread(self._on_signal, signal.Signals(number).name)

    def _on_signal(self, name: str) -> None:
        now = self._monotonic()
        if self._ending is None:
            log.info("ending", signal=name)
            self._signalled_at = now
            self._end(at_once=False)
        elif now - self._signalled_at >= SECOND_SIGNAL_S:
            log.warning("ending_at_once", signal=name)
            self._ending.cancel()
            Deferred.fromCoroutine(self._last(at_once=True))

    def _end(self, *, at_once: bool) -> None:
        self._ending = Deferred.fromCoroutine(self._last(at_once=at_once))

    async def _last(self, *, at_once: bool) -> None:
        if self._starting is not None:
            self._starting.cancel()
        with suppress(CancelledError):
            if not at_once:
                await self._app.drain()
            await self._app.stop()
            if self._reactor.running:
                self._reactor.stop()
