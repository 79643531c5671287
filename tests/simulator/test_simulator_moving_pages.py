"""Order searches whose ground moves between two pages: offset tokens, arrivals, pages that change places."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

SEARCH = "/order/202309/orders/search"
RISING = {"sort_field": "update_time", "sort_order": "ASC"}


def closed_window(wire) -> dict[str, int]:
    """Return the client's window of section 4.2: up to five seconds ago."""
    return {"update_time_ge": 1, "update_time_lt": int(wire.clock()) - 5}


def truth(wire) -> dict[str, Any]:
    """Return the ledger's orders."""
    return wire.ledger["orders"]


def counted(orders: list[dict[str, Any]]) -> Counter[str]:
    return Counter(order["id"] for order in orders)


def pages_of(wire, body, **query) -> list[dict[str, Any]]:
    """Follow page tokens to the end; return the data of every page."""
    found = [wire.search(body, **query).data]
    while found[-1]["next_page_token"]:
        found.append(wire.search(body, **query, page_token=found[-1]["next_page_token"]).data)
    return found


def test_a_page_shift_makes_a_follower_of_tokens_miss_the_row_at_each_boundary(start_shop):
    wire = start_shop(orders=60, faults="page_shift:1")
    window = closed_window(wire)
    before = [order.id for order in sorted(wire.simulator.shop.orders.values(), key=lambda o: (o.updated_at, o.id))]
    pages = pages_of(wire, window, page_size="20", **RISING)
    seen = [order["id"] for page in pages for order in page["orders"]]
    # One row of each page left the window, so the row after it slid over the boundary.
    assert [page["total_count"] for page in pages] == [60, 59, 58]
    assert set(before) - set(seen) == {before[20], before[41]}
    assert len(seen) == len(set(seen))
    assert wire.ledger["faults"]["page_shift"] == 2


def test_the_order_that_moved_was_shown_before_and_is_found_in_the_next_window(start_shop):
    wire = start_shop(orders=60, faults="page_shift:1")
    first = wire.search(closed_window(wire), page_size="20", **RISING).data["orders"]
    now = int(wire.clock())
    assert all(order["update_time"] < now - 5 for order in first)
    moved = wire.all_orders({"update_time_ge": now, "update_time_lt": now + 1})
    assert len(moved) == 1
    assert moved[0]["id"] in {order["id"] for order in first}


def test_a_second_walk_over_the_window_and_the_next_one_finds_what_the_shift_hid(start_shop):
    wire = start_shop(orders=60, faults="page_shift:0.4", seed=5)
    window = closed_window(wire)
    once = {order["id"] for order in wire.walk(SEARCH, window, "orders", page_size="20", **RISING)}
    assert once < set(truth(wire))
    # A page that holds all that is left has no boundary.
    rest = {"update_time_ge": 1, "update_time_lt": int(wire.clock()) + 1}
    assert {order["id"] for order in wire.search(rest, **RISING).data["orders"]} == set(truth(wire))


def test_without_the_fault_a_row_that_leaves_hides_no_other(start_shop):
    wire = start_shop(orders=60)
    window = closed_window(wire)
    first = wire.search(window, page_size="20", **RISING).data
    shop = wire.simulator.shop
    with shop.lock:
        shop.touch(shop.orders[first["orders"][3]["id"]], int(wire.clock()))
    walked = wire.search(window, page_size="20", page_token=first["next_page_token"], **RISING).data
    third = wire.search(window, page_size="20", page_token=walked["next_page_token"], **RISING).data
    assert set(counted(first["orders"] + walked["orders"] + third["orders"])) == set(truth(wire))


def test_an_arrival_repeats_a_row_in_a_newest_first_walk_by_offset(start_shop):
    wire = start_shop(orders=40, faults="page_shift:1,arrivals_between_pages:1")
    first = wire.search({}, page_size="15").data
    shop = wire.simulator.shop
    with shop.lock:
        shop.newcomer(int(wire.clock()))
        entered = sum(order.created_at == int(wire.clock()) for order in shop.orders.values())
    second = wire.search({}, page_size="15", page_token=first["next_page_token"]).data
    repeated = [order["id"] for order in second["orders"][:entered]]
    assert repeated == [order["id"] for order in first["orders"][-entered:]]


