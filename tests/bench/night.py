"""What an operator sees of a busy night: the licensed rate, answers past a queue, an outage.

A real line bound to an SMSC in a process of its own (the simulator), which answers a submit_sm
after 20 ms. What it was sent, and when, is the SMSC's own account; both clocks are this machine's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

from ordering.outbox import CLASSES, Message, MessageClass
from tests.bench import backlog
from tests.bench.agi_load import percentiles_ms
from tests.system.line import Line, Settings
from tests.system.smsc import SmscProcess

LICENSED = 100
WINDOW = 10
RESPONSE_S = 0.02
LINK: dict[str, object] = {"window": WINDOW, "enquire_link_s": 5}

QUEUED = 120_000  # 100,000 and what leaves while the rest is measured
FIRST_OFFERED = 13_700_000_000
OFFER_LIFE = timedelta(hours=2)  # none of a full queue expires while it is measured
WARM_UP_S = 3.0
RATE_S = 30.0

MO_PER_S = 50.0
MO_S = 20.0
ASKED = (("CX", LICENSED), ("1029", 2 * LICENSED), ("1029", 0))
"""Texts and the SMSC's tps: 50 questions of two parts a second are all that 100 tps allow."""
FIRST_TEXTER = 13_800_000_000
PATIENCE_S = 30.0

OUTAGE = timedelta(minutes=30)


@dataclass(frozen=True)
class Owed:
    """Messages that came to be in an outage, evenly: so many a second, that live for so long."""

    message_class: MessageClass
    per_s: float
    life: timedelta


PILED_UP = (
    Owed("offer", 2, timedelta(minutes=15)),
    Owed("order", 0.2, timedelta(hours=48)),
    Owed("answer", 0.5, timedelta(minutes=10)),  # questions asked before it
    Owed("answer", 1, timedelta(hours=6)),
)


def measure(folder: Path, sounds: Path, *, quick: bool) -> dict[str, Any]:
    """The figures of all three."""
    share = 0.05 if quick else 1.0
    figures: dict[str, Any] = {"disk_ms": _disk_ms(folder)}
    with Night(folder / "rate", sounds, LICENSED) as night:
        night.queue(share)
        figures["rate"] = night.rate(share)
        answers = [night.answers(ASKED[0][0], share)]
    for number, (text, tps) in enumerate(ASKED[1:]):
        with Night(folder / f"answers-{number}", sounds, tps) as night:
            night.queue(share)
            answers.append(night.answers(text, share))
    with Night(folder / "outage", sounds, LICENSED) as night:
        return figures | {"answers": answers, "outage": night.outage(share)}


