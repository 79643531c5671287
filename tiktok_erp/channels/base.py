"""What every channel hands over, in our own nouns; and the one protocol that the stages know a channel by."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from tiktok_erp.model.credentials import TokenPair
from tiktok_erp.model.facts import OrderFacts
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.money import Money
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
class ServiceOffer:
    """A shipping service that the channel sells for one order, by the channel's own names. The price is an estimate."""

    service_id: str
    carrier: str
    name: str
    price: Money
    latest_days: int | None


@dataclass(frozen=True, slots=True)
class RawOrder:
    """One order as the wire had it: `digest` tells whether anything changed, `facts()` reads it.

    `placed_at` and `updated_at` are the two times that a search can go by.
    """

    order_id: str
    raw: bytes
    digest: bytes
    facts: Callable[[], OrderFacts]
    placed_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderSearch:
    """Which orders to list: those whose time `by` lies in `[start, end)`. None leaves an end open."""

    by: Literal["update_time", "create_time"]
    start: datetime | None
    end: datetime | None
    status: str | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of orders. `total_count` is what the channel says there are in all, None when it says nothing.

    `unreadable` counts elements that are no order object with an id. `server_time` is the channel's clock when it
    answered, None when it did not tell. An empty `next_page_token` says that this is the last page.
    """

    orders: tuple[RawOrder, ...]
    total_count: int | None
    unreadable: int = 0
    next_page_token: str = ""
    server_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Commission:
    """What a creator earns of one SKU of an order. Amounts are minor units of `currency`, None where not told."""

    channel_order_id: str
    channel_sku_id: str
    creator: str
    content_type: str
    content_id: str
    quantity: int
    rate_bp: int | None
    estimated_minor: int | None
    actual_minor: int | None
    partner_minor: int | None
    shop_ads_minor: int | None
    currency: str | None
    settlement_status: str | None
    is_fully_returned: bool | None
    placed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CommissionPage:
    """One page of commissions; an order may be on two pages. `total_count` counts rows (TikTok reference, section 4.12).

    `unreadable` counts rows that name no order or no creator.
    """

    rows: tuple[Commission, ...]
    total_count: int | None
    next_page_token: str = ""
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A cancellation or a buyer's wish for one. `is_pending`: it waits for the seller's answer until `answer_by`."""

    cancel_id: str
    channel_order_id: str
    kind: str | None
    status: str
    is_pending: bool
    role: str | None
    reason: str | None
    created_at: datetime | None
    updated_at: datetime | None
    answer_by: datetime | None
    should_restock: bool | None
    refund_minor: int | None
    currency: str | None
    channel_unit_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProductMeasures:
    """Weight (grams) and outer size (millimetres) of a product's parcel, and of single SKUs where the channel tells them."""

    product_id: str
    weight_g: int | None
    length_mm: int | None
    width_mm: int | None
    height_mm: int | None
    sku_weights_g: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """How one request was answered: `outcome` is ok, refused (answered, and no), throttled or failed."""

    at: datetime
    endpoint: str
    outcome: str
    latency_ms: int


@dataclass(frozen=True, slots=True)
class Listing:
    """One SKU on offer. `quantities` holds (warehouse id, quantity the channel shows) for every warehouse it has."""

    listing_id: str
    product_id: str
    seller_sku: str
    title: str
    status: str
    quantities: tuple[tuple[str, int], ...]
    price_minor: int | None = None
    currency: str | None = None
    changed_at: datetime | None = None

    def row(self) -> tuple[str | int | None, ...]:
        """Return what the store keeps of it, as `store.stock.save_listings` takes it."""
        return (
            self.listing_id,
            self.product_id,
            self.seller_sku,
            self.seller_sku or self.listing_id,
            self.title,
            self.status,
            json.dumps([warehouse for warehouse, quantity in self.quantities if warehouse]),
            sum(quantity for warehouse, quantity in self.quantities),
            self.price_minor,
            self.currency,
            to_text(self.changed_at) if self.changed_at is not None else None,
        )


@dataclass(frozen=True, slots=True)
class ChannelStock:
    """What the channel holds of one SKU in one warehouse: `available` can be sold, `committed` is promised to orders.

    None where the channel's figure cannot be read: that is unknown, and never 0.
    """

    listing_id: str
    product_id: str
    seller_sku: str
    warehouse_id: str
    available: int | None
    committed: int | None


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
class PackageState:
    """One package as a search tells it; `status` is the channel's own word."""

    package_id: str
    status: str
    tracking_number: str | None
    channel_order_ids: tuple[str, ...]
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class TrackingEvent:
    """What the carrier told of a parcel, and when it happened."""

    at: datetime
    text: str


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

    def ends_at(self) -> datetime | None:
        """Return when the access token dies; None when nobody told."""
        ...

    def renew(self, stale: Secret, exchange: Callable[[Secret], TokenPair]) -> Secret:
        """Replace `stale` with a fresh token: one that another process already stored, or the answer of `exchange`."""
        ...

    def end_renewals(self) -> None:
        """Wait for a renewal that is under way and let no other one begin."""
        ...


class Channel(Protocol):
    """What the stages ask of a channel."""

    name: str

    def find_orders(self, search: OrderSearch, page_token: str = "") -> OrderPage:
        """Return one page of the orders that `search` names."""
        ...

    def fetch_orders(self, channel_order_ids: Sequence[str]) -> list[RawOrder]:
        """Return these orders as they are now; an id that the channel does not know is left out."""
        ...
