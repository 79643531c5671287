"""The SQL about SKUs, counted stock, reservations and listings."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from tiktok_erp.model.bundle import pieces_of
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.order_state import CHANNEL_FULFILLMENT, DIGITAL
from tiktok_erp.model.safety_stock import SafetyDecision
from tiktok_erp.store.bundles import load_own_bundles, load_unit_components
from tiktok_erp.store.database import Store

DEFAULT_WAREHOUSE = "main"
_OPEN_SKUS = "SELECT u.sku FROM orders o INDEXED BY orders_open CROSS JOIN units u ON u.order_id = o.order_id WHERE o.is_open = 1"
WANTED = "wanted"  # the cursor that says as of when the wanted quantities of a channel are true
_as_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def settle_reservations(store: Store, order_ids: Sequence[str], at: datetime) -> None:
    """Let reservations follow their units: shipped ones take the piece out of stock, cancelled ones give it back.

    A piece that left before anything was reserved for it leaves the stock too, if it left after the count. Call inside the
    transaction that wrote the units.
    """
    now, wanted = to_text(at), json.dumps(list(order_ids))

    def end(unit_state: str, reservation_state: str, *before: str) -> None:
        store.execute(
            "UPDATE reservations SET state = ?, ended_from = state, ended_at = ? WHERE state IN (SELECT value FROM json_each(?))"
            " AND unit_id IN (SELECT u.unit_id FROM json_each(?) j JOIN units u ON u.order_id = j.value WHERE u.state = ?)",
            (reservation_state, now, json.dumps(before), wanted, unit_state),
        )

    end("shipped", "shipped", "held")  # first, or room for the others would be made at their cost
    end("cancelled", "released", "held", "short")
    _take_unreserved_shipments(store, wanted, at)
    end("shipped", "shipped", "held", "short")
    # The channel took the order over, or it is to be shipped once more after all.
    store.execute(
        "UPDATE reservations SET state = 'released', ended_from = state, ended_at = ?1 WHERE state IN ('held', 'short')"
        " AND unit_id IN (SELECT u.unit_id FROM json_each(?2) j JOIN orders o ON o.order_id = j.value JOIN units u USING (order_id)"
        " WHERE o.fulfillment_type IN (SELECT value FROM json_each(?3)))",
        (now, wanted, json.dumps(CHANNEL_FULFILLMENT)),
    )
    store.execute(
        "UPDATE reservations SET state = 'released', ended_from = CASE WHEN ended_from = 'held' THEN 'held' ELSE 'short' END,"
        " ended_at = ?1 WHERE state = 'shipped' AND unit_id IN (SELECT u.unit_id FROM json_each(?2) j"
        " JOIN units u ON u.order_id = j.value LEFT JOIN packages p ON p.package_id = u.package_id"
        " WHERE u.state = 'open' AND p.scanned_at IS NULL)",
        (now, wanted),
    )


def _take_unreserved_shipments(store: Store, order_ids: str, at: datetime) -> None:
    """Take pieces out of stock that left, by the channel's clock, after the count and without a reservation of ours."""
    rows = store.query(
        "SELECT u.unit_id, u.sku, o.channel_warehouse_id, coalesce(o.rts_at, CASE WHEN r.state = 'short' THEN o.updated_at END)"
        " AS left_at FROM json_each(?1) j JOIN orders o ON o.order_id = j.value JOIN units u USING (order_id)"
        " LEFT JOIN reservations r USING (unit_id) WHERE u.state = 'shipped' AND coalesce(r.state, 'short') = 'short'"
        " AND coalesce(o.fulfillment_type, '') NOT IN (SELECT value FROM json_each(?2))"
        f" AND coalesce(o.shipping_type, '') <> '{DIGITAL}' AND EXISTS (SELECT 1 FROM stock)"
        " ORDER BY u.unit_id",
        (order_ids, json.dumps(CHANNEL_FULFILLMENT)),
    )
    if not rows:
        return
    own = load_own_bundles(store)
    told = load_unit_components(store, [row["unit_id"] for row in rows])
    counted = load_counted_skus(store)
    for row in rows:
        pieces = pieces_of(row["sku"], own, told.get(row["unit_id"], ()), counted)
        parts = {sku: quantity for sku, quantity in pieces.items() if sku in counted}
        place = row["left_at"] and _place_of(store, parts, row["channel_warehouse_id"], row["left_at"])
        if not place:
            if row["left_at"] and _was_counted_before(store, parts, row["left_at"]):
                # It was not among the pieces that were counted: those that come later are not it either.
                store.execute(
                    "INSERT INTO reservations (unit_id, sku, warehouse, state, held_at, ended_at) VALUES (?, ?, ?, 'shipped', ?, ?)"
                    " ON CONFLICT (unit_id) DO NOTHING",
                    (row["unit_id"], row["sku"], DEFAULT_WAREHOUSE, to_text(at), to_text(at)),
                )
            continue
        for sku, quantity in parts.items():
            make_room(store, sku, place, quantity, at)
        save_reservations(
            store,
            [(row["unit_id"], row["sku"], place, "held")],
            at,
            parts={row["unit_id"]: [(sku, quantity, sku in counted) for sku, quantity in pieces.items()]}
            if pieces != {row["sku"]: 1}
            else {},
        )


