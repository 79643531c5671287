"""The SQL that proves the promises on a live file: every query lists what breaks one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from tiktok_erp.messages import deferred
from tiktok_erp.store.database import Store


@dataclass(frozen=True, slots=True)
class Check:
    """One provable statement. `sql` returns a row, with the subject first, for each thing that contradicts it."""

    name: str
    promise: str
    sql: str


CHECKS = (
    Check(
        "integrity", deferred("the file is whole"), "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'"
    ),
    Check(
        "foreign_keys",
        deferred("every reference leads somewhere"),
        "SELECT \"table\" || ' row ' || rowid FROM pragma_foreign_key_check",
    ),
    Check(
        "one_live_label",
        deferred("no package has two live labels"),
        "SELECT package_id FROM labels WHERE state IN ('intent', 'sent', 'unknown', 'bought') GROUP BY package_id HAVING count(*) > 1",
    ),
    Check(
        "one_package_a_number",
        deferred("a purchase of the channel belongs to one package"),
        "SELECT channel_package_id FROM labels WHERE source = 'tiktok' AND state IN ('sent', 'unknown', 'bought')"
        " AND channel_package_id IS NOT NULL GROUP BY channel_package_id HAVING count(DISTINCT package_id) > 1",
    ),
    Check(
        "one_scan_form_a_label",
        deferred("no label is on two scan forms"),
        "SELECT label_id FROM scan_form_labels JOIN scan_forms USING (form_id) WHERE state <> 'failed'"
        " GROUP BY label_id HAVING count(*) > 1",
    ),
    Check(
        "stock_equals_moves",
        deferred("stock equals the sum of its moves"),
        "WITH sums AS (SELECT sku, warehouse, sum(quantity) AS pieces FROM stock_moves GROUP BY 1, 2)"
        " SELECT s.sku || ' in ' || s.warehouse FROM stock s LEFT JOIN sums USING (sku, warehouse)"
        " WHERE s.on_hand <> coalesce(sums.pieces, 0)",
    ),
    Check(
        "reserved_equals_reservations",
        deferred("reserved equals the reservations held"),
        "WITH held AS (SELECT sku, warehouse, sum(quantity) AS pieces FROM v_reserved_pieces WHERE state = 'held' GROUP BY 1, 2)"
        " SELECT s.sku || ' in ' || s.warehouse FROM stock s LEFT JOIN held USING (sku, warehouse)"
        " WHERE s.reserved <> coalesce(held.pieces, 0) UNION ALL SELECT held.sku || ' in ' || held.warehouse FROM held"
        " WHERE NOT EXISTS (SELECT 1 FROM stock s WHERE s.sku = held.sku AND s.warehouse = held.warehouse)",
    ),
    Check(
        "reserved_equals_moves",
        deferred("reserved equals the sum of what the ledger reserved and released"),
        "WITH sums AS (SELECT sku, warehouse, sum(reserved) AS pieces FROM stock_moves GROUP BY 1, 2)"
        " SELECT s.sku || ' in ' || s.warehouse FROM stock s LEFT JOIN sums USING (sku, warehouse)"
        " WHERE s.reserved <> coalesce(sums.pieces, 0)",
    ),
    Check(
        "shipped_once",
        deferred("a unit leaves the stock once"),
        "SELECT reference FROM stock_moves WHERE reference IN (SELECT unit_id FROM reservations) AND kind IN ('shipped', 'returned')"
        " GROUP BY reference, sku HAVING sum(quantity) < -coalesce((SELECT p.quantity FROM reservation_parts p"
        " WHERE p.unit_id = reference AND p.sku = stock_moves.sku), 1) OR sum(quantity) > 0",
    ),
    Check(
        "reserved_at_most_on_hand",
        deferred("nothing is reserved that is not there"),
        "SELECT sku || ' in ' || warehouse FROM stock WHERE reserved > on_hand",
    ),
    Check(
        "wanted_at_most_available",
        deferred("no listing is told more than can be sold"),
        # A move since makes the number due again; the next reserve-stock works it out.
        "WITH RECURSIVE parts (sku, part, number, depth) AS (SELECT DISTINCT sku, sku, 1, 0 FROM listings UNION ALL"
        " SELECT p.sku, c.component, p.number * c.quantity, p.depth + 1 FROM parts p JOIN sku_components c ON c.sku = p.part"
        " WHERE p.depth < 20)"
        " SELECT p.part FROM listings l JOIN parts p ON p.sku = l.sku"
        " WHERE NOT EXISTS (SELECT 1 FROM sku_components c WHERE c.sku = p.part) GROUP BY p.part"
        " HAVING sum(coalesce(l.wanted_quantity, 0) * p.number) > (SELECT coalesce(sum(v.available_to_sell), 0) FROM v_stock v"
        " WHERE v.sku = p.part) AND NOT EXISTS (SELECT 1 FROM stock_moves m WHERE m.sku = p.part"
        " AND m.at >= (SELECT max(as_of) FROM cursors WHERE resource = 'wanted'))",
    ),
    Check(
        "open_units_have_a_package",
        deferred("every unit that we are to ship is in a package"),
        "SELECT u.unit_id FROM orders o JOIN units u USING (order_id) WHERE o.is_open = 1 AND u.state = 'open'"
        " AND u.package_id IS NULL AND coalesce(o.fulfillment_type, '') IN ('', 'FULFILLMENT_BY_SELLER')"
        " AND coalesce(o.shipping_type, '') <> 'TIKTOK_DIGITAL'",
    ),
    Check(
        "open_orders_have_units",
        deferred("every open order says what to send, or is in quarantine"),
        "SELECT o.order_id FROM orders o WHERE o.is_open = 1 AND o.base_state <> 'unknown' AND NOT EXISTS"
        " (SELECT 1 FROM units u WHERE u.order_id = o.order_id) AND NOT EXISTS"
        " (SELECT 1 FROM quarantine q WHERE q.order_id = o.order_id AND q.resolved_at IS NULL)",
    ),
    Check(
        "packages_know_their_orders",
        deferred("a package names every order that it carries"),
        "SELECT DISTINCT u.package_id FROM units u WHERE u.package_id IS NOT NULL AND NOT EXISTS (SELECT 1"
        " FROM package_orders po WHERE po.package_id = u.package_id AND po.order_id = u.order_id)",
    ),
    Check(
        "reservations_of_ended_units",
        deferred("shipped and cancelled units hold nothing"),
        "SELECT r.unit_id FROM reservations r JOIN units u USING (unit_id) WHERE r.state = 'held'"
        " AND u.state IN ('shipped', 'cancelled')",
    ),
    Check(
        "told_once",
        deferred("a tracking number is told once for each order and package"),
        "SELECT subject FROM outbox WHERE kind IN ('mark_shipped', 'ship_package') AND state = 'done'"
        " GROUP BY subject, package_id HAVING count(*) > 1",
    ),
)


def find_breaches(store: Store, check: Check) -> list[sqlite3.Row]:
    """Return a row for each thing that contradicts `check`; none when it holds."""
    return store.query(check.sql)


def iterate_held_documents(store: Store) -> Iterator[sqlite3.Row]:
    """Yield package and hash of every label whose document must lie in the label store."""
    yield from store.iterate("SELECT package_id, sha256 FROM labels WHERE state = 'bought' AND sha256 IS NOT NULL")


def count_held_documents(store: Store) -> int:
    """Return how many labels have a document."""
    return int(store.scalar("SELECT count(*) FROM labels WHERE state = 'bought' AND sha256 IS NOT NULL"))
