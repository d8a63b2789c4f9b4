"""`toneline smsc`: what keeps the simulator from starting is said in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from toneline.cli import main


def test_a_script_that_cannot_be_is_refused_with_every_error(tmp_path: Path) -> None:
    script = tmp_path / "night.toml"
    script.write_text('[smsc]\ntps = -1\n[[rule]]\non = "submit"\ndo = "dance"\n')
    done = CliRunner().invoke(main, ["smsc", "--script", str(script)])
    assert done.exit_code == 1
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [str(script)] * 2
    assert "one of delay" in done.stderr


@pytest.mark.parametrize("option", ["--script", "--tls"])
def test_a_file_that_is_not_there_is_wrong_usage(option: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["smsc", option, str(tmp_path / "none")])
    assert done.exit_code == 2
    assert "does not exist" in done.stderr


@pytest.mark.parametrize(
    "words", [("smsc", "--listen", "99999"), *(("text", "x", "--from", "13905250001", "--wait", s)
              for s in ("-5", "inf", "nan"))]
)  # fmt: skip
def test_a_number_that_cannot_be_is_wrong_usage(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "Invalid value for '--" in done.stderr
