"""What the line has stored, read from its database beside it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

SETTLE_S = 40.0
SOON_S = 2.0  # what is due so soon is waited for as well
_OWED = "state IN ('due', 'claimed')"


@dataclass(frozen=True, slots=True)
class Stored:
    """Rows of a range of callers: calls whose record is complete, previews of 4.9 s and more,
    orders that are provisioned, their consents, and messages that the SMSC has taken."""

    calls: int
    previews: int
    orders: int
    consents: int
    messages: int


class Ledger:
    """The database of a running line, only read."""

    def __init__(self, var: Path) -> None:
        self._file = var / "toneline.db"

    def stored(self, first_caller: int, callers: int) -> Stored:
        """Count what callers of these numbers, 11 digits each, have left."""
        numbers = (f"86{first_caller}", f"86{first_caller + callers}")
        where = "msisdn >= ? AND msisdn < ?"
        return Stored(
            calls=self._count(f"call WHERE ended_at IS NOT NULL AND {where}", numbers),
            previews=self._count(f"preview WHERE heard_ms >= 4900 AND {where}", numbers),
            orders=self._count(
                f"orders WHERE state IN ('provisioned', 'captured') AND {where}", numbers
            ),
            consents=self._count(f"consent WHERE {where}", numbers),
            messages=self._count(f"outbox WHERE sent_at IS NOT NULL AND {where}", numbers),
        )

    def keys(self, number: int) -> int:
        """How many keys of a caller the line has recorded as pressed and not ignored."""
        query = (
            "SELECT count(*) FROM call, json_each(call.events) WHERE msisdn = ?"
            " AND json_extract(json_each.value, '$[1]') = 'key'"
            " AND json_extract(json_each.value, '$[2].ignored') IS NULL"
        )
        return self._number(query, (f"86{number}",))

    def title_sound(self, code: str) -> str:
        """The sound of a tone's spoken title, a stem below the sounds folder."""
        return str(self._ask("SELECT title_sound FROM tone WHERE code = ?", (code,)))

    def settle(self, within_s: float = SETTLE_S) -> float:
        """Wait until nothing is owed: no message due, no order to provision. Returns seconds."""
        began = time.monotonic()
        now_us = int((time.time() + SOON_S) * 1e6)
        while time.monotonic() - began < within_s:
            owed = self._count(f"outbox WHERE {_OWED} AND due_at <= ?", (now_us,))
            if owed + self._count("orders WHERE state = ?", ("confirmed",)) == 0:
                break
            time.sleep(0.2)
        return round(time.monotonic() - began, 1)

    def _count(self, where: str, values: tuple[object, ...]) -> int:
        return self._number(f"SELECT count(*) FROM {where}", values)  # noqa: S608  our own words

    def _number(self, query: str, values: tuple[object, ...]) -> int:
        return int(str(self._ask(query, values)))

    def _ask(self, query: str, values: tuple[object, ...]) -> object:
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA busy_timeout = 5000")
            found: object = connection.execute(query, values).fetchone()[0]
        return found
