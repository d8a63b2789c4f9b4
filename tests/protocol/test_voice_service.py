from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.task import deferLater

from ivr.channel import CallerHungUp, Channel
from ivr.counts import turnarounds
from ivr.service import MAX_SPOKEN_REFUSALS, Refusal, VoiceService
from tests.fakes.asterisk import FakeAsterisk, environment
from tests.reactor import leftovers, reactor, run_in_reactor

Flow = Callable[[Channel], Awaitable[None]]


def local_endpoint(port: int = 0) -> Any:
    return TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")


@dataclass
class Line:
    """The voice server under test, and what its flows told."""

    service: VoiceService
    port: int
    told: list[str]


async def greet(channel: Channel) -> None:
    """A flow of three verbs, as the line's."""
    await channel.answer()
    await channel.play("/s/menu")
    await channel.wait_for_digit(3000)


async def say_busy(channel: Channel, reason: Refusal) -> None:
    await channel.play(f"/s/{reason}")


@asynccontextmanager
async def voice_line(
    take_call: Flow = greet,
    refuse_call: Callable[[Channel, Refusal], Awaitable[None]] = say_busy,
    **limits: Any,
) -> AsyncIterator[Line]:
    arguments: dict[str, Any] = {
        "allow": ["127.0.0.1"],
        "max_calls": 100,
        "max_call_s": 900,
        **limits,
    }
    service = VoiceService(local_endpoint(), take_call, refuse_call, reactor, **arguments)
    service.startService()
    try:
        yield Line(service, (await service.bound()).port, [])
    finally:
        await service.stopService()


async def settled() -> None:
    """Let the reactor turn until what has been closed is gone on both sides."""
    await deferLater(reactor, 0)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    run_in_reactor(settled)
    assert leftovers() == []


@pytest.fixture
def events() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def named(events: list[Any], name: str) -> list[Any]:
    return [event for event in events if event["event"] == name]


def test_a_call_is_taken_from_its_environment_to_its_end() -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            asterisk = await FakeAsterisk.dial(line.port)
            assert await asterisk.answer_with("200 result=0") == "ANSWER"
            assert line.service.calls_live == 1
            assert line.service.health() == (True, "1 of 100 calls")
            await asterisk.answer_with("200 result=49 endpos=8000")
            await asterisk.answer_with("200 result=0")
            await asterisk.closed()
            await settled()
            assert line.service.calls_live == 0
            assert line.service.counts.calls_total == 1
            assert line.service.counts.protocol_errors == 0
            counts, seconds = turnarounds([line.service.counts])
            assert sum(counts) == 3
            assert seconds > 0

    run_in_reactor(scenario)


def test_two_calls_at_once_do_not_meet() -> None:
    async def echo(channel: Channel) -> None:
        await channel.play(channel.environment["agi_extension"])

    async def scenario() -> None:
        async with voice_line(echo) as line:
            first = await FakeAsterisk.dial(line.port, "125300191029")
            second = await FakeAsterisk.dial(line.port, "125300191032")
            assert "125300191032" in await second.answer_with("200 result=0 endpos=0")
            assert "125300191029" in await first.answer_with("200 result=0 endpos=0")
            await first.closed()
            await second.closed()

    run_in_reactor(scenario)


def test_an_ended_call_is_freed_at_once_with_its_socket() -> None:
    calls: list[weakref.ref[Channel]] = []

    async def flow(channel: Channel) -> None:
        calls.append(weakref.ref(channel))
        await greet(channel)

    async def scenario() -> None:
        async with voice_line(flow) as line:
            for answer in ("200 result=0", "200 result=-1", "what?"):
                asterisk = await FakeAsterisk.dial(line.port)
                await asterisk.answer_with(answer)
                asterisk.close()
                await asterisk.closed()
            while line.service.calls_live:
                await settled()
            await settled()
            assert [call() for call in calls] == [None] * 3

    gc.disable()  # a call must not wait for the collector: its file descriptor would wait with it
    try:
        run_in_reactor(scenario)
    finally:
        gc.enable()


