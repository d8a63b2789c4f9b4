"""The channel's verbs on a real Asterisk: what it answers is what the channel takes it for."""

from __future__ import annotations

import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint

from ivr.channel import CallerHungUp, Channel, CommandRefused, SoundMissing
from ivr.service import Refusal, VoiceService
from tests.reactor import reactor, run_in_reactor
from tests.system.asterisk import Asterisk
from tests.system.sip import Call

SONG = "tones/song"


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    path = folder / f"{SONG}.wav"
    path.parent.mkdir()
    noise = np.random.default_rng(1).normal(0, 4000, 5 * 8000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    return folder


Flow = Callable[[Channel, list[Any]], Awaitable[None]]


def take_one_call(
    sounds: Path, flow: Flow, caller: Callable[[Call], None] = lambda call: call.wait_until_ended()
) -> list[Any]:
    told: list[Any] = []
    ended: Deferred[None] = Deferred()

    async def take_call(channel: Channel) -> None:
        try:
            await flow(channel, told)
        except BaseException as error:
            told.append(error)
            raise
        finally:
            reactor.callLater(0, ended.callback, None)

    async def refuse_call(channel: Channel, _reason: Refusal) -> None:
        await channel.hang_up()

    endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    service = VoiceService(
        endpoint, take_call, refuse_call, reactor, allow=["127.0.0.1"], max_calls=5, max_call_s=60
    )

    async def start() -> int:
        service.startService()
        port: int = (await service.bound()).port
        return port

    async def stop() -> None:
        await ended
        await service.stopService()

    port = run_in_reactor(start)
    with Asterisk(agi=("127.0.0.1", port), sounds=sounds) as asterisk:
        with Call(asterisk, "12530019", caller="13905250001") as call:
            caller(call)
        run_in_reactor(stop)
    return told


def test_a_missing_sound_is_told_from_a_hang_up_and_the_call_goes_on(sounds: Path) -> None:
    async def flow(channel: Channel, told: list[Any]) -> None:
        await channel.answer()
        with pytest.raises(SoundMissing):
            await channel.play(str(sounds / 'no "such" \\ song'))
        played = await channel.play(str(sounds / SONG), from_ms=4000)
        told.append(played.end_ms)
        with pytest.raises(CommandRefused):
            await channel.execute("NoSuchApplication")
        value = 'a "b" \\ (c) 茉莉, ${EXTEN} '
        await channel.set_variable("ODD", value)
        told.append(await channel.get_variable("ODD") == value)
        told.append(await channel.get_variable("NEVER"))
        told.append(await channel.wait_for_digit(100))
        told.append(await channel.execute("Set", "A=1"))
        await channel.hang_up()
        told.append(channel.hung_up)

    end_ms, *told = take_one_call(sounds, flow)
    assert 4900 <= end_ms <= 5100
    assert told == [True, None, None, 0, True]


@pytest.mark.parametrize("after_s", [0, 0.02, 1])
def test_a_hang_up_in_a_sound_and_what_works_after_it(sounds: Path, after_s: float) -> None:
    async def flow(channel: Channel, told: list[Any]) -> None:
        await channel.answer()
        try:
            while True:
                await channel.play(str(sounds / SONG))
        finally:
            await channel.set_variable("CDR(userfield)", "free")
            told.append(await channel.get_variable("CDR(userfield)"))

    def caller(call: Call) -> None:
        call.wait_until_answered()
        call.wait(after_s)
        call.hang_up()
        call.wait_until_ended()

    value, error = take_one_call(sounds, flow, caller)
    assert value == "free"
    assert isinstance(error, CallerHungUp)


def test_a_hang_up_while_nothing_is_asked(sounds: Path) -> None:
    async def flow(channel: Channel, told: list[Any]) -> None:
        await channel.answer()
        asleep: Deferred[None] = Deferred()
        reactor.callLater(1.5, asleep.callback, None)
        await asleep
        told.append(channel.hung_up)
        await channel.play(str(sounds / SONG))

    def caller(call: Call) -> None:
        call.wait_until_answered()
        call.hang_up()
        call.wait_until_ended()

    known, error = take_one_call(sounds, flow, caller)
    assert known is True
    assert isinstance(error, CallerHungUp)


def test_early_media_then_a_caller_who_gives_up(sounds: Path) -> None:
    async def flow(channel: Channel, told: list[Any]) -> None:
        await channel.progress()
        try:
            await channel.play(str(sounds / SONG))
        finally:
            await channel.set_variable("CDR(userfield)", "free")
            told.append("tagged")

    def caller(call: Call) -> None:
        call.wait(1.0)
        call.hang_up()
        call.wait_until_ended()

    tagged, error = take_one_call(sounds, flow, caller)
    assert tagged == "tagged"
    assert isinstance(error, CallerHungUp)
