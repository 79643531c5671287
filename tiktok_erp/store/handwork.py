"""The SQL about an outage: everything that people need on paper, and what they tell afterwards that they did by hand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store
from tiktok_erp.store.open_work import OPEN_PACKAGES

# A parcel that no carrier has scanned so long after its label was bought is lost or was never packed: no longer today's work.
_LABELS_FOR = timedelta(days=7)

_WORK = """
SELECT p.package_id, p.carrier, p.service_level, p.cancelled_at, p.wait_until, p.allocated_at, p.print_note, p.hold_because,
  p.scanned_at, p.delivered_at, k.packed_at,
  l.label_id, l.state AS label_state, l.source AS label_source, l.tracking_number, l.carrier AS label_carrier,
  l.service_level AS label_service, l.sha256, l.pages, l.printed_at, l.batch_id, l.position, l.void_sent_at, l.barcode, l.address_check,
  (SELECT q.cause FROM quarantine q WHERE q.package_id = p.package_id AND q.resolved_at IS NULL ORDER BY q.case_id LIMIT 1) AS quarantine_cause,
  (SELECT q.next_step FROM quarantine q WHERE q.package_id = p.package_id AND q.resolved_at IS NULL ORDER BY q.case_id LIMIT 1) AS quarantine_step,
  EXISTS (SELECT 1 FROM units u JOIN reservations r USING (unit_id) WHERE u.package_id = p.package_id AND r.state = 'short') AS is_short,
  EXISTS (SELECT 1 FROM package_orders x JOIN holds h USING (order_id) WHERE x.package_id = p.package_id) AS is_held_by_seller,
  json_group_array(json_object('order_id', o.order_id, 'number', o.channel_order_id, 'state', o.base_state, 'status', o.status,
    'held_until', o.held_until, 'asks', o.cancel_requested, 'shipping', o.shipping_type, 'fulfillment', o.fulfillment_type,
    'uploaded_at', po.uploaded_at, 'group', o.auto_combine_group_id, 'ship_by', o.ship_by, 'source', o.ship_by_source,
    'is_moved', o.address_version > po.label_address_version, 'is_open', o.is_open)) AS orders
FROM packages p
JOIN package_orders po USING (package_id)
JOIN orders o USING (order_id)
LEFT JOIN labels l ON l.package_id = p.package_id AND l.state IN ('intent', 'sent', 'unknown', 'bought')
LEFT JOIN packings k ON k.package_id = p.package_id
"""


def load_work(store: Store, now: datetime) -> list[sqlite3.Row]:
    """Return the packages of open orders, and those with a label of the last days, each with its orders as JSON."""
    first_label = store.scalar(
        "SELECT coalesce((SELECT label_id FROM labels WHERE intent_at < ? ORDER BY label_id DESC LIMIT 1), 0)",
        (to_text(now - _LABELS_FOR),),
    )
    return store.query(
        _WORK
        + " WHERE p.package_id IN ("
        + OPEN_PACKAGES
        + " UNION SELECT package_id FROM labels NOT INDEXED WHERE label_id > ?"
        " UNION SELECT package_id FROM labels INDEXED BY labels_to_print WHERE state = 'bought' AND printed_at IS NULL AND sha256 IS NOT NULL)"
        " GROUP BY p.package_id ORDER BY p.package_id",
        (first_label,),
    )


def load_slips(store: Store, package_ids: Sequence[str]) -> dict[str, sqlite3.Row]:
    """Return by package what its packing slip says of the buyer: name, place, notes."""
    rows = store.query(
        "SELECT po.package_id, group_concat(nullif(o.buyer_note, ''), ' / ') AS buyer_note, max(r.name) AS name,"
        " max(r.city) AS city, max(r.state) AS state FROM json_each(?) j JOIN package_orders po ON po.package_id = j.value"
        " JOIN orders o USING (order_id) LEFT JOIN recipients r USING (order_id) GROUP BY po.package_id",
        (json.dumps(list(package_ids)),),
    )
    return {row["package_id"]: row for row in rows}


def load_addresses(store: Store, package_ids: Sequence[str]) -> dict[str, sqlite3.Row]:
    """Return the address of each package, of whichever of its orders comes first."""
    rows = store.query(
        "SELECT po.package_id, min(po.order_id) AS first, r.name, r.phone, r.street1, r.street2, r.city, r.state, r.zip,"
        " r.country, r.is_masked FROM json_each(?) j JOIN package_orders po ON po.package_id = j.value"
        " JOIN recipients r USING (order_id) GROUP BY po.package_id",
        (json.dumps(list(package_ids)),),
    )
    return {row["package_id"]: row for row in rows}


def load_batches(store: Store, batch_ids: Sequence[int]) -> dict[int, str]:
    """Return the directories of these batches."""
    rows = store.query(
        "SELECT batch_id, directory FROM json_each(?) j CROSS JOIN batches b ON b.batch_id = j.value",
        (json.dumps(list(batch_ids)),),
    )
    return {row["batch_id"]: row["directory"] for row in rows}


def load_numbers(store: Store, channel_order_ids: Sequence[str]) -> list[sqlite3.Row]:
    """Return the packages of these orders, by the channel's ids, with their numbers and what became of them."""
    return store.query(
        "SELECT o.channel_order_id, o.order_id, o.base_state, o.cancel_requested, o.source AS order_source, o.as_of,"
        " po.package_id, po.uploaded_at, l.tracking_number, l.carrier, l.source AS label_source"
        " FROM json_each(?) j JOIN orders o ON o.channel_order_id = j.value JOIN package_orders po USING (order_id)"
        " LEFT JOIN labels l ON l.package_id = po.package_id AND l.state = 'bought' ORDER BY po.package_id",
        (json.dumps(list(channel_order_ids)),),
    )


