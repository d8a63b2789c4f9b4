from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from toneline.presence import Presence, appear


def here(folder: Path, token: str, machine: str = "host") -> Presence:
    return appear(folder, machine, 7, token)


def test_who_lives_is_not_dead(tmp_path: Path) -> None:
    first, second = here(tmp_path, "a"), here(tmp_path, "b")
    assert (first.host, second.host) == ("host/7/a", "host/7/b")
    assert (first.dead, second.dead) == ((), ())


def test_who_has_gone_is_dead_until_forgotten_though_another_has_his_pid(tmp_path: Path) -> None:
    here(tmp_path, "a").leave()
    second = here(tmp_path, "b")
    assert second.dead == ("host/7/a",)
    assert here(tmp_path, "c").dead == ("host/7/a",)
    second.forget(second.dead)
    assert here(tmp_path, "d").dead == ("host/7/c",)


def test_a_process_that_was_killed_is_dead(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from toneline.presence import appear;"
        "here = appear(Path(sys.argv[1]), 'host', 8, 'x'); print(here.host, flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "host/8/x\n"
        assert here(tmp_path, "a").dead == ()
        process.kill()
    assert "host/8/x" in here(tmp_path, "b").dead


def test_of_other_machines_that_share_the_folder_nothing_is_concluded(tmp_path: Path) -> None:
    here(tmp_path, "a", "elsewhere").leave()
    assert here(tmp_path, "b").dead == ()


def test_a_host_s_name_leaves_room_for_a_claim_s_own(tmp_path: Path) -> None:
    machine = "a-very-long-name-of-a-machine.example"
    assert len(appear(tmp_path, machine, 4_194_304, "0123456789abcdef").host) <= 31