def _place_of(store: Store, parts: Mapping[str, int], preferred: str | None, left_at: str) -> str | None:
    """Return the warehouse that all `parts` were in, counted before `left_at`; the order's own one first."""
    if not parts:
        return None
    rows = store.query(
        "SELECT s.warehouse FROM json_each(?1) j JOIN stock s ON s.sku = j.key WHERE s.on_hand >= j.value"
        " AND coalesce(s.counted_at, '') < ?2 GROUP BY s.warehouse HAVING count(*) = ?3"
        " ORDER BY s.warehouse <> coalesce(?4, ''), min(s.on_hand - s.reserved - j.value) < 0, s.warehouse LIMIT 1",
        (json.dumps(dict(parts)), left_at, len(parts), preferred),
    )
    return str(rows[0][0]) if rows else None


def _was_counted_before(store: Store, parts: Mapping[str, int], left_at: str) -> bool:
    """Tell whether one of `parts` was counted in some warehouse before that time."""
    return bool(
        store.scalar(
            "SELECT EXISTS (SELECT 1 FROM json_each(?) j JOIN stock s ON s.sku = j.key WHERE coalesce(s.counted_at, '') < ?)",
            (json.dumps(dict(parts)), left_at),
        )
    )


def settle_restocking(store: Store, at: datetime) -> int:
    """Follow what the channel says of cancelled pieces; return how many it does not put back on sale that it did before.

    A piece that it keeps off sale is written off; one that never reached the carrier and is on sale again is on hand again.
    What happened before the last count is in the count. Call inside a transaction.
    """
    now = to_text(at)
    told = store.query(
        "SELECT q.unit_id, u.state AS unit_state, u.should_restock, r.state, r.ended_from, r.is_written_off, p.scanned_at"
        " FROM restocking q CROSS JOIN units u ON u.unit_id = q.unit_id LEFT JOIN reservations r ON r.unit_id = u.unit_id"
        " LEFT JOIN packages p ON p.package_id = u.package_id ORDER BY q.unit_id"
    )
    lost, waiting = [], set()
    for row in told:
        unit_id, is_cancelled = row["unit_id"], row["unit_state"] == "cancelled"
        if row["is_written_off"] and (not is_cancelled or row["should_restock"] == 1):
            store.execute("UPDATE reservations SET is_written_off = 0, ended_at = ? WHERE unit_id = ?", (now, unit_id))
        elif is_cancelled and row["state"] in ("held", "short"):
            waiting.add(unit_id)
        elif not is_cancelled or row["ended_from"] != "held" or _was_counted_since(store, unit_id):
            continue
        elif row["should_restock"] == 1 and row["state"] == "shipped" and row["scanned_at"] is None:
            store.execute("UPDATE reservations SET state = 'released', ended_at = ? WHERE unit_id = ?", (now, unit_id))
        elif row["should_restock"] == 0 and row["state"] == "released" and not row["is_written_off"]:
            lost.append(unit_id)
    waiting |= {unit_id for unit_id in lost if not _is_on_hand(store, unit_id)}
    written_off = sum(_write_off(store, unit_id, at) for unit_id in lost if unit_id not in waiting)
    store.execute_many(
        "DELETE FROM restocking WHERE unit_id = ?",
        [(row["unit_id"],) for row in told if row["unit_id"] not in waiting],
    )
    return written_off


def _write_off(store: Store, unit_id: str, at: datetime) -> bool:
    """Take a cancelled unit's pieces out of stock; False when they are gone already, by another way."""
    if not _is_on_hand(store, unit_id):
        store.execute("UPDATE reservations SET ended_from = 'short' WHERE unit_id = ?", (unit_id,))
        return False
    for piece in _pieces_in_stock(store, unit_id):
        make_room(store, piece["sku"], piece["warehouse"], piece["quantity"], at)
    store.execute("UPDATE reservations SET is_written_off = 1 WHERE unit_id = ?", (unit_id,))
    return True


def _was_counted_since(store: Store, unit_id: str) -> bool:
    return any(piece["is_in_the_count"] for piece in _pieces_in_stock(store, unit_id))


