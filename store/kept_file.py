"""Requests in a file on this host's disk, used by one process until it lets go of it or dies.

What it holds are frames as on the store's socket (`store.wire`). A lock says whose it is: the
system takes it from a process that dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from store.wire import Frames

ENDING, ASIDE = ".kept", ".failed"
_UNLOCKED = ".new"


class KeptFile:
    """One open file and its lock; `done` counts the requests from its beginning that were done."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.done = 0
        self.has_failed = False
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    @classmethod
    def create(cls, path: Path) -> KeptFile:
        """Return a new file, which nobody sees before it is locked.

        Raises:
            OSError: it cannot be made.
        """
        unlocked = path.with_suffix(_UNLOCKED)
        descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(path)
            _sync_folder(path.parent)
        except OSError:
            os.close(descriptor)
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
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
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
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)

    def requests(self) -> list[bytes]:
        """Return the bodies of its frames; one that was half written was promised to nobody.

        Raises:
            OSError: it cannot be read.
            WireError: these are no frames.
        """
        return [body for _, _, body in Frames().feed(self.path.read_bytes())]

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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
