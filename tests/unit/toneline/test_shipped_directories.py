"""The branches' files as they are shipped: a first start publishes them, and texts nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.branch_files import directory_files, read_path
from catalog.branches import BRANCHES, PROVINCE
from catalog.drafts import owner_of

SHIPPED = directory_files(Path("config/directories"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_is_its_owners_and_has_no_number_of_anybody(path: Path) -> None:
    written = read_path(path)
    assert (written.mistakes, owner_of(written)) == ((), path.stem)
    assert written.contact is None


def test_every_owner_has_one() -> None:
    assert sorted(path.stem for path in SHIPPED) == sorted((PROVINCE, *BRANCHES))
