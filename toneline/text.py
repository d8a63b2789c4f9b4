"""A phone that texts: sends an MO through the SMSC simulator's HTTP port and reads the MTs."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

QUIET_S = 1.0
"""The conversation is over when nothing has come for so long after the last MT."""


class NoSimulator(Exception):
    """The simulator's HTTP port does not answer as it should."""


def send_text(
    url: str,
    sender: str,
    recipient: str,
    text: str,
    wait_s: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[dict[str, Any]]:
    """Send an MO to the simulator at `url`; yield the MTs that come back, as they come.

    Ends 1 s after the last MT, or after `wait_s` without any.

    Raises:
        NoSimulator: nothing answers there, or it refuses the message.
    """
    seen = _ask(f"{url}/mt?{urlencode({'to': sender})}")
    since = max((message["n"] for message in seen), default=0)
    _ask(f"{url}/mo", {"from": sender, "to": recipient, "text": text})
    deadline = monotonic() + wait_s
    while (left := deadline - monotonic()) > 0:
        query = urlencode({"to": sender, "since": since, "wait": f"{left:.2f}"})
        for message in _ask(f"{url}/mt?{query}", timeout_s=left + 5):
            since = max(since, message["n"])
            deadline = monotonic() + QUIET_S
            yield message


def _ask(url: str, document: object = None, timeout_s: float = 10) -> Any:
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(  # noqa: S310  the address is our own simulator's
        url, data=body, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise NoSimulator(f"{url}: {error.read().decode(errors='replace').strip()}") from error
    except (OSError, ValueError) as error:
        raise NoSimulator(f"{url}: {error}; is the line running?") from error
