"""Orders and calls while the store cannot take them: they outlive the line, killed or not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.scene import Scene, prompt, scene
from tests.system.sip import Call

DIALLED = "125300191029"
CALLER = "13905250101"


@contextmanager
def offered(opened: Scene) -> Iterator[Call]:
    """A caller who has heard all of an offer and has not confirmed it yet."""
    with opened.call(DIALLED, CALLER) as call:
        call.wait_until_heard(opened.tone("1029"), up_to_ms=1000)
        call.press("1")
        call.wait_until_heard(prompt("offer_confirm"), up_to_ms=500)
        yield call


def kept(opened: Scene) -> int:
    """How many requests are on the disk: a pickle begins in each."""
    folder = opened.line.folder / "var" / "kept"
    return sum(file.read_bytes().count(b"\0\x80\x05") for file in folder.glob("*.kept"))


@pytest.mark.parametrize("options", [(), ("--workers", "1")], ids=["alone", "worker"])
def test_what_a_caller_was_told_is_accepted_survives_the_death_of_the_line(
    tmp_path: Path, prepared_sounds: Path, options: tuple[str, ...]
) -> None:
    with scene(tmp_path / "line", prepared_sounds, options=options) as opened:
        line = opened.line
        with offered(opened) as call:
            store = line.store_pid()
            os.kill(store, signal.SIGSTOP)
            call.press("1")
            call.wait_until_heard(prompt("order_accepted"), up_to_ms=1000)
            assert kept(opened) == 1, "it was said before it was on the disk"
            call.hang_up()
        line.wait_for(lambda: kept(opened) == 2, "the call is on the disk as well")
        os.kill(line.pid, signal.SIGKILL)
        line.wait(30)
        os.kill(store, signal.SIGKILL)
        line.__enter__()
        line.wait_for(lambda: len(line.orders(CALLER)) == 1, "the order is placed")
        assert [sms["text"] for sms in line.messages(CALLER, wait_s=20) if "已订购" in sms["text"]]
        line.wait_for(lambda: bool(line.trace(CALLER, "call_ended")), "the call is on record")
        heard = [event["detail"]["sound"] for event in line.trace(CALLER, "played")]
        assert heard[-1] == "prompts/zh_CN/order_accepted"
        assert kept(opened) == 0


def test_what_a_full_database_could_not_take_is_done_when_there_is_room(
    tmp_path: Path, prepared_sounds: Path
) -> None:
    with scene(tmp_path / "line", prepared_sounds) as opened:
        line = opened.line
        with offered(opened) as call:
            line.fill_its_disk()
            call.press("1")
            call.wait_until_heard(prompt("ordering_wait"), up_to_ms=200)
            call.hang_up()
        line.wait_for(lambda: kept(opened) == 2, "order and call are on the disk")
        assert line.metrics()["toneline_kept_bytes"] > 0
        line.make_room()
        line.wait_for(lambda: len(line.orders(CALLER)) == 1, "the order is placed", 30)
        line.wait_for(lambda: bool(line.trace(CALLER, "call_ended")), "the call is on record")
        assert [sms["text"] for sms in line.messages(CALLER, wait_s=20) if "已订购" in sms["text"]]
        assert [event["level"] for event in line.events("order_kept")] == ["warning"]
