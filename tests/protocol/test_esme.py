"""The ESME service against the built-in SMSC, over real TCP."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from twisted.internet.defer import Deferred, DeferredQueue, fail, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory

from smpp.commands import (
    Bind,
    BindResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Status,
    Unbind,
    UnbindResp,
)
from smpp.messages import MtMessage
from smpp.smsc_rules import Rule
from tests.protocol.smsc_house import (
    LINE,
    NUMBER,
    House,
    Wire,
    mt,
    turn,
    with_house,
)
from tests.reactor import leftovers, reactor, run_in_reactor


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


@pytest.mark.parametrize(("way", "parts"), [("udh8", 3), ("udh16", 3), ("sar", 3), ("payload", 1)])
def test_each_part_of_a_long_message_comes_in_with_its_place(way: str, parts: int) -> None:
    async def test(house: House) -> None:
        words = "查询茉莉花😀" * 20
        _, body = await house.mo(words, long_messages=way)
        messages = [await house.application.mos.get() for _ in range(parts)]
        assert b"".join(message.raw for message in messages) == words.encode("utf-16-be")
        places = [message.part and message.part.number for message in messages]
        assert places == ([1, 2, 3] if parts == 3 else [None])
        assert body["status"] == 0

    with_house(test)


def test_an_integrator_chooses_which_parts_come_and_in_what_order() -> None:
    async def test(house: House) -> None:
        words = "查询茉莉花" * 30
        _, body = await house.mo(words, only=[3, 1])
        messages = [await house.application.mos.get() for _ in range(2)]
        assert [message.part and message.part.number for message in messages] == [3, 1]
        assert (body["parts"], body["status"]) == (2, 0)

    with_house(test)


def test_a_telephone_s_octets_come_in_as_they_are() -> None:
    async def test(house: House) -> None:
        code, _ = await house.http(
            "POST", "/mo", {"from": NUMBER, "to": LINE, "octets": "1b28ff00", "data_coding": 0x11}
        )
        message = await house.application.mos.get()
        assert (code, message.raw, message.data_coding) == (202, b"\x1b(\xff\0", 0x11)

    with_house(test)


@pytest.mark.parametrize(("coding", "words"), [(0, "Y1029€"), (3, "é"), (8, "是"), (15, "订购")])
def test_each_coding_of_a_phone_is_read(coding: int, words: str) -> None:
    async def test(house: House) -> None:
        await house.mo(words, data_coding=coding)
        message = await house.application.mos.get()
        assert (message.text, message.data_coding) == (words, coding)

    with_house(test)


def test_a_message_that_was_not_stored_comes_again() -> None:
    async def test(house: House) -> None:
        house.application.answers = [fail(RuntimeError("store is down")), succeed(Status.RSYSERR)]
        _, body = await house.mo("Y")
        assert body["status"] == 0
        assert [(await house.application.mos.get()).text for _ in range(3)] == ["Y"] * 3

    with_house(test)


def test_a_message_refused_for_good_is_not_sent_again() -> None:
    async def test(house: House) -> None:
        house.application.answers = [succeed(Status.RX_P_APPN)]
        _, body = await house.mo("Y")
        assert (body["status"], body["status_name"]) == (Status.RX_P_APPN, "RX_P_APPN")

    with_house(test)


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

    with_house(test, Rule("submit", "drop_before", every=3))


def test_what_waits_for_the_window_when_the_connection_ends_was_surely_not_sent() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        waiting = [house.esme.submit(mt("订" * 100)), house.esme.submit(mt("Y"))]
        outcomes = [part.outcome for result in waiting for part in (await result).parts]
        assert outcomes == ["lost", "not_sent", "not_sent"]

    with_house(test, Rule("submit", "drop_before"), settings={"window": 1})


def test_a_throttling_smsc_is_given_a_pause() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        assert (await house.esme.submit(mt("1"))).accepted
        (part,) = (await house.esme.submit(mt("2"))).parts
        assert part.throttled
        assert house.esme.free() == 0

    with_house(test, Rule("submit", "refuse", every=2))


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
        while house.simulator.smsc.core.stage.counts["binds_refused"] < 2:
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


def test_nothing_is_left_behind() -> None:
    async def test(house: House) -> None:
        assert house.esme is not None
        await house.esme.submit(mt("1"))
        await house.mo("订" * 100)

    before = leftovers()
    with_house(test)
    with_house(test)
    assert len(leftovers()) <= len(before)
