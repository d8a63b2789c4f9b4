"""Everything that can fail, before anything starts: database, sounds, texts, directories."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from typing import TypeVar
from uuid import uuid4

import structlog

from audio import prompts as prompt_files
from audio.formats import SoundUnreadable
from catalog.branches import BadBranches, BranchTable, read_branches
from catalog.catalogue_file import BadCatalogue
from catalog.snapshot import Snapshot, load_snapshot
from catalog.tones import Tone, all_tones, has_others, put_tones, spell_anew
from catalog.values import NotAMobile, parse_msisdn
from config.settings import Settings, zone
from ivr.prompts import PromptBook, PromptBookInvalid
from ordering import claims, fulfilment
from ordering.texts import BadTexts, Texts
from smpp.smsc_rules import PLAIN, BadScript, Script, read_script
from store.database import LocalDatabase
from store.engine import StoreError, engine_for
from store.migrations import upgrade
from toneline.demo import SAMPLE_SP, prepare_sample
from toneline.directory_folder import NoFolder, publish_all
from toneline.folders import Folders
from toneline.language import NoSuchLanguage, read_prompts, read_texts
from toneline.presence import Presence, appear
from toneline.smscs import BadSmsc, resent, smscs_of
from toneline.smscs import check as check_smscs

log = structlog.get_logger()

T = TypeVar("T")


class BadStaff(Exception):
    """A number of `[line] staff` is none."""


FAULTS = (
    BadBranches,
    BadCatalogue,
    BadScript,
    BadSmsc,
    BadStaff,
    BadTexts,
    NoSuchLanguage,
    PromptBookInvalid,
    SoundUnreadable,
    StoreError,
)
"""Each says in a sentence what is wrong and where."""


class CannotStart(Exception):
    """Something the line needs is not as it must be; each of `errors` says what and what to do."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = list(dict.fromkeys(errors))
        super().__init__("\n".join(self.errors))


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the services are built from; nothing in it can fail any more."""

    settings: Settings
    folders: Folders
    prompts: PromptBook
    texts: Texts
    branches: BranchTable
    snapshot: Snapshot
    staff: frozenset[str]
    script: Script
    presence: Presence


def prepare(
    settings: Settings, progress: Callable[[str], None], *, publishes: bool = True
) -> Prepared:
    """Return what the services need; the database is migrated and every sound is in its place.

    Where this process `publishes`, so are the branches' files: the first call hears them. Which of
    them are refused, and why, is told by the service that watches them.

    An embedded database without a single tone is given the sample catalogue: a first run has
    something to sing.

    Raises:
        CannotStart: every reason that was found, not only the first.
    """
    folders = Folders.of(settings)
    errors: list[str] = []
    prompts = _checked(errors, lambda: read_prompts(folders))
    texts = _checked(errors, lambda: read_texts(folders, settings.sms.signature))
    branches, staff, script = _read_named(errors, settings)
    titles = folders.language if prompts is None else prompts.titles
    snapshot = _checked(
        errors, lambda: _load_catalogue(settings, folders, titles, branches, progress, publishes)
    )
    if prompts is not None:
        _checked(errors, lambda: _install_prompts(folders, prompts))
    if errors or prompts is None or texts is None:
        raise CannotStart(errors)
    if branches is None or snapshot is None or staff is None or script is None:
        raise CannotStart(errors)
    presence = _checked(errors, lambda: _appear(settings, folders))
    if presence is None:
        raise CannotStart(errors)
    return Prepared(settings, folders, prompts, texts, branches, snapshot, staff, script, presence)


def _appear(settings: Settings, folders: Folders) -> Presence:
    """Take back at once what processes of this host had claimed that were killed."""
    presence = appear(folders.var / "running", gethostname(), os.getpid(), uuid4().hex)
    if presence.dead:
        now, classes = datetime.now(UTC), resent(smscs_of(settings))
        with closing(LocalDatabase(engine_for(folders.database_url))) as database:
            taken_back = database.run_now(claims.release_held, presence.dead, now, classes)
            freed = database.run_now(fulfilment.release_held, presence.dead)
        if taken_back or freed:
            log.warning("killed_before", messages_taken_back=taken_back, orders_freed=freed)
        presence.forget(presence.dead)
    return presence


def mistakes(settings: Settings) -> list[str]:
    """Return what is wrong with the numbers and small files that settings name, for `doctor`."""
    errors: list[str] = []
    _read_named(errors, settings)
    return errors


def _read_named(
    errors: list[str], settings: Settings
) -> tuple[BranchTable | None, frozenset[str] | None, Script | None]:
    """Read the numbers and small files that settings name; what cannot be read is None."""
    branches = _checked(errors, lambda: _read_branches(Folders.of(settings).branches))
    staff = _checked(errors, lambda: read_staff(settings.line.staff))
    _checked(errors, lambda: check_smscs(settings.smsc))
    script = _checked(errors, lambda: simulator_script(settings.simulator.script))
    return branches, staff, script


def _checked(errors: list[str], step: Callable[[], T]) -> T | None:
    try:
        return step()
    except FAULTS as error:
        errors.append(str(error))
    except OSError as error:
        errors.append(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return None


def simulator_script(file: str) -> Script:
    """Return what goes wrong at the simulated SMSC; no file: nothing."""
    with _named("simulator.script"):
        return read_script(Path(file)) if file else PLAIN


def read_staff(numbers: Sequence[str]) -> frozenset[str]:
    """Return the numbers of `[line] staff` as callers' numbers are written.

    Raises:
        BadStaff: one of them is no mobile number.
    """
    try:
        return frozenset(map(parse_msisdn, numbers))
    except NotAMobile as error:
        raise BadStaff(f"line.staff: {error}") from error


def _read_branches(file: Path) -> BranchTable:
    with _named("paths.branches"):
        return read_branches(file.read_text("utf-8"), str(file))


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Let the sentence about a file that cannot be read say which setting names it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{key}: {error.filename}") from error


def _install_prompts(folders: Folders, prompts: PromptBook) -> None:
    installed = prompt_files.install(
        folders.language, folders.speech(folders.language), folders.recorded_prompts, folders.sounds
    )
    for problem in installed.problems:
        log.error("prompt_not_installed", reason=problem)
    missing = prompt_files.absent(prompts.needed(), folders.sounds)
    if missing:
        log.error("prompts_missing", count=len(missing), first=missing[0])


def _load_catalogue(
    settings: Settings,
    folders: Folders,
    titles: str,
    branches: BranchTable | None,
    progress: Callable[[str], None],
    publishes: bool,
) -> Snapshot | None:
    upgrade(folders.database_url)
    database = LocalDatabase(engine_for(folders.database_url))
    try:
        if not settings.database.url:
            _sing_something(database, folders, titles, progress)
        if publishes:
            _publish(database, settings)
        database.run_now(spell_anew, datetime.now(UTC))
        return (
            None
            if branches is None
            else load_snapshot(database, branches, zone(settings), datetime.now(UTC))
        )
    finally:
        database.close()


def _publish(database: LocalDatabase, settings: Settings) -> None:
    """Publish the branches' files; a line without them sings what it sang."""
    try:
        outcomes, _ = publish_all(database, settings, datetime.now(UTC))
    except NoFolder:
        return  # who watches the folder tells it, and goes on doing so
    for outcome in outcomes:
        for edition in outcome.withdrawn:
            log.warning("directory_withdrawn", branch=outcome.owner, edition=edition.edition_id)


def _sing_something(
    database: LocalDatabase, folders: Folders, titles: str, progress: Callable[[str], None]
) -> None:
    """Give an embedded database its sample catalogue, and the samples' sounds their files."""
    if database.run_now(has_others, SAMPLE_SP):
        return
    known = database.run_now(all_tones)
    tones = prepare_sample(folders.sounds, folders.speech(titles), titles, progress)
    # A newer program may sing a sample anew; what an operator changed of it stays as it is.
    fresh = {tone.code: tone for tone in tones}
    kept = [_resung(tone, fresh[tone.code]) for tone in known if tone.code in fresh]
    database.run_now(put_tones, kept if known else tones, datetime.now(UTC))


def _resung(known: Tone, fresh: Tone) -> Tone:
    if known.sp != SAMPLE_SP:
        return known
    return replace(
        known,
        sound=fresh.sound,
        duration_ms=fresh.duration_ms,
        title_sound=fresh.title_sound,
    )
