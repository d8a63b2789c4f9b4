from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from toneline.app import END_S, App, Part


class Slow(Service):
    """A service whose end takes as long as the test wants."""

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.stopped


@pytest.fixture
def services() -> list[Slow]:
    return [Slow(), Slow()]


def ending(services: list[Slow], clock: Clock) -> Deferred[None]:
    names = ("first", "second")
    parts = [Part(name, one, lambda: (True, "")) for name, one in zip(names, services, strict=True)]
    for one in services:
        one.startService()
    return Deferred.fromCoroutine(App(tuple(parts), None, 0, clock).stop())


def test_a_service_that_hangs_is_not_waited_for_for_ever(services: list[Slow]) -> None:
    clock = Clock()
    with capture_logs() as logged:
        end = ending(services, clock)
        clock.advance(END_S)
        services[0].stopped.callback(None)
    assert end.called
    assert logged == [{"event": "not_waited_for", "service": "second", "log_level": "warning"}]


def test_a_second_signal_waits_for_no_service_any_more(services: list[Slow]) -> None:
    with capture_logs() as logged:
        end = ending(services, Clock())
        end.cancel()
        assert not services[0].running
    assert logged == [{"event": "not_waited_for", "service": "second", "log_level": "warning"}]
    services[0].stopped.callback(None)
    assert end.called


def test_a_service_that_fails_to_stop_does_not_keep_the_others(services: list[Slow]) -> None:
    with capture_logs() as logged:
        end = ending(services, Clock())
        services[1].stopped.errback(RuntimeError("stuck"))
        services[0].stopped.callback(None)
    assert end.called
    (event,) = logged
    assert (event["event"], event["service"]) == ("not_stopped", "second")
