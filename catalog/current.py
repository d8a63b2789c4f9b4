"""The snapshot in force: what changed is read when the store announces it, and swapped in whole."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Cooperator

from catalog.snapshot import Snapshot, read_head
from catalog.stock import Stock
from catalog.tones import rows_changed, version
from store.database import Database

ROWS_A_PAGE = 200
"""So many take the store, and whoever reads them, about a millisecond."""

log = structlog.get_logger()


class CurrentCatalogue(Service):
    """Calling it gives the snapshot in force; who keeps that one is not disturbed by a swap.

    The next one is built beside it, a step in each turn of the reactor, and shares what is the
    same. `reactor` is Twisted's.
    """

    def __init__(self, database: Database, snapshot: Snapshot, reactor: Any) -> None:
        self._database = database
        self._snapshot = snapshot
        self._cooperator = Cooperator(
            terminationPredicateFactory=lambda: lambda: True,
            scheduler=lambda step: reactor.callLater(0, step),
        )
        self._unsubscribe: Callable[[], None] | None = None
        self._reading: Deferred[None] | None = None
        self._again = False

    def __call__(self) -> Snapshot:
        """Return the snapshot in force."""
        return self._snapshot

    def startService(self) -> None:
        """Follow the store's announcements, and see what changed since the snapshot was made."""
        super().startService()
        self._unsubscribe = self._database.on_change("catalogue", self._changed)
        self._changed()

    def stopService(self) -> Deferred[None] | None:
        """Follow no longer."""
        super().stopService()
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._reading is not None:
            self._reading.cancel()
        return self._reading

    def health(self) -> tuple[bool, str]:
        """Say what callers hear."""
        return len(
            self._snapshot
        ) > 0, f"{len(self._snapshot)} tones, version {self._snapshot.version}"

    def _changed(self) -> None:
        self._again = True
        if self._reading is None:
            reading = self._reading = Deferred.fromCoroutine(self._follow())
            if reading.called:  # a database in this process answers at once
                self._reading = None

    async def _follow(self) -> None:
        try:
            while self._again:
                self._again = False
                if await self._database.run(version) != self._snapshot.version:
                    self._snapshot = await self._next()
                    log.info(
                        "catalogue_changed",
                        version=self._snapshot.version,
                        tones=len(self._snapshot),
                    )
        except CancelledError:
            pass  # the service stops
        except Exception:  # the edge of a job: the next announcement tries again
            log.exception("catalogue_not_read")
        finally:
            self._reading = None

    async def _next(self) -> Snapshot:
        """Return the catalogue as it is now; no part of it is older than another."""
        stock, since = self._snapshot.stock, (self._snapshot.version + 1, "")
        while True:
            head = await self._database.run(read_head)
            is_more = True
            while is_more:
                rows, since = await self._database.run(rows_changed, since, ROWS_A_PAGE)
                stock = await self._in_steps(stock.changed(rows))
                is_more = len(rows) == ROWS_A_PAGE
            if await self._database.run(version) == head.version:
                return self._snapshot.successor(head, stock)

    async def _in_steps(self, making: Generator[None, None, Stock]) -> Stock:
        made: list[Stock] = []

        def steps() -> Generator[None, None, None]:
            made.append((yield from making))

        await self._cooperator.coiterate(steps())
        return made[0]
