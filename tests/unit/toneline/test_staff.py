from __future__ import annotations

import pytest

from toneline.prepare import BadStaff, read_staff


def test_staff_numbers_may_be_written_in_any_usual_form() -> None:
    numbers = ["13905250001", "+86 139-0525-0001", "008613905250002"]
    assert read_staff(numbers) == {"8613905250001", "8613905250002"}


def test_what_is_no_mobile_number_is_refused_with_its_key() -> None:
    with pytest.raises(BadStaff, match="line.staff: '02584200000' is not a mainland mobile number"):
        read_staff(["13905250001", "02584200000"])
