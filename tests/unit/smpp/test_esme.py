"""The service and its protocol over a wire in memory, on a clock that the tests move on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock

from config.settings import Smsc as Settings
from smpp import pdu
from smpp.commands import (
    Bind,
    BindResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    GenericNack,
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    relative_time,
)
from smpp.connection import ABORT_S
from smpp.esme import DRAIN_S, Backoff, EsmeService
from smpp.messages import MoMessage, MtMessage, SubmitResult, written
from smpp.receipt import Receipt

MO = DeliverSm(5, "8613905250001", "12530019", b"CX")
MT = MtMessage("12530019", "8613905250001", "Y", 1)
PARTS = [
    MO._replace(sequence=n, esm_class=0x40, short_message=bytes((5, 0, 3, 9, 2, n)) + words)
    for n, words in ((1, b"DG "), (2, b"1029"))
]


class Wire:
    """The transport of one connection, and the SMSC at its other end."""

    def __init__(self, factory: Any, lets_go: bool) -> None:
        self.calls: list[str] = []
        self._octets = b""
        self._lets_go = lets_go
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self)

    def setTcpNoDelay(self, enabled: bool) -> None:
        assert enabled

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming

    def unregisterProducer(self) -> None:
        self.calls.append("unregistered")

    def pauseProducing(self) -> None:
        self.calls.append("paused")

    def resumeProducing(self) -> None:
        self.calls.append("resumed")

    def write(self, octets: bytes) -> None:
        self._octets += octets

    def loseConnection(self) -> None:
        self.calls.append("lost")
        if self._lets_go:
            self.close()

    def abortConnection(self) -> None:
        self.calls.append("aborted")
        self.close()

    def close(self) -> None:
        self.protocol.connectionLost(connectionDone)

    def send(self, *values: Pdu) -> None:
        self.protocol.dataReceived(b"".join(pdu.encode(value) for value in values))

    def sent(self) -> list[Pdu]:
        found, self._octets, _ = pdu.cut(self._octets)
        return [pdu.decode(octets) for octets in found]


class House:
    """A service whose SMSC, clock and application are the test's."""

    def __init__(self, lets_go: bool = True, **changes: Any) -> None:
        self.clock = Clock()
        self.wires: list[Wire] = []
        self.mos: list[MoMessage] = []
        self.receipts: list[tuple[str, Receipt]] = []
        self.ready = 0
        self.unreachable: list[Exception] = []
        self.answer: Callable[[], Awaitable[int]] = lambda: succeed(int(Status.ROK))
        self._lets_go = lets_go
        values = {"name": "smsc1", "host": "h", "system_id": "toneline", "password": "secret"}
        self.esme = EsmeService(
            self,
            Settings(**{**values, **changes}),
            self.clock,
            self._on_mo,
            self._on_receipt,
            self._on_ready,
            zone=UTC,
            clock=lambda: datetime(2026, 11, 22, 10, 0, tzinfo=UTC),
            monotonic=self.clock.seconds,
            jitter=lambda: 0.0,
            backoff=Backoff(1.0, 4.0),
        )

    def connect(self, factory: Any) -> Deferred[Any]:
        if self.unreachable:
            return fail(self.unreachable.pop(0))
        self.wires.append(Wire(factory, self._lets_go))
        return succeed(self.wires[-1].protocol)

    def bind(self) -> Wire:
        self.esme.startService()
        self.wires[-1].send(BindResp(1))
        self.wires[-1].sent()
        return self.wires[-1]

    async def _on_mo(self, message: MoMessage) -> int:
        self.mos.append(message)
        return await self.answer()

    async def _on_receipt(self, smsc: str, receipt: Receipt) -> int:
        self.receipts.append((smsc, receipt))
        return await self.answer()

    def _on_ready(self) -> None:
        self.ready += 1


def result(waiting: Deferred[SubmitResult]) -> list[str]:
    found: list[SubmitResult] = []
    waiting.addCallback(found.append)
    return [part.outcome for part in found[0].parts]


def done(waiting: Deferred[Any]) -> bool:
    return bool(waiting.called)


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
    house.wires[0].send(BindResp(1))
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


def test_jitter_shortens_a_pause_by_up_to_half() -> None:
    backoff = Backoff(1.0, 30.0)
    assert [backoff.delay(n, 0.0) for n in (0, 1, 4, 5, 1000)] == [1.0, 2.0, 16.0, 30.0, 30.0]
    assert backoff.delay(5, 1.0) == 15.0


def test_free_counts_what_waits_and_is_nothing_without_a_bind() -> None:
    house = House(window=2)
    assert house.esme.free() == 0
    wire = house.bind()
    waiting = [house.esme.submit(MT) for _ in range(3)]
    assert house.esme.free() == 0
    assert len(wire.sent()) == 2
    wire.send(SubmitSmResp(2, 0, "a"), SubmitSmResp(3, 0, "b"))
    assert len(wire.sent()) == 1
    assert house.esme.free() == 1
    assert [result(one) for one in waiting[:2]] == [["accepted"], ["accepted"]]
    assert not waiting[2].called


def test_no_part_asked_for_is_nothing_to_do() -> None:
    house = House()
    house.bind()
    assert result(house.esme.submit(MtMessage("1", "2", "Y", 1, only=[2]))) == []


def test_settings_of_the_smsc_are_in_every_message() -> None:
    house = House(
        source_ton=5, source_npi=1, dest_ton=2, dest_npi=8, service_type="CMT",
        number_format="national",
    )  # fmt: skip
    wire = house.bind()
    house.esme.submit(MtMessage("12530019", "8613905250001", "Y", 1, timedelta(0), receipt=False))
    (sent,) = wire.sent()
    assert sent == SubmitSm(
        2, "12530019", "13905250001", b"Y", source_addr_ton=5, source_addr_npi=1, dest_addr_ton=2,
        dest_addr_npi=8, service_type="CMT", validity_period="000000000001000R",
    )  # fmt: skip


