"""`toneline tones` and `toneline directories`: the catalogue on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from audio.formats import SoundUnreadable
from audio.ingest import import_sound
from audio.prompts import title_file
from catalog import directories as editions
from catalog.branches import BRANCHES, PROVINCE, read_branches
from catalog.directories import BadDirectory, Edition, read_directory
from catalog.snapshot import Snapshot, read_contents
from catalog.tones import (
    BadCatalogue,
    CatalogueRow,
    Tone,
    all_tones,
    find_tone,
    find_tones,
    put_tones,
    read_catalogue,
    retire_tone,
)
from config.settings import Settings, zone
from store.database import LocalDatabase
from toneline.command import (
    Refused,
    config_option,
    database_of,
    emit,
    instant,
    json_option,
    now,
    settings_of,
)
from toneline.folders import Folders


@click.group()
def tones() -> None:
    """Import, find, show and retire tones."""


@tones.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--audio",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder that the column `audio` counts from (default: the file's own).",
)
@config_option
@json_option
def import_tones(file: Path, audio: Path | None, config: Path | None, as_json: bool) -> None:
    """Import a catalogue: all rows of FILE or none.

    Example: toneline tones import catalogue.csv --audio recordings/
    """
    settings = settings_of(config)
    sounds = Folders.of(settings).sounds
    try:
        rows = read_catalogue(_text(file), file.name)
        with database_of(settings) as database:
            present = {tone.code: tone for tone in database.run_now(all_tones)}
            made = _tones(rows, file, audio or file.parent, sounds, present, settings.line.language)
            changed = database.run_now(put_tones, made, now())
    except BadCatalogue as bad:
        raise Refused("\n".join(bad.errors)) from bad
    if as_json:
        emit({"imported": len(rows), "changed": changed})
    else:
        click.echo(f"{len(rows)} tones imported, {changed} of them new or changed")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise BadCatalogue([f"{file.name}:{line}: this is not UTF-8 text"]) from error


def _tones(
    rows: Sequence[CatalogueRow],
    file: Path,
    audio: Path,
    sounds: Path,
    present: dict[str, Tone],
    language: str,
) -> list[Tone]:
    errors: list[str] = []
    made: list[Tone] = []
    root = audio.resolve()
    for row in rows:
        known = present.get(row.code)
        title_sound = _title_sound(row.title, sounds, language)
        recording = (audio / row.audio).resolve()
        if row.audio and not recording.is_relative_to(root):
            errors.append(f"{file.name}:{row.line}:audio: {row.audio}: lies outside {audio}")
        elif row.audio:
            try:
                made.append(row.tone(*import_sound(recording, sounds, row.code), title_sound))
            except SoundUnreadable as error:
                errors.append(f"{file.name}:{row.line}:audio: {row.audio}: {error}")
        elif known is not None:
            made.append(row.tone(known.sound, known.duration_ms, title_sound))
        else:
            errors.append(f"{file.name}:{row.line}:audio: a new tone needs a recording")
    if errors:
        raise BadCatalogue(errors)
    return made


def _title_sound(title: str, sounds: Path, language: str) -> str | None:
    stem = f"titles/{language}/{Path(title_file(title)).stem}"
    return stem if (sounds / f"{stem}.wav").exists() else None


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
        "sound": str(sounds / tone.sound),
        "duration_ms": tone.duration_ms,
    }


def _line(tone: Tone) -> str:
    prices = "/".join(f"{fen / 100:g}" for fen in (
        tone.prices.visitor, tone.prices.member, tone.prices.senior
    ))  # fmt: skip
    until = f", until {tone.licence_until}" if tone.licence_until else ""
    retired = "" if tone.state == "published" else f" [{tone.state}]"
    return f"{tone.code}  {tone.title}  {tone.artist}  {tone.style}  {prices} yuan{until}{retired}"


@tones.command("find")
@click.argument("words")
@config_option
@json_option
def find(words: str, config: Path | None, as_json: bool) -> None:
    """List the tones that have all WORDS in code, title, artist or style; "" lists all.

    Example: toneline tones find 茉莉花
    """
    settings = settings_of(config)
    with database_of(settings) as database:
        found = database.run_now(find_tones, words)
    if as_json:
        emit([shown(tone, Folders.of(settings).sounds) for tone in found])
        return
    for tone in found:
        click.echo(_line(tone))


@tones.command("show")
@click.argument("code")
@config_option
@json_option
def show(code: str, config: Path | None, as_json: bool) -> None:
    """Show one tone.

    Example: toneline tones show 1029
    """
    settings = settings_of(config)
    with database_of(settings) as database:
        tone = database.run_now(find_tone, code)
    if tone is None:
        raise Refused(f"tone {code} is not in the catalogue")
    document = shown(tone, Folders.of(settings).sounds)
    if as_json:
        emit(document)
        return
    click.echo(_line(tone))
    click.echo(f"      {document['sound']}.wav  {tone.duration_ms / 1000:.1f} s")


@tones.command("retire")
@click.argument("code")
@config_option
def retire(code: str, config: Path | None) -> None:
    """Take a tone out of the catalogue; who has it keeps it.

    Example: toneline tones retire 1029
    """
    with database_of(settings_of(config)) as database:
        if not database.run_now(retire_tone, code, now()):
            raise Refused(f"tone {code} is not in the catalogue, or retired already")
    click.echo(f"tone {code} is retired")


@click.group()
def directories() -> None:
    """Check and show the ten-song directories."""


def read_all(
    paths: Sequence[Path], database: LocalDatabase, settings: Settings
) -> tuple[list[Edition], list[str]]:
    """Return the editions of the files that can be used, and the errors of those that cannot."""
    known = {tone.code: tone for tone in database.run_now(all_tones)}
    found: list[Edition] = []
    errors: list[str] = []
    for path in paths:
        try:
            text = path.read_text("utf-8-sig")
            found += read_directory(text, str(path), known, zone(settings)).editions
        except BadDirectory as bad:
            errors += bad.errors
        except (OSError, UnicodeDecodeError) as error:
            errors.append(f"{path}:1:1: cannot be read: {error}")
    return found, errors


@directories.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@config_option
def check(files: tuple[Path, ...], config: Path | None) -> None:
    """Check branches' files (default: all) and say what is wrong with them.

    Example: toneline directories check config/directories/yangzhou.yaml
    """
    settings = settings_of(config)
    paths = list(files) or sorted(Folders.of(settings).directories.glob("*.yaml"))
    with database_of(settings) as database:
        found, errors = read_all(paths, database, settings)
    if errors:
        raise Refused("\n".join(errors))
    click.echo(f"{len(paths)} files with {len(found)} editions: all good")


@directories.command("publish")
@config_option
def publish(config: Path | None) -> None:
    """Publish what is new in the branches' files; a running line has it within a second.

    A file with an error changes nothing, and the others are published all the same.

    Example: toneline directories publish
    """
    settings = settings_of(config)
    with database_of(settings) as database:
        published, errors = publish_all(database, settings)
    click.echo(f"{published} new editions published")
    if errors:
        raise Refused("\n".join(errors))


@directories.command("show")
@click.argument("branch", type=click.Choice([PROVINCE, *BRANCHES]))
@click.option("--at", help="The time to show it for (default: now).")
@config_option
@json_option
def show_directory(branch: str, at: str | None, config: Path | None, as_json: bool) -> None:
    """Show the ten songs of BRANCH as callers hear them.

    Example: toneline directories show yangzhou --at 2027-02-06T00:00
    """
    settings = settings_of(config)
    moment = instant(at, zone(settings), now())
    folders = Folders.of(settings)
    with database_of(settings) as database:
        contents = database.run_now(read_contents)
    branches = read_branches(folders.branches.read_text("utf-8"), str(folders.branches))
    directory = Snapshot(contents, branches, zone(settings)).directory(branch, moment)
    edition = next(
        (one for one in contents.editions if one.edition_id == directory.edition_id), None
    )
    if not as_json:
        for slot, tone in enumerate(directory.tones, start=1):
            click.echo(f"{slot:2}  {_line(tone)}")
        return
    emit(
        {
            "branch": branch,
            "edition": directory.edition_id,
            "from": _local(edition.valid_from, settings) if edition else None,
            "songs": [
                {
                    "slot": slot,
                    "code": tone.code,
                    "title": tone.title,
                    "source": "file" if edition and tone.code in edition.songs else "reserve",
                }
                for slot, tone in enumerate(directory.tones, start=1)
            ],
        }
    )


def _local(at: datetime, settings: Settings) -> str:
    return at.astimezone(zone(settings)).isoformat()


def publish_all(database: LocalDatabase, settings: Settings) -> tuple[int, list[str]]:
    """Publish every new edition of the branches' files; return how many, and the errors."""
    folders = Folders.of(settings)
    found, errors = read_all(sorted(folders.directories.glob("*.yaml")), database, settings)
    return database.run_now(editions.publish_editions, found, "files", now()), errors
