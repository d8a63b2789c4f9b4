"""`toneline directories`: check, publish, show, look back at and roll back the ten songs."""

from __future__ import annotations

import getpass
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from catalog import editions as store
from catalog.branches import BRANCHES, PROVINCE, BranchTable
from catalog.directories import Edition
from catalog.editions import NotWithdrawn, Published
from catalog.lifecycle import PUBLISHED, RETIRED
from catalog.snapshot import Snapshot, read_contents
from catalog.tones import Tone
from config.settings import Settings, zone
from toneline.catalogue_commands import tone_line
from toneline.command import (
    Refused,
    config_option,
    database_of,
    emit,
    instant,
    json_option,
    now,
    reading,
    settings_of,
)
from toneline.directory_folder import NoFolder, check_all, files_of, publish_all

NO_NUMBERS = BranchTable({}, {}, 0)
"""A list is asked for by its owner here, not by a number."""
LONGEST_REASON = 200

branch_argument = click.argument("branch", type=click.Choice([PROVINCE, *BRANCHES]))


def _short(_context: click.Context, _option: click.Parameter, reason: str) -> str:
    if len(reason) > LONGEST_REASON:
        raise click.BadParameter(
            f"{len(reason)} characters are too many; the history keeps {LONGEST_REASON}"
        )
    return reason


reason_option = click.option(
    "--reason", default="", callback=_short, help="Why; it stands in the history."
)
author_option = click.option("--author", help="Who publishes (default: your name on this system).")


@click.group()
def directories() -> None:
    """Check, publish and show the ten-song directories."""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


@directories.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@config_option
@json_option
def check(files: tuple[Path, ...], config: Path | None, as_json: bool) -> None:
    """Check branches' files (default: all) and say everything that is wrong with them.

    Example: toneline directories check config/directories/yangzhou.yaml
    """
    settings = settings_of(config)
    try:
        paths = list(files) or files_of(settings)
    except NoFolder as missing:
        raise Refused(str(missing)) from missing
    with reading(settings) as database:
        found = check_all(paths, database, settings)
    if as_json:
        gone = [_said(edition, settings) for edition in found.withdrawn]
        emit({"files": len(paths), "editions": found.editions, "errors": found.errors,
              "notes": found.notes, "withdrawn": gone})  # fmt: skip
        if found.errors:
            raise SystemExit(1)
        return
    for note in found.notes:
        click.echo(note)
    for edition in found.withdrawn:
        said = _edition_line(edition, settings).strip()
        click.echo(f"no longer in the file, to be withdrawn: {said}")
    if found.errors:
        raise Refused("\n".join(found.errors))
    well = "no errors" if found.notes or found.withdrawn else "all good"
    click.echo(f"{len(paths)} files with {found.editions} editions: {well}")


@directories.command("publish")
@reason_option
@author_option
@config_option
@json_option
def publish(reason: str, author: str | None, config: Path | None, as_json: bool) -> None:
    """Publish what is new in the branches' files; a running line has it within a second.

    A file with an error changes nothing, and the others are published all the same. A line that
    runs with [paths] publish = true does this by itself.

    Example: toneline directories publish --reason "Mid-Autumn"
    """
    settings = settings_of(config)
    with database_of(settings) as database:
        try:
            outcomes, errors = publish_all(database, settings, author or _user(), reason)
        except NoFolder as missing:
            raise Refused(str(missing)) from missing
    made = [edition for outcome in outcomes for edition in outcome.editions]
    gone = [edition for outcome in outcomes for edition in outcome.withdrawn]
    notes = [note for outcome in outcomes for note in (*outcome.unheard, *outcome.notes)]
    if as_json:
        emit({"published": [_said(edition, settings) for edition in made],
              "withdrawn": [_said(edition, settings) for edition in gone],
              "notes": notes, "errors": errors})  # fmt: skip
    else:
        click.echo(f"{len(made)} new editions published")
        for edition in made:
            click.echo(_edition_line(edition, settings))
        for edition in gone:
            said = _edition_line(edition, settings).strip()
            click.echo(f"no longer in the file, withdrawn: {said}")
        for note in notes:
            click.echo(note)
    if errors:
        raise Refused("\n".join(errors))


