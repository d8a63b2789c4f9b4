"""The snapshot in force: read again, and swapped whole, when the store announces a change."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from catalog.branches import BranchTable
from catalog.snapshot import Contents, Snapshot, read_contents
from catalog.tones import version
from store.database import Database

log = structlog.get_logger()


class CurrentCatalogue(Service):
    """Calling it gives the snapshot in force; who keeps that one is not disturbed by a swap."""

    def __init__(
        self, database: Database, contents: Contents, branches: BranchTable, timezone: ZoneInfo
    ) -> None:
        self._database = database
        self._branches = branches
        self._timezone = timezone
        self._snapshot = Snapshot(contents, branches, timezone)
        self._unsubscribe: Callable[[], None] | None = None
        self._reading: Deferred[None] | None = None
        self._again = False

    def __call__(self) -> Snapshot:
        """Return the snapshot in force."""
        return self._snapshot

    def startService(self) -> None:
        """Follow the store's announcements."""
        super().startService()
        self._unsubscribe = self._database.on_change("catalogue", self._changed)

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
            self._reading = Deferred.fromCoroutine(self._follow())

    async def _follow(self) -> None:
        try:
            while self._again:
                self._again = False
                if await self._database.run(version) == self._snapshot.version:
                    continue
                contents = await self._database.run(read_contents)
                self._snapshot = Snapshot(contents, self._branches, self._timezone)
                log.info("catalogue_changed", version=contents.version, tones=len(self._snapshot))
        except Exception:  # the edge of a job: the next announcement tries again
            log.exception("catalogue_not_read")
        finally:
            self._reading = None
