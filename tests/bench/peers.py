"""An environment of its own for the peers that Toneline itself does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.facts import ROOT

FOLDER = ROOT / "var" / "bench" / "peers"
REQUIREMENTS = ("aiosmpplib==0.7.4",)


def interpreter() -> Path:
    """The environment's Python; made and filled at first use."""
    python, filled = FOLDER / "bin" / "python", FOLDER / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS) + "\n"
    if not filled.exists() or filled.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        quiet = ("--quiet", "--disable-pip-version-check")
        subprocess.run([python, "-m", "pip", "install", *quiet, *REQUIREMENTS], check=True)
        filled.write_text(wanted, encoding="utf-8")
    return python
