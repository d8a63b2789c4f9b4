"""A bind's life: connecting, binding, signs of life, unbinding, coming again."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from smpp import pdu
from smpp.bind import DRAIN_S, Backoff
from smpp.commands import (
    Bind,
    BindResp,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    Status,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from smpp.connection import ABORT_S
from tests.fakes.wired import MO, MT, House, done, outcomes


def test_the_bind_says_who_we_are() -> None:
    house = House(system_type="vas", interface_version=0x33)
    house.esme.startService()
    assert house.wires[0].sent() == [
        Bind(1, "toneline", "secret", system_type="vas", interface_version=0x33)
    ]
    assert house.esme.health() == (False, "binding")
    house.wires[0].send(BindResp(1, system_id="SMSC"))
    assert house.esme.health() == (True, "bound to SMSC")
    assert house.ready == 1


@pytest.mark.parametrize("room", [0, 20])
def test_what_a_full_socket_does_not_take_leaves_first_when_it_takes_more(room: int) -> None:
    house = House()
    wire = house.bind()
    wire.socket.room = room
    house.esme.submit(MT)
    wire.socket.room = 65_536
    house.esme.submit(MT)
    assert len(wire.accept()) == 2


def test_settings_that_no_bind_can_carry_are_an_error_at_once() -> None:
    with pytest.raises(pdu.UnencodablePdu, match="system_id"):
        House(system_id="彩铃")


def test_attempts_are_made_at_growing_intervals_and_anew_after_a_bind() -> None:
    house = House()
    house.unreachable = [OSError("no route"), OSError("no route"), OSError("no route")]
    house.esme.startService()
    assert house.esme.health() == (False, "cannot connect: no route")
    for wait in (2.0, 4.0):
        house.clock.advance(wait - 0.1)
        left = len(house.unreachable)
        house.clock.advance(0.1)
        assert len(house.unreachable) == left - 1
    house.clock.advance(4.0)
    house.wires[0].accept_bind()
    house.clock.advance(4.0)
    house.wires[0].close()
    assert house.esme.health() == (False, "connection lost")
    house.clock.advance(1.0)
    assert len(house.wires) == 2


def test_a_refused_bind_stays_in_sight_and_is_tried_again() -> None:
    house = House()
    house.esme.startService()
    house.wires[0].send(BindResp(1, Status.RALYBND))
    assert house.esme.health() == (False, "bind refused: RALYBND")
    house.clock.advance(2.0)
    assert len(house.wires) == 2


@pytest.mark.parametrize("status", [Status.RINVPASWD, Status.RINVSYSID])
def test_an_account_that_is_refused_is_tried_again_seldom(status: int) -> None:
    house = House()
    house.esme.startService()
    house.wires[0].send(BindResp(1, status))
    for attempts, pause in enumerate((16.0, 32.0, 64.0), start=1):
        house.clock.advance(pause - 0.1)
        assert len(house.wires) == attempts
        house.clock.advance(0.1)
        house.wires[-1].send(BindResp(1, status))
    house.clock.advance(128.0)
    house.wires[-1].accept_bind()
    house.wires[-1].close()
    house.clock.advance(4.0)
    assert len(house.wires) == 6


def test_an_smsc_that_binds_and_hangs_up_at_once_gets_growing_pauses() -> None:
    house = House()
    house.bind()
    for pause in (2.0, 4.0):
        house.wires[-1].close()
        before = len(house.wires)
        house.clock.advance(pause - 0.1)
        assert len(house.wires) == before
        house.clock.advance(0.1)
        assert len(house.wires) == before + 1
        house.wires[-1].accept_bind()


def test_a_bind_that_lasted_is_made_again_soon() -> None:
    house = House()
    wire = house.bind()
    house.clock.advance(4.0)
    wire.close()
    house.clock.advance(1.0)
    assert len(house.wires) == 2


def test_a_wire_that_worked_is_made_again_soon() -> None:
    house = House()
    wire = house.bind()
    house.esme.submit(MT)
    wire.accept()
    wire.close()
    house.clock.advance(1.0)
    assert len(house.wires) == 2


def test_jitter_shortens_a_pause_by_up_to_half() -> None:
    backoff = Backoff(1.0, 30.0)
    assert [backoff.delay(n, 0.0) for n in (0, 1, 4, 5, 1000)] == [1.0, 2.0, 16.0, 30.0, 30.0]
    assert backoff.delay(5, 1.0) == 15.0
    refused = [backoff.delay_of_refused(n, 0.0) for n in (1, 2, 5, 1000)]
    assert refused == [120.0, 240.0, 1800.0, 1800.0]
    assert backoff.delay_of_refused(1, 1.0) == 60.0


def test_silence_is_broken_by_an_enquiry() -> None:
    house = House()
    wire = house.bind()
    house.clock.advance(30.0)
    assert wire.sent() == [EnquireLink(2)]
    house.clock.advance(30.0)
    assert "lost" in wire.calls
    assert house.esme.health() == (False, "no answer while bound")


def test_an_smsc_that_answers_enquiries_but_no_message_is_left_and_tried_again() -> None:
    house = House(window=3, enquire_link_s=1, response_timeout_s=2)
    wire = house.bind()
    waiting = [house.esme.submit(MT) for _ in range(3)]
    house.clock.advance(1.0)
    (enquiry,) = [one for one in wire.sent() if isinstance(one, EnquireLink)]
    wire.send(EnquireLinkResp(enquiry.sequence))
    house.clock.advance(1.0)
    assert [outcomes(one) for one in waiting] == [["lost"]] * 3
    assert house.esme.health() == (False, "no response to 3 messages in a row")
    assert "lost" in wire.calls
    house.clock.advance(2.0)
    assert len(house.wires) == 2


def test_an_smsc_that_reads_nothing_is_not_read_from_once_it_has_bound() -> None:
    house = House()
    house.esme.startService()
    (wire,) = house.wires
    wire.protocol.pauseProducing()
    assert wire.calls == []
    wire.accept_bind()
    wire.protocol.pauseProducing()
    wire.protocol.resumeProducing()
    wire.protocol.stopProducing()
    assert wire.calls == ["paused", "resumed"]


# ---- the end


def test_a_service_without_a_connection_stops_at_once() -> None:
    house = House()
    house.unreachable = [OSError("no route")]
    house.esme.startService()
    assert house.esme.stopService().called
    assert house.clock.getDelayedCalls() == []


def test_a_service_stops_while_it_binds() -> None:
    house = House()
    house.esme.startService()
    assert house.esme.stopService().called
    assert house.wires[0].calls == ["aborted"]
    assert house.clock.getDelayedCalls() == []


def test_an_idle_service_unbinds_and_closes() -> None:
    house = House()
    wire = house.bind()
    stopped = house.esme.stopService()
    assert wire.sent() == [Unbind(2)]
    assert not done(stopped)
    wire.send(UnbindResp(2))
    assert done(stopped)
    assert house.clock.getDelayedCalls() == []


def test_stopping_waits_for_what_is_under_way_and_takes_nothing_new() -> None:
    house = House()
    commit: Deferred[int] = Deferred()
    house.answer = lambda: commit
    wire = house.bind()
    wire.send(MO)
    waiting = house.esme.submit(MT)
    stopped = house.esme.stopService()
    wire.send(MO._replace(sequence=6), SubmitSmResp(2, 0, "a"))
    assert wire.sent()[1:] == [DeliverSmResp(6, 0x14)]
    assert outcomes(waiting) == ["accepted"]
    assert house.esme.free() == 0
    commit.callback(Status.ROK)
    assert wire.sent() == [DeliverSmResp(5), Unbind(3)]
    wire.send(UnbindResp(3))
    assert stopped.called


def test_stopping_waits_no_longer_than_it_says() -> None:
    house = House(lets_go=False)
    wire = house.bind()
    waiting = house.esme.submit(MT)
    stopped = house.esme.stopService()
    house.clock.advance(DRAIN_S)
    assert wire.sent()[1:] == [Unbind(3)]
    house.clock.advance(DRAIN_S)
    assert "aborted" in wire.calls
    assert stopped.called
    assert outcomes(waiting) == ["lost"]
    assert house.clock.getDelayedCalls() == []


def test_a_connection_that_breaks_while_stopping_ends_it() -> None:
    house = House()
    wire = house.bind()
    house.esme.submit(MT)
    stopped = house.esme.stopService()
    wire.close()
    assert stopped.called
    assert house.clock.getDelayedCalls() == []


def test_a_peer_that_does_not_let_go_is_cut_off() -> None:
    house = House(lets_go=False)
    wire = house.bind()
    wire.send(Unbind(9))
    assert wire.calls == ["unregistered", "lost"]
    house.clock.advance(ABORT_S)
    assert wire.calls[-1] == "aborted"
