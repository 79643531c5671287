"""Label sources behind one shape: what each can do, and the one protocol that the stages know them by.

A source sells in two steps. `quotes` makes a shipment there, which costs nothing, and says what each service costs;
`buy` buys one of those quotes. Whoever buys keeps the quote's id before buying, so that after a crash or a lost answer
`read` tells whether it was bought: nothing is ever bought on a guess. Whoever only compares prices stops after `quotes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from tiktok_erp.model.money import Money
from tiktok_erp.model.shipment import PostalAddress, Quote, Shipment


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source can do: take a bought label back, hand out ZPL, tell prices first, make a scan form."""

    void: bool = False
    zpl: bool = False
    quotes: bool = False
    scan_form: bool = False


# `tiktok`: no endpoint takes a label back (TikTok reference, section 3); a label of a `file` is paid for elsewhere.
SOURCES: Mapping[str, Capabilities] = {
    "tiktok": Capabilities(quotes=True),
    "easypost": Capabilities(void=True, zpl=True, quotes=True, scan_form=True),
    "file": Capabilities(),
    "channel": Capabilities(),
}


@dataclass(frozen=True, slots=True)
class BoughtLabel:
    """A label that was paid for. `url` leads to its document, whose `format` is `pdf`, `png` or `zpl`.

    `refund` is the source's word about taking it back; empty when nobody asked for that. `to` is the address that it says
    is on the label; None where it does not say.
    """

    shipment_id: str
    tracking_number: str
    carrier: str
    service_level: str
    cost: Money | None
    url: str = field(repr=False)
    format: str = "pdf"
    refund: str = ""
    request_id: str = ""
    is_test: bool = False
    to: PostalAddress | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SourcePurchase:
    """A label that the source sold to anybody with this account. `reference` is what its buyer called the parcel.

    `name` and `zip` are where it goes, empty where the source does not tell; `made_at` is the source's time of the
    shipment, which may be hours before it was bought.
    """

    reference: str
    quote_id: str
    label: BoughtLabel
    made_at: datetime | None = None
    name: str = field(default="", repr=False)
    zip: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ScanForm:
    """One sheet whose barcode stands for many parcels. `url` leads to its PDF; empty while the source is making it.

    `tracking_numbers` are those that the source says are on it; empty where it does not say.
    """

    form_id: str
    url: str = field(default="", repr=False)
    tracking_numbers: tuple[str, ...] = ()
    is_failed: bool = False
    message: str = ""


class LabelSource(Protocol):
    """What the stages ask of a source. Every method may be called from several threads."""

    name: str
    capabilities: Capabilities
    concurrency: int
    is_test: bool  # its labels carry no postage

    def quotes(self, shipment: Shipment) -> tuple[Quote, ...]:
        """Return what each service costs, cheapest first; empty when no carrier takes the parcel. Costs nothing.

        Raises ChannelRefused when the source does not accept the address or the parcel, SignInError, ChannelDown.
        """
        ...

    def buy(self, quote_id: str, *, subject: str, insurance: Money | None = None) -> BoughtLabel:
        """Buy this quote, insured for so much. `subject` names the package in errors.

        Raises OutcomeUnknown when nobody can tell whether it was bought (`read` does), NotSent and ChannelThrottled
        when it surely was not, ChannelRefused for this package alone, or with cause `balance` for all of them.
        """
        ...

    def read(self, quote_id: str, *, subject: str) -> BoughtLabel | None:
        """Return the label of this quote's shipment, None while none is bought."""
        ...

    def purchases(self, since: datetime) -> Iterator[SourcePurchase]:
        """Yield what was sold to this account of shipments made since then, whoever bought it. Raises as `read` does."""
        ...

    def find(self, reference: str) -> SourcePurchase | None:
        """Return what was bought under this reference, None where the source knows of nothing."""
        ...

    def download(self, label: BoughtLabel, *, subject: str) -> bytes:
        """Return the label's document as PDF."""
        ...

    def void(self, quote_id: str, *, subject: str) -> str:
        """Ask for the money back and return the source's word: `submitted`, `refunded`, `rejected`, `not_applicable`."""
        ...

    def make_form(self, quote_ids: Sequence[str], *, subject: str) -> ScanForm:
        """Ask for one scan form for all these quotes' parcels: one carrier's, one day's, one sender's.

        Raises as `buy` does; ChannelRefused as well for a carrier that has no such forms.
        """
        ...

    def find_form(self, quote_id: str, *, subject: str) -> ScanForm | None:
        """Return the form that this quote's parcel is on. None where the source tells of none: no proof that none was made."""
        ...

    def fetch_form(self, form: ScanForm, *, subject: str) -> bytes:
        """Return a form's document as PDF."""
        ...
