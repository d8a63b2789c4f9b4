"""The listener's time limits, by a clock that the test advances; the rest is in tests/protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from ivr.channel import CallTooLong, Channel
from ivr.service import CUT_S, GOODBYE_S, REFUSAL_S, STRANGERS_EVENT_S, Refusal, VoiceService
from tests.fakes.asterisk import MemoryCall


class MemoryPort:
    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 4573)

    def stopListening(self) -> None:
        pass


@dataclass
class MemoryEndpoint:
    """Connects in memory: :meth:`dial` is what Asterisk does."""

    factory: Any = None

    def listen(self, protocolFactory: Factory) -> Deferred[MemoryPort]:
        self.factory = protocolFactory
        return succeed(MemoryPort())

    def connect(self, peer: str = "10.0.0.1") -> MemoryCall | None:
        channel = self.factory.buildProtocol(IPv4Address("TCP", peer, 50000))
        return None if channel is None else MemoryCall(channel)

    def dial(self) -> MemoryCall:
        call = self.connect()
        assert call is not None
        call.start()
        return call


@dataclass
class Line:
    """The service under test on a clock of its own."""

    take_call: Callable[[Channel], Awaitable[None]]
    max_calls: int = 10
    allow: tuple[str, ...] = ("10.0.0.0/8",)
    clock: Clock = field(default_factory=Clock)
    endpoint: MemoryEndpoint = field(default_factory=MemoryEndpoint)

    def __post_init__(self) -> None:
        self.service = VoiceService(
            self.endpoint,  # type: ignore[arg-type]  # a port in memory
            self.take_call,
            self.refuse_call,
            self.clock,
            allow=self.allow,
            max_calls=self.max_calls,
            max_call_s=900,
        )
        self.service.startService()

    @staticmethod
    async def refuse_call(channel: Channel, reason: Refusal) -> None:
        await channel.play(f"/s/{reason}")

    def assert_nothing_left(self) -> None:
        assert self.clock.getDelayedCalls() == []
        assert self.service.calls_live == 0


async def listen_for_ever(channel: Channel) -> None:
    while True:
        await channel.play("/s/menu")


class TestLongestCall:
    def test_the_flow_may_say_goodbye_after_the_sound_that_is_playing(self) -> None:
        async def flow(channel: Channel) -> None:
            try:
                await listen_for_ever(channel)
            except CallTooLong:
                await channel.play("/s/goodbye")
                await channel.hang_up()

        line = Line(flow)
        call = line.endpoint.dial()
        with capture_logs() as events:
            line.clock.advance(900)
        assert [event["event"] for event in events] == ["call_too_long"]
        call.take()
        call.receive(b"200 result=0 endpos=240000\n")
        assert "/s/goodbye" in call.take()[0]
        call.receive(b"200 result=0 endpos=8000\n")
        assert call.take() == ["HANGUP"]
        call.receive(b"200 result=1\n")
        assert call.transport.is_closed
        assert line.service.counts.calls_cut == 0
        line.assert_nothing_left()

    def test_a_flow_that_does_not_say_goodbye_is_hung_up(self) -> None:
        line = Line(listen_for_ever)
        call = line.endpoint.dial()
        line.clock.advance(900)
        call.take()
        call.receive(b"200 result=0 endpos=240000\n")
        assert call.take() == ["HANGUP"]
        call.receive(b"200 result=1\n")
        assert line.service.counts.calls_failed == 0
        line.assert_nothing_left()

    def test_a_sound_that_does_not_end_is_cut(self) -> None:
        line = Line(listen_for_ever)
        call = line.endpoint.dial()
        line.clock.advance(900)
        line.clock.advance(GOODBYE_S)
        assert call.transport.is_closed
        assert line.service.counts.calls_cut == 1
        line.assert_nothing_left()

    def test_a_flow_that_waits_for_something_else_is_cancelled(self) -> None:
        told: list[str] = []

        async def flow(channel: Channel) -> None:
            try:
                await Deferred()  # a database that does not answer
            except CancelledError:
                told.append("cancelled")
                raise

        line = Line(flow)
        line.endpoint.dial()
        with capture_logs() as events:
            for limit_s in (900, GOODBYE_S, CUT_S):
                line.clock.advance(limit_s)
        assert told == ["cancelled"]
        assert [event["event"] for event in events] == [
            "call_too_long",
            "call_cut",
            "call_cancelled",
        ]
        line.assert_nothing_left()


class TestOtherLimits:
    def test_a_refusal_that_does_not_end_is_cut(self) -> None:
        line = Line(listen_for_ever, max_calls=0)
        call = line.endpoint.dial()
        assert "/s/busy" in call.take()[0]
        line.clock.advance(REFUSAL_S)
        assert call.transport.is_closed
        assert line.service.counts.calls_cut == 0
        line.assert_nothing_left()

    @pytest.mark.parametrize("so_far", [b"", b"agi_network: yes\n"])
    def test_an_environment_that_does_not_come_is_cut(self, so_far: bytes) -> None:
        line = Line(listen_for_ever)
        call = line.endpoint.connect()
        assert call is not None
        call.receive(so_far)
        with capture_logs() as events:
            line.clock.advance(5)
        assert [event["reason"] for event in events] == ["no whole environment within 5 s"]
        assert call.transport.is_closed
        line.assert_nothing_left()

    def test_a_flow_that_does_not_end_even_when_cancelled_does_not_hold_the_stop(self) -> None:
        async def flow(channel: Channel) -> None:
            try:
                await Deferred()
            except CancelledError:
                await Deferred()

        line = Line(flow)
        line.endpoint.dial()
        stopped: list[None] = []
        line.service.stopService().addCallback(stopped.append)
        line.clock.advance(CUT_S)
        assert stopped == []
        line.clock.advance(CUT_S)
        assert stopped == [None]
        assert line.clock.getDelayedCalls() == []

    def test_a_drain_then_a_stop_count_a_cut_once(self) -> None:
        async def flow(channel: Channel) -> None:
            await Deferred()

        line = Line(flow)
        line.endpoint.dial()
        drained: list[int] = []
        Deferred.fromCoroutine(line.service.drain(60)).addCallback(drained.append)
        line.clock.advance(60)
        stopped = line.service.stopService()
        line.clock.advance(CUT_S)
        assert drained == [1]
        assert stopped.called
        line.assert_nothing_left()


class TestStrangers:
    def test_one_event_an_address_and_minute(self) -> None:
        line = Line(listen_for_ever)
        with capture_logs() as events:
            for _ in range(3):
                assert line.endpoint.connect("192.0.2.1") is None
                assert line.endpoint.connect("192.0.2.2") is None
        assert [event["peer"] for event in events] == ["192.0.2.1", "192.0.2.2"]
        line.clock.advance(STRANGERS_EVENT_S)
        with capture_logs() as events:
            line.endpoint.connect("192.0.2.1")
        assert len(events) == 1
        assert line.service.counts.strangers_refused == 7

    def test_their_number_is_bounded(self) -> None:
        line = Line(listen_for_ever)
        with capture_logs() as events:
            for number in range(1001):
                line.endpoint.connect(f"192.0.{number // 256}.{number % 256}")
            line.endpoint.connect("192.0.0.0")
        assert len(events) == 1002

    @pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"])
    def test_networks_of_both_kinds_are_understood(self, peer: str) -> None:
        line = Line(listen_for_ever, allow=("10.0.0.0/8", "fd00::/8"))
        assert line.endpoint.connect(peer) is not None
        stopped = line.service.stopService()
        assert stopped.called

    @pytest.mark.parametrize("peer", ["/run/socket", "", "::1", "11.0.0.1"])
    def test_others_are_not(self, peer: str) -> None:
        assert Line(listen_for_ever).endpoint.connect(peer) is None
