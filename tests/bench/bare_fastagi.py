"""The least a FastAGI server on Twisted can be: so many commands a call, nothing checked or stored.

    python -m tests.bench.bare_fastagi [COMMANDS]

The peer that the line's own figures stand beside. Seven commands, or more with further sounds.
Prints its port; ends when its input does.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from tests.bench.standard_input import stop_with_input

reactor: Any = _reactor

SEVEN_COMMANDS = [
    "ANSWER",
    'STREAM FILE "/s/menu" "0123456789*#" "0"',
    'GET VARIABLE "CHANNEL(language)"',
    'STREAM FILE "/s/1029" "0123456789*#" "0"',
    'WAIT FOR DIGIT "3000"',
    'STREAM FILE "/s/goodbye" "0123456789*#" "0"',
    'SET VARIABLE "CDR(userfield)" "free"',
]


def commands(count: int) -> list[str]:
    """The seven commands, the tone's among them as often as it takes to have ``count``."""
    return SEVEN_COMMANDS[:4] + SEVEN_COMMANDS[3:4] * (count - 7) + SEVEN_COMMANDS[4:]


class BareCall(LineOnlyReceiver):
    delimiter = b"\n"
    script = commands(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
    started = False
    reply: Deferred[bytes] | None = None

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.setTcpNoDelay(True)

    def lineReceived(self, line: bytes) -> None:
        if self.started:
            reply, self.reply = self.reply, None
            if reply is not None:
                reply.callback(line)
        elif not line:
            self.started = True
            Deferred.fromCoroutine(self.take_call())

    async def take_call(self) -> None:
        transport: Any = self.transport
        for command in self.script:
            self.reply = Deferred()
            transport.write(command.encode() + b"\n")
            await self.reply
        transport.loseConnection()


def main() -> None:
    port = reactor.listenTCP(0, Factory.forProtocol(BareCall), backlog=1024, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    stop_with_input(reactor)
    reactor.run()


if __name__ == "__main__":
    main()
