"""Asterisk's manager interface through pyst2, and none of pyst2's faults.

pyst2 reads in threads of its own, waits for answers without a limit, ties answers to actions by
their order, and writes whatever it is given. Here a session asks one action at a time and can be
aborted from outside; values that would begin another header are refused; and pyst2 is shown only
the headers it cannot stumble over (`_Wire`). `ivr.ami_connection` brings it to the reactor.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from asterisk.manager import Manager, ManagerException

CONNECT_S = 5.0
END_S = 5.0  # for pyst2's threads to end
LONGEST_LINE = 16 * 1024

EVENTS: Final = (b"OriginateResponse", b"Hangup")
HEADERS: Final = frozenset(
    (b"Response", b"Event", b"ActionID", b"Message", b"Reason", b"Uniqueid", b"Cause", b"Cause-txt")
)

Headers = Mapping[str, str]
OnEvent = Callable[[Headers], None]


class AmiError(Exception):
    """Asterisk's manager cannot be used; the sentence says why."""


class Refused(AmiError):
    """The action is not done: Asterisk refused it, or it must not be sent."""


@dataclass(frozen=True, slots=True)
class AmiAccess:
    """Where Asterisk's manager listens, and a user of its manager.conf."""

    host: str
    port: int
    username: str
    secret: str


class _Wire:
    """What pyst2 takes for its socket: it reads lines and writes actions.

    Only what we use passes. pyst2's reader dies of a `ChanVariable`, and takes "status will follow"
    in anybody's name for the beginning of an endless answer; on a busy Asterisk it would be kept
    busy by other people's calls.
    """

    def __init__(self, connection: socket.socket, on_end: Callable[[], None]) -> None:
        self._connection = connection
        self._on_end = on_end
        self._file = connection.makefile("rb")
        self._greeted = False
        self._begins = True
        self._skips = False

    def __iter__(self) -> _Wire:
        return self

    def __next__(self) -> bytes:
        for line in iter(self._line, b""):
            if self._passes(line):
                return line
        raise StopIteration

    def _line(self) -> bytes:
        try:
            line = self._file.readline(LONGEST_LINE)
        except ValueError:  # closed by the other thread between two lines
            return b""
        if len(line) == LONGEST_LINE:
            raise OSError(f"a line of {LONGEST_LINE} bytes")
        return line if line.endswith(b"\n") else b""

    def _passes(self, line: bytes) -> bool:
        if not self._greeted:
            self._greeted = True
            return True
        if line == b"\r\n":
            skipped, self._skips, self._begins = self._skips, False, True
            return not skipped
        key, _, value = line.partition(b":")
        if self._begins:
            self._begins = False
            self._skips = key == b"Event" and value.strip() not in EVENTS
        return not self._skips and key in HEADERS

    def write(self, data: bytes) -> None:
        self._connection.sendall(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def shut(self) -> None:
        """End whatever any thread is doing with the connection."""
        with suppress(OSError):  # it may be gone already
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection; pyst2 does it as soon as the other side has."""
        self.shut()
        with suppress(OSError):
            self._file.close()
        self._connection.close()
        self._on_end()


class Session:
    """One login, used by one thread, which waits; any other may :meth:`abort` it.

    ``on_event`` and ``on_end`` (of the connection) are called in threads of pyst2's.
    """

    def __init__(
        self, access: AmiAccess, on_event: OnEvent, on_end: Callable[[], None] = lambda: None
    ) -> None:
        self._access = access
        self._on_end = on_end
        self._manager: Any = Manager()
        # Its __del__ closes it, which waits for an answer, in whatever thread lets go of it last.
        self._manager.close = lambda: None
        self._aborted = threading.Event()
        self._wire: _Wire | None = None
        self._actions = 0
        for name in EVENTS:
            self._manager.register_event(
                name.decode(), lambda event, _manager: on_event(dict(event.headers))
            )

    def open(self) -> str:
        """Connect and log in; return who answered. Waits as long as the peer pleases.

        Raises:
            AmiError: nobody listens there, it is no AMI, or it does not know us.
        """
        address = (self._access.host, self._access.port)
        try:
            connection = socket.create_connection(address, CONNECT_S)
        except OSError as error:
            raise AmiError(f"{address[0]}:{address[1]}: {error}") from error
        connection.settimeout(None)
        self._wire = _Wire(connection, self._end)
        if self._aborted.is_set():
            raise AmiError("given up")
        self._greet(self._wire)
        login = {
            "Action": "Login",
            "Username": self._access.username,
            "Secret": self._access.secret,
            "Events": "call",
        }
        try:
            accepted(self.ask(login))
        except Refused as refused:
            raise AmiError(f"{address[0]}:{address[1]}: {refused}") from refused
        return f"{self._manager.title} {self._manager.version}"

    def _greet(self, wire: _Wire) -> None:
        # What Manager.connect does, without its wait for a connection and with an end to its wait
        # for the greeting: there it is not counted among those who are told of a lost connection.
        manager = self._manager
        manager._sock = wire
        manager._connected.set()
        manager._running.set()
        manager._reswaiting.insert(0, 1)
        manager.message_thread.start()
        manager.event_dispatch_thread.start()
        greeting = manager._response_queue.get()
        manager._reswaiting.pop()
        if greeting is None or not manager.title:
            raise AmiError(f"{self._access.host}:{self._access.port} does not greet as AMI does")

    def ask(self, action: Mapping[str, str]) -> Headers:
        """Send an action and return its answer, which may be a refusal.

        Raises:
            AmiError: a value cannot be sent, or the connection is lost or of no more use.
        """
        refuse_line_breaks(action)
        self._actions += 1
        named = {"ActionID": f"toneline-{self._actions}", **action}
        try:
            answer = self._manager.send_action(named)
        except (ManagerException, OSError) as error:
            raise AmiError(f"the connection is lost: {error}") from error
        if answer.get_header("ActionID") != named["ActionID"]:
            raise AmiError(f"{action['Action']} was answered by {answer.headers}")
        return dict(answer.headers)

    def abort(self) -> None:
        """Let every wait of :meth:`open` and :meth:`ask` end with an AmiError, from any thread."""
        self._aborted.set()
        if self._wire is not None:
            self._wire.shut()
        self._end_a_late_wait()

    def _end(self) -> None:
        self._end_a_late_wait()
        self._on_end()

    def _end_a_late_wait(self) -> None:
        # pyst2 counts who waits only after it has sent an action: whoever is not counted yet when
        # the connection ends is not told of it, and would wait for ever.
        self._manager._response_queue.put(None)

    def close(self) -> None:
        """End pyst2's threads, without the farewell that it would wait for."""
        manager = self._manager
        manager._connected.clear()
        manager._running.clear()
        if self._wire is not None:
            self._wire.close()
        manager._message_queue.put(None)
        manager._event_queue.put(None)
        for thread in (manager.message_thread, manager.event_dispatch_thread):
            if thread.is_alive():
                thread.join(END_S)


def refuse_line_breaks(action: Mapping[str, str]) -> None:
    """Let nothing become a header, or an action, of its own.

    Raises:
        Refused: a key or value holds CR, LF or NUL.
    """
    for key, value in action.items():
        if any(character in key + value for character in "\r\n\0"):
            raise Refused(f"{key!r} would begin a line of its own in AMI")


def accepted(answer: Headers) -> Headers:
    """Return the answer of an action that Asterisk did as it was told.

    Raises:
        Refused: it did not; the sentence is Asterisk's.
    """
    if answer.get("Response") != "Success":
        raise Refused(answer.get("Message", "refused without a word"))
    return answer
