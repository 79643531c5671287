"""Decide in which order packages are printed, and what each place is called. Pure: no clock, no files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

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
