"""The reactor's side of AMI: deadlines, and what may have been sent."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ivr.ami import AmiError, Headers, OnEvent, Refused
from ivr.ami_connection import ANSWER_S, OPEN_S, PING_S, AmiConnection, NotSent
from tests.fakes.clocks import WAIT_S, ThreadedClock


class FakeSession:
    """A session whose peer says what the test puts, and which ends when it is aborted."""

    def __init__(self, on_event: OnEvent, on_end: Callable[[], None]) -> None:
        self.on_event = on_event
        self.on_end = on_end
        self.says: queue.Queue[str | Headers | AmiError] = queue.Queue()
        self.asked: queue.Queue[Mapping[str, str]] = queue.Queue()
        self.is_closed = False

    def open(self) -> str:
        said = self._hear()
        assert isinstance(said, str)
        return said

    def ask(self, action: Mapping[str, str]) -> Headers:
        self.asked.put(action)
        said = self._hear()
        assert not isinstance(said, str)
        return said

    def abort(self) -> None:
        self.says.put(AmiError("aborted"))

    def close(self) -> None:
        self.is_closed = True

    def _hear(self) -> str | Headers:
        said = self.says.get(timeout=WAIT_S)
        if isinstance(said, AmiError):
            raise said
        return said


class Scene:
    """A connection, its session, and everything it told."""

    def __init__(self) -> None:
        self.clock = ThreadedClock()
        self.sessions: list[FakeSession] = []
        self.events: list[Headers] = []
        self.lost: list[str] = []
        self.connection = AmiConnection(
            self.clock, self._session, self.events.append, self.lost.append
        )
        self.session = self.sessions[0]

    def _session(self, on_event: OnEvent, on_end: Callable[[], None]) -> FakeSession:
        self.sessions.append(FakeSession(on_event, on_end))
        return self.sessions[-1]

    def opened(self) -> Scene:
        self.session.says.put("Asterisk")
        assert self.result(self.connection.open()) == "Asterisk"
        return self

    def result(self, deferred: Deferred[Any]) -> object:
        """Return what it answers, or the exception it fails with."""
        results: list[object] = []
        deferred.addBoth(results.append)
        self.clock.until(lambda: bool(results))
        (result,) = results
        return result.value if isinstance(result, Failure) else result

    def ended(self) -> None:
        assert self.result(self.connection.close()) is None
        assert self.session.is_closed
        assert self.clock.getDelayedCalls() == []


def test_an_action_is_answered() -> None:
    scene = Scene().opened()
    scene.session.says.put({"Response": "Success"})
    assert scene.result(scene.connection.send({"Action": "Ping"})) == {"Response": "Success"}
    scene.ended()
    assert scene.lost == []


def test_events_are_told_in_the_reactor() -> None:
    scene = Scene().opened()
    scene.session.on_event({"Event": "Hangup"})
    assert scene.events == []
    scene.clock.until(lambda: bool(scene.events))
    assert scene.events == [{"Event": "Hangup"}]
    scene.ended()


def test_who_does_not_open_in_time_is_given_up() -> None:
    scene = Scene()
    opening = scene.connection.open()
    scene.clock.advance(OPEN_S)
    error = scene.result(opening)
    assert isinstance(error, AmiError)
    assert "no greeting" in str(error)
    scene.ended()
    assert scene.lost == []


def test_opening_can_be_cancelled() -> None:
    scene = Scene()
    opening = scene.connection.open()
    opening.cancel()
    assert isinstance(scene.result(opening), AmiError)
    scene.ended()


def test_why_it_cannot_be_opened_is_told() -> None:
    scene = Scene()
    scene.session.says.put(AmiError("Authentication failed"))
    assert str(scene.result(scene.connection.open())) == "Authentication failed"
    scene.ended()


def test_an_unanswered_action_ends_the_connection_and_may_have_been_sent() -> None:
    scene = Scene().opened()
    answer = scene.connection.send({"Action": "Originate"})
    scene.session.asked.get(timeout=WAIT_S)
    scene.clock.advance(ANSWER_S)
    error = scene.result(answer)
    assert isinstance(error, AmiError)
    assert not isinstance(error, NotSent)
    assert scene.lost == [f"no answer to Originate in {ANSWER_S:g} s"]
    scene.ended()


def test_an_action_behind_it_was_certainly_not_sent() -> None:
    scene = Scene().opened()
    first = scene.connection.send({"Action": "Originate"})
    scene.session.asked.get(timeout=WAIT_S)
    second = scene.connection.send({"Action": "Originate"})
    scene.clock.advance(ANSWER_S)
    assert not isinstance(scene.result(first), NotSent)
    assert isinstance(scene.result(second), NotSent)
    assert scene.session.asked.empty()
    scene.ended()


def test_nothing_is_sent_before_it_is_open_or_after_its_end() -> None:
    scene = Scene()
    assert isinstance(scene.result(scene.connection.send({"Action": "Ping"})), NotSent)
    scene.opened().ended()
    assert isinstance(scene.result(scene.connection.send({"Action": "Ping"})), NotSent)


def test_a_line_break_is_refused_and_the_connection_stays() -> None:
    scene = Scene().opened()
    refused = scene.result(scene.connection.send({"Action": "Originate", "Exten": "1\r\n"}))
    assert isinstance(refused, Refused)
    assert scene.lost == []
    scene.ended()


def test_a_closed_connection_is_noticed_at_once() -> None:
    scene = Scene().opened()
    scene.session.on_end()
    scene.clock.until(lambda: bool(scene.lost))
    assert scene.lost == ["Asterisk closed the connection"]
    scene.ended()


def test_a_connection_whose_other_end_is_gone_is_found_out_by_a_ping() -> None:
    scene = Scene().opened()
    scene.clock.advance(PING_S)
    assert scene.session.asked.get(timeout=WAIT_S) == {"Action": "Ping"}
    scene.session.says.put({"Response": "Success"})
    answered = len(scene.clock.getDelayedCalls())
    scene.clock.until(lambda: len(scene.clock.getDelayedCalls()) < answered)
    scene.clock.advance(PING_S)
    scene.session.asked.get(timeout=WAIT_S)
    scene.clock.advance(ANSWER_S)
    assert scene.lost == [f"no answer to Ping in {ANSWER_S:g} s"]
    scene.ended()


def test_an_event_after_the_end_is_not_told() -> None:
    scene = Scene().opened()
    scene.ended()
    scene.session.on_event({"Event": "Hangup"})
    scene.session.on_end()
    scene.clock.callFromThread(scene.lost.append, "the last")
    scene.clock.until(lambda: bool(scene.lost))
    assert (scene.events, scene.lost) == ([], ["the last"])


def test_closing_what_was_never_opened_is_nothing() -> None:
    scene = Scene()
    assert scene.result(scene.connection.close()) is None
