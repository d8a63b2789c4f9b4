"""Watches the folder of the branches' files and publishes what is new, each file all or nothing.

A bad file leaves what is heard as it is. It is told once each time it was saved so: by one event in
the log, and by one SMS to the branch's contact. So is a file that says again what another version
of it has replaced: it has no error, and nobody hears it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.filepath import FilePath

from catalog import editions
from catalog.branch_files import (
    content,
    directory_files,
    fault_of,
    file_owner,
    named_for,
    read,
    unreadable,
)
from catalog.drafts import contact_of, owner_of, same_owner_twice
from catalog.publishing import Outcome, publish_file
from catalog.values import mask
from catalog.written import Written
from ordering import outbox
from ordering.outbox import Message
from ordering.texts import Texts
from store.database import Database, StoreBusy, StoreUnavailable

log = structlog.get_logger()

POLL_S = 1.0
"""Beside the system's own notices, which network folders and some editors do not give."""
QUIET_S = 0.3
"""A file is read when nothing has changed for so long: an editor writes in several steps."""
TOLD_FOR = timedelta(hours=12)
REFUSED = "directory_refused"
MOST_TOLD = 20

Look = Mapping[str, tuple[int, ...]]
InThread = Callable[..., Deferred[Any]]
Notices = Callable[[Path, Callable[[], None]], Callable[[], None]]


class Delayed(Protocol):
    """What IReactorTime gives for a later call."""

    def cancel(self) -> None:
        """Call it not."""

    def active(self) -> bool:
        """Whether it is still to be called."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was read: whom it belongs to on this system, its content's digest, its words.

    `saved_ns` is when it was saved, as far as the file system says.
    """

    name: str
    author: str
    digest: str
    written: Written
    saved_ns: int = 0


def look(folder: Path) -> Look:
    """Return what tells whether a directory file has changed, by its path."""
    seen: dict[str, tuple[int, ...]] = {}
    for path in directory_files(folder):
        try:
            found = path.stat()
        except OSError:  # it has just gone
            continue
        seen[str(path)] = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return seen


def read_files(paths: Iterable[str], known: Mapping[str, File]) -> dict[str, File]:
    """Return the files by path; one whose content is known is not parsed again."""
    files: dict[str, File] = {}
    for name in paths:
        path = Path(name)
        try:
            data = content(path)
        except FileNotFoundError:  # it has just gone
            continue
        except OSError as error:
            digest = hashlib.sha256(str(error).encode()).hexdigest()
            files[name] = File(name, "", digest, unreadable(path, error), _saved_ns(path))
            continue
        digest = hashlib.sha256(data).hexdigest()
        before = known.get(name)
        if before is not None and before.digest == digest:
            files[name] = before
        else:
            written = read(data, name)
            files[name] = File(name, file_owner(path), digest, written, _saved_ns(path))
    return files