def test_a_walk_by_offset_stays_one_after_the_fault_is_over(start_shop):
    wire = start_shop(orders=60, faults="page_shift:1")
    window = closed_window(wire)
    first = wire.search(window, page_size="20", **RISING).data
    wire.simulator.dice.probabilities["page_shift"] = 0.0
    second = wire.search(window, page_size="20", page_token=first["next_page_token"], **RISING).data
    shop = wire.simulator.shop
    with shop.lock:
        shop.touch(shop.orders[second["orders"][0]["id"]], int(wire.clock()))
    third = wire.search(window, page_size="20", page_token=second["next_page_token"], **RISING).data
    assert third["total_count"] == 58
    assert len(third["orders"]) == 18


@pytest.mark.parametrize("seed", [1, 2])
def test_arrivals_between_pages_are_real_orders_in_the_ledger_and_hold_stock(start_shop, seed):
    wire = start_shop(orders=60, faults="arrivals_between_pages:1", seed=seed)
    shop = wire.simulator.shop
    held = sum(sum(sku.committed.values()) for sku in shop.catalogue.skus.values())
    free = sum(sum(sku.available.values()) for sku in shop.catalogue.skus.values())
    known = set(truth(wire))
    unpaid = {order_id for order_id, order in truth(wire).items() if order["status"] == "UNPAID"}
    now = int(wire.clock())
    for _walk in range(3):
        wire.walk(SEARCH, {}, "orders", page_size="10")
    new = {order_id: order for order_id, order in truth(wire).items() if order_id not in known}
    paid_later = {order_id for order_id in unpaid if truth(wire)[order_id]["status"] == "ON_HOLD"}
    assert new
    assert len(new) + len(paid_later) == wire.ledger["faults"]["arrivals_between_pages"]
    assert {order["status"] for order in new.values()} == {"ON_HOLD"}
    units = sum(len(order["units"]) for order in new.values())
    assert sum(sum(sku.committed.values()) for sku in shop.catalogue.skus.values()) == held + units
    assert sum(sum(sku.available.values()) for sku in shop.catalogue.skus.values()) == free - units
    shown = wire.order(next(iter(new)))
    assert shown["create_time"] == shown["paid_time"] == shown["update_time"] == now
    assert shown["rts_sla_time"] > now


def test_an_unpaid_order_can_be_the_one_that_arrives(start_shop):
    wire = start_shop(orders=150, faults="arrivals_between_pages:1")
    unpaid = {order_id for order_id, order in truth(wire).items() if order["status"] == "UNPAID"}
    wire.walk(SEARCH, {}, "orders", page_size="10")
    now = int(wire.clock())
    paid = [order for order in wire.simulator.shop.orders.values() if order.id in unpaid and order.paid_at]
    assert paid
    assert all((order.status, order.paid_at, order.updated_at) == ("ON_HOLD", now, now) for order in paid)


def test_a_newcomer_goes_on_like_any_other_order(start_shop):
    wire = start_shop(orders=0)
    shop = wire.simulator.shop
    with shop.lock:
        for _number in range(3):
            shop.newcomer(int(wire.clock()))
    (first, *_others) = wire.all_orders({"order_status": "ON_HOLD"})
    wire.clock.advance(3600)
    assert wire.order(first["id"])["status"] == "AWAITING_SHIPMENT"


def test_nobody_orders_what_is_sold_out(start_shop):
    wire = start_shop(orders=5)
    shop = wire.simulator.shop
    with shop.lock:
        for sku in shop.catalogue.skus.values():
            sku.available = dict.fromkeys(sku.available, 0)
        for _number in range(20):
            shop.newcomer(int(wire.clock()))
    assert len(truth(wire)) == 5
    assert all(quantity == 0 for sku in shop.catalogue.skus.values() for quantity in sku.available.values())


def test_two_pages_that_change_places_bring_every_row_once(start_shop):
    wire = start_shop(orders=100, faults="out_of_order_pages:1")
    pages = pages_of(wire, {}, page_size="20")
    assert [len(page["orders"]) for page in pages] == [20] * 5
    starts = [page["orders"][0]["create_time"] for page in pages]
    newest_first = sorted(starts, reverse=True)
    assert starts == [newest_first[place] for place in (1, 0, 3, 2, 4)]
    assert counted([order for page in pages for order in page["orders"]]) == Counter(truth(wire).keys())