def find_by_number(store: Store, tracking_number: str) -> list[str]:
    """Return the packages whose live label has this number."""
    rows = store.query(
        "SELECT package_id FROM labels WHERE tracking_number = ? AND state IN ('intent', 'sent', 'unknown', 'bought')"
        " ORDER BY package_id",
        (tracking_number,),
    )
    return [row[0] for row in rows]


def load_states(store: Store, package_ids: Sequence[str]) -> dict[str, sqlite3.Row]:
    """Return what matters when a parcel is said to be packed: whether it may leave, its label, and who knew it before."""
    rows = store.query(
        "SELECT p.package_id, k.packed_at, l.label_id, l.state AS label_state, l.printed_at, l.on_paper_at, l.sha256, l.tracking_number,"
        " p.merged_into, max(o.base_state = 'cancelled') OR p.cancelled_at IS NOT NULL AS is_cancelled,"
        " max(o.cancel_requested) AS asks,"
        " group_concat(o.status, ' ') AS statuses FROM json_each(?) j JOIN packages p ON p.package_id = j.value"
        " JOIN package_orders po ON po.package_id = p.package_id JOIN orders o USING (order_id)"
        " LEFT JOIN labels l ON l.package_id = p.package_id AND l.state IN ('intent', 'sent', 'unknown', 'bought')"
        " LEFT JOIN packings k ON k.package_id = p.package_id GROUP BY p.package_id",
        (json.dumps(list(package_ids)),),
    )
    return {row["package_id"]: row for row in rows}


def save_packed(store: Store, package_id: str, *, because: str, run_id: int | None, at: datetime) -> bool:
    """Write that a person packed a package; False when that was known. Call inside a transaction."""
    return (
        store.execute(
            "INSERT INTO packings (package_id, station, packed_at, because, run_id) VALUES (?, '', ?, ?, ?) ON CONFLICT DO NOTHING",
            (package_id, to_text(at), because, run_id),
        )
        == 1
    )


def save_printed_by_hand(store: Store, package_id: str, at: datetime) -> bool:
    """Write that a held label is on paper already; False when that was known. Call inside a transaction."""
    return (
        store.execute(
            "UPDATE labels SET printed_at = coalesce(printed_at, ?1), on_paper_at = ?1"
            " WHERE package_id = ?2 AND state = 'bought' AND on_paper_at IS NULL",
            (to_text(at), package_id),
        )
        == 1
    )


def load_survivors(store: Store, package_ids: Sequence[str]) -> list[str]:
    """Return these packages, each absorbed one replaced by that which took its orders over."""
    rows = store.query(
        "WITH RECURSIVE way (asked, package_id, merged_into) AS (SELECT j.key, p.package_id, p.merged_into FROM json_each(?) j"
        " JOIN packages p ON p.package_id = j.value UNION SELECT w.asked, p.package_id, p.merged_into FROM way w"
        " JOIN packages p ON p.package_id = w.merged_into)"
        " SELECT DISTINCT package_id FROM way WHERE merged_into IS NULL ORDER BY asked",
        (json.dumps(list(package_ids)),),
    )
    return [row[0] for row in rows]


def load_statuses(store: Store, order_ids: Sequence[str]) -> dict[str, str]:
    """Return the channel's word for each of these orders."""
    rows = store.query(
        "SELECT order_id, status FROM json_each(?) j JOIN orders o ON o.order_id = j.value",
        (json.dumps(list(order_ids)),),
    )
    return {row["order_id"]: row["status"] for row in rows}


def load_sellable(store: Store) -> list[sqlite3.Row]:
    """Return what can be sold of every counted SKU, by warehouse."""
    return store.query(
        "SELECT sku, warehouse, on_hand, reserved, safety_stock, available_to_sell FROM v_stock ORDER BY sku, warehouse"
    )