def test_an_environment_and_answers_in_single_bytes() -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            asterisk = await FakeAsterisk.connect(line.port)
            for byte in environment():
                asterisk.send(bytes([byte]))
                await settled()
            await asterisk.command()
            for byte in b"200 result=0\n":
                asterisk.send(bytes([byte]))
                await settled()
            assert (await asterisk.command()).startswith("STREAM FILE")

    run_in_reactor(scenario)


@pytest.mark.parametrize("answer", [b"200 result=-1\nHANGUP\n", b"HANGUP\n", b"511 dead\n"])
def test_a_hang_up_ends_the_flow_and_its_record_can_be_tagged(answer: bytes) -> None:
    told: list[str] = []

    async def flow(channel: Channel) -> None:
        try:
            await greet(channel)
        except CallerHungUp:
            told.append("hung up")
            raise
        finally:
            await channel.set_variable("CDR(userfield)", "free")

    async def scenario() -> None:
        async with voice_line(flow) as line:
            asterisk = await FakeAsterisk.dial(line.port)
            await asterisk.command()
            asterisk.send(answer)
            if answer == b"HANGUP\n":
                asterisk.send(b"511 dead\n")
            assert await asterisk.answer_with("200 result=1") == (
                'SET VARIABLE "CDR(userfield)" "free"'
            )
            asterisk.send(b"HANGUP\n")
            await asterisk.closed()

    run_in_reactor(scenario)
    assert told == ["hung up"]


def test_a_reset_is_a_hang_up_and_no_error(events: list[Any]) -> None:
    ended: Deferred[str] = Deferred()

    async def flow(channel: Channel) -> None:
        try:
            await greet(channel)
        except CallerHungUp as hang_up:
            ended.callback(str(hang_up))
            raise

    async def scenario() -> None:
        async with voice_line(flow) as line:
            asterisk = await FakeAsterisk.dial(line.port)
            await asterisk.command()
            asterisk.reset()
            assert await ended == "the connection is closed"
            await settled()
            assert line.service.calls_live == 0
            assert line.service.counts.protocol_errors == 0

    run_in_reactor(scenario)
    assert events == []


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "the first line is 'GET / HTTP/1.1"),
        (b"\x16\x03\x01\x00\xa5\x01\n", "NUL"),
        (b"agi_network: yes\n" * 2 + b"\n", "agi_network comes twice"),
        (b"agi_network: " + b"x" * 70_000, "over 65536 bytes"),
        (environment(calleridname="\0"), "NUL"),
    ],
)
def test_garbage_on_the_port_is_one_event_and_a_closed_connection(
    sent: bytes, reason: str, events: list[Any]
) -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            stranger = await FakeAsterisk.connect(line.port)
            stranger.send(sent)
            await stranger.closed()
            await settled()
            assert line.service.counts.protocol_errors == 1
            assert line.service.counts.calls_total == 0
            asterisk = await FakeAsterisk.dial(line.port)
            assert await asterisk.command() == "ANSWER"

    run_in_reactor(scenario)
    (event,) = named(events, "protocol_error")
    assert reason in event["reason"]
    assert event["peer"] == "127.0.0.1"


def test_garbage_in_mid_call_ends_that_call(events: list[Any]) -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            asterisk = await FakeAsterisk.dial(line.port)
            await asterisk.answer_with("what?")
            await asterisk.closed()
            await settled()
            assert line.service.counts.protocol_errors == 1
            assert line.service.calls_live == 0

    run_in_reactor(scenario)
    assert len(events) == 1


@pytest.mark.parametrize("sent", [b"", b"agi_network: yes\nagi_req"])
def test_a_silent_peer_is_closed_after_a_while(sent: bytes, events: list[Any]) -> None:
    async def scenario() -> None:
        async with voice_line(environment_s=0.05) as line:
            asterisk = await FakeAsterisk.connect(line.port)
            asterisk.send(sent)
            await asterisk.closed()
            await settled()
            assert line.service.counts.protocol_errors == 1

    run_in_reactor(scenario)
    assert [event["reason"] for event in events] == ["no whole environment within 0.05 s"]


