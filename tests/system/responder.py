"""The smallest FastAGI server: a thread a call that sends commands and reads replies.

It proves the harness without the line, and stands for a server that breaks.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, cast

from tests.system.asterisk import Address


class Dialogue:
    """One call: its environment, and one command at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.environment = dict(self._environment())

    def _environment(self) -> list[tuple[str, str]]:
        lines: list[tuple[str, str]] = []
        while line := self._stream.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            lines.append((name, value))
        return lines

    def command(self, line: str) -> str:
        """The reply after ``200 result=``; "" when the caller is gone."""
        try:
            self._stream.write(line.encode() + b"\n")
            self._stream.flush()
            reply = self._stream.readline().decode().rstrip("\n")
        except OSError:
            return ""
        return reply.removeprefix("200 result=") if reply != "HANGUP" else ""

    def play(self, sound: object) -> str | None:
        """Play a file; the key that ended it, or None."""
        code = self.command(f'STREAM FILE "{sound}" "0123456789*#"').partition(" ")[0]
        return chr(int(code)) if code not in ("", "0", "-1") else None


class Responder:
    """Runs ``script`` for every call, on a port the kernel chose; errors are kept in ``errors``."""

    def __init__(self, script: Callable[[Dialogue], None]) -> None:
        self.errors: list[Exception] = []
        self.calls: list[Dialogue] = []
        responder = self

        class Call(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self.connection.makefile("rwb") as stream:
                    try:
                        dialogue = Dialogue(cast("BinaryIO", stream))
                        responder.calls.append(dialogue)
                        script(dialogue)
                    except Exception as error:  # the edge of a call: tests look at it
                        responder.errors.append(error)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Call)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def __enter__(self) -> Responder:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
