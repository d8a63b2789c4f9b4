from __future__ import annotations

from datetime import timedelta

import pytest

from smpp.commands import relative_time
from smpp.messages import written


@pytest.mark.parametrize(
    ("number", "e164", "plus", "national"),
    [
        ("8613905250001", "8613905250001", "+8613905250001", "13905250001"),
        ("12530019", "12530019", "12530019", "12530019"),
        ("8651412345678", "8651412345678", "8651412345678", "8651412345678"),
    ],
)
def test_only_subscribers_numbers_are_rewritten(
    number: str, e164: str, plus: str, national: str
) -> None:
    assert [written(number, "e164"), written(number, "plus"), written(number, "national")] == [
        e164, plus, national,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("period", "text"),
    [
        (timedelta(minutes=15), "000000001500000R"),
        (timedelta(hours=48), "000002000000000R"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4.9), "000001020304000R"),
        (timedelta(seconds=-5), "000000000001000R"),
        (timedelta(days=400), "000028000000000R"),
    ],
)
def test_validity_is_written_relative(period: timedelta, text: str) -> None:
    assert relative_time(period) == text
