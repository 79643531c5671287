"""The SQL about packing: which package a scanned label belongs to, what must be in it, and what was packed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store


def find_scanned(store: Store, codes: Sequence[str]) -> list[sqlite3.Row]:
    """Return the packages that one of `codes` means (tracking number, package id, order id), with what forbids packing."""
    marks = ", ".join("?" for code in codes)
    return store.query(
        "SELECT p.package_id, p.cancelled_at IS NOT NULL OR max(o.base_state = 'cancelled') AS is_cancelled,"
        " max(o.cancel_requested) AS cancel_requested,"
        " max(coalesce(o.address_changed_at, '') >= coalesce(l.bought_at, '9')) AS is_moved,"
        " max(o.base_state = 'unknown') AS is_unknown, l.batch_id, l.position, l.label_id IS NOT NULL AS has_label,"
        " l.void_sent_at IS NOT NULL AS is_voided, (SELECT packed_at FROM packings k WHERE k.package_id = p.package_id) AS packed_at"
        " FROM packages p JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
        " LEFT JOIN labels l ON l.package_id = p.package_id AND l.state = 'bought' WHERE p.package_id IN ("
        f"SELECT package_id FROM labels INDEXED BY labels_as_scanned WHERE upper(tracking_number) IN ({marks}) AND state = 'bought'"
        f" UNION SELECT package_id FROM packages WHERE package_id IN ({marks})"
        f" UNION SELECT x.package_id FROM orders y CROSS JOIN package_orders x USING (order_id) WHERE y.channel_order_id IN ({marks}))"
        " GROUP BY p.package_id ORDER BY p.package_id",
        (*codes, *codes, *codes),
    )


def find_void(store: Store, codes: Sequence[str]) -> bool:
    """Tell whether one of `codes` is the number of a label that was taken back."""
    marks = ", ".join("?" for code in codes)
    return bool(
        store.scalar(
            f"SELECT count(*) FROM labels INDEXED BY labels_as_scanned WHERE state = 'voided' AND upper(tracking_number) IN ({marks})",
            tuple(codes),
        )
    )


def save_packing(store: Store, package_id: str, station: str, at: datetime) -> None:
    """Write that a package is packed; packed again, the newest stays. Call inside a transaction."""
    store.execute(
        "INSERT OR REPLACE INTO packings (package_id, station, packed_at) VALUES (?, ?, ?)",
        (package_id, station, to_text(at)),
    )


def packed_since(store: Store, station: str, since: datetime) -> int:
    """Return how many parcels a station packed since then."""
    return int(
        store.scalar("SELECT count(*) FROM packings WHERE station = ? AND packed_at >= ?", (station, to_text(since)))
    )
