"""Requests in a file on this host's disk, used by one process until it lets go of it or dies.

What it holds are frames as on the store's socket (`store.wire`). A lock says whose it is: the
system takes it from a process that dies, however it dies. All of it waits for the disk.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from store.wire import HEADER, LONGEST_BODY, REQUEST, WireError

ENDING, ASIDE = ".kept", ".failed"
_UNLOCKED = ".new"
_CHUNK = 256 * 1024


class KeptFile:
    """One open file and its lock.

    `left` are requests of it that were read and could not be done yet. `has_failed`: some of it
    never will be. `is_broken`: nothing more may be appended.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.left: list[bytes] = []
        self.has_failed = self.is_broken = False
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._read_to = 0

    @classmethod
    def create(cls, path: Path) -> KeptFile:
        """Return a new file, which nobody sees before it is locked.

        Raises:
            OSError: it cannot be made.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unlocked = path.with_suffix(_UNLOCKED)
        descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(path)
            _sync_folder(path.parent)
        except OSError:
            os.close(descriptor)
            unlocked.unlink(missing_ok=True)
            raise
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> KeptFile | None:
        """Take over the file of a process that is gone; None: it lives, or the file is gone too.

        Raises:
            OSError: it cannot be opened.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == path.stat().st_ino:  # else its process has ended it
                return cls(path, descriptor)
        os.close(descriptor)
        return None

    def append(self, data: bytes) -> None:
        """Return when the frames are on the disk.

        Raises:
            OSError: they are not, and none of them is in the file.
        """
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fdatasync(self._descriptor)
        except OSError:
            try:
                os.ftruncate(self._descriptor, self._size)
            except OSError:
                self.is_broken = True
            raise
        self._size += len(data)

    @property
    def is_read(self) -> bool:
        """Whether `read` has returned all that was appended."""
        return self._read_to == self._size

    def read(self, most: int) -> list[bytes]:
        """Return the next requests, so many at most; none: there are no more.

        What was half written when its process died was promised to nobody, and is none.

        Raises:
            OSError: it cannot be read just now.
            WireError: what comes next is no request.
        """
        data = os.pread(self._descriptor, min(_CHUNK, self._size - self._read_to), self._read_to)
        bodies: list[bytes] = []
        start = 0
        while len(bodies) < most and len(data) - start >= HEADER.size:
            length, kind, _ = HEADER.unpack_from(data, start)
            if kind != REQUEST or length > LONGEST_BODY:
                if bodies:
                    break
                raise WireError(f"no request begins at octet {self._read_to} of {self.path}")
            end = start + HEADER.size + length
            if end > _CHUNK and not bodies:  # a long one
                data = os.pread(self._descriptor, end, self._read_to)
            if end > len(data):
                break
            bodies.append(data[start + HEADER.size : end])
            start = end
        self._read_to += start
        return bodies

    def end(self) -> None:
        """Remove it, as it is done; if some of it failed, put it where nobody takes it for work.

        Raises:
            OSError: it is where it was.
        """
        try:
            if self.has_failed:
                self.path.rename(self.path.with_suffix(ASIDE))
            else:
                self.path.unlink()
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Leave it to whoever comes next."""
        os.close(self._descriptor)


def size_of(path: Path) -> int:
    """Return the octets of a file, 0 if it is not there any more."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
