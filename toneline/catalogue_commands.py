"""`toneline directories`: the ten-song directories on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from catalog import directories as editions
from catalog.branches import BRANCHES, PROVINCE, read_branches
from catalog.directories import BadDirectory, Edition, read_directory
from catalog.snapshot import Snapshot, read_contents
from catalog.tones import all_tones
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
from toneline.places import Places
from toneline.tone_commands import tone_line


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
    paths = list(files) or sorted(Places.of(settings).directories.glob("*.yaml"))
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
    places = Places.of(settings)
    with database_of(settings) as database:
        contents = database.run_now(read_contents)
    branches = read_branches(places.branches.read_text("utf-8"), str(places.branches))
    directory = Snapshot(contents, branches, zone(settings)).directory(branch, moment)
    edition = next(
        (one for one in contents.editions if one.edition_id == directory.edition_id), None
    )
    if not as_json:
        for slot, tone in enumerate(directory.tones, start=1):
            click.echo(f"{slot:2}  {tone_line(tone)}")
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
    places = Places.of(settings)
    found, errors = read_all(sorted(places.directories.glob("*.yaml")), database, settings)
    return database.run_now(editions.publish_editions, found, "files", now()), errors