def _is_on_hand(store: Store, unit_id: str) -> bool:
    return all(piece["on_hand"] >= piece["quantity"] for piece in _pieces_in_stock(store, unit_id))


def _pieces_in_stock(store: Store, unit_id: str) -> list[sqlite3.Row]:
    """Return the counted pieces of a unit; `is_in_the_count`: they were counted after its reservation had ended."""
    return store.query(
        "WITH pieces AS MATERIALIZED (SELECT * FROM v_reserved_pieces WHERE unit_id = ?1)"
        " SELECT v.sku, v.warehouse, v.quantity, s.on_hand,"
        " s.counted_at > (SELECT ended_at FROM reservations WHERE unit_id = ?1) AS is_in_the_count"
        " FROM pieces v JOIN stock s USING (sku, warehouse)",
        (unit_id,),
    )


def make_room(store: Store, sku: str, warehouse: str, quantity: int, at: datetime) -> list[str]:
    """Let `quantity` pieces be free, if so many are there; return the units that became short, latest deadlines first."""
    free = store.scalar("SELECT on_hand - reserved FROM stock WHERE sku = ? AND warehouse = ?", (sku, warehouse)) or 0
    return release_latest(store, sku, warehouse, quantity - int(free), at) if free < quantity else []


def load_counted_skus(store: Store) -> frozenset[str]:
    """Return every SKU that was counted in some warehouse."""
    return frozenset(row[0] for row in store.query("SELECT DISTINCT sku FROM stock"))


def load_stock(store: Store) -> list[sqlite3.Row]:
    """Return every counted (SKU, warehouse) with its counters."""
    return store.query("SELECT sku, warehouse, on_hand, reserved FROM stock ORDER BY sku, warehouse")


def load_unreserved_units(store: Store, *, only_orders: Sequence[str] | None = None) -> list[sqlite3.Row]:
    """Return units that are promised and hold nothing yet, earliest deadline first, short ones in.

    Deterministic: deadline (unknown last), then when it was paid, then order and position.
    """
    where = ""
    values: tuple[str, ...] = (json.dumps(CHANNEL_FULFILLMENT),)
    if only_orders is not None:
        where = " AND o.order_id IN (SELECT value FROM json_each(?2))"
        values = (*values, json.dumps(list(only_orders)))
    return store.query(
        "SELECT u.unit_id, u.order_id, u.sku, u.package_id, o.ship_by, o.channel_warehouse_id, o.channel_order_id,"
        " o.is_presale, o.channel, r.state AS reservation FROM orders o INDEXED BY orders_open"
        " CROSS JOIN units u ON u.order_id = o.order_id LEFT JOIN reservations r ON r.unit_id = u.unit_id"
        " WHERE o.is_open = 1 AND u.state IN ('open', 'unknown') AND coalesce(r.state, 'short') IN ('short', 'released')"
        f" AND coalesce(o.fulfillment_type, '') NOT IN (SELECT value FROM json_each(?1))"
        f" AND coalesce(o.shipping_type, '') <> '{DIGITAL}'{where}"
        " ORDER BY o.ship_by IS NULL, o.ship_by, o.paid_at IS NULL, o.paid_at, u.order_id, u.position",
        values,
    )


def load_back_order_skus(store: Store) -> frozenset[str]:
    """Return the SKUs that are tagged `back_order`: sold before there is stock."""
    return frozenset(
        row[0]
        for row in store.query(
            "SELECT sku FROM skus WHERE tags <> '[]' AND EXISTS (SELECT 1 FROM json_each(tags) t WHERE t.value = 'back_order')"
        )
    )


def save_reservations(
    store: Store,
    rows: Sequence[tuple[str, str, str, str]],
    at: datetime,
    *,
    parts: Mapping[str, Sequence[tuple[str, int, bool]]] | None = None,
) -> None:
    """Write (unit id, SKU, warehouse, `held` or `short`). Call inside the transaction that read the stock.

    `parts` names, for the units that are bundles, each component, its number and whether it is counted.
    """
    now = to_text(at)
    if parts or store.scalar("SELECT EXISTS (SELECT 1 FROM reservation_parts)"):
        ids = json.dumps([row[0] for row in rows])
        ended = "(SELECT state FROM reservations r WHERE r.unit_id = reservation_parts.unit_id) IN ('held', 'shipped')"
        store.execute(
            f"DELETE FROM reservation_parts WHERE unit_id IN (SELECT value FROM json_each(?)) AND coalesce({ended}, 0) = 0",
            (ids,),
        )
        store.execute_many(
            "INSERT INTO reservation_parts (unit_id, sku, quantity, is_counted) VALUES (?, ?, ?, ?)",
            [
                (unit_id, sku, quantity, int(is_counted))
                for unit_id, pieces in (parts or {}).items()
                for sku, quantity, is_counted in pieces
            ],
        )
    store.execute_many(
        "INSERT INTO reservations (unit_id, sku, warehouse, state, held_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (unit_id)"
        " DO UPDATE SET sku = excluded.sku, warehouse = excluded.warehouse, state = excluded.state,"
        " held_at = excluded.held_at, ended_at = NULL, ended_from = NULL WHERE reservations.state IN ('short', 'released')",
        [(*row, now) for row in rows],
    )


