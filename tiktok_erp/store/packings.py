"""The SQL about packing: which package a scanned label belongs to, what must be in it, and what was packed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store


@dataclass(frozen=True, slots=True)
class OpenBox:
    """A box that was begun: where, by which process (None: put aside), pieces in it by SKU, since when."""

    station: str
    holder: str | None
    pieces: Mapping[str, int]
    opened_at: str


def find_scanned(store: Store, codes: Sequence[str]) -> list[sqlite3.Row]:
    """Return the packages that one of `codes` means (tracking number, package id, order id), with what forbids packing."""
    marks = ", ".join("?" for code in codes)
    return store.query(
        f"SELECT p.package_id, max(o.channel_order_id IN ({marks})) AS is_by_order,"
        " p.cancelled_at IS NOT NULL OR max(o.base_state = 'cancelled') AS is_cancelled,"
        " max(o.cancel_requested) AS cancel_requested,"
        " max(l.label_id IS NOT NULL AND o.address_version > po.label_address_version) AS is_moved,"
        " l.address_check = 'contradiction' AS is_elsewhere,"
        " max(o.base_state = 'unknown') AS is_unknown, l.batch_id, l.position, l.label_id IS NOT NULL AS has_label,"
        " l.void_sent_at IS NOT NULL AS is_voided, (SELECT packed_at FROM packings k WHERE k.package_id = p.package_id) AS packed_at"
        " FROM packages p JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
        " LEFT JOIN labels l ON l.package_id = p.package_id AND l.state = 'bought' WHERE p.package_id IN ("
        f"SELECT package_id FROM labels INDEXED BY labels_as_scanned WHERE upper(tracking_number) IN ({marks}) AND state = 'bought'"
        f" UNION SELECT package_id FROM packages WHERE package_id IN ({marks})"
        f" UNION SELECT x.package_id FROM orders y CROSS JOIN package_orders x USING (order_id) WHERE y.channel_order_id IN ({marks}))"
        " GROUP BY p.package_id ORDER BY p.package_id",
        (*codes, *codes, *codes, *codes),
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


def load_open_box(store: Store, package_id: str) -> OpenBox | None:
    """Return what is known of a box that was begun and not finished."""
    row = store.query_one("SELECT * FROM open_boxes WHERE package_id = ?", (package_id,))
    if row is None:
        return None
    return OpenBox(row["station"], row["holder"], json.loads(row["pieces"]), row["opened_at"])


def save_open_box(
    store: Store, package_id: str, station: str, holder: str | None, pieces: Mapping[str, int], at: datetime
) -> None:
    """Write what is in a box that is being packed; without a `holder` it is put aside. Call inside a transaction."""
    store.execute(
        "INSERT INTO open_boxes (package_id, station, holder, pieces, opened_at) VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (package_id) DO UPDATE SET station = ?2, holder = ?3, pieces = ?4,"
        " opened_at = CASE WHEN holder IS ?3 THEN opened_at ELSE ?5 END",
        (package_id, station, holder, json.dumps(pieces), to_text(at)),
    )


def drop_open_box(store: Store, package_id: str) -> None:
    """Forget that a box is open: it is packed, or must not leave. Call inside a transaction."""
    store.execute("DELETE FROM open_boxes WHERE package_id = ?", (package_id,))


def packed_since(store: Store, station: str, since: datetime) -> int:
    """Return how many parcels a station packed since then."""
    return int(
        store.scalar("SELECT count(*) FROM packings WHERE station = ? AND packed_at >= ?", (station, to_text(since)))
    )
