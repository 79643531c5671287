"""Products and stock: what is sold, what orders hold, and the rules of setting quantities."""

from __future__ import annotations

import pytest

from tiktok_erp.simulator.numbers import usps_number

SEARCH = "/product/202309/inventory/search"


def stock(wire, sku_id):
    (product,) = wire.post(SEARCH, {"sku_ids": [sku_id]}).data["inventory"]
    return product["skus"][0]


def all_skus(wire):
    return [
        (product["id"], sku)
        for product in wire.walk("/product/202502/products/search", {}, "products", page_size="5")
        for sku in product["skus"]
    ]


def one_warehouse(wire):
    return next((product_id, sku) for product_id, sku in all_skus(wire) if len(sku["inventory"]) == 1)


def two_warehouses(wire):
    return next((product_id, sku) for product_id, sku in all_skus(wire) if len(sku["inventory"]) == 2)


def update(wire, product_id, *skus):
    return wire.post(f"/product/202309/products/{product_id}/inventory/update", {"skus": list(skus)})


@pytest.mark.parametrize("version", ["202309", "202312", "202502"])
def test_all_products_are_found_page_by_page(wire, version):
    rows = wire.walk(f"/product/{version}/products/search", {"status": "ACTIVATE"}, "products", page_size="5")
    assert len(rows) == len({row["id"] for row in rows}) == 12
    assert sum(len(row["skus"]) for row in rows) >= 22


def test_product_search_filters(wire):
    product_id, sku = one_warehouse(wire)
    path = "/product/202502/products/search"
    found = wire.post(path, {"seller_skus": [sku["seller_sku"]]}).data["products"]
    assert [row["id"] for row in found] == [product_id]
    assert [row["id"] for row in wire.post(path, {"sku_ids": [sku["id"]]}).data["products"]] == [product_id]
    assert wire.post(path, {"status": "FREEZE"}).data["products"] == []
    assert wire.post(path, {"seller_skus": ["x"] * 11}).code == 12019027
    assert wire.post(path, {"sku_ids": ["1"] * 11}).code == 12019087
    assert wire.post(path, {}, page_size="101").code == 12019109
    created = found[0]["create_time"]
    assert wire.post(path, {"create_time_le": created}).data["total_count"] == 12
    assert wire.post(path, {"create_time_le": created - 1}).data["total_count"] == 0


def test_an_edited_product_moves_its_update_time_and_is_found_by_it(wire):
    product_id, sku = one_warehouse(wire)
    path = "/product/202502/products/search"
    before = wire.get(f"/product/202309/products/{product_id}").data["update_time"]
    wire.clock.advance(60)
    now = int(wire.clock())
    assert wire.post(path, {"update_time_ge": before + 1}).data["products"] == []
    assert update(wire, product_id, {"id": sku["id"], "inventory": [{"quantity": 3}]}).data == {}
    for window in ({"update_time_ge": now}, {"update_time_ge": before + 1, "update_time_le": now}):
        (row,) = wire.post(path, window).data["products"]
        assert (row["id"], row["update_time"], row["create_time"]) == (product_id, now, before)
    assert wire.post(path, {"update_time_ge": now + 1}).data["total_count"] == 0
    assert wire.post(path, {"update_time_le": now - 1}).data["total_count"] == 11
    assert wire.get(f"/product/202309/products/{product_id}").data["update_time"] == now


def test_a_refused_edit_leaves_the_update_time_alone(wire):
    product_id, sku = one_warehouse(wire)
    wire.clock.advance(60)
    assert update(wire, product_id, {"id": sku["id"], "inventory": [{"quantity": -1}]}).data["errors"]
    assert wire.post("/product/202502/products/search", {"update_time_ge": int(wire.clock())}).data["products"] == []


def test_product_search_rows_carry_no_weight(wire):
    for row in wire.walk("/product/202502/products/search", {}, "products", page_size="5"):
        assert not {"package_weight", "package_dimensions"} & set(row)
        assert not any("sku_weight" in sku for sku in row["skus"])


def test_product_detail_knows_weights(wire):
    product_id, sku = one_warehouse(wire)
    product = wire.get(f"/product/202309/products/{product_id}").data
    assert float(product["package_weight"]["value"]) > 0
    assert product["package_weight"]["unit"] == "POUND"
    assert product["package_dimensions"]["unit"] == "INCH"
    assert all(product["package_dimensions"][side].isdecimal() for side in ("length", "width", "height"))
    assert sku["id"] in {row["id"] for row in product["skus"]}
    assert wire.get("/product/202309/products/17295").code == 12052032
    assert wire.get("/product/202309/products/abc").code == 12019008


