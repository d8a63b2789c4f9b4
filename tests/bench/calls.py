"""The whole order call on the line, beside servers of as many commands that store nothing.

The line stands there twice: with everything but the store in one process, as `serve` starts it, and
with the calls in a process of their own (`--workers 1`).

Code dialled, tone, key 1, the order sentence, key 1, "ordered", hung up. Callers come in two ways.
Those who do not think, whose every answer comes immediately, show how many calls a second there can
be; the turnaround is then the length of a queue. Those who listen a while, as people do, show the
turnaround: an order call of twenty commands with 2 s for each, a sound or a silence, lasts 40 s.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.facts import ROOT, CpuWatch
from tests.bench.ledger import Ledger
from tests.bench.tables import against_bare
from tests.system.line import Line, Settings
from tests.system.smsc import SmscProcess

DIALLED = "125300191029"
ORDER_CALL = (
    *("--dial", DIALLED),
    *("--press", "/tones/1029-=1", "--press", "/offer_confirm=1"),
    *("--hang-up", '/(ordered|order_accepted|order_failed)"'),
    *("--apart", '/(offer_confirm|ordering_wait)"'),
)
FIRST_CALLER = 13_900_000_000
CALLERS_A_RUN = 100_000
RUN_TIMEOUT_S = 240.0
SETTINGS = {"agi": {"max_calls": 5000}}
WORKERS_1 = "line, --workers 1"


@dataclass(frozen=True, slots=True)
class Pace:
    """How the callers come: so many at once, each listening so long before each answer.

    New calls begin for ``seconds``, the first ones spread over ``ramp_s``.
    """

    at_once: int
    think_ms: int
    ramp_s: float
    seconds: float
    rounds: int
    calls: int = CALLERS_A_RUN
    peers: tuple[str, ...] = ("bare Twisted", "pystrix")


PACES = (
    Pace(1, 0, 0.0, 2.0, 2),
    Pace(50, 0, 0.0, 3.0, 2),
    Pace(500, 0, 0.0, 3.0, 2),
    Pace(500, 400, 8.4, 9.0, 1),
    Pace(1, 100, 0.0, 45.0, 1, peers=("bare Twisted",)),
    Pace(50, 2000, 40.0, 45.0, 1, peers=("bare Twisted",)),
    Pace(500, 2000, 40.0, 45.0, 1, peers=("bare Twisted",)),
)
QUICK = (Pace(1, 0, 0.0, 0.3, 1), Pace(10, 0, 0.0, 1.0, 1), Pace(10, 50, 1.0, 1.0, 1))

Place = Callable[[Pace], dict[str, Any]]  # one load on one server


def measure(folder: Path, sounds: Path, *, quick: bool) -> list[dict[str, Any]]:
    """The figures of every pace: both lines and the other servers in turn, as often as it says."""
    with SmscProcess("simulator", folder) as smsc:
        settings: Settings = {**SETTINGS, "smsc": [smsc.settings()]}
        with (
            Line(folder / "calls", settings, sounds=sounds) as line,
            Line(folder / "workers", settings, sounds=sounds, options=("--workers", "1")) as other,
        ):
            return _measure(_LineUnderLoad(line), _LineUnderLoad(other), quick=quick)


def _measure(line: _LineUnderLoad, other: _LineUnderLoad, *, quick: bool) -> list[dict[str, Any]]:
    commands = line.commands_a_call()
    servers: dict[str, Place] = {
        "line": line.place,
        WORKERS_1: other.place,
        "bare Twisted": lambda pace: _peer("bare_fastagi", commands, pace),
        "pystrix": lambda pace: _peer("pystrix_fastagi", commands, pace),
    }
    return [_one_pace(pace, servers, commands) for pace in (QUICK if quick else PACES)]


def _one_pace(pace: Pace, servers: dict[str, Place], commands: int) -> dict[str, Any]:
    rounds: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("line", WORKERS_1, *pace.peers)
    }
    for _ in range(pace.rounds):
        for name, runs in rounds.items():
            runs.append(servers[name](pace))
    return {
        "pace": asdict(pace),
        "commands_a_call": commands,
        "servers": rounds,
        "p99_against_bare": against_bare(rounds, "line", "turnaround_ms"),
        "p99_against_bare_without_order": against_bare(rounds, "line", "turnaround_rest_ms"),
    }


class _LineUnderLoad:
    """A line; every run has callers of its own, and counts what it has stored."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._ledger = Ledger(line.folder / "var")
        self._runs = 0

    def commands_a_call(self) -> int:
        """How many commands an undisturbed caller sees."""
        seen = self.place(Pace(1, 100, 0.0, 60.0, 1, calls=1))
        return int(seen["commands"])

    def place(self, pace: Pace) -> dict[str, Any]:
        """Place one load, wait until its messages are sent, and count."""
        caller = FIRST_CALLER + self._runs * CALLERS_A_RUN
        self._runs += 1
        workers = {f"worker {number}": pid for number, pid in self._line.worker_pids().items()}
        pids = {**workers, "line": self._line.pid, "store": self._line.store_pid()}
        with CpuWatch(pids, time.monotonic) as cpu:
            run = _load(self._line.agi[1], pace, *ORDER_CALL, "--caller", str(caller))
        run["settled_s"] = self._ledger.settle()
        run["stored"] = asdict(self._ledger.stored(caller, CALLERS_A_RUN))
        return run | _cpu_a_command(cpu, run)


def _peer(module: str, commands: int, pace: Pace) -> dict[str, Any]:
    with _server(module, commands) as (port, pid), CpuWatch({module: pid}, time.monotonic) as cpu:
        run = _load(port, pace, "--commands", str(commands))
    return run | _cpu_a_command(cpu, run)


@contextmanager
def _server(module: str, commands: int) -> Iterator[tuple[int, int]]:
    """A peer's port and process; it ends with its standard input."""
    server = subprocess.Popen(
        [sys.executable, "-m", f"tests.bench.{module}", str(commands)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline()), server.pid
        finally:
            server.communicate(timeout=10)


def _load(port: int, pace: Pace, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.bench.agi_load", "--port", str(port)),
            *("--at-once", str(pace.at_once), "--think-ms", str(pace.think_ms)),
            *("--ramp-s", str(pace.ramp_s), "--seconds", str(pace.seconds)),
            *("--calls", str(pace.calls), *words),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=True,
    )
    run: dict[str, Any] = json.loads(done.stdout)
    return run


def _cpu_a_command(cpu: CpuWatch, run: dict[str, Any]) -> dict[str, Any]:
    commands = max(run["commands"], 1)
    return {"cpu_us_a_command": {k: round(v / commands * 1e6) for k, v in cpu.used_s.items()}}
