"""`serve --workers`: several voice processes behind one port, and whatever may end one of them."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.asterisk import environment
from tests.system.line import ROOT, Line, Settings

WORKERS = ("--workers", "2")
FIRST_CALLER = 13_905_260_000
MOST = 40  # calls at once
PATIENCE_S = 20.0


class Call:
    """A caller, as Asterisk tells the line of him; he hears the tone until he does something."""

    def __init__(self, line: Line, number: int) -> None:
        self._socket = socket.create_connection(line.agi, PATIENCE_S)
        self._file = self._socket.makefile("rb")
        caller = str(FIRST_CALLER + number)
        self._socket.sendall(environment("125300191029", caller, uniqueid=f"w.{number}"))

    def hears(self, sound: str) -> Call:
        """Go on until a command names this sound, which then plays."""
        while sound not in (command := self.command()):
            assert command, f"the line has closed the connection before {sound}"
            self.answer("200 result=0 endpos=0" if "STREAM" in command else "200 result=0")
        return self

    def command(self) -> str:
        """The line's next command; empty when it has closed the connection."""
        try:
            return self._file.readline().decode()
        except ConnectionError:
            return ""

    def answer(self, answer: str) -> None:
        self._socket.sendall(answer.encode() + b"\n")

    def presses(self, key: str) -> Call:
        self.answer(f"200 result={ord(key)} endpos=800")
        return self

    def hangs_up(self) -> None:
        """Hang up in mid-sound, and see the line close."""
        self.answer("200 result=-1 endpos=800")
        while command := self.command():
            self.answer("511 Command Not Permitted on a dead channel" if command else "")
        self._socket.close()

    @property
    def is_over(self) -> bool:
        """Whether the line has closed the connection, or sent something."""
        return bool(select.select([self._socket], [], [], 0)[0])


@contextmanager
def calls(line: Line, count: int, first: int = 0) -> Iterator[list[Call]]:
    """So many callers who hear the tone."""
    running = [Call(line, first + number) for number in range(count)]
    for call in running:
        call.hears("/tones/1029")
    yield running


def by_worker(line: Line, count: int, first: int = 0) -> Counter[int]:
    """Which worker's log tells of how many calls of this crowd, once all have ended."""
    numbers = {masked(FIRST_CALLER + first + number) for number in range(count)}

    def ended() -> list[int]:
        return [e["worker"] for e in line.events("call_ended") if e["msisdn"] in numbers]

    line.wait_for(lambda: len(ended()) >= count, f"{count} calls end")
    return Counter(ended())


def masked(number: int) -> str:
    return f"{str(number)[:3]}****{str(number)[-4:]}"


def wait_until_gone(pids: Sequence[int]) -> None:
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended, _, _ = select.select([process], [], [], PATIENCE_S)
        os.close(process)
        assert ended, f"process {pid} goes on"


def voice(line: Line) -> str:
    detail: str = line.health()["services"]["voice"]["detail"]
    return detail


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers") / "directories"
    shutil.copytree(ROOT / "config" / "directories", folder)
    return folder


@pytest.fixture(scope="module")
def line(
    tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path, directories: Path
) -> Iterator[Line]:
    """A line that several tests use; each has callers of its own."""
    folder = tmp_path_factory.mktemp("workers") / "line"
    settings: Settings = {
        "agi": {"max_calls": MOST},
        "paths": {"var": str(folder / "var"), "directories": str(directories)},
    }
    with Line(folder, settings, sounds=prepared_sounds, options=WORKERS) as running:
        yield running


@pytest.fixture
def own_line(tmp_path: Path, prepared_sounds: Path) -> Iterator[Line]:
    """A line that a test may end; it leads a process group, as in a terminal."""
    with Line(
        tmp_path / "line", sounds=prepared_sounds, options=WORKERS, new_session=True
    ) as running:
        yield running


def test_calls_are_shared_and_told_as_of_one_process_and_the_limit_holds_for_all(
    line: Line,
) -> None:
    assert voice(line) == "2 of 2 workers, 0 calls"
    with calls(line, MOST) as running:
        assert voice(line) == f"2 of 2 workers, {MOST} calls"
        assert line.metrics()["toneline_calls_live"] == MOST
        refused = Call(line, 90)
        refused.hears("/busy").hangs_up()
        for call in running:
            call.hangs_up()
    shared = by_worker(line, MOST)
    assert min(shared[1], shared[2]) >= MOST // 3
    figures = line.metrics()
    assert figures["toneline_calls_live"] == 0
    assert figures["toneline_calls_total"] == MOST + 1
    assert figures["toneline_calls_refused_total"] == 1
    assert figures["toneline_agi_turnaround_seconds_count"] >= MOST * 3


def test_an_order_on_a_worker_is_provisioned_and_its_notice_sent(line: Line) -> None:
    line.command("phone", "125300191029", "--from", "13905261001", "--keys", "1,1")
    (notice,) = line.messages("13905261001", wait_s=20)
    assert "已订购" in notice["text"]
    (order,) = line.orders("13905261001")
    assert order["state"] == "provisioned"