def test_committed_is_what_open_orders_hold(wire):
    held: dict[str, int] = {}
    for order in wire.all_orders():
        if order["fulfillment_type"] == "FULFILLMENT_BY_SELLER":
            for line in order["line_items"]:
                if line["display_status"] in ("UNPAID", "AWAITING_SHIPMENT"):
                    held[line["sku_id"]] = held.get(line["sku_id"], 0) + 1
    rows = wire.post(SEARCH, {"sku_ids": [sku["id"] for product_id, sku in all_skus(wire)]}).data["inventory"]
    committed = {sku["id"]: sku["total_committed_quantity"] for row in rows for sku in row["skus"]}
    assert {sku_id: count for sku_id, count in committed.items() if count} == held
    for row in rows:
        for sku in row["skus"]:
            assert sku["total_available_quantity"] == sum(
                place["available_quantity"] for place in sku["warehouse_inventory"]
            )


def test_shipping_lowers_committed_and_cancelling_gives_back(wire):
    shipped, cancelled = wire.shippable("SELLER")[:2]
    sku_id = shipped["line_items"][0]["sku_id"]
    before = stock(wire, sku_id)
    count = sum(line["sku_id"] == sku_id for line in shipped["line_items"])
    wire.mark(shipped["id"], usps_number(1))
    after = stock(wire, sku_id)
    assert after["total_committed_quantity"] == before["total_committed_quantity"] - count
    assert after["total_available_quantity"] == before["total_available_quantity"]
    sku_id = cancelled["line_items"][0]["sku_id"]
    before = stock(wire, sku_id)
    count = sum(line["sku_id"] == sku_id for line in cancelled["line_items"])
    body = {"order_id": cancelled["id"], "cancel_reason": "seller_cancel_reason_wrong_price"}
    assert wire.post("/return_refund/202602/cancellations", body).code == 0
    after = stock(wire, sku_id)
    assert after["total_committed_quantity"] == before["total_committed_quantity"] - count
    assert after["total_available_quantity"] == before["total_available_quantity"] + count


def test_an_update_sets_what_is_available(wire):
    product_id, sku = two_warehouses(wire)
    places = [
        {"warehouse_id": row["warehouse_id"], "quantity": 7 + place} for place, row in enumerate(sku["inventory"])
    ]
    reply = update(wire, product_id, {"id": sku["id"], "inventory": places})
    assert (reply.code, reply.data) == (0, {})
    now = stock(wire, sku["id"])
    assert [place["available_quantity"] for place in now["warehouse_inventory"]] == [7, 8]
    assert [write["quantity"] for write in wire.ledger["inventory_writes"]] == [7, 8]


def test_the_warehouse_may_be_left_out_where_there_is_only_one(wire):
    product_id, sku = one_warehouse(wire)
    assert update(wire, product_id, {"id": sku["id"], "inventory": [{"quantity": 12}]}).data == {}
    assert stock(wire, sku["id"])["total_available_quantity"] == 12


def test_a_missing_warehouse_fails_the_sku_beside_code_0_and_is_a_violation(wire):
    product_id, sku = two_warehouses(wire)
    before = stock(wire, sku["id"])
    first, second = (row["warehouse_id"] for row in sku["inventory"])
    reply = update(wire, product_id, {"id": sku["id"], "inventory": [{"warehouse_id": first, "quantity": 1}]})
    assert reply.code == 0
    (error,) = reply.data["errors"]
    assert (error["code"], error["detail"]["sku_id"]) == (12052037, sku["id"])
    assert [(extra["warehouse_id"], extra["code"]) for extra in error["detail"]["extra_errors"]] == [(second, 12052533)]
    assert stock(wire, sku["id"]) == before
    assert wire.violations == ["inventory_without_all_warehouses"]


def test_a_foreign_warehouse_fails_the_sku(wire):
    product_id, sku = one_warehouse(wire)
    returns = next(
        row["id"]
        for row in wire.get("/logistics/202309/warehouses").data["warehouses"]
        if row["type"] == "RETURN_WAREHOUSE"
    )
    own = {"warehouse_id": sku["inventory"][0]["warehouse_id"], "quantity": 1}
    for place, code in (("1", 12052097), (returns, 12052532)):
        wrong = [own, {"warehouse_id": place, "quantity": 1}]
        (error,) = update(wire, product_id, {"id": sku["id"], "inventory": wrong}).data["errors"]
        assert [extra["code"] for extra in error["detail"]["extra_errors"]] == [code]


