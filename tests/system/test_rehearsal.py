"""Another day's line, heard today: by staff who call, and by `toneline phone --at`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.system.line import PROGRAM, ROOT, Settings
from tests.system.scene import Scene, in_order, prompt, scene

LINE = "12530019"
STAFF = "13905250001"
SUBSCRIBER = "13905250002"
PIN = "2580"
NOW_FIRST, THEN_FIRST = "1029", "1032"
OTHERS = "1041, 1055, 1064, 1078, 1086, 1093, 1108, 1119, 1007"
THEN = datetime.now(ZoneInfo("Asia/Shanghai")).date() + timedelta(days=30)
EDITIONS = f"""
branch: yangzhou
editions:
  - from: 2020-01-01
    songs: [{NOW_FIRST}, {OTHERS}]
  - from: {THEN}
    songs: [{THEN_FIRST}, {OTHERS}]
"""


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path) -> Iterator[Scene]:
    """A line whose branch has prepared its songs for a day to come."""
    folder = tmp_path_factory.mktemp("staffed")
    (folder / "directories").mkdir()
    (folder / "directories" / "yangzhou.yaml").write_text(EDITIONS)
    settings: Settings = {
        "line": {"staff": [f"+86 {STAFF}"], "rehearsal_pin": PIN},
        "paths": {"directories": str(folder / "directories")},
    }
    with scene(folder / "line", prepared_sounds, settings) as opened:
        yield opened


def test_staff_hear_the_line_of_a_day_to_come_and_nobody_else_does(staffed: Scene) -> None:
    with staffed.call(LINE, STAFF) as call:
        call.wait_until_heard(prompt("menu_province"))
        call.press("**", pause_ms=300)
        call.wait_until_heard(prompt("ask_pin"), up_to_ms=500)
        call.press(f"{PIN}#")
        call.wait_until_heard(prompt("ask_rehearsal_date"), up_to_ms=500)
        call.press(f"{THEN:%m%d}#")
        call.wait_until_heard(prompt("menu_rest"), up_to_ms=300, timeout_s=60)
        call.press("21")
        call.wait_until_heard(staffed.tone(THEN_FIRST), up_to_ms=1000)
        call.press("1")
        call.wait_until_heard(prompt("rehearsal_no_order"), up_to_ms=500)
        with staffed.call(LINE, SUBSCRIBER) as other:
            other.wait_until_heard(prompt("menu_province"))
            other.press("21")
            other.wait_until_heard(staffed.tone(NOW_FIRST), up_to_ms=500)
            other.hang_up()
        call.hang_up()
    assert in_order(staffed.said(call), "rehearsal", "rehearsal_line", "welcome", "menu_rest")
    staffed.line.wait_for(lambda: bool(staffed.line.trace(STAFF, "call_ended")), "the record")
    assert staffed.line.trace(STAFF, "call_ended")[0]["detail"]["outcome"] == "rehearsal"
    assert PIN not in json.dumps(staffed.line.trace(STAFF, "key")).replace("?", "")
    assert staffed.line.orders(STAFF) == []


def test_the_telephone_in_the_terminal_hears_it_as_well(staffed: Scene) -> None:
    words = ("phone", LINE, "--from", SUBSCRIBER, "--at", f"{THEN}T00:00", "--keys", "2,1,1")
    done = subprocess.run(
        [*PROGRAM, *words, "--config", str(staffed.line.folder / "toneline.toml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    songs = staffed.line.command("directories", "show", "yangzhou", "--at", f"{THEN}T00:00")
    assert songs["songs"][0]["code"] == THEN_FIRST
    lines = done.stdout.splitlines()
    assert "现在是预演" in lines[0]
    assert any(f"♪ {songs['songs'][0]['title']}" in line for line in lines)
    assert "预演中不能订购" in done.stdout
    assert staffed.line.orders(SUBSCRIBER) == []


def test_no_caller_can_ask_for_it_in_his_number(staffed: Scene) -> None:
    asks = f"\nagi_request: agi://127.0.0.1/rehearsal/{THEN}T00:00+08:00"
    with staffed.call(LINE, SUBSCRIBER + "".join(f"%{ord(one):02X}" for one in asks)) as call:
        call.wait_until_ended()
    refused = [event["reason"] for event in staffed.line.events("protocol_error")]
    assert set(refused) == {"agi_request comes twice in the environment"}
    assert staffed.said(call) == ["line_trouble"]  # Asterisk's apology


def test_no_caller_can_be_another_in_his_number(staffed: Scene) -> None:
    victim = "8613905250003"
    forged = f"\nagi_threadid: 1\nagi_arg_1: {victim}\n\n"
    with staffed.call(LINE, SUBSCRIBER + "".join(f"%{ord(one):02X}" for one in forged)) as call:
        call.wait_until_ended()
    assert staffed.said(call) == ["line_trouble"]
    assert staffed.line.trace(victim) == []
