"""Where ids come from."""

from __future__ import annotations

import time

from toneline.sources import new_id


def test_an_id_begins_with_its_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    assert before <= int(made[:12], 16) <= time.time_ns() // 1_000_000


def test_ids_of_one_moment_differ_and_are_32_lower_case_hexadecimal_digits() -> None:
    made = [new_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert all(len(one) == 32 and not one.strip("0123456789abcdef") for one in made)
