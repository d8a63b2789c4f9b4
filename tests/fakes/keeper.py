"""A `Keeper` without a disk: what is kept is done when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from store.database import AWAY, Database, LocalDatabase
from store.kept import NotKept

T = TypeVar("T")


class FakeKeeper:
    """`is_full`: nothing more can be kept. `hangs`: it is not known whether it is."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self.is_full = self.hangs = False
        self.kept: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._database = database
        self._now = now

    async def surely(self, function: Callable[..., T], *values: Any) -> T | None:
        try:
            return await self._database.run(function, *values, self._now())
        except AWAY:
            await self.keep(function, *values)
            return None

    async def keep(self, function: Callable[..., object], *values: Any) -> None:
        if self.hangs:
            await Deferred()
        if self.is_full:
            raise NotKept("the disk is full")
        self.kept.append((function, values))

    def names(self) -> list[str]:
        return [function.__name__ for function, _ in self.kept]

    def do_all(self, database: LocalDatabase) -> None:
        """The store is back."""
        kept, self.kept = self.kept, []
        for function, values in kept:
            database.run_now(function, *values, self._now())
