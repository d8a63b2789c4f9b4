"""A caller, or somebody called: SIPp speaks SIP, the test presses keys and listens.

SIPp's messages to Asterisk pass through a *tap*, one UDP socket that forwards both ways, notes
when each message went by, and tells SIPp when the test wants to hang up (a request of our own
named HANGUP that the scenario waits for). Media goes straight to an RTP socket beside it. Both are
served by one thread a call. All times are seconds since the INVITE.
"""

from __future__ import annotations

import re
import secrets
import selectors
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from tests.ports import free_port
from tests.system import hearing, rtp
from tests.system.asterisk import Address, Asterisk
from tests.system.rtp import Samples

SCENARIOS = Path(__file__).parent / "scenarios"
LONGEST_CALL_S = 300
LOOK_AGAIN_S = 0.05
LATEST_PACKETS = 50  # the last second
FRAME_S = rtp.FRAME_SAMPLES / rtp.SAMPLES_PER_S
SO_TIMESTAMPNS = 35  # Linux: the kernel's arrival time, whatever this busy process does


class NotHeard(AssertionError):
    """What the test waited for did not come; the sentence tells what came instead."""


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One message as it passed the tap."""

    at_s: float
    from_line: bool
    first_line: str
    cseq: str
    text: str

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        return int(self.first_line.split()[1]) if self.first_line.startswith("SIP/2.0 ") else 0


@dataclass(frozen=True, slots=True)
class KeyPress:
    """When the key went down and came up."""

    digit: str
    down_s: float
    up_s: float


class Call:
    """A call that is being made; use as a context manager, which hangs up at its end.

    ``hidden`` withholds the caller's number from display, as the network does it. ``called_at``:
    the telephone does not call, it is called at this port, and does as its ``scenario`` says; it
    takes a call that came since it was made.
    """

    def __init__(
        self,
        asterisk: Asterisk,
        dialled: str,
        *,
        caller: str,
        hidden: bool = False,
        called_at: int = 0,
        scenario: str = "call",
    ) -> None:
        self.dialled = dialled
        self.caller = caller
        self.messages: list[SipMessage] = []
        self.keys: list[KeyPress] = []
        self._asterisk = asterisk
        self._hidden = hidden
        self._packets: list[rtp.Packet] = []
        self._start_s = 0.0
        self._payload_type = rtp.PCMA
        self._sender = rtp.Sender(ssrc=secrets.randbits(32))
        self._down_s = 0.0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._scenario = scenario
        self._sipp_address: Address | None = (
            ("127.0.0.1", free_port(socket.SOCK_DGRAM)) if called_at else None
        )
        self._media_address: Address | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="call-")
        self._tap = _udp_socket(called_at or free_port(socket.SOCK_DGRAM))
        self._media = _udp_socket(free_port(socket.SOCK_DGRAM))
        self._thread = threading.Thread(target=self._serve, name=f"call {caller}", daemon=True)
        self._sipp: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Call:
        """Send, or take, the INVITE."""
        self._thread.start()
        shown = '"Anonymous" <sip:anonymous@anonymous.invalid>'
        keys = {
            "tap": str(self._tap.getsockname()[1]),
            "media": str(self._media.getsockname()[1]),
            "caller": self.caller,
            "shown": shown if self._hidden else f"<sip:{self.caller}@127.0.0.1>",
            "privacy": "id" if self._hidden else "none",
        }
        self._sipp = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *self._asterisk.tree.command("usr/bin/sipp", *self._direction(keys["tap"])),
                *("-sf", str(SCENARIOS / f"{self._scenario}.xml"), "-i", "127.0.0.1", "-m", "1"),
                *("-nostdin", "-max_invite_retrans", "3", "-timeout", f"{LONGEST_CALL_S}s"),
                *("-timeout_error", "-default_behaviors", "all,-bye"),
                *("-trace_err", "-error_file", "errors"),
                *(word for key, value in keys.items() for word in ("-key", key, value)),
            ],
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        self._wait_for(lambda: bool(self.messages), 20.0, "there was no INVITE")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up if nobody has, and leave nothing behind."""
        try:
            if self._sipp is not None and self._sipp.poll() is None and self.messages:
                self._end()
        finally:
            self._stop()

    # What the caller does.

    def press(self, digits: str, *, length_ms: int = 80, pause_ms: int = 80) -> KeyPress:
        """Press the keys one after the other; returns when the last one is up."""
        self._wait_for(lambda: self._media_address is not None, 10.0, "there is no media yet")
        count = len(self.keys) + len(digits)
        with self._lock:
            for digit in digits:
                self._sender.press(digit, length_ms, pause_ms)
        self._wait_for(lambda: len(self.keys) >= count, 10.0, "keys were not sent")
        return self.keys[-1]

    def hang_up(self) -> None:
        """BYE, or CANCEL if the call is not answered; returns when the line has agreed."""
        self._end()

    def wait(self, seconds: float) -> None:
        """Only listen."""
        time.sleep(seconds)

    # What the caller hears.

    @property
    def audio(self) -> Samples:
        """Everything heard so far, from the INVITE on; ``heard`` knows the times better."""
        return rtp.timeline(self.packets, self._start_s)

    @property
    def packets(self) -> list[rtp.Packet]:
        """The RTP packets so far, their times by the kernel's clock."""
        with self._lock:
            return list(self._packets)

    def wait_until_heard(self, sound: str, *, up_to_ms: int = 0, timeout_s: float = 30.0) -> int:
        """Wait until ``sound`` (a stem below the sounds folder) is playing, past ``up_to_ms``.

        Returns the position in the file. Raises NotHeard with what was heard instead.
        """
        wanted = hearing.read_library(self._asterisk.sounds, sound)
        found: list[int] = []

        def heard() -> bool:
            position = hearing.position_ms(self._latest(), wanted)
            if position is not None and position >= up_to_ms:
                found.append(position)
            return bool(found)

        self._wait_for(heard, timeout_s, f"{sound} was not heard")
        return found[0]

    def wait_for_silence(self, milliseconds: int, *, timeout_s: float = 60.0) -> None:
        """Wait until the line has said nothing for so long."""

        def silent() -> bool:
            packets = self.packets
            last_ms = hearing.last_sound_ms(rtp.timeline(packets, self._start_s))
            ended_ms = rtp.arrived_ms(packets, self._start_s, last_ms - 1) if last_ms else 0
            return self.now_s * 1000 - ended_ms >= milliseconds

        self._wait_for(
            silent,
            timeout_s,
            f"the line was never silent for {milliseconds} ms",
        )

    def heard(self, library: hearing.Library) -> list[hearing.Heard]:
        """Which of these sounds were heard, in order; see hearing.recognise.

        ``from_ms`` and ``until_ms`` are when they came, on the clock of ``keys`` and ``messages``.
        """
        packets = self.packets

        def came(place_ms: int) -> int:
            return rtp.arrived_ms(packets, self._start_s, place_ms)

        return [
            replace(heard, from_ms=came(heard.from_ms), until_ms=came(heard.until_ms - 1) + 1)
            for heard in hearing.recognise(rtp.timeline(packets, self._start_s), library)
        ]

    # What became of the call.

    @property
    def now_s(self) -> float:
        """Seconds since the INVITE."""
        return time.time() - self._start_s

    @property
    def status(self) -> int:
        """The final status of the INVITE, 0 before there is one."""
        return self._final()[0]

    @property
    def answered_at_s(self) -> float | None:
        """When the line answered."""
        status, at_s = self._final()
        return at_s if status == 200 else None

    @property
    def ended_by_line(self) -> bool:
        """The line hung up."""
        return any(m.from_line and m.first_line.startswith("BYE ") for m in self.messages)

    def wait_until_answered(self, timeout_s: float = 20.0) -> float:
        """When the line answered, as soon as it has."""
        self._wait_for(lambda: self.status != 0, timeout_s, "the call was not answered")
        if self.answered_at_s is None:
            raise NotHeard(f"the call was refused with {self.status}")
        return self.answered_at_s

    def wait_until_ended(self, timeout_s: float = 60.0) -> None:
        """Wait for the line to hang up or refuse."""
        assert self._sipp is not None
        sipp = self._sipp
        self._wait_for(lambda: sipp.poll() is not None, timeout_s, "the call went on")

    # The machinery.

    def _direction(self, tap: str) -> tuple[str, ...]:
        if self._sipp_address is not None:
            return ("-p", str(self._sipp_address[1]))
        return (f"127.0.0.1:{tap}", "-s", self.dialled)

    def _final(self) -> tuple[int, float]:
        for message in self.messages:
            if message.from_line and message.status >= 200 and message.cseq.endswith("INVITE"):
                return message.status, message.at_s
        return 0, 0.0

    def _wait_for(self, condition: Callable[[], bool], timeout_s: float, sentence: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise NotHeard(f"{sentence} in {timeout_s:g} s; {self._account()}")
            time.sleep(LOOK_AGAIN_S)

    def _latest(self) -> Samples:
        packets = self.packets[-LATEST_PACKETS:]
        return rtp.timeline(packets, packets[0].at_s) if packets else rtp.timeline([], 0.0)

    def _account(self) -> str:
        arrow = {True: "<", False: ">"}
        lines = [f"{m.at_s:.2f} {arrow[m.from_line]} {m.first_line}" for m in self.messages]
        errors = Path(self._folder.name, "errors")
        complaint = errors.read_text(errors="replace")[:2000] if errors.exists() else ""
        return f"SIP: {'; '.join(lines)}. {len(self._packets)} RTP packets. {complaint}"

    def _end(self) -> None:
        assert self._sipp is not None
        call_id = re.search(r"(?m)^Call-ID: *(\S+)", self.messages[0].text)
        assert call_id is not None
        assert self._sipp_address is not None
        request = (
            "HANGUP sip:caller@127.0.0.1 SIP/2.0\r\n"
            "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK-hangup\r\n"
            "From: <sip:test@127.0.0.1>;tag=test\r\nTo: <sip:caller@127.0.0.1>\r\n"
            f"Call-ID: {call_id[1]}\r\nCSeq: 1 HANGUP\r\nContent-Length: 0\r\n\r\n"
        )
        self._tap.sendto(request.encode(), self._sipp_address)
        self.wait_until_ended(10.0)

    def _stop(self) -> None:
        if self._sipp is not None:
            self._sipp.kill()
            self._sipp.wait()
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._tap.close()
        self._media.close()
        self._folder.cleanup()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._tap, selectors.EVENT_READ, self._forward)
            selector.register(self._media, selectors.EVENT_READ, self._record)
            next_frame = time.monotonic()
            while not self._stopping.is_set():
                for key, _ in selector.select(max(0.0, next_frame - time.monotonic())):
                    key.data()
                if time.monotonic() >= next_frame:
                    self._speak()
                    next_frame += FRAME_S

    def _forward(self) -> None:
        datagram, source, at_s = _receive(self._tap)
        line = self._asterisk.sip_address
        if source == line:
            destination = self._sipp_address
        else:
            self._sipp_address, destination = source, line
        if destination is not None:
            self._note(datagram.decode("utf-8", "replace"), source == line, at_s)
            self._tap.sendto(datagram, destination)

    def _note(self, text: str, from_line: bool, at_s: float) -> None:
        if not self.messages:
            self._start_s = at_s
        cseq = re.search(r"(?m)^CSeq: *\d+ (\S+)", text)
        media = re.search(r"(?m)^m=audio (\d+) RTP/AVP (\d+)", text)
        if media and from_line:
            self._media_address = ("127.0.0.1", int(media[1]))
            self._payload_type = int(media[2])
        self.messages.append(
            SipMessage(
                at_s=at_s - self._start_s,
                from_line=from_line,
                first_line=text.split("\r\n", 1)[0],
                cseq=cseq[1] if cseq else "",
                text=text,
            )
        )

    def _record(self) -> None:
        datagram, _, at_s = _receive(self._media)
        packet = rtp.parse(datagram, at_s)
        if packet is not None and packet.payload_type in rtp.LINEAR:
            with self._lock:
                self._packets.append(packet)

    def _speak(self) -> None:
        if self._media_address is None:
            return
        before = self._sender.held
        with self._lock:
            packets = self._sender.tick(self._payload_type)
        for packet in packets:
            self._media.sendto(packet, self._media_address)
        held = self._sender.held
        if before is None and held is not None:
            self._down_s = self.now_s
        if before is not None and held is None:
            self.keys.append(KeyPress(before, self._down_s, self.now_s))


def _udp_socket(port: int) -> socket.socket:
    # Claimed, since a crowd's calls tell Asterisk of media ports all over what Linux gives away.
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    made.bind(("127.0.0.1", port))
    return made


def _receive(source: socket.socket) -> tuple[bytes, Address, float]:
    data, control, _, address = source.recvmsg(65535, 128)
    for level, kind, value in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", value[:16])
            return data, address, seconds + nanoseconds / 1e9
    return data, address, time.time()
