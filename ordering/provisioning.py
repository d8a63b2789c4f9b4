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
from twisted.internet.defer import CancelledError, Deferred, TimeoutError  # noqa: A004  Twisted's own
from twisted.internet.interfaces import IReactorTime

from catalog.tones import Prices, Tone
from ordering.orders import Order, live_order
from ordering.prices import Tier, pays
from ordering.subscribers import subscriber
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


class NoQuote(Exception):
    """The operator's side gave no quote in time: no order can be taken now."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Whether a number may have a tone, and what it pays in fen; `reason` when it may not."""

    eligible: bool
    reason: str | None
    tier: Tier
    prices: Prices
    pays_fen: int


class Operator(Protocol):
    """What the operator's systems do for an order; every call is idempotent by the order's id."""

    async def quote(self, msisdn: str, tone: Tone) -> Quote:
        """Return the quote of a tone for a number.

        Raises:
            NoQuote: there was no answer in time.
        """

    async def provision(self, order: Order) -> None:
        """Make the tone the subscriber's."""

    async def capture(self, order: Order) -> None:
        """Charge exactly `order.pays_fen`."""


def local_quote(
    connection: Connection, msisdn: str, tone: Tone, today: date, stop_selling_days: int
) -> Quote:
    """Return the quote of the local adapter, from what `subscribers set` said of the number."""
    known = subscriber(connection, msisdn)
    reason = None
    if known.state == "suspended":
        reason = "suspended"
    elif known.function == "off":
        reason = "function_closed"
    elif licence_ended(tone, today, stop_selling_days):
        reason = "licence_ended"
    else:
        order = live_order(connection, msisdn, tone.code)
        if order is not None and order.state in ("provisioned", "captured"):
            reason = "owned"
    return Quote(reason is None, reason, known.tier, tone.prices, pays(tone.prices, known.tier))


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
        self._timezone = timezone
        self._stop_selling_days = stop_selling_days
        self._timeout_s = timeout_s

    async def quote(self, msisdn: str, tone: Tone) -> Quote:
        """Return the local quote.

        Raises:
            NoQuote: the database gave no answer in `timeout_s`.
        """
        today = self._now().astimezone(self._timezone).date()
        asked: Deferred[Quote] = self._database.run(
            local_quote, msisdn, tone, today, self._stop_selling_days
        )
        asked.addTimeout(self._timeout_s, self._reactor)
        try:
            return await asked
        except (StoreError, CancelledError, TimeoutError) as error:
            raise NoQuote(f"no quote for tone {tone.code}: {error!r}") from error

    async def provision(self, order: Order) -> None:
        """Do nothing: with this adapter an order is the subscriber's as soon as it is recorded."""

    async def capture(self, order: Order) -> None:
        """Do nothing: the recorded capture is the charge."""
