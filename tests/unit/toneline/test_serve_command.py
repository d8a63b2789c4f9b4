"""`toneline serve`: what is wrong with its options is said before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from config.load import load_settings
from toneline.cli import main
from toneline.serve import ready_line


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--only", "voice,fax"), "there is no service 'fax'"),
        (("--workers", "0"), "0 is not in the range 1<=x<=64"),
        (("--workers", "-2"), "-2 is not in the range 1<=x<=64"),
        (("--workers", "65"), "65 is not in the range 1<=x<=64"),
        (("--workers", "two"), "'two' is not a valid integer"),
        (("--only", "sms,console", "--workers", "2"), "--only leaves out voice"),
    ],
)
def test_options_that_cannot_be_are_wrong_usage(options: tuple[str, ...], sentence: str) -> None:
    done = CliRunner().invoke(main, ["serve", *options])
    assert done.exit_code == 2
    assert sentence in done.stderr


def test_help_shows_how_workers_are_asked_for() -> None:
    assert "--workers 2" in CliRunner().invoke(main, ["serve", "--help"]).stdout


@pytest.mark.parametrize(
    ("environment", "chosen", "config", "line"),
    [
        (
            {}, ("voice", "sms"), Path("my line.toml"),
            "ready: dial 12530019 through tcp:4573:interface=127.0.0.1, text 12530019 through"
            " tcp:2776:interface=127.0.0.1; try: .venv/bin/toneline phone 125300191029 --from"
            " 13905250001 --keys 1,1 --config 'my line.toml' and .venv/bin/toneline text 1029"
            " --from 13905250001 --config 'my line.toml'",
        ),
        ({}, ("scheduler", "console"), None, "ready: scheduler and console"),
        (
            {
                "TONELINE_SMSC__0__NAME": "a", "TONELINE_SMSC__0__HOST": "h",
                "TONELINE_SMSC__0__SYSTEM_ID": "s", "TONELINE_SMSC__0__PASSWORD": "p",
            },
            ("voice", "sms"), None,
            "ready: dial 12530019 through tcp:4573:interface=127.0.0.1; try: .venv/bin/toneline"
            " phone 125300191029 --from 13905250001 --keys 1,1",
        ),
    ],
)  # fmt: skip
def test_the_ready_line_tells_what_can_be_tried_of_what_runs_here(
    environment: dict[str, str], chosen: tuple[str, ...], config: Path | None, line: str
) -> None:
    assert ready_line(load_settings(None, environment), chosen, config) == line
