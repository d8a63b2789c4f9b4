"""what was submitted to the simulated SMSC, its parts joined, for whoever asks by HTTP."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from catalog.values import NotAMobile, parse_msisdn
from smpp.commands import DataSm, DeliverSm, SubmitSm, Tag, tlv
from smpp.text import UDHI, Alphabet, content, decode_text, join_text

MOST_TEXTS = 10_000
"""Of which parts are remembered, for a minute: more than any line sends in that."""


_Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Joined:
    """A text whose parts are all there, or (`missing` not 0) all that came in time.

    `key` tells `Parts.settle` which one; None for a message that was never in parts.
    """

    source: str
    destination: str
    text: str
    octets: bytes
    data_coding: int
    missing: int = 0
    key: _Key | None = None


@dataclass(slots=True)
class _Open:
    deadline: float
    parts: dict[int, tuple[int, bytes]]
    settled: bool = False


class Parts:
    """Parts waiting for their siblings, in any order; time is passed in (monotonic seconds).

    A complete text comes out each time its last part comes in, until `settle` says that it is
    stored; from then to its deadline a repeated part is known as such. A part that differs from the
    one already there belongs to a new text with a used reference. At most `limit` texts wait at
    once: the oldest gives way, and comes out of `expire` as it is.
    """

    def __init__(
        self, alphabet: Alphabet = "gsm7", deadline_s: float = 60.0, limit: int = 1000
    ) -> None:
        self._alphabet = alphabet
        self._deadline_s = deadline_s
        self._limit = limit
        self._open: dict[_Key, _Open] = {}
        self._given_up: list[Joined] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self, message: SubmitSm | DeliverSm | DataSm, now: float) -> Joined | None:
        """Take a message in; return the whole text if this completes it (or was all of it)."""
        octets, part = content(message)
        source, destination = message.source_addr, message.destination_addr
        if part is None:
            text = decode_text(message.data_coding, octets, self._alphabet)
            return Joined(source, destination, text, octets, message.data_coding)
        key = (source, destination, part.reference, part.total)
        this = (message.data_coding, octets)
        waiting = self._open.get(key)
        if waiting is None or waiting.parts.get(part.number, this) != this:
            waiting = self._begin(key, now)
        waiting.parts[part.number] = this
        if waiting.settled or len(waiting.parts) < part.total:
            return None
        return self._joined(key, waiting)

    def settle(self, joined: Joined) -> None:
        """The text is stored: its parts are repeats from now on."""
        if joined.key is not None and joined.key in self._open:
            self._open[joined.key].settled = True

    def next_deadline(self) -> float | None:
        """When `expire` has something to do."""
        if self._given_up:
            return float("-inf")
        return next(iter(self._open.values())).deadline if self._open else None

    def expire(self, now: float) -> list[Joined]:
        """Give up the texts whose deadline is past: what is there of each, in order."""
        while self._open:
            key, waiting = next(iter(self._open.items()))
            if waiting.deadline > now:
                break
            self._retire(key)
        given_up, self._given_up = self._given_up, []
        return given_up

    def _begin(self, key: _Key, now: float) -> _Open:
        if key in self._open:
            self._retire(key)
        elif len(self._open) >= self._limit:
            self._retire(next(iter(self._open)))
        self._open[key] = _Open(now + self._deadline_s, {})
        return self._open[key]

    def _retire(self, key: _Key) -> None:
        waiting = self._open.pop(key)
        if not waiting.settled:
            self._given_up.append(self._joined(key, waiting))

    def _joined(self, key: _Key, waiting: _Open) -> Joined:
        source, destination, _, total = key
        parts = [waiting.parts[number] for number in sorted(waiting.parts)]
        octets = b"".join(octets for _, octets in parts)
        text = join_text(parts, self._alphabet)
        missing = total - len(parts)
        return Joined(source, destination, text, octets, parts[0][0], missing, key)


@dataclass(frozen=True, slots=True)
class Mt:
    """A message submitted to the simulator, its parts joined; `n` counts from 1."""

    n: int
    at: datetime
    source: str
    destination: str
    text: str
    parts: int
    missing: int
    message_ids: tuple[str, ...]
    data_coding: int
    validity: str
    long_messages: str


class Mailbox:
    """The last messages submitted; `now` is monotonic time in seconds, `at` the time of day."""

    def __init__(self, kept: int) -> None:
        self.last = 0
        self._kept = kept
        self._mts: deque[Mt] = deque(maxlen=kept)
        self._parts = Parts(limit=MOST_TEXTS)
        self._ids: dict[_Key | None, list[str]] = {}

    def put(
        self, message: SubmitSm | DataSm, message_id: str, now: float, at: datetime
    ) -> list[Mt]:
        """Take a message or a part in; return what is whole by it or was given up meanwhile."""
        joined = self._parts.add(message, now)
        ids = self._ids_of(message)
        ids.append(message_id)
        kept = []
        if joined is not None:
            validity = getattr(message, "validity_period", "")
            kept.append(self._keep(joined, ids, validity, _way(message), at))
            self._parts.settle(joined)
        for incomplete in self._parts.expire(now):
            kept.append(self._keep(incomplete, self._ids.pop(incomplete.key, []), "", "", at))
        return kept

    def since(self, n: int, destination: str) -> list[Mt]:
        """Return the messages kept after the n-th, to one number in any usual form or to all."""
        wanted = _comparable(destination)
        return [
            mt
            for mt in self._mts
            if mt.n > n and (not wanted or _comparable(mt.destination) == wanted)
        ]

    def _ids_of(self, message: SubmitSm | DataSm) -> list[str]:
        """Return the ids given so far to the parts of the text that this message belongs to."""
        _, part = content(message)
        if part is None:
            return []
        key = (message.source_addr, message.destination_addr, part.reference, part.total)
        if len(self._ids) >= self._kept:
            del self._ids[next(iter(self._ids))]
        ids = self._ids.setdefault(key, [])
        if len(ids) >= part.total:
            ids.clear()
        return ids

    def _keep(
        self, joined: Joined, message_ids: list[str], validity: str, way: str, at: datetime
    ) -> Mt:
        self.last += 1
        mt = Mt(
            n=self.last,
            at=at,
            source=joined.source,
            destination=joined.destination,
            text=joined.text,
            parts=len(message_ids),
            missing=joined.missing,
            message_ids=tuple(message_ids),
            data_coding=joined.data_coding,
            validity=validity,
            long_messages=way,
        )
        self._mts.append(mt)
        return mt


def _way(message: SubmitSm | DataSm) -> str:
    """Return how a long text travels, in the words of the settings; empty for a short one."""
    text = b"" if isinstance(message, DataSm) else message.short_message
    if not text and tlv(message.tlvs, Tag.MESSAGE_PAYLOAD) is not None:
        return "payload"
    if content(message)[1] is None:
        return ""
    if not message.esm_class & UDHI:
        return "sar"
    return "udh16" if text[1:2] == b"\x08" else "udh8"


def _comparable(number: str) -> str:
    try:
        return parse_msisdn(number)
    except NotAMobile:
        return number.strip().lstrip("+")
