"""The same well-behaved dialogue given to ivr.agi and to pyst2's AGI class, an independent one.

Only what pyst2 gets right is compared: no HANGUP line, no 511, no value over lines, and words
without quotes or backslashes, which it does not escape.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from asterisk import agi as pyst2
from hypothesis import given
from hypothesis import strategies as st

from ivr.agi import CallStarted, Dialogue, Event, Reply
from tests.fakes.asterisk import environment, parse_words


@pytest.fixture(autouse=True, scope="module")
def _the_signal_pyst2_takes_is_given_back() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def peer(*answers: str) -> tuple[Any, StringIO]:
    """pyst2's AGI with a call's environment and ``answers`` to read; what it writes."""
    written = StringIO()
    incoming = StringIO(environment().decode() + "".join(f"{answer}\n" for answer in answers))
    return pyst2.AGI(stdin=incoming, stdout=written, stderr=StringIO()), written


def ours(*answers: str) -> tuple[Dialogue, list[Event]]:
    dialogue = Dialogue()
    events = dialogue.receive_data(environment())
    for answer in answers:
        dialogue.command("NOOP")
        events += dialogue.receive_data(f"{answer}\n".encode())
    return dialogue, events


def test_both_read_the_same_environment() -> None:
    theirs, _ = peer()
    _, (started,) = ours()
    assert isinstance(started, CallStarted)
    assert {name: value.strip() for name, value in started.environment.items()} == theirs.env


VALUE = st.text(st.characters(exclude_characters="()", categories=("L", "N", "P", "S", "Zs")))


@given(
    result=st.from_regex(r"[0-9*#]{0,6}", fullmatch=True),
    value=st.none()
    | VALUE.filter(lambda value: value != "hangup" and value.splitlines() == [value]),
    endpos=st.none() | st.integers(0, 10**9),
)
def test_both_read_the_same_answer(result: str, value: str | None, endpos: int | None) -> None:
    answer = f"200 result={result or 0}"
    answer += "" if value is None else f" ({value})"
    answer += "" if endpos is None else f" endpos={endpos}"
    theirs, _ = peer(answer)
    _, (_, reply) = ours(answer)
    assert isinstance(reply, Reply)
    read = theirs.execute("NOOP")
    assert (reply.result, reply.value or "") == read["result"]
    assert reply.endpos == (int(read["endpos"][0]) if "endpos" in read else None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("510 Invalid or unknown command", pyst2.AGIInvalidCommand),
        ("520-Invalid command syntax.\nUsage: X\n520 End of proper usage.", pyst2.AGIUsageError),
        ("200 result=-1", pyst2.AGIAppError),
    ],
)
def test_both_know_a_refusal(answer: str, error: type[Exception]) -> None:
    theirs, _ = peer(answer)
    with pytest.raises(error):
        theirs.execute("NOOP")
    _, (_, reply) = ours(answer)
    assert isinstance(reply, Reply)
    assert reply.code == int(answer[:3])


@pytest.mark.parametrize(
    ("say", "command"),
    [
        (lambda agi: agi.answer(), ("ANSWER",)),
        (lambda agi: agi.wait_for_digit(3000), ("WAIT FOR DIGIT", "3000")),
        (
            lambda agi: agi.stream_file("/s/1029", "0123456789*#", 8000),
            ("STREAM FILE", "/s/1029", "0123456789*#", "8000"),
        ),
        (
            lambda agi: agi.set_variable("CDR(userfield)", "a b"),
            ("SET VARIABLE", "CDR(userfield)", "a b"),
        ),
        (lambda agi: agi.get_variable("茉莉花"), ("GET VARIABLE", "茉莉花")),
        (lambda agi: agi.appexec("Dial", "PJSIP/1,30"), ("EXEC", "Dial", "PJSIP/1,30")),
        (lambda agi: agi.hangup(), ("HANGUP",)),
    ],
)
def test_both_say_the_same_command(say: Callable[[Any], object], command: tuple[str, ...]) -> None:
    theirs, written = peer("200 result=0 endpos=0")
    say(theirs)
    dialogue, _ = ours()
    said = parse_words(written.getvalue().removesuffix("\n").encode())
    assert said == parse_words(dialogue.command(*command).removesuffix(b"\n"))
