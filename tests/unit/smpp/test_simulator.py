"""The SMSC's end of a connection over a wire in memory, on a clock that the tests move on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock

from smpp import pdu, text
from smpp.commands import (
    Bind,
    BindResp,
    DeliverSm,
    DeliverSmResp,
    GenericNack,
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
)
from smpp.simulator import BIND_S, RESPONSE_S, SmscProtocol
from smpp.smsc import NO_FAULTS, Faults, Smsc

MT = SubmitSm(3, "12530019", "8613905250001", b"Y")


class Wire:
    """The transport of the simulator's end, and the ESME at the other."""

    def __init__(self, faults: Faults = NO_FAULTS) -> None:
        self.clock = Clock()
        self.smsc = Smsc(
            self.clock,
            lambda: datetime(2026, 11, 22, tzinfo=UTC),
            system_id="toneline",
            password="secret",
            faults=faults,
        )
        self.connections: set[SmscProtocol] = set()
        self.calls: list[str] = []
        self._octets = b""
        self.protocol: Any = SmscProtocol(self.smsc, self.connections)
        self.protocol.makeConnection(self)

    def setTcpNoDelay(self, enabled: bool) -> None:
        assert enabled

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming

    def unregisterProducer(self) -> None:
        self.calls.append("unregistered")

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 2775)

    def write(self, octets: bytes) -> None:
        self._octets += octets

    def loseConnection(self) -> None:
        self.calls.append("lost")

    def abortConnection(self) -> None:
        self.calls.append("aborted")
        self.protocol.connectionLost(connectionDone)

    def send(self, *values: Pdu) -> None:
        self.protocol.dataReceived(b"".join(pdu.encode(value) for value in values))

    def sent(self) -> list[Pdu]:
        found, self._octets, _ = pdu.cut(self._octets)
        return [pdu.decode(octets) for octets in found]

    def bind(self) -> None:
        self.send(Bind(1, "toneline", "secret"))
        tlvs = ((Tag.SC_INTERFACE_VERSION, b"\x34"),)
        assert self.sent() == [BindResp(1, 0, "simulator", tlvs=tlvs)]

    def put(self, words: str) -> None:
        self.smsc.put_mo("8613905250001", "12530019", text.segment(words, 1))


def test_a_connection_that_does_not_bind_is_closed() -> None:
    wire = Wire()
    wire.clock.advance(BIND_S)
    assert wire.calls == ["aborted"]
    assert wire.connections == set()


def test_a_bound_connection_stays_and_is_listed() -> None:
    wire = Wire()
    wire.bind()
    wire.clock.advance(BIND_S)
    assert wire.calls == []
    assert [(bind.mode, bind.peer) for bind in wire.smsc.binds] == [("transceiver", "192.0.2.1")]


def test_a_message_nobody_answers_is_sent_again() -> None:
    wire = Wire()
    wire.bind()
    wire.put("Y")
    (first,) = wire.sent()
    assert isinstance(first, DeliverSm)
    wire.clock.advance(RESPONSE_S)
    wire.send(DeliverSmResp(first.sequence))
    wire.clock.advance(1.0)
    (again,) = wire.sent()
    assert again == first._replace(sequence=first.sequence + 1)
    wire.send(DeliverSmResp(first.sequence + 1))
    assert wire.smsc.counts["mo_answered"] == 1
    assert wire.clock.getDelayedCalls() == []


def test_a_generic_nack_is_an_answer() -> None:
    wire = Wire()
    wire.bind()
    wire.put("Y")
    wire.send(GenericNack(1, Status.RINVCMDID))
    assert wire.smsc.counts["mo_answered"] == 1


def test_the_window_of_a_bind_is_kept() -> None:
    wire = Wire()
    wire.bind()
    for _ in range(11):
        wire.put("Y")
    assert len(wire.sent()) == 10
    wire.send(DeliverSmResp(4))
    assert len(wire.sent()) == 1


def test_responses_are_delayed_on_demand() -> None:
    wire = Wire(Faults(response_delay_s=3.0))
    wire.bind()
    wire.send(MT)
    assert wire.sent() == []
    wire.clock.advance(3.0)
    assert [type(answer) for answer in wire.sent()] == [SubmitSmResp]


def test_a_delayed_response_of_a_lost_connection_is_dropped() -> None:
    wire = Wire(Faults(response_delay_s=3.0))
    wire.bind()
    wire.send(MT)
    wire.abortConnection()
    wire.clock.advance(3.0)
    assert wire.sent() == []


def test_a_cut_connection_hears_nothing_of_what_came_with_the_last_message() -> None:
    wire = Wire(Faults(drop_every=1))
    wire.bind()
    wire.send(MT, MT)
    wire.protocol.dataReceived(b"garbage that is no PDU at all")
    assert wire.sent() == []
    assert wire.calls == ["aborted"]
    assert wire.smsc.counts["submitted"] == 1


def test_a_malformed_answer_is_noted_and_not_answered() -> None:
    wire = Wire()
    wire.bind()
    octets = pdu.encode(DeliverSmResp(1, 0, "x"))[:-1] + b"x"
    wire.protocol.dataReceived(octets)
    assert wire.sent() == []
    assert wire.smsc.counts["malformed"] == 1


def test_a_goodbye_is_said_to_those_who_are_bound() -> None:
    wire = Wire()
    wire.protocol.unbind()
    assert wire.sent() == []
    other = Wire()
    other.bind()
    other.protocol.unbind()
    assert other.sent() == [Unbind(1)]
    assert other.calls == ["unregistered", "lost"]
