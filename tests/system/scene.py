"""A line, an Asterisk before it, and an ear that knows every sound the line can play."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.asterisk import NOBODY, Address, AmiLogin, Asterisk
from tests.system.hearing import Heard, Library, read_library
from tests.system.line import Line, Settings
from tests.system.sip import Call

PROMPTS = "prompts/zh_CN"
SUNG = ("1007", "1010", "1029", "1032")  # the tones that tests listen to


@dataclass(frozen=True, slots=True)
class Scene:
    """What a test of calls needs. ``tones``: the sound of each tone's code."""

    line: Line
    asterisk: Asterisk
    library: Library
    tones: dict[str, str]

    def call(self, dialled: str, caller: str, *, hidden: bool = False) -> Call:
        """A caller dials."""
        return Call(self.asterisk, dialled, caller=caller, hidden=hidden)

    def tone(self, code: str) -> str:
        """The sound of a tone, as Call.wait_until_heard takes it."""
        return self.tones[code]

    def heard(self, call: Call) -> list[Heard]:
        """What a caller heard, in order."""
        return call.heard(self.library)

    def said(self, call: Call) -> list[str]:
        """The names of what a caller heard: prompts' ids, ``tone 1029``, ``title ...``."""
        return [self._name(heard.name) for heard in self.heard(call)]

    def _name(self, stem: str) -> str:
        codes = {sound: code for code, sound in self.tones.items()}
        if stem in codes:
            return f"tone {codes[stem]}"
        return stem.removeprefix(f"{PROMPTS}/").replace("titles/zh_CN/", "title ")


def prompt(name: str) -> str:
    """The sound of a prompt, as Call.wait_until_heard takes it."""
    return f"{PROMPTS}/{name}"


@contextmanager
def scene(
    folder: Path,
    sounds: Path,
    settings: Settings | None = None,
    *,
    dead_first_server: bool = False,
    trunk: Address = NOBODY,
    ami: AmiLogin | None = None,
    options: Sequence[str] = (),
) -> Iterator[Scene]:
    """Start a line with these settings, and an Asterisk that knows it.

    ``trunk`` and ``ami`` are for calls that the line places itself; see Asterisk. ``options`` are
    further ones of `serve`.
    """
    with Line(folder, settings, sounds=sounds, options=options) as line:
        first: Address = NOBODY if dead_first_server else line.agi
        with Asterisk(agi=first, agi2=line.agi, sounds=sounds, trunk=trunk, ami=ami) as asterisk:
            tones = {
                tone["code"]: str(Path(tone["sound"]).relative_to(line.folder / "var" / "sounds"))
                for tone in line.command("tones", "find", "")
            }
            sung = [tones[code] for code in SUNG]
            yield Scene(line, asterisk, listen_for(sounds, *sung), tones)


def listen_for(sounds: Path, *sung: str) -> Library:
    """A library of all prompts, all titles and these sounds."""
    spoken = [path for kind in ("prompts", "titles") for path in (sounds / kind).rglob("*.wav")]
    stems = [str(path.relative_to(sounds).with_suffix("")) for path in sorted(spoken)]
    return read_library(sounds, *stems, *sung)


def in_order(said: Sequence[str], *expected: str) -> bool:
    """All of ``expected`` were said, in this order, whatever was said between them."""
    rest = iter(said)
    return all(name in rest for name in expected)
