from __future__ import annotations

from pathlib import Path

import pytest

from audio.formats import read_sound
from audio.kokoro import SpeechUnavailable, Unspeakable
from toneline.titles import install_title, open_speech, speak_titles


def a_voice(text: str) -> bytes:
    if text == "……。":
        raise Unspeakable("nothing to say")
    return len(text).to_bytes(2, "little") * 800


def test_titles_are_spoken_into_the_sounds_folder(tmp_path: Path) -> None:
    assert speak_titles(["茉莉花", "……"], tmp_path, "zh_CN", a_voice) == ("……",)
    stem = install_title("茉莉花", tmp_path, tmp_path / "no speech", "zh_CN")
    assert stem is not None
    assert stem.startswith("titles/zh_CN/")
    assert read_sound(tmp_path / f"{stem}.wav") == b"\4\0" * 800
    assert install_title("……", tmp_path, tmp_path / "no speech", "zh_CN") is None


@pytest.mark.parametrize(
    ("voice", "why"), [("", "no voice is set"), ("absent.bin", "absent|speech")]
)
def test_without_a_voice_it_is_said_why(voice: str, why: str) -> None:
    with pytest.raises(SpeechUnavailable, match=why):
        open_speech(voice)
