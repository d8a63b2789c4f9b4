"""What an import makes of a catalogue file's lines: which code, which state, what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from catalog import lifecycle
from catalog.catalogue_file import BadCatalogue, CatalogueRow
from catalog.tones import Tone, free_codes, quarantined_until

_Song: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Planned:
    """A line that may be imported: its row with a code, the tone it replaces, its state then."""

    row: CatalogueRow
    known: Tone | None
    state: str
    is_new_code: bool
    """Whether the code is one that we gave it."""

    @property
    def replaced(self) -> Tone | None:
        """The live tone that has the code and is quite another song: neither title nor artist."""
        known, row = self.known, self.row
        if known is None or known.state == lifecycle.RETIRED:
            return None
        return None if row.title == known.title or row.artist == known.artist else known

    def tone(self, sound: str, duration_ms: int, title_sound: str | None) -> Tone:
        """Return the tone that it becomes with these sound files."""
        is_suspended = self.state == lifecycle.SUSPENDED and self.known is not None
        reason = self.known.reason if is_suspended and self.known else None
        return self.row.tone(sound, duration_ms, title_sound, self.state, reason)


def plan_import(
    rows: Sequence[CatalogueRow],
    name: str,
    present: Mapping[str, Tone],
    now: datetime,
    timezone: ZoneInfo,
    *,
    as_draft: bool,
    replaces: bool = False,
) -> tuple[Planned, ...]:
    """Return what becomes of each line, given the tones that there are.

    A line without a code gets that of the same song (title, artist, SP) if there is one, so that
    importing a file twice makes no second tone of it; else the next free code. Unless somebody asks
    for it (`replaces`) no line makes quite another song of a live tone.

    Raises:
        BadCatalogue: every line that cannot be, as `name:line:column: value: reason` sentences.
    """
    coded, errors = _with_codes(rows, present, now)
    planned = tuple(
        Planned(
            row,
            present.get(row.code),
            lifecycle.imported(_state(present.get(row.code)), as_draft=as_draft),
            is_new_code,
        )
        for row, is_new_code in coded
    )
    errors += [
        (one.row.line, error)
        for one in planned
        for error in (
            *_in_quarantine(one, now, timezone),
            *(() if replaces else _of_another_song(one)),
            *_without_sound(one),
        )
    ]
    if errors:
        raise BadCatalogue([f"{name}:{line}:{error}" for line, error in sorted(errors)])
    return planned


def _with_codes(
    rows: Sequence[CatalogueRow], present: Mapping[str, Tone], now: datetime
) -> tuple[list[tuple[CatalogueRow, bool]], list[tuple[int, str]]]:
    """Return each row with its code, and whether we gave it; and the errors of those without."""
    errors: list[tuple[int, str]] = []
    known: dict[_Song, str] = {
        (tone.title, tone.artist, tone.sp): tone.code
        for tone in present.values()
        if tone.state != lifecycle.RETIRED
    }
    lines = {row.code: row.line for row in rows if row.code}
    fresh = _fresh_codes(rows, present, now)
    coded: list[tuple[CatalogueRow, bool]] = []
    for row in rows:
        if row.code:
            coded.append((row, False))
            continue
        song = (row.title, row.artist, row.sp)
        code = known.get(song)
        if code is not None and code in lines:
            errors.append((row.line, f"title: {row.title}: stands in line {lines[code]} too"))
            continue
        is_new = code is None
        code = next(fresh) if code is None else code
        known[song], lines[code] = code, row.line
        coded.append((replace(row, code=code), is_new))
    return coded, errors


def _fresh_codes(
    rows: Sequence[CatalogueRow], present: Mapping[str, Tone], now: datetime
) -> Iterator[str]:
    """Yield as many free codes as there are lines without one; the file's own are taken."""
    needed = sum(not row.code for row in rows)
    if not needed:
        return iter(())
    own = [row.tone("", 0, None) for row in rows if row.code]
    others = [tone for tone in present.values() if tone.code not in {row.code for row in own}]
    return iter(free_codes([*own, *others], now, needed))


def _state(tone: Tone | None) -> str | None:
    return None if tone is None else tone.state


def _in_quarantine(one: Planned, now: datetime, timezone: ZoneInfo) -> Iterator[str]:
    known, row = one.known, one.row
    if known is None or known.is_song(row.title, row.artist):
        return
    until = quarantined_until(known)
    if known.retired_at is not None and until is not None and now < until:
        was = f"{known.title} by {known.artist} until {known.retired_at.astimezone(timezone):%F}"
        free = f"another song may have it from {until.astimezone(timezone):%F %H:%M} on"
        yield f"code: {row.code}: it was {was}; {free}"


def _of_another_song(one: Planned) -> Iterator[str]:
    was = one.replaced
    if was is not None:
        code = one.row.code
        yield f"code: {code}: it is {was.title} by {was.artist}; only --replace makes another of it"


def _without_sound(one: Planned) -> Iterator[str]:
    if one.row.audio:
        return
    is_other_song = one.replaced is not None or (
        one.known is not None
        and one.known.state == lifecycle.RETIRED
        and not one.known.is_song(one.row.title, one.row.artist)
    )
    if one.known is None or is_other_song:
        yield "audio: a new tone needs a recording"
