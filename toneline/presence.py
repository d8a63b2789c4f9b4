"""which processes of the line live on this host, so that nobody waits for what a dead one held.

Each holds the lock of a file of its own, which the kernel lets go of however the process ends. A
number of a process would not do: it is soon another's, and in a container always the same.
"""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Presence:
    """This process: `host` is the name its claims are held by, `dead` those of processes gone."""

    host: str
    dead: tuple[str, ...]
    _folder: Path
    _lock: IO[str]

    def forget(self, dead: Sequence[str]) -> None:
        """Nothing is held any more by these."""
        for host in dead:
            _file(self._folder, host).unlink(missing_ok=True)

    def leave(self) -> None:
        """End the presence, as the end of the process does."""
        self._lock.close()


def appear(folder: Path, machine: str, pid: int, token: str) -> Presence:
    """Take part: hold a lock in `folder` and see who left one behind.

    `token` tells this process from all others that ever had its `pid`. Of other machines that may
    share the folder nothing is concluded: not every file system carries locks between them.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    ours = f"{machine[:14]}/"
    host = f"{ours}{pid}/{token[:8]}"
    lock = _file(folder, host).open("w", encoding="ascii")
    fcntl.flock(lock, fcntl.LOCK_EX)
    others = sorted(_host(file) for file in folder.iterdir())
    dead = [one for one in others if one.startswith(ours) and _is_dead(folder, one)]
    return Presence(host, tuple(dead), folder, lock)


def _is_dead(folder: Path, host: str) -> bool:
    """Say whether nobody holds the lock: one that has not got it yet has claimed nothing."""
    with suppress(OSError), _file(folder, host).open(encoding="ascii") as found:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _file(folder: Path, host: str) -> Path:
    return folder / host.replace("/", "@")


def _host(file: Path) -> str:
    return file.name.replace("@", "/")
