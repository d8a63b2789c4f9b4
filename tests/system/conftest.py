"""What the system tests share, and what they were run against."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import one_at_a_time
from tests.system.asterisk_tree import TreeUnavailable, find_tree
from tests.system.line import Line
from tests.system.scene import Scene, scene


@pytest.fixture(scope="session")
def prepared_sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sounds folder that a line's first start makes; later lines share it.

    So do the processes of one run: each has a folder of its own beside those of the others.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _prepare(tmp_path_factory.mktemp("first") / "line")
    everybody = tmp_path_factory.getbasetemp().parent
    with one_at_a_time(everybody / "first.lock"):
        done = everybody / "first" / "var" / "sounds"
        return done if done.exists() else _prepare(everybody / "first")


def _prepare(folder: Path) -> Path:
    with Line(folder) as line:
        return line.sounds


@pytest.fixture(scope="module")
def open_line(tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path) -> Iterator[Scene]:
    """A line with the shipped settings but for ports, and an Asterisk before it."""
    with scene(tmp_path_factory.mktemp("scene") / "line", prepared_sounds) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the versions of the real parts."""
    try:
        tree = find_tree()
    except TreeUnavailable as error:
        terminalreporter.write_line(f"real parts: {error}")
        return
    terminalreporter.write_line(
        f"real parts: Asterisk {tree.asterisk_version} (Debian {tree.suite}), "
        f"SIPp {tree.sipp_version}"
    )
