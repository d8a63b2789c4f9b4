from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.system import rtp
from tests.system.rtp import PCMA, PCMU, Packet, Sender


def packet(number: int, at_s: float, *, timestamp: int | None = None, ssrc: int = 1) -> Packet:
    stamp = number * 160 if timestamp is None else timestamp
    return Packet(at_s, PCMA, number, stamp, ssrc, bytes([0xAA]) * 160)


def test_g711_tables_hold_the_standards_extremes() -> None:
    # ITU-T G.711 tables 1a and 2a: the largest values of 13 and 14 bits, here in 16
    assert rtp.LINEAR[PCMA].max() == 32256
    assert rtp.LINEAR[PCMA][0xD5] == 8
    assert rtp.LINEAR[PCMU].max() == 32124
    assert rtp.LINEAR[PCMU][0xFF] == 0


def test_bytes_that_are_no_rtp_are_no_packet() -> None:
    assert rtp.parse(b"OPTIONS sip:x SIP/2.0", 0.0) is None
    assert rtp.parse(b"\x80", 0.0) is None


def test_a_packet_is_parsed() -> None:
    datagram = struct.pack("!BBHII", 0x80, 0x88, 7, 160, 99) + b"\xd5" * 160
    assert rtp.parse(datagram, 1.5) == Packet(1.5, PCMA, 7, 160, 99, b"\xd5" * 160)


def test_the_recording_begins_at_the_given_time() -> None:
    audio = rtp.timeline([packet(0, 10.5)], 10.0)
    assert len(audio) == 4000 + 160
    assert not audio[:4000].any()
    assert audio[4000:].all()


def test_late_packets_leave_no_hole() -> None:
    late = [packet(0, 0.0), packet(1, 0.15), packet(2, 0.15)]
    audio = rtp.timeline(late, 0.0)
    assert len(audio) == 480
    assert audio.all()


def test_a_pause_is_as_long_as_the_timestamps_say() -> None:
    audio = rtp.timeline([packet(0, 0.0), packet(1, 1.01, timestamp=8000)], 0.0)
    assert np.flatnonzero(audio)[160] == 8000


def test_packets_held_up_and_sent_in_a_burst_do_not_overlap() -> None:
    # as measured on a starved machine: 0.6 s of nothing, then what was owed at once
    burst = [packet(0, 0.0), packet(1, 0.02), *(packet(n, 0.6) for n in range(2, 32))]
    audio = rtp.timeline(burst, 0.0)
    assert len(audio) == 32 * 160
    assert audio.all()


@pytest.mark.parametrize("second", [{"timestamp": 900000}, {"timestamp": 160, "ssrc": 2}])
def test_where_timestamps_start_anew_the_clock_counts(second: dict[str, int]) -> None:
    audio = rtp.timeline([packet(0, 0.0), packet(1, 3.0, **second)], 0.0)
    assert np.flatnonzero(audio)[160] == 24000


def test_a_files_shorter_last_packet_follows_without_overlap() -> None:
    last = Packet(0.02, PCMA, 1, 138, 1, bytes([0xAA]) * 138)
    assert len(rtp.timeline([packet(0, 0.0), last], 0.0)) == 298


def test_timestamps_may_wrap() -> None:
    packets = [packet(0, 0.0, timestamp=2**32 - 160), packet(1, 0.02, timestamp=0)]
    assert len(rtp.timeline(packets, 0.0)) == 320


def test_what_came_before_the_beginning_is_left_out() -> None:
    assert len(rtp.timeline([packet(0, 0.0)], 1.0)) == 0


def test_a_pause_that_the_timestamps_leave_out_shows_in_the_time_of_arrival() -> None:
    # as measured: Asterisk begins a second file 30 ms late and numbers it as if it had not
    packets = [packet(0, 0.3), packet(1, 0.32), packet(2, 0.37), packet(3, 0.39)]
    assert len(rtp.timeline(packets, 0.0)) == 2400 + 4 * 160
    assert rtp.arrived_ms(packets, 0.0, 320) == 320
    assert rtp.arrived_ms(packets, 0.0, 339) == 339
    assert rtp.arrived_ms(packets, 0.0, 340) == 370
    assert rtp.arrived_ms(packets, 0.0, 365) == 395


def test_before_the_first_packet_nothing_is_moved() -> None:
    assert rtp.arrived_ms([packet(0, 0.3)], 0.0, 100) == 100
    assert rtp.arrived_ms([], 0.0, 100) == 100


def ticks(sender: Sender, count: int) -> list[list[Packet]]:
    sent = [sender.tick(PCMA) for _ in range(count)]
    return [[p for d in datagrams if (p := rtp.parse(d, 0.0))] for datagrams in sent]


def test_a_telephone_sends_silence_every_20_ms() -> None:
    sent = ticks(Sender(ssrc=5), 3)
    assert [[(p.sequence, p.timestamp) for p in frame] for frame in sent] == [
        [(1, 0)],
        [(2, 160)],
        [(3, 320)],
    ]
    assert all(frame[0].payload == rtp.SILENCE[PCMA] for frame in sent)


def test_a_digit_is_one_event_that_grows_and_ends_three_times() -> None:
    sender = Sender(ssrc=5)
    sender.press("#", 60, 40)
    sent = ticks(sender, 6)
    events = [p for frame in sent for p in frame if p.payload_type == rtp.TELEPHONE_EVENT]
    assert {p.timestamp for p in events} == {0}
    assert [p.sequence for p in events] == [1, 2, 3, 4, 5]
    assert [struct.unpack("!BBH", p.payload) for p in events] == [
        (11, 10, 160),
        (11, 10, 320),
        *[(11, 0x8A, 480)] * 3,
    ]
    assert [frame[0].payload_type for frame in sent[3:]] == [PCMA] * 3


def test_digits_follow_each_other_after_their_pause() -> None:
    sender = Sender(ssrc=5)
    sender.press("1", 40, 40)
    sender.press("2", 40, 40)
    held = []
    for _ in range(8):
        sender.tick(PCMA)
        held.append(sender.held)
    assert held == ["1", None, None, None, "2", None, None, None]
