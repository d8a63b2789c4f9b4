from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.agi import (
    MAX_ANSWER_BYTES,
    MAX_COMMAND_BYTES,
    MAX_ENVIRONMENT_BYTES,
    CallStarted,
    Dialogue,
    Event,
    HungUp,
    LocalProtocolError,
    RemoteProtocolError,
    Reply,
    UnsendableWord,
    encode_command,
)
from tests.fakes.asterisk import environment, parse_words


def started() -> Dialogue:
    dialogue = Dialogue()
    dialogue.receive_data(environment())
    return dialogue


def asked() -> Dialogue:
    dialogue = started()
    dialogue.command("NOOP")
    return dialogue


def reply_to(answer: bytes) -> Reply:
    (event,) = asked().receive_data(answer)
    assert isinstance(event, Reply)
    return event


class TestEnvironment:
    def test_starts_the_call_with_the_names_asterisk_sends(self) -> None:
        (event,) = Dialogue().receive_data(environment("125300191029", arg_1="13905250001"))
        assert isinstance(event, CallStarted)
        assert event.environment["agi_extension"] == "125300191029"
        assert event.environment["agi_arg_1"] == "13905250001"
        assert event.environment["agi_network_script"] == ""
        assert len(event.environment) == 23

    def test_keeps_colons_and_spaces_of_a_value(self) -> None:
        (event,) = Dialogue().receive_data(b"agi_request: agi://host:4573/ \n\n")
        assert event == CallStarted({"agi_request": "agi://host:4573/ "})

    def test_reads_a_latin_1_name_with_replacement(self) -> None:
        (event,) = Dialogue().receive_data(b"agi_calleridname: Andr\xe9\n\n")
        assert event == CallStarted({"agi_calleridname": "Andr\N{REPLACEMENT CHARACTER}"})

    def test_adds_a_line_that_is_no_variable_to_the_value_before_it(self) -> None:
        (event,) = Dialogue().receive_data(b"agi_calleridname: a\nb\nagi_x\nagi_dnid: 1\n\n")
        assert event == CallStarted({"agi_calleridname": "a\nb\nagi_x", "agi_dnid": "1"})

    def test_refuses_a_variable_that_comes_twice(self) -> None:
        forged = b"agi_calleridname: a\nagi_arg_1: 13900000000\nagi_arg_1: \n\n"
        with pytest.raises(RemoteProtocolError, match="agi_arg_1 comes twice"):
            Dialogue().receive_data(forged)

    @pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r", b"", b"\x16\x03\x01", b"agio: x"])
    def test_refuses_a_peer_that_does_not_begin_like_asterisk(self, line: bytes) -> None:
        with pytest.raises(RemoteProtocolError, match="only Asterisk's AGI"):
            Dialogue().receive_data(line + b"\nHost: x\n")

    def test_refuses_a_first_line_without_a_value(self) -> None:
        with pytest.raises(RemoteProtocolError, match="'agi_nothing' is no agi_ variable"):
            Dialogue().receive_data(b"agi_nothing\n\n")

    @pytest.mark.parametrize("line", [b"x\n", b"x" * 1000])
    def test_refuses_what_does_not_end(self, line: bytes) -> None:
        begin = b"agi_network: yes\n"
        longest = (begin + line * MAX_ENVIRONMENT_BYTES)[: MAX_ENVIRONMENT_BYTES - 2]
        assert Dialogue().receive_data(longest + b"\n") == []
        assert len(Dialogue().receive_data(longest + b"\n\n")) == 1
        with pytest.raises(RemoteProtocolError, match=f"over {MAX_ENVIRONMENT_BYTES} bytes"):
            Dialogue().receive_data(longest + b"x\n\n")

    @pytest.mark.parametrize("so_far", [b"agi_network: yes\nagi_re", b"ag"])
    def test_half_of_it_is_a_fault_at_the_end(self, so_far: bytes) -> None:
        dialogue = Dialogue()
        dialogue.receive_data(so_far)
        with pytest.raises(RemoteProtocolError, match=f"environment, after {len(so_far)} bytes"):
            dialogue.receive_eof()

    def test_bytes_right_after_it_are_read(self) -> None:
        assert Dialogue().receive_data(b"agi_a: b\n\nHANGUP\n") == [
            CallStarted({"agi_a": "b"}),
            HungUp(),
        ]

    def test_a_peer_that_never_spoke_broke_nothing(self) -> None:
        Dialogue().receive_eof()