def test_a_good_sku_is_set_although_another_one_fails(wire):
    product_id, sku = next(
        (product_id, sku)
        for product_id, sku in all_skus(wire)
        if sum(other == product_id for other, row in all_skus(wire)) > 1 and len(sku["inventory"]) == 1
    )
    other = next(row for owner, row in all_skus(wire) if owner == product_id and row["id"] != sku["id"])
    reply = update(
        wire,
        product_id,
        {"id": other["id"], "inventory": [{"warehouse_id": "1", "quantity": 5}]},
        {"id": sku["id"], "inventory": [{"quantity": 5}]},
    )
    assert [error["detail"]["sku_id"] for error in reply.data["errors"]] == [other["id"]]
    assert stock(wire, sku["id"])["total_available_quantity"] == 5


@pytest.mark.parametrize(
    ("quantity", "code"), [(0, None), (99_999, None), (100_000, 12052055), (-1, 12019024), ("5", 12019024)]
)
def test_quantities_have_limits(wire, quantity, code):
    product_id, sku = one_warehouse(wire)
    reply = update(wire, product_id, {"id": sku["id"], "inventory": [{"quantity": quantity}]})
    errors = reply.data.get("errors", [])
    assert [error["code"] for error in errors] == ([] if code is None else [code])


def test_zero_can_be_refused(start_shop):
    wire = start_shop(zero_quantity_refused=True)
    product_id, sku = one_warehouse(wire)
    (error,) = update(wire, product_id, {"id": sku["id"], "inventory": [{"quantity": 0}]}).data["errors"]
    assert error["code"] == 12052055


def test_skus_must_be_of_the_product_and_named_once(wire):
    product_id, sku = one_warehouse(wire)
    other = next(row for owner, row in all_skus(wire) if owner != product_id)
    row = {"id": sku["id"], "inventory": [{"quantity": 1}]}
    assert update(wire, product_id, {**row, "id": other["id"]}).code == 12052557
    assert update(wire, product_id, {**row, "id": "1"}).code == 12052556
    assert update(wire, product_id, row, row).code == 12052553
    assert update(wire, product_id, {"inventory": [{"quantity": 1}]}).code == 12052036
    assert update(wire, "1729500000000000001", row).code == 12052032
    assert wire.ledger["inventory_writes"] == []


def test_backorder_and_handling_time_travel_together(wire):
    product_id, sku = one_warehouse(wire)
    alone = {"quantity": 1, "backorder_quantity": 5}
    assert update(wire, product_id, {"id": sku["id"], "inventory": [alone]}).data["errors"][0]["code"] == 12019024
    both = {**alone, "handling_time": 4}
    assert update(wire, product_id, {"id": sku["id"], "inventory": [both]}).data == {}


def test_inventory_search_limits_and_unknown_ids(wire):
    assert wire.post(SEARCH, {}).code == 36009004
    assert wire.post(SEARCH, {"product_ids": ["1"] * 101}).code == 12019120
    assert wire.post(SEARCH, {"sku_ids": ["1"] * 601}).code == 12019015
    assert wire.post(SEARCH, {"sku_ids": ["1"]}).data == {"inventory": []}
    product_id, sku = one_warehouse(wire)
    rows = wire.post(SEARCH, {"product_ids": ["1"], "sku_ids": [sku["id"]]}).data["inventory"]
    assert [row["product_id"] for row in rows] == [product_id]


def test_what_is_sold_out_is_not_ordered_any_more(start_shop):
    wire = start_shop(orders=80, minutes=10)
    for product_id, sku in all_skus(wire):
        places = [{"warehouse_id": row["warehouse_id"], "quantity": 0} for row in sku["inventory"]]
        assert update(wire, product_id, {"id": sku["id"], "inventory": places}).data == {}
    before = wire.search().data["total_count"]
    wire.clock.advance(700)
    after = wire.all_orders()
    new = [order for order in after if order["create_time"] > wire.clock() - 700]
    assert all(order["fulfillment_type"] == "FULFILLMENT_BY_TIKTOK" for order in new)
    assert len(wire.ledger["lost_sales"]) + len(after) == 80
    assert len(after) >= before
