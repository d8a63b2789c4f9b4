"""The SMSC in C (trips_smsc.c) as a process: it measures whoever binds to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.machine import require_program

SOURCE = Path(__file__).with_suffix(".c")
Figures = dict[str, Any]


def compiled(folder: Path) -> Path:
    """Build the program from its source."""
    program = folder / SOURCE.stem
    words = ("-O2", "-o", str(program), str(SOURCE))
    subprocess.run([require_program("gcc", "gcc"), *words], check=True)
    return program


class Smsc:
    """One that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self.port = int(self._output.readline())

    def begin(self) -> None:
        """Measure as soon as a client is bound."""
        self._input.write("go\n")
        self._input.flush()

    def figures(self) -> Figures:
        """What it found, once it is done."""
        line = self._output.readline()
        if not line:
            raise RuntimeError("the SMSC ended before it had measured; standard error says why")
        found: Figures = json.loads(line)
        return found | {"per_s": round(found["units"] / found["seconds"], 1)}


@contextmanager
def smsc(
    program: Path, kind: str, window: int, *, warm_up_s: float, seconds: float, units: int = 0
) -> Iterator[Smsc]:
    """Run one; what the words mean is said in the source."""
    words = [str(program), "serve", kind, *map(str, (window, warm_up_s, seconds, units))]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Smsc(process)
        finally:
            process.kill()
