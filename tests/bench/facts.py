"""What a figure was measured on, and the processor time that processes use."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType

from tests.system.asterisk_tree import TreeUnavailable, find_tree

ROOT = Path(__file__).parents[2]
PACKAGES = ("Twisted", "SQLAlchemy", "pystrix", "pyst2")


def machine() -> dict[str, object]:
    """The processor, memory and system."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory_kb = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1])
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory_kb / 1e6, 1),
        "kernel": platform.release(),
    }


def versions() -> dict[str, str]:
    """What was measured, and with what."""
    found = {
        "toneline": _commit(),
        "Python": _python(),
        "SQLite": sqlite3.sqlite_version,
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    try:
        tree = find_tree()
    except TreeUnavailable:
        return found
    return found | {"Asterisk": tree.asterisk_version, "SIPp": tree.sipp_version}


def _python() -> str:
    """The version, and whose it is: a Python built without optimisation is a quarter slower."""
    owner = "the system's" if sys.base_prefix == "/usr" else "another than the system's"
    return f"{platform.python_version()} ({owner})"


def _commit() -> str:
    """The commit, with a + if the working tree differs from it."""
    words = ("git", "describe", "--always", "--dirty=+")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def load_average() -> float:
    """How many processes wanted to run in the last minute: above 1 the figures are not ours."""
    return round(os.getloadavg()[0], 2)


def cpu_s(pid: int) -> float:
    """Seconds of processor time a process has used so far, 0 if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_s() -> float:
    """Seconds that this machine's cores have been idle so far, all of them together (proc(5))."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").split()  # user, nice, system, idle
    return int(fields[4]) / os.sysconf("SC_CLK_TCK")


class CpuWatch:
    """What processes use of a core between its start and its end, by name, and what is left."""

    def __init__(self, pids: dict[str, int], clock: Callable[[], float]) -> None:
        self._pids = pids
        self._clock = clock
        self._before: dict[str, float] = {}
        self._idle_s = 0.0
        self.used_s: dict[str, float] = {}
        self.lasted_s = 0.0

    def __enter__(self) -> CpuWatch:
        self._before = {name: cpu_s(pid) for name, pid in self._pids.items()}
        self._idle_s = -idle_s()
        self.lasted_s = -self._clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lasted_s += self._clock()
        self._idle_s += idle_s()
        self.used_s = {name: cpu_s(pid) - self._before[name] for name, pid in self._pids.items()}

    def percent(self) -> dict[str, int]:
        """Percent of one core, by name."""
        return {name: round(100 * used / self.lasted_s) for name, used in self.used_s.items()}

    def idle_percent(self) -> int:
        """Percent of one core that nobody used: 200 is two idle cores."""
        return round(100 * self._idle_s / self.lasted_s)
