"""prompts.py: speech prompts as sound files: rendered once, installed where Asterisk plays them.

`audio/speech/<language>/<prompt>.wav` is the rendered speech of every prompt, `texts.sha256` beside
it tells of which text, `titles/` has the spoken titles. `install` puts them, or an operator's own
recordings of the same names, below the sounds root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from audio.formats import (
    ENDINGS,
    SoundUnreadable,
    read_recording,
    read_sound,
    set_level,
    to_wav,
    with_ending,
    write_sound,
    write_whole,
)

_DIGESTS = "texts.sha256"

Render = Callable[[str], bytes]
"""Text to PCM: `audio.kokoro.Voice.render`."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What `install` did: prompts written, how many were as they should be, what was refused."""

    written: tuple[str, ...]
    unchanged: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """A folder of prompts, when each of its files changed, and how one is read."""

    folder: Path
    changed_at: Mapping[str, int]
    read: Callable[[Path], bytes]


def install(language: str, rendered: Path, recorded: Path, sounds: Path) -> Installed:
    """Put every prompt at <sounds>/prompts/<language>/<prompt>.wav, .alaw and .ulaw.

    A file in `recorded` (16-bit .wav of any rate; levelled here) wins over the one of the same name
    in `rendered`; a recording that cannot be used is a problem in the result, and the rendered
    prompt serves. A prompt whose source has not changed since (same time of change) is left alone.
    """
    folder = sounds / "prompts" / language
    present = _changed_at(folder)
    sources = (
        _Source(recorded, _changed_at(recorded), _read_recorded),
        _Source(rendered, _changed_at(rendered), read_sound),
    )
    prompts = {name[:-4] for source in sources for name in source.changed_at if name[-4:] == ".wav"}
    written: list[str] = []
    problems: list[str] = []
    for prompt in sorted(prompts):
        for source in sources:
            changed_at = source.changed_at.get(f"{prompt}.wav")
            if changed_at is None:
                continue
            if _is_installed(prompt, changed_at, present):
                break
            try:
                pcm = source.read(source.folder / f"{prompt}.wav")
            except (SoundUnreadable, OSError) as error:
                problems.append(str(error))
                continue
            _write(folder / prompt, pcm, changed_at)
            written.append(prompt)
            break
    return Installed(tuple(written), len(prompts) - len(written), tuple(problems))


def absent(stems: Iterable[str], sounds: Path) -> tuple[str, ...]:
    """Return the stems (`prompts/zh_CN/menu_rest`) that have no sound below `sounds`."""
    return tuple(stem for stem in sorted(stems) if not with_ending(sounds / stem, ".wav").is_file())


def stale(texts: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """Return the prompts whose rendering in `folder` is missing or speaks another text."""
    spoken, files = _digests(folder), _changed_at(folder)
    return tuple(
        prompt
        for prompt, text in texts.items()
        if spoken.get(prompt) != _digest(text) or f"{prompt}.wav" not in files
    )


def render_missing(texts: Mapping[str, str], folder: Path, render: Render) -> tuple[str, ...]:
    """Render what is stale, drop what is no prompt any more; return the ids rendered.

    May be interrupted: the next run goes on where this one stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spoken = _digests(folder)
    for prompt in spoken.keys() - texts.keys():
        del spoken[prompt]
        (folder / f"{prompt}.wav").unlink(missing_ok=True)
    rendered = stale(texts, folder)
    for prompt in rendered:
        write_whole(folder / f"{prompt}.wav", to_wav(render(texts[prompt])))
        spoken[prompt] = _digest(texts[prompt])
        _write_digests(folder, spoken)
    _write_digests(folder, spoken)
    return rendered


def title_file(title: str) -> str:
    """Return the name of a spoken title's file, in audio/speech/<language>/titles/."""
    return f"{sha256(title.encode()).hexdigest()[:12]}.wav"


def render_titles(titles: Iterable[str], folder: Path, render: Render) -> tuple[str, ...]:
    """Render every title that has no file in `folder`; return those rendered."""
    folder.mkdir(parents=True, exist_ok=True)
    rendered = tuple(title for title in titles if not (folder / title_file(title)).is_file())
    for title in rendered:
        write_whole(folder / title_file(title), to_wav(render(f"{title}。")))
    return rendered


def _changed_at(folder: Path) -> dict[str, int]:
    """Return name -> time of change in ns of every file; nothing if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_mtime_ns for entry in entries}
    except FileNotFoundError:
        return {}


def _is_installed(prompt: str, changed_at: int, present: Mapping[str, int]) -> bool:
    return all(present.get(f"{prompt}{ending}") == changed_at for ending in ENDINGS)


def _write(stem: Path, pcm: bytes, changed_at: int) -> None:
    """Write a sound that carries its source's time of change, as a mark of what it was made of."""
    write_sound(stem, pcm)
    for ending in ENDINGS:
        os.utime(with_ending(stem, ending), ns=(changed_at, changed_at))


def _read_recorded(path: Path) -> bytes:
    pcm = read_recording(path)
    try:
        return set_level(pcm)
    except ValueError as error:
        raise SoundUnreadable(str(path), "nothing is to be heard in it; record it again") from error


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    """Return prompt -> digest of the text that its file speaks; nothing if none was rendered."""
    try:
        lines = (folder / _DIGESTS).read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split() for line in lines)
    return {prompt: digest for digest, prompt in pairs}


def _write_digests(folder: Path, spoken: Mapping[str, str]) -> None:
    lines = (f"{digest}  {prompt}\n" for prompt, digest in sorted(spoken.items()))
    write_whole(folder / _DIGESTS, "".join(lines).encode())
