"""The operator's side: quote, provision, capture; the local adapter.

A *quote* says whether a number may have a tone now and what it pays. Nothing is asked of a
subscriber before there is one, and nothing is charged but what it said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred, TimeoutError  # Twisted's own
from twisted.internet.interfaces import IReactorTime

from catalog.tones import Prices, Tone
from ordering.orders import Order, live_order
from ordering.prices import Tier, pays
from ordering.subscribers import Subscriber, subscriber
from store.database import Database, StoreError

REASONS = (
    "other_network",
    "landline",
    "iot",
    "function_closed",
    "suspended",
    "arrears",
    "library_full",
    "owned",
    "licence_ended",
    "unknown",
)
"""Why a quote may say no; each has its own prompt and SMS."""

FUNCTION_FEE_FEN = 500
"""What the local adapter asks for the ring-back function a month."""


class NoQuote(Exception):
    """The operator's side gave no quote in time: no order can be taken now."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Whether a number may have a tone, and what it pays in fen; `reason` when it may not.

    Also whether the number's ring-back function is open, and what it would pay for that a month.
    """

    eligible: bool
    reason: str | None
    tier: Tier
    prices: Prices
    pays_fen: int
    function_open: bool = True
    function_fee_fen: int = FUNCTION_FEE_FEN


@dataclass(frozen=True, slots=True)
class LocalTerms:
    """By what quotes are made from our own database: whoever has it open need not ask for one.

    Selling stops so many days, local to `timezone`, before a licence ends.
    """

    timezone: str
    stop_selling_days: int


class Operator(Protocol):
    """What the operator's systems do for an order; every call is idempotent by the order's id."""

    @property
    def local(self) -> LocalTerms | None:
        """By what its quotes are made from our own database; None: they are not."""

    async def quote(self, msisdn: str, tone: Tone) -> Quote:
        """Return the quote of a tone for a number.

        Raises:
            NoQuote: there was no answer in time.
        """

    async def quote_function(self, msisdn: str) -> Quote:
        """Return the quote of the ring-back function itself (KT): `owned` when it is open.

        Raises:
            NoQuote: there was no answer in time.
        """

    async def provision(self, order: Order) -> None:
        """Make the tone the subscriber's; an order of `FUNCTION_CODE` opens his function."""

    async def capture(self, order: Order) -> None:
        """Charge exactly `order.pays_fen`."""


def local_quote(
    connection: Connection, msisdn: str, tone: Tone, terms: LocalTerms, now: datetime
) -> Quote:
    """Return the quote of the local adapter, from what `subscribers set` said of the number."""
    known = subscriber(connection, msisdn)
    today = now.astimezone(ZoneInfo(terms.timezone)).date()
    reason = None
    if known.state == "suspended":
        reason = "suspended"
    elif known.function == "off":
        reason = "function_closed"
    elif licence_ended(tone, today, terms.stop_selling_days):
        reason = "licence_ended"
    else:
        order = live_order(connection, msisdn, tone.code)
        if order is not None and order.state in ("provisioned", "captured"):
            reason = "owned"
    return Quote(
        eligible=reason is None,
        reason=reason,
        tier=known.tier,
        prices=tone.prices,
        pays_fen=pays(tone.prices, known.tier),
        function_open=known.function == "on",
    )


def local_function_quote(connection: Connection, msisdn: str) -> Quote:
    """Return the quote of the ring-back function by the local adapter: one fee for all."""
    known = subscriber(connection, msisdn)
    reason = _function_refused(known)
    fee = FUNCTION_FEE_FEN
    is_open = known.function == "on"
    return Quote(reason is None, reason, known.tier, Prices(fee, fee, fee), fee, is_open, fee)


def _function_refused(known: Subscriber) -> str | None:
    if known.state == "suspended":
        return "suspended"
    return "owned" if known.function == "on" else None


def licence_ended(tone: Tone, today: date, stop_selling_days: int) -> bool:
    """Say whether a tone is no longer sold: its licence ends within `stop_selling_days`."""
    if tone.licence_until is None:
        return False
    return tone.licence_until - timedelta(days=stop_selling_days) < today


class LocalOperator:
    """The adapter that needs no operator: it answers from our own database."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        reactor: IReactorTime,
        *,
        timezone: ZoneInfo,
        stop_selling_days: int,
        timeout_s: float,
    ) -> None:
        self._database = database
        self._now = now
        self._reactor = reactor
        self.local = LocalTerms(str(timezone), stop_selling_days)
        self._timeout_s = timeout_s

    async def quote(self, msisdn: str, tone: Tone) -> Quote:
        """Return the local quote.

        Raises:
            NoQuote: the database gave no answer in `timeout_s`.
        """
        asked = self._database.run(local_quote, msisdn, tone, self.local, self._now())
        return await self._in_time(asked, f"tone {tone.code}")

    async def quote_function(self, msisdn: str) -> Quote:
        """Return the local quote of the ring-back function.

        Raises:
            NoQuote: the database gave no answer in `timeout_s`.
        """
        asked = self._database.run(local_function_quote, msisdn)
        return await self._in_time(asked, "the ring-back function")

    async def _in_time(self, asked: Deferred[Quote], what: str) -> Quote:
        asked.addTimeout(self._timeout_s, self._reactor)
        try:
            return await asked
        except (StoreError, CancelledError, TimeoutError) as error:
            raise NoQuote(f"no quote for {what}: {error!r}") from error

    async def provision(self, order: Order) -> None:
        """Do nothing: with this adapter an order is the subscriber's as soon as it is recorded."""

    async def capture(self, order: Order) -> None:
        """Do nothing: the recorded capture is the charge."""
