"""One MO and all there is to answer it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection

from catalog.tones import Tone
from ordering import orders
from ordering.consent import Question
from ordering.provisioning import LocalTerms, Quote, local_function_quote, local_quote
from ordering.texts import Texts
from smpp.grammar import Intent

ANSWER_VALID = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Incoming:
    """An MO as plain values. `order_id` and `mt_id` are those of what it may cause.

    `silent` says why its source must not be answered: it is no mobile number, or the text is ours.
    `digest` is of its octets, `message_id` the SMSC's own; `missing` counts parts that never came,
    and `in_parts` says that it was in parts at all.
    """

    mo_id: str
    mt_id: str
    order_id: str
    smsc: str
    msisdn: str
    destination: str
    text: str
    received_at: datetime
    digest: str
    message_id: str | None = None
    silent: str | None = None
    in_parts: bool = False
    missing: int = 0


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What the catalogue and the operator said of the codes or words of an MO.

    `code` is the one that was looked up. `quote` is of its tone, or of the ring-back function when
    that is what it is about, unless it is to be made of our own database; `found` are the songs of
    a search, or of the directory of `owner`.
    """

    tone: Tone | None = None
    quote: Quote | None = None
    nearest: tuple[Tone, ...] = ()
    found: tuple[Tone, ...] = ()
    owner: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings for answers: `line` is the access number, `sender` empty for the short code.

    `calls_back`: whether somebody places the calls that ST asks for.
    """

    limits: orders.Limits
    confirm_ttl_min: int
    line: str
    sender: str = ""
    calls_back: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for every MO; the store process is given it once, and knows it by `key`.

    `local` says how quotes are made without asking the operator; None: he is asked before.
    """

    key: str
    rules: Rules
    texts: Texts
    local: LocalTerms | None = None

    @classmethod
    def of(cls, rules: Rules, texts: Texts, local: LocalTerms | None = None) -> Terms:
        """Return the terms of these rules and texts."""
        said = repr((rules, local, texts.signature, sorted(texts.templates.items())))
        return cls(sha256(said.encode()).hexdigest()[:32], rules, texts, local)


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
    """All there is to answer one MO; `questions` are those that it may answer."""

    connection: Connection
    incoming: Incoming
    intent: Intent
    known: LookedUp
    terms: Terms
    now: datetime
    questions: tuple[Question, ...] = ()

    @property
    def rules(self) -> Rules:
        """The settings for answers."""
        return self.terms.rules

    @property
    def texts(self) -> Texts:
        """What subscribers read."""
        return self.terms.texts

    @property
    def msisdn(self) -> str:
        """The subscriber."""
        return self.incoming.msisdn

    def quote(self) -> Quote | None:
        """Return the quote of the tone; None: there was none in time."""
        local, tone = self.terms.local, self.known.tone
        if local is None or tone is None:
            return self.known.quote
        return local_quote(self.connection, self.msisdn, tone, local, self.now)

    def function_quote(self) -> Quote | None:
        """Return the quote of the ring-back function; None: there was none in time."""
        if self.terms.local is None:
            return self.known.quote
        return local_function_quote(self.connection, self.msisdn)

    def say(self, name: str, tone_code: str | None = None, **values: str) -> Reply:
        """Return the reply of a text."""
        limits = self.rules.limits
        every = {"line": self.rules.line, "undo_min": str(limits.undo_min), **values}
        text = self.texts.fill(name, **every)
        return Reply(name, text, self.now + ANSWER_VALID, tone_code)

    def say_list(self, name: str, items: Iterable[Mapping[str, str]], **values: str) -> Reply:
        """Return the reply of a list."""
        return self.say_some(name, items, **values)[0]

    def say_some(
        self, name: str, items: Iterable[Mapping[str, str]], **values: str
    ) -> tuple[Reply, int]:
        """Return the reply of a list, and how many of the items are in it."""
        text, shown = self.texts.fit_list(name, tuple(items), line=self.rules.line, **values)
        return Reply(name, text, self.now + ANSWER_VALID), shown

    def say_page(self, name: str, items: Iterable[Mapping[str, str]], page: int) -> Reply | None:
        """Return the reply of a list's page (from 1); None: the list is not that long."""
        left = tuple(items)
        for number in range(1, page + 1):
            if not left:
                return None
            following = str(number + 1)
            text, shown = self.texts.fit_list(name, left, line=self.rules.line, page=following)
            left = left[max(shown, 1) :]
        return Reply(name, text, self.now + ANSWER_VALID)

    def record(self, kind: str, detail: dict[str, object]) -> None:
        """Add a line to the number's trace."""
        orders.record(self.connection, self.now, self.msisdn, kind, detail)
