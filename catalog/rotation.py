"""Next week's songs of the editions that leave slots to the chart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from catalog.directories import Edition, current_edition, said_last
from catalog.editions import Proof, as_published, editions_of, owners, store_edition
from catalog.publishing import A_WEEK, filled

AUTHOR = "chart"


def prepare_week(connection: Connection, monday: date, now: datetime, timezone: str) -> int:
    """Fill the open slots of every owner's regular edition for the week from `monday` on.

    So it does those of holidays and the like that begin in that week, which may have been published
    months ago; they are filled for as long as they last. Returns how many editions were stored; the
    regular ones hold from that Monday's local midnight on. Running it again stores nothing more: an
    edition is filled once a week, whatever the chart says later. `timezone` is a name such as
    Asia/Shanghai.
    """
    begins = datetime.combine(monday, time(), ZoneInfo(timezone))
    stored = 0
    for owner in owners(connection):
        editions = as_published(editions_of(connection, owner), begins)
        current = current_edition([one for one in editions if one.kind == "regular"], begins)
        if current is not None and current.is_open:
            stored += _fill_anew(connection, current, begins, now, timezone)
        for one in _beginning(editions, begins):
            stored += _fill_anew(connection, one, one.valid_from, now, timezone)
    return stored


def _beginning(editions: Sequence[Edition], monday: datetime) -> list[Edition]:
    """Return what is not regular, has open slots and begins in a week, each statement once."""
    found = {
        one.statement: one
        for one in said_last(editions)
        if one.kind != "regular" and one.is_open and monday <= one.valid_from < monday + A_WEEK
    }
    return list(found.values())


def _fill_anew(
    connection: Connection, current: Edition, begins: datetime, now: datetime, timezone: str
) -> bool:
    songs = filled(connection, current.draft, begins, timezone)
    edition = replace(
        current,
        valid_from=begins,
        songs=tuple(song.code for song in songs),
        sources=tuple(song.source for song in songs),
        published_at=now,
        checksum=_checksum_of_week(current, begins),
    )
    local = begins.astimezone(ZoneInfo(timezone))
    proof = Proof(AUTHOR, f"week of {local:%Y-%m-%d}", "chart")
    return store_edition(connection, edition, proof) is not None


def _checksum_of_week(current: Edition, begins: datetime) -> str:
    said = (current.draft.checksum, current.said_at.isoformat(), begins.date().isoformat())
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
