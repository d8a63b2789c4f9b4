"""What a connection reads in one go, and when what it has to say leaves."""

from __future__ import annotations

from collections.abc import Awaitable

from smpp import pdu
from smpp.commands import DeliverSmResp, Unbind
from smpp.connection import READ_ON_S
from tests.fakes.wired import MO, House


def mo(sequence: int) -> bytes:
    return pdu.encode(MO._replace(sequence=sequence))


def test_what_comes_while_messages_are_worked_on_is_read_before_others_have_their_turn() -> None:
    house = House()
    wire = house.bind()
    wire.socket.coming = [mo(6) + mo(7), mo(8)]
    wire.send(MO)
    assert wire.sent() == [DeliverSmResp(sequence) for sequence in (5, 6, 7, 8)]
    assert wire.socket.coming == []


def test_an_smsc_that_never_falls_silent_leaves_others_their_turn() -> None:
    house = House()
    wire = house.bind()
    wire.socket.coming = [mo(6), mo(7), mo(8)]
    given = house.answer

    def takes_half_of_the_time() -> Awaitable[int]:
        house.clock.advance(READ_ON_S / 2)
        return given()

    house.answer = takes_half_of_the_time
    wire.send(MO)
    assert wire.socket.coming == [mo(7), mo(8)]


def test_an_smsc_that_does_not_read_is_not_read_from_in_any_way() -> None:
    house = House()
    wire = house.bind()
    wire.protocol.pauseProducing()
    wire.socket.coming = [mo(6)]
    wire.send(MO)
    assert wire.socket.coming == [mo(6)]
    wire.protocol.resumeProducing()
    wire.send(MO._replace(sequence=9))
    assert wire.socket.coming == []


def test_nothing_is_read_behind_the_end_of_a_session() -> None:
    house = House()
    wire = house.bind()
    wire.socket.coming = [mo(6)]
    wire.send(Unbind(9))
    assert wire.socket.coming == [mo(6)]
    assert house.mos == []


def test_the_answers_to_half_a_window_leave_before_the_rest_is_worked_on() -> None:
    house = House(window=2)
    wire = house.bind()
    left: list[int] = []
    given = house.answer

    def looks() -> Awaitable[int]:
        left.append(len(wire.socket.octets) // len(pdu.encode(DeliverSmResp(1))))
        return given()

    house.answer = looks
    wire.send(*(MO._replace(sequence=sequence) for sequence in range(1, 6)))
    assert left == [0, 0, 2, 2, 4]
    assert wire.sent() == [DeliverSmResp(sequence) for sequence in range(1, 6)]
