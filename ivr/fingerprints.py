"""The SHA-256 of each sound that a consent names, read once a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


class Fingerprints:
    """SHA-256 of sounds by their stems below `folder`; a replaced file is read again.

    The `.wav` of a sound stands for all its encodings: the others are made from it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, int], str]] = {}

    def of(self, sound: str) -> str:
        """Return the hexadecimal SHA-256 of a sound's file, empty if it cannot be read."""
        path = self._folder / f"{sound}.wav"
        try:
            stat = path.stat()
            state = (stat.st_mtime_ns, stat.st_size)
            known = self._known.get(sound)
            if known is None or known[0] != state:
                known = state, hashlib.sha256(path.read_bytes()).hexdigest()
                self._known[sound] = known
        except OSError:
            return ""
        return known[1]

    def read_ahead(self, sounds: Iterable[str]) -> None:
        """Read files before a call needs them."""
        for sound in sounds:
            self.of(sound)
