"""`toneline tones`: the catalogue on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from catalog.catalogue_file import BadCatalogue, CatalogueRow
from catalog.finding import find_tones
from catalog.lifecycle import MOVES, PUBLISHED
from catalog.tones import LONGEST_REASON, Tone, all_tones, find_tone, free_codes, move_tone
from catalog.written import plain
from toneline.command import (
    Refused,
    config_option,
    database_of,
    emit,
    json_option,
    now,
    reading,
    settings_of,
)
from toneline.folders import Folders
from toneline.language import LANGUAGE_FAULTS

# Codes are copied from files, where they may be in full width.
_code_argument = click.argument("code", callback=lambda _context, _parameter, code: plain(code))


@click.group()
def tones() -> None:
    """Import, find, show, publish, suspend and retire tones."""


@tones.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--audio",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder that the column `audio` counts from (default: the file's own).",
)
@click.option("--draft", is_flag=True, help="New tones are drafts until `tones publish`.")
@click.option("--replace", is_flag=True, help="A live code may get quite another song.")
@config_option
@json_option
def import_tones(
    file: Path,
    audio: Path | None,
    draft: bool,
    replace: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Import a catalogue: all rows of FILE or none.

    Recordings may be mp3, wav, flac, m4a and whatever else ffmpeg knows. One that did not change
    since is left alone, so an import that was interrupted goes on where it stopped. A row without a
    code gets the next free one. A row whose code has a song of another title and another artist is
    refused, unless --replace is given.

    Example: toneline tones import catalogue.csv --audio recordings/
    """
    # There is a process for each core; threads of numpy's would only be in each other's way (five
    # times the processor time, measured). It reads this when it is imported, which is now.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # a second to import, and of no use to the other commands
    from toneline.imports import (  # noqa: PLC0415
        Batch,
        Imported,
        Interrupted,
        Unsettled,
        import_catalogue,
    )

    settings = settings_of(config)
    try:
        batch = Batch.of(file, audio, as_draft=draft, replaces=replace)
        recordings = sum(bool(row.audio) for row in batch.rows)
        with database_of(settings) as database, _progress(recordings, as_json) as advance:
            imported: Imported = import_catalogue(batch, settings, database, now(), advance)
    except BadCatalogue as bad:
        raise Refused("\n".join(bad.errors)) from bad
    except (*LANGUAGE_FAULTS, Interrupted, Unsettled) as error:
        raise Refused(str(error)) from error
    if as_json:
        codes = [{"line": row.line, "code": row.code, "title": row.title} for row in imported.given]
        emit(
            {
                "imported": len(imported.planned),
                "changed": imported.changed,
                "codes": codes,
                "replaced": [_replaced(was, row) for was, row in imported.replaced],
                "suspended": imported.suspended,
                "unspoken_titles": imported.unspoken,
            }
        )
        return
    count = len(imported.planned)
    click.echo(f"{count} tones imported, {imported.changed} of them new or changed")
    for row in imported.given:
        click.echo(f"{row.code} is the code of {row.title} (line {row.line})")
    for was, row in imported.replaced:
        click.echo(
            f"{row.code} was {was.title} by {was.artist}, and is {row.title} by {row.artist}"
        )
    if imported.suspended:
        click.echo(f"still suspended: {' '.join(imported.suspended)}")
    if imported.unspoken:
        click.echo(f"titles read as their codes: {imported.unspoken} ({imported.why})")


def _replaced(was: Tone, row: CatalogueRow) -> dict[str, Any]:
    return {
        "code": row.code,
        "title": row.title,
        "artist": row.artist,
        "was": {"title": was.title, "artist": was.artist},
    }


@contextmanager
def _progress(length: int, as_json: bool) -> Iterator[Callable[[], None]]:
    """Yield what moves a bar on standard error, if somebody is there to see it."""
    if as_json or not sys.stderr.isatty():
        yield lambda: None
        return
    with click.progressbar(length=length, label="importing", file=sys.stderr) as bar:
        yield lambda: bar.update(1)


