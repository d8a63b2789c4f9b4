"""From a branch's file to published editions, all or nothing; and each week's filling by the chart."""  # noqa: E501  one sentence

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, select

from catalog import charts
from catalog.directories import Edition, Statement, said_last
from catalog.drafts import Checked, Draft, Knowledge, check, owner_of
from catalog.editions import (
    Proof,
    editions_of,
    first_edition,
    next_said_at,
    store_edition,
    withdrawal,
)
from catalog.filling import Song, fill
from catalog.tones import Tone, these_tones
from catalog.written import AUTO, Written
from store.schema import tone as tone_table

A_WEEK = timedelta(days=7)
_FIRST_TONES = (
    select(tone_table.c.code)
    .where(
        tone_table.c.state == "published",
        (tone_table.c.licence_until >= bindparam("until")) | tone_table.c.licence_until.is_(None),
    )
    .order_by(tone_table.c.code)
    .limit(50)
)
"""More than ten songs and a reserve can be."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What publishing a file would do; nothing, if it has errors.

    `new` are drafts that its owner's history has not; `withdrawn` is what was to come and the file
    no longer says. `unheard` tells of drafts that stand in it again though a later file took their
    place, `notes` of what else its owner may want to know, each as `file:line:column: sentence`.
    """

    checked: Checked
    new: tuple[Draft, ...] = ()
    withdrawn: tuple[Edition, ...] = ()
    unheard: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: its new editions, or its errors and nothing else.

    `withdrawn` are the editions that it withdrew; `unheard` and `notes`: see `Plan`.
    """

    owner: str
    contact: str
    editions: tuple[Edition, ...] = ()
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    withdrawn: tuple[Edition, ...] = ()
    unheard: tuple[str, ...] = ()


def plan(
    connection: Connection,
    written: Written,
    now: datetime,
    timezone: str,
    stop_selling_days: int = 0,
) -> Plan:
    """Return a file's drafts, checked against the catalogue, and what publishing them would do."""
    known = editions_of(connection, owner_of(written))
    last = _statements(known)
    again = {statement for statement, one in last.items() if one.left_out}
    published = frozenset(one.checksum for one in known if one.statement not in again)
    tones = these_tones(connection, written.codes())
    knowledge = Knowledge(tones, ZoneInfo(timezone), now, published, stop_selling_days)
    checked = check(written, knowledge)
    if checked.errors:
        return Plan(checked)
    said = {(draft.kind, draft.valid_from) for draft in checked.drafts}
    replaced = tuple(_replaced(written, checked.drafts, known, now))
    return Plan(
        checked,
        new=tuple(draft for draft in checked.drafts if draft.checksum not in published),
        withdrawn=tuple(
            one
            for statement, one in last.items()
            if one.origin == "file" and statement[1] > now and statement not in said
        ),
        unheard=tuple(note for by_file, note in replaced if by_file),
        notes=(*checked.warnings, *(note for by_file, note in replaced if not by_file)),
    )


def publish_file(
    connection: Connection,
    written: Written,
    author: str,
    reason: str,
    now: datetime,
    timezone: str,
    stop_selling_days: int = 0,
) -> Outcome:
    """Store the drafts of a file whose checksum is new in its owner's history: all or none.

    What had not begun yet and stands in the file no more is withdrawn: the file says what is to
    come. Open slots are filled by the chart as it stands. A file with an error changes nothing.
    """
    planned = plan(connection, written, now, timezone, stop_selling_days)
    checked = planned.checked
    if checked.errors:
        return Outcome(checked.owner, checked.contact, errors=checked.errors)
    known = editions_of(connection, checked.owner)
    said_at = next_said_at(known, now)
    gone = []
    for one in planned.withdrawn:
        said = withdrawal(one, said_at, now, left_out=True)
        proof = Proof(author, reason or "no longer in the file", "withdrawal")
        if store_edition(connection, said, proof) is not None:
            gone.append(one)
    stored = []
    for draft in planned.new:
        songs = filled(connection, draft, max(draft.valid_from, now), timezone)
        edition = replace(first_edition(draft, songs, now), said_at=said_at)
        edition = replace(edition, checksum=_checksum(edition, known))
        proof = Proof(author, reason, "file", checked.contact)
        if (kept := store_edition(connection, edition, proof)) is not None:
            stored.append(kept)
    return Outcome(
        checked.owner,
        checked.contact,
        tuple(stored),
        notes=planned.notes,
        withdrawn=tuple(gone),
        unheard=planned.unheard,
    )


def _checksum(edition: Edition, known: Sequence[Edition]) -> str:
    """Return the draft's checksum; one that was withdrawn and is said again has one of its own."""
    gone = _statements(known).get(edition.statement)
    if gone is None or not any(one.checksum == edition.checksum for one in known):
        return edition.checksum
    return hashlib.sha256(f"{edition.checksum}\nagain\n{gone.checksum}".encode()).hexdigest()


def _statements(known: Sequence[Edition]) -> dict[Statement, Edition]:
    """Return what was said last, each as it was first published: what the chart made of it later
    is behind that."""
    return {one.statement: one for one in reversed(said_last(known))}


def _replaced(
    written: Written, drafts: Sequence[Draft], known: Sequence[Edition], now: datetime
) -> Iterator[tuple[bool, str]]:
    """Tell of drafts that stand in the file again, though something later took their place.

    Each with whether that was a later file: else somebody rolled it back or withdrew it.
    """
    last = _statements(known)
    by_checksum = {one.checksum: one for one in known}
    for draft, said in zip(drafts, written.editions, strict=True):
        mine = by_checksum.get(draft.checksum)
        if mine is None or (newest := last[mine.statement]).said_at == mine.said_at:
            continue
        if newest.left_out or _says(newest) == _says(mine):
            continue
        place = said.begins.place if said.begins else said.place
        became = "withdrew" if newest.is_withdrawal else "replaced"
        yield (
            newest.origin == "file",
            f"{written.file}:{place}: this is edition {mine.edition_id} again, which edition"
            f" {newest.edition_id} {became}; to hear it{_way_back(mine, now)}",
        )


def _way_back(edition: Edition, now: datetime) -> str:
    if edition.valid_from > now:  # a rollback would be heard from now on
        return ", change something in it, such as its reserve"
    return f": toneline directories rollback {edition.owner} {edition.edition_id}"


def _says(edition: Edition) -> tuple[object, ...]:
    return edition.draft.slots, edition.reserve, edition.valid_to


def filled(
    connection: Connection, draft: Draft, begins: datetime, timezone: str
) -> tuple[Song, ...]:
    """Return the draft's ten songs, open slots filled by the chart.

    A song that fills a slot may be played from `begins` to the edition's end; a regular edition is
    filled anew each week, so there a week is enough.
    """
    if AUTO not in draft.slots:
        return fill(draft, (), lambda _: True)
    ends = begins + A_WEEK
    if draft.valid_to is not None:
        ends = draft.valid_to if draft.kind != "regular" else min(draft.valid_to, ends)
    last = (max(ends, begins) - timedelta(microseconds=1)).astimezone(ZoneInfo(timezone)).date()
    ranking = charts.ranked(connection, draft.owner)
    catalogue = tuple(connection.execute(_FIRST_TONES, {"until": last}).scalars())
    tones = these_tones(connection, {*ranking, *catalogue, *draft.reserve})
    return fill(draft, ranking, lambda code: _plays(tones.get(code), last), catalogue)


def _plays(tone: Tone | None, last: date) -> bool:
    if tone is None or tone.state != "published":
        return False
    return tone.licence_until is None or last <= tone.licence_until
