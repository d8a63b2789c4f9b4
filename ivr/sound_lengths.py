"""How long a sound is, by the size of its file."""

from __future__ import annotations

from pathlib import Path

_OCTETS_PER_MS = 8  # 8 kHz A-law: an octet a sample, and no header


class SoundLengths:
    """Lengths of sounds by their stems below `folder`; every sound has an A-law file there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, sound: str) -> int | None:
        """Return a sound's length in ms; None: there is no such file here."""
        try:
            return (self._folder / f"{sound}.alaw").stat().st_size // _OCTETS_PER_MS
        except OSError:
            return None
