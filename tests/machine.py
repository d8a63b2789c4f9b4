"""What the tests need of the machine: installed by them when they may, else named exactly."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache


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
    for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
        subprocess.run(["apt-get", "-q", *command], check=True, env=environment)
