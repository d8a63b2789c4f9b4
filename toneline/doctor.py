"""What `toneline doctor` checks, and what to do about what is wrong."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from audio.prompts import absent
from catalog import licences, preparation
from catalog.snapshot import Contents, read_contents
from config.settings import Settings, service_senders, zone
from ivr.ami import AmiAccess, AmiError, Session
from ordering import outbox
from store.database import LocalDatabase
from store.engine import StoreError
from store.kept_file import ASIDE, ENDING, size_of
from store.migrations import HEAD, current
from store.onlooker import onlooker_for
from toneline.addresses import client_address
from toneline.command import emit
from toneline.directory_folder import NoFolder, check_all, files_of
from toneline.folders import ROOT, Folders
from toneline.language import LANGUAGE_FAULTS, read_prompts, read_texts
from toneline.prepare import mistakes

CONNECT_S = 3.0
LEAST_FREE_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `todo` says what to do when it is not well."""

    what: str
    well: bool
    detail: str
    todo: str = ""


def examine(settings: Settings) -> tuple[Finding, ...]:
    """Return what was found; the settings themselves were checked when they were read."""
    folders = Folders.of(settings)
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: iter([configured(settings)]),
        lambda: _disk(folders),
        lambda: _database(settings, folders),
        lambda: kept(folders.kept),
        lambda: _prompts(folders),
        lambda: _texts(settings, folders),
        lambda: _senders(settings),
        _programs,
        lambda: _ports(settings),
        lambda: _ami(settings),
        _asterisk,
    )
    return tuple(finding for check in checks for finding in check())


def tell(findings: tuple[Finding, ...], as_json: bool) -> None:
    """Print the findings."""
    if as_json:
        emit(findings)
        return
    for finding in findings:
        mark = "ok  " if finding.well else "FAIL"
        click.echo(f"{mark}  {finding.what}: {finding.detail}")
        if finding.todo and not finding.well:
            click.echo(f"      -> {finding.todo}")


def configured(settings: Settings) -> Finding:
    """Return whether the numbers and small files that settings name can be used."""
    wrong = mistakes(settings)
    return Finding(
        "settings",
        not wrong,
        "; ".join(wrong) or "every key is known and allowed",
        "correct toneline.toml, or the file that it names",
    )


