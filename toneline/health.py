"""/healthz, /metrics (Prometheus)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class _Histogram:
    """How many observations there were up to each bound, and their sum."""

    name: str
    what: str
    bounds: Sequence[float]
    read: Callable[[], tuple[Sequence[int], float]]

    def metric(self) -> Metric:
        counts, total = self.read()
        bounds = [*map(str, self.bounds), "+Inf"]
        return HistogramMetricFamily(
            self.name,
            self.what,
            buckets=list(zip(bounds, map(float, accumulate(counts)), strict=True)),
            sum_value=total,
        )


class Figures(Collector):
    """The services' plain counters as Prometheus metrics; they are read when they are asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._series: dict[str, _Series] = {}
        self._histograms: list[_Histogram] = []

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

    def histogram(
        self,
        name: str,
        what: str,
        bounds: Sequence[float],
        read: Callable[[], tuple[Sequence[int], float]],
    ) -> None:
        """Show how observations spread: `read` gives a number a bucket and the sum of them all.

        There is one bucket more than `bounds`, for what is above the last.
        """
        self._histograms.append(_Histogram(name, what, bounds, read))

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics as they stand."""
        for name, series in self._series.items():
            yield series.metric(name)
        for histogram in self._histograms:
            yield histogram.metric()


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
