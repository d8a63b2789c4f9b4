from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from store.restarts import FIRST_BACKOFF_S, LONGEST_BACKOFF_S, SETTLED_S, Restarts

SHORT_S = st.floats(0, SETTLED_S, exclude_max=True)


def test_the_first_death_is_answered_at_once_and_the_next_ones_less_and_less_often() -> None:
    restarts = Restarts()
    delays = [restarts.delay_s(1.0) for _ in range(10)]
    assert delays[:5] == [0.0, FIRST_BACKOFF_S, 0.2, 0.4, 0.8]
    assert delays[-1] == LONGEST_BACKOFF_S


@given(st.lists(SHORT_S, max_size=12))
def test_what_lived_a_while_is_replaced_at_once_whatever_was_before(lived_s: list[float]) -> None:
    restarts = Restarts()
    for each in lived_s:
        assert 0.0 <= restarts.delay_s(each) <= LONGEST_BACKOFF_S
    assert restarts.delay_s(SETTLED_S) == 0.0
    assert restarts.delay_s(1.0) == FIRST_BACKOFF_S
