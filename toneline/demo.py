"""demo.py: sample catalogue and tones for a first run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from audio.formats import RATE_HZ, SAMPLE_BYTES, SoundUnreadable, with_ending
from audio.scores import VERSION, BadScore, parse_score
from catalog.catalogue_file import CatalogueRow, read_catalogue
from catalog.tones import Tone
from toneline.titles import install_title

SAMPLE_SP = "示例曲库"
SAMPLE = Path(__file__).resolve().parent.parent / "config" / "sample"
_WAV_HEADER_BYTES = 44
_MOST_WORKERS = 4


def prepare_sample(
    sounds: Path,
    speech: Path,
    language: str,
    progress: Callable[[str], None],
    sample: Path = SAMPLE,
) -> tuple[Tone, ...]:
    """Return the sample catalogue; the sounds of its tones and titles are below `sounds`.

    `speech` has the rendered prompts, the titles among them; a title without one is read out as its
    code. What is there already is left alone, so the second run takes milliseconds and one that was
    interrupted goes on.

    Raises:
        SoundUnreadable: a score is missing or cannot be played.
        BadCatalogue: the sample's own tones.csv has errors.
    """
    file = sample / "tones.csv"
    rows = read_catalogue(file.read_text("utf-8"), str(file))
    scores = _scores(rows, sample / "scores")
    stems = {code: f"tones/{code}-{_digest(score)}" for code, score in scores.items()}
    _render_missing({sounds / stems[code]: score for code, score in scores.items()}, progress)
    return tuple(
        _tone(row, stems[row.code], install_title(row.title, sounds, speech, language), sounds)
        for row in rows
    )


def render_tone(score: Path, stem: Path) -> None:
    """Write the sound files of one score.

    Raises:
        BadScore: the score cannot be played.
    """
    from audio.ingest import write_tone  # noqa: PLC0415  see _render_missing
    from audio.synth import render  # noqa: PLC0415

    write_tone(stem, render(parse_score(score.read_text("utf-8"))))


def _scores(rows: tuple[CatalogueRow, ...], folder: Path) -> dict[str, Path]:
    """Return each tone's score, `<code>-<name>.toml`."""
    found = {path.name.partition("-")[0]: path for path in sorted(folder.glob("*-*.toml"))}
    for row in rows:
        if row.code not in found:
            raise SoundUnreadable(str(folder), f"there is no score {row.code}-*.toml")
    return {row.code: found[row.code] for row in rows}


def _digest(score: Path) -> str:
    return sha256(b"%d:" % VERSION + score.read_bytes()).hexdigest()[:12]


def _render_missing(wanted: Mapping[Path, Path], progress: Callable[[str], None]) -> None:
    """Render the scores whose stem has no sound yet, on every core."""
    missing = {
        stem: score for stem, score in wanted.items() if not with_ending(stem, ".wav").exists()
    }
    if not missing:
        return
    # a second to import: a start that renders nothing is spared it, and the workers inherit it
    import audio.ingest  # noqa: PLC0415
    import audio.synth  # noqa: F401, PLC0415

    workers = min(_MOST_WORKERS, len(missing), os.cpu_count() or 1)
    pool = ProcessPoolExecutor(workers, get_context("fork"), _leave_interrupts_to_the_parent)
    try:
        begun = {pool.submit(render_tone, score, stem): score for stem, score in missing.items()}
        for count, rendered in enumerate(as_completed(begun), start=1):
            try:
                rendered.result()
            except (BadScore, UnicodeDecodeError) as error:
                raise SoundUnreadable(str(begun[rendered]), str(error)) from error
            progress(f"sample tones: {count} of {len(missing)} rendered")
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _tone(row: CatalogueRow, stem: str, title_sound: str | None, sounds: Path) -> Tone:
    size = with_ending(sounds / stem, ".wav").stat().st_size - _WAV_HEADER_BYTES
    return row.tone(stem, size * 1000 // (SAMPLE_BYTES * RATE_HZ), title_sound)
