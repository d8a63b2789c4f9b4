"""No place on the line: limits, refusals, draining, stopping."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectError

from ivr.channel import CallerHungUp, Channel
from ivr.service import MAX_SPOKEN_REFUSALS, Refusal, VoiceService
from tests.fakes.asterisk import FakeAsterisk
from tests.protocol.voice.house import (
    greet,
    local_endpoint,
    named,
    say_busy,
    settled,
    voice_line,
)
from tests.reactor import reactor, run_in_reactor


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