def test_an_expired_pause_says_that_there_is_room() -> None:
    house = House()
    wire = house.bind()
    house.esme.submit(MT)
    wire.send(SubmitSmResp(2, Status.RTHROTTLED))
    ready = house.ready
    assert house.esme.free() == 0
    house.clock.advance(1.0)
    assert house.esme.free() == 10
    assert house.ready == ready + 1
    assert house.esme.counters.throttled == 1


def test_a_response_that_never_comes_is_lost_and_frees_its_place() -> None:
    house = House(enquire_link_s=3600, response_timeout_s=5)
    house.bind()
    waiting = house.esme.submit(MT)
    assert house.esme.free() == 9
    house.clock.advance(5.0)
    assert result(waiting) == ["lost"]
    assert house.esme.free() == 10


def test_silence_is_broken_by_an_enquiry() -> None:
    house = House()
    wire = house.bind()
    house.clock.advance(30.0)
    assert wire.sent() == [EnquireLink(2)]
    house.clock.advance(30.0)
    assert "lost" in wire.calls
    assert house.esme.health() == (False, "no answer while bound")


# ---- in


def test_an_answer_waits_for_the_application_and_then_leaves_at_once() -> None:
    house = House()
    commit: Deferred[int] = Deferred()
    house.answer = lambda: commit
    wire = house.bind()
    wire.send(MO)
    assert wire.sent() == []
    commit.callback(Status.ROK)
    assert wire.sent() == [DeliverSmResp(5)]
    assert house.mos == [
        MoMessage(
            "smsc1", "8613905250001", "12530019", "CX", b"CX", 0,
            datetime(2026, 11, 22, 10, 0, tzinfo=UTC),
        )
    ]  # fmt: skip


def test_an_application_that_is_too_slow_is_asked_again() -> None:
    house = House(mo_retry_status=0x64, mo_response_deadline_s=3)
    commit: Deferred[int] = Deferred()
    house.answer = lambda: commit
    wire = house.bind()
    wire.send(MO)
    house.clock.advance(3.0)
    assert wire.sent() == [DeliverSmResp(5, 0x64)]
    commit.callback(Status.ROK)
    assert wire.sent() == []


def test_an_answer_for_a_connection_that_is_gone_goes_nowhere() -> None:
    house = House()
    commit: Deferred[int] = Deferred()
    house.answer = lambda: commit
    wire = house.bind()
    wire.send(MO)
    wire.close()
    house.clock.advance(1.0)
    house.wires[1].send(BindResp(1))
    house.wires[1].sent()
    commit.callback(Status.ROK)
    assert house.wires[1].sent() == []


def test_receipts_are_told_with_the_smsc_s_name_and_answered_when_stored() -> None:
    house = House()
    wire = house.bind()
    receipt = MO._replace(esm_class=4, short_message=b"id:7 stat:DELIVRD")
    wire.send(receipt)
    house.answer = lambda: fail(RuntimeError("store is down"))
    wire.send(receipt._replace(sequence=6))
    assert wire.sent() == [DeliverSmResp(5), DeliverSmResp(6, 0x14)]
    assert [(name, one.message_id) for name, one in house.receipts] == [("smsc1", "7")] * 2


def test_parts_are_answered_as_they_come_and_told_as_one() -> None:
    house = House()
    wire = house.bind()
    wire.send(*reversed(PARTS))
    wire.send(PARTS[0]._replace(sequence=3))
    assert [message.text for message in house.mos] == ["DG 1029"]
    assert wire.sent() == [DeliverSmResp(2), DeliverSmResp(1), DeliverSmResp(3)]


def test_a_part_alone_is_told_as_it_is_after_a_minute_even_without_a_bind() -> None:
    house = House()
    wire = house.bind()
    wire.send(PARTS[1])
    wire.close()
    house.clock.advance(60.0)
    assert [(message.text, message.missing) for message in house.mos] == [("1029", 1)]


def test_what_the_smsc_may_not_send_is_counted_and_the_line_goes_on() -> None:
    house = House()
    wire = house.bind()
    wire.send(SubmitSm(9, "1", "2"), MO)
    assert wire.sent() == [GenericNack(9, Status.RINVBNDSTS), DeliverSmResp(5)]
    assert house.esme.counters.malformed == 1


def test_an_smsc_that_reads_nothing_is_not_read_from() -> None:
    house = House()
    wire = house.bind()
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
    assert result(waiting) == ["accepted"]
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
    assert result(waiting) == ["lost"]
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


# ---- small things


@pytest.mark.parametrize(
    ("number", "e164", "plus", "national"),
    [
        ("8613905250001", "8613905250001", "+8613905250001", "13905250001"),
        ("12530019", "12530019", "12530019", "12530019"),
        ("8651412345678", "8651412345678", "8651412345678", "8651412345678"),
    ],
)
def test_only_subscribers_numbers_are_rewritten(
    number: str, e164: str, plus: str, national: str
) -> None:
    assert [written(number, "e164"), written(number, "plus"), written(number, "national")] == [
        e164, plus, national,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("period", "text"),
    [
        (timedelta(minutes=15), "000000001500000R"),
        (timedelta(hours=48), "000002000000000R"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4.9), "000001020304000R"),
        (timedelta(seconds=-5), "000000000001000R"),
        (timedelta(days=400), "000028000000000R"),
    ],
)
def test_validity_is_written_relative(period: timedelta, text: str) -> None:
    assert relative_time(period) == text
