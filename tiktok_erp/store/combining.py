"""The SQL about orders that leave in one package: which could, and moving them together and apart again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from tiktok_erp.model.moment import to_text
from tiktok_erp.store.database import Store
from tiktok_erp.store.packages import free_package_ids

_COLUMNS = """
SELECT p.package_id, p.allocated_at, p.planned_at, o.order_id, o.channel, o.base_state, o.held_until, o.cancel_requested,
  o.auto_combine_group_id, o.buyer_id, o.shipping_type, o.fulfillment_type, o.delivery_option_id,
  o.channel_warehouse_id, o.currency, o.paid_at, o.placed_at, o.ship_by, po.channel_package_id,
  r.name, r.street1, r.street2, r.city, r.state, r.zip, r.country, r.full_address, r.is_masked,
  EXISTS (SELECT 1 FROM holds h WHERE h.order_id = o.order_id) AS is_held_by_seller,
  EXISTS (SELECT 1 FROM units u WHERE u.order_id = o.order_id AND u.state <> 'cancelled' AND u.package_id IS NOT p.package_id)
    AS is_split,
  EXISTS (SELECT 1 FROM units u JOIN reservations v USING (unit_id) WHERE u.package_id = p.package_id AND v.state = 'short')
    AS is_short,
  EXISTS (SELECT 1 FROM units u WHERE u.order_id = o.order_id AND u.content_type = 'LIVE')
    OR EXISTS (SELECT 1 FROM live_sessions s INDEXED BY live_sessions_by_end
      WHERE s.started_at <= o.placed_at AND coalesce(s.ended_at, '9') >= +o.placed_at) AS is_live
"""
# An intent counts as a label: a run may be about to send it.
_WITHOUT_LABEL = """
  p.cancelled_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.package_id = p.package_id AND l.state IN ('intent', 'sent', 'unknown', 'bought'))
