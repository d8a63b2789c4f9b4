"""titles.py: spoken titles of tones: those that came with the program, and those spoken here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from audio.formats import read_sound, with_ending, write_sound
from audio.kokoro import SpeechUnavailable, Unspeakable, open_voice
from audio.prompts import Render, title_file


def title_stem(title: str, language: str) -> str:
    """Return the stem of a spoken title below the sounds folder, whether it is there or not."""
    return f"titles/{language}/{Path(title_file(title)).stem}"


def install_title(title: str, sounds: Path, speech: Path, language: str) -> str | None:
    """Put a spoken title among the sounds; return its stem, None if nobody has spoken it.

    `speech` has the titles that came with the program; one that was spoken on this host is there.
    """
    stem = title_stem(title, language)
    ready = with_ending(sounds / stem, ".wav")
    spoken = speech / "titles" / title_file(title)
    if not spoken.is_file():
        return stem if ready.is_file() else None
    if not ready.is_file() or ready.stat().st_mtime_ns < spoken.stat().st_mtime_ns:
        write_sound(sounds / stem, read_sound(spoken))
    return stem


def open_speech(voice: str) -> Render:
    """Return what speaks in the voice of this file (see `audio.kokoro`).

    Raises:
        SpeechUnavailable: no voice is set, or it cannot be opened.
    """
    if not voice:
        raise SpeechUnavailable("no voice is set, see paths.voice")
    return open_voice(Path(voice)).render


def speak_titles(
    titles: Iterable[str], sounds: Path, language: str, render: Render
) -> tuple[str, ...]:
    """Speak titles into the sounds folder; return those in which there is nothing to say."""
    silent = []
    for title in titles:
        try:
            write_sound(sounds / title_stem(title, language), render(f"{title}。"))
        except Unspeakable:
            silent.append(title)
    return tuple(silent)
