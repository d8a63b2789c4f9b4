"""The store process: one a host, group commit, restarts, back-pressure.

`python -m store.process PACKAGE...` imports the packages and waits; one line of JSON on standard
input, `{"url": ..., "socket": ...}`, makes it serve (the URL may hold a password, so it is no
argument). It answers `ready` on standard output, and ends when standard input does, which is when
its parent does.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from store.changes import Watch, watch
from store.engine import StoreError, engine_for
from store.group import Groups, Request
from store.wire import CHANGED, REQUEST, Codec, Frames, WireError, frame

GROUP = 16
"""Requests that share one transaction at most: some 5 ms of orders.

With more, lines wait for the end of a long transaction and the store then for them.
"""
WATCH_S = 0.1
"""How often other programs' changes are asked for."""
_READ = 64 * 1024  # four times as much takes six times as long to allocate, each time
_LONGEST_BACKLOG = 256 * 1024 * 1024  # bytes; a client that reads nothing is let go


def main(url: str, socket_path: str, packages: Sequence[str]) -> None:
    """Serve the database at `url` on a socket until standard input ends or SIGTERM comes."""
    listener = listen(socket_path)
    groups = Groups(engine_for(url))
    changed = watch(engine_for(url), groups.driver_connection)
    process = StoreProcess(listener, groups, changed, Codec(packages))
    signal.signal(signal.SIGTERM, lambda *_: process.stop())
    process.watch_parent(sys.stdin.fileno())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        process.serve()
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            os.unlink(socket_path)
            if process.is_orphan:
                os.rmdir(os.path.dirname(socket_path))


def listen(socket_path: str) -> socket.socket:
    """Return a listening Unix socket that only this user may connect to."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket_path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(socket_path)
    finally:
        os.umask(before)
    listener.listen(128)
    return listener


class _Client:
    """A connected client: what it sent but in part, and what it has not read yet."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.frames = Frames()
        self.backlog = bytearray()


class StoreProcess:
    """The loop: read what all clients sent, run it as a group, answer each, tell what changed."""

    def __init__(
        self, listener: socket.socket, groups: Groups, changed: Watch, codec: Codec
    ) -> None:
        self.is_orphan = False
        self._groups = groups
        self._changed = changed
        self._codec = codec
        self._clients: set[_Client] = set()
        self._waiting: deque[tuple[_Client, int, Request]] = deque()
        self._stopping = False
        self._watch_at = 0.0
        self._selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self._listener = listener
        self._register(listener, self._accept)
        # A signal that comes while the loop sleeps in select must wake it.
        self._wakeup, writer = socket.socketpair()
        self._wakeup.setblocking(False)
        writer.setblocking(False)
        self._wakeup_writer = writer
        self._register(self._wakeup, lambda: self._wakeup.recv(_READ))

    def watch_parent(self, stdin: int) -> None:
        """End when `stdin` does: its other end is held by the process that started this one."""
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)

        def read() -> None:
            if not os.read(stdin, _READ):
                self._selector.unregister(stdin)
                self.is_orphan = True
                self.stop()

        self._register(stdin, read)

    def stop(self) -> None:
        """End after what was received has been done and answered."""
        self._stopping = True

    def serve(self) -> None:
        """Run until `stop`."""
        while not self._stopping or self._waiting:
            idle = 0.0 if self._waiting or self._stopping else WATCH_S
            for key, _ in self._selector.select(idle):
                key.data()
            self._run_group()
            self._look_around()
        for client in tuple(self._clients):
            self._flush_at_the_end(client)
        self._groups.close()
        self._selector.close()

    def _register(self, readable: Any, callback: Callable[[], object]) -> None:
        self._selector.register(readable, selectors.EVENT_READ, callback)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            client = _Client(connection)
            self._clients.add(client)
            self._register(connection, lambda: self._serve_client(client))

    def _serve_client(self, client: _Client) -> None:
        if client.backlog:
            self._write(client)
        try:
            data = client.socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        try:
            for kind, request_id, body in client.frames.feed(data):
                self._receive(client, kind, request_id, body)
        except WireError as error:
            _say(f"a client was let go: {error}")
            self._drop(client)

    def _receive(self, client: _Client, kind: int, request_id: int, body: bytes) -> None:
        if kind != REQUEST:
            raise WireError(f"a frame of kind {kind} is no request")
        try:
            function, values = self._codec.asked(body)
        except StoreError as error:
            self._send(client, self._codec.answer(request_id, None, error))
        else:
            self._waiting.append((client, request_id, Request(function, values)))

    def _run_group(self) -> None:
        asked = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        if not asked:
            return
        results, topics = self._groups.run([request for _, _, request in asked])
        for (client, request_id, _), (value, error) in zip(asked, results, strict=True):
            client.backlog += self._codec.answer(request_id, value, error)
        self._announce(topics)
        self._write_all()

    def _announce(self, topics: Sequence[str]) -> None:
        """Tell all clients what changed, in one write with the answers that go to them."""
        if topics:
            told = frame(CHANGED, 0, self._codec.dumps(list(topics)))
            for client in self._clients:
                client.backlog += told

    def _write_all(self) -> None:
        for client in tuple(self._clients):
            if client.backlog:
                self._write(client)

    def _look_around(self) -> None:
        now = time.monotonic()
        if now >= self._watch_at:
            self._watch_at = now + WATCH_S
            self._announce(self._changed.topics())
            self._write_all()

    def _send(self, client: _Client, data: bytes) -> None:
        if client in self._clients:
            client.backlog += data
            self._write(client)

    def _write(self, client: _Client) -> None:
        try:
            while client.backlog:
                sent = client.socket.send(client.backlog)
                del client.backlog[:sent]
        except BlockingIOError:
            if len(client.backlog) > _LONGEST_BACKLOG:
                _say("a client was let go: it does not read its answers")
                self._drop(client)
                return
        except OSError:
            self._drop(client)
            return
        self._want(client, selectors.EVENT_WRITE if client.backlog else 0)

    def _want(self, client: _Client, writing: int) -> None:
        key = self._selector.get_key(client.socket)
        events = selectors.EVENT_READ | writing
        if key.events != events:
            self._selector.modify(client.socket, events, key.data)

    def _drop(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.socket)
            client.socket.close()

    def _flush_at_the_end(self, client: _Client) -> None:
        client.socket.settimeout(1.0)
        with contextlib.suppress(OSError):
            client.socket.sendall(client.backlog)
        self._drop(client)


def _say(sentence: str) -> None:
    # Standard error goes to the parent, which logs it.
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


def _start(packages: Sequence[str]) -> None:
    # A signal to the whole process group is the parent's to understand: it drains first.
    os.setpgid(0, 0)
    for package in packages:
        importlib.import_module(package)
    gc.collect()
    gc.freeze()
    line = _first_line(sys.stdin.fileno())
    if line:
        orders = json.loads(line)
        main(orders["url"], orders["socket"], packages)


def _first_line(stdin: int) -> bytes:
    # Byte by byte: a buffered reader would swallow the end of the input that `serve` waits for.
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(stdin, 1)
        if not byte:
            return b""
        line += byte
    return bytes(line)


if __name__ == "__main__":
    _start(sys.argv[1:])