def _disk(folders: Folders) -> Iterator[Finding]:
    folder = next(parent for parent in (folders.var, *folders.var.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    yield Finding(
        "disk",
        free >= LEAST_FREE_BYTES,
        f"{free // 1_000_000} MB free at {folder}",
        "make room: orders cannot be recorded on a full disk",
    )


def _database(settings: Settings, folders: Folders) -> Iterator[Finding]:
    try:
        engine = onlooker_for(folders.database_url)
        try:
            revision = current(engine)
            yield Finding(
                "database",
                revision == HEAD,
                f"revision {revision or 'none'}, this program's is {HEAD}",
                "toneline db upgrade (serve does it by itself)",
            )
            if revision == HEAD:
                database = LocalDatabase(engine)
                yield from _catalogue(settings, folders, database)
                yield from _outbox(database)
                yield from _calendar(settings, database)
        finally:
            engine.dispose()
    except StoreError as error:
        yield Finding("database", False, str(error), "see [database] url and [paths] var")
    except Exception as error:  # whatever a driver raises is the finding
        todo = "check database.url, and that the server runs"
        yield Finding("database", False, str(error).splitlines()[0], todo)


def _catalogue(settings: Settings, folders: Folders, database: LocalDatabase) -> Iterator[Finding]:
    contents: Contents = database.run_now(read_contents)
    published = [tone for tone in contents.tones if tone.state == "published"]
    silent = [tone for tone in published if not Path(f"{folders.sounds / tone.sound}.wav").exists()]
    yield Finding(
        "tones",
        bool(published) and not silent,
        f"{len(published)} published, {len(silent)} without their sound file"
        + "".join(f", {tone.code}" for tone in silent[:5]),
        "toneline tones import CATALOGUE.csv --audio FOLDER",
    )
    try:
        files = files_of(settings)
    except NoFolder as missing:
        todo = "set [paths] directories, and look at the folder's owner and mode"
        yield Finding("directories", False, str(missing), todo)
        return
    found = check_all(files, database, settings, datetime.now(UTC))
    told = (*found.errors, *found.notes)
    yield Finding(
        "directories",
        not found.errors,
        told[0] if told else f"{len(files)} files, {found.editions} editions",
        "correct the file; `toneline directories check` shows every error",
    )


def _calendar(settings: Settings, database: LocalDatabase) -> Iterator[Finding]:
    """Say what nears: it is no fault of the line's, so all of it is well."""
    at, timezone = datetime.now(UTC), zone(settings)
    near = max(preparation.STEPS)
    for one in database.run_now(preparation.preparations, at, near, timezone):
        missing = ", ".join(one.missing) or "none"
        detail = f"{one.holiday.title} in {one.days_left} days; without an edition: {missing}"
        yield Finding(f"holiday {one.holiday.name}", True, detail)
    soon = max(licences.STEPS)
    ending = database.run_now(licences.ending_and_placed, at, soon, timezone)
    heard = [one.code for one in ending if one.directories]
    detail = f"{len(ending)} end within {soon} days, {len(heard)} of them in current lists"
    yield Finding("licences", True, detail + "".join(f", {code}" for code in heard[:5]))


def _outbox(database: LocalDatabase) -> Iterator[Finding]:
    """Say what waits to be sent, as it was counted last."""
    for level in database.run_now(outbox.levels):
        since = "" if level.oldest_due_at is None else f", due since {level.oldest_due_at:%F %T %Z}"
        yield Finding(
            f"outbox {level.message_class}",
            not level.is_full,
            f"{level.waiting} wait{since}, counted {level.measured_at:%F %T %Z}",
            "see why the SMSC takes so few, or raise sms.offers_waiting",
        )


def kept(folder: Path) -> Iterator[Finding]:
    """Say what waits on this host's disk because the database could not take it."""
    waiting, failed = (sorted(folder.glob(f"*{ending}")) for ending in (ENDING, ASIDE))
    size = sum(size_of(file) for file in waiting)
    yield Finding(
        "kept requests",
        not failed,
        f"{len(waiting)} files, {size} bytes wait for the database"
        + (f"; failed: {', '.join(file.name for file in failed[:5])}" if failed else ""),
        f"look for kept_request_failed in the log; rename the file to *{ENDING} to try it again,"
        f" or remove it from {folder}",
    )


def _prompts(folders: Folders) -> Iterator[Finding]:
    try:
        missing = absent(read_prompts(folders).needed(), folders.sounds)
    except LANGUAGE_FAULTS as error:
        yield Finding("prompts", False, str(error), f"correct {folders.prompts_file}")
        return
    yield Finding(
        "prompts",
        not missing,
        "every prompt has its sound" if not missing else f"no sound for {', '.join(missing[:5])}",
        f"start the line once, or record them into {folders.recorded_prompts}",
    )


def _texts(settings: Settings, folders: Folders) -> Iterator[Finding]:
    try:
        texts = read_texts(folders, settings.sms.signature)
    except LANGUAGE_FAULTS as error:
        yield Finding("texts", False, str(error), f"correct {folders.texts_file}")
        return
    for measure in texts.measures():
        yield Finding(
            f"text {measure.name}",
            measure.units <= measure.limit,
            f"{measure.units} of {measure.limit} units at most, {measure.segments} segments",
            f"shorten it in {folders.texts_file}",
        )


def _senders(settings: Settings) -> Iterator[Finding]:
    sms = settings.sms
    offers, answers = sms.sender("offer"), sms.sender("answer")
    shared = offers in service_senders(settings)
    detail = f"answers come from {answers}, offers from {offers}"
    yield Finding(
        "senders",
        not shared,
        f"{detail}: no offer is sent (shared_sender)" if shared else detail,
        "set sms.sender_offer to a number of its own, or sms.allow_shared_sender = true",
    )
    deaf = [one for one in sorted({answers, offers}) if one not in sms.short_codes]
    if deaf:
        todo = "add them to sms.short_codes, or no Y, TD or R sent to them is understood"
        yield Finding("replies", False, f"nobody listens at {', '.join(deaf)}", todo)


def _programs() -> Iterator[Finding]:
    found = shutil.which("ffmpeg")
    yield Finding(
        "ffmpeg",
        True,
        found or "not installed; imports (mp3, flac, G.722) need it: apt-get install ffmpeg",
    )


def _ports(settings: Settings) -> Iterator[Finding]:
    for smsc in settings.smsc:
        try:
            with socket.create_connection((smsc.host, smsc.port), CONNECT_S):
                yield Finding(f"smsc {smsc.name}", True, f"{smsc.host}:{smsc.port} answers")
        except OSError as error:
            detail = f"{smsc.host}:{smsc.port}: {error}"
            todo = "check host, port and the firewall between"
            yield Finding(f"smsc {smsc.name}", False, detail, todo)
    listens = {
        "agi.listen": settings.agi.listen,
        "console.listen": settings.console.listen,
    }
    if not settings.smsc:
        listens["simulator.listen"] = settings.simulator.listen
        listens["simulator.http"] = settings.simulator.http
    for key, listen in listens.items():
        taken = _taken(listen)
        detail = f"{listen} is in use: by the running line, or by another program"
        yield Finding(key, True, detail if taken else f"{listen} is free")


def _ami(settings: Settings) -> Iterator[Finding]:
    ami = settings.ami
    if not ami.enabled:
        return
    session = Session(AmiAccess(ami.host, ami.port, ami.username, ami.secret), lambda _: None)
    deadline = threading.Timer(CONNECT_S, session.abort)
    deadline.start()
    try:
        detail = f"{session.open()} at {ami.host}:{ami.port} knows {ami.username}"
        yield Finding("ami", True, detail)
    except AmiError as error:
        todo = "check [ami], and manager_site.conf on Asterisk's host (`manager show user`)"
        yield Finding("ami", False, str(error), todo)
    finally:
        deadline.cancel()
        session.close()


def _taken(listen: str) -> bool:
    if listen.startswith("unix:"):
        return False
    try:
        with socket.create_connection(client_address(listen), CONNECT_S):
            return True
    except OSError:
        return False


def _asterisk() -> Iterator[Finding]:
    folder = ROOT / "config" / "asterisk"
    samples = ("extensions.conf", "pjsip.conf", "manager.conf")
    missing = [name for name in samples if not (folder / name).exists()]
    yield Finding(
        "Asterisk's samples",
        not missing,
        f"{folder}" if not missing else f"{', '.join(missing)} missing in {folder}",
        "check the installation",
    )
