"""Decide in which order packages are printed, and what each place is called. Pure: no clock, no files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from tiktok_erp.messages import tr
from tiktok_erp.model.print_job import PrintItem

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)

SkuSignature = tuple[tuple[str, int], ...]


def plan_print_order(items: Iterable[PrintItem]) -> tuple[PrintItem, ...]:
    """Return `items` in packing order: deadline, carrier, service level, content, package id.

    Known deadlines come first in time order, the channel's before an estimated one of the same second; packages
    without any come last. Within one deadline a carrier's parcels stay together, and packages with the same SKUs and
    quantities follow each other, so that they are packed in one go. The order of `items` plays no part.
    """
    return tuple(sorted(items, key=_place))


def sku_signature(item: PrintItem) -> SkuSignature:
    """Return what is in the package as (SKU, pieces), sorted: equal for packages that are packed alike."""
    pieces: Counter[str] = Counter()
    for line in item.lines:
        pieces[line.sku] += line.quantity
    return tuple(sorted(pieces.items()))


def position_text(batch_number: int, place: int) -> str:
    """Return the name of the 1-based `place` in a batch: `B07-063`. Both numbers grow longer when they must."""
    return f"B{batch_number:02d}-{place:03d}"


def _place(item: PrintItem) -> tuple[bool, datetime, bool, str, str, SkuSignature, str]:
    return (
        item.ship_by is None,
        item.ship_by or _END_OF_TIME,
        item.ship_by_estimated,
        item.carrier,
        item.service_level,
        sku_signature(item),
        item.package_id,
    )


def next_step_for(obstacle: str) -> str:
    """Return what a person does about a package that is not due."""
    steps = {
        "order_cancelled": tr("nothing to do: the order was cancelled"),
        "cancel_requested": tr(
            "answer the buyer: `tiktok-erp orders answer ID approve` or `reject`, or in Seller Center, then `tiktok-erp sync`"
        ),
        "on_hold": tr("wait for the hold to end, then run this again"),
        "short": tr("restock, then run `tiktok-erp reserve-stock`"),
        "address_changed": tr("run `tiktok-erp allocate`"),
        "not_allocated": tr("run `tiktok-erp allocate`"),
        "own_label_needed": tr(
            "buy the labels elsewhere and run `tiktok-erp print-labels --from FILE` with the tracking list or the PDFs"
        ),
        "already_shipped": tr("nothing to do: it has left"),
        "not_told": tr(
            "the channel told nothing about this order just now; look at it in Seller Center, then run this again"
        ),
        "unknown_status": tr("look at the order in Seller Center"),
        "unknown_shipping_type": tr("look in Seller Center how this order is to be shipped"),
        "quarantined": tr("look at `tiktok-erp quarantine`; name the package to try it again"),
        "fulfilled_by_channel": tr("look in Seller Center who ships this order"),
    }
    return steps.get(obstacle, tr("run `tiktok-erp sync`"))
