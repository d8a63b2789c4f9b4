"""The services of one process: started one after the other, drained, stopped the last first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, TimeoutError, maybeDeferred

from ivr.originate import CallbackService
from toneline.health import HealthWord

log = structlog.get_logger()

END_S = 15.0


@dataclass(frozen=True, slots=True)
class Part:
    """A service with its name, how to wait until it works, and its word for /healthz.

    After `end_s` its end is waited for no longer: a database that hangs must not keep us here.
    """

    name: str
    service: Service
    health: HealthWord
    works: Callable[[], Awaitable[object]] | None = None
    end_s: float = END_S


class Voice(Protocol):
    """What takes the calls: a service in this process, or workers."""

    running: Any

    async def drain(self, deadline_s: float, /) -> int:
        """Let no new call in and the running ones end; return how many had to be cut."""


@dataclass(frozen=True, slots=True)
class App:
    """The services of one process, in the order in which they start."""

    parts: tuple[Part, ...]
    voice: Voice | None
    drain_s: float
    reactor: Any
    callbacks: CallbackService | None = None

    async def start(self) -> None:
        """Start one after the other; raises what kept one from working."""
        for part in self.parts:
            part.service.startService()
            if part.works is not None:
                await part.works()

    async def drain(self) -> None:
        """Take no new call and let the running ones end, `drain_s` at most.

        Before that, whoever is being called back gets the line that he answers.
        """
        if self.callbacks is not None and self.callbacks.running:
            await self.callbacks.drain(self.drain_s)
        if self.voice is not None and self.voice.running:
            cut = await self.voice.drain(self.drain_s)
            log.info("drained", cut=cut)

    async def stop(self) -> None:
        """Stop everything that runs, the last first; one that fails does not keep the others."""
        for part in reversed(self.parts):
            if part.service.running:
                ended = maybeDeferred(part.service.stopService)
                try:
                    await ended.addTimeout(part.end_s, self.reactor)
                except (CancelledError, TimeoutError):  # a second signal, or it hangs
                    log.warning("not_waited_for", service=part.name)
                except Exception:  # the edge of the process: whatever it is, go on ending
                    log.exception("not_stopped", service=part.name)
