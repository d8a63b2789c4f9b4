"""`toneline tones import` as an operator sees it: all or none, interrupted, killed, done again."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from catalog.catalogue_file import COLUMNS
from tests.fakes.recordings import a_melody, encoded, recorded
from tests.machine import require_program
from tests.terminal import open_terminal
from toneline.cli import main

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.mp3, b.flac, c.m4a and d.wav."""
    require_program("ffmpeg", "ffmpeg")
    folder = tmp_path_factory.mktemp("recordings")
    for key, (name, ending) in enumerate((("a", "mp3"), ("b", "flac"), ("c", "m4a"))):
        encoded(recorded(folder / f"{name}.wav", a_melody(3, key=key)), ending)
    recorded(folder / "d.wav", a_melody(3, key=3))
    return folder


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with the settings of an installation of its own."""
    (tmp_path / "toneline.toml").write_text(f'[paths]\nvar = "{tmp_path / "var"}"\n')
    return tmp_path


def catalogue(house: Path, *lines: str, encoding: str = "utf-8") -> Path:
    file = house / "c.csv"
    file.write_bytes("\r\n".join([",".join(COLUMNS), *lines, ""]).encode(encoding))
    return file


def song(code: str, title: str, audio: str) -> str:
    return f"{code},{title},古筝,示例,民歌,200,150,100,,{audio}"


def tones(house: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["tones", *words, "--config", str(house / "toneline.toml")])


def titles(house: Path) -> list[str]:
    return [tone["title"] for tone in json.loads(tones(house, "find", "", "--json").stdout)]


def sounds(house: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (house / "var/sounds/tones").iterdir()}


def test_every_format_is_imported_and_a_second_time_nothing_is_done(
    house: Path, recordings: Path
) -> None:
    lines = [song("", f"歌{name}", name) for name in ("a.mp3", "b.flac", "c.m4a", "d.wav")]
    file = catalogue(house, *lines, encoding="gbk")
    done = tones(house, "import", str(file), "--audio", str(recordings))
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[:2] == [
        "4 tones imported, 4 of them new or changed",
        "1007 is the code of 歌a.mp3 (line 2)",
    ]
    assert "titles read as their codes: 4 (no voice is set, see paths.voice)" in done.stdout
    made = sounds(house)
    assert len(made) == 4 * 8
    again = tones(house, "import", str(file), "--audio", str(recordings), "--json")
    assert json.loads(again.stdout) == {
        "imported": 4, "changed": 0, "codes": [], "replaced": [], "suspended": [],
        "unspoken_titles": 4,
    }  # fmt: skip
    assert again.stderr == ""
    assert sounds(house) == made


def test_what_another_song_replaced_is_listed(house: Path, recordings: Path) -> None:
    first = catalogue(house, song("1029", "茉莉花", "d.wav"))
    assert tones(house, "import", str(first), "--audio", str(recordings)).exit_code == 0
    other = catalogue(house, song("1029", "新歌", "a.mp3").replace("古筝", "新人"))
    refused = tones(house, "import", str(other), "--audio", str(recordings))
    assert (refused.exit_code, titles(house)) == (1, ["茉莉花"])
    done = tones(house, "import", str(other), "--audio", str(recordings), "--replace")
    assert "1029 was 茉莉花 by 古筝, and is 新歌 by 新人" in done.stdout.splitlines()
    assert titles(house) == ["新歌"]


def test_one_bad_recording_refuses_all_rows_and_every_one_is_named(
    house: Path, recordings: Path
) -> None:
    (house / "noise.mp3").write_bytes(b"no sound")
    recorded(house / "short.wav", a_melody(0.4))
    good = encoded(recorded(house / "good.wav", a_melody(3)), "mp3").name
    file = catalogue(
        house,
        song("1007", "一", "noise.mp3"),
        song("1010", "二", good),
        song("1029", "三", "short.wav"),
        song("1032", "四", "absent.wav"),
    )
    done = tones(house, "import", str(file))
    assert done.exit_code == 1
    first, second, third = done.stderr.splitlines()
    assert first.startswith("c.csv:2:audio: noise.mp3: it cannot be decoded")
    assert second == ("c.csv:4:audio: short.wav: it is 400 ms long; a tone has a second at least")
    assert third == "c.csv:5:audio: absent.wav: No such file or directory"
    assert titles(house) == []


def test_a_known_title_is_spoken_without_any_voice(house: Path, recordings: Path) -> None:
    file = catalogue(house, song("1029", "茉莉花", "a.mp3"))
    done = tones(house, "import", str(file), "--audio", str(recordings))
    assert "read as their codes" not in done.stdout
    assert len(list((house / "var/sounds/titles/zh_CN").iterdir())) == 3


def test_a_voice_that_cannot_be_opened_is_told_and_the_import_is_done(
    house: Path, recordings: Path
) -> None:
    settings = house / "toneline.toml"
    settings.write_text(settings.read_text() + f'voice = "{house / "absent.bin"}"\n')
    file = catalogue(house, song("1029", "没人念过的歌", "a.mp3"))
    done = tones(house, "import", str(file), "--audio", str(recordings))
    assert done.exit_code == 0, done.output
    assert "titles read as their codes: 1 (" in done.stdout
    assert titles(house) == ["没人念过的歌"]


def test_a_draft_is_published_suspended_resumed_and_retired(house: Path, recordings: Path) -> None:
    file = catalogue(house, song("", "新歌", "a.mp3"))
    assert tones(house, "import", str(file), "--audio", str(recordings), "--draft").exit_code == 0
    for words, said in (
        (("publish", "1007"), "tone 1007 is published\n"),
        (("suspend", "1007", "--reason", "版权"), "tone 1007 is suspended\n"),
        (("resume", "1007"), "tone 1007 is published again\n"),
        (("retire", "1007"), "tone 1007 is retired\n"),
    ):
        assert tones(house, *words).stdout == said
    assert tones(house, "publish", "1007").exit_code == 1
    assert tones(house, "suspend", "1007", "--reason", "").exit_code == 1
    assert json.loads(tones(house, "codes", "--free", "2", "--json").stdout) == ["1010", "1029"]
    assert tones(house, "codes", "--free", "2").stdout == "1010\n1029\n"
    file = catalogue(house, song("1007", "另一首", "b.flac"))
    refused = tones(house, "import", str(file), "--audio", str(recordings))
    assert refused.stderr.startswith("c.csv:2:code: 1007: it was 新歌 by 古筝 until ")


class Importing:
    """An import in a process of its own, on a terminal, held up by a recording that never comes."""

    def __init__(self, process: subprocess.Popen[str], screen: int, held: Path) -> None:
        self.process = process
        self._screen = screen
        self._held = held

    def read_until(self, words: str) -> None:
        """Wait for these words, which come soon or never."""
        shown = ""
        while words not in shown:
            assert select.select([self._screen], [], [], PATIENCE_S)[0], shown
            shown += os.read(self._screen, 4096).decode(errors="replace")

    def release(self) -> None:
        """Let the recording end at once, and be gone; waits until somebody reads it."""
        with self._held.open("wb"):
            self._held.unlink()

    def children(self) -> list[int]:
        pid = self.process.pid
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]


def _heed_ctrl_c() -> None:
    # What a shell runs in the background ignores it, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def importing(house: Path, recordings: Path) -> Iterator[Importing]:
    """Import three good recordings, and one that is a pipe nobody writes to."""
    held = house / "held.mp3"
    os.mkfifo(held)
    for name in ("a.mp3", "b.flac", "c.m4a"):
        (house / name).write_bytes((recordings / name).read_bytes())
    names = ("a.mp3", "b.flac", "c.m4a", "held.mp3")
    lines = [song("", f"歌{name}", name) for name in names]
    file = catalogue(house, *lines)
    words = ["tones", "import", str(file), "--config", str(house / "toneline.toml")]
    with open_terminal() as (keyboard, screen):
        process = subprocess.Popen(
            [sys.executable, "-m", "toneline", *words],
            cwd=ROOT,
            stderr=screen,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509  one system call, no lock
        )
        try:
            yield Importing(process, keyboard, held)
        finally:
            process.kill()
            process.communicate()


def test_ctrl_c_leaves_whole_files_only_and_the_next_import_goes_on(
    house: Path, recordings: Path
) -> None:
    with importing(house, recordings) as running:
        running.read_until("75%")
        os.killpg(running.process.pid, signal.SIGINT)
        running.release()
        running.read_until("3 of 4 recordings are ready, the catalogue is unchanged")
        assert running.process.wait() == 1
    made = sounds(house)
    assert len(made) == 3 * 8
    assert not [name for name in made if name.startswith(".")]
    assert titles(house) == []
    (house / "held.mp3").write_bytes((recordings / "d.wav").read_bytes())
    done = tones(house, "import", str(house / "c.csv"))
    assert done.exit_code == 0, done.output
    assert len(titles(house)) == 4
    assert made.items() <= sounds(house).items()


def test_a_worker_that_is_killed_is_an_error_of_its_recording(
    house: Path, recordings: Path
) -> None:
    with importing(house, recordings) as running:
        running.read_until("75%")
        for child in running.children():
            os.kill(child, signal.SIGKILL)
        running.read_until("c.csv:5:audio: held.mp3: the process that worked on it was ended by")
        assert running.process.wait() == 1
    assert titles(house) == []
    assert len(sounds(house)) == 3 * 8
