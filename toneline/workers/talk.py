"""What a parent and a voice worker say to each other over the worker's standard input and output.

Each word is a frame: its length (four octets, big-endian) and the pickled word. Both ends are the
same release of the same program, and nobody else holds the pipes (compare docs/adr/0001).
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from toneline.voice import VoicePlan

HEARS, TELLS, COMPLAINS, PORT, BOARD, LOGS = range(6)
"""A worker's file descriptors: words from its parent and to it, what Python itself complains of,
the listening socket, the memory of `board`, and the lines of its log."""

_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Begin:
    """Take calls. `family` is the socket's address family, `workers` how many there are."""

    worker: int
    workers: int
    plan: VoicePlan
    store_socket: str
    store_modules: tuple[str, ...]
    family: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Refuse new calls, let the running ones end within the time, and say so."""

    deadline_s: float


@dataclass(frozen=True, slots=True)
class End:
    """Stop at once."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Calls are being taken."""


@dataclass(frozen=True, slots=True)
class Drained:
    """No call is left; so many had to be cut."""

    cut: int


Word = Begin | Drain | End | Begun | Drained


def said(word: Word) -> bytes:
    """Return a word as it is sent."""
    body = pickle.dumps(word, pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(_LENGTH, "big") + body


class Hearing:
    """Makes words of what comes, however it is cut."""

    def __init__(self) -> None:
        self._buffer = b""

    def hear(self, data: bytes) -> list[Word]:
        """Return the words that are complete now."""
        self._buffer += data
        words: list[Word] = []
        while len(self._buffer) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._buffer[:_LENGTH], "big")
            if len(self._buffer) < end:
                break
            words.append(pickle.loads(self._buffer[_LENGTH:end]))  # noqa: S301  see above
            self._buffer = self._buffer[end:]
        return words
