"""The branches' files in their folder: which there are, whose, and how each kind is read.

Apart from `publishing`, so that the store process, which parses no file, loads no parser.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from catalog.directory_file import read_file
from catalog.directory_sheet import read_csv, read_workbook
from catalog.written import Written

READERS: dict[str, Callable[[bytes, str], Written]] = {
    ".yaml": read_file,
    ".yml": read_file,
    ".csv": read_csv,
    ".xlsx": read_workbook,
}
"""How a file is read, by the end of its name."""


def is_directory_file(path: Path) -> bool:
    """Say whether a file of the folder is a directory; what an editor keeps beside it is not."""
    return path.suffix.lower() in READERS and not path.name.startswith((".", "~"))


def directory_files(folder: Path) -> list[Path]:
    """Return the folder's directory files by name; a folder that is not there has none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if is_directory_file(path))


def file_owner(path: Path) -> str:
    """Return the name of the user whom a file belongs to: who is taken for its author."""
    try:
        return path.owner()
    except (OSError, KeyError):
        return "files"


def read(data: bytes, file: str) -> Written:
    """Return what a file says, by the end of its name."""
    return READERS.get(Path(file).suffix.lower(), read_file)(data, file)
