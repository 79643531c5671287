"""The SQL about what packages are made of: fingerprints that decisions and purchases carry and are compared by.

No clock takes part: a time says nothing about which of two things came first once a clock was set back.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from tiktok_erp.model.address import clean, is_readable
from tiktok_erp.model.fingerprint import fingerprint
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store

LIVE = "('intent', 'sent', 'unknown', 'bought')"
_RECIPIENT = ("name", "phone", "street1", "street2", "city", "state", "zip", "country")
_OPTIONS = ("ship_from", "box", "signature", "insurance_minor", "insurance_currency")


def load_fingerprints(store: Store, package_ids: Sequence[str], rules: Rules) -> dict[str, str]:
    """Return what each of these packages is now: orders, recipients, sender, pieces with weight and size, box and options."""
    wanted = json.dumps(list(package_ids))
    pieces: dict[str, list[object]] = defaultdict(list)
    for row in store.query(
        "SELECT u.package_id, u.unit_id, u.sku, u.state, coalesce(k.weight_g, g.weight_g) AS weight_g,"
        " CASE WHEN k.length_mm IS NULL THEN json_array(g.length_mm, g.width_mm, g.height_mm)"
        " ELSE json_array(k.length_mm, k.width_mm, k.height_mm) END AS size"
        " FROM json_each(?) j JOIN packages p ON p.package_id = j.value JOIN units u ON u.package_id = p.package_id"
        " LEFT JOIN skus k ON k.sku = u.sku"
        " LEFT JOIN listings g ON g.channel = p.channel AND g.listing_id = u.channel_sku_id"
        " WHERE u.state <> 'cancelled' ORDER BY u.unit_id",
        (wanted,),
    ):
        pieces[row["package_id"]].append(tuple(row)[1:])
    orders: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in store.query(
        f"SELECT p.package_id, {', '.join('p.' + name for name in _OPTIONS)}, o.order_id, o.address_version,"
        f" o.weight_g AS order_weight_g, {', '.join('r.' + name for name in _RECIPIENT)}"
        " FROM json_each(?) j JOIN packages p ON p.package_id = j.value JOIN package_orders po ON po.package_id = p.package_id"
        " JOIN orders o USING (order_id) LEFT JOIN recipients r USING (order_id) ORDER BY o.order_id",
        (wanted,),
    ):
        orders[row["package_id"]].append(row)
    return {package_id: fingerprint(_facts(rows, pieces[package_id], rules)) for package_id, rows in orders.items()}


def _facts(rows: Sequence[sqlite3.Row], pieces: Sequence[object], rules: Rules) -> Mapping[str, object]:
    first = rows[0]
    sender = rules.senders.get(first["ship_from"]) if first["ship_from"] else rules.shop.ship_from
    box = next((box for box in rules.boxes if box.name == first["box"]), None)
    return {
        "orders": [(row["order_id"], row["address_version"], row["order_weight_g"]) for row in rows],
        "to": [[_part(row[name]) for name in _RECIPIENT] for row in rows],
        "from": asdict(sender) if sender is not None else None,
        "pieces": pieces,
        "box": asdict(box) if box is not None else None,
        "options": [first[name] for name in _OPTIONS],
    }


def _part(text: str | None) -> str | None:
    """A masked part says nothing, and a channel may mask it otherwise in its next answer."""
    return clean(text) if is_readable(text) else None


def purchase_fingerprint(made_for: str, carrier: str | None, service_level: str | None) -> str:
    """Return the fingerprint of one purchase: what the package is, and the choice that was made for it."""
    return fingerprint((made_for, carrier, service_level))


def save_decided_for(store: Store, package_ids: Sequence[str], rules: Rules) -> None:
    """Write what these packages were just decided for. Call inside the transaction that decides, after the decisions."""
    found = load_fingerprints(store, package_ids, rules)
    store.execute_many(
        "UPDATE packages SET decided_for = ? WHERE package_id = ?",
        [(made_for, package_id) for package_id, made_for in found.items()],
    )
    store.execute(
        "UPDATE package_orders SET decided_address_version ="
        " (SELECT o.address_version FROM orders o WHERE o.order_id = package_orders.order_id)"
        " WHERE package_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(found)),),
    )


def find_outdated(store: Store, rules: Rules, package_ids: Sequence[str] | None = None) -> list[str]:
    """Return the packages without a label whose decision was made for something else than they are now.

    Of these package ids, or of all with an open order.
    """
    values: tuple[str, ...] = ()
    if package_ids is None:
        source = "orders o CROSS JOIN package_orders x ON o.is_open = 1 AND x.order_id = o.order_id"
    else:
        source, values = "(SELECT value AS package_id FROM json_each(?)) x", (json.dumps(list(package_ids)),)
    rows = store.query(
        f"SELECT DISTINCT p.package_id, p.decided_for FROM {source} CROSS JOIN packages p ON p.package_id = x.package_id"
        " WHERE p.allocated_at IS NOT NULL AND p.cancelled_at IS NULL AND p.decided_for IS NOT NULL"
        f" AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.package_id = p.package_id AND l.state IN {LIVE} AND l.state <> 'intent')"
        " ORDER BY p.package_id",
        values,
    )
    now = load_fingerprints(store, [row["package_id"] for row in rows], rules)
    return [row["package_id"] for row in rows if now.get(row["package_id"]) != row["decided_for"]]


def save_label_addresses(store: Store, package_id: str) -> None:
    """Write that the label of a package is for the addresses that its orders have now. Call inside a transaction."""
    store.execute(
        "UPDATE package_orders SET label_address_version ="
        " (SELECT o.address_version FROM orders o WHERE o.order_id = package_orders.order_id) WHERE package_id = ?",
        (package_id,),
    )
