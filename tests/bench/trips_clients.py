"""One SMPP client: `python -m tests.bench.trips_clients NAME PORT KIND WINDOW`, until cut off.

KIND `trips`: every message in is answered by a question; `submits`: the question is sent WINDOW at
a time. All send the same PDUs and store nothing; all have TCP_NODELAY, without which most would
wait 40 ms for each other's acknowledgements. The bind's system_type is the process's id.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

HOST, SHORT_CODE = "127.0.0.1", "12530019"
SUBSCRIBER = "8613905250001"
QUESTION = "《茉莉花》2元/月,会员1元。回Y1029订购"
ACCOUNT: Any = {"system_id": "bench", "password": "bench", "system_type": str(os.getpid())}
ENQUIRE_LINK_S = 30


def session(port: int, kind: str, window: int) -> None:
    """`smpp.session` and its codec on Twisted's transport."""
    import time

    from twisted.internet import reactor as _reactor
    from twisted.internet.endpoints import HostnameEndpoint
    from twisted.internet.protocol import Factory

    from smpp.commands import Bind, Status, SubmitSm
    from smpp.connection import EsmeProtocol
    from smpp.events import Bound, Event, MoReceived, Submitted
    from smpp.session import Limits, Session

    reactor: Any = _reactor

    def submit(connection: EsmeProtocol, to: str) -> None:
        message = SubmitSm(
            0, SHORT_CODE, to, QUESTION.encode("utf-16-be"), 8, 0, 1, "", 0, 1, 1, 1
        )  # from `data_coding` to `dest_addr_npi`
        connection.session.submit(message, time.monotonic())

    def happened(connection: EsmeProtocol, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, MoReceived):
                connection.answer(event.sequence, Status.ROK)
                submit(connection, event.message.source_addr)
            elif kind == "submits" and isinstance(event, Submitted):
                submit(connection, SUBSCRIBER)
            elif kind == "submits" and isinstance(event, Bound):
                for _ in range(window):
                    submit(connection, SUBSCRIBER)

    def connect() -> EsmeProtocol:
        connection = EsmeProtocol(
            Session(Limits(window, ENQUIRE_LINK_S), "text"),
            Bind(0, **ACCOUNT),
            reactor,
            time.monotonic,
            lambda events: happened(connection, events),
        )
        return connection

    factory: Any = Factory.forProtocol(connect)
    HostnameEndpoint(reactor, HOST, port).connect(factory)
    reactor.run()


def service(port: int, kind: str, window: int) -> None:
    """`smpp.esme`: whole messages in and out, with rate, queue and counters."""
    from twisted.internet import reactor as _reactor
    from twisted.internet.endpoints import HostnameEndpoint

    from config.settings import Smsc
    from smpp.commands import Status
    from smpp.esme import EsmeService
    from smpp.messages import MoMessage, MtMessage, SubmitResult
    from smpp.receipt import Receipt

    reactor: Any = _reactor

    async def take(message: MoMessage) -> int:
        esme.submit(MtMessage(SHORT_CODE, message.source, QUESTION, 0))
        return Status.ROK

    async def take_receipt(_smsc: str, _receipt: Receipt) -> int:
        return Status.ROK

    def submit() -> None:
        esme.submit(MtMessage(SHORT_CODE, SUBSCRIBER, QUESTION, 0)).addCallback(submitted)

    def submitted(result: SubmitResult) -> None:
        if result.accepted:
            submit()

    def fill() -> None:
        while kind == "submits" and esme.free() > 0:
            submit()

    settings = Smsc.model_validate(
        {"name": "bench", "host": HOST, "port": port, "window": window, **ACCOUNT}
    )
    esme = EsmeService(
        HostnameEndpoint(reactor, HOST, port),
        settings,
        reactor,
        take,
        take_receipt,
        fill,
        clock=lambda: datetime.now(UTC),
    )
    esme.startService()
    reactor.callWhenRunning(fill)
    reactor.run()


def smpplib(port: int, kind: str, window: int) -> None:
    """smpplib's own blocking client."""
    import smpplib.client

    logging.disable()
    client = smpplib.client.Client(HOST, port, timeout=60, allow_unknown_opt_params=True)

    def submit(to: str) -> None:
        client.send_message(
            source_addr=SHORT_CODE, source_addr_ton=0, source_addr_npi=1,
            destination_addr=to, dest_addr_ton=1, dest_addr_npi=1,
            short_message=QUESTION.encode("utf-16-be"), data_coding=8, registered_delivery=1,
        )  # fmt: skip

    def sent(**_: Any) -> None:
        if kind == "submits":
            submit(SUBSCRIBER)

    client.set_message_received_handler(lambda pdu: submit(pdu.source_addr.decode()))
    client.set_message_sent_handler(sent)
    client.connect()
    client._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # no other way
    client.bind_transceiver(**ACCOUNT)
    for _ in range(window if kind == "submits" else 0):
        submit(SUBSCRIBER)
    client.listen()


def aiosmpplib(port: int, kind: str, window: int) -> None:
    """aiosmpplib with its own broker and correlator, which keep everything in memory."""
    import asyncio

    # By name: it is installed where this is run, not where types are checked.
    library: Any = import_module("aiosmpplib")
    state: Any = import_module("aiosmpplib.state")
    p: Any = import_module("aiosmpplib.protocol")
    line = state.PhoneNumber(SHORT_CODE, state.TON.UNKNOWN, state.NPI.ISDN)
    somebody = state.PhoneNumber(SUBSCRIBER, state.TON.INTERNATIONAL, state.NPI.ISDN)

    async def submit(to: Any) -> None:
        message = p.SubmitSm(
            0, short_message=QUESTION, source=line, destination=to, encoding="ucs2"
        )
        await esme.broker.enqueue(message)

    class Hook(library.hook.AbstractHook):  # type: ignore[misc]
        """What the library calls for each PDU: it asks for a class."""

        async def sending(self, *_: Any) -> None:
            """Not of interest."""

        async def received(self, message: Any, _octets: bytes, _client: str) -> None:
            """Answer, or send the next."""
            if isinstance(message, p.DeliverSm):
                await submit(message.source)
            elif kind == "submits" and isinstance(message, p.SubmitSmResp):
                await submit(somebody)

        async def send_error(self, _message: Any, error: Exception, _client: str) -> None:
            """Not expected."""
            raise error

    async def run() -> None:
        for _ in range(window if kind == "submits" else 0):
            await submit(somebody)
        await esme.start()

    esme = library.ESME(HOST, port, hook=Hook(), log_level=logging.CRITICAL, **ACCOUNT)
    asyncio.run(run())


CLIENTS: dict[str, Callable[[int, str, int], None]] = {
    "session": session,
    "service": service,
    "smpplib": smpplib,
    "aiosmpplib": aiosmpplib,
}


if __name__ == "__main__":
    CLIENTS[sys.argv[1]](int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
