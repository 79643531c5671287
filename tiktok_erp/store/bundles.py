"""The SQL about bundles: the seller's own mapping, and what the channel says that a unit is made of."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from tiktok_erp.model.moment import to_text
from tiktok_erp.model.order_change import OrderChange
from tiktok_erp.store.database import Store


def load_own_bundles(store: Store) -> dict[str, dict[str, int]]:
    """Return the seller's bundles: SKU -> each component and how many of it."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in store.query("SELECT sku, component, quantity FROM sku_components ORDER BY sku, component"):
        found[row["sku"]][row["component"]] = row["quantity"]
    return dict(found)


def save_own_bundle(store: Store, sku: str, components: Mapping[str, int], at: datetime) -> None:
    """Write what `sku` is made of in place of what was written before; no components: it is no bundle. In a transaction."""
    store.execute("DELETE FROM sku_components WHERE sku = ?", (sku,))
    store.execute_many(
        "INSERT INTO sku_components (sku, component, quantity, mapped_at) VALUES (?, ?, ?, ?)",
        [(sku, component, quantity, to_text(at)) for component, quantity in components.items()],
    )


def save_unit_components(store: Store, changes: Sequence[OrderChange]) -> None:
    """Write what the channel says that the units of `changes` are made of. Call inside a transaction, after the units."""
    rows: dict[tuple[str, str], tuple[str, int]] = {}
    bundles = set()
    for change in changes:
        for unit in change.units:
            for component in unit.facts.components:
                sku = component.seller_sku or component.channel_sku_id or ""
                channel_sku_id, quantity = rows.get((unit.unit_id, sku), (component.channel_sku_id or "", 0))
                rows[unit.unit_id, sku] = (channel_sku_id, quantity + component.quantity)
                bundles.add((change.facts.channel, unit.facts.channel_sku_id))
    if not rows:
        return
    store.execute_many(
        "DELETE FROM unit_components WHERE unit_id = ?", [(unit_id,) for unit_id in {key[0] for key in rows}]
    )
    store.execute_many(
        "INSERT INTO unit_components (unit_id, sku, channel_sku_id, quantity) VALUES (?, ?, ?, ?)",
        [(unit_id, sku, channel_id, quantity) for (unit_id, sku), (channel_id, quantity) in rows.items() if sku],
    )
    store.execute_many(
        "UPDATE listings SET is_channel_bundle = 1 WHERE channel = ? AND listing_id = ? AND is_channel_bundle = 0",
        sorted(bundles),
    )


def load_unit_components(store: Store, unit_ids: Sequence[str] | None = None) -> dict[str, list[tuple[str, int]]]:
    """Return (SKU, number) of what these units are made of by the channel's word; None takes the units of open orders.

    A component that came without a seller SKU has the one of its listing.
    """
    source = (
        "json_each(?) j CROSS JOIN unit_components c ON c.unit_id = j.value JOIN units u USING (unit_id) JOIN orders o USING (order_id)"
        if unit_ids is not None
        else "orders o INDEXED BY orders_open CROSS JOIN units u ON u.order_id = o.order_id"
        " CROSS JOIN unit_components c ON c.unit_id = u.unit_id"
    )
    where = "" if unit_ids is not None else " WHERE o.is_open = 1"
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in store.query(
        "SELECT c.unit_id, coalesce(l.sku, c.sku) AS sku, c.quantity FROM "
        f"{source} LEFT JOIN listings l ON l.channel = o.channel AND l.listing_id = c.channel_sku_id"
        f" AND (c.sku = c.channel_sku_id OR l.is_mapped = 1){where} ORDER BY c.unit_id, c.sku",
        (json.dumps(list(unit_ids)),) if unit_ids is not None else (),
    ):
        found[row["unit_id"]].append((row["sku"], row["quantity"]))
    return dict(found)
