"""What a channel or one of its files says about an order, in one neutral shape. Pure; no field is ever guessed.

The API client and the Seller Center reader both hand these to `sync`. `None` means "not told". Words of the channel
(`status`, `shipping_type`, `fulfillment_type`, `order_type`) are spelt as the channel's API spells them; one that we do
not know stays as it came, so that `sync` can report it (TikTok reference, section 5).

Names, addresses, notes and the buyer's id stay out of every `repr`: facts end up in logs and in test output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientFacts:
    """Where the parcel goes. `is_masked`: a part was hidden with `*`, so nothing may be matched by it."""

    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    street1: str | None = field(default=None, repr=False)
    street2: str | None = field(default=None, repr=False)
    city: str | None = field(default=None, repr=False)
    state: str | None = field(default=None, repr=False)  # two-letter code where it can be told, else the channel's text
    zip: str | None = field(default=None, repr=False)
    country: str | None = field(default=None, repr=False)  # ISO 3166 alpha-2 where it can be told
    full_address: str | None = field(default=None, repr=False)
    is_masked: bool = False


@dataclass(frozen=True, slots=True)
class ComponentFacts:
    """What the channel says to pick for a unit that is a bundle: a SKU and how many of it for one unit."""

    seller_sku: str | None
    channel_sku_id: str | None
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """One physical piece of an order. `price_minor` is what it sold for, discounts off, in the order's currency."""

    channel_unit_id: str | None = None  # the channel's line item id; files have none
    channel_sku_id: str
    product_id: str | None = None
    seller_sku: str | None = None
    product_name: str | None = None
    variant_name: str | None = None
    price_minor: int | None = None
    original_price_minor: int | None = None  # before any discount
    platform_discount_minor: int | None = None
    seller_discount_minor: int | None = None
    status: str  # the unit's own word where the channel gives one, else the order's
    channel_package_id: str | None = None
    tracking_number: str | None = None
    provider_id: str | None = None
    provider_name: str | None = None
    is_gift: bool = False
    creator: str | None = None
    content_type: str | None = None
    content_id: str | None = None
    cancelled_by: str | None = None  # BUYER, SELLER, OPERATOR, SYSTEM
    cancel_reason: str | None = None
    is_returned: bool | None = None  # only files tell; None: not told
    components: tuple[ComponentFacts, ...] = ()  # of a virtual bundle; empty: no bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """One order as it was at `as_of`. Times are aware UTC, amounts minor units of `currency`, weight grams."""

    channel: str
    channel_order_id: str
    status: str
    source: str  # "api" or "file"
    as_of: datetime
    order_type: str | None = None
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    updated_at: datetime | None = None
    rts_at: datetime | None = None
    collected_at: datetime | None = None
    delivered_at: datetime | None = None
    cancelled_at: datetime | None = None
    rts_sla_at: datetime | None = None
    tts_sla_at: datetime | None = None
    shipping_due_at: datetime | None = None
    cancel_sla_at: datetime | None = None
    collection_due_at: datetime | None = None  # cancelled by the channel when not scanned by then
    delivery_due_at: datetime | None = None  # cancelled by the channel when not delivered by then
    delivery_sla_at: datetime | None = None
    handling_days: int | None = None  # made-to-order and back-order: days that the seller may take
    handling_days_kind: str | None = None  # CALENDAR_DAY or BUSINESS_DAY
    release_at: datetime | None = None
    shipping_type: str | None = None
    fulfillment_type: str | None = None
    delivery_option_id: str | None = None
    delivery_option: str | None = None
    warehouse_id: str | None = None
    is_on_hold_order: bool | None = None
    cancel_requested: bool = False
    cancel_requested_at: datetime | None = None
    cancelled_by: str | None = None
    cancel_reason: str | None = None
    split_or_combine: str | None = None  # COMBINED or SPLIT, as the channel has it
    is_sample: bool = False
    is_refundable_sample: bool = False
    is_replacement: bool = False
    is_exchange: bool = False
    is_presale: bool = False
    auto_combine_group_id: str | None = None
    buyer_id: str | None = field(default=None, repr=False)
    has_updated_address: bool = False
    currency: str | None = None
    total_minor: int | None = None
    subtotal_minor: int | None = None
    tax_minor: int | None = None
    shipping_minor: int | None = None
    platform_discount_minor: int | None = None
    seller_discount_minor: int | None = None
    shipping_platform_discount_minor: int | None = None
    shipping_seller_discount_minor: int | None = None
    other_amounts: Mapping[str, int] = field(
        default_factory=dict
    )  # further amounts that are not 0, by the channel's names
    buyer_note: str | None = field(default=None, repr=False)
    seller_note: str | None = field(default=None, repr=False)
    recipient: RecipientFacts | None = None
    units: tuple[UnitFacts, ...] = ()
    weight_g: int | None = None
