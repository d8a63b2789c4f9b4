from __future__ import annotations

import os

from twisted.internet.task import Clock

from toneline.workers.child import Lines, Worker
from toneline.workers.talk import Drain, Drained, End, Word


class Parent:
    """What a worker told, and with which status it left."""

    def __init__(self) -> None:
        self.told: list[Word] = []
        self.left: list[int] = []
        self.worker = Worker(Clock(), self.told.append, self.left.append)


def test_a_worker_whose_parent_is_gone_leaves_at_once() -> None:
    parent = Parent()
    parent.worker.orphaned()
    assert parent.left == [1]


def test_a_worker_may_be_told_to_end_before_it_began() -> None:
    parent = Parent()
    parent.worker.obey(Drain(60))
    parent.worker.obey(End())
    assert parent.told == [Drained(0)]
    assert parent.left == [0]


def test_log_lines_come_in_the_order_written_and_nobody_fails_when_they_are_not_read() -> None:
    reader, writer = os.pipe()
    lines = Lines(writer)
    lines.write("a call ended")
    lines.write("\n")
    lines.flush()
    assert os.read(reader, 100) == b"a call ended\n"
    os.close(reader)
    for _ in range(3):
        lines.write("x" * 100_000)
        lines.flush()
