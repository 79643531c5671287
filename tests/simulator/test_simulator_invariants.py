"""Whatever happens in whatever order, the shop's books agree with each other."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tiktok_erp.simulator.numbers import usps_number
from tiktok_erp.simulator.wire import order_object

OPEN = ("UNPAID", "AWAITING_SHIPMENT")
AFTER = ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED")


def assert_consistent(wire: Any) -> None:
    shop = wire.simulator.shop
    with shop.lock:
        now = shop.advance()
        held: Counter[tuple[str, str]] = Counter()
        for order in shop.orders.values():
            live = {unit.status for unit in order.live_units}
            if order.status == "CANCELLED":
                assert not live
            elif order.status in ("ON_HOLD", "AWAITING_SHIPMENT"):
                assert live == {"AWAITING_SHIPMENT"}
            elif order.status == "PARTIALLY_SHIPPING":
                assert "AWAITING_SHIPMENT" in live
                assert live & set(AFTER)
            elif order.status in AFTER:
                assert order.status in live
                assert live <= set(AFTER)
            assert not order.cancel_requested or shop.pending_request(order) is not None
            assert order.created_at <= order.updated_at <= now
            for unit in order.units:
                if unit.status in OPEN and not order.is_platform_fulfilled:
                    held[unit.sku.id, order.warehouse_id] += 1
                if unit.is_shipped:
                    assert shop.packages[unit.package_id].shipped_at
            order_object(shop, order, now)
        for sku in shop.catalogue.skus.values():
            for warehouse_id, committed in sku.committed.items():
                assert committed == held[sku.id, warehouse_id], sku.seller_sku
                assert sku.available[warehouse_id] >= 0
        for package in shop.packages.values():
            orders = {shop.unit(unit_id)[0].id for unit_id in package.unit_ids}
            assert orders == set(package.order_ids)


@pytest.mark.parametrize("mode", ["us-local", "packages-first"])
@pytest.mark.parametrize("seed", range(4))
def test_the_books_agree_through_a_random_day(start_shop, mode, seed):
    dice = random.Random(seed)
    hold = dice.choice((0, 600, 3600))
    wire = start_shop(
        orders=120, minutes=dice.choice((0, 30)), seed=seed, mode=mode, hold_seconds=hold, document_seconds=3
    )
    wire.token = wire.simulator.accounts.grant(wire.clock() + 60 * 86400).access_token
    shop = wire.simulator.shop
    for step in range(120):
        wire.clock.advance(dice.choice((0, 0, 5, 60, 600, 7200)))
        order = dice.choice(list(shop.orders.values()))
        what = dice.randrange(6)
        if what == 0 and mode == "us-local":
            wire.buy(order.id)
        elif what == 0 and order.package_ids:
            wire.post(f"/fulfillment/202309/packages/{order.package_ids[0]}/ship")
        elif what == 1:
            wire.mark(order.id, usps_number(step), lines=[dice.choice(order.units).id])
        elif what == 2:
            reason = "seller_cancel_reason_out_of_stock"
            lines = [{"order_line_item_id": dice.choice(order.units).id}]
            body = {"order_id": order.id, "cancel_reason": reason, "order_line_list": dice.choice((lines, []))}
            wire.post("/return_refund/202602/cancellations", body)
        elif what == 3 and shop.cancellations:
            cancel_id = dice.choice(list(shop.cancellations))
            wire.post(f"/return_refund/202309/cancellations/{cancel_id}/{dice.choice(('approve', 'reject'))}")
        elif what == 4:
            with shop.lock:
                shop.buyer_cancels(order, "No longer needed", shop.advance())
        elif what == 5 and mode == "us-local":
            line = {"order_line_id": dice.choice(order.units).id}
            wire.post(
                "/fulfillment/202512/packages", {"ship_type": "2", "order_id": order.id, "order_line_item": [line]}
            )
        if step % 10 == 0:
            assert_consistent(wire)
    for days in (1, 3, 9, 20):
        wire.clock.advance(days * 86400)
        assert_consistent(wire)


@pytest.mark.parametrize("seed", range(3))
def test_a_sync_by_update_time_windows_misses_nothing(start_shop, seed):
    """The client's way of section 4.2: window [cursor - 300, now - 5), ascending, upsert by id."""
    dice = random.Random(seed)
    wire = start_shop(orders=80, minutes=20, seed=seed, hold_seconds=300)
    known: dict[str, dict[str, Any]] = {}
    cursor = 0
    for _step in range(60):
        wire.clock.advance(dice.uniform(1, 90))
        end = int(wire.clock()) - 5
        body = {"update_time_ge": max(1, cursor - 300), "update_time_lt": end}
        query = {"page_size": "10", "sort_field": "update_time", "sort_order": "ASC"}
        for order in wire.walk("/order/202309/orders/search", body, "orders", **query):
            known[order["id"]] = order
        cursor = end
        buyable = [order for order in known.values() if order["status"] == "AWAITING_SHIPMENT"]
        if buyable:
            wire.buy(dice.choice(buyable)["id"])
    wire.clock.advance(10)
    end = int(wire.clock()) - 5
    query = {"page_size": "100", "sort_field": "update_time", "sort_order": "ASC"}
    for order in wire.walk(
        "/order/202309/orders/search", {"update_time_ge": cursor - 300, "update_time_lt": end}, "orders", **query
    ):
        known[order["id"]] = order
    truth = {order["id"]: order["status"] for order in wire.all_orders()}
    assert len(truth) == 80
    assert {order_id: order["status"] for order_id, order in known.items()} == truth
