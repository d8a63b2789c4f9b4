"""The project's own figures, each with its peer or limit in the same run.

    python -m tests.bench [calls] [asterisk] [notice] [night] [store] [codec] [trips] [imports]
        [snapshot] [--quick]

Prints tables, and writes what was measured to bench/latest.json and the tables to docs/figures.md:
all of it, or the parts that are named. `--quick` runs everything for a moment and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import asterisk, calls, codec, imports, night, notice, snapshot, tables, trips
from tests.bench.agi_load import allow_many_files
from tests.bench.facts import ROOT, load_average, machine, versions
from tests.system.line import Line

LATEST = ROOT / "bench" / "latest.json"
PAGE = ROOT / "docs" / "figures.md"  # tables stand between <!-- name --> and <!-- /name -->
SOUNDS = ROOT / "var" / "bench" / "sounds"  # rendered once, for every bench of this checkout
STORE_SECONDS = 2.0
STORE_TIMEOUT_S = 120.0

Measure = Callable[[Path, bool], Any]


def measure_store(_folder: Path, quick: bool) -> dict[str, Any]:
    """Orders a second through the store process, beside the bare driver."""
    seconds = 0.3 if quick else STORE_SECONDS
    words = ("-m", "tests.bench.store_bench", "--seconds", str(seconds), "--engine", "sqlite")
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=STORE_TIMEOUT_S,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


PARTS: dict[str, tuple[Measure, Callable[[Any], str]]] = {
    "calls": (lambda folder, quick: calls.measure(folder, SOUNDS, quick=quick), tables.calls),
    "asterisk": (
        lambda folder, quick: asterisk.measure(folder, SOUNDS, quick=quick),
        tables.asterisk,
    ),
    "notice": (lambda folder, quick: notice.measure(folder, SOUNDS, quick=quick), tables.notice),
    "night": (lambda folder, quick: night.measure(folder, SOUNDS, quick=quick), tables.night),
    "store": (measure_store, tables.store),
    "codec": (lambda _folder, quick: codec.measure(quick=quick), codec.table),
    "trips": (lambda folder, quick: trips.measure(folder, SOUNDS, quick=quick), trips.table),
    "imports": (lambda folder, quick: imports.measure(folder, quick=quick), imports.table),
    "snapshot": (
        lambda folder, quick: snapshot.measure(folder, SOUNDS, quick=quick),
        snapshot.show,
    ),
}


def measure(part: str, *, quick: bool) -> dict[str, Any]:
    """Run one part; its figures, with when and how they were made."""
    take, show = PARTS[part]
    report: dict[str, Any] = {
        "command": f".venv/bin/python -m tests.bench {part}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average_before": load_average(),
    }
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        report["figures"] = take(Path(folder), quick)
    report["seconds"] = round(time.monotonic() - began, 1)
    print(f"\n{part} ({report['seconds']:g} s)\n\n{show(report['figures'])}", flush=True)
    return report


def prepare_sounds() -> None:
    """Render the sample's music and words, if no earlier bench has."""
    SOUNDS.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder,
        Line(Path(folder, "line"), sounds=SOUNDS),
    ):
        print(f"the sample's sounds are in {SOUNDS.relative_to(ROOT)}", flush=True)


def write(reports: dict[str, Any]) -> None:
    """Put the reports into bench/latest.json, beside those of other parts, and into the page."""
    here = {"machine": machine(), "versions": versions()}
    known = json.loads(LATEST.read_text(encoding="utf-8")) if LATEST.exists() else {}
    parts = known.get("parts", {}) if known.get("machine") == here["machine"] else {}
    LATEST.parent.mkdir(exist_ok=True)
    document = here | {"parts": parts | reports}
    LATEST.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    show(document)
    print(f"\nwritten to {LATEST.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}")


def show(document: dict[str, Any]) -> None:
    """Put the tables of all parts measured so far into the page."""
    page = PAGE.read_text(encoding="utf-8")
    page = put(page, "facts", tables.facts(document))
    for part, report in document["parts"].items():
        load = report["load_average_before"]
        heading = f"`{report['command']}`, {report['at']}, load average before: {load}"
        page = put(page, part, f"{heading}:\n\n{PARTS[part][1](report['figures'])}")
    PAGE.write_text(page, encoding="utf-8")


def put(page: str, name: str, text: str) -> str:
    """The page with ``text`` between its marks of that name."""
    before, begin, rest = page.partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    return f"{before}{begin}\n{text}\n{end}{after}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", default=[])
    parser.add_argument("--quick", action="store_true", help="a moment each; nothing is written")
    given = parser.parse_args()
    allow_many_files()
    if load_average() > 1:
        print(f"this machine is busy (load {load_average()}): what it does will be in the figures")
    prepare_sounds()
    reports = {part: measure(part, quick=given.quick) for part in given.parts or PARTS}
    if not given.quick:
        write(reports)


if __name__ == "__main__":
    main()
