"""What the store holds of orders, as the audit of an export compares it. Reads only."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.store.database import Store


@dataclass(frozen=True, slots=True)
class HeldUnit:
    """A unit that is not cancelled. `tracking_number` is what the channel told, `label_number` that of our label."""

    channel_sku_id: str
    package_id: str | None
    tracking_number: str | None
    label_number: str | None


@dataclass(frozen=True, slots=True)
class HeldOrder:
    """An order as the store holds it; `known_at` is the latest time at which it was true."""

    order_id: str
    status: str
    known_at: datetime
    units: tuple[HeldUnit, ...]


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order and when it was placed."""

    order_id: str
    channel_order_id: str
    status: str
    placed_at: datetime


def load_held_orders(store: Store, order_ids: Sequence[str]) -> dict[str, HeldOrder]:
    """Return what the store holds of `order_ids`, keyed by order id."""
    wanted = json.dumps(list(order_ids))
    units: dict[str, list[HeldUnit]] = defaultdict(list)
    # The longer list of states is what lets SQLite use the index over live labels.
    for row in store.query(
        "SELECT u.order_id, u.channel_sku_id, u.package_id, u.tracking_number, l.tracking_number AS label_number"
        " FROM json_each(?) j JOIN units u ON u.order_id = j.value"
        " LEFT JOIN labels l ON l.package_id = u.package_id AND l.state IN ('intent', 'sent', 'unknown', 'bought')"
        " AND l.state = 'bought' WHERE u.state <> 'cancelled' ORDER BY u.order_id, u.position",
        (wanted,),
    ):
        units[row["order_id"]].append(
            HeldUnit(row["channel_sku_id"], row["package_id"], row["tracking_number"], row["label_number"])
        )
    rows = store.query(
        "SELECT o.order_id, o.status, max(o.as_of, coalesce(o.updated_at, o.as_of)) AS known_at"
        " FROM json_each(?) j JOIN orders o ON o.order_id = j.value",
        (wanted,),
    )
    return {
        row["order_id"]: HeldOrder(
            row["order_id"], row["status"], from_text(row["known_at"]), tuple(units[row["order_id"]])
        )
        for row in rows
    }


def iterate_placed_orders(store: Store, channel: str, start: datetime, end: datetime) -> Iterator[PlacedOrder]:
    """Yield the orders of `channel` placed from `start` to `end`, both included, newest first."""
    for row in store.iterate(
        "SELECT order_id, channel_order_id, status, placed_at FROM orders"
        " WHERE channel = ? AND placed_at BETWEEN ? AND ? ORDER BY placed_at DESC, order_id",
        (channel, to_text(start), to_text(end)),
    ):
        yield PlacedOrder(row["order_id"], row["channel_order_id"], row["status"], from_text(row["placed_at"]))
