"""Ports for what the tests start: each is given once, also to tests that run side by side."""

from __future__ import annotations

import random
import socket

_LOWEST, _HIGHEST = 20_000, 32_000
"""Below what Linux gives to outgoing connections (ip_local_port_range begins at 32768)."""

_claims: list[socket.socket] = []  # held until this process ends


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of this kind that nobody uses, and that no other test process will be given."""
    while True:
        port = random.randint(_LOWEST, _HIGHEST)
        if _claim(port) and _is_free(port, kind):
            return port


def _claim(port: int) -> bool:
    """Claim a port by a name in Linux's abstract namespace, which goes with this process."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0toneline-tests-{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers bind it
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
