"""Three member prices, discount, total: integer fen."""

from __future__ import annotations

from typing import Literal, Protocol

Tier = Literal["visitor", "member", "senior"]


class ThreePrices(Protocol):
    """What a tone costs by membership, in fen."""

    @property
    def visitor(self) -> int:
        """The list price."""

    @property
    def member(self) -> int:
        """The price of an ordinary member."""

    @property
    def senior(self) -> int:
        """The price of a senior member."""


def pays(prices: ThreePrices, tier: Tier) -> int:
    """Return what a subscriber of a tier pays, in fen: never more than the list price."""
    price: int = getattr(prices, tier)
    return min(price, prices.visitor)
