"""An Asterisk manager on a real socket, as well-behaved or as odd as a test wants it."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

Action = dict[str, str]
Answer = Callable[[Action], str | None]

GREETING = "Asterisk Call Manager/11.0.0\r\n"
SECRET = "hush"
WAIT_S = 20.0


def block(**headers: str) -> str:
    """Return a message of AMI."""
    return "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items()) + (
        "\r\n"
    )


def obey(action: Action) -> str | None:
    """Answer as Asterisk does whom nothing surprises."""
    named = {"ActionID": action["ActionID"]}
    if action["Action"] == "Login" and action["Secret"] != SECRET:
        return block(Response="Error", **named, Message="Authentication failed")
    return block(Response="Success", **named, Message="done")


def silent(_: Action) -> None:
    """Answer nothing."""


class FakeAmi:
    """A context manager: listens on a port of the kernel's choice until its end.

    ``answer`` makes the reply to each action; ``actions`` holds those that came, logins included.
    """

    def __init__(self, answer: Answer = obey, greeting: str = GREETING) -> None:
        self.answer = answer
        self.actions: queue.Queue[Action] = queue.Queue()
        self.connected: queue.Queue[socket.socket] = queue.Queue()
        self._greeting = greeting
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> FakeAmi:
        """Listen."""
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(WAIT_S)

    def next_action(self, name: str) -> Action:
        """Wait for the next action of this name; those before it are dropped."""
        while True:
            action = self.actions.get(timeout=WAIT_S)
            if action["Action"] == name:
                return action

    def tell(self, text: str) -> None:
        """Send something to everybody."""
        for connection in self._connections:
            connection.sendall(text.encode())

    def hang_up(self) -> None:
        """Close every connection."""
        connections, self._connections = self._connections, []
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self.connected.put(connection)
            serving = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(serving)
            serving.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(self._greeting.encode())
            with connection.makefile("r", encoding="utf-8", newline="\r\n") as lines:
                action: Action = {}
                for line in lines:
                    key, colon, value = line.rstrip("\r\n").partition(": ")
                    if colon:
                        action[key] = value
                        continue
                    self.actions.put(action)
                    reply = self.answer(action)
                    if reply is not None:
                        connection.sendall(reply.encode())
                    action = {}
