"""The built-in SMSC's two ports, over real TCP."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

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
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    UnbindResp,
)
from smpp.messages import MtMessage
from tests.protocol.smsc_house import (
    LINE,
    NUMBER,
    House,
    mt,
    turn,
    with_house,
)


def test_messages_wait_for_the_bind() -> None:
    async def test(house: House) -> None:
        code, body = await house.http("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "CX"})
        assert (code, sorted(body)) == (202, ["mo_id", "parts"])
        house.start_esme()
        assert (await house.application.mos.get()).text == "CX"

    with_house(test, bind=False)


def test_too_many_messages_without_a_bind_are_refused() -> None:
    async def test(house: House) -> None:
        house.simulator.smsc.core.kept = 1
        asked = {"from": NUMBER, "to": LINE, "text": "CX"}
        codes = [(await house.http("POST", "/mo", asked))[0] for _ in range(2)]
        assert codes == [202, 503]

    with_house(test, bind=False)


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


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "why"),
    [
        ("POST", "/mo", b"{", 400, "no JSON"),
        ("POST", "/mo", b"\xff", 400, "no JSON"),
        ("POST", "/mo", [], 400, "object"),
        ("POST", "/mo", {"to": LINE, "text": "Y"}, 400, '"from"'),
        ("POST", "/mo", {"from": NUMBER, "to": "1" * 21, "text": "Y"}, 400, '"to"'),
        ("POST", "/mo", {"from": "+" + "1" * 20, "to": LINE, "text": "Y"}, 400, '"from"'),
        ("POST", "/mo", {"from": "1", "to": LINE, "text": "Y", "data_coding": 8.0}, 400, "whole"),
        ("POST", "/mo", {"from": "1", "to": LINE, "octets": "", "data_coding": True}, 400, "whole"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "Y", "only": [1.0]}, 400, "list"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": 1}, 400, '"text"'),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "Y", "data_coding": 99}, 400, "15"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "订", "data_coding": 0}, 400, "form"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "订", "data_coding": 3}, 400, "form"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "a" * 40_000}, 400, "255"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "Y", "long_messages": 1}, 400, "udh8"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "octets": "4"}, 400, "hexadecimal"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "octets": "", "data_coding": 256}, 400, "255"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "Y", "only": [2]}, 400, "from 1 to 1"),
        ("POST", "/mo", {"from": NUMBER, "to": LINE, "text": "Y", "only": []}, 400, "list"),
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
