"""What is printed: packages in packing order with their lines, and where each one ended up in the PDF. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PrintLine:
    """So many pieces of one SKU in a package. `shelf` is the SKU sheet's, None when it names none."""

    sku: str
    name: str
    variant: str
    quantity: int
    is_gift: bool = False
    shelf: str | None = None


@dataclass(frozen=True, slots=True)
class PrintItem:
    """One package to print, with everything that the packers' paper says about it.

    `order_ids` are ours (`tiktok:576...`), `channel_order_ids` what the channel and the buyer call the same orders.
    `ship_by` is an aware UTC time, None when nobody told one; `ship_by_estimated` when it came from rules.yaml.
    `label_sha256` names the held label file, None when there is only a number.
    """

    package_id: str
    order_ids: tuple[str, ...]
    channel_order_ids: tuple[str, ...]
    ship_by: datetime | None
    ship_by_estimated: bool
    carrier: str
    service_level: str
    tracking_number: str | None
    lines: tuple[PrintLine, ...]
    buyer_note: str = ""
    seller_note: str = ""
    print_note: str = ""  # what a rule of rules.yaml says to the packer
    recipient_name: str | None = None
    recipient_city_state: str | None = None
    is_gift: bool = False
    label_sha256: str | None = None
    buyer: str | None = None  # equal for packages of one buyer; None when nobody told

    @property
    def unit_count(self) -> int:
        """Physical pieces in the package."""
        return sum(line.quantity for line in self.lines)


@dataclass(frozen=True, slots=True)
class PrintedPosition:
    """A package's place in a batch: `position` such as `B07-063`, and its 1-based pages in the merged PDF."""

    position: str
    pages: tuple[int, ...]
    item: PrintItem


@dataclass(frozen=True, slots=True)
class PulledPackage:
    """A labelled package that must not leave as it is. `cause` is order_cancelled, cancel_requested or address_changed."""

    package_id: str
    position: str | None
    order_id: str
    cause: str
    items: str
    tracking_number: str | None


@dataclass(frozen=True, slots=True)
class BatchNotOnPaper:
    """A batch of which `labels` are on no paper, as far as anybody said. `is_written`: all of them are in its PDF alone.

    `directory` is as seen from the database's folder.
    """

    batch_id: int
    directory: str
    labels: int
    is_written: bool


@dataclass(frozen=True, slots=True)
class PlacedLabel:
    """A held label and its place: `position` in the batch and the first of its `pages` in the batch's PDF, from 1."""

    label_id: int
    package_id: str
    batch_id: int | None
    position: int | None
    page: int | None
    pages: int
    is_on_paper: bool
