"""what the parts of the simulated SMSC share: connections, time, counts, rules, and its actions."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

from smpp import pdu as codec
from smpp.commands import BindMode, Pdu, Status
from smpp.smsc_mailbox import Mt
from smpp.smsc_rules import Rules, Script

MAX_SEQUENCE: Final = 0x7FFF_FFFF


@dataclass(slots=True, eq=False)
class Link:
    """An ESME's connection, as the SMSC sees it."""

    peer: str
    since: datetime
    mode: BindMode | None = None
    """How it has bound; None before."""
    buffer: bytes = b""
    sequence: int = 0
    unanswered: dict[int, Any] = field(default_factory=dict)
    """deliver_sm under way, by sequence number."""
    held: list[HeldResponse] = field(default_factory=list)
    accepted_at: deque[float] = field(default_factory=deque)
    """When messages of the last second were accepted."""
    stalled_until: float = float("-inf")
    enquiry: int | None = None
    enquiries: int = 0
    """How often enquiries were begun: those of a script that is over end by themselves."""
    is_unbinding: bool = False
    is_over: bool = False
    """Closed or to be closed: nothing is read or written any more."""

    def next_sequence(self) -> int:
        """Return the number of the SMSC's next request."""
        self.sequence = self.sequence % MAX_SEQUENCE + 1
        return self.sequence


@dataclass(slots=True, eq=False)
class HeldResponse:
    """A response that so many others are to overtake."""

    octets: bytes
    overtakers: int


@dataclass(slots=True, eq=False)
class Mo:
    """A message to be delivered; `status` is the highest that its parts were answered with."""

    mo_id: str
    open_parts: int
    status: int = Status.ROK


@dataclass(frozen=True, slots=True)
class Send:
    """Write these octets."""

    link: Link
    octets: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection when what was written has left."""

    link: Link


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection at once."""

    link: Link


@dataclass(frozen=True, slots=True)
class Answered:
    """The application has answered every part of a message."""

    mo: Mo


@dataclass(frozen=True, slots=True)
class Kept:
    """Another message was submitted, whole."""

    mt: Mt


Action = Send | Close | Cut | Answered | Kept


class Stage:
    """Time, counts, rules in force, and what the adapter is to do; `now` in monotonic seconds."""

    def __init__(self, script: Script, began: datetime, now: float) -> None:
        self.now = now
        self.counts: Counter[str] = Counter()
        self.actions: deque[Action] = deque()
        self.play(script)
        self._began = began - timedelta(seconds=now)
        self._agenda: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()

    def play(self, script: Script) -> None:
        """Follow this script from now on."""
        self.seed = script.seed
        self.profile = script.smsc
        self.receipt = script.receipt
        self.rules = Rules(script)

    @property
    def date(self) -> datetime:
        """The time of day now."""
        return self._began + timedelta(seconds=self.now)

    def jitter(self, longest_s: float) -> float:
        """Return up to so many seconds, by chance."""
        return self.rules.random.random() * longest_s if longest_s else 0.0

    # ---- time

    def later(self, delay_s: float, function: Callable[..., object], *values: Any) -> None:
        """Call when so much time has passed, never before what is done now is done."""
        heappush(self._agenda, (self.now + delay_s, next(self._order), function, values))

    def after(self, delay_s: float, function: Callable[..., object], *values: Any) -> None:
        """Call when so much time has passed; at once if none is asked for."""
        if delay_s > 0:
            self.later(delay_s, function, *values)
        else:
            function(*values)

    def next_deadline(self) -> float | None:
        """When something is due."""
        return self._agenda[0][0] if self._agenda else None

    def expire(self) -> None:
        """Do what is due."""
        while self._agenda and self._agenda[0][0] <= self.now:
            _, _, function, values = heappop(self._agenda)
            function(*values)

    # ---- the wire

    def is_silent(self, link: Link) -> bool:
        """Whether nothing is said on a connection now: it is over, or stalled."""
        return link.is_over or self.now < link.stalled_until

    def send(self, link: Link, pdu: Pdu) -> None:
        """Write a PDU."""
        self.write(link, codec.encode(pdu))

    def write(self, link: Link, octets: bytes) -> None:
        """Write octets, unless nothing is said on this connection."""
        if not self.is_silent(link):
            self.actions.append(Send(link, octets))

    def close(self, link: Link) -> None:
        """Close when what was written has left."""
        if not link.is_over:
            link.is_over = True
            self.actions.append(Close(link))

    def cut(self, link: Link) -> None:
        """Close at once."""
        if not link.is_over:
            link.is_over = True
            self.counts["cut"] += 1
            self.actions.append(Cut(link))