class TestAnswers:
    @pytest.mark.parametrize(
        ("line", "reply"),
        [
            (b"200 result=0", Reply(200, "result=0", "0")),
            (b"200 result=-1", Reply(200, "result=-1", "-1")),
            (b"200 result=49 endpos=5280", Reply(200, "result=49 endpos=5280", "49", None, 5280)),
            (b"200 result=-1 endpos=0", Reply(200, "result=-1 endpos=0", "-1", None, 0)),
            (b"200 result=23", Reply(200, "result=23", "23")),
            (b"200 result=", Reply(200, "result=")),
            (b"200 result= (timeout)", Reply(200, "result= (timeout)", "", "timeout")),
            (b"200 result=1 (a b)", Reply(200, "result=1 (a b)", "1", "a b")),
            (b"200 result=1 ()", Reply(200, "result=1 ()", "1", "")),
            (b"200 result=1 (a (b) c)", Reply(200, "result=1 (a (b) c)", "1", "a (b) c")),
            (b"200 result=1 (:()", Reply(200, "result=1 (:()", "1", ":(")),
            (b"200 result=1 (:))", Reply(200, "result=1 (:))", "1", ":)")),
            (b"200 result=1 (\xe9)", Reply(200, "result=1 (\ufffd)", "1", "\ufffd")),
            (
                b"200 result=0 (timeout) endpos=8000",
                Reply(200, "result=0 (timeout) endpos=8000", "0", "timeout", 8000),
            ),
            (b"200 result=0 Gosub complete", Reply(200, "result=0 Gosub complete", "0")),
            (b"200 result=0 endpos=x", Reply(200, "result=0 endpos=x", "0")),
            (b"200 okay", Reply(200, "okay")),
            (b"503 result=-2 Memory", Reply(503, "result=-2 Memory")),
            (b"510 Invalid or unknown command", Reply(510, "Invalid or unknown command")),
            (b"511 Command Not Permitted", Reply(511, "Command Not Permitted")),
            (
                b"520 Invalid command syntax.  Proper usage not available.",
                Reply(520, "Invalid command syntax.  Proper usage not available."),
            ),
        ],
    )
    def test_on_one_line(self, line: bytes, reply: Reply) -> None:
        assert reply_to(line + b"\n") == reply

    def test_a_value_may_span_lines(self) -> None:
        assert reply_to(b"200 result=1 (one\n\ntwo (2\nx)\n").value == "one\n\ntwo (2\nx"
        assert reply_to(b"200 result=1 (one\nHANGUP\n200 result=0\nx)\n").value == (
            "one\nHANGUP\n200 result=0\nx"
        )

    def test_the_rest_of_a_value_cut_at_a_parenthesis_answers_nothing(self) -> None:
        dialogue = asked()
        (reply,) = dialogue.receive_data(b"200 result=1 (f(x)\n200 result=49 endpos=9)\n")
        assert reply == Reply(200, "result=1 (f(x)", "1", "f(x")
        dialogue.command("NOOP")
        assert dialogue.receive_data(b"200 result=0\n") == [Reply(200, "result=0", "0")]

    @pytest.mark.parametrize(
        "end", [b"\n520 End of proper usage.\n", b"520 End of proper usage.\n"]
    )
    def test_usage_over_lines_with_its_end_on_a_line_or_glued_to_the_last(self, end: bytes) -> None:
        dialogue = asked()
        (reply,) = dialogue.receive_data(
            b"520-Invalid command syntax.  Proper usage follows:\nUsage: ANSWER\n\nAnswers." + end
        )
        assert isinstance(reply, Reply)
        assert reply.code == 520
        assert reply.text.startswith("Invalid command syntax.  Proper usage follows:\nUsage: ANSW")
        assert not dialogue.answer_is_due

    def test_trying_is_no_answer_yet(self) -> None:
        dialogue = asked()
        assert dialogue.receive_data(b"100 result=0 Trying...\n") == []
        assert dialogue.answer_is_due
        assert dialogue.receive_data(b"200 result=0 Gosub complete\n") == [
            Reply(200, "result=0 Gosub complete", "0")
        ]

    @pytest.mark.parametrize("line", [b"", b"hello", b"20 result=0", b"2000 result=0", b"520~"])
    def test_what_is_no_answer_is_a_fault(self, line: bytes) -> None:
        with pytest.raises(RemoteProtocolError, match="is no answer"):
            asked().receive_data(line + b"\n")

    def test_a_nul_is_a_fault(self) -> None:
        with pytest.raises(RemoteProtocolError, match="NUL"):
            asked().receive_data(b"200 result=1 (\0)\n")

    @pytest.mark.parametrize("begin", [b"200 result=1 (", b"520-Usage:"])
    @pytest.mark.parametrize("line", [b"\n", b"x" * 1000 + b"\n"])
    def test_an_answer_without_end_is_a_fault(self, begin: bytes, line: bytes) -> None:
        with pytest.raises(RemoteProtocolError, match="an answer longer than"):
            asked().receive_data(begin + line * MAX_ANSWER_BYTES)

    @pytest.mark.parametrize("end", [b"", b"\n"])
    def test_a_line_without_end_is_a_fault(self, end: bytes) -> None:
        longest = b"200 result=1 (" + b"x" * (MAX_ANSWER_BYTES - 15) + b")"
        assert len(asked().receive_data(longest + b"\n")) == 1
        with pytest.raises(RemoteProtocolError, match="a line longer than"):
            asked().receive_data(b"x" + longest + end)

    def test_after_a_long_value_there_is_room_for_the_next(self) -> None:
        dialogue = asked()
        answer = b"200 result=1 (" + b"x" * 9000 + b"\n)\n"
        dialogue.receive_data(answer)
        dialogue.command("NOOP")
        assert len(dialogue.receive_data(answer)) == 1


