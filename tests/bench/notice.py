"""From a confirmation to its order notice at the SMSC: key 1 in a call, and `Y` by SMS.

Callers and texters come at a moderate rate, so that no queue is measured. The clock starts when
the key's answer leaves for the line, or the SMS `Y` enters the SMSC; it stops when the simulator
has taken the notice's last part (its own `at`; both clocks are this machine's).
"""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.agi_load import Generator, Load, percentiles_ms
from tests.bench.calls import DIALLED
from tests.system.line import Line

RATE = 10.0  # a second
ORDERS = 100  # by each way
THINK_S = 0.1
FIRST_CALLER = 13_900_000_000
FIRST_TEXTER = 13_800_000_000
PATIENCE_S = 20.0


def measure(folder: Path, sounds: Path, *, quick: bool) -> dict[str, Any]:
    """The figures of both ways."""
    orders = 10 if quick else ORDERS
    with Line(folder / "notice", sounds=sounds) as line:
        return {
            "orders_a_way": orders,
            "rate_per_s": RATE,
            "key_1": _figures(line, _by_voice(line, orders)),
            "sms_Y": _figures(line, _by_sms(line, orders)),
        }


def _by_voice(line: Line, orders: int) -> dict[str, float]:
    """Place the calls; returns when each number's confirming key left."""
    load = Load(
        host=line.agi[0],
        port=line.agi[1],
        calls=orders,
        at_once=orders,
        dial=[DIALLED],
        caller=FIRST_CALLER,
        presses=[(re.compile("/tones/1029-"), "1"), (re.compile("/offer_confirm"), "1")],
        hang_up=re.compile("/(ordered|order_accepted|order_failed)"),
        think_s=THINK_S,
        ramp_s=orders / RATE,
    )
    generator = Generator(load)
    generator.run()
    # the second key confirms: the later one of each caller stays
    return {f"86{caller}": at for caller, _, at in generator.measured.pressed}


def _by_sms(line: Line, orders: int) -> dict[str, float]:
    """Ask and confirm by SMS; returns when each number's `Y` was sent."""
    confirmed: dict[str, float] = {}

    def text(number: int) -> None:
        caller = str(FIRST_TEXTER + number)
        _send(line, caller, "1029")
        if line.messages(caller, wait_s=PATIENCE_S):  # the question
            confirmed[f"86{caller}"] = time.time()
            _send(line, caller, "Y1029")

    _at_rate(orders, text)
    return confirmed


def _at_rate(times: int, action: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=action, args=(number,)) for number in range(times)]
    began = time.monotonic()
    for number, thread in enumerate(threads):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE_S)


def _send(line: Line, caller: str, text: str) -> None:
    body = json.dumps({"from": caller, "to": "12530019", "text": text}).encode()
    request = urllib.request.Request(f"{_address(line)}/mo", data=body)  # noqa: S310  our own port
    with urllib.request.urlopen(request, timeout=PATIENCE_S):  # noqa: S310  the same
        pass


def _address(line: Line) -> str:
    port = line._http  # Line.text looks for messages first, which takes time here
    return f"http://127.0.0.1:{port}"


def _figures(line: Line, confirmed: dict[str, float]) -> dict[str, Any]:
    """How long each confirmed number waited for its notice."""
    deadline = time.monotonic() + PATIENCE_S
    waits: dict[str, float] = {}
    while len(waits) < len(confirmed) and time.monotonic() < deadline:
        waits = _waits(line.messages(""), confirmed)
        time.sleep(0.2)
    return {
        "confirmed": len(confirmed),
        "notices": len(waits),
        "wait_ms": percentiles_ms(list(waits.values())),
    }


def _waits(messages: list[dict[str, Any]], confirmed: dict[str, float]) -> dict[str, float]:
    waits: dict[str, float] = {}
    for message in messages:
        number = message["destination"]
        wait = datetime.fromisoformat(message["at"]).timestamp() - confirmed.get(number, 0.0)
        if number in confirmed and wait > 0:
            waits.setdefault(number, wait)
    return waits