def _saved_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class DirectoryWatch(Service):
    """Publishes the branches' files as they change; one process a host runs it."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        reactor: Any,  # IReactorTime
        now: Callable[[], datetime],
        *,
        timezone: str,
        texts: Texts,
        sender: str,
        in_thread: InThread,
        notices: Notices | None = None,
    ) -> None:
        self._folder = folder
        self._database = database
        self._reactor = reactor
        self._now = now
        self._timezone = timezone
        self._texts = texts
        self._sender = sender
        self._in_thread = in_thread
        self._notices = notices
        self._poll = LoopingCall(self._look)
        self._poll.clock = reactor
        self._ends: list[Callable[[], object]] = []
        self._seen: Look | None = None
        self._read: Look | None = None
        self._quiet: Delayed | None = None
        self._is_working = False
        self._working: Deferred[None] | None = None
        self._files: dict[str, File] = {}
        self._published: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._fault = ""
        self.refused = 0

    def startService(self) -> None:
        """Begin: look at the folder every second, and when the system says that it changed."""
        super().startService()
        self._ends.append(self._database.on_change("catalogue", self._catalogue_changed))
        if self._notices is not None:
            try:
                self._ends.append(self._notices(self._folder, self._look))
            except Exception as error:  # no inotify here: looking every second is enough
                log.info("directories_polled_only", reason=str(error))
        self._poll.start(POLL_S)

    def stopService(self) -> Deferred[None] | None:
        """End; what is being published is published first."""
        super().stopService()
        for end in self._ends:
            end()
        self._ends.clear()
        if self._poll.running:
            self._poll.stop()
        if self._quiet is not None and self._quiet.active():
            self._quiet.cancel()
        return self._working

    def health(self) -> tuple[bool, str]:
        """Say how many files there are; a branch's mistake does not make the line unwell.

        Without the folder nobody's change would be heard: that does.
        """
        if self._fault:
            return False, self._fault
        return self._poll.running, f"{len(self._files)} files, {self.refused} refused"

    def _look(self) -> None:
        self._notice_fault(fault_of(self._folder))
        if self._fault or not self.running:
            return
        seen = look(self._folder)
        if seen == self._read:
            return
        waiting = self._quiet is not None and self._quiet.active()
        if seen == self._seen and (waiting or self._is_working):
            return
        self._seen = seen
        if self._quiet is not None and self._quiet.active():
            self._quiet.cancel()
        self._quiet = self._reactor.callLater(QUIET_S, self._settled)

    def _notice_fault(self, fault: str) -> None:
        """Tell once of a folder that is not there; what is heard stays, and it is waited for."""
        if fault and fault != self._fault:
            log.error("directories_missing", reason=fault)
        self._fault = fault

    def _settled(self) -> None:
        if self._is_working or look(self._folder) != self._seen:
            self._look()
            return
        self._is_working = True
        self._working = Deferred.fromCoroutine(self._publish(self._seen or {}))

    def _catalogue_changed(self) -> None:
        # What was refused for a tone that was missing may be right now.
        if self.refused:
            self._read = None

    async def _publish(self, seen: Look) -> None:
        self._read = seen
        try:
            self._files = await self._in_thread(read_files, sorted(seen), self._files)
            twice = same_owner_twice([file.written for file in self._files.values()])
            self.refused = 0
            self._told = {name: was for name, was in self._told.items() if name in self._files}
            for file in self._files.values():
                if (mistake := twice.get(file.name)) is not None:
                    error = f"{file.name}:{mistake.place}: {mistake.sentence}"
                    await self._refuse(file, (error,))
                elif self._published.get(file.name) != file.digest:
                    await self._publish_or_refuse(file)
        except Exception:  # the edge of a job: the next look tries again
            self._read = None
            log.exception("directories_not_published")
        finally:
            self._is_working = False

    async def _publish_or_refuse(self, file: File) -> None:
        """Publish a file; what the store cannot do with this one keeps no other branch waiting."""
        try:
            await self._publish_file(file)
        except (StoreBusy, StoreUnavailable, OSError):
            raise  # nobody's file can be published just now
        except Exception as error:
            log.exception("directory_not_published", file=file.name)
            await self._refuse(file, (f"{file.name}:1:1: cannot be published: {error}",))

    async def _publish_file(self, file: File) -> None:
        outcome: Outcome = await self._database.run(
            publish_file, file.written, file.author, "", self._now(), self._timezone
        )
        if outcome.errors:
            await self._refuse(file, outcome.errors)
            return
        self._published[file.name] = file.digest
        if outcome.editions:
            numbers = [edition.edition_id for edition in outcome.editions]
            log.info("directory_published", file=file.name, branch=outcome.owner, editions=numbers)
        for edition in outcome.withdrawn:
            log.warning(
                "directory_withdrawn",
                file=file.name,
                branch=outcome.owner,
                edition=edition.edition_id,
                kind=edition.kind,
                begins=edition.valid_from.isoformat(),
            )
        for note in outcome.notes:
            log.warning("directory_note", note=note)
        if outcome.unheard:
            await self._refuse(file, outcome.unheard)
        else:
            self._told.pop(file.name, None)

    async def _refuse(self, file: File, errors: tuple[str, ...]) -> None:
        self.refused += 1
        self._published.pop(file.name, None)
        if self._told.get(file.name) == file.digest:
            return
        owner = owner_of(file.written) or named_for(Path(file.name))
        number = contact_of(file.written)
        if not number:
            number = await self._database.run(editions.contact_of, owner)
        if number:
            message = self._message(file, number, errors)
            await self._database.run(outbox.put, message, self._now())
        self._told[file.name] = file.digest
        log.error(
            REFUSED,
            file=file.name,
            branch=owner,
            errors=list(errors[:MOST_TOLD]),
            count=len(errors),
            contact=mask(number),
        )

    def _message(self, file: File, number: str, errors: tuple[str, ...]) -> Message:
        name, now = Path(file.name).name, self._now()
        line = errors[0].removeprefix(f"{file.name}:").partition(":")[0]
        # The same on every host that has the file, another when it was saved so a second time.
        said = f"{REFUSED}\n{name}\n{file.digest}\n{file.saved_ns}"
        key = hashlib.sha256(said.encode()).hexdigest()
        text = self._texts.fill(REFUSED, file=name[:16], row=line[:4], count=str(len(errors))[:3])
        return Message(
            mt_id=key[:32],
            msisdn=number,
            sender=self._sender,
            text=text,
            message_class="order",
            purpose=REFUSED,
            due_at=now,
            expires_at=now + TOLD_FOR,
        )


def inotify(reactor: Any) -> Notices:
    """Return what calls back when the system says that a folder changed (Linux)."""

    def watch(folder: Path, changed: Callable[[], None]) -> Callable[[], None]:
        # Imported here: where the system has no inotify, even that fails.
        from twisted.internet import inotify as system  # noqa: PLC0415  see above

        notifier = system.INotify(reactor)
        notifier.startReading()
        mask = system.IN_CLOSE_WRITE | system.IN_MOVED_TO | system.IN_DELETE | system.IN_ATTRIB
        notifier.watch(FilePath(str(folder)), mask=mask, callbacks=[lambda *_told: changed()])
        return lambda: notifier.loseConnection()  # noqa: PLW0108  it returns nothing of use

    return watch
