"""`toneline tones`: the catalogue on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from audio.formats import SoundUnreadable
from audio.ingest import import_sound
from audio.prompts import title_file
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
from toneline.command import (
    Refused,
    config_option,
    database_of,
    emit,
    json_option,
    now,
    settings_of,
)
from toneline.places import Places


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
    sounds = Places.of(settings).sounds
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


def tone_line(tone: Tone) -> str:
    """Return a tone as a person reads it in a list."""
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
        emit([shown(tone, Places.of(settings).sounds) for tone in found])
        return
    for tone in found:
        click.echo(tone_line(tone))


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
    document = shown(tone, Places.of(settings).sounds)
    if as_json:
        emit(document)
        return
    click.echo(tone_line(tone))
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
