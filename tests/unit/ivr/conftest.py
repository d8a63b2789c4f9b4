"""A whole line for each test of a call."""

from __future__ import annotations

import pytest

from tests.fakes.line import LineFixture


@pytest.fixture
def line() -> LineFixture:
    return LineFixture()
