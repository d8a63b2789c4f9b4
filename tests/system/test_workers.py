"""`serve --workers`: several voice processes behind one port, and whatever may end one of them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.asterisk import environment
from tests.system.line import Line

WORKERS = ("--workers", "2")
FIRST_CALLER = 13_905_260_000
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


def by_worker(line: Line) -> Counter[int]:
    """How many calls each worker's log tells the end of."""
    return Counter(event["worker"] for event in line.events("call_ended"))


def wait_for_ends(line: Line, count: int) -> None:
    line.wait_for(lambda: len(line.events("call_ended")) >= count, f"{count} calls end")


def wait_until_gone(pids: Sequence[int]) -> None:
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended, _, _ = select.select([process], [], [], PATIENCE_S)
        os.close(process)
        assert ended, f"process {pid} goes on"


@pytest.fixture
def line(tmp_path: Path, prepared_sounds: Path) -> Iterator[Line]:
    with Line(tmp_path / "line", sounds=prepared_sounds, options=WORKERS) as running:
        yield running


def test_calls_are_shared_and_everything_is_told_as_of_one_process(line: Line) -> None:
    assert line.health()["services"]["voice"]["detail"] == "2 of 2 workers, 0 calls"
    with calls(line, 40) as running:
        assert line.health()["services"]["voice"]["detail"] == "2 of 2 workers, 40 calls"
        assert line.metrics()["toneline_calls_live"] == 40
        for call in running:
            call.hangs_up()
    wait_for_ends(line, 40)
    assert sorted(by_worker(line)) == [1, 2]
    assert min(by_worker(line).values()) >= 4
    figures = line.metrics()
    assert figures["toneline_calls_live"] == 0
    assert figures["toneline_calls_total"] == 40
    assert figures["toneline_agi_turnaround_seconds_count"] >= 40 * 3
    assert not [text for text in line.log().splitlines() if not json.loads(text)]


def test_an_order_on_a_worker_is_provisioned_and_its_notice_sent(line: Line) -> None:
    line.command("phone", "125300191029", "--from", "13905261001", "--keys", "1,1")
    (notice,) = line.messages("13905261001", wait_s=20)
    assert "已订购" in notice["text"]
    (order,) = line.orders("13905261001")
    assert order["state"] == "provisioned"


def test_an_edition_that_is_published_is_heard_on_every_worker(line: Line) -> None:
    line.command("tones", "suspend", "1029", "--reason", "a test")
    for worker in line.worker_pids():
        line.wait_for(
            lambda worker=worker: any(  # type: ignore[misc]  # mypy has no lambda's defaults
                event.get("worker") == worker for event in line.events("catalogue_changed")
            ),
            f"worker {worker} follows the catalogue",
        )


def test_a_worker_that_is_killed_costs_its_own_calls_and_comes_back(line: Line) -> None:
    with calls(line, 20) as running:
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
        assert line.metrics()["toneline_calls_live"] == len(going_on)
        assert line.metrics()["toneline_calls_total"] == 20
    with calls(line, 20, first=100) as again:
        assert line.metrics()["toneline_calls_total"] == 40
        for call in (*going_on, *again):
            call.hangs_up()
    wait_for_ends(line, 20 + len(going_on))
    assert sorted(by_worker(line)) == [1, 2]


def test_the_limit_holds_for_all_workers_together(tmp_path: Path, prepared_sounds: Path) -> None:
    limited = {"agi": {"max_calls": 12}}
    with (
        Line(tmp_path / "line", limited, sounds=prepared_sounds, options=WORKERS) as line,
        calls(line, 12) as running,
    ):
        refused = Call(line, 50).hears("/busy")
        refused.hangs_up()
        running.pop().hangs_up()
        wait_for_ends(line, 1)
        running.append(Call(line, 51).hears("/tones/1029"))
        assert line.metrics()["toneline_calls_refused_total"] == 1
        assert line.metrics()["toneline_calls_live"] == 12


def test_a_drain_lets_all_calls_of_all_workers_finish_and_refuses_new_ones(line: Line) -> None:
    everybody = [line.store_pid(), *line.worker_pids().values()]
    with calls(line, 20) as running:
        line.end()
        line.wait_for(lambda: line.health()["services"]["voice"]["status"] != "ok", "it drains")
        assert line.health()["services"]["voice"]["detail"] == "draining, 20 calls left"
        for number in range(6):
            Call(line, 50 + number).hears("/closing").hangs_up()
        assert not any(call.is_over for call in running)
        for call in running:
            call.hangs_up()
    assert line.wait(PATIENCE_S) == 0
    wait_until_gone(everybody)
    assert sum(by_worker(line).values()) == 20
    assert [event["cut"] for event in line.events("drained")] == [0]


def test_a_signal_to_the_whole_process_group_drains_and_a_second_ends_at_once(
    tmp_path: Path, prepared_sounds: Path
) -> None:
    with (
        Line(tmp_path / "line", sounds=prepared_sounds, options=WORKERS, new_session=True) as line,
        calls(line, 6) as running,
    ):
        everybody = [line.store_pid(), *line.worker_pids().values()]
        os.killpg(line.pid, signal.SIGINT)
        line.wait_for(lambda: bool(line.events("ending")), "it drains")
        assert not any(call.is_over for call in running)

        def ends() -> bool:
            os.killpg(line.pid, signal.SIGINT)
            return bool(line.events("ending_at_once"))

        line.wait_for(ends, "a second signal is a second later")
        assert line.wait(PATIENCE_S) == 0
        wait_until_gone(everybody)
        wait_for_ends(line, 6)
        assert {event["outcome"] for event in line.events("call_ended")} == {"hung_up"}


def test_workers_end_with_a_parent_that_is_killed(line: Line) -> None:
    everybody = [line.store_pid(), *line.worker_pids().values()]
    with calls(line, 6) as running:
        os.kill(line.pid, signal.SIGKILL)
        wait_until_gone(everybody)
        assert all(call.is_over for call in running)


def test_a_worker_that_hangs_is_told_by_health(line: Line) -> None:
    worker = line.worker_pids()[2]
    os.kill(worker, signal.SIGSTOP)
    line.wait_for(lambda: line.health()["status"] == "failing", "health notices")
    assert line.health()["services"]["voice"]["detail"] == "1 of 2 workers, 0 calls"
    os.kill(worker, signal.SIGCONT)
    line.wait_for(lambda: line.health()["status"] == "ok", "health notices")


def test_a_terminals_signals_to_a_worker_are_its_parents_to_understand(line: Line) -> None:
    with calls(line, 4) as running:
        for pid in line.worker_pids().values():
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        for call in running:
            call.presses("1").hears("/offer").hangs_up()
    assert line.events("worker_died") == []
