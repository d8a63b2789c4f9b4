"""One AMI session for the reactor: a thread waits in pyst2, the reactor keeps the deadlines.

Nothing of the reactor's is touched in a thread but `callFromThread`, and nothing of pyst2's in the
reactor but `Session.abort`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet import defer
from twisted.internet.defer import Deferred

from ivr.ami import AmiError, Headers, OnEvent, Refused, refuse_line_breaks
from ivr.service import Timer

OPEN_S = 10.0  # to be connected, greeted and logged in
ANSWER_S = 10.0  # for an action's answer
PING_S = 20.0
END_S = 6.0  # for the thread to end


class NotSent(AmiError):
    """The connection ended before this action was written: Asterisk never saw it."""


class Reactor(Protocol):
    """Twisted's IReactorTime and IReactorFromThreads, in a form that mypy can read."""

    def seconds(self) -> float: ...  # noqa: D102 - as in IReactorTime
    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any) -> Timer: ...  # noqa: D102 - as in IReactorTime
    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> None: ...  # noqa: D102 - as in IReactorFromThreads


class Waiting(Protocol):
    """What a thread does with a session (:class:`ivr.ami.Session`)."""

    def open(self) -> str: ...  # noqa: D102 - as in Session
    def ask(self, action: Mapping[str, str]) -> Headers: ...  # noqa: D102 - as in Session
    def abort(self) -> None: ...  # noqa: D102 - as in Session
    def close(self) -> None: ...  # noqa: D102 - as in Session


@dataclass(slots=True, eq=False)
class _Question:
    action: Mapping[str, str]
    answer: Deferred[Headers]
    begun: bool = False
    timer: Timer | None = None


class AmiConnection:
    """A connection that is opened once and lost once.

    ``make_session`` is given what to call, in whatever thread, with each event and at the end.
    ``on_event`` and ``on_lost`` are called in the reactor, ``on_lost`` once, with the reason, of a
    connection that had opened and was not closed by us.
    """

    def __init__(
        self,
        reactor: Reactor,
        make_session: Callable[[OnEvent, Callable[[], None]], Waiting],
        on_event: OnEvent,
        on_lost: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._on_event = on_event
        self._on_lost = on_lost
        self._session = make_session(
            lambda headers: self._tell(self._hear, headers),
            lambda: self._tell(self._break, "Asterisk closed the connection"),
        )
        self._questions: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._unanswered: list[_Question] = []
        self._opening: Deferred[str] | None = None
        self._is_open = False
        self._is_over = False
        self._timer: Timer | None = None
        self._thread: threading.Thread | None = None
        self._ended: Deferred[None] = Deferred()

    # In the reactor.

    def open(self) -> Deferred[str]:
        """Connect and log in; answers who is there, or fails with an AmiError."""
        opening: Deferred[str] = Deferred(lambda _: self._break("given up"))
        self._opening = opening
        self._timer = self._reactor.callLater(
            OPEN_S, self._break, f"no greeting or no answer to the login in {OPEN_S:g} s"
        )
        self._thread = threading.Thread(target=self._work, name="ami", daemon=True)
        self._thread.start()
        return opening

    def send(self, action: Mapping[str, str]) -> Deferred[Headers]:
        """Send an action; answers what Asterisk answered.

        Fails with Refused if it must not be sent, NotSent if it certainly was not sent, another
        AmiError if it may have been.
        """
        if not self._is_open:
            return defer.fail(NotSent("not connected"))
        try:
            refuse_line_breaks(action)
        except Refused as refused:
            return defer.fail(refused)
        question = _Question(action, Deferred())
        late = f"no answer to {action['Action']} in {ANSWER_S:g} s"
        question.timer = self._reactor.callLater(ANSWER_S, self._break, late)
        self._unanswered.append(question)
        self._questions.put(question)
        return question.answer

    def close(self) -> Deferred[None]:
        """End the connection at once; answers when its threads have ended."""
        self._is_open = False  # it is not lost, it is not wanted
        self._break("closed")
        if self._thread is None:
            return defer.succeed(None)
        return self._ended.addTimeout(END_S, self._reactor, lambda _, __: None)  # type: ignore[arg-type]  # zope, see Reactor

    def _break(self, reason: str) -> None:
        if self._is_over:
            return
        was_open, self._is_open, self._is_over = self._is_open, False, True
        _stop(self._timer)
        self._session.abort()
        self._questions.put(None)
        if self._opening is not None:
            opening, self._opening = self._opening, None
            opening.errback(AmiError(reason))
        unanswered, self._unanswered = self._unanswered, []
        for question in unanswered:
            _stop(question.timer)
            error = AmiError(reason) if question.begun else NotSent(reason)
            question.answer.errback(error)
        if was_open:
            self._on_lost(reason)

    def _opened(self, who: str) -> None:
        if self._opening is None:
            return
        _stop(self._timer)
        opening, self._opening = self._opening, None
        self._is_open = True
        self._timer = self._reactor.callLater(PING_S, self._ping)
        opening.callback(who)

    def _ping(self) -> None:
        # A connection whose other end went away without a word is found out by its own deadline.
        self._timer = self._reactor.callLater(PING_S, self._ping)
        self.send({"Action": "Ping"}).addErrback(lambda failure: failure.trap(AmiError) and None)

    def _answered(self, question: _Question, answer: Headers | AmiError) -> None:
        if question not in self._unanswered:
            return
        self._unanswered.remove(question)
        _stop(question.timer)
        if isinstance(answer, AmiError):
            question.answer.errback(answer)
        else:
            question.answer.callback(answer)

    def _hear(self, headers: Headers) -> None:
        if not self._is_over:
            self._on_event(headers)

    def _gone(self, reason: str) -> None:
        self._break(reason)
        with suppress(defer.AlreadyCalledError):
            self._ended.callback(None)

    # In the thread.

    def _work(self) -> None:
        reason = "closed"
        try:
            self._tell(self._opened, self._session.open())
            for question in iter(self._questions.get, None):
                question.begun = True
                self._tell(self._answered, question, self._session.ask(question.action))
        except AmiError as error:
            reason = str(error)
        except Exception as error:  # the edge of a thread: whatever pyst2 raises
            reason = repr(error)
        self._session.close()
        self._tell(self._gone, reason)

    def _tell(self, function: Callable[..., None], *values: object) -> None:
        self._reactor.callFromThread(function, *values)


def _stop(timer: Timer | None) -> None:
    if timer is not None and timer.active():
        timer.cancel()
