"""/healthz, /metrics (Prometheus)."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from twisted.web.resource import Resource
from twisted.web.server import Request

HealthWord = Callable[[], tuple[bool, str]]
"""Whether a service works, and a few words on how it stands."""

TURNAROUND_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)


class Turnaround:
    """How long Asterisk waited for our commands; a tenth of the cost of the library's histogram.

    It is counted with every command, while the caller's keys are lost.
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(TURNAROUND_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(TURNAROUND_BUCKETS_S, seconds)] += 1
        self._sum_s += seconds

    def metric(self) -> Metric:
        """Return what was counted, cumulatively as Prometheus wants it."""
        bounds = [*map(str, TURNAROUND_BUCKETS_S), "+Inf"]
        return HistogramMetricFamily(
            "toneline_agi_turnaround_seconds",
            "From Asterisk's reply to our next command",
            buckets=list(zip(bounds, map(float, accumulate(self._counts)), strict=True)),
            sum_value=self._sum_s,
        )


NO_LABELS: Mapping[str, str] = {}


@dataclass(slots=True)
class _Series:
    """What one name shows: a value for each set of labels."""

    what: str
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily]
    values: list[tuple[Mapping[str, str], Callable[[], float]]] = field(default_factory=list)

    def metric(self, name: str) -> Metric:
        metric = self.kind(name, self.what, labels=list(self.values[0][0]))
        for labels, read in self.values:
            metric.add_metric(list(labels.values()), read())
        return metric


class Figures(Collector):
    """The services' plain counters as Prometheus metrics; they are read when they are asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._series: dict[str, _Series] = {}
        self.turnaround = Turnaround()

    def gauge(
        self,
        name: str,
        what: str,
        read: Callable[[], float],
        labels: Mapping[str, str] = NO_LABELS,
    ) -> None:
        """Show a value that goes up and down; a name has the same labels each time."""
        self._series.setdefault(name, _Series(what, GaugeMetricFamily)).values.append(
            (labels, read)
        )

    def counter(
        self,
        name: str,
        what: str,
        read: Callable[[], float],
        labels: Mapping[str, str] = NO_LABELS,
    ) -> None:
        """Show a value that only grows; a name has the same labels each time."""
        self._series.setdefault(name, _Series(what, CounterMetricFamily)).values.append(
            (labels, read)
        )

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics as they stand."""
        for name, series in self._series.items():
            yield series.metric(name)
        yield self.turnaround.metric()


def health(services: Mapping[str, HealthWord]) -> tuple[bool, dict[str, object]]:
    """Return whether every service works, and the document that says so."""
    words = {name: word() for name, word in services.items()}
    well = all(works for works, _ in words.values())
    return well, {
        "status": "ok" if well else "failing",
        "services": {
            name: {"status": "ok" if works else "failing", "detail": detail}
            for name, (works, detail) in words.items()
        },
    }


class Console(Resource):
    """The HTTP root: GET /healthz and GET /metrics."""

    def __init__(self, services: Mapping[str, HealthWord], figures: Figures) -> None:
        super().__init__()
        pages: dict[bytes, Any] = {b"healthz": _Health(services), b"metrics": _Metrics(figures)}
        for path, page in pages.items():
            self.putChild(path, page)


class _Health(Resource):
    isLeaf = True

    def __init__(self, services: Mapping[str, HealthWord]) -> None:
        super().__init__()
        self._services = services

    def render_GET(self, request: Request) -> bytes:
        well, document = health(self._services)
        request.setResponseCode(200 if well else 503)
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        return json.dumps(document, ensure_ascii=False).encode() + b"\n"


class _Metrics(Resource):
    isLeaf = True

    def __init__(self, figures: Figures) -> None:
        super().__init__()
        self._figures = figures

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        return generate_latest(self._figures.registry)
