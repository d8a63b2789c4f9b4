"""`toneline serve`: what is wrong with its options is said before anything starts."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from toneline.cli import main


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
