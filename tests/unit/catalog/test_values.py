from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.values import (
    BadToneCode,
    NotAMobile,
    damm_digit,
    mask,
    parse_msisdn,
    parse_tone_code,
    yuan,
)

mobiles = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)


@pytest.mark.parametrize(
    "text",
    [
        "13905250001", "8613905250001", "+8613905250001", "008613905250001", "013905250001",
        "tel:+86-139-0525-0001", "tel:+8613905250001;phone-context=x", "sip:13905250001@host",
        "1259313905250001", "1795113905250001", "17951+8613905250001", " 139 0525 0001 ",
        "１３９０５２５０００１", "139-0525-0001",
    ],
)  # fmt: skip
def test_a_mobile_number_is_understood_in_every_usual_form(text: str) -> None:
    assert parse_msisdn(text) == "8613905250001"


@pytest.mark.parametrize(
    "text",
    [
        "", "anonymous", "unknown", "02583350000", "1064812345678", "+14155550100", "12530019",
        "1390525000", "139052500011", "23905250001", "861390525000a", "13905250001x",
        "99913905250001",
    ],
)  # fmt: skip
def test_anything_else_is_no_mobile_number(text: str) -> None:
    with pytest.raises(NotAMobile):
        parse_msisdn(text)


@given(mobiles)
def test_a_canonical_number_parses_to_itself(mobile: str) -> None:
    assert parse_msisdn(parse_msisdn(mobile)) == "86" + mobile


@given(st.text())
def test_a_mask_never_shows_the_middle_of_a_mobile_number(text: str) -> None:
    assert "13905250001" not in mask(text + "13905250001")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("8613905250001", "139****0001"),
        ("+86 139 0525 0001", "139****0001"),
        ("013905250001", "139****0001"),
        ("02583350000", "025****0000"),
        ("12345", "****"),
        ("anonymous", ""),
        ("sip:1390525000@10.0.0.1", "139****5000"),
    ],
)
def test_numbers_are_shown_masked(number: str, shown: str) -> None:
    assert mask(number) == shown


@pytest.mark.parametrize("text", ["1029", "１０２９", " 1029 ", "100", "12345678"])
def test_tone_codes_have_three_to_eight_digits(text: str) -> None:
    assert parse_tone_code(text).isascii()


@pytest.mark.parametrize("text", ["", "0129", "12", "123456789", "10a9", "²³⁴"])
def test_other_tone_codes_are_refused(text: str) -> None:
    with pytest.raises(BadToneCode):
        parse_tone_code(text)


def test_the_first_codes_are_those_printed_on_the_cards() -> None:
    codes = [f"{n}{damm_digit(str(n))}" for n in range(100, 112)]
    assert codes == [
        "1007", "1010", "1029", "1032", "1041", "1055",
        "1064", "1078", "1086", "1093", "1108", "1119",
    ]  # fmt: skip


@given(st.from_regex(r"[1-9][0-9]{2}", fullmatch=True), st.integers(0, 3), st.integers(1, 9))
def test_a_wrong_digit_never_gives_another_code(stem: str, place: int, by: int) -> None:
    code = stem + damm_digit(stem)
    wrong = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]
    assert damm_digit(wrong) != "0"


@given(st.from_regex(r"[1-9][0-9]{2}", fullmatch=True), st.integers(0, 2))
def test_two_swapped_neighbours_never_give_another_code(stem: str, place: int) -> None:
    code = stem + damm_digit(stem)
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert swapped == code or damm_digit(swapped) != "0"


@pytest.mark.parametrize(
    ("fen", "shown"), [(200, "2元"), (250, "2.5元"), (5, "0.05元"), (0, "0元"), (1999, "19.99元")]
)
def test_money_is_shown_in_yuan(fen: int, shown: str) -> None:
    assert yuan(fen) == shown
