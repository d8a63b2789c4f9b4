"""structlog: JSON lines, one canonical event per call / MO / MT, numbers masked."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

_MOBILE = re.compile(r"(?<![0-9A-Za-z])(?:\+?86|0)?(1[3-9][0-9])[0-9]{4}([0-9]{4})(?![0-9A-Za-z])")
_MAYBE = re.compile("1[3-9][0-9]{9}")
"""What every such number holds, and what is found in a tenth of the time: hardly an event does."""
_JSON = json.JSONEncoder(ensure_ascii=False, default=repr)  # json.dumps would make one an event


def mask_numbers(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Mask every mobile number in an event's values: `138****1234`."""
    for key, value in event.items():
        event[key] = _masked(value)
    return event


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _MOBILE.sub(r"\1****\2", value)
    if isinstance(value, list | tuple):
        return [_masked(one) for one in value]
    if isinstance(value, dict):
        return {_masked(key): _masked(one) for key, one in value.items()}
    if value is None or isinstance(value, int | float):
        return value
    return _masked(repr(value))


NOTHING: Mapping[str, object] = {}


def render_json(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    """Return an event as JSON, masked; what JSON does not know is written as Python shows it."""
    line = _JSON.encode(event)
    return (
        line if _MAYBE.search(line) is None else _JSON.encode(mask_numbers(logger, method, event))
    )


def configure_logs(
    level: str, form: str, stream: TextIO = sys.stderr, always: Mapping[str, object] = NOTHING
) -> None:
    """Send structlog's, the standard library's and Twisted's events to `stream`.

    `level` is the least shown; `form` is json, or console for people. `always` is in every event.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]

    def add_always(
        _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event.update(always)
        return event

    shared: list[structlog.typing.Processor] = [
        add_always,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = render_json
    if form == "console":
        shared.append(mask_numbers)
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)
    observer: Any = TwistedEvents()
    globalLogPublisher.addObserver(observer)


@implementer(ILogObserver)
class TwistedEvents:
    """Passes Twisted's warnings and failures on; its chatter stays out."""

    def __call__(self, event: LogEvent) -> None:
        """Log one of Twisted's own events."""
        level = event.get("log_level", LogLevel.info)
        if level < LogLevel.warn:
            return
        failure = event.get("log_failure")
        said = {"detail": str(event.get("log_format") or event.get("format") or "")}
        if failure is not None:
            said["exception"] = failure.getTraceback()
        log = structlog.get_logger()
        (log.warning if level == LogLevel.warn else log.error)("twisted", **said)
