"""A voice worker without its parent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from toneline.workers.talk import End, said


def worker(words: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a worker whose parent says this and is gone."""
    reader, writer = os.pipe()
    os.write(writer, words)
    os.close(writer)
    with os.fdopen(reader, "rb") as standard_input:
        return subprocess.run(
            [sys.executable, "-m", "toneline.workers"],
            stdin=standard_input,
            capture_output=True,
            timeout=60,
            check=False,
        )


@pytest.mark.parametrize("words", [b"", said(End())[:-1]])
def test_a_worker_whose_parent_is_gone_before_it_spoke_leaves(words: bytes) -> None:
    done = worker(words)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_a_worker_that_is_told_to_end_at_once_does() -> None:
    assert worker(said(End())).returncode == 0
