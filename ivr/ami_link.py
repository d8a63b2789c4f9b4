"""Staying connected to Asterisk's manager: connect, and again with back-off whenever it is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from ivr.ami import AmiError, Headers, OnEvent
from ivr.ami_connection import NotSent, Reactor

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Connection(Protocol):
    """A connection to Asterisk's manager (:class:`ivr.ami_connection.AmiConnection`)."""

    def open(self) -> Deferred[str]: ...  # noqa: D102 - as in AmiConnection
    def send(self, action: Headers) -> Deferred[Headers]: ...  # noqa: D102 - as in AmiConnection
    def close(self) -> Deferred[None]: ...  # noqa: D102 - as in AmiConnection


Connect = Callable[[OnEvent, Callable[[str], None]], Connection]
"""Makes an unopened connection of what to call with each event, and with why it was lost."""


class AmiLink:
    """One connection after another. ``where`` is Asterisk's host, for the log.

    Its owner sets ``on_event``, ``on_connected`` and ``on_lost`` (with the reason) before the
    start.
    """

    def __init__(
        self,
        connect: Connect,
        reactor: Reactor,
        where: str,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.on_event: OnEvent = lambda _: None
        self.on_connected: Callable[[], None] = lambda: None
        self.on_lost: Callable[[str], None] = lambda _: None
        self.detail = "not connected yet"
        self._connect = connect
        self._reactor = reactor
        self._where = where
        self._jitter = jitter
        self._connection: Connection | None = None
        self._is_wanted = False
        self._staying: Deferred[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether an action can be sent now."""
        return self._connection is not None

    def start(self) -> None:
        """Begin to connect."""
        self._is_wanted = True
        self._staying = Deferred.fromCoroutine(self._stay_connected())

    def stop(self) -> Deferred[None]:
        """End the connection and connect no more; answers when its threads have ended."""
        self._is_wanted = False
        staying, self._staying = self._staying, None
        if staying is None:
            return defer.succeed(None)
        staying.cancel()
        return staying

    def send(self, action: Headers) -> Deferred[Headers]:
        """Send an action; see :meth:`ivr.ami_connection.AmiConnection.send`."""
        if self._connection is None:
            return defer.fail(NotSent("not connected"))
        return self._connection.send(action)

    async def _stay_connected(self) -> None:
        failures = 0
        with suppress(CancelledError):
            while True:
                failures = 0 if await self._one_connection() else failures + 1
                if not self._is_wanted:  # an opening that was given up is an AmiError as well
                    return
                pause_s = min(FIRST_PAUSE_S * 2.0 ** min(failures, 10), LONGEST_PAUSE_S)
                await deferLater(self._reactor, pause_s * (1 - self._jitter() / 2))  # type: ignore[arg-type]  # zope, see Reactor

    async def _one_connection(self) -> bool:
        """Connect and stay until the connection is lost; False: there never was one."""
        lost: Deferred[str] = Deferred()
        connection = self._connect(self._hear, lost.callback)
        try:
            who = await connection.open()
            self._connection, self.detail = connection, who
            _log.info("ami_connected", host=self._where, who=who)
            self.on_connected()
            reason = await lost
        except AmiError as error:
            self._note_down("ami_unreachable", str(error))
            return False
        else:
            self._connection = None
            self._note_down("ami_lost", reason)
            self.on_lost(reason)
            return True
        finally:
            self._connection = None
            await connection.close()

    def _hear(self, headers: Headers) -> None:
        self.on_event(headers)

    def _note_down(self, event: str, reason: str) -> None:
        if reason != self.detail:  # once, not at every attempt
            _log.warning(event, host=self._where, reason=reason)
        self.detail = reason