@directories.command("show")
@branch_argument
@click.option("--at", help="The time to show it for (default: now).")
@config_option
@json_option
def show_directory(branch: str, at: str | None, config: Path | None, as_json: bool) -> None:
    """Show the ten songs of BRANCH as callers hear them.

    Example: toneline directories show yangzhou --at 2027-02-06T00:00
    """
    settings = settings_of(config)
    moment = instant(at, zone(settings), now())
    with reading(settings) as database:
        contents = database.run_now(read_contents)
    tones = tuple(_as_of(moment, tone) for tone in contents.tones)
    snapshot = Snapshot(replace(contents, tones=tones), NO_NUMBERS, zone(settings))
    directory = snapshot.directory(branch, moment)
    edition = next(
        (one for one in contents.editions if one.edition_id == directory.edition_id), None
    )
    songs = list(zip(directory.tones, directory.sources, strict=True))
    if not as_json:
        for slot, (tone, source) in enumerate(songs, start=1):
            note = "" if source == "file" else f" ({source})"
            click.echo(f"{slot:2}  {tone_line(tone)}{note}")
        return
    emit(
        {
            "branch": branch,
            "edition": directory.edition_id,
            "from": _local(edition.valid_from, settings) if edition else None,
            "owner": directory.owner,
            "kind": edition.kind if edition else None,
            "songs": [
                {"slot": slot, "code": tone.code, "title": tone.title, "source": source}
                for slot, (tone, source) in enumerate(songs, start=1)
            ],
        }
    )


def _as_of(at: datetime, tone: Tone) -> Tone:
    """Return a tone as it was before it was taken out of the catalogue."""
    if tone.state == RETIRED and tone.retired_at is not None and at < tone.retired_at:
        return replace(tone, state=PUBLISHED)
    return tone


@directories.command("history")
@branch_argument
@config_option
@json_option
def show_history(branch: str, config: Path | None, as_json: bool) -> None:
    """Show everything BRANCH has published, the newest first: when, who, why, what changed.

    Example: toneline directories history yangzhou
    """
    settings = settings_of(config)
    with reading(settings) as database:
        found = database.run_now(store.history, branch)
    if as_json:
        emit([_told(published, settings) for published in found])
        return
    if not found:
        click.echo(f"{branch} has published nothing")
    for published in found:
        click.echo(_edition_line(published.edition, settings))
        proof = published.proof
        at = published.edition.published_at.astimezone(zone(settings))
        why = f": {proof.reason}" if proof.reason else ""
        click.echo(
            f"      published {at:%Y-%m-%d %H:%M:%S} by {proof.author} ({proof.origin}){why}"
        )
        click.echo(f"      {_changes(published, settings)}")


@directories.command("rollback")
@branch_argument
@click.argument("edition", type=int)
@reason_option
@author_option
@config_option
@json_option
def rollback(
    branch: str, edition: int, reason: str, author: str | None, config: Path | None, as_json: bool
) -> None:
    """Bring the songs of an old EDITION of BRANCH back, in the place of those heard now.

    The file that is rolled back does not come again by itself; the next change of it does.

    Example: toneline directories rollback yangzhou 7 --reason "wrong list"
    """
    settings = settings_of(config)
    with database_of(settings) as database:
        copy = database.run_now(store.roll_back, branch, edition, author or _user(), reason, now())
    if copy is None:
        raise Refused(
            f"{branch} has no edition {edition} with songs;"
            f" see: toneline directories history {branch}"
        )
    if as_json:
        emit(_said(copy, settings))
    else:
        click.echo(f"edition {copy.edition_id} has the songs of edition {edition}, from now on")


