"""The SQL about the second clock: which told packages the carrier has, and which it should have by now."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from tiktok_erp.model.moment import from_text
from tiktok_erp.store.database import Store

_UNSCANNED = (
    "p.cancelled_at IS NULL AND p.scanned_at IS NULL AND p.delivered_at IS NULL AND po.uploaded_at IS NOT NULL"
    " AND o.base_state <> 'cancelled' AND o.collected_at IS NULL AND o.delivered_at IS NULL"
)


def load_oldest_unscanned(store: Store) -> datetime | None:
    """Return when the oldest package that the carrier does not have was told, or None when it has them all."""
    text = store.scalar(
        "SELECT min(po.uploaded_at) FROM packages p INDEXED BY packages_unscanned"
        " CROSS JOIN package_orders po ON po.package_id = p.package_id JOIN orders o USING (order_id)"
        f" WHERE {_UNSCANNED}"
    )
    return from_text(text) if text else None


def save_scans(store: Store, channel: str, facts: Sequence[tuple[str, str, bool]]) -> int:
    """Write (the channel's package id, time, whether delivered); return how many packages that changed.

    Call inside a transaction.
    """
    changed = 0
    for channel_package_id, at, is_delivered in facts:
        changed += store.execute(
            "UPDATE packages SET scanned_at = coalesce(scanned_at, ?1),"
            " delivered_at = CASE WHEN ?2 THEN coalesce(delivered_at, ?1) ELSE delivered_at END"
            " WHERE channel = ?3 AND (scanned_at IS NULL OR (?2 AND delivered_at IS NULL)) AND cancelled_at IS NULL"
            " AND package_id IN (SELECT package_id FROM package_orders WHERE channel_package_id = ?4)",
            (at, is_delivered, channel, channel_package_id),
        )
    return changed


def load_unscanned(store: Store) -> list[sqlite3.Row]:
    """Return each told package that the carrier does not have, with the earliest time by which the channel wants the scan.

    `scan_by` is NULL where the channel told none. Most urgent first.
    """
    return store.query(
        "SELECT p.package_id, json_group_array(o.order_id) AS order_ids, l.carrier, l.tracking_number,"
        " max(po.uploaded_at) AS uploaded_at, l.printed_at,"
        " min(CASE WHEN o.tts_sla_at IS NULL THEN o.collection_due_at WHEN o.collection_due_at IS NULL THEN o.tts_sla_at"
        "   ELSE min(o.tts_sla_at, o.collection_due_at) END) AS scan_by"
        " FROM packages p INDEXED BY packages_unscanned CROSS JOIN package_orders po ON po.package_id = p.package_id"
        " JOIN orders o USING (order_id) LEFT JOIN labels l ON l.package_id = p.package_id AND l.state = 'bought'"
        f" WHERE {_UNSCANNED} GROUP BY p.package_id ORDER BY scan_by IS NULL, scan_by, p.package_id"
    )
