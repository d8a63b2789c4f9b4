"""What the tests need of the machine: installed by them when they may, else named exactly."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


class ProgramMissing(Exception):
    """A program is not installed and may not be installed by us; the text says what to do."""


def require_program(program: str, package: str) -> str:
    """Return a program's path, installing its Debian package if we are root.

    Raises:
        ProgramMissing: it is not there, and we may not install it.
    """
    found = shutil.which(program)
    if found is None:
        install(package)
        found = shutil.which(program)
    if found is None:
        raise ProgramMissing(f"the tests need {program}: as root, `apt-get install {package}`")
    return found


@cache
def install(package: str) -> None:
    """Install a Debian package, if we are root and this is Debian."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with one_at_a_time(Path(tempfile.gettempdir(), "toneline-tests-apt-get.lock")):
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            subprocess.run(["apt-get", "-q", *command], check=True, env=environment)


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Let one test process do something; the others wait until it lets go of the file."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
