"""Messages a second through one bind, beside other SMPP clients; then with everything stored.

One SMSC measures all of them, in turn, each in a process of its own: how many submit_sm it takes
from them, and how many MOs they answer. A client in C shows that it is not the limit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.bench import peers, tables, trips_stored
from tests.bench.facts import ROOT
from tests.bench.trips_smsc import Figures, Smsc, compiled, smsc
from tests.machine import require_program
from tests.system.smsc import node_modules

HERE = Path(__file__).parent
WINDOWS = (1, 10, 100)
KINDS = {"submits": "submit_sm/s", "trips": "trips/s"}
CLIENTS = {
    "C": "C, the SMSC's own",
    "session": "Toneline's session",
    "service": "Toneline's service",
    "node-smpp": "node-smpp",
    "aiosmpplib": "aiosmpplib",
    "smpplib": "smpplib",
}
SECONDS, WARM_UP_S, ROUNDS = 1.2, 0.6, 2
MESSAGES = 1_000_000  # half of them in, half out
LONGEST_S = 600.0


def measure(folder: Path, sounds: Path, *, quick: bool) -> Figures:
    """The figures of the clients, of a million messages, and of the line."""
    program = compiled(folder)
    windows = (10,) if quick else WINDOWS
    trips = (20_000 if quick else MESSAGES) // 2
    return {
        "clients": {
            client: [
                _of_client(program, client, kind, window, quick=quick)
                for kind in KINDS
                for window in windows
            ]
            for client in CLIENTS
        },
        "memory": [_long(program, client, trips) for client in ("session", "service")],
        "stored": [
            trips_stored.measure(folder, sounds, program, subscribers, quick=quick)
            for subscribers in ((10,) if quick else trips_stored.SUBSCRIBERS)
        ],
    }


def _of_client(program: Path, client: str, kind: str, window: int, *, quick: bool) -> Figures:
    """The best round: whatever else the machine does only takes away."""
    seconds, warm_up_s, rounds = (0.3, 0.2, 1) if quick else (SECONDS, WARM_UP_S, ROUNDS)
    found = []
    for _ in range(rounds):
        with smsc(program, kind, window, warm_up_s=warm_up_s, seconds=seconds) as server:
            found.append(_against(server, program, client, kind, window))
    best = max(found, key=lambda one: float(one["per_s"]))
    cpu_us = round(best["cpu_s"] / best["units"] * 1e6, 1)
    rounds_per_s = [one["per_s"] for one in found]
    return {"kind": kind, "window": window, **best, "cpu_us": cpu_us, "rounds_per_s": rounds_per_s}


def _long(program: Path, client: str, trips: int) -> Figures:
    """Memory before and after so many trips, at a window of 10."""
    with smsc(program, "trips", 10, warm_up_s=1.0, seconds=LONGEST_S, units=trips) as server:
        return {"client": client, **_against(server, program, client, "trips", 10)}


def _against(server: Smsc, program: Path, client: str, kind: str, window: int) -> Figures:
    words, environment = _command(program, client)
    given = (str(server.port), kind, str(window))
    # Being cut off at the end is no news.
    null = subprocess.DEVNULL
    with subprocess.Popen(
        [*words, *given], cwd=ROOT, env=environment, stdout=null, stderr=null
    ) as running:
        try:
            server.begin()
            return server.figures()
        finally:
            running.kill()


def _command(program: Path, client: str) -> tuple[list[str], dict[str, str]]:
    environment = dict(os.environ)
    if client == "C":
        return [str(program), "client"], environment
    if client == "node-smpp":
        node = require_program("node", "nodejs")
        there = environment | {"NODE_PATH": str(node_modules())}
        return [node, str(HERE / "trips_node.js")], there
    python = str(peers.interpreter()) if client == "aiosmpplib" else sys.executable
    return [python, "-m", "tests.bench.trips_clients", client], environment


# ---- as tables


def table(figures: Figures) -> str:
    """The clients, the million messages, and the line."""
    return "\n\n".join(
        (_clients(figures["clients"]), _memory(figures["memory"]), _stored(figures["stored"]))
    )


def _clients(clients: dict[str, list[Figures]]) -> str:
    columns = [(run["kind"], run["window"]) for run in clients["C"]]
    middle = columns.index(("trips", 10))
    head = (
        "client",
        *(f"{KINDS[kind]}, window {window}" for kind, window in columns),
        *("CPU us a trip at 10", "trips at 10 / node-smpp"),
    )
    peer = clients["node-smpp"][middle]["per_s"]
    rows = [
        [
            CLIENTS[client],
            *(f"{run['per_s']:.0f}" for run in runs),
            f"{runs[middle]['cpu_us']:.0f}",
            f"{runs[middle]['per_s'] / peer:.1f}",
        ]
        for client, runs in clients.items()
    ]
    return tables.table(head, rows)


def _memory(runs: Iterable[Figures]) -> str:
    head = ("client", "messages, in and out", "memory before, kB", "after, kB", "messages/s")
    rows = [
        [CLIENTS[run["client"]], 2 * run["units"], *run["memory_kb"], f"{2 * run['per_s']:.0f}"]
        for run in runs
    ]
    return tables.table(head, rows)


def _stored(runs: Iterable[Figures]) -> str:
    head = (
        *("subscribers at once", "MOs answered/s", "bare driver", "line / bare driver"),
        *("statements an MO", "MOs a commit", "CPU us an MO: line, store, bare driver"),
        *("orders, notices stored", "MOs refused"),
    )
    return tables.table(head, [_stored_row(run) for run in runs])


def _stored_row(run: dict[str, Any]) -> list[object]:
    line, bare = run["line"], run["bare"]
    served, per_mo_us = line["subscribers"], 1e6 / bare["units"]
    return [
        run["window"],
        f"{line['per_s']:.0f}",
        f"{bare['per_s']:.0f}",
        f"{line['per_s'] / bare['per_s']:.2f}",
        f"{bare['statements'] / bare['units']:.1f}",
        f"{bare['units'] / bare['commits']:.1f}",
        ", ".join(map(str, (*line["cpu_us_an_mo"].values(), round(bare["cpu_s"] * per_mo_us)))),
        f"{line['orders']}, {line['messages'] // 2} of {served}",
        line["refused"],
    ]