class Night:
    """A line, and the SMSC that it is bound to; ``tps`` is licensed and granted, 0: any."""

    def __init__(self, folder: Path, sounds: Path, tps: int) -> None:
        self._tps = tps
        folder.mkdir(parents=True)
        self._smsc = SmscProcess("simulator", folder)
        settings: Settings = {
            "smsc": [self._smsc.settings(tps=tps, **LINK)],
            "sms": {"sender_offer": backlog.OFFERS_SENDER},
        }
        self._line = Line(folder / "line", settings, sounds=sounds)
        self._var = folder / "line" / "var"
        self._open = ExitStack()

    def __enter__(self) -> Night:
        self._start_smsc()
        self._open.enter_context(self._line)
        self._wait_until_bound()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
        self._smsc.__exit__(kind, error, trace)

    def queue(self, share: float) -> None:
        """Let 120,000 offers be due."""
        due = [datetime.now(UTC)] * round(QUEUED * share)
        backlog.put(self._var, backlog.messages("offer", FIRST_OFFERED, due, OFFER_LIFE))

    # The licensed rate.

    def rate(self, share: float) -> dict[str, Any]:
        """How much of the licensed rate a full outbox makes of it, and never more."""
        time.sleep(WARM_UP_S)
        began, before = time.monotonic(), self._counts()
        time.sleep(max(RATE_S * share, 3.0))
        seconds, after = time.monotonic() - began, self._counts()
        submitted = after["submitted"] - before["submitted"]
        return {
            "licensed_per_s": self._tps,
            "seconds": round(seconds, 2),
            "submitted": submitted,
            "share_percent": round(100 * submitted / seconds / self._tps, 2),
            "peak_1s": after["submitted_peak_1s"],
            "throttled": after.get("throttled", 0),
            "waiting": backlog.count(self._var, "due", "claimed"),
        }

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = self._smsc.state()["counts"]
        return counts

    # Answers past a queue.

    def answers(self, text: str, share: float) -> dict[str, Any]:
        """From an MO put into the SMSC to its answer's last part submitted, at 50 a second."""
        waiting = backlog.count(self._var, "due")
        with Reader(self._smsc) as reader:
            asked = self._ask(text, round(MO_PER_S * max(MO_S * share, 2.0)))
            deadline = time.monotonic() + PATIENCE_S
            while not asked.keys() <= reader.came.keys() and time.monotonic() < deadline:
                time.sleep(0.2)
        came = {number: reader.came[number] for number in asked if number in reader.came}
        waits = [_at(one).timestamp() - asked[number] for number, one in came.items()]
        return {
            "text": text,
            "tps": self._tps,
            "mo_per_s": MO_PER_S,
            "asked": len(asked),
            "answered": len(came),
            "parts": max((one["parts"] for one in came.values()), default=0),
            "wait_ms": percentiles_ms(waits),
            "waiting_before": waiting,
            "offers_meanwhile": len(reader.came) - len(came),
            "throttled": self._counts().get("throttled", 0),
            "peak_1s": self._counts()["submitted_peak_1s"],
        }

    def _ask(self, text: str, times: int) -> dict[str, float]:
        """Text from so many numbers, each at its time; returns when each was due to."""
        asked: dict[str, float] = {}
        with ThreadPoolExecutor(8) as threads:
            began = time.time()
            sent = []
            for number in range(times):
                due = began + number / MO_PER_S
                time.sleep(max(0.0, due - time.time()))
                texter = str(FIRST_TEXTER + number)
                asked[f"86{texter}"] = due
                sent.append(threads.submit(self._smsc.mo, texter, text))
            for one in sent:
                one.result()
        return asked

    # After an outage.

    def outage(self, share: float) -> dict[str, Any]:
        """The SMSC is away, and has been for 30 minutes by the rows' clock; then it is back."""
        self._smsc.__exit__(None, None, None)
        owed = _pile_up(share, datetime.now(UTC))
        backlog.put(self._var, owed)
        back_at = datetime.now(UTC)
        self._start_smsc()
        self._wait_until_bound()
        began = time.monotonic()
        while backlog.count(self._var, "due", "claimed"):
            if time.monotonic() - began > len(owed) / LICENSED + PATIENCE_S:
                break
            time.sleep(0.5)
        dropped = backlog.count(self._var, "dropped")
        left = {"dropped": dropped, "still_waiting": backlog.count(self._var, "due", "claimed")}
        drained_s = round(time.monotonic() - began, 1)
        return _account(owed, self._smsc.mts(), back_at) | left | {"drained_s": drained_s}

    def _start_smsc(self) -> None:
        self._smsc.__enter__()
        self._smsc.play(smsc={"tps": self._tps, "response_delay_s": RESPONSE_S})

    def _wait_until_bound(self) -> None:
        self._line.wait_for(lambda: bool(self._smsc.state()["binds"]), "the line is not bound", 60)


class Reader:
    """Reads what comes to the SMSC while it runs: `came` has each number's first message."""

    def __init__(self, smsc: SmscProcess) -> None:
        self.came: dict[str, dict[str, Any]] = {}
        self._smsc = smsc
        self._last = int(smsc.state()["last"])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(1.0):
            for message in self._smsc.mts(self._last):
                self._last = message["n"]
                self.came.setdefault(message["destination"], message)


def _disk_ms(folder: Path) -> dict[str, float]:
    """How long the disk takes to keep 4 KiB: each window's worth waits for one such commit."""
    took: list[float] = []
    with (folder / "disk").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return percentiles_ms(took)


def _pile_up(share: float, now: datetime) -> list[Message]:
    """What came to be in the outage, in no order."""
    owed: list[Message] = []
    for one in PILED_UP:
        times = round(OUTAGE.total_seconds() * one.per_s * share)
        due = [now - OUTAGE * (1 - number / times) for number in range(times)]
        owed += backlog.messages(one.message_class, FIRST_OFFERED + len(owed), due, one.life)
    return owed


def _account(
    owed: Sequence[Message], sent: Sequence[dict[str, Any]], back_at: datetime
) -> dict[str, Any]:
    """Compare what was owed with what the SMSC got, in its order."""
    known = {message.msisdn: message for message in owed}
    got = [known[one["destination"]] for one in sent]
    ranks = [CLASSES.index(message.message_class) for message in got]
    overdue = [_at(one) - message.expires_at for one, message in zip(sent, got, strict=True)]
    return {
        "owed": len(owed),
        "expired_before": sum(message.expires_at <= back_at for message in owed),
        "sent": {one: sum(message.message_class == one for message in got) for one in CLASSES},
        "twice": len(got) - len({message.msisdn for message in got}),
        "sent_after_a_lesser_class": sum(
            rank < highest for rank, highest in zip(ranks, accumulate(ranks, max), strict=True)
        ),
        "expired_sent": sum(late > timedelta() for late in overdue),
        "answers_s": _last_answer_s(got, sent),
    }


def _last_answer_s(got: Sequence[Message], sent: Sequence[dict[str, Any]]) -> float:
    """Seconds from the first message to the last answer."""
    answers = [
        _at(one)
        for one, message in zip(sent, got, strict=True)
        if message.message_class == "answer"
    ]
    return round((max(answers) - _at(sent[0])).total_seconds(), 1) if answers else 0.0


def _at(message: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(message["at"])
