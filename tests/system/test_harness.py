"""The harness tells the truth: what Asterisk plays, hears and refuses, without the line."""

from __future__ import annotations

import socket
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.system.asterisk import NOBODY, AmiLogin, Asterisk
from tests.system.hearing import Library, read_library
from tests.system.load import Load
from tests.system.responder import Dialogue, Responder
from tests.system.sip import Call

APOLOGY = "prompts/zh_CN/line_trouble"
SONG = "tones/song"
OTHER_SONG = "tones/other"
CALLER = "13905250001"
PACKET_MS = 20


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for seed, (name, seconds) in enumerate({APOLOGY: 1.5, SONG: 8.0, OTHER_SONG: 8.0}.items()):
        write_noise(folder / f"{name}.wav", seconds, seed)
    return folder


@pytest.fixture(scope="module")
def library(sounds: Path) -> Library:
    return read_library(sounds, APOLOGY, SONG, OTHER_SONG)


def write_noise(path: Path, seconds: float, seed: int) -> None:
    """Noise of speech's bandwidth: nothing else correlates with it."""
    noise = np.random.default_rng(seed).normal(0, 1, int(seconds * 8000))
    shaped = np.convolve(noise, np.hanning(9), "same")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((shaped / np.abs(shaped).max() * 9000).astype("<i2").tobytes())


def take_call(call: Dialogue, sounds: Path) -> None:
    """Answer; each key plays the song again, 0 ends."""
    call.command("ANSWER")
    key = call.play(sounds / SONG)
    while key not in (None, "0"):
        call.command(f"SET VARIABLE PRESSED {key}")
        key = call.play(sounds / OTHER_SONG)
    call.command("HANGUP")


def close_at_once(_: Dialogue) -> None:
    """What a server does that has no room."""


@pytest.fixture(scope="module")
def answering(sounds: Path) -> Iterator[tuple[Asterisk, Responder]]:
    with (
        Responder(lambda call: take_call(call, sounds)) as responder,
        Asterisk(agi=responder.address, sounds=sounds) as asterisk,
    ):
        yield asterisk, responder
        assert responder.errors == []
        assert asterisk.live_channels() == 0


def test_a_song_is_heard_from_its_first_syllable_until_the_caller_hangs_up(
    answering: tuple[Asterisk, Responder], library: Library
) -> None:
    with Call(answering[0], "125300191029", caller=CALLER) as call:
        answered = call.wait_until_answered()
        call.wait_until_heard(SONG, up_to_ms=1000)
        call.hang_up()
        heard = call.heard(library)
    assert [h.name for h in heard] == [SONG]
    assert heard[0].file_from_ms == 0
    assert heard[0].file_until_ms >= 1000
    assert heard[0].from_ms / 1000 >= answered
    assert not call.ended_by_line


def test_keys_reach_the_server_and_what_it_plays_then_is_heard(
    answering: tuple[Asterisk, Responder], library: Library
) -> None:
    with Call(answering[0], "12530019", caller=CALLER) as call:
        call.wait_until_heard(SONG)
        key = call.press("7")
        call.wait_until_heard(OTHER_SONG)
        call.press("0")
        call.wait_until_ended()
        heard = call.heard(library)
    assert [h.name for h in heard] == [SONG, OTHER_SONG]
    assert heard[1].file_from_ms == 0
    assert heard[1].from_ms / 1000 >= key.down_s
    assert call.ended_by_line


@pytest.mark.parametrize(
    "dialled",
    [
        *("12530019", "125300191", "125300191029", "1253001912345678"),
        *("02512530019", "025125300191029", "051412530019", "0514125300191029"),
        *("+8612530019", "+86125300191029"),
    ],
)
def test_every_pattern_of_the_dialplan_reaches_the_server_as_dialled(
    answering: tuple[Asterisk, Responder], dialled: str
) -> None:
    asterisk, responder = answering
    with Call(asterisk, dialled, caller=CALLER) as call:
        call.wait_until_answered()
    environment = responder.calls[-1].environment
    assert environment["agi_extension"] == dialled
    assert environment["agi_callerid"] == CALLER
    assert environment.get("agi_arg_1", "") == ""


@pytest.mark.parametrize("dialled", ["10086", "1253001", "0512530019", "8612530019", "s"])
def test_other_numbers_are_refused(answering: tuple[Asterisk, Responder], dialled: str) -> None:
    with Call(answering[0], dialled, caller=CALLER) as call:
        call.wait_until_ended()
    assert call.status == 404


def test_a_withheld_number_still_says_who_calls(answering: tuple[Asterisk, Responder]) -> None:
    asterisk, responder = answering
    with Call(asterisk, "12530019", caller=CALLER, hidden=True) as call:
        call.wait_until_answered()
    environment = responder.calls[-1].environment
    assert environment["agi_callerid"] == CALLER
    assert int(environment["agi_callingpres"]) & 0x60 == 0x20  # Q.931: presentation restricted


