"""The SQL behind `stock why`: everything about one SKU."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from tiktok_erp.store.database import Store
from tiktok_erp.store.stock import find_known_skus


@dataclass(frozen=True, slots=True)
class Story:
    """One SKU: its counters, what is kept back and why, where it is offered, who holds it, its last moves (oldest first)."""

    stock: list[sqlite3.Row]
    safety: list[sqlite3.Row]
    bundles: list[sqlite3.Row]  # that it is a component of
    listings: list[sqlite3.Row]
    reservations: list[sqlite3.Row]
    moves: list[sqlite3.Row]
    has_older_moves: bool
    is_known: bool


def load_story(store: Store, sku: str, moves: int) -> Story:
    """Return everything about one SKU."""
    stock = store.query("SELECT * FROM v_stock WHERE sku = ? ORDER BY warehouse", (sku,))
    newest = store.query("SELECT * FROM v_stock_moves WHERE sku = ? ORDER BY move_id DESC LIMIT ?", (sku, moves + 1))
    listings = store.query("SELECT * FROM v_listings WHERE sku = ? ORDER BY channel, listing_id", (sku,))
    return Story(
        stock=stock,
        safety=store.query(
            "SELECT NULL AS channel, warehouse, quantity, basis FROM safety_stock WHERE sku = ?1 UNION ALL"
            " SELECT channel, warehouse, quantity, basis FROM channel_safety_stock WHERE sku = ?1 ORDER BY 2, 1",
            (sku,),
        ),
        bundles=store.query("SELECT sku, quantity FROM sku_components WHERE component = ? ORDER BY sku", (sku,)),
        listings=listings,
        reservations=store.query(
            "WITH held AS (SELECT unit_id, state, 1 AS quantity FROM reservations WHERE sku = ?1 AND state IN ('held', 'short')"
            " AND NOT EXISTS (SELECT 1 FROM reservation_parts p WHERE p.unit_id = reservations.unit_id)"
            " UNION ALL SELECT r.unit_id, r.state, p.quantity FROM reservations r INDEXED BY reservations_open"
            " CROSS JOIN reservation_parts p ON p.unit_id = r.unit_id WHERE r.state IN ('held', 'short') AND p.sku = ?1)"
            " SELECT h.state, u.order_id, o.ship_by, sum(h.quantity) AS pieces FROM held h CROSS JOIN units u ON u.unit_id = h.unit_id"
            " JOIN orders o USING (order_id) GROUP BY 1, 2 ORDER BY o.ship_by IS NULL, o.ship_by, u.order_id, h.state",
            (sku,),
        ),
        moves=newest[moves - 1 :: -1] if moves else [],
        has_older_moves=len(newest) > moves,
        is_known=bool(stock or listings)
        or bool(find_known_skus(store, [sku]))
        or store.scalar("SELECT 1 FROM skus WHERE sku = ?", (sku,)) is not None,
    )
