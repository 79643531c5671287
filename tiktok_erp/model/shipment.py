"""What a label source must know of one parcel: sender, address, weight and size; and what it answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from tiktok_erp.messages import tr
from tiktok_erp.model.money import Money
from tiktok_erp.model.plain_text import latin


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """Where a parcel comes from or goes to. Nothing of it is shown in `repr`: it is personal data."""

    name: str = field(repr=False)
    street1: str = field(repr=False)
    city: str = field(repr=False)
    state: str = field(repr=False)
    zip: str = field(repr=False)
    country: str = field(default="US", repr=False)
    street2: str = field(default="", repr=False)
    company: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    email: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Shipment:
    """One parcel to quote or to buy a label for. `reference` is our package id and is printed on the label.

    `weight_g` is the packed weight, box in. Sizes are outer millimetres, None where not told.
    """

    reference: str
    sender: PostalAddress
    to: PostalAddress
    weight_g: int
    length_mm: int | None = None
    width_mm: int | None = None
    height_mm: int | None = None
    signature: str | None = None  # standard, adult
    insurance: Money | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """One service that a source offers for a shipment, in our words (`usps`, `ground_advantage`).

    `cost` is what buying it now costs. `transit_days` is the source's estimate, None where it told none. `quote_id` is
    what the source needs to sell exactly this; keep it as it is.
    """

    carrier: str
    service_level: str
    cost: Money
    transit_days: int | None
    quote_id: str


@dataclass(frozen=True, slots=True)
class Unshippable:
    """Why no label can be asked for: a cause for scripts, what it is, and the next step."""

    cause: str
    what: str
    next_step: str


def ship_fault(to: PostalAddress, weight_g: int | None, *, is_masked: bool) -> Unshippable | None:
    """Return why no label can be bought for this address and weight, or None."""
    look = tr(
        "look at the order in Seller Center and ask the buyer; then run `tiktok-erp sync` and `tiktok-erp allocate`"
    )
    if is_masked or not (to.street1 and to.city and to.zip and to.country):
        return Unshippable("no_address", tr("the order has no delivery address that could be printed"), look)
    if not to.name and not to.company:
        return Unshippable("no_address", tr("the delivery address has no name"), look)
    parts = (to.name, to.company, to.street1, to.street2, to.city)
    if any(latin(part) is None for part in parts):
        return Unshippable("address_letters", tr("the delivery address has letters that carriers cannot print"), look)
    if not weight_g:
        return Unshippable(
            "unknown_weight",
            tr("the package's weight is not known, and postage goes by weight"),
            tr("run `tiktok-erp stock set SKU --weight 120g`, then `tiktok-erp allocate`"),
        )
    return None
