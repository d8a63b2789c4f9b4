"""Keys as they are typed in the terminal, in real time: `toneline phone --interactive`."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from ivr.phone import HANG_UP, KEYS

_QUIT = ("q", "\x03", "\x04")  # q, Ctrl-C, Ctrl-D


class TypedKeys:
    """Whoever sits at the terminal; q, Ctrl-C and Ctrl-D hang up, other keys mean nothing."""

    def during_file(self, length_ms: int) -> tuple[int, str] | None:
        """Wait as long as the file lasts for a key."""
        return self._wait(length_ms)

    def in_silence(self, length_ms: int) -> tuple[int, str] | None:
        """Wait as long as the line does for a key."""
        return self._wait(length_ms)

    def _wait(self, length_ms: int) -> tuple[int, str] | None:
        began_s = time.monotonic()
        try:
            while (left_s := began_s + length_ms / 1000 - time.monotonic()) > 0:
                typed = self._typed(left_s)
                if typed is not None and (typed == HANG_UP or typed in KEYS):
                    return self._passed_ms(began_s), typed
        except KeyboardInterrupt:
            return self._passed_ms(began_s), HANG_UP
        return None

    def _typed(self, within_s: float) -> str | None:
        """Return a typed character, HANG_UP for one that quits or the end of input, or None."""
        readable, _, _ = select.select([sys.stdin], [], [], within_s)
        if not readable:
            return None
        # Past Python's own buffer, which select() knows nothing of.
        typed = os.read(sys.stdin.fileno(), 1).decode(errors="replace")
        return HANG_UP if not typed or typed in _QUIT else typed

    def _passed_ms(self, began_s: float) -> int:
        return round((time.monotonic() - began_s) * 1000)


@contextmanager
def keys_of_the_terminal() -> Iterator[TypedKeys]:
    """Read each key as it is typed, without Enter and without showing it; restore afterwards."""
    if not sys.stdin.isatty():
        yield TypedKeys()
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield TypedKeys()
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
