"""The SHA-256 of each sound that a consent names, read once a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TRUSTED_S = 1.0  # thirteen files a confirmation: looking at each every time is a tenth of its work


@dataclass(slots=True)
class _Print:
    state: tuple[int, int]  # of the file that was read: when it was written, its size
    sha256: str
    trusted_until_s: float = 0.0


class Fingerprints:
    """SHA-256 of sounds by their stems below `folder`; a replaced file is read again.

    The `.wav` of a sound stands for all its encodings: the others are made from it.
    """

    def __init__(self, folder: Path, seconds: Callable[[], float]) -> None:
        self._folder = folder
        self._seconds = seconds
        self._known: dict[str, _Print] = {}

    def of(self, sound: str) -> str:
        """Return the hexadecimal SHA-256 of a sound's file, empty if it cannot be read."""
        known = self._known.get(sound)
        now_s = self._seconds()
        if known is not None and now_s < known.trusted_until_s:
            return known.sha256
        path = self._folder / f"{sound}.wav"
        try:
            stat = os.stat(path)
            state = (stat.st_mtime_ns, stat.st_size)
            if known is None or known.state != state:
                known = _Print(state, hashlib.sha256(path.read_bytes()).hexdigest())
        except OSError:
            self._known.pop(sound, None)
            return ""
        known.trusted_until_s = now_s + TRUSTED_S
        self._known[sound] = known
        return known.sha256
