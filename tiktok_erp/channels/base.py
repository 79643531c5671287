"""What every channel hands over, in our own nouns; and the one protocol that the stages know a channel by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from tiktok_erp.model.credentials import TokenPair
from tiktok_erp.model.facts import OrderFacts
from tiktok_erp.model.secret import Secret


@dataclass(frozen=True, slots=True)
class ShopFacts:
    """One shop that the token opens. `kind` is `local`, `cross_border` or empty when the channel does not say."""

    shop_id: str
    name: str
    region: str
    kind: str
    code: str
    cipher: Secret


@dataclass(frozen=True, slots=True)
class RawOrder:
    """One order as the wire had it: `digest` tells whether anything changed, `facts()` reads it."""

    order_id: str
    raw: bytes
    digest: bytes
    facts: Callable[[], OrderFacts]


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of orders. `total_count` is what the channel says there are in all, None when it says nothing.

    `unreadable` counts elements that are no order object with an id.
    """

    orders: tuple[RawOrder, ...]
    total_count: int | None
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """One SKU on offer. `quantities` holds (warehouse id, quantity the channel shows) for every warehouse it has."""

    listing_id: str
    product_id: str
    seller_sku: str
    title: str
    status: str
    quantities: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ChannelStock:
    """What the channel holds of one SKU in one warehouse: `available` can be sold, `committed` is promised to orders."""

    listing_id: str
    product_id: str
    seller_sku: str
    warehouse_id: str
    available: int
    committed: int


@dataclass(frozen=True, slots=True)
class Purchase:
    """The answer to buying a label. The price is what the channel says now; the statement may differ later."""

    channel_package_id: str
    cost_minor: int | None
    currency: str | None
    carrier: str | None
    service_level: str | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Document:
    """A label document ready for download."""

    url: str = field(repr=False)
    tracking_number: str


@dataclass(frozen=True, slots=True)
class ShippingProvider:
    """A carrier by the channel's own id."""

    provider_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Told:
    """The channel took a tracking number. `warning` is its doubt, shown to the seller."""

    channel_package_id: str | None
    warning: str | None
    request_id: str


@dataclass(frozen=True, slots=True)
class QuantityRefusal:
    """One listing whose quantity the channel did not take."""

    listing_id: str
    code: int
    message: str


class TokenSource(Protocol):
    """Where the access token comes from and where a renewed pair is kept before it is used."""

    def current(self) -> Secret:
        """Return the access token to use now; empty when there is only a refresh token."""
        ...

    def is_ending(self, now: datetime) -> bool:
        """Tell whether the access token is known to die soon."""
        ...

    def renew(self, stale: Secret, exchange: Callable[[Secret], TokenPair]) -> Secret:
        """Replace `stale` with a fresh token: one that another process already stored, or the answer of `exchange`."""
        ...


class Channel(Protocol):
    """What the stages ask of a channel."""

    name: str

    def search_orders(
        self, *, updated_from: datetime | None, updated_to: datetime, status: str | None = None
    ) -> Iterator[OrderPage]:
        """Yield every page of the orders whose last change lies in `[updated_from, updated_to)`, oldest first."""
        ...

    def fetch_orders(self, channel_order_ids: Sequence[str]) -> list[RawOrder]:
        """Return these orders as they are now; an id that the channel does not know is left out."""
        ...
