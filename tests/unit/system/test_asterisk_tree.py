from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.system.asterisk_tree import TreeUnavailable, find_tree, pick_mirror


def test_the_mirror_is_the_machines_own_main_archive() -> None:
    listing = (
        "'http://s.example/debian-security/dists/b/InRelease' s.example_debian-security 0\n"
        "'http://m.example/debian/dists/bookworm/InRelease' m.example_debian_dists 0\n"
    )
    assert pick_mirror(listing) == "http://m.example/debian/"


def test_a_machine_without_debian_is_told_what_to_do() -> None:
    with pytest.raises(TreeUnavailable, match="add one to"):
        pick_mirror("'http://packages.example/other/dists/x/InRelease' packages.example 0\n")


def test_without_a_tree_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(TreeUnavailable, match="make asterisk"):
        find_tree(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"libraries": 1}'])
def test_a_broken_tree_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/tree.json").write_text(text)
    with pytest.raises(TreeUnavailable):
        find_tree(tmp_path)


def test_programs_run_through_the_trees_own_loader(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    facts = {
        "suite": "forky",
        "asterisk_version": "22.1",
        "sipp_version": "3.8",
        "loader": "lib/ld.so",
        "libraries": ["lib/a", "usr/lib"],
    }
    (tmp_path / "tree/tree.json").write_text(json.dumps(facts))
    root = tmp_path / "tree"
    assert find_tree(tmp_path).command("usr/sbin/asterisk", "-V") == [
        f"{root}/lib/ld.so",
        *("--library-path", f"{root}/lib/a:{root}/usr/lib"),
        *(f"{root}/usr/sbin/asterisk", "-V"),
    ]
