"""What is kept back, and what each listing should show: worked out anew whenever stock changes. Reads, plans, writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

from tiktok_erp.model.bundle import Components, pieces_of
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.safety_stock import SalesView, plan_safety_stock
from tiktok_erp.stock.plan import ListingState, PushPlan, plan_push, without_unseen
from tiktok_erp.store.bundles import load_own_bundles
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.live import load_sales_view
from tiktok_erp.store.runs import save_cursor
from tiktok_erp.store.stock import (
    WANTED,
    load_channel_caps,
    load_channels,
    load_listings,
    load_pools,
    load_stock,
    save_safety_stock,
    save_wanted,
)

_PUSHABLE = ("ACTIVATE", "SELLER_DEACTIVATED", "DRAFT", "PENDING", "FAILED", "", None)


def refresh_offers(store: Store, rules: Rules) -> None:
    """Work out anew what is kept back of every counted SKU and what each listing should show. Call inside a transaction."""
    now = utc_now()
    asks_speed = any(rule.is_auto for rule in rules.safety_stock)
    view = load_sales_view(store, rules.live, every=rules.sync.every, now=now, with_sales=asks_speed)
    stock = [(row["sku"], row["warehouse"], int(row["on_hand"]) - int(row["reserved"])) for row in load_stock(store)]
    save_safety_stock(store, plan_safety_stock(rules.safety_stock, stock, view))
    for channel in load_channels(store):
        save_wanted(store, channel, plan_quantities(store, channel, {}, view).wanted)
        save_cursor(store, channel, WANTED, cursor=None, as_of=now)


def plan_quantities(
    store: Store,
    channel: str,
    shown: Mapping[str, tuple[tuple[str, int], ...]],
    view: SalesView,
    unseen: Mapping[str, int] | None = None,
) -> PushPlan:
    """Return what a push to `channel` would change now, by what it shows now. The listings of all channels share the stock.

    `unseen` pieces of a SKU were most likely sold after the last fetch: they are not offered again.
    """
    pools, reserved = load_pools(store)
    pools = without_unseen(pools, unseen or {})
    own = load_own_bundles(store)
    states = []
    for row in load_listings(store):
        if row["status"] not in _PUSHABLE or row["is_channel_bundle"]:
            continue
        sku, listing_id = row["sku"], row["listing_id"]
        is_ours = row["channel"] == channel
        quantities = shown.get(listing_id, ()) if is_ours else ()
        parts = row_parts(sku, own)
        states.append(
            ListingState(
                listing_id=listing_id,
                product_id=row["product_id"] or "",
                sku=sku,
                offers=() if parts else tuple(pools.get(sku, {}).items()),
                reserved=sum(reserved.get(part, 0) for part, number in parts or ((sku, 1),)),
                shown=sum(pieces for name, pieces in quantities) if quantities else row["channel_quantity"],
                warehouses=tuple(json.loads(row["warehouses"])),
                shown_per_warehouse=quantities,
                channel=row["channel"],
                parts=parts,
                is_pushed=is_ours,
                per_minute=_per_minute(view, [part for part, number in parts] or [sku]),
            )
        )
    return plan_push(states, pools=pools, caps=load_channel_caps(store))


def _per_minute(view: SalesView, skus: Sequence[str]) -> Decimal:
    speeds = [speed.per_minute for sku in skus if (speed := view.speed(sku)) is not None]
    return max(speeds, default=Decimal(0))


def row_parts(sku: str, own: Components) -> tuple[tuple[str, int], ...]:
    """Return the pieces of one of the seller's bundles; empty for any other SKU."""
    return tuple(sorted(pieces_of(sku, own).items())) if sku in own else ()
