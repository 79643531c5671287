"""The nouns of the simulated shop: buyers, orders with one line item a unit, packages, cancellations. No rules here."""

from __future__ import annotations

from dataclasses import dataclass, field

from tiktok_erp.simulator.goods import Sku

SHIPPABLE = ("AWAITING_SHIPMENT", "PARTIALLY_SHIPPING")
# The steps of a unit after it was shipped, in order.
AFTER_SHIPPING = ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED")


@dataclass(frozen=True, slots=True)
class Address:
    first_name: str
    last_name: str
    phone: str
    line1: str
    line2: str
    city: str
    county: str
    state: str
    iso: str
    zip5: str
    drop_off: str

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


@dataclass(frozen=True, slots=True)
class Buyer:
    user_id: str
    nickname: str
    email: str
    address: Address
    tax_bp: int


@dataclass(slots=True)
class Unit:
    """One line item: one physical piece. Money in cents."""

    id: str
    sku: Sku
    original: int
    seller_discount: int
    platform_discount: int
    tax: int
    tax_bp: int
    is_gift: bool
    room_id: str
    status: str = "UNPAID"
    package_id: str = ""
    rts_at: int = 0
    cancel_reason: str = ""
    cancel_user: str = ""
    retail_delivery_fee: int = 0

    @property
    def sale(self) -> int:
        return self.original - self.seller_discount - self.platform_discount

    @property
    def is_cancelled(self) -> bool:
        return self.status == "CANCELLED"

    @property
    def is_shipped(self) -> bool:
        return self.status in AFTER_SHIPPING


@dataclass(frozen=True, slots=True)
class Content:
    """Through whose live or video an order came; what the affiliate search reports."""

    creator: str
    kind: str
    content_id: str
    room_id: str
    commission_bp: int


@dataclass(slots=True)
class Order:
    """One order. Times are Unix seconds, 0 when not yet."""

    id: str
    buyer: Buyer
    units: list[Unit]
    created_at: int
    updated_at: int
    shipping_type: str
    fulfillment_type: str
    warehouse_id: str
    order_type: str = "NORMAL"
    status: str = "UNPAID"
    paid_at: int = 0
    hold_until: int = 0
    release_date: int = 0
    handling_days: int = 0
    rts_sla: int = 0
    shipping_due: int = 0
    delivery_sla: int = 0
    rts_at: int = 0
    collected_at: int = 0
    delivered_at: int = 0
    completed_at: int = 0
    cancelled_at: int = 0
    request_cancel_at: int = 0
    cancel_requested: bool = False
    cancel_reason: str = ""
    cancel_initiator: str = ""
    is_sample: bool = False
    replaces: str = ""
    buyer_message: str = ""
    group_id: str = ""
    split_tag: str = ""
    content: Content | None = None
    shipping_fee: int = 0
    shipping_fee_platform_discount: int = 0
    package_ids: list[str] = field(default_factory=list)
    tracking_corrected: bool = False
    # When the client last saw this order, and whether that was before or after the last change: who could know what.
    served_at: float = 0.0
    served_mark: int = 0
    changed_mark: int = 0
    encoded: str = ""

    @property
    def live_units(self) -> list[Unit]:
        return [unit for unit in self.units if not unit.is_cancelled]

    @property
    def open_units(self) -> list[Unit]:
        return [unit for unit in self.units if unit.status == "AWAITING_SHIPMENT"]

    @property
    def is_platform_fulfilled(self) -> bool:
        return self.fulfillment_type == "FULFILLMENT_BY_TIKTOK"

    @property
    def sub_total(self) -> int:
        return sum(unit.sale for unit in self.units)

    @property
    def product_tax(self) -> int:
        return sum(unit.tax for unit in self.units)

    @property
    def retail_delivery_fee(self) -> int:
        return sum(unit.retail_delivery_fee for unit in self.units)

    @property
    def total(self) -> int:
        shipping = self.shipping_fee - self.shipping_fee_platform_discount
        return self.sub_total + shipping + self.product_tax + self.retail_delivery_fee


@dataclass(slots=True)
class Package:
    id: str
    order_ids: list[str]
    unit_ids: list[str]
    shipping_type: str
    warehouse_id: str
    created_at: int
    updated_at: int
    status: str = "TO_FULFILL"
    sub_status: str = "STOCKING"
    tracking_number: str = ""
    provider_id: str = ""
    provider_name: str = ""
    tag: str = "DEFAULT"
    handover_method: str = "DROP_OFF"
    shipped_at: int = 0
    collected_at: int = 0
    delivered_at: int = 0
    document_at: float = 0.0
    refusals_left: int = 0
    service_id: str = ""
    service_name: str = ""
    cost: int = 0
    weight: tuple[str, str] = ("", "")
    dimension: tuple[str, str, str, str] = ("", "", "", "")

    @property
    def is_pending(self) -> bool:
        """Whether the label purchase still waits at the carrier: no tracking number yet for the outside."""
        return self.sub_status == "RTSING"

    @property
    def shown_tracking_number(self) -> str:
        return "" if self.is_pending else self.tracking_number


@dataclass(slots=True)
class Cancellation:
    id: str
    order_id: str
    unit_ids: list[str]
    kind: str  # CANCEL or BUYER_CANCEL
    status: str
    role: str
    reason: str
    reason_text: str
    created_at: int
    updated_at: int
    deadline: int = 0
    replenish: bool = True