@pytest.mark.parametrize("count", [19, 20, 21, 39, 40, 41, 59, 60, 61])
def test_out_of_order_pages_lose_nothing_whatever_the_last_page_holds(start_shop, count):
    wire = start_shop(orders=count, faults="out_of_order_pages:0.5", seed=count)
    rows = wire.walk(SEARCH, closed_window(wire), "orders", page_size="20", **RISING)
    assert counted(rows) == Counter(truth(wire).keys())


def test_a_page_that_was_overtaken_shows_only_what_is_still_in_the_window(start_shop):
    wire = start_shop(orders=60, faults="out_of_order_pages:1")
    window = closed_window(wire)
    overtaken = [order.id for order in sorted(wire.simulator.shop.orders.values(), key=lambda o: (o.updated_at, o.id))]
    first = wire.search(window, page_size="20", **RISING).data
    shop = wire.simulator.shop
    with shop.lock:
        shop.touch(shop.orders[overtaken[4]], int(wire.clock()))
    second = wire.search(window, page_size="20", page_token=first["next_page_token"], **RISING).data
    assert [order["id"] for order in second["orders"]] == overtaken[:4] + overtaken[5:20]
    third = wire.search(window, page_size="20", page_token=second["next_page_token"], **RISING).data
    assert [order["id"] for order in third["orders"]] == overtaken[40:]


def test_a_page_asked_for_again_is_the_same_page(start_shop):
    wire = start_shop(orders=100, faults="out_of_order_pages:1")
    token = wire.search(page_size="20").data["next_page_token"]
    again = [wire.search(page_size="20", page_token=token).data["orders"] for attempt in range(2)]
    assert again[0] == again[1]


def test_the_total_count_is_the_count_at_the_time_of_each_page(start_shop):
    wire = start_shop(orders=60)
    waiting = {"order_status": "AWAITING_SHIPMENT"}
    first = wire.search(waiting, page_size="10").data
    order = wire.shippable("TIKTOK")[0]
    assert wire.buy(order["id"]).code == 0
    second = wire.search(waiting, page_size="10", page_token=first["next_page_token"]).data
    assert second["total_count"] == first["total_count"] - 1
    assert first["total_count"] - 1 == len(wire.all_orders(waiting))


def test_a_page_of_a_full_shop_is_cheap(start_shop):
    wire = start_shop(orders=2800)
    window = closed_window(wire)
    pages_of(wire, window, page_size="100", **RISING)
    started = time.process_time()
    pages = pages_of(wire, window, page_size="100", **RISING)
    # Both sides, HTTP and JSON of 100 orders included: about 12 ms on a machine of 2024.
    assert (time.process_time() - started) / len(pages) < 0.06
    assert len(pages) == 28


def whole(wire, start: int, end: int) -> list[dict[str, Any]]:
    """Return the orders of a window, halved until each part fits on one page: nothing can move between pages."""
    found = wire.search({"update_time_ge": start, "update_time_lt": end}, page_size="40").data
    if not found["next_page_token"]:
        return found["orders"]
    middle = (start + end) // 2
    return whole(wire, start, middle) + whole(wire, middle, end)


@pytest.mark.parametrize("seed", range(4))
def test_windows_that_fit_on_one_page_end_with_the_truth_under_all_these_faults(start_shop, seed):
    names = ("page_shift", "arrivals_between_pages", "out_of_order_pages", "duplicate_rows", "shuffled_rows")
    wire = start_shop(orders=90, seed=seed, faults=",".join(f"{name}:0.5" for name in names))
    for _walk in range(4):
        wire.clock.advance(7)
        wire.walk(SEARCH, {}, "orders", page_size="15")
    wire.clock.advance(7)
    wire.simulator.dice.probabilities.clear()
    now = int(wire.clock())
    known = {order["id"]: order["status"] for order in whole(wire, now - 40 * 86400, now)}
    assert known == {order_id: order["status"] for order_id, order in truth(wire).items()}
    assert len(known) > 90
    assert set(wire.ledger["faults"]) == set(names)
