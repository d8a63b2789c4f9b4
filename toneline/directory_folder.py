"""Every branch's file of the folder, checked or published, each on its own: commands, start, doctor."""  # noqa: E501  one sentence

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from catalog.branch_files import directory_files, file_owner, read_path
from catalog.drafts import same_owner_twice
from catalog.publishing import Outcome, check_file, publish_file
from catalog.written import Written
from config.settings import Settings
from store.database import LocalDatabase
from store.engine import StoreBusy, StoreUnavailable, explained
from toneline.folders import Folders

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Folder:
    """What the files say, and the errors of those that stand beside another of their branch."""

    files: tuple[Written, ...]
    errors: tuple[str, ...]


def read_folder(paths: Iterable[Path]) -> Folder:
    """Return what these files say."""
    files = tuple(read_path(path) for path in paths)
    twice = same_owner_twice(files)
    errors = (f"{file}:{mistake.place}: {mistake.sentence}" for file, mistake in twice.items())
    return Folder(files, tuple(errors))


def check_all(
    paths: Sequence[Path], database: LocalDatabase, settings: Settings
) -> tuple[int, list[str]]:
    """Return how many editions the files have, and every error of theirs."""
    folder = read_folder(paths)
    errors, editions = list(folder.errors), 0
    for written in folder.files:
        checked = database.run_now(check_file, written, datetime.now(UTC), settings.line.timezone)
        errors += checked.errors
        editions += len(checked.drafts)
    return editions, errors


def publish_all(
    database: LocalDatabase, settings: Settings, author: str | None = None, reason: str = ""
) -> tuple[list[Outcome], list[str]]:
    """Publish every new edition of the branches' files, each file all or nothing.

    Returns what became of the files, and the errors of those that changed nothing: what is wrong
    with one keeps no other from being heard. Without an author it is whoever the file belongs to.
    """
    folder = read_folder(directory_files(Folders.of(settings).directories))
    refused = set(same_owner_twice(folder.files))
    outcomes = [
        _published(database, settings, written, author, reason)
        for written in folder.files
        if written.file not in refused
    ]
    errors = [*folder.errors, *(error for outcome in outcomes for error in outcome.errors)]
    return outcomes, errors


def _published(
    database: LocalDatabase, settings: Settings, written: Written, author: str | None, reason: str
) -> Outcome:
    who = author or file_owner(Path(written.file))
    try:
        return database.run_now(
            publish_file, written, who, reason, datetime.now(UTC), settings.line.timezone
        )
    except Exception as error:
        failure = explained(error)
        if isinstance(failure, StoreBusy | StoreUnavailable):
            raise  # nobody's file can be published just now
        log.exception("directory_not_published", file=written.file)
        return Outcome("", "", errors=(f"{written.file}:1:1: cannot be published: {failure}",))
