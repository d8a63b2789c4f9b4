"""Tones as the database keeps them: found, put, moved through their life."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, select, tuple_, update

from catalog import lifecycle
from catalog.codes import QUARANTINE, next_codes
from catalog.lifecycle import RETIRED
from store.changes import announce
from store.schema import catalogue_version
from store.schema import tone as table

LONGEST_REASON = 100
_AT_ONCE = 500
"""Codes asked for in one statement: any engine takes so many values."""

Row = tuple[Any, ...]
"""A tone as the database gives it: the columns of Tone, its prices one by one, and its spelling."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a tone costs by membership, in fen."""

    visitor: int
    member: int
    senior: int


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone of the catalogue. `sound` and `title_sound` are stems below the sounds folder.

    `state` is one of `catalog.lifecycle`; `reason` tells why it is suspended.
    """

    code: str
    title: str
    artist: str
    sp: str
    style: str
    prices: Prices
    licence_until: date | None
    state: str
    sound: str
    duration_ms: int
    title_sound: str | None
    retired_at: datetime | None = None
    reason: str | None = None

    def is_song(self, title: str, artist: str) -> bool:
        """Say whether this tone is that song."""
        return (self.title, self.artist) == (title, artist)


_COLUMNS = tuple(table.c[column] for column in (
    "code", "title", "artist", "sp", "style", "price_fen", "member_price_fen", "senior_price_fen",
    "licence_until", "state", "sound", "duration_ms", "title_sound", "retired_at", "reason",
))  # fmt: skip
_STOCKED = (*_COLUMNS[:13], table.c.spelling)
"""See Row: why a tone is not published does not matter there."""
_ALL = select(*_COLUMNS).order_by(table.c.code)
_ROWS = (
    select(*_STOCKED)
    .where(table.c.code > bindparam("after"))
    .order_by(table.c.code)
    .limit(bindparam("count"))
)
_CHANGED = (
    select(*_STOCKED, table.c.changed_in)
    .where(
        tuple_(table.c.changed_in, table.c.code) > tuple_(bindparam("since"), bindparam("after"))
    )
    .order_by(table.c.changed_in, table.c.code)
    .limit(bindparam("count"))
)
_ONE = select(*_COLUMNS).where(table.c.code == bindparam("code"))
_THESE = select(*_COLUMNS).where(table.c.code.in_(bindparam("codes", expanding=True)))
_SPELLINGS = select(table.c.code, table.c.spelling)
_REPLACE = update(table).where(table.c.code == bindparam("of"))
_VERSION = select(catalogue_version.c.version)
_STAMP = (
    update(table).where(table.c.changed_in.is_(None)).values(changed_in=_VERSION.scalar_subquery())
)


def tone_of(row: Any) -> Tone:
    """Return a row of the table `tone` as a Tone."""
    return Tone(
        code=row.code,
        title=row.title,
        artist=row.artist,
        sp=row.sp,
        style=row.style,
        prices=Prices(row.price_fen, row.member_price_fen, row.senior_price_fen),
        licence_until=row.licence_until,
        state=row.state,
        sound=row.sound,
        duration_ms=row.duration_ms,
        title_sound=row.title_sound,
        retired_at=row.retired_at,
        reason=row.reason,
    )


def all_tones(connection: Connection) -> tuple[Tone, ...]:
    """Return every tone, retired ones too, by code."""
    return tuple(tone_of(row) for row in connection.execute(_ALL))


def rows_from(connection: Connection, after: str, count: int) -> tuple[Row, ...]:
    """Return so many rows, of retired tones too, by code from the first one behind `after` on."""
    return tuple(map(tuple, connection.execute(_ROWS, {"after": after, "count": count})))


def rows_changed(
    connection: Connection, since: tuple[int, str], count: int
) -> tuple[tuple[Row, ...], tuple[int, str]]:
    """Return so many rows that changed since a version, and where to go on: version and code."""
    values = {"since": since[0], "after": since[1], "count": count}
    found = list(connection.execute(_CHANGED, values))
    end = (found[-1].changed_in, found[-1].code) if found else since
    return tuple(tuple(row)[:-1] for row in found), end


def has_others(connection: Connection, sp: str) -> bool:
    """Say whether there are tones, and only of other content providers than this one."""
    any_, its = (connection.execute(select(exists(which))).scalar() for which in (
        select(table.c.code), select(table.c.code).where(table.c.sp == sp)))  # fmt: skip
    return bool(any_) and not its


def spell_anew(connection: Connection, now: datetime) -> int:
    """Spell the tones that an older program has put here; return how many changed by it."""
    missing = select(*_COLUMNS, table.c.spelling).where(table.c.spelling.not_like("%#%"))
    found = list(connection.execute(missing))
    if not found:
        return 0
    from catalog.pinyin import spelling  # noqa: PLC0415  see put_tones

    spelled = {row.code: spelling(row.title, row.artist) for row in found}
    fresh = {row.code for row in found if spelled[row.code] != row.spelling}
    for code in fresh:
        connection.execute(
            update(table).where(table.c.code == code).values(spelling=spelled[code], changed_at=now)
        )
    if fresh:
        catalogue_changed(connection)
    return len(fresh)


def spellings(connection: Connection) -> dict[str, str]:
    """Return the Latin spellings of every tone, by its code; see `catalog.pinyin`."""
    return {code: spelling for code, spelling in connection.execute(_SPELLINGS)}


def find_tone(connection: Connection, code: str) -> Tone | None:
    """Return the tone of a code, retired or not."""
    row = connection.execute(_ONE, {"code": code}).one_or_none()
    return None if row is None else tone_of(row)


def these_tones(connection: Connection, codes: Iterable[str]) -> dict[str, Tone]:
    """Return the tones of these codes, retired ones too, by code; unknown codes are left out."""
    wanted = sorted(codes)
    return {
        row.code: tone_of(row)
        for begin in range(0, len(wanted), _AT_ONCE)
        for row in connection.execute(_THESE, {"codes": wanted[begin : begin + _AT_ONCE]})
    }


def put_tones(connection: Connection, tones: Iterable[Tone], now: datetime) -> int:
    """Insert or replace tones by their code; return how many changed anything."""
    given = list(tones)
    present = these_tones(connection, {tone.code for tone in given})
    changed = [tone for tone in given if present.get(tone.code) != tone]
    if not changed:
        return 0
    # 58 MB and half a second, needed where tones are imported and not in every process
    from catalog.pinyin import spelling  # noqa: PLC0415  see above

    rows = {
        tone.code: {**_values(tone, now), "spelling": spelling(tone.title, tone.artist)}
        for tone in changed
    }
    fresh = [row for code, row in rows.items() if code not in present]
    if fresh:
        connection.execute(insert(table), fresh)
    kept = [{**row, "of": code} for code, row in rows.items() if code in present]
    if kept:
        connection.execute(_REPLACE, kept)
    catalogue_changed(connection)
    return len(changed)


def import_tones(
    connection: Connection, tones: Iterable[Tone], seen: int, now: datetime
) -> int | None:
    """Insert or replace tones that were made of the catalogue's version `seen`, as `put_tones`.

    None: the catalogue has another version by now, and nothing was written; look at it again.
    """
    return None if version(connection) != seen else put_tones(connection, tones, now)


def move_tone(
    connection: Connection, code: str, verb: str, now: datetime, reason: str | None = None
) -> str | None:
    """Take a tone one step of its life further; return why it cannot be, in a sentence.

    `verb` is one of `catalog.lifecycle.MOVES`, `reason` goes with a suspension.
    """
    tone = find_tone(connection, code)
    if tone is None:
        return f"tone {code} is not in the catalogue"
    refused = lifecycle.refusal(code, tone.state, verb)
    if refused is not None:
        return refused
    target = lifecycle.MOVES[verb].target
    connection.execute(
        update(table)
        .where(table.c.code == code)
        .values(
            state=target,
            reason=reason,
            changed_at=now,
            retired_at=now if target == RETIRED else None,
        )
    )
    catalogue_changed(connection)
    return None


def quarantined_until(tone: Tone) -> datetime | None:
    """Return until when the code of a retired tone goes to no other song; None: not retired."""
    return tone.retired_at + QUARANTINE if tone.retired_at is not None else None


def free_codes(tones: Iterable[Tone], now: datetime, count: int) -> tuple[str, ...]:
    """Return the next codes that no tone has, and none had until lately; see `catalog.codes`."""
    taken, quarantined, worn = set(), set(), set()
    for tone in tones:
        until = quarantined_until(tone)
        if until is None:
            taken.add(tone.code)
        elif now < until:
            quarantined.add(tone.code)
        else:
            worn.add(tone.code)
    return next_codes(count, taken, quarantined, worn)


def catalogue_changed(connection: Connection) -> None:
    """Give the catalogue its next version, and all tones that were written before this call.

    Every running line then reads what has changed: call it behind the last change.
    """
    done = connection.execute(
        update(catalogue_version).values(version=catalogue_version.c.version + 1)
    )
    if not done.rowcount:
        connection.execute(insert(catalogue_version).values(id=1, version=1))
    # Until the commit no other change gets a version: versions are in the order of commits.
    connection.execute(_STAMP)
    announce(connection, "catalogue")


def version(connection: Connection) -> int:
    """Return the catalogue's version: it grows with every change."""
    return connection.execute(_VERSION).scalar() or 0


def _values(tone: Tone, now: datetime) -> dict[str, object]:
    return {
        "code": tone.code,
        "title": tone.title,
        "artist": tone.artist,
        "sp": tone.sp,
        "style": tone.style,
        "price_fen": tone.prices.visitor,
        "member_price_fen": tone.prices.member,
        "senior_price_fen": tone.prices.senior,
        "licence_until": tone.licence_until,
        "state": tone.state,
        "sound": tone.sound,
        "duration_ms": tone.duration_ms,
        "title_sound": tone.title_sound,
        "changed_at": now,
        "retired_at": tone.retired_at,
        "reason": tone.reason,
    }
