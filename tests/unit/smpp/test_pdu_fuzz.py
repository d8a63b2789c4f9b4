from __future__ import annotations

import pytest

from tests.fuzz.checks import PDUS_A_ROUND, run_round

ROUNDS = 500  # five such tests: half a million PDUs, about a minute


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_damaged_pdus_are_read_as_the_specification_says_and_break_no_session(seed: int) -> None:
    accepted = sum(run_round(seed, number) for number in range(ROUNDS))
    assert 0.1 < accepted / (ROUNDS * PDUS_A_ROUND) < 0.9
