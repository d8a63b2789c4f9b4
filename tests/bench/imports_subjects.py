"""One way to make tones of recordings, in processes of its own; prints how many in which time.

python -m tests.bench.imports_subjects toneline|pydub|loudnorm OUT SECONDS COUNT MP3...
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydub import AudioSegment

from audio.crew import Crew, Failed
from audio.ingest import import_sound

TARGET_MS = 48_000
LUFS, PEAK_DBFS = -19, -3

Piece = tuple[Path, str]


def toneline(out: Path, piece: Piece) -> None:
    """As `tones import` does; it makes the first seconds' files too."""
    import_sound(piece[0], out, piece[1])


def pydub(out: Path, piece: Piece) -> None:
    """As pydub's manual suggests: decode, resample, gain, export for each format."""
    recording, code = piece
    decoded = AudioSegment.from_file(recording).set_channels(1)[:TARGET_MS]
    levelled = decoded.apply_gain(LUFS - decoded.dBFS).fade_in(50).fade_out(700)
    narrow, wide = levelled.set_frame_rate(8000), levelled.set_frame_rate(16000)
    narrow.export(out / f"{code}.wav", format="wav").close()
    narrow.export(out / f"{code}.alaw", format="alaw").close()
    narrow.export(out / f"{code}.ulaw", format="mulaw").close()
    wide.export(out / f"{code}.g722", format="g722").close()


def loudnorm(out: Path, piece: Piece) -> None:
    """One ffmpeg: its loudness filter in one pass, its own resampler, all formats at once."""
    recording, code = piece
    graph = (
        f"[0:a]aformat=channel_layouts=mono,loudnorm=I={LUFS}:TP={PEAK_DBFS}:LRA=11,asplit=4"
        "[a][b][c][d];[a]aresample=8000[w];[b]aresample=8000[x];[c]aresample=8000[y];"
        "[d]aresample=16000[z]"
    )
    command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-t", "48"]
    command += ["-i", str(recording), "-filter_complex", graph]
    for output, form, ending in (
        ("[w]", "wav", "wav"),
        ("[x]", "alaw", "alaw"),
        ("[y]", "mulaw", "ulaw"),
        ("[z]", "g722", "g722"),
    ):
        command += ["-map", output, "-f", form, str(out / f"{code}.{ending}")]
    subprocess.run(command, check=True)


WAYS: dict[str, Callable[[Path, Piece], None]] = {
    "toneline": toneline,
    "pydub": pydub,
    "loudnorm": loudnorm,
}


def main(name: str, out: Path, seconds: float, count: int, sources: list[Path]) -> None:
    """Import `count` recordings, or as many as fit into the time."""
    _warm_up()
    pieces = [(sources[index % len(sources)], str(1000 + index)) for index in range(count)]
    crew: Crew[Piece, None] = Crew(partial(WAYS[name], out), os.cpu_count() or 1)
    began, took, files = time.monotonic(), 0.0, 0
    outcomes = crew.do_all(pieces)
    for _, outcome in outcomes:
        if isinstance(outcome, Failed):
            raise SystemExit(outcome.why)
        files, took = files + 1, time.monotonic() - began
        if took >= seconds:
            break
    outcomes.close()
    json.dump({"files": files, "seconds": round(took, 1)}, sys.stdout)


def _warm_up() -> None:
    """Import what the first recording would else wait for."""
    import pyloudnorm
    import scipy.ndimage
    import scipy.signal

    del pyloudnorm, scipy


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]),
         [Path(source) for source in sys.argv[5:]])  # fmt: skip
