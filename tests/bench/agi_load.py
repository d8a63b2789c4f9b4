"""Asterisk's side of many AGI calls at once: a load on a FastAGI server, and what it answers.

    python -m tests.bench.agi_load --port 4573 --calls 5000 --at-once 50

Prints one JSON document. A call sends an environment, answers each command at once (or after
`--think-ms`, the caller's time), presses keys where `--press` says so, hangs up in the command that
`--hang-up` names, and ends when the server closes. Turnaround is the time from an answer sent to
the next command received: what a caller's key may be lost in. It is read from one clock, right
after epoll has told of the command. What follows a command that `--apart` names is also shown by
itself: there a server may have something to do, such as storing an order. The first calls begin
spread over `--ramp-s`, so that callers who think do not march in step.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import re
import resource
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.fakes.asterisk import environment

STUCK_S = 30.0  # without a command: the call has failed

Pattern = re.Pattern[str]


@dataclass(slots=True)
class Load:
    """What to place: how many calls, whom they dial, what they press.

    A call has failed that ended with fewer than ``commands`` or before its ``hang_up``.
    """

    host: str
    port: int
    calls: int
    at_once: int
    dial: list[str]
    caller: int
    presses: list[tuple[Pattern, str]] = field(default_factory=list)
    hang_up: Pattern | None = None
    apart: Pattern | None = None
    think_s: float = 0.0
    commands: int = 1
    ramp_s: float = 0.0
    seconds: float = math.inf  # no call begins later


@dataclass(slots=True, eq=False)
class Call:
    """One call that is running."""

    connection: socket.socket
    caller: int
    opening: bytes
    presses: list[tuple[Pattern, str]]
    sent_at: float = 0.0
    received: bytes = b""
    commands: int = 0
    is_apart: bool = False
    hung_up: bool = False


@dataclass(slots=True)
class Measured:
    """What was seen from Asterisk's side, in seconds.

    ``turnarounds`` are all, ``apart`` those that followed a command which ``Load.apart`` names,
    ``rest`` the others; ``pressed`` tells who pressed which key when (`time.time()`).
    """

    first_commands: list[float] = field(default_factory=list)
    turnarounds: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)
    pressed: list[tuple[int, str, float]] = field(default_factory=list)
    calls: int = 0
    failed: int = 0
    commands: int = 0


class Generator:
    """Keeps ``load.at_once`` calls running until all of ``load.calls`` have ended."""

    def __init__(self, load: Load) -> None:
        self.measured = Measured()
        self._load = load
        self._selector = selectors.DefaultSelector()
        self._placed = 0
        self._running: set[Call] = set()
        self._due: list[tuple[float, int, Callable[[], None]]] = []  # a heap
        self._sequence = 0
        self._began = 0.0
        self._random = random.Random(1)

    def run(self) -> float:
        """Place all calls; returns the seconds it took."""
        self._began = looked = time.perf_counter()
        first = min(self._load.at_once, self._load.calls)
        for number in range(first):
            self._later(self._load.ramp_s * number / first, self._place)
        while self._running or self._due:
            ready = self._selector.select(self._until_next())
            now = time.perf_counter()
            for key, mask in ready:
                if mask & selectors.EVENT_WRITE:
                    self._open(key.data)
                else:
                    self._read(key.data, now)
            self._do_what_is_due()
            if now - looked > 1:
                looked = now
                self._end_stuck(now)
        return time.perf_counter() - self._began

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._due, (time.perf_counter() + delay_s, self._sequence, action))

    def _until_next(self) -> float:
        return max(0.0, self._due[0][0] - time.perf_counter()) if self._due else 1.0

    def _do_what_is_due(self) -> None:
        now = time.perf_counter()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()

    def _place(self) -> None:
        load, number = self._load, self._placed
        if number >= load.calls or time.perf_counter() - self._began > load.seconds:
            return
        self._placed += 1
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect_ex((load.host, load.port))
        caller = load.caller + number
        opening = environment(
            load.dial[number % len(load.dial)],
            str(caller),
            uniqueid=f"1763800000.{number}",
        )
        call = Call(connection, caller, opening, list(load.presses), time.perf_counter())
        self._running.add(call)
        self._selector.register(connection, selectors.EVENT_WRITE, call)

    def _open(self, call: Call) -> None:
        self._selector.modify(call.connection, selectors.EVENT_READ, call)
        self._send(call, call.opening)

    def _read(self, call: Call, now: float) -> None:
        try:
            data = call.connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._end(call, failed=self._is_short(call))
            return
        call.received += data
        if not call.received.endswith(b"\n"):
            return
        command, call.received = call.received.decode(), b""
        self._measure(call, now - call.sent_at)
        if self._load.think_s:
            pause_s = self._load.think_s * self._random.uniform(0.5, 1.5)
            self._later(pause_s, partial(self._answer, call, command))
        else:
            self._answer(call, command)

    def _is_short(self, call: Call) -> bool:
        if self._load.hang_up is not None:
            return not call.hung_up
        return call.commands < self._load.commands

    def _measure(self, call: Call, waited: float) -> None:
        measured = self.measured
        if call.commands == 0:
            measured.first_commands.append(waited)
        else:
            measured.turnarounds.append(waited)
            (measured.apart if call.is_apart else measured.rest).append(waited)
        call.commands += 1
        measured.commands += 1

    def _answer(self, call: Call, command: str) -> None:
        load = self._load
        call.is_apart = load.apart is not None and load.apart.search(command) is not None
        if load.hang_up is not None and load.hang_up.search(command):
            call.hung_up = True
            self._send(call, b"200 result=-1 endpos=800\nHANGUP\n")
            return
        key = key_for(command, call)
        if key is not None:
            self.measured.pressed.append((call.caller, key, time.time()))
        self._send(call, answer_to(command, key))

    def _send(self, call: Call, data: bytes) -> None:
        if call not in self._running:
            return
        try:
            call.connection.send(data)
        except OSError:
            self._end(call, failed=True)
        call.sent_at = time.perf_counter()

    def _end(self, call: Call, *, failed: bool) -> None:
        self._selector.unregister(call.connection)
        call.connection.close()
        self._running.discard(call)
        self.measured.calls += 1
        self.measured.failed += failed
        self._place()

    def _end_stuck(self, now: float) -> None:
        patience_s = STUCK_S + 2 * self._load.think_s
        for call in [call for call in self._running if now - call.sent_at > patience_s]:
            self._end(call, failed=True)


def key_for(command: str, call: Call) -> str | None:
    """The key of the first of ``call.presses`` whose pattern is in the command; each once."""
    for press in call.presses:
        if press[0].search(command):
            call.presses.remove(press)
            return press[1]
    return None


def answer_to(command: str, key: str | None) -> bytes:
    """Asterisk's answer to a command during which ``key`` is pressed, or none."""
    result, endpos = ("0", 8000) if key is None else (str(ord(key)), 800)
    if command.startswith("STREAM FILE"):
        return f"200 result={result} endpos={endpos}\n".encode()
    if command.startswith("WAIT FOR DIGIT"):
        return f"200 result={result}\n".encode()
    if command.startswith("HANGUP"):
        return b"200 result=1\nHANGUP\n"
    if command.startswith("SET VARIABLE"):
        return b"200 result=1\n"
    return b"200 result=0\n"


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and longest of ``seconds``, in milliseconds."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    last = len(ordered) - 1
    shares = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(ordered[last * share // 100] * 1e3, 3) for name, share in shares.items()}


def run(load: Load) -> dict[str, object]:
    """Place the load and tell what was measured."""
    generator = Generator(load)
    cpu_s = time.process_time()
    seconds = generator.run()
    cpu_s = time.process_time() - cpu_s
    measured = generator.measured
    return {
        "calls": measured.calls,
        "at_once": load.at_once,
        "think_ms": load.think_s * 1000,
        "failed": measured.failed,
        "commands": measured.commands,
        "seconds": round(seconds, 3),
        "calls_per_s": round(measured.calls / seconds, 1),
        "generator_cpu_us_a_command": round(cpu_s / max(measured.commands, 1) * 1e6),
        "first_command_ms": percentiles_ms(measured.first_commands),
        "turnaround_ms": percentiles_ms(measured.turnarounds),
        "turnaround_apart_ms": percentiles_ms(measured.apart),
        "turnaround_rest_ms": percentiles_ms(measured.rest),
    }


def allow_many_files() -> None:
    """Let this process have as many sockets as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _press(rule: str) -> tuple[Pattern, str]:
    pattern, _, key = rule.rpartition("=")
    return re.compile(pattern), key


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=math.inf, help="no call begins later")
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--ramp-s", type=float, default=0.0, help="in which the first calls begin")
    parser.add_argument("--dial", default="12530019", help="extensions, by comma, in turn")
    parser.add_argument("--caller", type=int, default=13905250000, help="the first; then + 1")
    parser.add_argument(
        "--press", action="append", default=[], metavar="REGEX=KEY", help="once a call"
    )
    parser.add_argument("--hang-up", type=re.compile, metavar="REGEX", help="in this command")
    parser.add_argument("--apart", type=re.compile, metavar="REGEX", help="shown by itself")
    parser.add_argument("--think-ms", type=float, default=0.0)
    parser.add_argument("--commands", type=int, default=1, help="a call with fewer has failed")
    given = vars(parser.parse_args())
    think_ms, presses = given.pop("think_ms"), [_press(rule) for rule in given.pop("press")]
    dial = given.pop("dial").split(",")
    allow_many_files()
    print(json.dumps(run(Load(**given, dial=dial, presses=presses, think_s=think_ms / 1000))))


if __name__ == "__main__":
    main()
