"""Calls on a real port: environments, hang-ups, garbage, and who may connect."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from ivr.channel import CallerHungUp, Channel
from ivr.counts import turnarounds
from tests.fakes.asterisk import FakeAsterisk, environment
from tests.protocol.voice.house import (
    greet,
    named,
    settled,
    voice_line,
)
from tests.reactor import run_in_reactor


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