def test_half_an_environment_is_one_event(events: list[Any]) -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            asterisk = await FakeAsterisk.connect(line.port)
            asterisk.send(environment()[:-40])
            asterisk.close()
            await asterisk.closed()
            while line.service.counts.protocol_errors == 0:
                await settled()

    run_in_reactor(scenario)
    assert "inside the environment" in events[0]["reason"]


def test_a_probe_that_connects_and_goes_is_no_event(events: list[Any]) -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            probe = await FakeAsterisk.connect(line.port)
            probe.close()
            await probe.closed()
            asterisk = await FakeAsterisk.dial(line.port)
            assert await asterisk.command() == "ANSWER"
            assert line.service.counts.protocol_errors == 0

    run_in_reactor(scenario)
    assert named(events, "protocol_error") == []


def test_only_allowed_addresses_may_connect(events: list[Any]) -> None:
    async def scenario() -> None:
        async with voice_line(allow=["127.0.0.2", "127.9.0.0/16", "::1"]) as line:
            for _ in range(3):
                stranger = await FakeAsterisk.connect(line.port, "127.0.0.1")
                await stranger.closed()
            for address in ("127.0.0.2", "127.9.8.7"):
                asterisk = await FakeAsterisk.connect(line.port, address)
                asterisk.send(environment())
                assert await asterisk.command() == "ANSWER"
            assert line.service.counts.strangers_refused == 3

    run_in_reactor(scenario)
    (event,) = named(events, "connection_refused")
    assert event["peer"] == "127.0.0.1"


def test_an_error_in_the_flow_hangs_up_that_call_and_the_line_goes_on(events: list[Any]) -> None:
    async def flow(channel: Channel) -> None:
        await channel.answer()
        raise KeyError(channel.environment["agi_extension"])

    async def scenario() -> None:
        async with voice_line(flow) as line:
            for _ in range(2):
                asterisk = await FakeAsterisk.dial(line.port, uniqueid="1763800000.7")
                await asterisk.answer_with("200 result=0")
                assert await asterisk.answer_with("200 result=1") == "HANGUP"
                await asterisk.closed()
            await settled()
            assert line.service.calls_live == 0
            assert line.service.counts.calls_failed == 2

    run_in_reactor(scenario)
    failed = named(events, "call_failed")
    assert [event["call"] for event in failed] == ["1763800000.7"] * 2
    assert all(event["exc_info"] for event in failed)


def test_over_the_limit_a_call_is_refused_in_words() -> None:
    async def scenario() -> None:
        async with voice_line(max_calls=1) as line:
            first = await FakeAsterisk.dial(line.port)
            await first.command()
            second = await FakeAsterisk.dial(line.port)
            assert "/s/busy" in await second.answer_with("200 result=0 endpos=8000")
            await second.closed()
            assert line.service.counts.calls_refused == 1
            assert line.service.calls_live == 1
            first.reset()
            await first.closed()
            while line.service.calls_live:
                await settled()
            third = await FakeAsterisk.dial(line.port)
            assert await third.command() == "ANSWER"

    run_in_reactor(scenario)


def test_calls_in_other_processes_of_the_same_port_take_places_too() -> None:
    elsewhere = [1]

    async def scenario() -> None:
        async with voice_line(max_calls=2, calls_elsewhere=lambda: elsewhere[0]) as line:
            first = await FakeAsterisk.dial(line.port)
            await first.command()
            second = await FakeAsterisk.dial(line.port)
            assert "/s/busy" in await second.answer_with("200 result=0 endpos=8000")
            await second.closed()
            elsewhere[0] = 0
            third = await FakeAsterisk.dial(line.port)
            assert await third.command() == "ANSWER"
            assert line.service.counts.calls_live == 2

    run_in_reactor(scenario)


