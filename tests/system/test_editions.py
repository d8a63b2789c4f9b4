"""A branch's file is changed while callers listen: each hears one edition, whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from audio.prompts import title_file
from tests.system.kills import kill
from tests.system.line import ROOT
from tests.system.load import Load
from tests.system.scene import Scene, prompt, scene
from tests.system.sip import Call

LINE = "12530019"
CALLER = "1390525100"
SHIPPED = ROOT / "config" / "directories"
SHANGHAI = ZoneInfo("Asia/Shanghai")
CROWD_RATE = int(os.environ.get("EDITIONS_RATE", "5"))
"""Other callers a second; 50 wants a machine of its own."""
CROWD_S = 20


@dataclass(frozen=True, slots=True)
class Branch:
    """Yangzhou's file before a running line."""

    scene: Scene
    file: Path

    def crowd(self) -> Load:
        """Other callers meanwhile, who hear the menu and press nothing."""
        return Load(self.scene.asterisk, LINE, rate=CROWD_RATE, seconds=CROWD_S, hold_s=3)

    def write(self, codes: list[str], *later: tuple[datetime, list[str]]) -> None:
        """Save the file with these songs, and let the line hear of it."""
        published = len(self.scene.line.events("catalogue_changed"))
        self.save(codes, *later)
        self.scene.line.wait_for(
            lambda: len(self.scene.line.events("catalogue_changed")) > published,
            "the new edition is heard",
        )

    def save(self, codes: list[str], *later: tuple[datetime, list[str]]) -> None:
        """Save the file with these songs, and those that are to be sung later."""
        said = "branch: yangzhou\neditions:\n"
        for begins, songs in (("2026-01-05", codes), *((f"{at:%FT%T}", of) for at, of in later)):
            said += f"  - from: {begins}\n    songs:\n"
            said += "".join(f"      - {code}\n" for code in songs)
        self.file.write_text(said)

    def songs(self) -> list[str]:
        """The codes that callers hear now."""
        shown = self.scene.line.command("directories", "show", "yangzhou")
        return [song["code"] for song in shown["songs"]]

    def call(self, number: int) -> Call:
        """A caller dials the line."""
        return self.scene.call(LINE, f"{CALLER}{number}")

    def recorded(self, call: Call) -> list[str]:
        """The codes of the titles that a caller was played, as the trace has it."""
        sounds = [
            event["detail"]["sound"] for event in self.scene.line.trace(call.caller, "played")
        ]
        return self._codes(sound.removeprefix("titles/zh_CN/") for sound in sounds)

    def heard(self, call: Call) -> list[str]:
        """The codes of the titles that are in the audio a caller received."""
        return self._codes(name.removeprefix("title ") for name in self.scene.said(call))

    def _codes(self, stems: Iterable[str]) -> list[str]:
        codes = {
            Path(title_file(tone["title"])).stem: tone["code"]
            for tone in self.scene.line.command("tones", "find", "")
        }
        return list(dict.fromkeys(codes[stem] for stem in stems if stem in codes))


@pytest.fixture(scope="module", params=["immediate", "early_media"])
def branch(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path
) -> Iterator[Branch]:
    """A line whose directories are a folder of the test's own."""
    folder = tmp_path_factory.mktemp("editions")
    directories = folder / "directories"
    shutil.copytree(SHIPPED, directories)
    var = folder / "line" / "var"
    settings = {
        "line": {"answer": request.param, "early_media_max_s": 5},
        "agi": {"max_calls": 5000},
        "paths": {"var": str(var), "directories": str(directories)},
    }
    with scene(folder / "line", prepared_sounds, settings) as opened:
        yield Branch(opened, directories / "yangzhou.yaml")


def test_a_file_that_changes_under_callers_is_heard_whole_or_not_at_all(branch: Branch) -> None:
    old = branch.songs()
    new = list(reversed(old))
    with branch.crowd() as crowd, ExitStack() as calls:
        before = [calls.enter_context(branch.call(number)) for number in range(3)]
        for call in before:
            call.wait_until_heard(prompt("menu_province"))
            call.press("2")
        for call in before:
            call.wait_until_heard(prompt("ordinal_2"), timeout_s=60)
        branch.write(new)
        after = [calls.enter_context(branch.call(number)) for number in range(3, 6)]
        for call in after:
            call.wait_until_heard(prompt("menu_province"))
            call.press("2")
        for call in (*before, *after):
            call.wait_until_heard(prompt("list_choices"), timeout_s=120)
            call.hang_up()
        report = crowd.report()
        assert (report.calls, report.failed) == (CROWD_RATE * CROWD_S, 0), crowd.errors()
    assert [branch.recorded(call) for call in before] == [old] * 3
    assert [branch.recorded(call) for call in after] == [new] * 3
    assert branch.heard(before[-1]) == old
    assert branch.heard(after[0]) == new


def test_a_bad_file_changes_nothing_that_is_heard(branch: Branch) -> None:
    heard = branch.songs()
    refused = len(branch.scene.line.events("directory_refused"))
    branch.save([*heard[1:], "1999"])
    branch.scene.line.wait_for(
        lambda: len(branch.scene.line.events("directory_refused")) > refused, "it is refused"
    )
    (said,) = branch.scene.line.events("directory_refused")[-1]["errors"]
    assert said == f"{branch.file}:14:9: tone 1999 is not in the catalogue"
    assert branch.songs() == heard
    with branch.call(7) as call:
        call.wait_until_heard(prompt("menu_province"))
        call.press("2")
        call.wait_until_heard(prompt("ordinal_3"), timeout_s=60)
        call.hang_up()
    assert branch.recorded(call)[:2] == heard[:2]


def test_a_line_that_was_dead_when_an_edition_began_sings_it(branch: Branch) -> None:
    line, old = branch.scene.line, branch.songs()
    begins = datetime.now(SHANGHAI).replace(microsecond=0) + timedelta(seconds=20)
    branch.write(old, (begins, new := list(reversed(old))))
    assert branch.songs() == old
    kill(line.pid)
    line.wait_for(lambda: datetime.now(SHANGHAI) > begins, "the edition's beginning", 30)
    with line, branch.call(8) as call:
        call.wait_until_heard(prompt("menu_province"))
        call.press("2")
        call.wait_until_heard(prompt("ordinal_3"), timeout_s=60)
        call.hang_up()
        line.wait_for(lambda: bool(line.trace(call.caller, "call_ended")), "the call's record")
        assert branch.recorded(call)[:2] == new[:2]
