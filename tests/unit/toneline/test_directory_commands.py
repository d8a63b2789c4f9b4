from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from catalog.tones import move_tone, put_tones
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
        self._url = f"sqlite:///{folder / 'toneline.db'}"
        upgrade(self._url)
        database = self.database()
        database.run_now(put_tones, some_tones(), NOW)
        database.close()

    def database(self) -> LocalDatabase:
        return LocalDatabase(engine_for(self._url))

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


def with_holiday(songs: str, day: str = "2027-02-05") -> str:
    return (
        f"branch: yangzhou\neditions:\n- from: 2026-01-05\n  songs: [{', '.join(CODES[:10])}]\n"
        f"- from: {day}\n  to: 2027-02-13\n  kind: holiday\n  songs: [{songs}]\n"
    )


def test_an_edition_is_withdrawn_by_a_command_and_told_in_the_history(shell: Shell) -> None:
    shell.file.write_text(with_holiday("1120"))
    _, holiday = (one["edition"] for one in shell.json("publish")["published"])
    at = ("show", "yangzhou", "--at", "2027-02-06")
    assert shell.json(*at)["edition"] == holiday
    done = shell.json("withdraw", "yangzhou", str(holiday), "--reason", "moved", "--author", "li")
    assert (done["withdrawn"], done["kind"]) == (holiday, "holiday")
    assert shell.json(*at)["kind"] == "regular"
    told = shell.run("history", "yangzhou").splitlines()
    assert told[0].endswith("yangzhou  holiday  from 2027-02-05: withdrawn")
    assert told[1].endswith("by li (withdrawal): moved")
    assert told[2].endswith(f"what edition {holiday} says is not meant any more")
    refused = shell.run("withdraw", "yangzhou", str(holiday), status=1)
    assert f"edition {holiday} was withdrawn by edition {done['edition']}; see:" in refused
    assert "which edition" in shell.run("check")


def test_what_a_file_no_longer_says_is_named_before_and_when_it_is_withdrawn(
    shell: Shell,
) -> None:
    shell.file.write_text(with_holiday("1120"))
    shell.run("publish")
    shell.file.write_text(with_holiday("1120", "2027-02-06"))
    said = shell.run("check")
    assert "no longer in the file, to be withdrawn: 2  yangzhou  holiday  from 2027-02-05" in said
    assert "no errors" in said
    assert [one["edition"] for one in shell.json("check")["withdrawn"]] == [2]
    assert "no longer in the file, withdrawn: 2  yangzhou  holiday" in shell.run("publish")
    assert shell.run("check").strip() == "1 files with 2 editions: all good"


def test_a_file_that_went_back_is_not_all_good(shell: Shell) -> None:
    for songs in (CODES[:10], CODES[1:11], CODES[:10]):
        shell.write(*songs)
        shell.run("publish")
    said = shell.run("check")
    assert "this is edition 1 again, which edition 2 replaced" in said
    assert "all good" not in said
    assert len(shell.json("check")["notes"]) == 1


def test_a_name_that_nobody_reads_is_refused(shell: Shell) -> None:
    saved = shell.file.with_name("yangzhou.yaml.txt")
    saved.write_text(with_holiday("1120"))
    said = f"{saved}:1:1: a name that ends in .txt is not known; known are .yaml, .yml, .csv, .xlsx"
    assert shell.run("check", status=1).strip() == said
    assert shell.run("check", str(saved), status=1).strip() == said
    assert said in shell.run("publish", status=1)


def test_a_missing_folder_is_refused(shell: Shell) -> None:
    shell.file.parent.rmdir()
    for command in ("check", "publish"):
        said = shell.run(command, status=1)
        assert f"{shell.file.parent}: No such file or directory" in said


def test_one_file_is_held_against_those_beside_it(shell: Shell) -> None:
    shell.write(*CODES[:10])
    shell.file.with_name("other.csv").write_text("branch,from\nyangzhou,2026-11-23\n")
    assert "yangzhou has another file" in shell.run("check", str(shell.file), status=1)
    elsewhere = shell.file.parent.parent / "yangzhou.yaml"
    elsewhere.write_text(shell.file.read_text())
    assert "all good" in shell.run("check", str(elsewhere))


def test_the_history_tells_of_reserve_and_times_beside_the_songs(shell: Shell) -> None:
    text = with_holiday(", ".join(CODES[:10]))
    shell.file.write_text(text)
    shell.run("publish")
    shell.file.write_text(text.replace("to: 2027-02-13", "to: 2027-02-12\n  reserve: [1119]"))
    shell.run("publish")
    newest = shell.json("history", "yangzhou")[0]
    assert newest["changes"] == []
    assert newest["edited"] == {
        "to": {"was": "2027-02-13", "now": "2027-02-12"},
        "reserve": {"was": "", "now": "1119"},
    }
    said = "instead of edition 2: the same songs; to: 2027-02-13 -> 2027-02-12; reserve: - -> 1119"
    assert said in shell.run("history", "yangzhou")


@pytest.mark.parametrize("at", ["2026/11/23", "2026-11-23T4:00", "2026-11-23T04:00:00.5+08:00"])
def test_a_time_is_given_to_a_command_as_to_a_file(shell: Shell, at: str) -> None:
    shell.write(*CODES[:10])
    shell.run("publish")
    assert shell.json("show", "yangzhou", "--at", at)["branch"] == "yangzhou"


@pytest.mark.parametrize(
    "at",
    ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59Z", "tomorrow"],
)
def test_what_is_no_time_here_or_elsewhere_is_refused(shell: Shell, at: str) -> None:
    assert f"'{at}' is not a time" in shell.run("show", "yangzhou", "--at", at, status=1)


def test_a_reason_that_the_history_would_cut_is_refused(shell: Shell) -> None:
    for words in (("publish",), ("rollback", "yangzhou", "1"), ("withdraw", "yangzhou", "1")):
        assert "201 characters are too many" in shell.run(*words, "--reason", "x" * 201, status=2)


def test_a_time_before_a_tone_was_retired_has_it_still(shell: Shell) -> None:
    shell.write(*CODES[:10])
    shell.run("publish")
    earlier = datetime.now(UTC).isoformat()
    database = shell.database()
    database.run_now(move_tone, "1007", "retire", datetime.now(UTC))
    database.close()
    assert shell.json("show", "yangzhou")["songs"][0]["code"] != "1007"
    assert shell.json("show", "yangzhou", "--at", earlier)["songs"][0]["code"] == "1007"