def let_go_incomplete(store: Store, at: datetime) -> int:
    """Make short what holds a bundle of which a component was counted only since; return how many. Inside a transaction.

    The pieces are free for the plan that follows in the same transaction.
    """
    return store.execute(
        "UPDATE reservations SET state = 'short', held_at = ? WHERE state = 'held' AND unit_id IN (SELECT p.unit_id"
        " FROM (SELECT DISTINCT sku FROM stock) s CROSS JOIN reservation_parts p INDEXED BY reservation_parts_uncounted"
        " ON p.sku = s.sku WHERE p.is_counted = 0)",
        (to_text(at),),
    )


def release_latest(store: Store, sku: str, warehouse: str, count: int, at: datetime) -> list[str]:
    """Turn held reservations of at least `count` pieces, those with the latest deadlines, into short ones; return their unit ids."""
    rows = store.query(
        "WITH holding AS (SELECT r.unit_id, 1 AS quantity FROM reservations r WHERE r.sku = ?1 AND r.warehouse = ?2"
        " AND r.state = 'held' AND NOT EXISTS (SELECT 1 FROM reservation_parts p WHERE p.unit_id = r.unit_id)"
        " UNION ALL SELECT p.unit_id, p.quantity FROM reservations r INDEXED BY reservations_open"
        " CROSS JOIN reservation_parts p ON p.unit_id = r.unit_id WHERE r.state IN ('held', 'short') AND r.state = 'held'"
        " AND r.warehouse = ?2 AND p.sku = ?1 AND p.is_counted = 1)"
        " SELECT h.unit_id, h.quantity FROM holding h CROSS JOIN units u ON u.unit_id = h.unit_id JOIN orders o USING (order_id)"
        " ORDER BY o.ship_by IS NULL DESC, o.ship_by DESC, o.paid_at DESC, u.order_id DESC, u.position DESC LIMIT ?3",
        (sku, warehouse, max(0, count)),
    )
    ids = []
    for row in rows:
        if count <= 0:
            break
        ids.append(str(row["unit_id"]))
        count -= row["quantity"]
    store.execute_many(
        "UPDATE reservations SET state = 'short', held_at = ? WHERE unit_id = ?",
        [(to_text(at), unit_id) for unit_id in ids],
    )
    return ids


def move_stock(
    store: Store,
    *,
    sku: str,
    warehouse: str,
    kind: str,
    quantity: int,
    because: str,
    reference: str | None,
    at: datetime,
) -> None:
    """Add one line to the ledger; the counters follow by trigger. Call inside a transaction."""
    store.execute(
        "INSERT INTO stock_moves (sku, warehouse, kind, quantity, because, reference, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (sku, warehouse, kind, quantity, because, reference, to_text(at)),
    )


def save_skus(store: Store, rows: Sequence[dict[str, object]]) -> None:
    """Write what is known of SKUs; a field that is None leaves what was known before. Call inside a transaction."""
    columns = ("name", "weight_g", "length_mm", "width_mm", "height_mm", "cost_minor", "cost_currency", "shelf")
    store.execute_many(
        f"INSERT INTO skus (sku, {', '.join(columns)}, tags) VALUES (?{', ?' * len(columns)}, coalesce(?, '[]'))"
        f" ON CONFLICT (sku) DO UPDATE SET {', '.join(f'{name} = coalesce(excluded.{name}, {name})' for name in columns)},"
        " tags = CASE WHEN excluded.tags = '[]' THEN tags ELSE excluded.tags END",
        [(row["sku"], *(row.get(name) for name in columns), row.get("tags")) for row in rows],
    )


def save_safety_stock(store: Store, decisions: Iterable[SafetyDecision]) -> None:
    """Write how much of each (SKU, warehouse) is kept back, and where a channel keeps more. Call inside a transaction."""
    common: list[tuple[object, ...]] = []
    special: list[tuple[object, ...]] = []
    for decision in decisions:
        row = (decision.sku, decision.warehouse, decision.kept.quantity, _as_json(decision.kept.basis()))
        if decision.channel is None:
            common.append(row)
        else:
            special.append((decision.channel, *row))
    changed = "quantity = excluded.quantity, basis = excluded.basis WHERE quantity <> excluded.quantity OR basis IS NOT excluded.basis"
    store.execute_many(
        f"INSERT INTO safety_stock VALUES (?, ?, ?, ?) ON CONFLICT (sku, warehouse) DO UPDATE SET {changed}", common
    )
    store.execute("DELETE FROM channel_safety_stock")
    store.execute_many("INSERT INTO channel_safety_stock VALUES (?, ?, ?, ?, ?)", special)


