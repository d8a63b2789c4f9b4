"""Whole messages on their way out: parts, windows, rate, several binds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from smpp.bind import DRAIN_S
from smpp.commands import Status, SubmitSm, SubmitSmResp, Unbind
from smpp.esme import QUEUE_S
from smpp.messages import LateResponse, MtMessage, PartResult
from tests.fakes.wired import MT, House, done, outcomes, result


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
    assert [outcomes(one) for one in waiting[:2]] == [["accepted"], ["accepted"]]
    assert not waiting[2].called


def test_the_window_counts_what_is_under_way_and_is_nothing_while_nothing_may_leave() -> None:
    house = House(window=2)
    assert house.esme.window() == 0
    wire = house.bind()
    for _ in range(3):
        house.esme.submit(MT)
    assert (house.esme.free(), house.esme.window()) == (0, 2)
    wire.send(SubmitSmResp(2, Status.RTHROTTLED))
    assert house.esme.window() == 0
    house.clock.advance(0.5)
    assert house.esme.window() == 1  # it goes on slowly


def test_no_part_asked_for_is_nothing_to_do() -> None:
    house = House()
    house.bind()
    assert outcomes(house.esme.submit(MtMessage("1", "2", "Y", 1, only=[2]))) == []


def test_settings_of_the_smsc_are_in_every_message() -> None:
    house = House(
        source_ton=5, source_npi=1, dest_ton=2, dest_npi=8, service_type="CMT",
        number_format="national",
    )  # fmt: skip
    wire = house.bind()
    house.esme.submit(
        MtMessage("12530019", "8613905250001", "Y", 1, timedelta(seconds=1), receipt=False)
    )
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
    house.clock.advance(0.5)
    assert house.esme.free() == 1
    assert house.ready == ready + 1
    assert house.esme.counters.throttled == 1


def test_a_response_that_never_comes_is_lost_and_frees_its_place() -> None:
    house = House(enquire_link_s=3600, response_timeout_s=5)
    house.bind()
    waiting = house.esme.submit(MT)
    assert house.esme.free() == 9
    house.clock.advance(5.0)
    assert outcomes(waiting) == ["lost"]
    assert house.esme.free() == 10


def test_a_late_response_is_told_with_the_message_s_own_name() -> None:
    house = House(window=3, enquire_link_s=3600, response_timeout_s=5)
    wire = house.bind()
    long = replace(MT, text="订" * 100, mt_id="m7")
    waiting = house.esme.submit(long)
    house.clock.advance(5.0)
    assert outcomes(waiting) == ["lost", "lost"]
    wire.send(SubmitSmResp(3, 0, "b"), SubmitSmResp(2, Status.RSUBMITFAIL))
    assert house.late == [
        LateResponse("m7", "smsc1", PartResult(2, "accepted", message_id="b")),
        LateResponse(
            "m7", "smsc1", PartResult(1, "refused", status=Status.RSUBMITFAIL, why="RSUBMITFAIL")
        ),
    ]
    assert (house.esme.counters.lost, house.esme.counters.late) == (2, 2)


def test_the_smsc_is_named_unless_nothing_left_for_it() -> None:
    house = House()
    assert result(house.esme.submit(MT)).smsc == ""
    wire = house.bind()
    waiting = house.esme.submit(MT)
    wire.accept()
    assert result(waiting).smsc == "smsc1"


def test_what_finds_no_room_in_time_was_not_sent() -> None:
    house = House(window=1, enquire_link_s=3600, response_timeout_s=60)
    house.bind()
    under_way, waiting = house.esme.submit(MT), house.esme.submit(MT)
    house.clock.advance(QUEUE_S - 0.1)
    assert not waiting.called
    house.clock.advance(0.1)
    assert outcomes(waiting) == ["not_sent"]
    assert not under_way.called


def test_what_has_expired_in_the_queue_is_not_sent() -> None:
    house = House(window=1, enquire_link_s=3600, response_timeout_s=60)
    wire = house.bind()
    house.esme.submit(MT)
    lasting, brief = (
        house.esme.submit(replace(MT, validity=timedelta(seconds=s))) for s in (60, 5)
    )
    house.clock.advance(5.0)
    wire.accept()
    wire.accept()
    assert outcomes(brief) == ["not_sent"]
    assert outcomes(lasting) == ["accepted"]
    assert wire.sent() == []


def test_a_long_pause_does_not_make_anything_wait_longer() -> None:
    house = House(window=2, enquire_link_s=3600, response_timeout_s=600)
    wire = house.bind()
    for _ in range(6):
        house.clock.pump([0.5] * 80)
        house.esme.submit(MT)
        (sent,) = wire.sent()
        wire.send(SubmitSmResp(sent.sequence, Status.RMSGQFUL))
    waiting = house.esme.submit(MT)
    house.clock.advance(QUEUE_S)
    assert outcomes(waiting) == ["not_sent"]
    assert wire.sent() == []


def test_more_than_the_windows_twice_does_not_wait() -> None:
    house = House(window=2)
    house.bind()
    waiting = [house.esme.submit(MT) for _ in range(7)]
    assert [one.called for one in waiting] == [False] * 6 + [True]
    assert outcomes(waiting[6]) == ["not_sent"]


def test_long_messages_travel_as_the_smsc_wants_them() -> None:
    house = House(long_messages="payload")
    wire = house.bind()
    house.esme.submit(replace(MT, text="订" * 100))
    (sent,) = wire.sent()
    assert isinstance(sent, SubmitSm)
    assert (sent.short_message, len(sent.tlvs[0][1])) == (b"", 200)


# ---- the rate


def test_no_second_has_more_messages_than_the_smsc_allows() -> None:
    house = House(tps=10, window=100)
    wire = house.bind()
    times: list[float] = []
    for _ in range(400):
        while house.esme.free():
            house.esme.submit(MT)
        times += [house.clock.seconds() for _ in wire.accept()]
        house.clock.advance(0.01)
    assert len(times) >= 39
    assert all(after - before > 1.0 for before, after in zip(times, times[10:], strict=False))


def test_parts_count_one_by_one_towards_the_rate() -> None:
    house = House(tps=2)
    wire = house.bind()
    house.esme.submit(replace(MT, text="订" * 100))
    assert len(wire.accept()) == 1
    house.clock.advance(0.51)
    assert len(wire.accept()) == 1


def test_the_rate_is_kept_over_a_new_connection() -> None:
    house = House(tps=1)
    wire = house.bind()
    house.clock.advance(4.0)
    house.esme.submit(MT)
    wire.accept()
    wire.close()
    house.esme.submit(MT)
    house.clock.advance(1.0)
    house.wires[-1].accept_bind()
    waiting = house.esme.submit(MT)
    assert house.wires[-1].sent() == []
    house.clock.advance(0.02)
    assert len(house.wires[-1].accept()) == 1
    assert outcomes(waiting) == ["accepted"]


def test_only_a_little_is_taken_ahead_of_the_rate() -> None:
    house = House(tps=50, window=100)
    house.bind()
    taken = 0
    while house.esme.free():
        house.esme.submit(MT)
        taken += 1
    assert taken == 8  # three leave at once, five in the next tenth of a second
    ready = house.ready
    house.clock.pump([0.01] * 10)
    assert house.ready > ready


def test_throttled_messages_come_back_and_the_next_leave_more_slowly() -> None:
    house = House(window=100)
    wire = house.bind()
    waiting = [house.esme.submit(MT) for _ in range(10)]
    wire.send(*(SubmitSmResp(n + 2, Status.RMSGQFUL) for n in range(10)))
    assert all(result(one).parts[0].throttled for one in waiting)
    assert house.esme.free() == 0
    wire.sent()
    left = 0
    for _ in range(300):
        house.clock.advance(0.01)
        while house.esme.free():
            house.esme.submit(MT)
        left += len(wire.accept())
    assert 20 <= left <= 25  # 2.5 s of nine a second


# ---- several binds


def test_messages_go_to_the_bind_with_most_room() -> None:
    house = House(binds=2, window=2)
    house.bind()
    assert house.esme.free() == 4
    for _ in range(4):
        house.esme.submit(MT)
    assert [len(wire.sent()) for wire in house.wires] == [2, 2]
    assert house.esme.free() == 0
    assert house.esme.under_way == 4


def test_what_waits_leaves_by_the_bind_that_is_left() -> None:
    house = House(binds=2, window=1)
    house.bind()
    waiting = [house.esme.submit(MT) for _ in range(3)]
    house.wires[0].close()
    assert outcomes(waiting[0]) == ["lost"]
    house.wires[1].accept()
    assert len(house.wires[1].accept()) == 1
    assert [outcomes(one) for one in waiting[1:]] == [["accepted"]] * 2


def test_without_any_bind_left_what_waits_was_not_sent() -> None:
    house = House(binds=2, window=1)
    house.bind()
    waiting = [house.esme.submit(MT) for _ in range(3)]
    for wire in house.wires[:2]:
        wire.close()
    assert [outcomes(one) for one in waiting] == [["lost"], ["lost"], ["not_sent"]]
    assert house.esme.queued == 0


def test_a_pair_sends_by_the_transmitter_and_works_with_both() -> None:
    house = House(bind="pair")
    house.esme.startService()
    transmitter, receiver = house.wires
    transmitter.accept_bind("SMSC")
    assert house.esme.health() == (
        False, "1 of 2 bound: transmitter bound to SMSC, receiver binding",
    )  # fmt: skip
    receiver.accept_bind("SMSC")
    assert house.esme.health()[0]
    assert house.esme.bound == 2
    house.esme.submit(MT)
    assert (len(transmitter.sent()), len(receiver.sent())) == (1, 0)


def test_a_receiver_alone_has_no_room() -> None:
    house = House(bind="receiver")
    house.bind()
    assert not house.esme.can_send
    assert house.esme.free() == 0
    assert outcomes(house.esme.submit(MT)) == ["not_sent"]


def test_all_binds_unbind_at_once() -> None:
    house = House(binds=2)
    house.bind()
    stopped = house.esme.stopService()
    assert [wire.sent() for wire in house.wires] == [[Unbind(2)], [Unbind(2)]]
    for wire in house.wires:
        wire.close()
    assert done(stopped)
    assert house.clock.getDelayedCalls() == []


def test_stopping_sends_what_waits_and_gives_up_what_cannot_leave() -> None:
    house = House(window=1, enquire_link_s=3600, response_timeout_s=600)
    wire = house.bind()
    waiting = [house.esme.submit(MT) for _ in range(3)]
    stopped = house.esme.stopService()
    wire.accept()
    for _ in range(3):
        house.clock.advance(DRAIN_S)
    assert done(stopped)
    assert [outcomes(one) for one in waiting] == [["accepted"], ["lost"], ["not_sent"]]
    assert house.clock.getDelayedCalls() == []
