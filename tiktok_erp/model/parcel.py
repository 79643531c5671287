"""The facts about one package that carrier rules may ask. Pure: `allocation/run.py` fills it from the store.

`None` always means "not known", never "no": a rule that needs an unknown fact quarantines the package instead of
guessing. Where a channel can say that there is none (no creator, no note to the seller), that is the empty text.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tiktok_erp.model.money import Money
from tiktok_erp.model.us_states import is_united_states


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One package as the rules see it. `shipping_type` and `fulfillment_type` are spelt as the channel does."""

    package_id: str
    channel: str | None = None
    order_ids: tuple[str, ...] = ()
    # The order's total amount, tax and shipping in; the sum of a combined package, the whole order's of a split one.
    order_total: Money | None = None
    weight_g: int | None = None  # units and box; unknown as soon as one part is
    item_count: int | None = None  # units, gifts included
    skus: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    country: str | None = None  # ISO 3166 alpha-2, or the channel's own name of it
    state: str | None = None  # two-letter code, or the channel's own name of it
    zip: str | None = None
    shipping_type: str | None = None  # TIKTOK (label bought from the channel), SELLER (own label)
    fulfillment_type: str | None = None
    is_presale: bool | None = None
    is_sample: bool | None = None
    has_gift: bool | None = None
    buyer_note: str | None = None  # "" when the buyer wrote none
    creator: str | None = None  # "" when nobody is credited
    delivery_option: str | None = None  # the name the buyer chose, such as "Standard shipping"
    warehouse: str | None = None
    hours_left: Decimal | None = None  # until the earliest deadline; negative once it has passed
    repeat_orders: int | None = None  # the buyer's earlier orders that were not cancelled
    live_sessions: tuple[str, ...] | None = None  # names and room ids of the sessions it was sold in; () when in none
    is_military: bool | None = None
    is_po_box: bool | None = None
    is_residential: bool | None = None
    has_phone: bool | None = None
    longest_line: int | None = None  # characters of the longest street line
    refused: frozenset[tuple[str, str]] = frozenset()  # carrier and service level that the label source refused for it
    overrides: frozenset[str] = frozenset()  # causes that the seller has overridden for all its orders


_COUNTRY_CODES = {"UNITED KINGDOM": "GB", "UK": "GB", "GREAT BRITAIN": "GB", "CANADA": "CA", "MEXICO": "MX"}


def country_code(text: str) -> str | None:
    """Return the ISO 3166 alpha-2 code of a country, given as a code or by a name that channels use; else None."""
    if is_united_states(text):
        return "US"
    word = " ".join(text.split()).upper()
    if word in _COUNTRY_CODES:
        return _COUNTRY_CODES[word]
    return word if len(word) == 2 and word.isascii() and word.isalpha() else None
