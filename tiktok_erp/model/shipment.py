"""What a label source must know of one parcel: sender, address, weight and size; and what it answers. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tiktok_erp.messages import tr
from tiktok_erp.model.money import Money
from tiktok_erp.model.parcel import country_code
from tiktok_erp.model.plain_text import latin
from tiktok_erp.model.us_states import state_code

_ZIP = re.compile(r"(\d{5})(?:-?\d{4})?$")
_TERRITORIES = frozenset({"PR", "VI", "GU", "AS", "MP", "FM", "MH", "PW"})


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
    """One parcel to quote or to buy a label for. `package_id` is printed on the label.

    `weight_g` is the packed weight, box in. Sizes are outer millimetres, None where not told. `reference` is what the
    source is to call it (`model/reference.py`); empty: by its package.
    """

    package_id: str
    sender: PostalAddress
    to: PostalAddress
    weight_g: int
    length_mm: int | None = None
    width_mm: int | None = None
    height_mm: int | None = None
    signature: str | None = None  # standard, adult
    insurance: Money | None = None
    reference: str = ""


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


def compare_addresses(ours: PostalAddress, theirs: PostalAddress) -> str:
    """Return `contradiction`, `match` or `unreadable`: whether a label's own address, `theirs`, is the one it was wanted for.

    Sources write addresses in other letters, with abbreviations and ZIP+4; only another country, state, five-digit ZIP
    or house number that both sides say readably is a contradiction. A part that is masked says nothing.
    """
    pairs = (
        (_country_word(ours.country), _country_word(theirs.country)),
        (state_code(ours.state), state_code(theirs.state)),
        (_zip5(ours.zip), _zip5(theirs.zip)),
    )
    known = [(mine, other) for mine, other in pairs if mine and other]
    if any(mine != other for mine, other in known):
        return "contradiction"
    mine, other = _numbers(ours), _numbers(theirs)
    if mine and other and mine[0] not in other and other[0] not in mine:
        return "contradiction"
    return "match" if known or (mine and other) else "unreadable"


def _country_word(text: str) -> str | None:
    """Territories are told as countries and as states of the United States; both are the same place."""
    code = country_code(text) if "*" not in text else None
    return "US" if code is not None and state_code(code) and code in _TERRITORIES else code


def _zip5(text: str) -> str | None:
    match = _ZIP.match(text.strip())
    return match[1] if match is not None else None


def _numbers(address: PostalAddress) -> list[str]:
    """Return the numbers in the street lines, in order, as they are sent: `37-12` and `3712` are one."""
    text = " ".join(latin(line) or "" for line in (address.street1, address.street2))
    if "*" in text:
        return []
    return [number.lstrip("0") for number in re.findall(r"\d+", re.sub(r"(?<=\d)-(?=\d)", "", text))]


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