class TestHangUp:
    def test_while_nothing_is_out(self) -> None:
        assert started().receive_data(b"HANGUP\n") == [HungUp()]

    def test_after_the_answer(self) -> None:
        assert asked().receive_data(b"200 result=-1 endpos=15360\nHANGUP\n") == [
            Reply(200, "result=-1 endpos=15360", "-1", None, 15360),
            HungUp(),
        ]

    def test_before_the_answer_which_is_still_due(self) -> None:
        dialogue = asked()
        assert dialogue.receive_data(b"HANGUP\n") == [HungUp()]
        assert dialogue.answer_is_due
        assert dialogue.receive_data(b"511 dead\n") == [Reply(511, "dead")]

    def test_again_at_the_end(self) -> None:
        dialogue = started()
        assert dialogue.receive_data(b"HANGUP\nHANGUP\n") == [HungUp(), HungUp()]
        dialogue.receive_eof()


class TestTurns:
    def test_no_command_before_the_environment(self) -> None:
        with pytest.raises(LocalProtocolError, match="ANSWER: not our turn"):
            Dialogue().command("ANSWER")

    @pytest.mark.parametrize("so_far", [b"", b"HANGUP\n", b"200 result=1 (a\n", b"520-Usage\n"])
    def test_no_command_ahead_of_an_answer(self, so_far: bytes) -> None:
        dialogue = asked()
        dialogue.receive_data(so_far)
        assert dialogue.answer_is_due
        with pytest.raises(LocalProtocolError):
            dialogue.command("ANSWER")

    def test_no_command_after_the_end(self) -> None:
        dialogue = started()
        dialogue.receive_eof()
        with pytest.raises(LocalProtocolError, match="CLOSED"):
            dialogue.command("ANSWER")

    def test_a_refused_word_leaves_the_turn_with_us(self) -> None:
        dialogue = started()
        with pytest.raises(UnsendableWord):
            dialogue.command("NOOP", "a\nb")
        assert dialogue.command("NOOP") == b"NOOP\n"


