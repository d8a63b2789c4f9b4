"""The seven-command call on the line's own voice server, nothing stored: what its layers cost.

Prints its port; ends when its input does.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint

from ivr.channel import Channel
from ivr.service import Refusal, VoiceService
from tests.bench.standard_input import stop_with_input

reactor: Any = _reactor


async def take_call(channel: Channel) -> None:
    await channel.answer()
    await channel.play("/s/menu")
    await channel.get_variable("CHANNEL(language)")
    await channel.play("/s/1029")
    await channel.wait_for_digit(3000)
    await channel.play("/s/goodbye")
    await channel.set_variable("CDR(userfield)", "free")


async def refuse_call(channel: Channel, _reason: Refusal) -> None:
    await channel.hang_up()


async def serve() -> None:
    endpoint: Any = TCP4ServerEndpoint(reactor, 0, backlog=1024, interface="127.0.0.1")
    service = VoiceService(
        endpoint,
        take_call,
        refuse_call,
        reactor,
        allow=["127.0.0.1"],
        max_calls=100_000,
        max_call_s=900,
    )
    service.startService()
    print((await service.bound()).port, flush=True)


def main() -> None:
    Deferred.fromCoroutine(serve())
    stop_with_input(reactor)
    reactor.run()


if __name__ == "__main__":
    main()
