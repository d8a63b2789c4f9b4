"""Everything that can fail, before anything starts: database, sounds, texts, directories."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
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
from catalog.snapshot import Contents, read_contents
from catalog.tones import BadCatalogue, Tone, all_tones, put_tones
from config.settings import Settings
from ivr.prompts import PromptBook, PromptBookInvalid
from ivr.prompts import load as load_prompts
from ordering import claims, orders
from ordering.texts import BadTexts, Texts
from smpp.smsc_rules import PLAIN, BadScript, Script, read_script
from store.database import LocalDatabase
from store.engine import StoreError, engine_for
from store.migrations import upgrade
from toneline.catalogue_commands import publish_all
from toneline.demo import SAMPLE_SP, prepare_sample
from toneline.places import Places
from toneline.presence import Presence, appear
from toneline.smscs import BadSmsc, resent, smscs_of
from toneline.smscs import check as check_smscs

log = structlog.get_logger()

T = TypeVar("T")

FAULTS = (
    BadBranches,
    BadCatalogue,
    BadScript,
    BadSmsc,
    BadTexts,
    PromptBookInvalid,
    SoundUnreadable,
    StoreError,
)
"""Each says in a sentence what is wrong and where."""


class CannotStart(Exception):
    """Something the line needs is not as it must be; each of `errors` says what and what to do."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the services are built from; nothing in it can fail any more."""

    settings: Settings
    places: Places
    prompts: PromptBook
    texts: Texts
    branches: BranchTable
    contents: Contents
    script: Script
    presence: Presence


def prepare(settings: Settings, progress: Callable[[str], None]) -> Prepared:
    """Return what the services need; the database is migrated and every sound is in its place.

    An embedded database without a single tone is given the sample catalogue: a first run has
    something to sing.

    Raises:
        CannotStart: every reason that was found, not only the first.
    """
    places = Places.of(settings)
    errors: list[str] = []
    prompts = _checked(errors, lambda: read_prompts(places))
    texts = _checked(errors, lambda: read_texts(places, settings.sms.signature))
    branches = _checked(errors, lambda: _read_branches(places.branches))
    contents = _checked(errors, lambda: _read_catalogue(settings, places, progress))
    _checked(errors, lambda: check_smscs(settings.smsc))
    script = _checked(errors, lambda: simulator_script(settings.simulator.script))
    if prompts is not None:
        _checked(errors, lambda: _install_prompts(places, prompts))
    if errors or prompts is None or texts is None or branches is None:
        raise CannotStart(errors)
    if contents is None or script is None:
        raise CannotStart(errors)
    presence = _checked(errors, lambda: _appear(settings, places))
    if presence is None:
        raise CannotStart(errors)
    return Prepared(settings, places, prompts, texts, branches, contents, script, presence)


def _appear(settings: Settings, places: Places) -> Presence:
    """Take back at once what processes of this host had claimed that were killed."""
    presence = appear(places.var / "running", gethostname(), os.getpid(), uuid4().hex)
    if presence.dead:
        now, classes = datetime.now(UTC), resent(smscs_of(settings))
        with closing(LocalDatabase(engine_for(places.database_url))) as database:
            taken_back = database.run_now(claims.release_held, presence.dead, now, classes)
            freed = database.run_now(orders.release_held, presence.dead)
        if taken_back or freed:
            log.warning("killed_before", messages_taken_back=taken_back, orders_freed=freed)
        presence.forget(presence.dead)
    return presence


def _checked(errors: list[str], step: Callable[[], T]) -> T | None:
    try:
        return step()
    except FAULTS as error:
        errors.append(str(error))
    except OSError as error:
        errors.append(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return None


def read_prompts(places: Places) -> PromptBook:
    """Return the language's prompt book."""
    return load_prompts(places.prompts_file.read_text("utf-8"), places.language)


def read_texts(places: Places, signature: str) -> Texts:
    """Return the language's SMS texts."""
    return Texts.load(places.texts_file.read_text("utf-8"), signature)


def simulator_script(file: str) -> Script:
    """Return what goes wrong at the simulated SMSC; no file: nothing."""
    return read_script(Path(file)) if file else PLAIN


def _read_branches(file: Path) -> BranchTable:
    return read_branches(file.read_text("utf-8"), str(file))


def _install_prompts(places: Places, prompts: PromptBook) -> None:
    installed = prompt_files.install(
        places.language, places.rendered_prompts, places.recorded_prompts, places.sounds
    )
    for problem in installed.problems:
        log.error("prompt_not_installed", reason=problem)
    missing = prompt_files.absent(prompts.needed(), places.sounds)
    if missing:
        log.error("prompts_missing", count=len(missing), first=missing[0])


def _read_catalogue(
    settings: Settings, places: Places, progress: Callable[[str], None]
) -> Contents:
    upgrade(places.database_url)
    database = LocalDatabase(engine_for(places.database_url))
    try:
        if not settings.database.url:
            _sing_something(database, places, progress)
        _, errors = publish_all(database, settings)
        for error in errors:
            log.error("directory_refused", error=error)
        return database.run_now(read_contents)
    finally:
        database.close()


def _sing_something(
    database: LocalDatabase, places: Places, progress: Callable[[str], None]
) -> None:
    """Give an embedded database its sample catalogue, and the samples' sounds their files."""
    known = database.run_now(all_tones)
    if known and not any(tone.sp == SAMPLE_SP for tone in known):
        return
    tones = prepare_sample(places.sounds, places.rendered_prompts, places.language, progress)
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