def save_listings(store: Store, channel: str, rows: Iterable[tuple[str | int | None, ...]], at: datetime) -> None:
    """Write (listing id, product id, seller SKU, SKU, title, status, warehouses as JSON, quantity shown, price, currency,
    time of the product's last change).

    The SKU follows the channel's seller SKU unless it was mapped by hand; a text that was taken away says nothing new.
    Call inside a transaction.
    """
    now = to_text(at)
    store.execute_many(
        "INSERT INTO listings (channel, listing_id, product_id, seller_sku, sku, title, status, warehouses,"
        " channel_quantity, price_minor, currency, changed_at, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (channel, listing_id) DO UPDATE SET"
        " product_id = excluded.product_id, seller_sku = excluded.seller_sku, title = excluded.title,"
        " sku = CASE WHEN is_mapped = 1 OR coalesce(excluded.seller_sku, '') = '' THEN sku ELSE excluded.sku END,"
        " status = excluded.status, warehouses = excluded.warehouses, channel_quantity = excluded.channel_quantity,"
        " price_minor = coalesce(excluded.price_minor, price_minor), currency = coalesce(excluded.currency, currency),"
        " changed_at = coalesce(excluded.changed_at, changed_at), seen_at = excluded.seen_at",
        [(channel, *row, now) for row in rows],
    )


def load_measured_products(store: Store, channel: str) -> dict[str, str]:
    """Return for each product whose weight and size were read the change that they were read after ("": not told)."""
    rows = store.query(
        "SELECT product_id, min(measured_at) FROM listings WHERE channel = ? AND product_id IS NOT NULL"
        " GROUP BY product_id HAVING count(*) = count(measured_at)",
        (channel,),
    )
    return {row[0]: row[1] for row in rows}


def save_measures(
    store: Store,
    channel: str,
    product_id: str,
    *,
    weight_g: int | None,
    sku_weights_g: Mapping[str, int],
    sides_mm: tuple[int | None, int | None, int | None],
    measured_at: datetime,
) -> None:
    """Write what the channel says of a product's parcel to all its listings. Call inside a transaction.

    A SKU's own weight goes before the product's. What the channel stops telling is no longer known.
    """
    store.execute(
        "UPDATE listings SET weight_g = coalesce((SELECT j.value FROM json_each(?) j WHERE j.key = listing_id), ?),"
        " length_mm = ?, width_mm = ?, height_mm = ?, measured_at = ? WHERE channel = ? AND product_id = ?",
        (json.dumps(dict(sku_weights_g)), weight_g, *sides_mm, to_text(measured_at), channel, product_id),
    )


def save_unmeasured(store: Store, channel: str, product_id: str, *, measured_at: datetime) -> None:
    """Write that the channel does not tell the sizes of a product; what was known stays. Call inside a transaction."""
    store.execute(
        "UPDATE listings SET measured_at = ? WHERE channel = ? AND product_id = ?",
        (to_text(measured_at), channel, product_id),
    )


def load_sku_names(store: Store, channel: str, *, mapped_only: bool = False) -> dict[str, str]:
    """Return our SKU for each of the channel's SKU ids that a listing explains, or only for those mapped by hand."""
    return {
        row[0]: row[1]
        for row in store.query(
            "SELECT listing_id, sku FROM listings WHERE channel = ? AND is_mapped >= ?", (channel, int(mapped_only))
        )
    }


def adopt_listing_skus(store: Store) -> int:
    """Give open units that carry only the channel's SKU id the SKU that a listing has for it; return how many.

    An order line may lack its seller SKU; its piece is still one of the counted ones. Call inside a transaction.
    """
    return store.execute(
        "UPDATE units SET sku = (SELECT l.sku FROM listings l WHERE l.listing_id = units.channel_sku_id AND l.sku <> l.listing_id)"
        " WHERE unit_id IN (SELECT u.unit_id FROM orders o INDEXED BY orders_open"
        " CROSS JOIN units u ON u.order_id = o.order_id JOIN listings l ON l.channel = o.channel"
        " AND l.listing_id = u.channel_sku_id AND l.sku <> l.listing_id"
        " LEFT JOIN reservations r ON r.unit_id = u.unit_id WHERE o.is_open = 1 AND u.state IN ('open', 'unknown')"
        " AND u.sku = u.channel_sku_id AND coalesce(r.state, '') <> 'held')"
    )


