from __future__ import annotations

import pytest

from store.database import LocalDatabase
from tests.fakes.shortcode import ShortCode


@pytest.fixture
def line(database: LocalDatabase) -> ShortCode:
    return ShortCode(database)
