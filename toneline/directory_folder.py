"""Every branch's file of the folder, checked or published, each on its own: commands, start, doctor."""  # noqa: E501  one sentence

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from catalog.branch_files import directory_files, fault_of, file_owner, read_path
from catalog.directories import Edition
from catalog.drafts import same_owner_twice
from catalog.publishing import Outcome, plan, publish_file
from catalog.written import Written
from config.settings import Settings
from store.database import LocalDatabase
from store.engine import StoreBusy, StoreUnavailable, explained
from toneline.folders import Folders

log = structlog.get_logger()


class NoFolder(Exception):
    """The branches' files cannot be looked for: a sentence says where and why."""


@dataclass(frozen=True, slots=True)
class Folder:
    """What the files say, and the errors of those that stand beside another of their branch."""

    files: tuple[Written, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checkup:
    """How many editions the files have, every error of theirs, and what is worth knowing.

    `withdrawn` is what publishing would withdraw: it was to come, and its file no longer says it.
    """

    editions: int
    errors: tuple[str, ...]
    notes: tuple[str, ...]
    withdrawn: tuple[Edition, ...]


def files_of(settings: Settings) -> list[Path]:
    """Return the branches' files.

    Raises:
        NoFolder: the folder is not there, or may not be looked into.
    """
    folder = Folders.of(settings).directories
    if fault := fault_of(folder):
        raise NoFolder(fault)
    return directory_files(folder)


def read_folder(paths: Iterable[Path], beside: Iterable[Path] = ()) -> Folder:
    """Return what these files say; `beside` are read only for whose they are."""
    files = tuple(read_path(path) for path in paths)
    twice = same_owner_twice([*files, *(read_path(path) for path in beside)])
    errors = (
        f"{one.file}:{twice[one.file].place}: {twice[one.file].sentence}"
        for one in files
        if one.file in twice
    )
    return Folder(files, tuple(errors))


def _beside(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return the folder's other files, if some of these stand in it."""
    given = {path.resolve() for path in paths}
    if not any(path.parent == folder.resolve() for path in given):
        return []
    return [path for path in directory_files(folder) if path.resolve() not in given]


def check_all(paths: Sequence[Path], database: LocalDatabase, settings: Settings) -> Checkup:
    """Return what there is to say of these files; nothing is published.

    One of the folder's files is also held against those beside it: a branch has one.
    """
    folder = read_folder(paths, _beside(paths, Folders.of(settings).directories))
    plans = [
        database.run_now(
            plan,
            written,
            datetime.now(UTC),
            settings.line.timezone,
            settings.policy.stop_selling_days,
        )
        for written in folder.files
    ]
    return Checkup(
        editions=sum(len(one.checked.drafts) for one in plans),
        errors=(*folder.errors, *(error for one in plans for error in one.checked.errors)),
        notes=tuple(note for one in plans for note in (*one.unheard, *one.notes)),
        withdrawn=tuple(edition for one in plans for edition in one.withdrawn),
    )


def publish_all(
    database: LocalDatabase, settings: Settings, author: str | None = None, reason: str = ""
) -> tuple[list[Outcome], list[str]]:
    """Publish every new edition of the branches' files, each file all or nothing.

    Returns what became of the files, and the errors of those that changed nothing: what is wrong
    with one keeps no other from being heard. Without an author it is whoever the file belongs to.

    Raises:
        NoFolder: the folder is not there, or may not be looked into.
    """
    folder = read_folder(files_of(settings))
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
            publish_file,
            written,
            who,
            reason,
            datetime.now(UTC),
            settings.line.timezone,
            settings.policy.stop_selling_days,
        )
    except Exception as error:
        failure = explained(error)
        if isinstance(failure, StoreBusy | StoreUnavailable):
            raise  # nobody's file can be published just now
        log.exception("directory_not_published", file=written.file)
        return Outcome("", "", errors=(f"{written.file}:1:1: cannot be published: {failure}",))