"""


def load_unlabelled_orders(store: Store) -> list[sqlite3.Row]:
    """Return a row for each order that still promises something, with its package, where that has no label yet.

    Orders of the same packages that promise nothing any more come along: they have to leave them.
    """
    rows = store.query(
        _COLUMNS + "FROM orders o INDEXED BY orders_open CROSS JOIN package_orders po ON po.order_id = o.order_id"
        " CROSS JOIN packages p ON p.package_id = po.package_id LEFT JOIN recipients r ON r.order_id = o.order_id"
        f" WHERE o.is_open = 1 AND {_WITHOUT_LABEL} ORDER BY o.order_id"
    )
    package_ids = sorted({row["package_id"] for row in rows})
    return rows + store.query(
        _COLUMNS + "FROM json_each(?) j CROSS JOIN package_orders po ON po.package_id = j.value"
        " CROSS JOIN orders o ON o.order_id = po.order_id CROSS JOIN packages p ON p.package_id = po.package_id"
        f" LEFT JOIN recipients r ON r.order_id = o.order_id WHERE o.is_open = 0 AND {_WITHOUT_LABEL} ORDER BY o.order_id",
        (json.dumps(package_ids),),
    )


def load_shared_unlabelled(store: Store, order_id: str) -> list[str]:
    """Return the packages without a label that this order shares with others."""
    rows = store.query(
        "SELECT p.package_id FROM package_orders po JOIN packages p USING (package_id) WHERE po.order_id = ? AND EXISTS"
        " (SELECT 1 FROM package_orders x WHERE x.package_id = p.package_id AND x.order_id <> po.order_id)"
        f" AND {_WITHOUT_LABEL} ORDER BY p.package_id",
        (order_id,),
    )
    return [row[0] for row in rows]


def move_orders(store: Store, order_ids: Sequence[str], source: str, target: str) -> None:
    """Move whole orders from one package without a label to another. Call inside a transaction."""
    chosen = json.dumps(list(order_ids))
    store.execute(
        "UPDATE package_orders SET package_id = ?1 WHERE package_id = ?2 AND order_id IN (SELECT value FROM json_each(?3))",
        (target, source, chosen),
    )
    store.execute(
        "UPDATE units SET package_id = ?1 WHERE package_id = ?2 AND order_id IN (SELECT value FROM json_each(?3))",
        (target, source, chosen),
    )


def absorb(store: Store, survivor: str, absorbed: str, at: datetime, run_id: int | None) -> None:
    """Put the orders of one package into another; the empty one is cancelled and points to it. Call inside a transaction."""
    now = to_text(at)
    order_ids = [row[0] for row in store.query("SELECT order_id FROM package_orders WHERE package_id = ?", (absorbed,))]
    move_orders(store, order_ids, absorbed, survivor)
    store.execute(
        "UPDATE packages SET cancelled_at = ?, merged_into = ?, allocated_at = NULL, wait_until = NULL WHERE package_id = ?",
        (now, survivor, absorbed),
    )
    store.execute("UPDATE quarantine SET resolved_at = ? WHERE package_id = ? AND resolved_at IS NULL", (now, absorbed))
    _tell(store, order_ids, "combined", survivor, now, run_id)


def separate(store: Store, package_id: str, order_id: str, at: datetime, run_id: int | None) -> str:
    """Give an order of a combined package one of its own and return its id. Call inside a transaction."""
    now = to_text(at)
    own = next(free_package_ids(store))
    store.execute(
        "INSERT INTO packages (package_id, channel, planned_at) SELECT ?, channel, ? FROM packages WHERE package_id = ?",
        (own, now, package_id),
    )
    move_orders(store, [order_id], package_id, own)
    # What is cancelled as a whole leaves nothing to pack.
    store.execute(
        "UPDATE packages SET cancelled_at = ? WHERE package_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM units u WHERE u.package_id = packages.package_id AND u.state <> 'cancelled')",
        (now, own),
    )
    _tell(store, [order_id], "split", own, now, run_id)
    return own


def load_half_short(store: Store) -> list[tuple[str, str]]:
    """Return (package, order) of packages without a label where some units hold stock and others are short.

    Only orders that can go now, that are alone in their package, and whose units the channel knows by name: a part of an
    order is shipped by naming its line items.
    """
    rows = store.query(
        "SELECT p.package_id, min(o.order_id) AS order_id FROM orders o INDEXED BY orders_open"
        " CROSS JOIN package_orders po ON po.order_id = o.order_id"
        " CROSS JOIN packages p ON p.package_id = po.package_id"
        f" WHERE o.is_open = 1 AND o.base_state = 'open' AND NOT o.cancel_requested AND {_WITHOUT_LABEL}"
        " AND NOT EXISTS (SELECT 1 FROM package_orders x WHERE x.package_id = p.package_id AND x.order_id <> o.order_id)"
        " AND NOT EXISTS (SELECT 1 FROM units u WHERE u.package_id = p.package_id AND u.channel_unit_id IS NULL)"
        # A package that the channel has made leaves as a whole.
        " AND po.channel_package_id IS NULL"
        " AND EXISTS (SELECT 1 FROM units u JOIN reservations r USING (unit_id) WHERE u.package_id = p.package_id"
        "   AND u.state = 'open' AND r.state = 'short')"
        " AND EXISTS (SELECT 1 FROM units u LEFT JOIN reservations r USING (unit_id) WHERE u.package_id = p.package_id"
        "   AND u.state = 'open' AND coalesce(r.state, 'held') = 'held')"
        " GROUP BY p.package_id ORDER BY p.package_id"
    )
    return [(row["package_id"], row["order_id"]) for row in rows]


def split_off(store: Store, package_id: str, order_id: str, at: datetime, run_id: int | None) -> str:
    """Put the units of a package that are short into one of their own and return its id. Call inside a transaction."""
    now = to_text(at)
    rest = next(free_package_ids(store))
    store.execute(
        "INSERT INTO packages (package_id, channel, planned_at) SELECT ?, channel, ? FROM packages WHERE package_id = ?",
        (rest, now, package_id),
    )
    store.execute("INSERT INTO package_orders (package_id, order_id) VALUES (?, ?)", (rest, order_id))
    store.execute(
        "UPDATE units SET package_id = ? WHERE package_id = ? AND state = 'open' AND EXISTS"
        " (SELECT 1 FROM reservations r WHERE r.unit_id = units.unit_id AND r.state = 'short')",
        (rest, package_id),
    )
    store.execute("UPDATE packages SET allocated_at = NULL WHERE package_id = ?", (package_id,))
    _tell(store, [order_id], "split", rest, now, run_id)
    return rest


def _tell(store: Store, order_ids: Sequence[str], kind: str, package_id: str, now: str, run_id: int | None) -> None:
    store.execute_many(
        "INSERT INTO order_events (order_id, kind, at, seen_at, detail, run_id) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(order_id, kind, now, now, package_id, run_id) for order_id in order_ids],
    )


def save_wait(store: Store, package_id: str, until: datetime | None) -> None:
    """Write until when a package waits for others. Call inside a transaction."""
    store.execute(
        "UPDATE packages SET wait_until = ? WHERE package_id = ?", (to_text(until) if until else None, package_id)
    )
