from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from audio.crew import Crew, Failed


def double(number: int) -> int:
    """Return twice the number; 13 brings bad luck, 99 the end."""
    match number:
        case 13:
            raise ValueError("bad luck")
        case 99:
            os.kill(os.getpid(), signal.SIGKILL)
        case 98:
            os._exit(3)
    return 2 * number


def done(size: int, *pieces: int) -> dict[int, Any]:
    return dict(Crew(double, size).do_all(pieces))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_every_piece_is_done_once(size: int) -> None:
    assert done(size, *range(12)) == {number: 2 * number for number in range(12)}
    assert done(size) == {}


def test_a_piece_that_fails_is_told_and_the_others_are_done() -> None:
    assert done(2, 1, 13, 3) == {0: 2, 1: Failed("ValueError: bad luck"), 2: 6}


def test_a_worker_that_is_killed_costs_its_own_piece_only() -> None:
    killed = Failed(
        "the process that worked on it was ended by SIGKILL; perhaps there was not enough memory"
    )
    ended = Failed("the process that worked on it ended with status 3")
    assert done(2, 99, 1, 98, 2, 99, 3) == {0: killed, 1: 2, 2: ended, 3: 4, 4: killed, 5: 6}
    assert done(1, 99, 99) == {0: killed, 1: killed}


def test_who_closes_the_iterator_leaves_no_process_behind() -> None:
    crew = Crew(pid_of, 2)
    outcomes = crew.do_all(range(10))
    _, pid = next(outcomes)
    outcomes.close()
    assert isinstance(pid, int)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def pid_of(_: int) -> int:
    return os.getpid()