def test_an_edition_that_is_published_is_followed_by_every_worker(
    line: Line, directories: Path
) -> None:
    file = directories / "yangzhou.yaml"
    songs = {"1029": "1064", "1064": "1029"}
    swapped = re.sub("1029|1064", lambda found: songs[found[0]], file.read_text("utf-8"))
    file.write_text(swapped, "utf-8")

    def followers() -> set[int | None]:
        return {event.get("worker") for event in line.events("catalogue_changed")}

    line.wait_for(lambda: followers() == {None, 1, 2}, "everybody follows")


def test_a_worker_that_is_killed_costs_its_own_calls_and_comes_back(line: Line) -> None:
    before = line.metrics()
    with calls(line, 20, first=200) as running:
        os.kill(line.worker_pids()[1], signal.SIGKILL)
        line.wait_for(lambda: bool(line.events("worker_died")), "its death is told")
        (died,) = line.events("worker_died")
        over = [call for call in running if call.is_over]
        assert died["worker"] == 1
        assert died["calls_lost"] == len(over) > 0
        going_on = [call for call in running if call not in over]
        assert going_on
        for call in going_on:
            call.presses("1").hears("/offer")
        line.wait_for(lambda: line.health()["status"] == "ok", "the line is well again")
        after = line.metrics()
        assert after["toneline_calls_live"] == len(going_on)
        assert after["toneline_calls_total"] == before["toneline_calls_total"] + 20
        turnarounds = "toneline_agi_turnaround_seconds_count"
        assert after[turnarounds] > before[turnarounds]
        with calls(line, 20, first=300) as again:
            for call in (*going_on, *again):
                call.hangs_up()
    assert by_worker(line, 20, first=300)[1] > 0
    assert line.metrics()["toneline_calls_total"] == before["toneline_calls_total"] + 40


def test_a_worker_that_hangs_is_told_by_health_and_keeps_nobody_waiting(line: Line) -> None:
    worker = line.worker_pids()[2]
    os.kill(worker, signal.SIGSTOP)
    try:
        with calls(line, 10, first=400) as running:
            for call in running:
                call.hangs_up()
        line.wait_for(lambda: line.health()["status"] == "failing", "health notices")
        assert voice(line) == "1 of 2 workers, 0 calls"
    finally:
        os.kill(worker, signal.SIGCONT)
    line.wait_for(lambda: line.health()["status"] == "ok", "health notices")


def test_signals_to_a_worker_are_its_parents_to_understand(line: Line) -> None:
    deaths = len(line.events("worker_died"))
    with calls(line, 4, first=500) as running:
        for pid in line.worker_pids().values():
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        for call in running:
            call.presses("1").hears("/offer").hangs_up()
    assert len(line.events("worker_died")) == deaths


def test_every_line_of_the_log_is_whole(line: Line) -> None:
    assert all(json.loads(text) for text in line.log().splitlines())


def test_a_drain_lets_the_calls_of_all_workers_finish_and_refuses_new_ones(own_line: Line) -> None:
    line = own_line
    everybody = [line.store_pid(), *line.worker_pids().values()]
    with calls(line, 20) as running:
        line.end()
        line.wait_for(lambda: voice(line) == "draining, 20 calls left", "it drains")
        for number in range(6):
            Call(line, 50 + number).hears("/closing").hangs_up()
        assert not any(call.is_over for call in running)
        for call in running:
            call.hangs_up()
    assert line.wait(PATIENCE_S) == 0
    wait_until_gone(everybody)
    assert sum(by_worker(line, 20).values()) == 20
    assert [event["cut"] for event in line.events("drained")] == [0]


def test_a_signal_to_the_whole_process_group_drains_and_a_second_ends_at_once(
    own_line: Line,
) -> None:
    line = own_line
    everybody = [line.store_pid(), *line.worker_pids().values()]
    with calls(line, 6) as running:
        os.killpg(line.pid, signal.SIGINT)
        line.wait_for(lambda: bool(line.events("ending")), "it drains")
        assert not any(call.is_over for call in running)

        def ends() -> bool:
            if line.events("ending_at_once"):
                return True
            os.killpg(line.pid, signal.SIGINT)
            return False

        line.wait_for(ends, "a second signal is a second later")
        assert line.wait(PATIENCE_S) == 0
    wait_until_gone(everybody)
    by_worker(line, 6)
    assert {event["outcome"] for event in line.events("call_ended")} == {"hung_up"}


def test_workers_end_with_a_parent_that_is_killed(own_line: Line) -> None:
    everybody = [own_line.store_pid(), *own_line.worker_pids().values()]
    with calls(own_line, 6) as running:
        os.kill(own_line.pid, signal.SIGKILL)
        wait_until_gone(everybody)
        assert all(call.is_over for call in running)
