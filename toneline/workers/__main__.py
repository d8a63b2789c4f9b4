"""`python -m toneline.workers` is one voice worker; only a parent that speaks `talk` starts it."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Leave the parent's process group, then take calls.

    A Ctrl-C, or a SIGTERM to every process of a service, is the parent's to understand: it drains
    first. A worker listens to its parent alone; SIGKILL ends it alone, and another takes its place.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    from toneline.workers.child import run  # noqa: PLC0415  after a second's imports it is too late

    run()


if __name__ == "__main__":
    main()
