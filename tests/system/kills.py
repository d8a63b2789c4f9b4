"""kill -9 of a whole line, every process of it, at an instant that is drawn."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.system.line import Line, LineFailed

TICKS_OF_A_START = 200
"""Hundredths of a second of its processor that a line takes to start, generously."""
MOST_ANSWERS = 150
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Instant:
    """When the line dies: after so much work.

    `ticks`: when its first process has used so many hundredths of a second of the processor,
    perhaps before it serves. Otherwise when it has answered so many messages of subscribers.
    """

    ticks: int = 0
    answers: int = 0


def draw(random: Random) -> Instant:
    """Draw an instant: of four, one while it starts and three under load."""
    if random.random() < 0.25:
        return Instant(ticks=random.randrange(1, TICKS_OF_A_START))
    return Instant(answers=random.randrange(1, MOST_ANSWERS))


def live_until(line: Line, instant: Instant, answered: Callable[[], int]) -> None:
    """Start the line, and kill it when the instant has come. Raises LineFailed if it never does.

    `answered` counts the messages that any line has answered so far.
    """
    before = answered()

    def has_come() -> bool:
        if instant.ticks:
            return ticks(line.pid) >= instant.ticks
        return answered() - before >= instant.answers

    def kill_then() -> None:
        line.wait_for(has_come, f"{instant} has come", PATIENCE_S)
        kill(line.pid)

    with ThreadPoolExecutor(1) as killer:
        killed = killer.submit(kill_then)
        with suppress(LineFailed), line:  # killed before it was ready, it has not failed
            wait([killed])
        killed.result()


def kill(pid: int) -> None:
    """Kill a process and all that descend from it; return when they are gone."""
    handles = []
    for one in family(pid):
        with suppress(ProcessLookupError):  # a short-lived child may have ended meanwhile
            handles.append(os.pidfd_open(one))
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    for handle in handles:
        select.select([handle], [], [])
        os.close(handle)


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it, parents first."""
    found = [pid]
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    for one in found:
        found += children.get(one, [])
    return found


def ticks(pid: int) -> int:
    """Return the processor time of a process in hundredths of a second; 0 when it is gone."""
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from its state on; none when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
