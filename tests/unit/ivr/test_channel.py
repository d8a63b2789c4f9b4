from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from ivr.agi import LocalProtocolError, RemoteProtocolError, UnsendableWord
from ivr.channel import (
    CallerHungUp,
    CallTooLong,
    Channel,
    CommandRefused,
    Played,
    SoundMissing,
)
from tests.fakes.asterisk import MemoryCall, environment

T = TypeVar("T")

NOTHING_YET = object()


class Outcome:
    """What became of a coroutine that runs until its next await."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        async def run() -> Any:
            return await awaitable

        self.value: Any = NOTHING_YET
        self.error: BaseException | None = None
        self.deferred: Deferred[None] = Deferred.fromCoroutine(run()).addCallbacks(
            self._succeed, self._fail
        )

    def _succeed(self, value: Any) -> None:
        self.value = value

    def _fail(self, failure: Any) -> None:
        self.error = failure.value

    def raises(self, error: type[BaseException], match: str = "") -> None:
        assert isinstance(self.error, error)
        assert re.search(match, str(self.error))


@pytest.fixture
def call() -> MemoryCall:
    """A call whose environment has arrived."""
    call = MemoryCall(Channel(Clock().seconds))
    call.start()
    return call


def outcome(call: MemoryCall, awaitable: Awaitable[Any], *answers: bytes) -> Outcome:
    outcome = Outcome(awaitable)
    call.receive(*answers)
    return outcome


class TestVerbs:
    def test_the_environment_is_what_asterisk_sent(self, call: MemoryCall) -> None:
        assert call.channel.environment["agi_extension"] == "12530019"
        assert Outcome(call.channel.environment_arrives()).value is True

    def test_answer(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.answer(), b"200 result=0\n")
        assert call.take() == ["ANSWER"]
        assert asked.value is None

    def test_progress(self, call: MemoryCall) -> None:
        assert outcome(call, call.channel.progress(), b"200 result=0\n").value is None
        assert call.take() == ['EXEC "Progress"']

    def test_play_to_the_end(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.play("/s/1029"), b"200 result=0 endpos=24000\n")
        assert call.take() == ['STREAM FILE "/s/1029" "0123456789*#" "0"']
        assert asked.value == Played(None, 3000)

    @pytest.mark.parametrize(("result", "digit"), [("49", "1"), ("42", "*"), ("35", "#")])
    def test_play_to_a_key(self, call: MemoryCall, result: str, digit: str) -> None:
        reply = f"200 result={result} endpos=5280\n".encode()
        assert outcome(call, call.channel.play("/s/1029"), reply).value == Played(digit, 660)

    def test_play_from_the_middle_without_keys(self, call: MemoryCall) -> None:
        outcome(call, call.channel.play("/s/1029", stop_on="", from_ms=1500))
        assert call.take() == ['STREAM FILE "/s/1029" "" "12000"']

    def test_a_sound_whose_path_has_odd_characters(self, call: MemoryCall) -> None:
        outcome(call, call.channel.play('/s/a "b" \\n & 茉莉'))
        assert call.take() == ['STREAM FILE "/s/a \\"b\\" \\\\n & 茉莉" "0123456789*#" "0"']

    def test_a_sound_whose_path_cannot_be_said_is_refused_and_the_call_goes_on(
        self, call: MemoryCall
    ) -> None:
        outcome(call, call.channel.play("/s/a\nHANGUP")).raises(UnsendableWord)
        assert call.take() == []
        assert outcome(call, call.channel.play("/s/b"), b"200 result=0 endpos=8\n").value

    @pytest.mark.parametrize(
        ("result", "digit"), [("0", None), ("55", "7"), ("35", "#"), ("65", "A")]
    )
    def test_wait_for_digit(self, call: MemoryCall, result: str, digit: str | None) -> None:
        asked = outcome(call, call.channel.wait_for_digit(3000), f"200 result={result}\n".encode())
        assert call.take() == ['WAIT FOR DIGIT "3000"']
        assert asked.value == digit

    @pytest.mark.parametrize("result", ["7", "x", "", "-5"])
    def test_a_result_that_is_no_key_is_a_fault(self, call: MemoryCall, result: str) -> None:
        asked = outcome(call, call.channel.wait_for_digit(3000), f"200 result={result}\n".encode())
        asked.raises(RemoteProtocolError, "names no key")

    def test_set_variable(self, call: MemoryCall) -> None:
        asked = outcome(
            call, call.channel.set_variable("CDR(userfield)", "free"), b"200 result=1\n"
        )
        assert call.take() == ['SET VARIABLE "CDR(userfield)" "free"']
        assert asked.value is None

    @pytest.mark.parametrize(
        ("reply", "value"),
        [(b"200 result=1 (a b)\n", "a b"), (b"200 result=1 ()\n", ""), (b"200 result=0\n", None)],
    )
    def test_get_variable(self, call: MemoryCall, reply: bytes, value: str | None) -> None:
        assert outcome(call, call.channel.get_variable("X"), reply).value == value
        assert call.take() == ['GET VARIABLE "X"']

    def test_execute(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.execute("Dial", "PJSIP/1", "30"), b"200 result=0\n")
        assert call.take() == ['EXEC "Dial" "PJSIP/1,30"']
        assert asked.value == 0

    def test_execute_an_application_that_does_not_exist(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.execute("Dail"), b"200 result=-2\n")
        asked.raises(CommandRefused, "^EXEC Dail: 200 result=-2$")

    def test_an_argument_cannot_become_two(self, call: MemoryCall) -> None:
        outcome(call, call.channel.execute("Dial", "PJSIP/1,30")).raises(UnsendableWord)

    def test_a_result_without_a_number_is_a_fault(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.execute("Dial"), b"200 result=\n")
        asked.raises(RemoteProtocolError, "has no number")

    @pytest.mark.parametrize(
        "reply",
        [
            b"510 Invalid or unknown command\n",
            b"520 Invalid command syntax.  Proper usage not available.\n",
            b"520-Invalid command syntax.\nUsage520 End of proper usage.\n",
        ],
    )
    def test_a_refused_command(self, call: MemoryCall, reply: bytes) -> None:
        asked = outcome(call, call.channel.answer(), reply)
        asked.raises(CommandRefused, "^ANSWER: 5")
        assert isinstance(asked.error, CommandRefused)
        assert asked.error.command == "ANSWER"
        assert asked.error.reply.code in (510, 520)

    def test_hang_up(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.hang_up(), b"200 result=1\nHANGUP\n")
        assert call.take() == ["HANGUP"]
        assert asked.value is None
        assert call.channel.hung_up
        assert outcome(call, call.channel.hang_up()).value is None
        assert call.take() == []

    @pytest.mark.parametrize("room", [0, 3])
    def test_a_command_that_the_socket_does_not_take_whole_is_sent_all_the_same(
        self, call: MemoryCall, room: int
    ) -> None:
        call.transport.room = room
        assert outcome(call, call.channel.answer(), b"200 result=0\n").error is None
        assert call.take() == ["ANSWER"]


class TestMissingSound:
    def test_is_told_from_a_hang_up_by_a_live_channel(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.play("/s/no"), b"200 result=-1 endpos=0\n")
        assert call.take()[1:] == ["CHANNEL STATUS"]
        call.receive(b"200 result=6\n")
        asked.raises(SoundMissing, "cannot play /s/no")
        assert isinstance(asked.error, SoundMissing)
        assert asked.error.sound == "/s/no"
        assert not call.channel.hung_up

    @pytest.mark.parametrize(
        "evidence",
        [
            [b"200 result=-1 endpos=0\nHANGUP\n", b"511 dead\n"],
            [b"200 result=-1 endpos=0\n", b"HANGUP\n", b"511 dead\n"],
            [b"200 result=-1 endpos=0\n", b"511 dead\n"],
            [b"200 result=-1 endpos=0\n", b"HANGUP\n511 dead\n"],
        ],
    )
    def test_a_hang_up_before_the_first_sample(
        self, call: MemoryCall, evidence: list[bytes]
    ) -> None:
        outcome(call, call.channel.play("/s/1029"), *evidence).raises(CallerHungUp)
        assert call.channel.hung_up

    def test_a_hang_up_later_needs_no_question(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.play("/s/1029"), b"200 result=-1 endpos=15360\n")
        asked.raises(CallerHungUp)
        assert len(call.take()) == 1


class TestHangUp:
    @pytest.mark.parametrize(
        "evidence",
        [b"HANGUP\n", b"200 result=-1\n", b"200 result=-1\nHANGUP\n", b"511 dead\n"],
    )
    def test_during_a_verb_is_raised_by_it(self, call: MemoryCall, evidence: bytes) -> None:
        outcome(call, call.channel.wait_for_digit(3000), evidence).raises(CallerHungUp)
        assert call.channel.hung_up

    def test_between_two_verbs_is_raised_by_the_next_and_nothing_is_sent(
        self, call: MemoryCall
    ) -> None:
        call.receive(b"HANGUP\n")
        for verb in (
            call.channel.answer(),
            call.channel.play("/s/1029"),
            call.channel.wait_for_digit(1),
        ):
            outcome(call, verb).raises(CallerHungUp)
        assert call.take() == []

    def test_with_a_key_in_the_same_bytes_the_key_counts(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.play("/s/1029"), b"200 result=49 endpos=80\nHANGUP\n")
        assert asked.value == Played("1", 10)
        outcome(call, call.channel.answer()).raises(CallerHungUp)

    def test_what_works_after_it(self, call: MemoryCall) -> None:
        call.receive(b"HANGUP\n")
        channel = call.channel
        assert outcome(call, channel.set_variable("A", "1"), b"200 result=1\n").error is None
        assert outcome(call, channel.get_variable("A"), b"200 result=1 (1)\n").value == "1"
        assert outcome(call, channel.execute("NoOp"), b"200 result=0\n").value == 0

    def test_during_a_variable_does_not_disturb_it(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.set_variable("A", "1"), b"HANGUP\n", b"200 result=1\n")
        assert asked.error is None
        assert asked.value is None
        outcome(call, call.channel.answer()).raises(CallerHungUp)

    def test_during_an_application(self, call: MemoryCall) -> None:
        outcome(call, call.channel.execute("Dial"), b"200 result=-1\nHANGUP\n").raises(CallerHungUp)

    def test_before_the_answer_leaves_that_answer_to_come_first(self, call: MemoryCall) -> None:
        outcome(call, call.channel.play("/s/1029"), b"HANGUP\n").raises(CallerHungUp)
        call.take()
        tag = outcome(call, call.channel.set_variable("CDR(userfield)", "free"))
        assert call.take() == []
        call.receive(b"511 dead\n")
        assert call.take() == ['SET VARIABLE "CDR(userfield)" "free"']
        call.receive(b"200 result=1\n")
        assert tag.error is None
        assert tag.value is None

    def test_an_answer_that_nobody_awaits_any_more_is_dropped(self, call: MemoryCall) -> None:
        outcome(call, call.channel.play("/s/1029"), b"HANGUP\n", b"511 dead\n")
        tag = outcome(call, call.channel.get_variable("A"), b"200 result=1 (b)\n")
        assert tag.value == "b"

    def test_a_hang_up_of_ours_after_his_sends_nothing(self, call: MemoryCall) -> None:
        call.receive(b"HANGUP\n")
        assert outcome(call, call.channel.hang_up()).value is None
        assert call.take() == []


class TestClosedConnection:
    @pytest.mark.parametrize(
        "verb", [lambda channel: channel.play("/s/1"), lambda channel: channel.get_variable("A")]
    )
    def test_during_a_verb_is_a_hang_up(
        self, call: MemoryCall, verb: Callable[[Channel], Awaitable[object]]
    ) -> None:
        asked = outcome(call, verb(call.channel))
        call.close()
        asked.raises(CallerHungUp, "closed")

    def test_between_two_verbs_is_raised_by_every_verb(self, call: MemoryCall) -> None:
        call.close()
        for verb in (call.channel.play("/s/1029"), call.channel.set_variable("A", "1")):
            outcome(call, verb).raises(CallerHungUp, "closed")
        assert outcome(call, call.channel.hang_up()).error is None
        assert Outcome(call.channel.closes()).error is None

    def test_while_an_older_answer_was_due(self, call: MemoryCall) -> None:
        outcome(call, call.channel.play("/s/1029"), b"HANGUP\n")
        tag = outcome(call, call.channel.set_variable("A", "1"))
        call.close()
        tag.raises(CallerHungUp)

    def test_by_us_lets_no_verb_through(self, call: MemoryCall) -> None:
        call.channel.close()
        call.channel.close()
        outcome(call, call.channel.set_variable("A", "1")).raises(CallerHungUp)
        assert call.take() == []

    def test_by_the_cut_ends_the_verb_and_is_no_fault(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.play("/s/1029"))
        call.channel.cut()
        asked.raises(CallerHungUp)
        assert call.channel.fault is None

    def test_before_the_environment(self) -> None:
        call = MemoryCall(Channel(Clock().seconds))
        arrives = Outcome(call.channel.environment_arrives())
        call.close()
        assert arrives.value is False
        assert call.channel.fault is None

    def test_inside_the_environment_is_a_fault(self) -> None:
        call = MemoryCall(Channel(Clock().seconds))
        arrives = Outcome(call.channel.environment_arrives())
        call.receive(environment()[:100])
        call.close()
        assert arrives.value is False
        assert isinstance(call.channel.fault, RemoteProtocolError)


class TestFaults:
    def test_another_protocol_on_the_port(self) -> None:
        call = MemoryCall(Channel(Clock().seconds))
        arrives = Outcome(call.channel.environment_arrives())
        call.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert arrives.value is False
        assert "GET / HTTP/1.1" in str(call.channel.fault)

    def test_in_mid_call_ends_the_call(self, call: MemoryCall) -> None:
        asked = outcome(call, call.channel.play("/s/1029"), b"nonsense\n")
        asked.raises(CallerHungUp)
        assert "nonsense" in str(call.channel.fault)


class TestCancelling:
    def test_a_verb_can_be_cancelled_and_the_next_waits_for_its_answer(
        self, call: MemoryCall
    ) -> None:
        cancelled = outcome(call, call.channel.play("/s/1029"))
        cancelled.deferred.cancel()
        cancelled.raises(CancelledError)
        call.take()
        following = outcome(call, call.channel.play("/s/goodbye"))
        assert call.take() == []
        call.receive(b"200 result=0 endpos=240000\n")
        assert call.take() == ['STREAM FILE "/s/goodbye" "0123456789*#" "0"']
        call.receive(b"200 result=0 endpos=800\n")
        assert following.value == Played(None, 100)

    def test_two_verbs_at_once_are_refused(self, call: MemoryCall) -> None:
        first = outcome(call, call.channel.play("/s/1029"))
        outcome(call, call.channel.wait_for_digit(1)).raises(LocalProtocolError, "STREAM FILE")
        call.receive(b"200 result=0 endpos=8\n")
        assert first.value == Played(None, 1)

    def test_no_verb_before_the_environment(self) -> None:
        call = MemoryCall(Channel(Clock().seconds))
        outcome(call, call.channel.answer()).raises(LocalProtocolError, "not our turn")


class TestLongestCall:
    def test_is_raised_once_by_the_next_verb(self, call: MemoryCall) -> None:
        current = outcome(call, call.channel.play("/s/1029"))
        call.channel.raise_too_long()
        call.receive(b"200 result=0 endpos=8000\n")
        assert current.value == Played(None, 1000)
        outcome(call, call.channel.wait_for_digit(1)).raises(CallTooLong)
        goodbye = outcome(call, call.channel.play("/s/goodbye"), b"200 result=0 endpos=8\n")
        assert goodbye.value == Played(None, 1)

    def test_does_not_keep_the_line_from_hanging_up(self, call: MemoryCall) -> None:
        call.channel.raise_too_long()
        assert outcome(call, call.channel.hang_up(), b"200 result=1\n").error is None
        assert call.take() == ["HANGUP"]


def test_the_turnaround_is_from_the_answer_to_the_next_command() -> None:
    clock = Clock()
    observed: list[float] = []
    call = MemoryCall(Channel(clock.seconds, observed.append))
    call.start()
    clock.advance(0.25)
    outcome(call, call.channel.answer())
    clock.advance(5)
    call.receive(b"200 result=0\n")
    clock.advance(0.5)
    outcome(call, call.channel.play("/s/1029"))
    assert observed == [0.25, 0.5]


def test_a_coroutine_awaits_verbs_and_deferreds_in_turn(call: MemoryCall) -> None:
    database: Deferred[str] = Deferred()

    async def take_call(channel: Channel) -> list[object]:
        heard: list[object] = []
        try:
            await channel.answer()
            heard.append(await channel.play("/s/menu"))
            heard.append(await database)
            await channel.play("/s/1029")
        except CallerHungUp:
            heard.append("hung up")
        finally:
            await channel.set_variable("CDR(userfield)", "free")
        return heard

    call_taken = Outcome(take_call(call.channel))
    call.receive(b"200 result=0\n", b"200 result=49 endpos=800\n", b"HANGUP\n")
    database.callback("row")
    call.receive(b"200 result=1\n")
    assert call_taken.value == [Played("1", 100), "row", "hung up"]
    assert call.take()[-1] == 'SET VARIABLE "CDR(userfield)" "free"'
