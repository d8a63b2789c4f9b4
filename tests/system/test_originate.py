"""Calls that the line places: who texts `ST 1029` is rung up and hears that tone."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.system.asterisk import AmiLogin
from tests.system.hearing import UNKNOWN
from tests.system.scene import Scene, in_order, prompt, scene
from tests.system.sip import Call

LINE = "12530019"
SONG = "1029"
YANGZHOU = "1390525"  # prefix of numbers of Yangzhou
SECRET = "a-long-secret-of-the-test"
RING_S = 5


@dataclass(frozen=True, slots=True)
class CallingLine:
    """A line that may place calls, and where its trunk leads."""

    scene: Scene
    trunk_port: int

    def telephone(self, number: str, scenario: str = "called") -> Call:
        """The subscriber's telephone, which may be called from now on."""
        return Call(
            self.scene.asterisk,
            "",
            caller=number,
            called_at=self.trunk_port,
            scenario=scenario,
        )

    def outcome(self, number: str) -> dict[str, Any]:
        """What the trace tells of the call to a number, once there is an end to it."""
        line = self.scene.line
        line.wait_for(lambda: bool(line.trace(number, "callback")), "the call's outcome")
        (happening,) = line.trace(number, "callback")
        detail: dict[str, Any] = happening["detail"]
        return detail


@pytest.fixture(scope="module")
def calling_line(
    tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path
) -> Iterator[CallingLine]:
    login = AmiLogin("toneline", SECRET, free_port(socket.SOCK_STREAM))
    settings = {
        "ami": {"enabled": True, "port": login.port, "secret": SECRET, "ring_s": RING_S},
    }
    trunk_port = free_port(socket.SOCK_DGRAM)
    folder = tmp_path_factory.mktemp("calling") / "line"
    with scene(
        folder, prepared_sounds, settings, trunk=("127.0.0.1", trunk_port), ami=login
    ) as opened:
        opened.line.wait_for(
            lambda: opened.line.health()["services"]["callbacks"]["status"] == "ok", "AMI"
        )
        yield CallingLine(opened, trunk_port)


def test_who_texts_st_is_rung_up_hears_the_tone_and_orders_it(calling_line: CallingLine) -> None:
    line, number = calling_line.scene.line, YANGZHOU + "0101"
    telephone = calling_line.telephone(number)
    assert line.text(number, f"ST {SONG}")
    with telephone as call:
        call.wait_until_heard(calling_line.scene.tone(SONG), up_to_ms=2000)
        call.press("1")
        call.wait_until_heard(prompt("offer_confirm"), up_to_ms=500)
        call.press("1")
        call.wait_until_heard(prompt("ordered"), up_to_ms=1000)
        call.hang_up()
    said = calling_line.scene.said(call)
    assert in_order(said, f"tone {SONG}", "offer_title", "offer_confirm", "ordered"), said
    assert UNKNOWN not in said
    assert call.messages[0].first_line.startswith(f"INVITE sip:{number}@")
    assert f"<sip:{LINE}@" in call.messages[0].text
    (order,) = line.orders(number)
    assert (order["tone_code"], order["channel"]) == (SONG, "ivr")
    assert line.orders("13800138000") == []
    (started,) = line.trace(number, "call_started")
    assert started["detail"]["dialled"] == LINE + SONG
    assert calling_line.outcome(number)["outcome"] == "answered"


def test_the_second_wish_within_ten_minutes_is_not_called(calling_line: CallingLine) -> None:
    line, number = calling_line.scene.line, YANGZHOU + "0102"
    telephone = calling_line.telephone(number)
    assert line.text(number, f"ST {SONG}")
    with telephone as call:
        call.wait_until_heard(calling_line.scene.tone(SONG), up_to_ms=500)
        call.hang_up()
    assert line.text(number, "ST 1032")
    (refused,) = line.trace(number, "refused")
    assert refused["detail"] == {"tone_code": "1032", "reason": "called_lately"}
    assert len(line.trace(number, "callback")) == 1


@pytest.mark.parametrize(
    ("last_digit", "scenario", "outcome"),
    [("3", "called_busy", "busy"), ("4", "called_in_vain", "no_answer")],
)
def test_who_does_not_answer_is_recorded_so(
    calling_line: CallingLine, last_digit: str, scenario: str, outcome: str
) -> None:
    number = YANGZHOU + "010" + last_digit
    telephone = calling_line.telephone(number, scenario)
    assert calling_line.scene.line.text(number, f"ST {SONG}")
    with telephone as call:
        call.wait_until_ended()
        assert calling_line.outcome(number)["outcome"] == outcome
    assert calling_line.scene.line.trace(number, "call_started") == []


def test_a_lost_connection_to_ami_comes_back_by_itself(calling_line: CallingLine) -> None:
    line, asterisk = calling_line.scene.line, calling_line.scene.asterisk
    before = len(line.events("ami_connected"))
    (session,) = re.findall(r"(?m)^ *toneline .*", asterisk.command("manager show connected"))
    # user, address, start, elapsed, file descriptor, ...
    asterisk.command(f"manager kick session {session.split()[4]}")
    line.wait_for(lambda: bool(line.events("ami_lost")), "the loss")
    line.wait_for(lambda: len(line.events("ami_connected")) > before, "the connection")
    number = YANGZHOU + "0105"
    telephone = calling_line.telephone(number)
    assert line.text(number, f"ST {SONG}")
    with telephone as call:
        call.wait_until_heard(calling_line.scene.tone(SONG), up_to_ms=500)
        call.hang_up()


def test_the_doctor_says_whether_ami_knows_us(calling_line: CallingLine) -> None:
    found = {finding["what"]: finding for finding in calling_line.scene.line.command("doctor")}
    assert found["ami"]["well"], found["ami"]
    assert "Asterisk Call Manager" in found["ami"]["detail"]
