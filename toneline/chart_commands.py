"""`toneline charts`: who is where, why, and today's charts computed now."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import structlog

from catalog import charts as domain
from catalog.branches import BRANCHES, PROVINCE
from catalog.chart_words import SongLabel, entry_of, explain, neighbours
from catalog.charts import Chart, Entry
from catalog.tones import find_tone
from config.settings import zone
from store.database import LocalDatabase
from toneline.command import (
    Refused,
    config_option,
    database_of,
    emit,
    json_option,
    now,
    reading,
    settings_of,
)
from toneline.logs import configure_logs

_OWNER = click.Choice([PROVINCE, *BRANCHES])
_DAY = click.DateTime(["%Y-%m-%d"])
_day_option = click.option(
    "--day", type=_DAY, help="The chart of this local day (default: newest)."
)


@click.group()
def charts() -> None:
    """Show, explain and compute the charts that fill what branches left open."""


@charts.command("show")
@click.argument("owner", type=_OWNER, default=PROVINCE)
@_day_option
@config_option
@json_option
def show(owner: str, day: datetime | None, config: Path | None, as_json: bool) -> None:
    """Show the chart of OWNER, a branch or (default) the province; bursts are marked.

    Example: toneline charts show yangzhou --day 2026-11-23
    """
    settings = settings_of(config)
    with reading(settings) as database:
        chart = _chart(database, owner, day)
        songs = _songs(database, (entry.code for entry in chart.entries))
    if as_json:
        emit(_document(chart, songs, zone(settings)))
        return
    click.echo(f"{chart.owner}, {chart.day}, formula {chart.formula_version}, {chart.votes} votes")
    for entry in chart.entries:
        click.echo(_line(entry, songs))


def _chart(database: LocalDatabase, owner: str, day: datetime | None) -> Chart:
    chart = database.run_now(domain.read_chart, owner, None if day is None else day.date())
    if chart is None:
        of_day = "" if day is None else f" of {day.date()}"
        raise Refused(
            f"there is no chart of {owner}{of_day}; `toneline charts compute` computes today's"
        )
    return chart


def _songs(database: LocalDatabase, codes: Iterable[str]) -> dict[str, SongLabel]:
    found = (database.run_now(find_tone, code) for code in codes)
    return {tone.code: SongLabel(tone.title, tone.sp) for tone in found if tone is not None}


def _document(chart: Chart, songs: dict[str, SongLabel], timezone: ZoneInfo) -> dict[str, Any]:
    return {
        "owner": chart.owner,
        "day": chart.day,
        "formula_version": chart.formula_version,
        "computed_at": chart.computed_at.astimezone(timezone),
        "votes": chart.votes,
        "entries": [_entry(entry, songs) for entry in chart.entries],
    }


def _entry(entry: Entry, songs: dict[str, SongLabel]) -> dict[str, Any]:
    song = songs.get(entry.code)
    return {
        "rank": entry.rank,
        "code": entry.code,
        "title": song and song.title,
        "sp": song and song.sp,
        "score": entry.score,
        "previous": entry.previous,
        "peak": entry.peak,
        "weeks": entry.weeks,
        "flag": entry.flag,
        "burst": bool(entry.made.bursts),
        "made": asdict(entry.made),
    }


def _line(entry: Entry, songs: dict[str, SongLabel]) -> str:
    song = songs.get(entry.code, SongLabel("", ""))
    last = (entry.flag or "").upper() or f"last week {entry.previous}"
    bursts = "".join(
        f"  BURST {burst.day} {burst.hour}:00 ({burst.counted:g} of {burst.weight:g} believed)"
        for burst in entry.made.bursts
    )
    return (
        f"{entry.rank:3}  {entry.code}  {song.title}  {song.sp}  {entry.score:g}  {last},"
        f" peak {entry.peak}, weeks {entry.weeks}{bursts}"
    )


@charts.command("explain")
@click.argument("code")
@click.option(
    "--owner", type=_OWNER, default=PROVINCE, help="Whose chart (default: the province's)."
)
@_day_option
@config_option
@json_option
def explain_song(
    code: str, owner: str, day: datetime | None, config: Path | None, as_json: bool
) -> None:
    """Say why the song CODE has its place: its votes, decay, ceilings, neighbours.

    Example: toneline charts explain 1029 --owner yangzhou
    """
    with reading(settings_of(config)) as database:
        if database.run_now(find_tone, code) is None:
            raise Refused(f"tone {code} is not in the catalogue")
        chart = _chart(database, owner, day)
        entry = entry_of(chart, code)
        above, below = (None, None) if entry is None else neighbours(chart, entry)
        named = (code, *(one.code for one in (above, below) if one is not None))
        songs = _songs(database, named)
    sentences = explain(chart, code, songs)
    if not as_json:
        click.echo("\n".join(sentences))
        return
    emit(
        {
            "owner": chart.owner,
            "day": chart.day,
            "code": code,
            "entry": entry and _entry(entry, songs),
            "above": above and _entry(above, songs),
            "below": below and _entry(below, songs),
            "sentences": sentences,
        }
    )


@charts.command("compute")
@config_option
@json_option
def compute(config: Path | None, as_json: bool) -> None:
    """Compute today's charts now, anew if they stand; bursts are logged as well.

    Example: toneline charts compute
    """
    settings = settings_of(config)
    at, timezone = now(), zone(settings)
    today = at.astimezone(timezone).date()
    with database_of(settings) as database:
        made = compute_now(database, today, at, timezone)
        bursts = database.run_now(domain.bursts_of, today)
    configure_logs(settings.log.level, settings.log.format, sys.stderr)
    for burst in bursts:
        structlog.get_logger().warning("chart_burst", **asdict(burst))
    if as_json:
        emit({"day": today, "charts": made, "bursts": bursts})
        return
    click.echo(f"{made} charts of {today} computed, {len(bursts)} bursts in them")


def compute_now(database: LocalDatabase, today: date, at: datetime, timezone: ZoneInfo) -> int:
    """Compute the charts of `today` anew, step by step, so that a running line is not kept."""
    database.run_now(domain.forget, today)
    step = database.run_now(domain.compute_step, at, timezone)
    made = step.charts
    while step.todo:
        step = database.run_now(domain.compute_step, at, timezone, step.todo)
        made += step.charts
    return made
