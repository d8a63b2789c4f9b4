"""Subscribers without number who text at a steady rate, whatever becomes of the line."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from random import Random
from typing import Any, NamedTuple

from tests.system.smsc import SmscProcess

CODES = ("1007", "1010", "1029", "1032", "1055", "1064", "1078", "1086")
ASKED = "回Y{code}"
"""Words by which a question is known."""
CONFIRMING = ("Y", "确认")
TICK_S = 0.05
MOST_WAITING = 600
"""While so many wait for their response nobody writes another: what waits is not to grow on."""


class Sms(NamedTuple):
    """A text of a subscriber; each sends each of his texts once."""

    number: str
    text: str


class Crowd:
    """A context manager: from entering it to leaving it, `rate` messages a second are sent.

    New subscribers ask for a tone (one in ten looks something up). Who has got his question
    confirms it (`confirmed`), gives it up, or looks the tone up instead.
    """

    def __init__(self, smsc: SmscProcess, rate: int, random: Random) -> None:
        self.sent: list[Sms] = []
        self.confirmed: set[tuple[str, str]] = set()
        self.got: Counter[tuple[str, str]] = Counter()
        self._smsc = smsc
        self._rate = rate
        self._random = random
        self._numbers = map("86139052{:05d}".format, count())
        self._codes: dict[str, str] = {}
        self._unasked: set[str] = set()
        self._replies: deque[Sms] = deque()
        self._last_mt = 0
        self._leaving = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._texting: Future[None] | None = None

    def __enter__(self) -> Crowd:
        """Begin."""
        self._texting = self._thread.submit(self._text)
        return self

    def __exit__(self, *_: object) -> None:
        """End; raises what kept somebody from sending."""
        self._leaving.set()
        self._thread.shutdown()
        if self._texting is not None:
            self._texting.result()

    def read(self) -> None:
        """Take what came to the telephones since the last time."""
        for mt in self._smsc.mts(self._last_mt):
            self._last_mt = int(mt["n"])
            if not mt["missing"]:
                self._take(mt)

    def _take(self, mt: dict[str, Any]) -> None:
        number = mt["destination"]
        self.got[number, mt["text"]] += 1
        if number in self._unasked and ASKED.format(code=self._codes[number]) in mt["text"]:
            self._unasked.remove(number)
            self._replies.append(self._reply(number, self._codes[number]))

    def _text(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._leaving.wait(TICK_S):
            self.read()
            due = round((time.monotonic() - began) * self._rate) - sent
            sent += due
            answered = int(self._smsc.state()["counts"].get("mo_answered", 0))
            if len(self.sent) - answered < MOST_WAITING:
                for _ in range(due):
                    self._send(self._replies.popleft() if self._replies else self._opening())

    def _send(self, sms: Sms) -> None:
        self._smsc.mo(sms.number, sms.text)
        self.sent.append(sms)
        if sms.text.startswith(CONFIRMING):
            self.confirmed.add((sms.number, self._codes[sms.number]))

    def _opening(self) -> Sms:
        number, code = next(self._numbers), self._random.choice(CODES)
        if self._random.random() < 0.1:
            return Sms(number, self._random.choice(("CX", "CX 茉莉花", "ML")))
        self._codes[number] = code
        self._unasked.add(number)
        return Sms(number, self._random.choice((code, f"DG {code}", f"订购{code}")))

    def _reply(self, number: str, code: str) -> Sms:
        if self._random.random() < 0.8:
            return Sms(number, self._random.choice((f"Y{code}", "Y", "确认")))
        return Sms(number, self._random.choice((f"N{code}", "N", f"CX {code}")))
