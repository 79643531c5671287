"""An order as the store holds it, and what new facts change of it. Between `sync/plan.py` and `store/`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tiktok_erp.model.facts import OrderFacts, RecipientFacts, UnitFacts


@dataclass(frozen=True, slots=True)
class KnownUnit:
    """A unit as the store holds it."""

    unit_id: str
    channel_unit_id: str | None
    channel_sku_id: str
    position: int
    state: str
    package_id: str | None


@dataclass(frozen=True, slots=True)
class KnownPackage:
    """A package of one order as the store holds it. `label_state` is that of its live label, or None."""

    package_id: str
    channel_package_id: str | None
    is_cancelled: bool
    is_uploaded: bool
    label_state: str | None
    label_source: str | None
    tracking_number: str | None
    is_shared: bool = False  # other orders are in it as well


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order as the store holds it."""

    order_id: str
    updated_at: datetime | None
    as_of: datetime
    source: str
    digest: bytes | None
    has_updated_address: bool
    recipient: RecipientFacts | None
    base_state: str = "open"
    cancel_requested: bool = False
    split_or_combine: str | None = None
    units: tuple[KnownUnit, ...] = ()
    packages: tuple[KnownPackage, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A unit to be written. `package_id` is None for a unit that nobody here packs."""

    unit_id: str
    facts: UnitFacts
    state: str
    sku: str
    position: int
    package_id: str | None


@dataclass(frozen=True, slots=True)
class Shipment:
    """What the channel knows about a package that has left. `adopt` means: somebody else shipped it, we only learn of it."""

    package_id: str
    channel_package_id: str | None
    tracking_number: str | None
    provider_name: str | None
    uploaded_at: datetime
    scanned_at: datetime | None
    delivered_at: datetime | None
    adopt: bool
    contradicts: str | None = None  # our label's number, when the channel shows another one


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something that happened to an order and matters later; `kind` as in the table order_events."""

    kind: str
    at: datetime
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class OrderChange:
    """Everything that one order's new facts change."""

    order_id: str
    facts: OrderFacts
    digest: bytes | None
    is_new: bool
    base_state: str
    held_until: datetime | None
    ship_by: datetime | None
    ship_by_source: str
    address_changed: bool
    units: tuple[UnitChange, ...]
    new_packages: tuple[str, ...] = ()
    channel_packages: tuple[tuple[str, str], ...] = ()  # (package id, the channel's id) of packages not shipped yet
    shipments: tuple[Shipment, ...] = ()
    cancelled_packages: tuple[str, ...] = ()
    events: tuple[OrderEvent, ...] = ()
