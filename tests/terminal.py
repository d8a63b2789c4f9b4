"""A terminal that a test types on, also where nothing is mounted on /dev/pts."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

TIOCSPTLCK = 0x40045431  # Linux locks a new terminal until it is told otherwise


class TerminalMissing(Exception):
    """No terminal can be opened here, and we may not mount any; the text says what to do."""


@contextmanager
def open_terminal() -> Iterator[tuple[int, int]]:
    """Open a terminal: where keys are typed, and where a program reads them. Closes both.

    Raises:
        TerminalMissing: there is none, and only root may mount some.
    """
    with ExitStack() as closing:
        try:
            keyboard, screen = os.openpty()
        except OSError as error:
            if os.geteuid() != 0:
                raise TerminalMissing(
                    "the tests need a terminal: as root, `mount -t devpts devpts /dev/pts`"
                ) from error
            keyboard, screen = _open_first_of(closing.enter_context(_terminals_of_our_own()))
        closing.callback(os.close, keyboard)
        closing.callback(os.close, screen)
        yield keyboard, screen


@contextmanager
def _terminals_of_our_own() -> Iterator[Path]:
    """Mount terminals that nobody else has; none may be open any more at the end."""
    with TemporaryDirectory(prefix="toneline-pts-") as folder:
        options = "newinstance,ptmxmode=0600"
        subprocess.run(["mount", "-t", "devpts", "-o", options, "devpts", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def _open_first_of(folder: Path) -> tuple[int, int]:
    keyboard = os.open(folder / "ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(keyboard, TIOCSPTLCK, bytes(4))
    return keyboard, os.open(folder / "0", os.O_RDWR | os.O_NOCTTY)
