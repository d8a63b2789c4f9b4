from __future__ import annotations

import os

from toneline.workers.board import LEAD, SILENT_S, Board


def test_a_worker_knows_at_once_how_many_calls_the_others_have() -> None:
    parents = Board.make(3)
    first, second = (Board(os.dup(parents.fileno), 3) for _ in range(2))
    others = second.calls_of_others(2)
    first.rows[0].counts.calls_live = 4
    second.rows[1].counts.calls_live = 10
    assert others() == 4
    assert first.calls_of_others(1)() == 10
    assert parents.calls_live() == 14


def board_of(workers: int) -> Board:
    board = Board.make(workers)
    for row in board.rows:
        row.beat_s = 1.0
    return board


def test_a_worker_has_room_until_it_is_clearly_ahead_of_another() -> None:
    board = board_of(3)
    room = board.room(2)
    for counts, callers in zip(board.counts, (9, 5, 3), strict=True):
        counts.connections_live = callers
    assert room() == 1
    board.counts[1].connections_live += 1
    assert room() == 0
    board.counts[2].connections_live += 4
    assert room() == 4
    board.bury(1)
    board.counts[1].connections_live = 20
    assert room() == 0
    board.bury(3)
    assert room() > 0, "nobody else is there"


def test_with_many_callers_a_lead_may_be_larger() -> None:
    board = board_of(2)
    board.counts[0].connections_live, board.counts[1].connections_live = 256, 250
    assert board.room(1)() == LEAD + 16 - 6


def test_a_worker_that_is_alone_has_room_for_everybody() -> None:
    board = Board.make(1)
    board.counts[0].connections_live = 100_000
    assert board.room(1)() > 0


def test_what_a_dead_worker_counted_stays_and_its_calls_go() -> None:
    board = Board.make(2)
    for counts in board.counts:
        counts.connections_live, counts.calls_live, counts.calls_total = 3, 2, 7
    assert board.bury(1) == 2
    assert board.calls_live() == 2
    assert [counts.connections_live for counts in board.counts] == [0, 3]
    assert [counts.calls_total for counts in board.counts] == [7, 7]
    assert board.bury(1) == 0


def test_a_worker_without_a_sign_of_life_is_not_well() -> None:
    board = Board.make(2)
    board.rows[1].beat_s = 100.0
    assert board.is_well(2, 100.0 + SILENT_S / 2)
    assert not board.is_well(2, 100.0 + SILENT_S)
    assert not board.is_well(1, 100.0)
