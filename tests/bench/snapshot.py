"""A catalogue of a million tones: loading it, finding in it, and changing it under running calls.

Each way of holding it has a process of its own. Then `toneline serve` holds it while callers dial a
code and listen, first undisturbed, then with a change of the catalogue every second: one tone in
turn with a thousand. They order nothing: whoever orders waits for the database, which the changes
keep busy as well.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, update

from catalog.tones import catalogue_changed
from store.database import LocalDatabase
from store.engine import engine_for
from store.migrations import upgrade
from store.schema import tone
from tests.bench.agi_load import Generator, Load, percentiles_ms
from tests.bench.facts import ROOT
from tests.bench.tables import table
from tests.system.line import Line

TONES = 1_000_000
SWAPPED = (1, 1000)  # tones that change at once
CALLERS = 20
THINK_S = 0.1
SECONDS = 20.0
TIMEOUT_S = 600.0
FIRST_CODE = 1_000_000
_SYLLABLES = (
    "mo",
    "li",
    "hua",
    "yue",
    "guang",
    "jiang",
    "nan",
    "chun",
    "feng",
    "qing",
    "ai",
    "shui",
)
_CHARACTERS = "茉莉花月光江南春风情爱水"
_KEYS = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_SQL = (
    "INSERT INTO tone (code, title, artist, sp, style, price_fen, member_price_fen,"
    " senior_price_fen, licence_until, state, sound, duration_ms, title_sound, spelling,"
    " changed_at, changed_in) VALUES (?,?,?,?,?,200,150,100,?,'published',?,40000,?,?,0,1)"
)


def measure(folder: Path, sounds: Path, *, quick: bool) -> dict[str, Any]:
    """The figures of loading, of finding, and of calls without and with changes."""
    tones, seconds = (20_000, 3.0) if quick else (TONES, SECONDS)
    url = f"sqlite:///{folder / 'catalogue.db'}"
    _fill(url, tones)
    ways = {way: _in_a_process(url, way) for way in ("packed", "objects")}
    (folder / "directories").mkdir()
    settings = {
        "database": {"url": url},
        "paths": {"directories": str(folder / "directories")},
    }
    with Line(folder / "line", settings, sounds=sounds) as line:
        still = _calls(line, seconds)
        changes = _Changes(url, line)
        with changes:
            swapped = _calls(line, seconds)
    return {"ways": ways, "still": still, "swapped": swapped, "swaps": changes.figures()}


def show(figures: dict[str, Any]) -> str:
    """Two tables: holding the catalogue, and calls while it changes."""
    head = ("held as", "tones", "loaded in, s", "bytes a tone", "find a code, ns",
            "found again, ns", "garbage collection, ms", "begins a code? ns",
            "initials, us", "words, ms")  # fmt: skip
    keys = ("tones", "seconds", "bytes_a_tone", "lookup_ns", "again_ns", "collection_ms",
            "prefix_ns", "keypad_us", "find_ms")  # fmt: skip
    names = {"packed": "the line's snapshot", "objects": "objects in a dictionary"}
    held = [
        [names[way], *(run.get(key, "") for key in keys)] for way, run in figures["ways"].items()
    ]
    rows = [
        [
            name,
            run["calls"],
            run["failed"],
            *(run["turnaround_ms"][share] for share in ("p50", "p99", "max")),
        ]
        for name, run in (
            ("nothing changes", figures["still"]),
            ("a change a second", figures["swapped"]),
        )
    ]
    calls = table(("catalogue", "calls", "failed", "turnaround p50, ms", "p99", "longest"), rows)
    swaps = table(
        ("tones changed at once", "changes", "heard after, ms: p50", "longest"),
        [
            [size, run["swaps"], run["ms"]["p50"], run["ms"]["max"]]
            for size, run in figures["swaps"].items()
        ],
    )
    return "\n\n".join((table(head, held), calls, swaps))


def _in_a_process(url: str, way: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.snapshot_load", url, way],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# ---------------------------------------------------------------- the catalogue


def _fill(url: str, tones: int) -> None:
    upgrade(url)
    engine = engine_for(url)
    with engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        driver.executemany(_SQL, islice(_rows(), tones))
        connection.exec_driver_sql("INSERT INTO catalogue_version (id, version) VALUES (1, 1)")
    engine.dispose()


def _rows() -> Iterator[tuple[object, ...]]:
    chance = random.Random(1)
    for code in count(FIRST_CODE):
        title, spelling = _title(chance)
        artist = f"歌手{code % 5000}"
        style = f"风格{code % 40}"
        until = "2028-12-31" if code % 3 else None
        sound = f"tones/{code}-{chance.getrandbits(48):012x}"
        yield str(code), title, artist, f"曲库{code % 50}", style, until, sound, None, spelling


def _title(chance: random.Random) -> tuple[str, str]:
    """A title of two to six characters, and how `catalog.pinyin` spells such a one."""
    chosen = chance.choices(range(len(_SYLLABLES)), k=chance.randint(2, 6))
    syllables = [_SYLLABLES[number] for number in chosen]
    initials = "".join(syllable[0] for syllable in syllables)
    words = (
        word
        for start in range(len(syllables))
        for word in ("".join(syllables[start:]), initials[start:])
    )
    spelled = " ".join(dict.fromkeys(words))
    return "".join(_CHARACTERS[n] for n in chosen), f" {spelled} #{initials.translate(_KEYS)} "


# ---------------------------------------------------------------- the calls


def _calls(line: Line, seconds: float) -> dict[str, Any]:
    load = Load(
        host=line.agi[0],
        port=line.agi[1],
        calls=1_000_000,
        at_once=CALLERS,
        dial=[f"12530019{FIRST_CODE + 7}"],
        caller=13_900_000_000,
        hang_up=re.compile('/hangup_sms_notice"'),
        think_s=THINK_S,
        ramp_s=1.0,
        seconds=seconds,
    )
    generator = Generator(load)
    generator.run()
    measured = generator.measured
    return {
        "calls": measured.calls,
        "failed": measured.failed,
        "turnaround_ms": percentiles_ms(measured.turnarounds),
    }


class _Changes:
    """Changes the catalogue once a second from another process, and hears when the line has it."""

    def __init__(self, url: str, line: Line) -> None:
        self._database = LocalDatabase(engine_for(url))
        self._line = line
        self._committed: dict[int, tuple[int, float]] = {}  # version -> tones, when
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._change)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._line.wait_for(lambda: len(self._heard()) >= 1, "the last change")

    def _change(self) -> None:
        for number in count():
            if self._ended.wait(1.0):
                return
            size = SWAPPED[number % len(SWAPPED)]
            version = self._database.run_now(_change_some, number, size)
            self._committed[version] = (size, time.time())

    def _heard(self) -> dict[int, float]:
        return {
            event["version"]: datetime.fromisoformat(event["timestamp"]).timestamp()
            for event in self._line.events("catalogue_changed")
        }

    def figures(self) -> dict[str, Any]:
        """By the number of tones: how long after the commit callers heard them."""
        heard, waits = self._heard(), {size: [] for size in SWAPPED}  # type: dict[int, float], dict[int, list[float]]
        for version, (size, at) in self._committed.items():
            if version in heard:
                waits[size].append(heard[version] - at)
        return {
            str(size): {"swaps": len(found), "ms": percentiles_ms(found)}
            for size, found in waits.items()
        }


def _change_some(connection: Connection, number: int, size: int) -> int:
    """Give some tones that lie far apart another price; return the catalogue's version."""
    at = datetime.now(UTC)
    codes = [str(FIRST_CODE + (number * 7919 + step * 997) % 20_000) for step in range(size)]
    for start in range(0, size, 500):
        some = codes[start : start + 500]
        connection.execute(
            update(tone).where(tone.c.code.in_(some)).values(price_fen=200 + number, changed_at=at)
        )
    catalogue_changed(connection)
    found: int = connection.exec_driver_sql("SELECT version FROM catalogue_version").scalar_one()
    return found
