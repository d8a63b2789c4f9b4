"""A voice server on a real port, with flows of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater

from ivr.channel import Channel
from ivr.service import Refusal, VoiceService
from tests.reactor import reactor

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


def named(events: list[Any], name: str) -> list[Any]:
    return [event for event in events if event["event"] == name]
