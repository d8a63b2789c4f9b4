"""What every command shares: settings, the database, output and refusals."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from catalog.drafts import instant as as_written
from catalog.values import NotAMobile, parse_msisdn
from config.load import BadSettings, load_settings
from config.settings import Settings
from store.database import LocalDatabase
from store.engine import StoreError, engine_for
from toneline.folders import Folders

DEFAULT_CONFIG = Path("config/toneline.toml")
Function = TypeVar("Function", bound=Callable[..., Any])

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help=f"The settings file (default: {DEFAULT_CONFIG}).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document, no more.")


class Refused(click.ClickException):
    """A command that cannot do what was asked: one sentence on standard error, status 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Print the sentence alone."""
        click.echo(self.format_message(), err=True, file=file)


def settings_of(config: Path | None) -> Settings:
    """Return the settings, or refuse with every error in them."""
    if config is None and DEFAULT_CONFIG.exists():
        config = DEFAULT_CONFIG
    try:
        return load_settings(config)
    except BadSettings as bad:
        raise Refused("\n".join(bad.errors)) from bad


@contextmanager
def database_of(settings: Settings) -> Iterator[LocalDatabase]:
    """Yield the database, migrated, or refuse."""
    from store.migrations import upgrade  # noqa: PLC0415  Alembic is slow to import

    folders = Folders.of(settings)
    folders.var.mkdir(parents=True, exist_ok=True)
    try:
        upgrade(folders.database_url)
        engine = engine_for(folders.database_url)
        try:
            yield LocalDatabase(engine)
        finally:
            engine.dispose()
    except StoreError as error:
        raise Refused(str(error)) from error


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def number(text: str) -> str:
    """Return a number given in any usual form, or refuse."""
    try:
        return parse_msisdn(text)
    except NotAMobile as error:
        raise Refused(str(error)) from error


def instant(text: str | None, timezone: ZoneInfo, default: datetime) -> datetime:
    """Return a time given on the command line, as branches' files or ISO 8601 have it.

    Without an offset it is local.
    """
    if text is None:
        return default
    try:
        at = _read(text, timezone)
        for zone in (UTC, timezone):
            at.astimezone(zone)  # the last hours of all years have no time elsewhere
    except (ValueError, OverflowError):
        raise Refused(f"{text!r} is not a time such as 2026-11-23T08:00") from None
    return at


def _read(text: str, timezone: ZoneInfo) -> datetime:
    with suppress(ValueError):
        return as_written(text, timezone)
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=timezone)


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: dataclasses as objects, times in ISO 8601 with offset."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(inner) for key, inner in asdict(value).items()}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def emit(document: Any) -> None:
    """Print one JSON document."""
    json.dump(plain(document), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
