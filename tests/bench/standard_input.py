"""A bench's server ends when whoever started it closes its standard input, or dies."""

from __future__ import annotations

import os
import threading
from typing import Any


def stop_with_input(reactor: Any) -> None:
    """Stop ``reactor`` once standard input has ended."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        reactor.callFromThread(reactor.stop)

    threading.Thread(target=wait, daemon=True).start()