@directories.command("withdraw")
@branch_argument
@click.argument("edition", type=int)
@reason_option
@author_option
@config_option
@json_option
def withdraw(
    branch: str, edition: int, reason: str, author: str | None, config: Path | None, as_json: bool
) -> None:
    """Withdraw an EDITION of BRANCH that is heard now or would be: what is behind it is heard.

    Nothing is deleted, and `show --at` a time that has passed stays what was heard. While it stands
    in the file as it is, it does not come again.

    Example: toneline directories withdraw yangzhou 7 --reason "the holiday was moved"
    """
    settings = settings_of(config)
    with database_of(settings) as database:
        done = database.run_now(store.withdraw, branch, edition, author or _user(), reason, now())
    if isinstance(done, NotWithdrawn):
        raise Refused(f"{done.reason}; see: toneline directories history {branch}")
    if as_json:
        emit(_said(done, settings) | {"withdrawn": edition})
    else:
        click.echo(f"edition {edition} is withdrawn, by edition {done.edition_id}, from now on")


def _edition_line(edition: Edition, settings: Settings) -> str:
    if edition.is_withdrawal:
        begins = _day(edition.statement[1], settings)
        return f"{edition.edition_id:4}  {edition.owner}  {edition.kind}  from {begins}: withdrawn"
    until = f" to {_day(edition.valid_to, settings)}" if edition.valid_to else ""
    songs = " ".join(code or "-" for code in edition.songs)
    return (
        f"{edition.edition_id:4}  {edition.owner}  {edition.kind}  from"
        f" {_day(edition.valid_from, settings)}{until}: {songs}"
    )


def _changes(published: Published, settings: Settings) -> str:
    if published.edition.is_withdrawal:
        return f"what edition {published.before} says is not meant any more"
    if published.before is None:
        return "the first: nothing was before it"
    changed = ", ".join(
        f"{change.slot}: {change.was or '-'} -> {change.now or '-'}" for change in published.changes
    )
    edited = "; ".join(
        f"{what}: {was or '-'} -> {is_now or '-'}"
        for what, (was, is_now) in _edited(published, settings).items()
    )
    told = "; ".join(part for part in (changed or "the same songs", edited) if part)
    return f"instead of edition {published.before}: {told}"


def _edited(published: Published, settings: Settings) -> dict[str, tuple[str, str]]:
    """Return what else is not as it was: the times and the reserve."""
    if published.was is None:
        return {}
    both = (published.was, published.edition)
    told = {
        "from": [_day(one.valid_from, settings) for one in both],
        "to": ["" if one.valid_to is None else _day(one.valid_to, settings) for one in both],
        "reserve": [" ".join(one.reserve) for one in both],
    }
    return {what: (was, is_now) for what, (was, is_now) in told.items() if was != is_now}


def _day(at: datetime, settings: Settings) -> str:
    local = at.astimezone(zone(settings))
    return f"{local:%Y-%m-%d}" if (local.hour, local.minute) == (0, 0) else f"{local:%F %H:%M}"


def _said(edition: Edition, settings: Settings) -> dict[str, Any]:
    return {
        "edition": edition.edition_id,
        "branch": edition.owner,
        "kind": edition.kind,
        "from": _local(edition.valid_from, settings),
        "to": None if edition.valid_to is None else _local(edition.valid_to, settings),
        "songs": [
            {"slot": slot, "code": code, "source": source}
            for slot, (code, source) in enumerate(
                zip(edition.songs, edition.sources, strict=True), start=1
            )
            if code
        ],
        "reserve": list(edition.reserve),
    }


def _told(published: Published, settings: Settings) -> dict[str, Any]:
    return {
        **_said(published.edition, settings),
        "published_at": _local(published.edition.published_at, settings),
        "author": published.proof.author,
        "origin": published.proof.origin,
        "reason": published.proof.reason,
        "checksum": published.edition.checksum,
        "before": published.before,
        "changes": published.changes,
        "edited": {
            what: {"was": was, "now": is_now}
            for what, (was, is_now) in _edited(published, settings).items()
        },
    }


def _local(at: datetime, settings: Settings) -> str:
    return at.astimezone(zone(settings)).isoformat()
