from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from catalog.tones import put_tones
from store.database import LocalDatabase
from store.engine import engine_for
from store.migrations import upgrade
from tests.fakes.catalogue import CODES, some_tones
from toneline.cli import main

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)


class Shell:
    """Runs `toneline directories` on a folder and a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "directories" / "yangzhou.yaml"
        self.file.parent.mkdir()
        self._config = folder / "toneline.toml"
        self._config.write_text(f'[paths]\nvar = "{folder}"\ndirectories = "{self.file.parent}"\n')
        url = f"sqlite:///{folder / 'toneline.db'}"
        upgrade(url)
        database = LocalDatabase(engine_for(url))
        database.run_now(put_tones, some_tones(), NOW)
        database.close()

    def write(self, *codes: str) -> None:
        songs = ", ".join(codes)
        self.file.write_text(f"branch: yangzhou\neditions:\n- from: 2026-01-05\n  songs: [{songs}]")

    def run(self, *words: str, status: int = 0) -> str:
        done = CliRunner().invoke(main, ["directories", *words, "--config", str(self._config)])
        assert done.exit_code == status, done.output
        return done.output

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_an_edition_is_published_shown_replaced_and_brought_back(shell: Shell) -> None:
    shell.write(*CODES[:10])
    assert "1 new editions published" in shell.run("publish", "--author", "li")
    shell.write("1120", *CODES[1:10])
    (second,) = shell.json("publish", "--reason", "Mid-Autumn", "--author", "li")["published"]
    shown = shell.json("show", "yangzhou")
    assert (shown["branch"], shown["edition"]) == ("yangzhou", second["edition"])
    assert shown["from"] == "2026-01-05T00:00:00+08:00"
    assert shown["songs"][0] == {"slot": 1, "code": "1120", "title": "曲1120", "source": "file"}
    newest, oldest = shell.json("history", "yangzhou")
    assert (newest["author"], newest["reason"]) == ("li", "Mid-Autumn")
    assert newest["changes"] == [{"slot": 1, "was": "1007", "now": "1120"}]
    back = shell.json("rollback", "yangzhou", str(oldest["edition"]))
    assert shell.json("show", "yangzhou")["edition"] == back["edition"]
    assert shell.json("show", "yangzhou")["songs"][0]["code"] == "1007"
    assert shell.json("publish")["published"] == []


def test_open_slots_and_replaced_ones_tell_their_source(shell: Shell) -> None:
    shell.write("1029", "auto")
    shell.run("publish")
    sources = [song["source"] for song in shell.json("show", "yangzhou")["songs"]]
    assert sources == ["file", *["chart"] * 9]
    assert "(chart)" in shell.run("show", "yangzhou")
    sources = [song["source"] for song in shell.json("show", "wuxi")["songs"]]
    assert sources == ["reserve"] * 10


def test_what_is_wrong_is_told_with_status_1(shell: Shell) -> None:
    shell.write("1999")
    said = f"{shell.file}:4:11: tone 1999 is not in the catalogue"
    assert shell.run("check", status=1).strip() == said
    assert json.loads(shell.run("check", "--json", status=1))["errors"] == [said]
    assert said in shell.run("publish", status=1)
    assert "has no edition 7" in shell.run("rollback", "yangzhou", "7", status=1)
    assert "has published nothing" in shell.run("history", "yangzhou")


def test_a_second_file_of_a_branch_is_refused_by_name(shell: Shell) -> None:
    shell.write(*CODES[:10])
    other = shell.file.with_name("other.csv")
    other.write_text("branch,from\nyangzhou,2026-11-23\n")
    for command in ("check", "publish"):
        said = shell.run(command, status=1)
        assert f"{shell.file}:1:9: yangzhou has another file" in said
        assert f"{other}:2:1: cell A2: yangzhou has another file" in said


def test_a_file_that_no_parser_survives_keeps_no_other_from_being_published(shell: Shell) -> None:
    shell.write(*CODES[:10])
    bad = shell.file.with_name("changzhou.yaml")
    bad.write_text('branch: changzhou\neditions:\n- from: 2026-01-05\n  songs: ["\\UFFFFFFFF"]\n')
    assert f"{bad}:1:1: a number or a quoted word" in shell.run("check", status=1)
    assert "1 new editions published" in shell.run("publish", status=1)


def test_a_folder_or_a_pipe_for_a_file_is_refused(shell: Shell) -> None:
    shell.file.mkdir()
    os.mkfifo(shell.file.with_name("wuxi.yaml"))
    said = shell.run("check", status=1)
    assert f"{shell.file}:1:1: cannot be read: this is no file" in said
    assert "wuxi.yaml:1:1: cannot be read: this is no file" in said
