from __future__ import annotations

from pathlib import Path

from config.load import load_settings
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


def test_every_number_and_file_that_settings_name_is_looked_at(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    environment = {
        "TONELINE_LINE__STAFF": '["abc"]',
        "TONELINE_PATHS__BRANCHES": str(missing),
        "TONELINE_SIMULATOR__SCRIPT": str(missing),
        "TONELINE_PATHS__VAR": str(tmp_path / "var"),
    }
    found = doctor.configured(load_settings(None, environment))
    assert not found.well
    assert "line.staff: 'abc' is not a mainland mobile number" in found.detail
    assert f"paths.branches: {missing}: No such file or directory" in found.detail
    assert f"simulator.script: {missing}: No such file or directory" in found.detail


def test_settings_with_which_the_line_starts_are_well() -> None:
    assert doctor.configured(load_settings(None, {})).well
