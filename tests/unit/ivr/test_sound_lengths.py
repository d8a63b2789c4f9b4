from __future__ import annotations

from pathlib import Path

from audio.formats import write_sound
from ivr.sound_lengths import SoundLengths

SECOND = bytes(2 * 8000)  # 16-bit samples at 8 kHz


def test_a_sound_is_as_long_as_its_file(tmp_path: Path) -> None:
    write_sound(tmp_path / "1029-a", SECOND)
    assert SoundLengths(tmp_path).of("1029-a") == 1000


def test_a_sound_that_is_not_here_has_no_known_length(tmp_path: Path) -> None:
    assert SoundLengths(tmp_path).of("1029-a") is None
