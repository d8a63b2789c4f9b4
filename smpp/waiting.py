"""waiting for something, but not for ever."""

from __future__ import annotations

from contextlib import suppress

from twisted.internet.defer import CancelledError, Deferred

from smpp.connection import Reactor


async def at_most(reactor: Reactor, seconds: float, waiting: Deferred[None]) -> None:
    """Wait, but no longer than so."""
    with suppress(CancelledError):
        call = reactor.callLater(seconds, waiting.cancel)
        try:
            await waiting
        finally:
            if call.active():
                call.cancel()
