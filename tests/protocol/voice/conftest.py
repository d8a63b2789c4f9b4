"""What every test of the voice service on a real port has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests.protocol.voice.house import settled
from tests.reactor import leftovers, run_in_reactor


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    run_in_reactor(settled)
    assert leftovers() == []


@pytest.fixture
def events() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured
