"""MOs answered a second by `toneline serve`, everything stored, beside the bare driver.

Subscribers ask for a tone, are asked, confirm and are told that they have ordered; each step is on
the disk before the SMSC hears of it. A second run of the same has the store write its statements
down; these are then run again in the same groups through the bare driver, on the same disk.
"""

from __future__ import annotations

import shutil
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from tests.bench import replay
from tests.bench.facts import CpuWatch
from tests.bench.ledger import Ledger
from tests.bench.trips_smsc import Figures, Smsc, smsc
from tests.system.line import Line, Section

SUBSCRIBERS = (1, 10, 50, 100)
SECONDS, WARM_UP_S, ROUNDS = 5.0, 2.0, 3
FIRST_SUBSCRIBER = 13_900_000_000
MOS_A_SUBSCRIBER = 2


def measure(folder: Path, sounds: Path, program: Path, window: int, *, quick: bool) -> Figures:
    """Serve so many subscribers at once, the line and the bare driver in turn: the best of each."""
    rounds = [
        _round(folder / f"{window}-{number}", sounds, program, window, quick=quick)
        for number in range(1 if quick else ROUNDS)
    ]
    best = {way: max((one[way] for one in rounds), key=_per_s) for way in ("line", "bare")}
    per_s = {way: [_per_s(one[way]) for one in rounds] for way in best}
    return {"window": window, **best, "rounds_per_s": per_s}


def _per_s(found: Figures) -> float:
    return float(found["per_s"])


def _round(folder: Path, sounds: Path, program: Path, window: int, *, quick: bool) -> Figures:
    """Measure the line, then once more with its statements noted, and these on the bare driver."""
    folder.mkdir()
    statements, before = folder / "statements", folder / "before.db"
    found: Figures = {}
    for way in ("line", "noted"):
        seconds, warm_up_s = (0.5, 0.3) if quick else (SECONDS, WARM_UP_S)
        noting = replay.noted(statements) if way == "noted" else nullcontext()
        with (
            smsc(program, "talks", window, warm_up_s=warm_up_s, seconds=seconds) as server,
            noting,
            Line(folder / way, _bound_to(server, window), sounds=sounds) as line,
        ):
            begin = 0
            if way == "noted":
                replay.copy(line.folder / "var" / "toneline.db", before)
                begin = replay.size(statements)
            found[way] = _talks(server, line)
    bare = replay.replay(before, statements, begin)
    units = MOS_A_SUBSCRIBER * found["noted"]["subscribers"]
    shutil.rmtree(folder)
    return found | {
        "bare": asdict(bare) | {"units": units, "per_s": round(units / bare.seconds, 1)}
    }


def _bound_to(server: Smsc, window: int) -> dict[str, list[Section]]:
    account = {"system_id": "bench", "password": "bench"}
    one = {"name": "bench", "host": "127.0.0.1", "port": server.port, "window": window, **account}
    return {"smsc": [one]}


def _talks(server: Smsc, line: Line) -> Figures:
    """What the SMSC has measured, what it cost, and what is stored once nothing is owed."""
    with CpuWatch({"line": line.pid, "store": line.store_pid()}, time.monotonic) as watch:
        server.begin()
        found = server.figures()
    ledger = Ledger(line.folder / "var")
    ledger.settle()
    stored = ledger.stored(FIRST_SUBSCRIBER, found["subscribers"])
    mos = MOS_A_SUBSCRIBER * found["subscribers"]
    return found | {
        "orders": stored.orders,
        "consents": stored.consents,
        "messages": stored.messages,
        "cpu_us_an_mo": {name: round(used / mos * 1e6) for name, used in watch.used_s.items()},
    }
