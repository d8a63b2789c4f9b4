"""One MO and all there is to answer it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from catalog.tones import Tone
from ordering import orders
from ordering.provisioning import Quote
from ordering.texts import Texts
from smpp.grammar import Intent

ANSWER_VALID = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Incoming:
    """An MO as plain values. `order_id` and `mt_id` are those of what it may cause.

    `silent` says why its source must not be answered: it is no mobile number, or ours.
    """

    mo_id: str
    mt_id: str
    order_id: str
    smsc: str
    msisdn: str
    destination: str
    text: str
    received_at: datetime
    silent: str | None = None


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What the catalogue and the operator said of the codes or words of an MO."""

    tone: Tone | None = None
    quote: Quote | None = None
    nearest: tuple[Tone, ...] = ()
    found: tuple[Tone, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings for answers: `line` is the access number, `sender` empty for the short code."""

    limits: orders.Limits
    confirm_ttl_min: int
    line: str
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A text to send back; `name` is its name in the texts."""

    name: str
    text: str
    expires_at: datetime
    tone_code: str | None = None
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """All there is to answer one MO."""

    connection: Connection
    incoming: Incoming
    intent: Intent
    known: LookedUp
    rules: Rules
    texts: Texts
    now: datetime

    @property
    def msisdn(self) -> str:
        """The subscriber."""
        return self.incoming.msisdn

    def say(self, name: str, tone_code: str | None = None, **values: str) -> Reply:
        """Return the reply of a text."""
        limits = self.rules.limits
        every = {"line": self.rules.line, "undo_min": str(limits.undo_min), **values}
        text = self.texts.fill(name, **every)
        return Reply(name, text, self.now + ANSWER_VALID, tone_code)

    def say_list(self, name: str, items: Iterable[Mapping[str, str]], **values: str) -> Reply:
        """Return the reply of a list."""
        text = self.texts.fill_list(name, tuple(items), line=self.rules.line, **values)
        return Reply(name, text, self.now + ANSWER_VALID)

    def record(self, kind: str, detail: dict[str, object]) -> None:
        """Add a line to the number's trace."""
        orders.record(self.connection, self.now, self.msisdn, kind, detail)