def test_refusals_are_bounded_and_further_connections_are_closed_without_a_word() -> None:
    async def scenario() -> None:
        async with voice_line(max_calls=0) as line:
            spoken_to = [await FakeAsterisk.dial(line.port) for _ in range(MAX_SPOKEN_REFUSALS)]
            for asterisk in spoken_to:
                assert "STREAM FILE" in await asterisk.command()
            further = await FakeAsterisk.dial(line.port)
            await further.closed()
            assert further.unread == []
            assert line.service.counts.calls_refused == MAX_SPOKEN_REFUSALS + 1

    run_in_reactor(scenario)


def test_an_error_in_a_refusal_is_no_more_than_an_event(events: list[Any]) -> None:
    async def refuse(channel: Channel, reason: Refusal) -> None:
        raise ValueError(reason)

    async def scenario() -> None:
        async with voice_line(refuse_call=refuse, max_calls=0) as line:
            asterisk = await FakeAsterisk.dial(line.port)
            assert await asterisk.answer_with("200 result=1") == "HANGUP"
            await asterisk.closed()

    run_in_reactor(scenario)
    assert len(named(events, "call_failed")) == 1


def test_draining_lets_running_calls_end_and_refuses_new_ones_in_words() -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            running = await FakeAsterisk.dial(line.port)
            await running.answer_with("200 result=0")
            drained = Deferred.fromCoroutine(line.service.drain(60))
            assert line.service.health() == (False, "draining, 1 calls left")
            newcomer = await FakeAsterisk.dial(line.port)
            assert "/s/closing" in await newcomer.answer_with("200 result=0 endpos=8000")
            await newcomer.closed()
            await running.answer_with("200 result=0 endpos=8000")
            assert not drained.called
            await running.answer_with("200 result=0")
            await running.closed()
            assert await drained == 0

    run_in_reactor(scenario)


def test_draining_cuts_what_does_not_end_in_time() -> None:
    told: list[str] = []

    async def flow(channel: Channel) -> None:
        try:
            await greet(channel)
        except CallerHungUp:
            told.append("recorded")

    async def scenario() -> None:
        async with voice_line(flow) as line:
            calls = [await FakeAsterisk.dial(line.port) for _ in range(3)]
            for asterisk in calls:
                await asterisk.command()
            assert await line.service.drain(0.05) == 3
            for asterisk in calls:
                await asterisk.closed()

    run_in_reactor(scenario)
    assert told == ["recorded"] * 3


def test_draining_an_idle_line_ends_at_once() -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            assert await line.service.drain(60) == 0

    run_in_reactor(scenario)


def test_stopping_ends_a_drain_at_once() -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            asterisk = await FakeAsterisk.dial(line.port)
            await asterisk.command()
            drained = Deferred.fromCoroutine(line.service.drain(60))
            await line.service.stopService()
            assert await drained == 1
            await asterisk.closed()

    run_in_reactor(scenario)


def test_stopping_closes_calls_refusals_and_silent_peers_and_the_port() -> None:
    async def scenario() -> None:
        async with voice_line(max_calls=1) as line:
            call = await FakeAsterisk.dial(line.port)
            await call.command()
            refused = await FakeAsterisk.dial(line.port)
            await refused.command()
            silent = await FakeAsterisk.connect(line.port)
            half = await FakeAsterisk.connect(line.port)
            half.send(b"agi_network: yes\n")
            await settled()
            await line.service.stopService()
            for connection in (call, refused, silent, half):
                await connection.closed()
            assert line.service.health()[0] is False
            assert line.service.counts.protocol_errors == 0
            with pytest.raises(ConnectError):
                await FakeAsterisk.connect(line.port)

    run_in_reactor(scenario)


def test_a_port_that_is_taken_is_told() -> None:
    async def scenario() -> None:
        async with voice_line() as line:
            second = VoiceService(
                local_endpoint(line.port),
                greet,
                say_busy,
                reactor,
                allow=[],
                max_calls=1,
                max_call_s=1,
            )
            assert second.health() == (False, "not listening")
            with pytest.raises(RuntimeError, match="not listening"):
                await second.bound()
            second.startService()
            with pytest.raises(CannotListenError):
                await second.bound()
            await second.stopService()

    run_in_reactor(scenario)
