"""An SMSC beside the line, as an operator's is: the simulator in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.facts import ROOT
from tests.system.line import Settings

ACCOUNT = {"system_id": "bench", "password": "bench"}


@contextmanager
def smsc(folder: Path) -> Iterator[Settings]:
    """Run it; yields the settings of a line that binds to it."""
    port, http = _free_port(), _free_port()
    folder.mkdir(parents=True)
    file = folder / "smsc.toml"
    file.write_text(
        f"""[simulator]
listen = "tcp:{port}:interface=127.0.0.1"
http = "tcp:{http}:interface=127.0.0.1"
system_id = "{ACCOUNT["system_id"]}"
password = "{ACCOUNT["password"]}"
""",
        encoding="utf-8",
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "toneline", "smsc", "--config", str(file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline().startswith("ready:")
            yield {"smsc": [{"name": "bench", "host": "127.0.0.1", "port": port, **ACCOUNT}]}
        finally:
            running.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
