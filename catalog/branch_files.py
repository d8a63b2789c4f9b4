"""The branches' files in their folder: which there are, whose, and how each kind is read.

Apart from `publishing`, so that the store process, which parses no file, loads no parser.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePath

from catalog.branches import BRANCHES, PROVINCE
from catalog.directory_file import read_file
from catalog.directory_sheet import read_csv, read_workbook
from catalog.written import LONGEST_FILE, TOP, Mistake, Written, nothing

READERS: dict[str, Callable[[bytes, str], Written]] = {
    ".yaml": read_file,
    ".yml": read_file,
    ".csv": read_csv,
    ".xlsx": read_workbook,
}
"""How a file is read, by the end of its name."""
LEFT_BY_EDITORS = (".bak", ".orig", ".swp", ".swo", ".swx", ".tmp")


def is_directory_file(path: Path) -> bool:
    """Say whether a file of the folder is meant for a directory; what an editor keeps is not.

    A file with a branch's name and an ending that nobody reads is: she who saved it believes so.
    """
    if path.name.startswith((".", "~")) or path.name.endswith("~"):
        return False
    ending = path.suffix.lower()
    if ending in READERS:
        return True
    return bool(named_for(path)) and ending not in LEFT_BY_EDITORS and path.is_file()


def named_for(path: PurePath) -> str:
    """Return the owner with whose name a file's begins; empty: there is none."""
    name = path.name.lower()
    return next((owner for owner in (PROVINCE, *BRANCHES) if name.startswith(owner)), "")


def directory_files(folder: Path) -> list[Path]:
    """Return the folder's directory files by name; see `fault_of` for a folder that has none."""
    try:
        return sorted(path for path in folder.iterdir() if is_directory_file(path))
    except OSError:
        return []


def fault_of(folder: Path) -> str:
    """Say why the folder cannot be looked into; empty: it can."""
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        return f"{folder}: {error.strerror}; the branches' files stand there ([paths] directories)"
    return ""


def file_owner(path: Path) -> str:
    """Return the name of the user whom a file belongs to: who is taken for its author."""
    try:
        return path.owner()
    except (OSError, KeyError):
        return "files"


def read_path(path: Path) -> Written:
    """Return what the file at a path says; that it cannot be read is its mistake."""
    try:
        return read(content(path), str(path))
    except OSError as error:
        return unreadable(path, error)


def content(path: Path) -> bytes:
    """Return a regular file's bytes, no more of them than tell that it is too long.

    Raises:
        OSError: it cannot be read, or is a folder, or a pipe that would be waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "this is no file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(LONGEST_FILE + 1)
    finally:
        os.close(descriptor)


def unreadable(path: Path, error: OSError) -> Written:
    """Return a file of which only that is known: nobody may or can read it."""
    return nothing(str(path), Mistake(TOP, f"cannot be read: {error.strerror}"))


def read(data: bytes, file: str) -> Written:
    """Return what a file says, by the end of its name. No bytes make it raise anything."""
    ending = Path(file).suffix
    reader = READERS.get(ending.lower())
    if reader is None:
        known = ", ".join(READERS)
        sentence = f"a name that ends in {ending or 'nothing'} is not known; known are {known}"
        return nothing(file, Mistake(TOP, sentence))
    try:
        return reader(data, file)
    except Exception as error:  # whatever a parser makes of damaged words is this file's mistake
        sentence = f"this file cannot be read ({type(error).__name__}); begin anew from a copy"
        return nothing(file, Mistake(TOP, sentence))
