"""The terminal's telephone against the real voice server with the real line, over TCP."""

from __future__ import annotations

import json
import os
import socket
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from twisted.internet.endpoints import TCP4ServerEndpoint

from audio.formats import with_ending, write_sound
from catalog.tones import Tone
from ivr import phone, telling
from ivr.channel import Channel
from ivr.line import refuse_call, take_call
from ivr.phone import Event, Key, PhoneError, Script
from ivr.service import VoiceService
from ivr.typed_keys import TypedKeys, keys_of_the_terminal
from tests.fakes.catalogue import a_tone
from tests.fakes.line import LineFixture, chinese_prompts
from tests.reactor import reactor, run_in_reactor
from tests.terminal import open_terminal

SECOND = b"\0\0" * 8000


class Server:
    """A line on a port of its own, with real sound files of a second each, tones of ten."""

    def __init__(self, sounds: Path) -> None:
        self.fixture = LineFixture((a_tone("1029"), a_tone("1032", "曲")), lead_in_ms=10)
        self.sounds = str(sounds)
        self.fixture.use(sounds=self.sounds, reactor=reactor)
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[Server]:
        line = self.fixture.line

        async def take(channel: Channel) -> None:
            await take_call(line, channel)

        async def refuse(channel: Channel, why: Any) -> None:
            await refuse_call(line, channel, why)

        service = VoiceService(
            TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), take, refuse, reactor,
            allow=["127.0.0.1"], max_calls=10, max_call_s=600,
        )  # fmt: skip

        async def start() -> Any:
            service.startService()
            return await service.bound()

        async def stop() -> None:
            stopped = service.stopService()
            await stopped

        self.port = run_in_reactor(start).port
        try:
            yield self
        finally:
            run_in_reactor(stop)

    def call(
        self,
        dialled: str,
        keys: str = "",
        caller: str = "13905250001",
        at: datetime | None = None,
    ) -> list[Event]:
        script = Script(phone.parse_keys(keys))
        return phone.call("127.0.0.1", self.port, dialled, caller, script, self.text(), at=at)

    def text(self) -> phone.Text:
        tones: list[Tone] = [a_tone("1029"), a_tone("1032", "曲")]
        return telling.text_of(self.fixture.line.prompts, tones, self.sounds)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every prompt a second long, and two tones of ten."""
    folder = tmp_path_factory.mktemp("sounds")
    write_sound(folder / "second", SECOND)
    for stem in chinese_prompts().needed():
        prompt = with_ending(folder / stem, ".wav")
        prompt.parent.mkdir(parents=True, exist_ok=True)
        prompt.hardlink_to(folder / "second.wav")
    for tone in ("1029", "1032"):
        write_sound(folder / f"tones/{tone}-a", SECOND * 10)
        write_sound(folder / f"tones/{tone}-a-first", SECOND * 6)
    return folder


@pytest.fixture
def server(sounds: Path) -> Iterator[Server]:
    # SQLite's connection belongs to the thread that opened it: the reactor's.
    async def make() -> Server:
        return Server(sounds)

    with run_in_reactor(make).running() as running:
        yield running


def files(events: list[Event]) -> list[str]:
    return [Path(event.file or "").name for event in events if event.kind == "played"]


def as_told(events: list[Event]) -> list[str]:
    told: list[str] = []
    teller = telling.Teller(told.append)
    for event in events:
        teller.tell(event)
    return told


def test_english_is_told_with_a_space_between_the_parts_of_a_sentence() -> None:
    said = ["Song three,", "《紫竹调》", "press 3.", "♪ 紫竹调", "编码", "幺", "零。"]
    events = [Event(float(at), "played", text=text) for at, text in enumerate(said)]
    assert as_told([*events, Event(9.0, "hangup", by="caller")]) == [
        "0:00  line  Song three, 《紫竹调》 press 3.",
        "0:03  line  ♪ 紫竹调",
        "0:04  line  编码幺零。",
        "0:09  you   hang up",
    ]


def test_keys_are_pressed_when_the_line_waits_in_silence(server: Server) -> None:
    events = server.call("125300191029", "1,1")
    kinds = [event.kind for event in events]
    assert kinds.count("key") == 2
    assert "offer_pays" in files(events)
    assert events[-1] == Event(events[-1].at, "hangup", by="caller")
    tone = next(event for event in events if event.text == "♪ 茉莉花")
    assert (tone.from_ms, tone.to_ms) == (0, 10_000)


def test_files_are_heard_without_waiting_for_real_time(server: Server) -> None:
    events = server.call("125300191029", "1,1")
    played = [event for event in events if event.kind == "played"]
    heard_s = sum((event.to_ms or 0) - (event.from_ms or 0) for event in played) / 1000
    assert events[-1].at >= heard_s > 25


def test_a_key_with_an_exclamation_mark_is_pressed_during_the_next_file(server: Server) -> None:
    events = server.call("12530019", "1!")
    assert files(events)[:2] == ["welcome", "branch_jiangsu"]
    assert events[0].to_ms == 500
    assert events[1] == Event(0.51, "key", digit="1")


def test_a_code_is_entered_key_by_key_equal_digits_too(server: Server) -> None:
    for keys in ("3,1,0,2,9,#", "31029#", "3,1029#"):
        assert "♪ 茉莉花" in [event.text for event in server.call("12530019", keys)]
    unknown = files(server.call("12530019", "3,1199#"))
    assert unknown[unknown.index("code") :][:5] == ["code", "d1", "d1", "d9", "d9_end"]


def test_another_days_line_is_heard_as_a_rehearsal(server: Server) -> None:
    spring = datetime(2027, 2, 6, tzinfo=ZoneInfo("Asia/Shanghai"))
    events = server.call("125300191029", "1", at=spring)
    assert files(events)[:5] == ["rehearsal", "year_2027", "month_2", "day_6", "rehearsal_line"]
    assert "rehearsal_no_order" in files(events)
    assert "现在是预演" in as_told(events)[0]


def test_a_missing_file_is_told_to_the_line_as_asterisk_does(server: Server) -> None:
    for ending in (".wav", ".alaw"):
        Path(server.sounds, f"tones/1032-a{ending}").unlink()
    assert "1032-a" in files(server.call("125300191032"))  # there is still the .ulaw
    Path(server.sounds, "tones/1032-a.ulaw").unlink()
    assert "sound_missing" in files(server.call("125300191032"))


def test_the_line_may_hang_up_first(server: Server) -> None:
    events = server.call("12530019", "1,1!,1!,1!")
    assert events[-1].kind == "hangup"


def test_a_call_is_told_as_a_person_would_tell_it(server: Server) -> None:
    told = as_told(server.call("125300191029", "1"))
    assert told[0] == "0:00  line  编码幺零二九。"
    assert told[1] == "0:05  line  ♪ 茉莉花"
    assert any(line.endswith("  you   press 1") for line in told)
    price = server.fixture.line.prompts.texts["offer_pays"]
    assert any(line.endswith(f"{price}两元长期有效。") for line in told)
    assert told[-1].endswith("  you   hang up")


def test_a_sound_that_nobody_knows_is_told_by_its_file() -> None:
    told = as_told([Event(61.5, "played", "/x", None, None, 0, 10), Event(62, "hangup", by="line")])
    assert told == ["1:01  line  /x", "1:02  line  hangs up"]


def test_a_sound_that_goes_on_after_a_key_is_told_once() -> None:
    events = [
        Event(0, "played", "a", "确认", None, 0, 10),
        Event(0, "key", digit="3"),
        Event(0, "played", "a", "确认", None, 10, 20),
        Event(0, "hangup", by="caller"),
    ]
    assert as_told(events) == ["0:00  line  确认", "0:00  you   press 3", "0:00  you   hang up"]


def test_the_json_has_what_outside_tests_rely_on(server: Server) -> None:
    events = server.call("12530019", "1!")
    document = json.loads(json.dumps(telling.as_json("12530019", "13905250001", events)))
    assert (document["dialled"], document["from"]) == ("12530019", "13905250001")
    assert {"at", "kind", "file", "text", "digit"} <= document["events"][0].keys()


def test_events_are_told_as_they_happen(server: Server) -> None:
    heard: list[Event] = []
    script = Script(())
    events = phone.call(
        "127.0.0.1", server.port, "12530019", "13905250001", script, server.text(), heard.append
    )
    assert heard == events


def test_the_call_is_on_record_when_the_telephone_returns(server: Server) -> None:
    server.call("125300191029")

    async def record() -> dict[str, Any]:
        return server.fixture.record()

    assert run_in_reactor(record)["outcome"] == "hung_up"


def test_no_line_is_a_sentence() -> None:
    with pytest.raises(PhoneError, match="no line answers at 127.0.0.1:1"):
        phone.call("127.0.0.1", 1, "12530019", "1", Script(()), lambda _: None)


@pytest.mark.parametrize("keys", ["x", "1,?", "!", "12a"])
def test_what_is_no_key_is_refused(keys: str) -> None:
    with pytest.raises(PhoneError, match="is no key"):
        phone.parse_keys(keys)


def test_keys_may_be_written_one_by_one_or_together() -> None:
    assert phone.parse_keys("1, 29#,0!") == (
        Key("1"), Key("2"), Key("9"), Key("#"), Key("0", during_file=True)
    )  # fmt: skip


def test_a_number_with_a_line_break_is_refused() -> None:
    with pytest.raises(PhoneError, match="no number"):
        phone._environment("12530019\nagi_callerid: 1", "1", None)  # what else it could say


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What the test types on: each byte is on stdin at once, as from a terminal set to that."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield writing
    os.close(writing)


def test_typed_keys_are_pressed_and_others_mean_nothing(keyboard: int) -> None:
    os.write(keyboard, b"xy7")
    pressed = TypedKeys().in_silence(60_000)
    assert pressed is not None
    assert pressed[1] == "7"


def test_typing_q_hangs_up(keyboard: int) -> None:
    os.write(keyboard, b"q")
    pressed = TypedKeys().during_file(60_000)
    assert pressed is not None
    assert pressed[1] == phone.HANG_UP


def test_nothing_typed_is_nothing_pressed(keyboard: int) -> None:
    assert TypedKeys().in_silence(1) is None


def test_an_interactive_call_is_spoken_by_its_keys(server: Server, keyboard: int) -> None:
    os.write(keyboard, b"1#q")
    events = phone.call(
        "127.0.0.1", server.port, "12530019", "13905250001", TypedKeys(), server.text()
    )
    assert [event.digit for event in events if event.kind == "key"] == ["1", "#"]
    assert events[-1].by == "caller"


def test_ctrl_c_hangs_up(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("select.select", interrupted)
    assert TypedKeys().in_silence(60_000) == (0, phone.HANG_UP)


def test_keys_are_read_without_enter_and_the_terminal_is_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        open_terminal() as (keyboard, screen),
        os.fdopen(screen, "rb", buffering=0, closefd=False) as stdin,
    ):
        monkeypatch.setattr("sys.stdin", stdin)
        before = termios.tcgetattr(screen)
        with keys_of_the_terminal() as fingers:
            os.write(keyboard, b"x5q")
            pressed = [fingers.in_silence(60_000), fingers.during_file(60_000)]
        assert termios.tcgetattr(screen) == before
    assert [press and press[1] for press in pressed] == ["5", phone.HANG_UP]


def test_keys_may_come_from_a_pipe_which_hangs_up_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        os.write(writing, b"5")
        os.close(writing)
        with keys_of_the_terminal() as fingers:
            pressed = [fingers.in_silence(60_000), fingers.in_silence(60_000)]
    assert [press and press[1] for press in pressed] == ["5", phone.HANG_UP]


def test_in_real_time_a_file_lasts_as_long_as_it_is() -> None:
    slept_s: list[float] = []
    script = Script(phone.parse_keys("1!"), realtime=True, sleep=slept_s.append)
    assert script.during_file(40) == (20, "1")
    assert script.during_file(40) is None
    assert slept_s == [0.02, 0.04]


class OddLine:
    """A line that says one thing and is gone."""

    def __init__(self, *commands: bytes) -> None:
        self.answers: list[bytes] = []
        self._commands = commands
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, connection.makefile("rb") as answers:
            while answers.readline() != b"\n":
                pass
            for command in self._commands:
                connection.sendall(command + b"\n")
                self.answers.append(answers.readline())

    def call(self) -> list[Event]:
        try:
            script = Script(())
            return phone.call("127.0.0.1", self.port, "12530019", "1", script, lambda _: None)
        finally:
            self._thread.join()
            self._listening.close()


def test_a_call_broken_off_by_the_line_is_its_hanging_up() -> None:
    assert OddLine().call() == [Event(0.0, "hangup", by="line")]


def test_what_asterisk_does_not_know_it_refuses() -> None:
    line = OddLine(b"SING A SONG", b"", b'GET VARIABLE "X"', b"CHANNEL STATUS", b'NOOP "x"')
    line.call()
    assert line.answers == [
        b"510 Invalid or unknown command\n",
        b"510 Invalid or unknown command\n",
        b"200 result=0\n",
        b"200 result=6\n",
        b"200 result=0\n",
    ]


def test_after_the_hang_up_only_variables_are_answered() -> None:
    line = OddLine(b"HANGUP", b"ANSWER")
    assert line.call() == [Event(0.0, "hangup", by="line")]
    assert line.answers == [b"200 result=1\n", b"HANGUP\n"]


def test_a_key_that_a_file_does_not_listen_to_is_not_heard(sounds: Path) -> None:
    line = OddLine(f'STREAM FILE "{sounds}/second" "" 0'.encode())
    try:
        events = phone.call(
            "127.0.0.1", line.port, "1", "1", Script(phone.parse_keys("1!")), lambda _: None
        )
    finally:
        line._thread.join()  # the test's own
    assert [event.kind for event in events] == ["played", "hangup"]
    assert events[0].to_ms == 1000
