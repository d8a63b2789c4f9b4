"""The ESME service against the built-in SMSC, over real TCP."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from twisted.internet.defer import Deferred, DeferredQueue, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

from config.settings import Smsc as Settings
from smpp import pdu
from smpp.commands import (
    AlertNotification,
    Bind,
    BindResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    UnbindResp,
)
from smpp.esme import Backoff, EsmeService
from smpp.messages import MoMessage, MtMessage
from smpp.receipt import Receipt
from smpp.simulator import SimulatorService
from smpp.smsc import Faults
from tests.reactor import leftovers, reactor, run_in_reactor

NUMBER = "8613905250001"
LINE = "12530019"


def settings(port: int, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "name": "test", "host": "127.0.0.1", "port": port,
        "system_id": "toneline", "password": "secret", **changes,
    }  # fmt: skip
    return Settings(**values)


async def turn() -> None:
    """Let the reactor go round once."""
    again: Deferred[None] = Deferred()
    reactor.callLater(0, again.callback, None)
    await again


class Application:
    """Takes what an ESME service brings, and answers as told."""

    def __init__(self) -> None:
        self.mos: DeferredQueue[MoMessage] = DeferredQueue()
        self.receipts: DeferredQueue[Receipt] = DeferredQueue()
        self.ready: DeferredQueue[None] = DeferredQueue()
        self.answers: list[Deferred[int]] = []

    async def on_mo(self, message: MoMessage) -> int:
        answer = self.answers.pop(0) if self.answers else succeed(int(Status.ROK))
        self.mos.put(message)
        return await answer

    async def on_receipt(self, smsc: str, receipt: Receipt) -> int:
        self.receipts.put(receipt)
        return Status.ROK

    def on_ready(self) -> None:
        self.ready.put(None)

    async def bound_again(self) -> None:
        self.ready.pending.clear()
        await self.ready.get()


class Wire(Protocol):
    """A bare connection: PDUs one by one for a test that plays one side itself."""

    transport: Any

    def __init__(self) -> None:
        self.pdus: DeferredQueue[Pdu] = DeferredQueue()
        self.ended: Deferred[bytes] = Deferred()
        self._octets = b""
        self._rest = b""

    def dataReceived(self, data: bytes) -> None:
        self._octets += data
        found, self._rest, _ = pdu.cut(self._rest + data)
        for octets in found:
            self.pdus.put(pdu.decode(octets))

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(self._octets)

    def send(self, *values: Pdu) -> None:
        self.transport.write(b"".join(pdu.encode(value) for value in values))


class House:
    """A simulator and, if asked for, an ESME service bound to it."""

    def __init__(self, **simulator: Any) -> None:
        self.application = Application()
        self._simulator_values = simulator
        self.esme: EsmeService | None = None

    async def open(self, bind: bool = True, **changes: Any) -> None:
        values = {"receipt_delay_s": 0.0, "retry_s": 0.01, **self._simulator_values}
        self.simulator = SimulatorService(
            TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
            TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
            reactor,
            system_id="toneline",
            password="secret",
            clock=lambda: datetime.now(UTC),
            **values,
        )
        self.simulator.startService()
        smpp, http = await self.simulator.bound()
        self.smpp_port, self.http_port = smpp.port, http.port
        if bind:
            self.start_esme(**changes)
            await self.application.ready.get()

    def start_esme(self, **changes: Any) -> EsmeService:
        application = self.application
        self.esme = EsmeService(
            TCP4ClientEndpoint(reactor, "127.0.0.1", self.smpp_port),
            settings(self.smpp_port, **changes),
            reactor,
            application.on_mo,
            application.on_receipt,
            application.on_ready,
            zone=UTC,
            clock=lambda: datetime.now(UTC),
            jitter=lambda: 0.0,
            backoff=Backoff(0.01, 0.02),
        )
        self.esme.startService()
        return self.esme

    def cut_connections(self) -> None:
        for connection in list(self.simulator._connections):
            connection.transport.abortConnection()

    async def close(self) -> None:
        if self.esme is not None:
            await self.esme.stopService()
        await self.simulator.stopService()

    async def http(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += f"Content-Length: {0 if body is None else len(octets)}\r\n\r\n"
        answer = await self.talk(self.http_port, head.encode() + (b"" if body is None else octets))
        status, _, rest = answer.partition(b"\r\n")
        return int(status.split()[1]), json.loads(rest.partition(b"\r\n\r\n")[2])

    async def talk(self, port: int, octets: bytes) -> bytes:
        """Send octets and return all that comes until the other side closes."""
        wire = await self.connect(port)
        wire.transport.write(octets)
        return await wire.ended

    async def connect(self, port: int) -> Wire:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        wire: Wire = await endpoint.connect(Factory.forProtocol(Wire))  # type: ignore[arg-type]  # zope
        return wire

    async def mo(self, text: str, **more: Any) -> tuple[int, Any]:
        return await self.http(
            "POST", "/mo?wait=1", {"from": "13905250001", "to": LINE, "text": text, **more}
        )

    async def mts(self, **query: Any) -> list[Any]:
        found: list[Any] = (await self.http("GET", f"/mt?{urlencode(query)}"))[1]
        return found


def with_house(
    test: Callable[[House], Coroutine[Any, Any, None]], bind: bool = True, **values: Any
) -> None:
    changes = values.pop("settings", {})

    async def run() -> None:
        house = House(**values)
        await house.open(bind, **changes)
        try:
            await test(house)
        finally:
            await house.close()

    run_in_reactor(run)


def mt(text: str, **more: Any) -> MtMessage:
    return MtMessage(LINE, NUMBER, text, 7, **more)


def test_a_message_goes_out_and_its_receipt_comes_back() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        result = await house.esme.submit(mt("订购成功", validity=timedelta(hours=6)))
        assert result.accepted
        receipt = await house.application.receipts.get()
        assert receipt.state == "DELIVRD"
        assert [receipt.message_id] == [part.message_id for part in result.parts]
        (kept,) = await house.mts(to="+86 139-0525-0001")
        assert (kept["n"], kept["text"], kept["parts"]) == (1, "订购成功", 1)
        assert (kept["source"], kept["destination"]) == (LINE, NUMBER)
        assert kept["validity"] == "000000060000000R"
        assert datetime.fromisoformat(kept["at"]).tzinfo is not None

    with_house(test)


@pytest.mark.parametrize(
    ("number_format", "wire"),
    [("e164", "8613905250001"), ("plus", "+8613905250001"), ("national", "13905250001")],
)
def test_numbers_are_written_as_the_smsc_wants_them(number_format: str, wire: str) -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        await house.esme.submit(mt("Y"))
        assert [kept["destination"] for kept in await house.mts(to=NUMBER)] == [wire]

    with_house(test, settings={"number_format": number_format})


def test_a_long_message_goes_through_a_window_of_one_and_is_joined() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        words = "尊敬的用户😀" * 30
        result = await house.esme.submit(mt(words, receipt=False))
        assert [part.outcome for part in result.parts] == ["accepted"] * 4
        (kept,) = await house.mts(to=NUMBER)
        assert (kept["text"], kept["parts"]) == (words, 4)
        assert kept["message_ids"] == [part.message_id for part in result.parts]

    with_house(test, settings={"window": 1})


def test_only_the_parts_asked_for_are_sent_again() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        result = await house.esme.submit(mt("订" * 100, only=[2], receipt=False))
        assert [(part.number, part.outcome) for part in result.parts] == [(2, "accepted")]
        await house.esme.submit(mt("订" * 100, only=[1], receipt=False))
        assert [kept["text"] for kept in await house.mts()] == ["订" * 100]

    with_house(test)


def test_what_cannot_be_sent_is_refused_with_its_reason() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        odd = await house.esme.submit(MtMessage(LINE, "1" * 30, "Y", 1))
        assert "destination_addr" in odd.parts[0].why
        long = await house.esme.submit(mt("订" * 20_000))
        assert (long.parts[0].outcome, long.parts[0].status) == ("refused", Status.RINVMSGLEN)
        nobody = await house.esme.submit(MtMessage(LINE, "", "Y", 1))
        assert (nobody.parts[0].outcome, nobody.parts[0].why) == ("refused", "RINVDSTADR")
        assert not nobody.accepted

    with_house(test)


def test_a_message_comes_in_and_is_answered_after_the_commit() -> None:
    async def test(house: House) -> None:
        commit: Deferred[int] = Deferred()
        house.application.answers = [commit]
        answered = Deferred.fromCoroutine(house.mo("订购1029"))
        message = await house.application.mos.get()
        assert (message.text, message.source, message.destination) == (
            "订购1029", "13905250001", LINE,
        )  # fmt: skip
        assert message.smsc == "test"
        assert message.received_at.tzinfo is not None
        assert not answered.called
        commit.callback(Status.ROK)
        code, body = await answered
        assert (code, body["status"], body["parts"]) == (200, 0, 1)

    with_house(test)


@pytest.mark.parametrize("way", ["udh8", "udh16", "sar", "payload"])
def test_a_long_message_comes_in_whole(way: str) -> None:
    async def test(house: House) -> None:
        words = "查询茉莉花😀" * 20
        _, body = await house.mo(words, long_messages=way)
        message = await house.application.mos.get()
        assert (message.text, message.missing) == (words, 0)
        assert message.raw == words.encode("utf-16-be")
        assert body["status"] == 0
        assert house.application.mos.pending == []

    with_house(test)


@pytest.mark.parametrize(("coding", "words"), [(0, "Y1029€"), (3, "é"), (8, "是"), (15, "订购")])
def test_each_coding_of_a_phone_is_read(coding: int, words: str) -> None:
    async def test(house: House) -> None:
        await house.mo(words, data_coding=coding)
        message = await house.application.mos.get()
        assert (message.text, message.data_coding) == (words, coding)

    with_house(test)


@pytest.mark.parametrize("words", ["Y", "订" * 100])
def test_a_message_that_was_not_stored_comes_again_whole(words: str) -> None:
    async def test(house: House) -> None:
        house.application.answers = [fail(RuntimeError("store is down")), succeed(Status.RSYSERR)]
        _, body = await house.mo(words)
        assert body["status"] == 0
        assert [(await house.application.mos.get()).text for _ in range(3)] == [words] * 3

    with_house(test)


def test_a_message_refused_for_good_is_not_sent_again() -> None:
    async def test(house: House) -> None:
        house.application.answers = [succeed(Status.RX_P_APPN)]
        _, body = await house.mo("Y")
        assert (body["status"], body["status_name"]) == (Status.RX_P_APPN, "RX_P_APPN")

    with_house(test)


def test_messages_wait_for_the_bind() -> None:
    async def test(house: House) -> None:
        code, body = await house.http("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "CX"})
        assert (code, sorted(body)) == (202, ["mo_id", "parts"])
        house.start_esme()
        assert (await house.application.mos.get()).text == "CX"

    with_house(test, bind=False)


def test_an_unanswered_message_comes_again_over_the_next_connection() -> None:
    async def test(house: House) -> None:
        never: Deferred[int] = Deferred()
        house.application.answers = [never]
        answered = Deferred.fromCoroutine(house.mo("Y"))
        await house.application.mos.get()
        house.cut_connections()
        await house.application.mos.get()
        assert (await answered)[1]["status"] == 0
        never.callback(Status.ROK)

    with_house(test)


def test_a_dropped_connection_is_made_again_and_tells_what_became_of_messages() -> None:
    async def test(house: House) -> None:
        esme = house.esme
        assert esme is not None
        results = [await esme.submit(mt(f"{n}", receipt=False)) for n in range(2)]
        dropped = [esme.submit(mt("订" * 100, receipt=False)), esme.submit(mt("4"))]
        outcomes = [part.outcome for waiting in dropped for part in (await waiting).parts]
        assert [result.accepted for result in results] == [True, True]
        assert sorted(outcomes) == ["lost", "lost", "lost"]
        assert (await esme.submit(mt("x"))).parts[0].outcome == "not_sent"
        await house.application.bound_again()
        assert (await esme.submit(mt("5"))).accepted
        assert esme.counters.binds == 2
        assert esme.counters.lost == 3

    with_house(test, faults=Faults(drop_every=3))


def test_what_waits_for_the_window_when_the_connection_ends_was_surely_not_sent() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        waiting = [house.esme.submit(mt("订" * 100)), house.esme.submit(mt("Y"))]
        outcomes = [part.outcome for result in waiting for part in (await result).parts]
        assert outcomes == ["lost", "not_sent", "not_sent"]

    with_house(test, faults=Faults(drop_every=1), settings={"window": 1})


def test_a_throttling_smsc_is_given_a_pause() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        assert (await house.esme.submit(mt("1"))).accepted
        (part,) = (await house.esme.submit(mt("2"))).parts
        assert part.throttled
        assert house.esme.free() == 0

    with_house(test, faults=Faults(throttle_every=2))


def test_too_many_messages_without_a_bind_are_refused() -> None:
    async def test(house: House) -> None:
        house.simulator.smsc.kept = 1
        asked = {"from": NUMBER, "to": LINE, "text": "CX"}
        codes = [(await house.http("POST", "/mo", asked))[0] for _ in range(2)]
        assert codes == [202, 503]

    with_house(test, bind=False)


def test_a_service_that_stops_lets_what_is_under_way_finish_and_unbinds() -> None:
    async def test(house: House) -> None:
        esme = house.esme
        assert esme is not None
        commit: Deferred[int] = Deferred()
        house.application.answers = [commit]
        answered = Deferred.fromCoroutine(house.mo("Y"))
        await house.application.mos.get()
        submitted = esme.submit(mt("1"))
        stopped = esme.stopService()
        assert esme.free() == 0
        assert (await esme.submit(mt("2"))).parts[0].outcome == "not_sent"
        assert (await submitted).accepted
        commit.callback(Status.ROK)
        await stopped
        assert (await answered)[1]["status"] == 0
        assert esme.health() == (False, "stopped")
        assert (await house.http("GET", "/state"))[1]["binds"] == []

    with_house(test)


@pytest.mark.parametrize(
    ("wrong", "status"), [({"password": "x"}, "RINVPASWD"), ({"system_id": "x"}, "RINVSYSID")]
)
def test_a_refused_bind_is_told_and_tried_again(wrong: dict[str, str], status: str) -> None:
    async def test(house: House) -> None:
        esme = house.start_esme(**wrong)
        while house.simulator.smsc.counts["binds_refused"] < 2:
            await turn()
        while "bind refused" not in esme.health()[1]:
            await turn()
        assert esme.health() == (False, f"bind refused: {status}")

    with_house(test, bind=False)


def test_an_smsc_that_is_away_is_waited_for() -> None:
    async def run() -> None:
        house = House()
        await house.open(bind=False)
        await house.simulator.stopService()
        esme = house.start_esme()
        try:
            while "cannot connect" not in esme.health()[1]:
                await turn()
            assert (await esme.submit(mt("1"))).parts[0].outcome == "not_sent"
        finally:
            await esme.stopService()

    run_in_reactor(run)


# ---- a peer that misbehaves


def test_an_esme_survives_garbage_from_its_smsc() -> None:
    async def run() -> None:
        house = House()
        peers: DeferredQueue[Wire] = DeferredQueue()

        def build() -> Wire:
            wire = Wire()
            peers.put(wire)
            return wire

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(Factory.forProtocol(build))
        house.smpp_port = port.getHost().port
        esme = house.start_esme()
        try:
            first = await peers.get()
            bind = await first.pdus.get()
            assert isinstance(bind, Bind)
            assert (bind.system_id, bind.password, bind.mode) == (
                "toneline", "secret", "transceiver",
            )  # fmt: skip
            first.send(BindResp(bind.sequence))
            first.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            answer = await first.pdus.get()
            assert isinstance(answer, GenericNack)
            await first.ended
            second = await peers.get()
            bind = await second.pdus.get()
            second.send(BindResp(bind.sequence), EnquireLink(5))
            assert await second.pdus.get() == EnquireLinkResp(5)
            assert esme.counters.malformed == 1
            second.send(Unbind(6))
            assert await second.pdus.get() == UnbindResp(6)
            await second.ended
            third = await peers.get()
            await third.pdus.get()
            third.transport.abortConnection()
        finally:
            await esme.stopService()
            await port.stopListening()

    run_in_reactor(run)


def test_the_simulator_survives_garbage_from_an_esme() -> None:
    async def test(house: House) -> None:
        answer = await house.talk(house.smpp_port, b"GET / HTTP/1.1\r\nHost: smsc\r\n\r\n")
        assert isinstance(pdu.decode(answer), GenericNack)
        wire = await house.connect(house.smpp_port)
        wire.send(
            SubmitSm(1, LINE, NUMBER, b"Y"), EnquireLink(2), Bind(3, "toneline", "secret"),
            Bind(4, "toneline", "secret"), SubmitSm(5, LINE, "", b"Y"),
            DataSm(6, LINE, NUMBER, tlvs=((Tag.MESSAGE_PAYLOAD, b"Y"),)),
        )  # fmt: skip
        wire.transport.write(bytes.fromhex("00000010 00000021 00000000 00000007"))
        wire.send(DeliverSm(8, NUMBER, LINE), AlertNotification(9, "1", "2"), Unbind(10))
        tlvs = ((Tag.SC_INTERFACE_VERSION, b"\x34"),)
        answers = [await wire.pdus.get() for _ in range(9)]
        accepted = answers.pop(5)
        assert answers == [
            SubmitSmResp(1, Status.RINVBNDSTS), EnquireLinkResp(2),
            BindResp(3, 0, "simulator", tlvs=tlvs), BindResp(4, Status.RALYBND, "simulator"),
            SubmitSmResp(5, Status.RINVDSTADR), GenericNack(7, Status.RINVCMDID),
            DeliverSmResp(8, Status.RINVCMDID), UnbindResp(10),
        ]  # fmt: skip
        assert isinstance(accepted, DataSmResp)
        assert (accepted.status, bool(accepted.message_id)) == (Status.ROK, True)
        await wire.ended
        assert (await house.http("GET", "/state"))[1]["counts"]["malformed"] == 2

    with_house(test, bind=False)


def test_transmitters_get_nothing_and_receivers_take_turns() -> None:
    async def test(house: House) -> None:
        wires = [await house.connect(house.smpp_port) for _ in range(3)]
        receiver = Bind(1, "toneline", "secret", "receiver")
        binds = (Bind(1, "toneline", "secret", "transmitter"), receiver, receiver)
        for wire, bind in zip(wires, binds, strict=True):
            wire.send(bind)
            await wire.pdus.get()
        wires[1].send(SubmitSm(2, LINE, NUMBER))
        assert await wires[1].pdus.get() == SubmitSmResp(2, Status.RINVBNDSTS)
        for words in ("1", "2"):
            await house.http("POST", "/mo", {"from": NUMBER, "to": LINE, "text": words})
        messages = [await wire.pdus.get() for wire in wires[1:]]
        assert [getattr(message, "short_message", None) for message in messages] == [b"1", b"2"]
        assert wires[0].pdus.pending == []
        modes = [bind["mode"] for bind in (await house.http("GET", "/state"))[1]["binds"]]
        assert sorted(modes) == ["receiver", "receiver", "transmitter"]

    with_house(test, bind=False)


# ---- the HTTP port


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "why"),
    [
        ("POST", "/mo", b"{", 400, "no JSON"),
        ("POST", "/mo", b"\xff", 400, "no JSON"),
        ("POST", "/mo", [], 400, "object"),
        ("POST", "/mo", {"to": LINE, "text": "Y"}, 400, '"from"'),
        ("POST", "/mo", {"from": NUMBER, "to": "1" * 21, "text": "Y"}, 400, '"to"'),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": 1}, 400, '"text"'),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "Y", "data_coding": 99}, 400, "15"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "订", "data_coding": 0}, 400, "form"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "订", "data_coding": 3}, 400, "form"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "a" * 40_000}, 400, "255"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "Y", "long_messages": 1}, 400, "udh8"),
        ("POST", "/mo", b"x" * 70_000, 413, "65536"),
        ("GET", "/mo", None, 405, "method"),
        ("GET", "/", None, 404, "GET /mt"),
        ("GET", "/mt?since=x", None, 400, "since"),
        ("GET", "/mt?wait=-1", None, 400, "wait"),
    ],
)
def test_a_wrong_request_is_answered_with_a_sentence(
    method: str, path: str, body: Any, code: int, why: str
) -> None:
    async def test(house: House) -> None:
        answered, error = await house.http(method, path, body)
        assert answered == code
        assert why in error["error"]

    with_house(test, bind=False)


def test_no_http_is_answered_as_such() -> None:
    async def test(house: House) -> None:
        answer = await house.talk(house.http_port, pdu.encode(EnquireLink(1)) + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400")

    with_house(test, bind=False)


def test_a_reader_waits_for_the_next_message_to_its_number() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        await house.esme.submit(mt("1"))
        waiting = Deferred.fromCoroutine(house.mts(to="13905250001", since=1, wait=30))
        await house.esme.submit(MtMessage(LINE, "8613905250002", "2", 1))
        await house.esme.submit(mt("3"))
        assert [(kept["n"], kept["text"]) for kept in await waiting] == [(3, "3")]
        assert [kept["n"] for kept in await house.mts(since=1)] == [2, 3]
        assert (await house.http("GET", "/state"))[1]["last"] == 3

    with_house(test)


def test_a_reader_that_waits_in_vain_gets_an_empty_list() -> None:
    async def test(house: House) -> None:
        assert await house.mts(to=NUMBER, wait="0.01") == []

    with_house(test, bind=False)


def test_a_reader_that_leaves_is_forgotten() -> None:
    async def test(house: House) -> None:
        wire = await house.connect(house.http_port)
        wire.transport.write(b"GET /mt?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n")
        while not house.simulator.smsc._watchers:
            await turn()
        wire.transport.abortConnection()
        while house.simulator.smsc._watchers:
            await turn()

    with_house(test, bind=False)


def test_nothing_is_left_behind() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        await house.esme.submit(mt("1"))
        await house.mo("订" * 100)

    before = leftovers()
    with_house(test)
    with_house(test)
    assert len(leftovers()) <= len(before)
