from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.codes import codes, codes_to_give, is_checked, next_codes, slips
from catalog.values import parse_tone_code
from tests.fakes.catalogue import CODES

FOUR = tuple(codes())
any_codes = st.from_regex(r"[1-9][0-9]{2,4}", fullmatch=True)


def test_there_are_nine_hundred_of_four_digits_and_the_first_are_those_on_the_cards() -> None:
    assert len(set(FOUR)) == 900
    assert FOUR[:12] == CODES[:12]
    assert all(is_checked(code) and parse_tone_code(code) == code for code in FOUR)


def test_no_two_codes_are_one_digit_or_one_swap_apart() -> None:
    for digits in (4, 5):
        given_out = set(codes(digits))
        assert not any(slip in given_out for code in given_out for slip in slips(code))


@given(st.sets(st.sampled_from(FOUR)), st.sets(any_codes, max_size=20), st.integers(1, 30))
def test_what_is_allocated_is_never_one_slip_from_another_code(
    taken: set[str], quarantined: set[str], count: int
) -> None:
    known = {*taken, *quarantined}
    for _ in range(count):
        code = next(codes_to_give(known, ()))
        assert code not in known
        assert not known & set(slips(code))
        known.add(code)


@given(st.sets(st.sampled_from(FOUR[:40])), st.sets(st.sampled_from(FOUR[:40])))
def test_the_lowest_free_code_comes_next_and_worn_ones_last(
    taken: set[str], worn: set[str]
) -> None:
    given_out = list(islice(codes_to_give(taken, (), worn), 900 - len(taken)))
    fresh = [code for code in FOUR if code not in taken and code not in worn]
    assert given_out == fresh + [code for code in FOUR if code in worn - taken]


def test_a_code_in_quarantine_is_left_out() -> None:
    assert next_codes(3, {"1007"}, {"1010", "1032"}) == ("1029", "1041", "1055")


def test_an_operators_own_code_keeps_its_neighbours_free() -> None:
    assert next_codes(2, {"1006"}, ()) == ("1010", "1029")


def test_five_digits_follow_the_last_of_four() -> None:
    assert next(codes_to_give(set(FOUR[1:]), ())) == "1007"
    assert next(codes_to_give(set(FOUR), ())) == next(codes(5))
    assert next(codes(5)) == "10008"


@pytest.mark.parametrize(("code", "count"), [("1029", 4 * 9 + 3), ("111", 27)])
def test_slips_are_wrong_digits_and_swapped_neighbours(code: str, count: int) -> None:
    found = list(slips(code))
    assert len(found) == count
    assert code not in found