def test_in_early_media_the_song_is_heard_unanswered_and_cancel_ends_it(
    sounds: Path, library: Library
) -> None:
    def play_unanswered(call: Dialogue) -> None:
        call.command("EXEC Progress")
        call.play(sounds / SONG)
        call.command("SET VARIABLE CDR(userfield) free")

    with (
        Responder(play_unanswered) as responder,
        Asterisk(agi=responder.address, sounds=sounds) as asterisk,
    ):
        with Call(asterisk, "125300191029", caller=CALLER) as call:
            call.wait_until_heard(SONG, up_to_ms=500)
            call.hang_up()
            heard = call.heard(library)
        assert call.status == 487
        assert call.answered_at_s is None
        ((name, missed_ms),) = [(h.name, h.file_from_ms) for h in heard]
        assert name == SONG
        assert missed_ms <= PACKET_MS  # a busy machine may lose one
        assert asterisk.live_channels() == 0
        records = asterisk.call_records()
    assert [(r["disposition"], r["userfield"]) for r in records] == [("NO ANSWER", "free")]


def test_in_early_media_a_key_reaches_the_server_which_then_answers(sounds: Path) -> None:
    def answer_at_a_key(call: Dialogue) -> None:
        call.command("EXEC Progress")
        if call.play(sounds / SONG) == "1":
            take_call(call, sounds)

    with (
        Responder(answer_at_a_key) as responder,
        Asterisk(agi=responder.address, sounds=sounds) as asterisk,
        Call(asterisk, "125300191029", caller=CALLER) as call,
    ):
        call.wait_until_heard(SONG)
        assert call.status == 0
        key = call.press("1")
        assert call.wait_until_answered() >= key.down_s


def test_the_second_server_takes_the_call_when_the_first_is_dead(sounds: Path) -> None:
    with (
        Responder(lambda call: take_call(call, sounds)) as responder,
        Asterisk(agi=NOBODY, agi2=responder.address, sounds=sounds) as asterisk,
        Call(asterisk, "125300191029", caller=CALLER) as call,
    ):
        call.wait_until_heard(SONG)


def test_the_second_server_takes_the_call_when_the_first_is_full(sounds: Path) -> None:
    with (
        Responder(close_at_once) as full,
        Responder(lambda call: take_call(call, sounds)) as responder,
        Asterisk(agi=full.address, agi2=responder.address, sounds=sounds) as asterisk,
        Call(asterisk, "125300191029", caller=CALLER) as call,
    ):
        call.wait_until_heard(SONG)


def test_an_apology_is_spoken_when_both_servers_are_dead(sounds: Path, library: Library) -> None:
    with (
        Asterisk(agi=NOBODY, sounds=sounds) as asterisk,
        Call(asterisk, "125300191029", caller=CALLER) as call,
    ):
        call.wait_until_ended()
        heard = call.heard(library)
    assert [(h.name, h.file_from_ms) for h in heard] == [(APOLOGY, 0)]
    assert call.ended_by_line


def test_two_callers_at_once_hear_their_own_songs(sounds: Path, library: Library) -> None:
    def play_what_was_dialled(call: Dialogue) -> None:
        call.command("ANSWER")
        call.play(sounds / {"1": SONG, "2": OTHER_SONG}[call.environment["agi_extension"][-1]])

    with (
        Responder(play_what_was_dialled) as responder,
        Asterisk(agi=responder.address, sounds=sounds) as asterisk,
        Call(asterisk, "125300191", caller=CALLER) as one,
        Call(asterisk, "125300192", caller="13805140002") as two,
    ):
        one.wait_until_heard(SONG, up_to_ms=1500)
        two.wait_until_heard(OTHER_SONG, up_to_ms=1500)
        assert {h.name for h in one.heard(library)} == {SONG}
        assert {h.name for h in two.heard(library)} == {OTHER_SONG}


def test_many_callers_are_placed_and_counted(answering: tuple[Asterisk, Responder]) -> None:
    asterisk, responder = answering
    before = len(responder.calls)
    with Load(asterisk, "125300191029", rate=10, seconds=2, hold_s=1) as load:
        report = load.report()
        complaints = load.errors()
    assert (report.calls, report.succeeded, report.failed) == (20, 20, 0), complaints
    assert len(responder.calls) - before == 20


def test_calls_that_are_refused_are_counted_as_failed(
    answering: tuple[Asterisk, Responder],
) -> None:
    with Load(answering[0], "10086", rate=10, seconds=1, hold_s=1) as load:
        report = load.report()
    assert (report.calls, report.succeeded, report.failed) == (10, 0, 10)


def log_in(asterisk: Asterisk, secret: str) -> str:
    """What AMI answers to a login."""
    action = f"Action: Login\r\nUsername: toneline\r\nSecret: {secret}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", asterisk.ami_port), timeout=20) as ami:
        ami.sendall(action.encode())
        with ami.makefile("r", encoding="utf-8", newline="\r\n") as answers:
            return next(line.strip() for line in answers if line.startswith("Response:"))


def test_ami_is_off_as_shipped(answering: tuple[Asterisk, Responder]) -> None:
    with pytest.raises(ConnectionRefusedError):
        log_in(answering[0], "")


def test_ami_once_switched_on_lets_its_user_in_and_nobody_else(sounds: Path) -> None:
    with Asterisk(sounds=sounds, ami=AmiLogin("toneline", "long and secret")) as asterisk:
        assert log_in(asterisk, "long and secret") == "Response: Success"
        assert log_in(asterisk, "guessed") == "Response: Error"
