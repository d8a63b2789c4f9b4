"""From a branch's file to published editions, all or nothing; and each week's filling by the chart."""  # noqa: E501  one sentence

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, select

from catalog import charts
from catalog.directories import Edition
from catalog.drafts import AUTO, Checked, Draft, Knowledge, check, owner_of
from catalog.editions import Proof, editions_of, first_edition, store_edition
from catalog.filling import Song, fill
from catalog.tones import Tone, these_tones
from catalog.written import Written
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
class Outcome:
    """What became of a file: its new editions, or its errors and nothing else.

    `notes` name editions of the file that were published before and replaced since.
    """

    owner: str
    contact: str
    editions: tuple[Edition, ...] = ()
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_file(connection: Connection, written: Written, now: datetime, timezone: str) -> Checked:
    """Return a file's drafts, checked against the catalogue and its owner's history."""
    owner = owner_of(written)
    published = frozenset(one.checksum for one in editions_of(connection, owner))
    tones = these_tones(connection, written.codes())
    return check(written, Knowledge(tones, ZoneInfo(timezone), now, published))


def publish_file(
    connection: Connection,
    written: Written,
    author: str,
    reason: str,
    now: datetime,
    timezone: str,
) -> Outcome:
    """Store the drafts of a file whose checksum is new in its owner's history: all or none.

    Open slots are filled by the chart as it stands. A file with an error changes nothing.
    """
    checked = check_file(connection, written, now, timezone)
    if checked.errors:
        return Outcome(checked.owner, checked.contact, errors=checked.errors)
    known = editions_of(connection, checked.owner)
    proof = Proof(author, reason, "file", checked.contact)
    stored = []
    for draft in checked.drafts:
        if any(one.checksum == draft.checksum for one in known):
            continue
        songs = filled(connection, draft, max(draft.valid_from, now), timezone)
        edition = store_edition(connection, first_edition(draft, songs, now), proof)
        if edition is not None:
            stored.append(edition)
    return Outcome(
        checked.owner,
        checked.contact,
        tuple(stored),
        notes=tuple(_superseded(written, checked.drafts, known)),
    )


def _superseded(
    written: Written, drafts: Iterable[Draft], known: Iterable[Edition]
) -> Iterable[str]:
    """Tell of drafts that stand in the file again, though a later edition took their place."""
    by_checksum = {one.checksum: one for one in known}
    for draft in drafts:
        mine = by_checksum.get(draft.checksum)
        if mine is None:
            continue
        later = [
            one
            for one in by_checksum.values()
            if one.kind == mine.kind
            and one.said_from == mine.said_from
            and one.said_at > mine.said_at
        ]
        newest = max(later, key=lambda one: (one.said_at, one.edition_id), default=mine)
        if (newest.draft.slots, newest.reserve) != (mine.draft.slots, mine.reserve):
            yield (
                f"{written.file}: this is edition {mine.edition_id} again, which edition"
                f" {newest.edition_id} replaced; to hear it:"
                f" toneline directories rollback {draft.owner} {mine.edition_id}"
            )


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
