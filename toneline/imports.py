"""imports.py: a catalogue file and a folder of recordings -> tones, all of them or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from audio.crew import Crew, Failed
from audio.formats import SoundUnreadable, sweep
from audio.ingest import import_sound
from audio.kokoro import SpeechUnavailable
from catalog.catalogue_file import BadCatalogue, CatalogueRow, decode_catalogue, read_catalogue
from catalog.importing import Planned, plan_import
from catalog.lifecycle import SUSPENDED
from catalog.tones import Tone, all_tones, import_tones, version
from config.settings import Settings, zone
from store.database import LocalDatabase
from toneline.folders import Folders
from toneline.language import read_prompts
from toneline.titles import install_title, open_speech, speak_titles

_MOST_ATTEMPTS = 20
_LEFT_BEHIND = timedelta(hours=1)
_Sound = tuple[str, int]
_Recording = tuple[Path, str]


class Interrupted(Exception):
    """The import was interrupted: nothing is in the catalogue, and what was made is kept."""


class Unsettled(Exception):
    """The catalogue was changed by others each time that the tones were ready."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be imported: a catalogue file's name and rows, the audio folder, and as what.

    `replaces`: a line may make another song of a live tone.
    """

    name: str
    rows: tuple[CatalogueRow, ...]
    audio: Path
    as_draft: bool
    replaces: bool

    @classmethod
    def of(cls, file: Path, audio: Path | None, *, as_draft: bool, replaces: bool) -> Batch:
        """Return the batch that a catalogue file names.

        Raises:
            BadCatalogue: every error of the file.
        """
        rows = read_catalogue(decode_catalogue(file.read_bytes(), file.name), file.name)
        return cls(file.name, rows, audio or file.parent, as_draft, replaces)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: `unspoken` titles are read as codes, and `why`."""

    planned: tuple[Planned, ...]
    changed: int
    unspoken: int
    why: str | None

    @property
    def given(self) -> tuple[CatalogueRow, ...]:
        """The rows that got a new code."""
        return tuple(one.row for one in self.planned if one.is_new_code)

    @property
    def replaced(self) -> tuple[tuple[Tone, CatalogueRow], ...]:
        """The tones that are another song now, each with its row."""
        return tuple((one.replaced, one.row) for one in self.planned if one.replaced)

    @property
    def suspended(self) -> tuple[str, ...]:
        """The codes of tones that stay suspended."""
        return tuple(one.row.code for one in self.planned if one.state == SUSPENDED)


def import_catalogue(
    batch: Batch,
    settings: Settings,
    database: LocalDatabase,
    now: datetime,
    advance: Callable[[], None],
) -> Imported:
    """Import all rows or none; `advance` is called for each recording that is done.

    Raises:
        BadCatalogue: every error of every row; what could be made is kept for the next try.
        Interrupted: Ctrl-C.
        Unsettled: others change the catalogue all the time.
    """
    sounds = Folders.of(settings).sounds
    sweep(sounds / "tones", (now - _LEFT_BEHIND).timestamp())
    for _ in range(_MOST_ATTEMPTS):
        # Made of the catalogue as it is now; if that is another when all is ready, anew: quick,
        # since the sounds are there.
        seen = database.run_now(version)
        present = {tone.code: tone for tone in database.run_now(all_tones)}
        planned = plan_import(
            batch.rows,
            batch.name,
            present,
            now,
            zone(settings),
            as_draft=batch.as_draft,
            replaces=batch.replaces,
        )
        made = make_sounds(batch, planned, sounds, advance)
        titles, unspoken, why = _titles(planned, settings)
        tones = [_tone(one, made, titles) for one in planned]
        changed = database.run_now(import_tones, tones, seen, now)
        if changed is not None:
            return Imported(planned, changed, unspoken, why)
    raise Unsettled("the catalogue is being changed all the time; import again when it is not")


def make_sounds(
    batch: Batch, planned: Sequence[Planned], sounds: Path, advance: Callable[[], None]
) -> dict[str, _Sound]:
    """Return stem and milliseconds of each code that has a recording, made on every core.

    Raises BadCatalogue with the errors of all recordings, Interrupted on Ctrl-C.
    """
    wanted = [one.row for one in planned if one.row.audio]
    errors = _outside(batch, wanted)
    if errors:
        raise BadCatalogue(errors)
    pieces: list[_Recording] = [((batch.audio / row.audio).resolve(), row.code) for row in wanted]
    made: dict[str, _Sound] = {}
    failed: dict[int, str] = {}
    crew = Crew(partial(_make, sounds), os.cpu_count() or 1)
    outcomes = crew.do_all(pieces)
    try:
        for index, outcome in outcomes:
            row = wanted[index]
            if isinstance(outcome, Failed):
                failed[row.line] = f"{batch.name}:{row.line}:audio: {row.audio}: {outcome.why}"
            else:
                made[row.code] = outcome
            advance()
    except KeyboardInterrupt:
        done = f"{len(made)} of {len(wanted)} recordings are ready"
        again = "the same command goes on from there"
        raise Interrupted(f"interrupted: {done}, the catalogue is unchanged; {again}") from None
    finally:
        outcomes.close()
    if failed:
        raise BadCatalogue([failed[line] for line in sorted(failed)])
    return made


def _make(sounds: Path, recording: _Recording) -> _Sound | Failed:
    path, code = recording
    try:
        return import_sound(path, sounds, code)
    except SoundUnreadable as error:
        return Failed(error.why)


def _outside(batch: Batch, rows: Sequence[CatalogueRow]) -> list[str]:
    root = batch.audio.resolve()
    return [
        f"{batch.name}:{row.line}:audio: {row.audio}: lies outside {batch.audio}"
        for row in rows
        if not (batch.audio / row.audio).resolve().is_relative_to(root)
    ]


def _titles(
    planned: Sequence[Planned], settings: Settings
) -> tuple[dict[str, str], int, str | None]:
    """Return the stem of every title that is spoken, how many are not, and why."""
    folders = Folders.of(settings)
    language = read_prompts(folders).titles

    def spoken(titles: list[str]) -> dict[str, str]:
        speech = folders.speech(language)
        stems = {title: install_title(title, folders.sounds, speech, language) for title in titles}
        return {title: stem for title, stem in stems.items() if stem is not None}

    titles = list(dict.fromkeys(one.row.title for one in planned))
    found = spoken(titles)
    silent = [title for title in titles if title not in found]
    if not silent:
        return found, 0, None
    try:
        render = open_speech(settings.paths.voice)
    except SpeechUnavailable as error:
        return found, len(silent), str(error)
    wordless = speak_titles(silent, folders.sounds, language, render)
    return found | spoken(silent), len(wordless), f"no words in {', '.join(wordless)}"


def _tone(one: Planned, made: dict[str, _Sound], titles: dict[str, str]) -> Tone:
    sound = made.get(one.row.code)
    if sound is None and one.known is not None:
        sound = one.known.sound, one.known.duration_ms
    if sound is None:
        raise LookupError(f"{one.row.code} has no sound: plan_import lets no such line pass")
    return one.tone(*sound, titles.get(one.row.title))
