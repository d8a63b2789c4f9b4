"""`toneline directories holidays` and `toneline tones licences`: what the calendar brings."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import click

from catalog.licences import ending_and_placed
from catalog.preparation import preparations
from catalog.switching import OWNERS
from config.settings import zone
from toneline.command import config_option, emit, json_option, now, reading, settings_of

DAYS = click.option(
    "--days",
    type=click.IntRange(0, 3660),
    default=60,
    show_default=True,
    help="How far to look ahead.",
)


@click.command()
@DAYS
@config_option
@json_option
def holidays(days: int, config: Path | None, as_json: bool) -> None:
    """List the holidays to come, and who has published a holiday edition for each.

    Example: toneline directories holidays --days 90
    """
    settings = settings_of(config)
    with reading(settings) as database:
        found = database.run_now(preparations, now(), days, zone(settings))
    if as_json:
        emit(
            [
                {
                    "day": one.holiday.day,
                    "name": one.holiday.name,
                    "title": one.holiday.title,
                    "days_left": one.days_left,
                    "prepared": one.prepared,
                    "missing": one.missing,
                }
                for one in found
            ]
        )
        return
    for one in found:
        click.echo(
            f"{one.holiday.day}  {_in(one.days_left):12}  {one.holiday.title}  "
            f"{_prepared(one.prepared, one.missing)}"
        )


def _prepared(prepared: tuple[str, ...], missing: tuple[str, ...]) -> str:
    if not prepared:
        return "nobody has prepared"
    if not missing:
        return f"all {len(OWNERS)} have prepared"
    if len(missing) <= len(prepared):
        return f"not prepared: {', '.join(missing)}"
    return f"prepared: {', '.join(prepared)} alone"


def _in(days: int) -> str:
    return {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")


@click.command()
@DAYS
@config_option
@json_option
def licences(days: int, config: Path | None, as_json: bool) -> None:
    """List the tones whose licence ends, how long they are sold, and whose lists have them now.

    Example: toneline tones licences --days 30
    """
    settings = settings_of(config)
    with reading(settings) as database:
        found = database.run_now(ending_and_placed, now(), days, zone(settings))
    stop_days = settings.policy.stop_selling_days
    if as_json:
        emit(
            [
                {
                    "code": one.code,
                    "title": one.title,
                    "sp": one.sp,
                    "licence_until": one.licence_until,
                    "days_left": one.days_left,
                    "sold_until": _sold_until(one.licence_until, stop_days),
                    "directories": one.directories,
                }
                for one in found
            ]
        )
        return
    for one in found:
        heard = f"  in {', '.join(one.directories)}" if one.directories else ""
        sold = _sold_until(one.licence_until, stop_days)
        click.echo(
            f"{one.licence_until}  {_in(one.days_left):12}  {one.code}  {one.title}  {one.sp}  "
            f"sold until {sold}{heard}"
        )


def _sold_until(licence_until: date, stop_selling_days: int) -> date:
    return licence_until - timedelta(days=stop_selling_days)