def load_named_skus(store: Store) -> frozenset[str]:
    """Return the SKUs that orders, listings and bundles name: those that somebody sells, and those counted."""
    rows = store.query(
        f"{_OPEN_SKUS} UNION SELECT sku FROM listings UNION SELECT component FROM sku_components UNION SELECT sku FROM stock"
    )
    return frozenset(row[0] for row in rows if row[0])


def is_sku_kept(store: Store, sku: str) -> bool:
    """Tell whether something was ever set of a SKU: a count, a weight."""
    return bool(store.scalar("SELECT EXISTS (SELECT 1 FROM skus WHERE sku = ?)", (sku,)))


def load_listing_skus(store: Store, channel: str, listing_id: str) -> str | None:
    """Return the SKU of one listing, None when there is no such listing."""
    value = store.scalar("SELECT sku FROM listings WHERE channel = ? AND listing_id = ?", (channel, listing_id))
    return None if value is None else str(value)


def map_listing(store: Store, channel: str, listing_id: str, sku: str | None, at: datetime) -> int:
    """Give a listing and its open units the SKU that a person says, or the channel's again; return the units that let go.

    Call inside a transaction.
    """
    store.execute(
        "UPDATE listings SET is_mapped = ?1, sku = coalesce(?2, nullif(seller_sku, ''), listing_id)"
        " WHERE channel = ?3 AND listing_id = ?4",
        (int(sku is not None), sku, channel, listing_id),
    )
    wrong = (
        "SELECT u.unit_id FROM orders o INDEXED BY orders_open CROSS JOIN units u ON u.order_id = o.order_id"
        " JOIN listings l ON l.channel = o.channel"
        " AND l.listing_id = u.channel_sku_id WHERE o.is_open = 1 AND o.channel = ? AND u.channel_sku_id = ?"
        " AND u.state IN ('open', 'unknown') AND u.sku <> l.sku"
    )
    released = store.execute(
        "UPDATE reservations SET state = 'released', ended_from = state, ended_at = ? WHERE state IN ('held', 'short')"
        f" AND unit_id IN ({wrong})",
        (to_text(at), channel, listing_id),
    )
    store.execute(
        "UPDATE units SET sku = (SELECT l.sku FROM listings l WHERE l.channel = ? AND l.listing_id = units.channel_sku_id)"
        f" WHERE unit_id IN ({wrong})",
        (channel, channel, listing_id),
    )
    return released


def load_returnable(store: Store, sku: str, order: str) -> tuple[str | None, int, int]:
    """Return (our order id or None, pieces of `sku` that were shipped with it, pieces that came back)."""
    order_id = store.scalar("SELECT order_id FROM orders WHERE order_id = ?1 OR channel_order_id = ?1", (order,))
    if order_id is None:
        return None, 0, 0
    # Unit by unit: together SQLite would look through all that this SKU was ever promised for.
    units = store.query("SELECT unit_id FROM units WHERE order_id = ?", (order_id,))
    shipped = sum(
        store.scalar(
            "SELECT coalesce(sum(quantity), 0) FROM v_reserved_pieces WHERE unit_id = ? AND +sku = ? AND state = 'shipped'",
            (row["unit_id"], sku),
        )
        for row in units
    )
    back = store.scalar(
        "SELECT coalesce(sum(quantity), 0) FROM stock_moves WHERE sku = ? AND kind = 'returned' AND reference = ?",
        (sku, order_id),
    )
    return str(order_id), shipped, int(back)


def find_known_skus(store: Store, skus: Sequence[str]) -> set[str]:
    """Return those of `skus` that a listing, a bundle, a unit that held or lacked stock, or one of an open order names."""
    rows = store.query(
        "SELECT j.value FROM json_each(?) j WHERE EXISTS (SELECT 1 FROM listings l WHERE l.sku = j.value)"
        " OR EXISTS (SELECT 1 FROM sku_components c WHERE c.component = j.value)"
        " OR EXISTS (SELECT 1 FROM reservations r WHERE r.sku = j.value)"
        f" OR j.value IN ({_OPEN_SKUS})",
        (json.dumps(list(skus)),),
    )
    return {row[0] for row in rows}


def knows_skus(store: Store) -> bool:
    """Tell whether anything at all names a SKU."""
    return bool(store.scalar("SELECT EXISTS (SELECT 1 FROM listings) OR EXISTS (SELECT 1 FROM units)"))


def load_listings(store: Store, channel: str | None = None) -> list[sqlite3.Row]:
    """Return the listings of a channel, or of all."""
    return store.query(
        "SELECT * FROM listings WHERE channel = coalesce(?, channel) ORDER BY channel, listing_id", (channel,)
    )


