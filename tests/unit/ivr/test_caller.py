"""Who calls and what was dialled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.caller import Caller, Dialled, read_caller, read_dialled

ACCESS = ("12530019", "125300")


@pytest.mark.parametrize(
    ("number", "caller"),
    [
        ("13905250001", Caller("8613905250001", "mobile")),
        ("+8613905250001", Caller("8613905250001", "mobile")),
        ("013905250001", Caller("8613905250001", "mobile")),
        ("051487654321", Caller(None, "landline")),
        ("02587654321", Caller(None, "landline")),
        ("+862587654321", Caller(None, "landline")),
        ("8765 4321", Caller(None, "landline")),
        ("1440123456789", Caller(None, "iot")),
        ("861064912345678", Caller(None, "iot")),
        ("10086", Caller(None, "unknown")),
        ("+4915112345678", Caller(None, "unknown")),
        ("anonymous", Caller(None, "unknown")),
        ("unknown", Caller(None, "unknown")),
        ("", Caller(None, "unknown")),
    ],
)
def test_a_caller_is_a_mobile_or_why_he_is_none(number: str, caller: Caller) -> None:
    assert read_caller({"agi_callerid": number}) == caller


def test_a_call_of_our_own_names_its_number_in_the_argument() -> None:
    environment = {"agi_arg_1": "8613905250001", "agi_callerid": "12530019"}
    assert read_caller(environment).msisdn == "8613905250001"


def test_an_empty_argument_is_none() -> None:
    environment = {"agi_arg_1": " ", "agi_callerid": "13905250001"}
    assert read_caller(environment).msisdn == "8613905250001"


def test_no_environment_is_an_unknown_caller() -> None:
    assert read_caller({}) == Caller(None, "unknown")


@pytest.mark.parametrize(
    ("extension", "area_code", "code"),
    [
        ("12530019", None, ""),
        ("125300191029", None, "1029"),
        ("125300191029#", None, "1029"),
        ("1253001029", None, "1029"),
        ("051412530019", "0514", ""),
        ("0514125300191029", "0514", "1029"),
        ("02512530019", "025", ""),
        ("+8612530019", None, ""),
        ("+86251253001910290", "025", "10290"),
        ("+8651412530019", "0514", ""),
        ("008612530019", None, ""),
        ("s", None, ""),
        ("10086", None, ""),
        ("12530019*1029", None, ""),
        ("", None, ""),
    ],
)
def test_what_was_dialled(extension: str, area_code: str | None, code: str) -> None:
    assert read_dialled(extension, ACCESS) == Dialled(extension, area_code, code)


@given(st.text(), st.text())
def test_any_text_is_a_caller_and_something_dialled(number: str, extension: str) -> None:
    caller = read_caller({"agi_callerid": number})
    assert (caller.kind == "mobile") == (caller.msisdn is not None)
    dialled = read_dialled(extension, ACCESS)
    assert dialled.code == "" or dialled.code.isdigit()
