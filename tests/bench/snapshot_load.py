"""The catalogue in a process of its own: how long it loads, how much it takes, how fast it finds.

    python -m tests.bench.snapshot_load sqlite:///FILE packed|objects

Prints one JSON document. `objects` is the plain way: a `Tone` for each row in a dictionary by code.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from catalog.branches import BranchTable
from catalog.snapshot import Snapshot, load_snapshot
from catalog.tones import all_tones
from store.database import LocalDatabase
from store.engine import engine_for

LOOKED_UP = 20_000
LISTED = 140  # the songs of 14 directories, looked up again and again
SEARCHED = 20
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def measure(url: str, way: str) -> dict[str, Any]:
    """The figures of one way."""
    database = LocalDatabase(engine_for(url))
    before, began = _resident(), time.perf_counter()
    find, count, snapshot = _load(database, way)
    seconds = time.perf_counter() - began
    gc.collect()
    octets = (_resident() - before) / count
    codes = _some_codes(database)
    lists = codes[:LISTED]
    again = [*lists, *random.Random(3).choices(lists, k=LOOKED_UP)]
    figures = {
        "tones": count,
        "seconds": round(seconds, 2),
        "bytes_a_tone": round(octets),
        "lookup_ns": round(_each_s(find, codes) * 1e9),
        "again_ns": round(_each_s(find, again) * 1e9),
        "collection_ms": round(_each_s(lambda _: gc.collect(), range(3)) * 1e3, 1),
    }
    return figures | (_searches(snapshot, codes) if snapshot else {})


def _load(
    database: LocalDatabase, way: str
) -> tuple[Callable[[str], object], int, Snapshot | None]:
    if way == "objects":
        tones = {tone.code: tone for tone in database.run_now(all_tones)}
        return tones.get, len(tones), None
    snapshot = load_snapshot(database, BranchTable({}, {}, 7), ZoneInfo("Asia/Shanghai"))
    return snapshot.tone, len(snapshot), snapshot


def _some_codes(database: LocalDatabase) -> list[str]:
    with database.engine.connect() as connection:
        codes = connection.exec_driver_sql("SELECT code FROM tone").scalars().all()
    chosen = random.Random(1).choices(codes, k=LOOKED_UP)
    random.Random(2).shuffle(chosen)
    return chosen


def _searches(snapshot: Snapshot, codes: Sequence[str]) -> dict[str, Any]:
    """What the other questions of a call and of an SMS take."""
    titles = [tone.title for code in codes[:SEARCHED] if (tone := snapshot.tone(code))]
    return {
        "prefix_ns": round(_each_s(lambda code: snapshot.is_code_prefix(code[:4]), codes) * 1e9),
        "keypad_us": round(
            _each_s(
                lambda code: snapshot.by_keypad(f"{int(code) % 512 + 234}", NOW, 3), codes[:200]
            )
            * 1e6
        ),
        "find_ms": round(_each_s(lambda title: snapshot.find(title, NOW), titles) * 1e3, 1),
    }


def _each_s(ask: Callable[[Any], object], questions: Sequence[Any]) -> float:
    began = time.perf_counter()
    for question in questions:
        ask(question)
    return (time.perf_counter() - began) / len(questions)


def _resident() -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not tell this process' memory")


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2])))
