"""What every command shares: settings, the database, output and refusals."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from catalog.drafts import instant as as_written
from catalog.values import NotAMobile, parse_msisdn
from config.load import BadSettings, load_settings
from config.settings import Settings
from store.database import LocalDatabase
from store.engine import StoreError, engine_for, explained
from store.onlooker import onlooker_for
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
def reading(settings: Settings) -> Iterator[LocalDatabase]:
    """Yield the database to read alone, or refuse: nothing is created, migrated or written."""
    from store.migrations import require_head  # noqa: PLC0415  as below

    url = Folders.of(settings).database_url
    with _opened(lambda: onlooker_for(url)) as database:
        require_head(database.engine, url)
        yield database


@contextmanager
def database_of(settings: Settings) -> Iterator[LocalDatabase]:
    """Yield the database to change it, or refuse; if there is none it is created.

    One of another revision is refused: `toneline db upgrade` migrates, and the line's start.
    """
    from store.migrations import create  # noqa: PLC0415  SQLAlchemy's inspection is slow to import

    url = Folders.of(settings).database_url
    with _opened(lambda: _created(url, create)) as database:
        yield database


def _created(url: str, create: Callable[[str], None]) -> Engine:
    create(url)
    return engine_for(url)


@contextmanager
def _opened(open_: Callable[[], Engine]) -> Iterator[LocalDatabase]:
    try:
        with closing(LocalDatabase(open_())) as database:
            yield database
    except (StoreError, DBAPIError) as error:
        raise Refused(str(explained(error))) from error


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
