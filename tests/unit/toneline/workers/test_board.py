from __future__ import annotations

import os

from toneline.workers.board import SILENT_S, Board


def test_a_worker_knows_at_once_how_many_calls_the_others_have() -> None:
    parents = Board.make(3)
    first, second = (Board(os.dup(parents.fileno), 3) for _ in range(2))
    others = second.calls_of_others(2)
    first.rows[0].counts.calls_live = 4
    second.rows[1].counts.calls_live = 10
    assert others() == 4
    assert first.calls_of_others(1)() == 10
    assert parents.calls_live() == 14


def test_what_a_dead_worker_counted_stays_and_its_calls_go() -> None:
    board = Board.make(2)
    for counts in board.counts:
        counts.calls_live, counts.calls_total = 2, 7
    assert board.bury(1) == 2
    assert board.calls_live() == 2
    assert [counts.calls_total for counts in board.counts] == [7, 7]
    assert board.bury(1) == 0


def test_a_worker_without_a_sign_of_life_is_not_well() -> None:
    board = Board.make(2)
    board.rows[1].beat_s = 100.0
    assert board.is_well(2, 100.0 + SILENT_S / 2)
    assert not board.is_well(2, 100.0 + SILENT_S)
    assert not board.is_well(1, 100.0)