def load_channels(store: Store) -> list[str]:
    """Return the channels that have listings."""
    return [row[0] for row in store.query("SELECT DISTINCT channel FROM listings ORDER BY 1")]


def load_pools(store: Store) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Return (what can be sold per SKU and warehouse, what is reserved per SKU)."""
    pools: dict[str, dict[str, int]] = {}
    reserved: dict[str, int] = {}
    for row in store.query("SELECT sku, warehouse, available_to_sell, reserved FROM v_stock ORDER BY sku, warehouse"):
        pools.setdefault(row["sku"], {})[row["warehouse"]] = row["available_to_sell"]
        reserved[row["sku"]] = reserved.get(row["sku"], 0) + row["reserved"]
    return pools, reserved


def load_channel_caps(store: Store) -> dict[tuple[str, str], dict[str, int]]:
    """Return the most that a channel may offer of a SKU in a warehouse, where a rule keeps more back from it."""
    caps: dict[tuple[str, str], dict[str, int]] = {}
    for row in store.query(
        "SELECT k.channel, k.sku, k.warehouse, max(0, s.on_hand - s.reserved - k.quantity) AS most"
        " FROM channel_safety_stock k JOIN stock s USING (sku, warehouse) ORDER BY 1, 2, 3"
    ):
        caps.setdefault((row["channel"], row["sku"]), {})[row["warehouse"]] = row["most"]
    return caps


def save_wanted(store: Store, channel: str, wanted: Sequence[tuple[str, int]]) -> None:
    """Write what each listing should show; the others of the channel are wanted at no number. Call inside a transaction."""
    store.execute_many(
        "UPDATE listings SET wanted_quantity = ? WHERE channel = ? AND listing_id = ? AND wanted_quantity IS NOT ?",
        [(quantity, channel, listing_id, quantity) for listing_id, quantity in wanted],
    )
    store.execute(
        "UPDATE listings SET wanted_quantity = NULL WHERE channel = ? AND wanted_quantity IS NOT NULL"
        " AND listing_id NOT IN (SELECT value FROM json_each(?))",
        (channel, json.dumps([listing_id for listing_id, quantity in wanted])),
    )


def save_pushed(store: Store, channel: str, listing_id: str, quantity: int, at: datetime) -> None:
    """Write that the channel took a quantity. Call inside a transaction."""
    store.execute(
        "UPDATE listings SET pushed_quantity = ?1, pushed_at = ?2, channel_quantity = ?1, base_quantity = ?1, base_at = ?2,"
        " foreign_quantity = NULL"
        " WHERE channel = ?3 AND listing_id = ?4",
        (quantity, to_text(at), channel, listing_id),
    )


def mark_channel_bundle(store: Store, channel: str, listing_id: str) -> None:
    """Write that the channel itself works out the quantity of a listing. Call inside a transaction."""
    store.execute(
        "UPDATE listings SET is_channel_bundle = 1, wanted_quantity = NULL WHERE channel = ? AND listing_id = ?",
        (channel, listing_id),
    )


_CLOCKS_DIFFER = "60 seconds"  # between the channel's clock, which dates orders, and ours, which dates pushes


def load_sold_since_base(store: Store, channel: str) -> dict[str, tuple[int, int, int, int]]:
    """Return per listing what happened since its base: units (sold and standing, sold and cancelled, older ones cancelled,
    sold so near to the base that they may be in it or not)."""
    early = f"strftime('%Y-%m-%dT%H:%M:%SZ', l.base_at, '-{_CLOCKS_DIFFER}')"
    late = f"strftime('%Y-%m-%dT%H:%M:%SZ', l.base_at, '+{_CLOCKS_DIFFER}')"
    first = (
        f"(SELECT strftime('%Y-%m-%dT%H:%M:%SZ', min(base_at), '-{_CLOCKS_DIFFER}') FROM listings WHERE channel = ?1)"
    )
    rows = store.query(
        f"SELECT l.listing_id, sum(u.state <> 'cancelled' AND o.placed_at >= {late}) AS sold,"
        f" sum(u.state = 'cancelled' AND o.placed_at >= {late}) AS cancelled, sum(o.placed_at < {late}) AS near"
        " FROM orders o INDEXED BY orders_by_placing CROSS JOIN units u ON u.order_id = o.order_id"
        " JOIN listings l ON l.channel = o.channel AND l.listing_id = u.channel_sku_id"
        f" WHERE o.channel = ?1 AND o.placed_at >= {first} AND o.placed_at >= {early} GROUP BY 1",
        (channel,),
    )
    found = {row["listing_id"]: (row["sold"], row["cancelled"], 0, row["near"]) for row in rows}
    for row in store.query(
        "SELECT l.listing_id, count(*) AS units FROM orders o INDEXED BY orders_by_cancelling"
        " CROSS JOIN units u ON u.order_id = o.order_id JOIN listings l ON l.channel = o.channel"
        " AND l.listing_id = u.channel_sku_id WHERE o.channel = ?1"
        f" AND o.cancelled_at >= {first} AND o.cancelled_at >= {early} AND u.state = 'cancelled' GROUP BY 1",
        (channel,),
    ):
        sold, cancelled, _none, near = found.get(row["listing_id"], (0, 0, 0, 0))
        found[row["listing_id"]] = (sold, cancelled, row["units"], near)
    return found


def rebase_listings(
    store: Store,
    channel: str,
    *,
    drifted: Sequence[str],
    unseen: Mapping[str, int],
    settled: Sequence[str],
    at: datetime,
) -> None:
    """Take what listings show now as what is to be expected from here on. Call inside a transaction, after looking for drift.

    `unseen` are the further pieces of each listing that were most likely sold and whose orders are on their way; for the
    listings in `settled` none are any more.
    """
    now = to_text(at)
    store.execute_many(
        "UPDATE listings SET unseen_quantity = 0, unseen_since = NULL, unseen_until = NULL WHERE channel = ? AND listing_id = ?",
        [(channel, listing_id) for listing_id in settled],
    )
    store.execute_many(
        "UPDATE listings SET unseen_quantity = unseen_quantity + ?, unseen_since = coalesce(unseen_since, ?), unseen_until = ?"
        " WHERE channel = ? AND listing_id = ?",
        [(pieces, now, now, channel, listing_id) for listing_id, pieces in unseen.items()],
    )
    store.execute(
        "UPDATE listings SET base_quantity = channel_quantity, base_at = ?1 WHERE channel = ?2 AND pushed_quantity IS NOT NULL"
        " AND (base_quantity IS NOT channel_quantity OR listing_id IN (SELECT value FROM json_each(?3)))",
        (now, channel, json.dumps([*drifted, *unseen])),
    )


def save_foreign(store: Store, channel: str, listing_ids: Sequence[str]) -> None:
    """Write that somebody else set what these listings show. Call inside a transaction; the next push of ours ends it."""
    store.execute_many(
        "UPDATE listings SET foreign_quantity = channel_quantity WHERE channel = ? AND listing_id = ?",
        [(channel, listing_id) for listing_id in listing_ids],
    )


def load_foreign(store: Store, channel: str) -> set[str]:
    """Return the listings that show what somebody else set, as far as it was not sold since."""
    rows = store.query("SELECT listing_id FROM listings WHERE channel = ? AND foreign_quantity IS NOT NULL", (channel,))
    return {row[0] for row in rows}


# How a count begins that was taken over from a channel: what it showed then is known.
COUNTED_BY_CHANNEL = "{channel}: available + committed"


def load_never_pushed(store: Store, channel: str, listing_ids: Sequence[str]) -> set[str]:
    """Return those of these listings that were never pushed and whose SKU was not counted by what the channel showed."""
    rows = store.query(
        "SELECT l.listing_id FROM json_each(?1) j JOIN listings l ON l.channel = ?2 AND l.listing_id = j.value"
        " WHERE l.pushed_quantity IS NULL AND NOT EXISTS (SELECT 1 FROM stock_moves m WHERE m.sku = l.sku AND m.because = ?3)",
        (json.dumps(list(listing_ids)), channel, COUNTED_BY_CHANNEL.format(channel=channel)),
    )
    return {row[0] for row in rows}


def forget_base(store: Store, channel: str, listing_id: str) -> None:
    """Write that nobody knows what a listing should show: a push without an answer may have set it. In a transaction."""
    store.execute(
        "UPDATE listings SET base_quantity = NULL WHERE channel = ? AND listing_id = ?", (channel, listing_id)
    )


def load_arrived(store: Store, channel: str) -> dict[str, int]:
    """Return per listing the units that were missing when we looked and whose orders have come since."""
    until = f"strftime('%Y-%m-%dT%H:%M:%SZ', l.unseen_until, '+{_CLOCKS_DIFFER}')"
    rows = store.query(
        "SELECT l.listing_id, count(*) AS units FROM listings l CROSS JOIN orders o INDEXED BY orders_by_placing"
        " CROSS JOIN units u ON u.order_id = o.order_id"
        " WHERE l.channel = ?1 AND l.unseen_quantity > 0 AND o.channel = ?1 AND u.channel_sku_id = l.listing_id"
        " AND o.placed_at >= strftime('%Y-%m-%dT%H:%M:%SZ', l.unseen_since, '-1 day')"
        f" AND o.placed_at <= {until} AND o.first_seen_at >= l.unseen_since GROUP BY 1",
        (channel,),
    )
    return {row["listing_id"]: row["units"] for row in rows}
