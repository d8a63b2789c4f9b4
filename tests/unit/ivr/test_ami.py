"""pyst2 against an Asterisk manager that is odd: nothing hangs, nothing gets in."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ivr.ami import LONGEST_LINE, AmiAccess, AmiError, Headers, Refused, Session, accepted
from tests.fakes.ami import SECRET, WAIT_S, Action, Answer, FakeAmi, block, obey, silent

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:asterisk.manager")

Events = queue.Queue[Headers]


@contextmanager
def session_with(
    server: FakeAmi, secret: str = SECRET, events: Events | None = None
) -> Iterator[Session]:
    heard = events or queue.Queue()
    session = Session(AmiAccess("127.0.0.1", server.port, "toneline", secret), heard.put)
    try:
        yield session
    finally:
        session.close()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT_S)
        assert not thread.is_alive(), thread


def test_it_logs_in_and_tells_who_answered() -> None:
    with FakeAmi() as server, session_with(server) as session:
        assert session.open() == "Asterisk Call Manager 11.0.0"
        login = server.next_action("Login")
    assert (login["Username"], login["Secret"], login["Events"]) == ("toneline", SECRET, "call")


def test_every_action_has_an_id_of_its_own() -> None:
    with FakeAmi() as server, session_with(server) as session:
        session.open()
        asked = [session.ask({"Action": "Ping"})["ActionID"] for _ in range(3)]
    assert len(set(asked)) == 3


def test_a_wrong_secret_is_told_in_asterisks_words() -> None:
    with (
        FakeAmi() as server,
        session_with(server, secret="wrong") as session,
        pytest.raises(AmiError, match="Authentication failed"),
    ):
        session.open()


def test_nobody_listening_is_told() -> None:
    with FakeAmi() as server:
        pass
    with session_with(server) as session, pytest.raises(AmiError, match="refused"):
        session.open()


def test_a_refused_action_keeps_the_session() -> None:
    def refuse(action: Action) -> str | None:
        if action["Action"] == "Originate":
            return block(Response="Error", ActionID=action["ActionID"], Message="Permission denied")
        return obey(action)

    with FakeAmi(refuse) as server, session_with(server) as session:
        session.open()
        answer = session.ask({"Action": "Originate"})
        with pytest.raises(Refused, match="Permission denied"):
            accepted(answer)
        assert accepted(session.ask({"Action": "Ping"}))["Message"] == "done"


@pytest.mark.parametrize(
    "action",
    [
        {"Action": "Originate", "Exten": "1\r\nAction: Command"},
        {"Action": "Originate", "Exten": "1\n"},
        {"Action": "Originate", "Channel\r": "1"},
        {"Action": "Originate", "Variable": "A=\0"},
    ],
)
def test_a_line_break_never_gets_into_an_action(action: Action) -> None:
    with FakeAmi() as server, session_with(server) as session:
        session.open()
        with pytest.raises(Refused, match="line of its own"):
            session.ask(action)
        session.ask({"Action": "Ping"})
        assert server.next_action("Login")
        assert server.actions.get(timeout=WAIT_S)["Action"] == "Ping"


def test_only_the_events_and_headers_we_use_get_through() -> None:
    events: Events = queue.Queue()
    with FakeAmi() as server, session_with(server, events=events) as session:
        session.open()
        server.tell(block(Event="Newchannel", Uniqueid="1", CallerIDName="status will follow"))
        server.tell(
            "Event: Hangup\r\nChanVariable: A=1\r\nCallerIDName: status will follow\r\n"
            "Uniqueid: 2\r\nCause: 17\r\n\r\n"
        )
        server.tell(block(Event="OriginateResponse", Reason="4", Uniqueid="3"))
        assert events.get(timeout=WAIT_S) == {"Event": "Hangup", "Uniqueid": "2", "Cause": "17"}
        assert events.get(timeout=WAIT_S)["Uniqueid"] == "3"
        assert session.ask({"Action": "Ping"})["Response"] == "Success"


def test_an_answer_to_another_action_ends_the_session() -> None:
    def mistaken(action: Action) -> str | None:
        named = action if action["Action"] == "Login" else {"ActionID": "another"}
        return block(Response="Success", ActionID=named["ActionID"])

    with FakeAmi(mistaken) as server, session_with(server) as session:
        session.open()
        with pytest.raises(AmiError, match="was answered by"):
            session.ask({"Action": "Ping"})


@pytest.mark.parametrize(
    "greeting",
    ["", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP 400 Bad\r\n", "x" * (LONGEST_LINE + 1)],
    ids=["nothing", "another protocol", "an error", "a line without end"],
)
def test_who_does_not_greet_as_ami_can_be_aborted(greeting: str) -> None:
    with FakeAmi(silent, greeting) as server, session_with(server) as session:
        aborting = abort_when_connected(server, session)
        with pytest.raises(AmiError):
            session.open()
        aborting.join()


def abort_when_connected(server: FakeAmi, session: Session) -> threading.Thread:
    def wait() -> None:
        server.connected.get(timeout=WAIT_S)
        session.abort()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def abort_when_asked(server: FakeAmi, session: Session, name: str) -> threading.Thread:
    def wait() -> None:
        server.next_action(name)
        session.abort()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def open_and_ping(session: Session) -> None:
    session.open()
    session.ask({"Action": "Ping"})


@pytest.mark.parametrize("name", ["Login", "Ping"])
def test_an_action_that_is_never_answered_can_be_aborted(name: str) -> None:
    def mute(action: Action) -> str | None:
        return None if action["Action"] == name else obey(action)

    with FakeAmi(mute) as server, session_with(server) as session:
        aborting = abort_when_asked(server, session, name)
        with pytest.raises(AmiError, match="lost"):
            open_and_ping(session)
        aborting.join()


@pytest.mark.parametrize("bytes_before", [b"", b"Response: Succ", b"Event: Hangup\r\n"])
def test_a_connection_closed_anywhere_ends_every_wait(bytes_before: bytes) -> None:
    ended = threading.Event()
    closing: Answer = silent
    with FakeAmi(obey) as server:
        access = AmiAccess("127.0.0.1", server.port, "toneline", SECRET)
        session = Session(access, lambda _: None, ended.set)
        session.open()
        server.answer = closing
        connection = server.connected.get()

        def close() -> None:
            server.next_action("Ping")
            connection.sendall(bytes_before)
            connection.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=close)
        thread.start()
        with pytest.raises(AmiError):
            session.ask({"Action": "Ping"})
        assert ended.wait(WAIT_S)
        session.close()
        thread.join()


def test_an_aborted_session_does_not_open() -> None:
    with FakeAmi() as server, session_with(server) as session:
        session.abort()
        with pytest.raises(AmiError):
            session.open()
