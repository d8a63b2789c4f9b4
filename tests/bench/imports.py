"""Recordings imported as `tones import` does it, beside plain pydub and ffmpeg's loudnorm.

All three get the same three-minute mp3 files and as many processes, and write the same four
formats. As many files as fit into their time are measured; a thousand are computed from these.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from audio.formats import RATE_HZ, level, read_sound, to_samples, true_peak_dbfs
from tests.bench import tables
from tests.bench.facts import ROOT
from tests.bench.imports_subjects import WAYS
from tests.fakes.recordings import CD_HZ, recorded
from tests.machine import require_program

Figures = dict[str, Any]

SUBJECTS = {
    "toneline": "Toneline",
    "pydub": "plain pydub",
    "loudnorm": "ffmpeg's loudnorm",
}
SECONDS = {"toneline": 120.0, "pydub": 60.0, "loudnorm": 60.0}
QUICK_SECONDS = 2.0
WANTED = 1000
SOURCES, SOURCE_SECONDS = 24, 180
FOLDER = ROOT / "var" / "bench" / "imports"  # made once, for every bench of this checkout
LISTENED = 8  # files whose level is measured afterwards
SAMPLE_S = 0.1
LONGEST_S = 900.0


def measure(folder: Path, *, quick: bool) -> Figures:
    """What each subject takes for a thousand files, and how they sound."""
    require_program("ffmpeg", "ffmpeg")
    sources = _sources(folder / "sources", 2, 30) if quick else _sources(
        FOLDER, SOURCES, SOURCE_SECONDS
    )  # fmt: skip
    whistle = _whistle(folder)
    return {
        "source_s": 30 if quick else SOURCE_SECONDS,
        "subjects": {
            name: _subject(name, folder / name, sources, whistle, quick=quick) for name in SUBJECTS
        },
    }


def _subject(
    name: str, folder: Path, sources: list[Path], whistle: Path, *, quick: bool
) -> Figures:
    seconds = QUICK_SECONDS if quick else SECONDS[name]
    run, peak_mb = _watched(name, folder / "out", seconds, sources)
    (folder / "whistle").mkdir()
    WAYS[name](folder / "whistle", (whistle, "1000"))
    heard = [read_sound(path) for path in sorted(_whole(folder / "out"))[:LISTENED]]
    (folded,) = _whole(folder / "whistle")
    a_thousand = run["seconds"] / run["files"] * WANTED
    return run | {
        "files_wanted": WANTED,
        "seconds_a_thousand": round(a_thousand, 1),
        "is_extrapolated": run["files"] < WANTED,
        "peak_mb": peak_mb,
        "aliasing_db": _aliasing_db(read_sound(folded)),
        "lufs": [round(level(pcm), 1) for pcm in heard],
        "true_peak_dbfs": round(max(true_peak_dbfs(pcm) for pcm in heard), 1),
    }


def _watched(name: str, out: Path, seconds: float, sources: list[Path]) -> tuple[Figures, float]:
    """Run a subject; return what it says, and the most memory that all its processes had."""
    out.mkdir(parents=True)
    words = [name, str(out), str(seconds), str(WANTED), *map(str, sources)]
    peak = 0
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.imports_subjects", *words],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        waited = 0.0
        while waited < LONGEST_S:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SAMPLE_S)
                break
            waited += SAMPLE_S
            peak = max(peak, sum(_memory_kb(pid) for pid in _family(process.pid)))
        else:
            process.kill()
        said = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{name} failed with status {process.returncode}")
    found: Figures = json.loads(said)
    return found, round(peak / 1000, 1)


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _memory_kb(pid: int) -> int:
    """A process's memory; what several share is divided among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _whole(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.wav") if "-first" not in path.name]


def _aliasing_db(pcm: bytes) -> float:
    """How much of 5 kHz came back as 3 kHz, against 1 kHz, which was as loud."""
    sound = to_samples(pcm)[RATE_HZ * 2 : RATE_HZ * 7]
    spectrum = np.abs(np.fft.rfft(sound * np.blackman(sound.size)))
    seconds = sound.size // RATE_HZ
    folded, passed = (spectrum[hz * seconds - 5 : hz * seconds + 6].max() for hz in (3000, 1000))
    return round(float(20 * np.log10(folded / passed)), 1)


def _whistle(folder: Path) -> Path:
    time = np.arange(CD_HZ * 10) / CD_HZ
    sound = 0.25 * np.sin(2 * np.pi * 1000 * time) + 0.25 * np.sin(2 * np.pi * 5000 * time)
    return recorded(folder / "whistle.wav", sound, rate_hz=CD_HZ)


def _sources(folder: Path, count: int, seconds: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{index:03}-{seconds}.mp3" for index in range(count)]
    for index, file in enumerate(files):
        if not file.exists():
            _compose(index, seconds, file)
    return files


def _compose(index: int, seconds: int, file: Path) -> None:
    """Let ffmpeg play something: a tune and its bass, struck, with cymbals; each index another."""
    tempo, key, step = 2 + index % 5 * 0.5, 196 * 2 ** (index % 12 / 12), 3 + index % 4
    tune = f"{key}*pow(2,mod(floor(t*{tempo})*{step},13)/12)"
    struck = f"(0.3+0.7*exp(-4*mod(t*{tempo},1)))"
    left = f"0.25*{struck}*(sin(2*PI*{tune}*t)+0.4*sin(6*PI*{tune}*t)+0.2*sin(10*PI*{tune}*t))"
    bass = f"0.2*sin(2*PI*{key / 2}*pow(2,mod(floor(t*{tempo / 4})*5,12)/12)*t)"
    cymbal = f"0.15*(random({index})-0.5)*exp(-{8 + index % 7}*mod(t*{tempo * 2},1))"
    right = f"0.8*({left})"
    source = f"aevalsrc='{left}+{bass}+{cymbal}|{right}+{bass}+{cymbal}':s={CD_HZ}:d={seconds}"
    temporary = file.with_suffix(".part.mp3")
    words = ["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-b:a", "192k"]
    subprocess.run(["ffmpeg", *words, str(temporary)], check=True)
    temporary.replace(file)


def table(figures: Figures) -> str:
    """One row a subject."""
    head = (
        *("", "files measured", "in, s", f"{WANTED:,} files, s", "peak memory, MB"),
        *("5 kHz folded to 3 kHz, dB", "level of the results, LUFS", "highest true peak, dBFS"),
    )
    return tables.table(head, [_row(name, run) for name, run in figures["subjects"].items()])


def _row(name: str, run: Figures) -> list[object]:
    mark = " (extrapolated)" if run["is_extrapolated"] else ""
    return [
        SUBJECTS[name],
        run["files"],
        run["seconds"],
        f"{run['seconds_a_thousand']:.0f}{mark}",
        run["peak_mb"],
        run["aliasing_db"],
        f"{min(run['lufs'])} to {max(run['lufs'])}",
        run["true_peak_dbfs"],
    ]