def shown(tone: Tone, sounds: Path) -> dict[str, Any]:
    """Return a tone as `tones show --json` prints it."""
    return {
        "code": tone.code,
        "title": tone.title,
        "artist": tone.artist,
        "sp": tone.sp,
        "style": tone.style,
        "prices": {
            "visitor": tone.prices.visitor,
            "member": tone.prices.member,
            "senior": tone.prices.senior,
        },
        "licence_until": tone.licence_until,
        "state": tone.state,
        "reason": tone.reason,
        "retired_at": tone.retired_at,
        "sound": str(sounds / tone.sound),
        "duration_ms": tone.duration_ms,
    }


def tone_line(tone: Tone) -> str:
    """Return a tone as lists in the terminal show it."""
    prices = "/".join(f"{fen / 100:g}" for fen in (
        tone.prices.visitor, tone.prices.member, tone.prices.senior
    ))  # fmt: skip
    until = f", until {tone.licence_until}" if tone.licence_until else ""
    why = f": {tone.reason}" if tone.reason else ""
    state = "" if tone.state == PUBLISHED else f" [{tone.state}{why}]"
    return f"{tone.code}  {tone.title}  {tone.artist}  {tone.style}  {prices} yuan{until}{state}"


@tones.command("find")
@click.argument("words")
@config_option
@json_option
def find(words: str, config: Path | None, as_json: bool) -> None:
    """List the tones that have all WORDS in code, title or artist, the likeliest first.

    A word may be pinyin, in full or by initials from any character on; a style is found last. ""
    lists all.

    Example: toneline tones find mlh
    """
    settings = settings_of(config)
    with reading(settings) as database:
        found = database.run_now(find_tones, words)
    if as_json:
        emit([shown(tone, Folders.of(settings).sounds) for tone in found])
        return
    for tone in found:
        click.echo(tone_line(tone))


@tones.command("show")
@_code_argument
@config_option
@json_option
def show(code: str, config: Path | None, as_json: bool) -> None:
    """Show one tone.

    Example: toneline tones show 1029
    """
    settings = settings_of(config)
    with reading(settings) as database:
        tone = database.run_now(find_tone, code)
    if tone is None:
        raise Refused(f"tone {code} is not in the catalogue")
    document = shown(tone, Folders.of(settings).sounds)
    if as_json:
        emit(document)
        return
    click.echo(tone_line(tone))
    click.echo(f"      {document['sound']}.wav  {tone.duration_ms / 1000:.1f} s")


@tones.command("publish")
@_code_argument
@config_option
def publish(code: str, config: Path | None) -> None:
    """Let callers hear and order a draft.

    Example: toneline tones publish 1029
    """
    _move(code, "publish", config)


@tones.command("suspend")
@_code_argument
@click.option("--reason", required=True, help="Why, for whoever looks at it later.")
@config_option
def suspend(code: str, reason: str, config: Path | None) -> None:
    """Stop a tone's previews and sales for a while; who has it keeps it.

    Example: toneline tones suspend 1029 --reason "rights are disputed"
    """
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise Refused(f"the reason is one line of 1 to {LONGEST_REASON} characters")
    _move(code, "suspend", config, reason)


@tones.command("resume")
@_code_argument
@config_option
def resume(code: str, config: Path | None) -> None:
    """End a tone's suspension.

    Example: toneline tones resume 1029
    """
    _move(code, "resume", config)


@tones.command("retire")
@_code_argument
@config_option
def retire(code: str, config: Path | None) -> None:
    """Take a tone out of the catalogue; who has it keeps it.

    Its code goes to no other song for 90 days. Importing the same song again brings it back.

    Example: toneline tones retire 1029
    """
    _move(code, "retire", config)


def _move(code: str, verb: str, config: Path | None, reason: str | None = None) -> None:
    with database_of(settings_of(config)) as database:
        refused = database.run_now(move_tone, code, verb, now(), reason)
    if refused:
        raise Refused(refused)
    click.echo(f"tone {code} is {MOVES[verb].done}")


@tones.command("codes")
@click.option("--free", default=10, type=click.IntRange(1, 10_000), help="How many (default: 10).")
@config_option
@json_option
def codes(free: int, config: Path | None, as_json: bool) -> None:
    """Print the next free codes, in the order in which imports give them out.

    Example: toneline tones codes --free 20
    """
    with reading(settings_of(config)) as database:
        found = free_codes(database.run_now(all_tones), now(), free)
    if as_json:
        emit(found)
        return
    for code in found:
        click.echo(code)
