from __future__ import annotations

from pathlib import Path

from toneline import doctor


def test_a_host_where_nothing_waits_is_well(tmp_path: Path) -> None:
    (found,) = doctor.kept(tmp_path / "not there")
    assert (found.well, found.detail) == (True, "0 files, 0 bytes wait for the database")


def test_requests_that_wait_are_counted_and_well(tmp_path: Path) -> None:
    (tmp_path / "a.kept").write_bytes(b"12345")
    (found,) = doctor.kept(tmp_path)
    assert (found.well, found.detail) == (True, "1 files, 5 bytes wait for the database")


def test_requests_that_failed_are_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.failed").touch()
    (found,) = doctor.kept(tmp_path)
    assert not found.well
    assert "a.failed" in found.detail
    assert "rename the file to *.kept" in found.todo
