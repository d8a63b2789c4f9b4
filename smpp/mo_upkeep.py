"""what MOs need besides an answer, once a second: parts that never came, responses that left"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from smpp.mo import MoService
from store.database import StoreError

log = structlog.get_logger()

EVERY_S = 1.0


class MoUpkeep(Service):
    """Looks after what a `MoService` answers; ends before the SMSCs' connections do."""

    def __init__(self, mo: MoService, reactor: Any) -> None:
        self._mo = mo
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._loop.clock = reactor
        self.failures = 0

    def startService(self) -> None:
        """Begin; what waited for its parts when the last process ended is looked at at once."""
        super().startService()
        self._loop.start(EVERY_S)

    def stopService(self) -> Deferred[None]:
        """End, with all responses noted that have left by now."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return Deferred.fromCoroutine(self._note_the_last())

    def health(self) -> tuple[bool, str]:
        """Whether it runs, and how often it could not do its work."""
        return bool(self.running), f"{self.failures} failures"

    async def _look(self) -> None:
        try:
            await self._mo.note_responses()
            await self._mo.answer_overdue()
        except Exception as error:  # the edge of a job: the next second tries again
            self._failed(error)

    async def _note_the_last(self) -> None:
        try:
            await self._mo.note_responses(timedelta(0))
        except StoreError as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        log.warning(
            "mo_upkeep_failed", error=str(error), exc_info=not isinstance(error, StoreError)
        )
