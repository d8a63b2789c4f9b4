"""what was submitted to the simulated SMSC, its parts joined, for whoever asks by HTTP."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from catalog.values import NotAMobile, parse_msisdn
from smpp.commands import DataSm, SubmitSm, Tag, tlv
from smpp.text import UDHI, Joined, Parts, content

MOST_TEXTS = 10_000
"""Of which parts are remembered, for a minute: more than any line sends in that."""


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
        self._ids: dict[tuple[str, str, int, int] | None, list[str]] = {}

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
