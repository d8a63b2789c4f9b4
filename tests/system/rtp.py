"""RTP as a telephone speaks it: G.711 in and out, RFC 4733 digits, a timeline of what came.

Pure: packets and times in, packets and samples out. Audio is 16-bit at 8 kHz.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
SAMPLES_PER_S = 8000
FRAME_SAMPLES = 160  # 20 ms, what both sides send
PCMU, PCMA, TELEPHONE_EVENT = 0, 8, 101
SILENCE = {PCMU: b"\xff" * FRAME_SAMPLES, PCMA: b"\xd5" * FRAME_SAMPLES}
EVENTS = {key: code for code, key in enumerate("0123456789*#")}
END_PACKETS = 3  # RFC 4733 section 2.5.1.4: the final packet three times
HEADER = struct.Struct("!BBHII")


def _alaw_table() -> Samples:
    codes = np.arange(256, dtype=np.int32) ^ 0x55
    exponent, mantissa = (codes & 0x70) >> 4, codes & 0x0F
    value = np.where(
        exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0)
    )
    return np.where(codes & 0x80, value, -value).astype(np.int16)


def _ulaw_table() -> Samples:
    codes = ~np.arange(256, dtype=np.int32) & 0xFF
    value = ((((codes & 0x0F) << 3) + 0x84) << ((codes & 0x70) >> 4)) - 0x84
    return np.where(codes & 0x80, -value, value).astype(np.int16)


LINEAR = {PCMA: _alaw_table(), PCMU: _ulaw_table()}


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet and when the kernel got it (seconds, any epoch)."""

    at_s: float
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(datagram: bytes, at_s: float) -> Packet | None:
    """The packet, or None if these bytes are no plain RTP."""
    if len(datagram) < HEADER.size or datagram[0] != 0x80:
        return None
    _, kind, sequence, timestamp, ssrc = HEADER.unpack_from(datagram)
    return Packet(at_s, kind & 0x7F, sequence, timestamp, ssrc, datagram[HEADER.size :])


def timeline(packets: list[Packet], start_s: float) -> Samples:
    """What was heard from ``start_s`` on; where nothing came there is silence (zeros).

    A packet stands where its RTP timestamp puts it, so a late one makes no hole in a file; where
    timestamps jump against the clock by more than 2 s, the clock counts. Asterisk's timestamps
    leave out the short time between two files, so later places are too early by some 20 ms a file:
    ``arrived_ms`` tells when a place was really heard.
    """
    placed = [
        (position, LINEAR[packet.payload_type][np.frombuffer(packet.payload, np.uint8)])
        for position, packet in _placed(packets, start_s)
        if position >= 0
    ]
    length = max((position + len(samples) for position, samples in placed), default=0)
    audio = np.zeros(length, np.int16)
    for position, samples in placed:
        audio[position : position + len(samples)] = samples
    return audio


def arrived_ms(packets: list[Packet], start_s: float, place_ms: float) -> int:
    """When the sound at ``place_ms`` of the timeline came, by the kernel's clock."""
    place = round(place_ms * SAMPLES_PER_S / 1000)
    placed = _placed(packets, start_s)
    number = bisect_right(placed, place, key=lambda one: one[0]) - 1
    if number < 0:
        return round(place_ms)
    position, packet = placed[number]
    return round((packet.at_s - start_s) * 1000 + (place - position) * 1000 / SAMPLES_PER_S)


def _placed(packets: list[Packet], start_s: float) -> list[tuple[int, Packet]]:
    placed: list[tuple[int, Packet]] = []
    previous: Packet | None = None
    position = length = 0
    for packet in packets:
        arrived = round((packet.at_s - start_s) * SAMPLES_PER_S)
        if previous is None:
            position = arrived
        elif _starts_anew(previous, packet):
            position = max(position + length, arrived)
        else:
            step = _step(previous, packet)
            # Asterisk advances the timestamp of a file's last, shorter frame by that frame's length
            position += length if abs(step - length) < FRAME_SAMPLES else step
        previous, length = packet, len(packet.payload)
        placed.append((position, packet))
    return placed


def _starts_anew(previous: Packet, packet: Packet) -> bool:
    if packet.ssrc != previous.ssrc:
        return True
    by_clock = (packet.at_s - previous.at_s) * SAMPLES_PER_S
    return abs(_step(previous, packet) - by_clock) > 2 * SAMPLES_PER_S


def _step(previous: Packet, packet: Packet) -> int:
    return (packet.timestamp - previous.timestamp + 2**31) % 2**32 - 2**31


class Sender:
    """The telephone's own stream: a packet every 20 ms, silence or the digit being pressed."""

    def __init__(self, ssrc: int, sequence: int = 0, timestamp: int = 0) -> None:
        self._ssrc = ssrc
        self._sequence = sequence
        self._timestamp = timestamp
        self._digit: _Digit | None = None
        self._queue: list[_Digit] = []

    def press(self, digit: str, length_ms: int, pause_ms: int) -> None:
        """Queue a digit, held ``length_ms`` (40 at least), silence of ``pause_ms`` after it."""
        self._queue.append(_Digit(digit, max(2, length_ms // 20), pause_ms // 20))

    @property
    def held(self) -> str | None:
        """The key that is down now."""
        digit = self._digit
        return digit.digit if digit is not None and digit.frames < digit.length else None

    def tick(self, payload_type: int) -> list[bytes]:
        """The packets of the next 20 ms."""
        if self._digit is None and self._queue:
            self._digit = replace(self._queue.pop(0), started=self._timestamp)
        packets = self._digit_packets() if self._digit else []
        if not packets:
            packets = [self._packet(payload_type, self._timestamp, SILENCE[payload_type])]
        self._timestamp = (self._timestamp + FRAME_SAMPLES) % 2**32
        return packets

    def _digit_packets(self) -> list[bytes]:
        digit = self._digit
        assert digit is not None
        digit.frames += 1
        if digit.frames > digit.length:
            digit.pause -= 1
            if digit.pause <= 0:
                self._digit = None
            return []
        ended = digit.frames == digit.length
        body = struct.pack(
            "!BBH", EVENTS[digit.digit], (0x80 if ended else 0) | 10, digit.frames * FRAME_SAMPLES
        )
        kind = TELEPHONE_EVENT | (0x80 if digit.frames == 1 else 0)
        return [self._packet(kind, digit.started, body) for _ in range(END_PACKETS if ended else 1)]

    def _packet(self, kind: int, timestamp: int, payload: bytes) -> bytes:
        self._sequence = (self._sequence + 1) % 2**16
        return HEADER.pack(0x80, kind, self._sequence, timestamp, self._ssrc) + payload


@dataclass(slots=True)
class _Digit:
    digit: str
    length: int  # frames of 20 ms
    pause: int
    started: int = 0  # RTP timestamp
    frames: int = 0