class TestQuoting:
    def test_words_are_quoted(self) -> None:
        command = encode_command("STREAM FILE", "/var/sounds/1029", "", "0")
        assert command == b'STREAM FILE "/var/sounds/1029" "" "0"\n'

    def test_quotes_and_backslashes_are_escaped(self) -> None:
        assert encode_command("NOOP", 'a"b\\', "茉莉花") == ('NOOP "a\\"b\\\\" "茉莉花"\n'.encode())

    @pytest.mark.parametrize("word", ["a\nHANGUP", "a\r", "\0", "x" * 8190])
    def test_what_cannot_be_carried_is_refused(self, word: str) -> None:
        with pytest.raises(UnsendableWord, match="^SET VARIABLE: "):
            encode_command("SET VARIABLE", "name", word)

    def test_a_lone_surrogate_is_refused(self) -> None:
        with pytest.raises(UnsendableWord, match="no text"):
            encode_command("NOOP", "\udce9")

    def test_the_longest_command_is_sent(self) -> None:
        longest = "x" * (MAX_COMMAND_BYTES - len(b'NOOP ""\n'))
        assert len(encode_command("NOOP", longest)) == MAX_COMMAND_BYTES
        with pytest.raises(UnsendableWord, match="8192 bytes"):
            encode_command("NOOP", longest + "x")

    @pytest.mark.parametrize("verb", ["", "NOOP\nHANGUP", 'NOOP "', "ÄNSWER", "NOOP;"])
    def test_a_verb_is_letters(self, verb: str) -> None:
        with pytest.raises(LocalProtocolError):
            encode_command(verb)

    @given(st.lists(st.text(max_size=40), max_size=5))
    def test_whatever_a_word_holds_it_arrives_as_that_one_word_or_is_refused(
        self, words: list[str]
    ) -> None:
        try:
            line = encode_command("SET VARIABLE", *words)
        except UnsendableWord:
            assert any(set(word) & set("\r\n\0") for word in words)
            return
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert parse_words(line[:-1]) == ["SET", "VARIABLE", *words]


ANSWER = st.sampled_from(
    [
        b"200 result=0\n",
        b"200 result=49 endpos=5280\n",
        b"200 result= (timeout)\n",
        b"200 result=1 (a (b)\nc\n\n(d))\n",
        b"200 result=1 (\xe8\x8c\x89 \xe9)\n",
        b"100 result=0 Trying...\n200 result=0 Gosub complete\n",
        b"510 Invalid or unknown command\n",
        b"511 Command Not Permitted on a dead channel or intercept routine\n",
        b"520-Invalid command syntax.  Proper usage follows:\nX.520 End of proper usage.\n",
        b"520-Invalid command syntax.  Proper usage follows:\nX\n520 End of proper usage.\n",
        b"520 Invalid command syntax.  Proper usage not available.\n",
        b"HANGUP\n511 dead\n",
        b"200 result=-1 endpos=0\nHANGUP\n",
        b"\xff\xfe nonsense\n",
        b"200 result=1 (" + b"x" * 70 + b"\n" * 3 + b"HANGUP\n)\nHANGUP\n",
    ]
)


def converse(chunks_of_each_answer: list[list[bytes]]) -> list[Event | str]:
    """A dialogue that asks after each answer; a fault is its last event."""
    dialogue = Dialogue()
    events: list[Event | str] = []
    for chunks in chunks_of_each_answer:
        for chunk in chunks:
            try:
                events += dialogue.receive_data(chunk)
            except RemoteProtocolError as fault:
                return [*events, str(fault)]
        if not dialogue.answer_is_due:
            dialogue.command("NOOP")
    return events


@given(st.data())
def test_any_cut_of_the_bytes_gives_the_same_events(data: st.DataObject) -> None:
    answers = [environment(), *data.draw(st.lists(ANSWER, max_size=4))]
    cuts = [
        [0, *sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8))), len(answer)]
        for answer in answers
    ]
    pieces = [
        [answer[begin:end] for begin, end in zip(cut, cut[1:], strict=False)]
        for answer, cut in zip(answers, cuts, strict=True)
    ]
    assert converse(pieces) == converse([[answer] for answer in answers])


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_raise_anything_but_a_protocol_error(data: bytes, after_a_command: bool) -> None:
    dialogue = asked() if after_a_command else Dialogue()
    with suppress(RemoteProtocolError):
        dialogue.receive_data(data)
        dialogue.receive_eof()


def serve_in_pieces(whole: bytes, size: int) -> None:
    """Take what comes, and ask something as soon as the environment seems to be complete."""
    dialogue = Dialogue()
    for start in range(0, len(whole), size):
        for event in dialogue.receive_data(whole[start : start + size]):
            if isinstance(event, CallStarted):
                dialogue.command("ANSWER")


@pytest.mark.parametrize("behind", ["", "x", "200 result=0", "HANGUP"])
def test_a_caller_whose_name_ends_the_environment_is_refused(behind: str) -> None:
    forged = f"1\nagi_threadid: 1\nagi_arg_1: 8613900000000\n\n{behind}"
    whole = environment(callerid=forged, arg_1="")
    for size in (7, 100, len(whole)):
        with pytest.raises(RemoteProtocolError):
            serve_in_pieces(whole, size)
