"""Reading orders: search, paging, detail, holds, masks, and the shape of the order object."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

SEARCH = "/order/202309/orders/search"
# The keys of the example order of section 5.5 of the reference.
_EXAMPLE_KEYS_TEXT = (
    "id status order_type commerce_platform create_time paid_time update_time rts_sla_time tts_sla_time "
    "shipping_due_time collection_due_time cancel_order_sla_time delivery_sla_time shipping_type "
    "fulfillment_type delivery_type delivery_option_id delivery_option_name warehouse_id is_on_hold_order "
    "is_sample_order is_cod is_replacement_order is_exchange_order is_subscription_order is_buyer_request_cancel "
    "has_updated_recipient_address need_upload_invoice split_or_combine_tag auto_combine_group_id buyer_message "
    "seller_note user_id buyer_email buyer_nickname cpf payment_method_name cancel_reason cancellation_initiator "
    "shipping_provider shipping_provider_id tracking_number payment recipient_address packages line_items"
)
EXAMPLE_KEYS = set(_EXAMPLE_KEYS_TEXT.split())
_EXAMPLE_LINE_KEYS_TEXT = (
    "id sku_id product_id product_name sku_name sku_image seller_sku sku_type original_price sale_price "
    "seller_discount platform_discount gift_retail_price currency display_status is_gift is_dangerous_good "
    "needs_prescription retail_delivery_fee small_order_fee item_tax cancel_reason cancel_user "
    "shipping_provider_id shipping_provider_name tracking_number combined_listing_skus room_id "
    "product_listing_type"
)
EXAMPLE_LINE_KEYS = set(_EXAMPLE_LINE_KEYS_TEXT.split())


def test_every_order_comes_once_through_all_pages(start_shop):
    wire = start_shop(orders=250)
    orders = wire.walk(SEARCH, {}, "orders", page_size="37", sort_field="update_time", sort_order="ASC")
    assert len(orders) == 250
    assert len({order["id"] for order in orders}) == 250
    times = [order["update_time"] for order in orders]
    assert times == sorted(times)
    assert wire.search().data["total_count"] == 250


def test_the_default_order_is_newest_first_by_creation(wire):
    times = [order["create_time"] for order in wire.all_orders()]
    assert times == sorted(times, reverse=True)


def test_a_page_token_holds_signs_that_must_be_encoded(wire):
    token = wire.search(page_size="5").data["next_page_token"]
    assert {"+", "/", "="} <= set(token)


def test_a_page_token_is_refused_for_another_search_when_unknown_and_after_an_hour(wire):
    token = wire.search(page_size="5").data["next_page_token"]
    assert wire.search({"order_status": "UNPAID"}, page_size="5", page_token=token).code == 36009004
    assert wire.search(page_size="6", page_token=token).code == 36009004
    assert wire.search(page_size="5", page_token="AAAA").code == 36009004
    assert wire.search(page_size="5", page_token=token).code == 0
    wire.clock.advance(3601)
    assert wire.search(page_size="5", page_token=token).code == 36009004


@pytest.mark.parametrize(("size", "code"), [("100", 0), ("101", 36009004), ("0", 36009004), ("ten", 36009004)])
def test_the_page_size_has_limits(wire, size, code):
    assert wire.search(page_size=size).code == code


def test_a_window_includes_its_start_and_not_its_end(wire):
    some = wire.all_orders()[7]
    at = some["update_time"]

    def found(start, end):
        window = {"update_time_ge": start, "update_time_lt": end}
        return some["id"] in {order["id"] for order in wire.all_orders(window)}

    assert found(at, at + 1)
    assert not found(at + 1, at + 2)
    assert not found(at - 1, at)


def test_filters_narrow_the_search(wire):
    unpaid = wire.all_orders({"order_status": "UNPAID"})
    assert {order["status"] for order in unpaid} == {"UNPAID"}
    sellers = wire.all_orders({"shipping_type": "SELLER"})
    assert {order["shipping_type"] for order in sellers} == {"SELLER"}
    asked = wire.all_orders({"is_buyer_request_cancel": True})
    assert asked
    assert all(order["is_buyer_request_cancel"] and order["request_cancel_time"] for order in asked)
    one = wire.all_orders()[0]
    mine = wire.all_orders({"buyer_user_id": one["user_id"]})
    assert {order["user_id"] for order in mine} == {one["user_id"]}
    assert wire.search({"order_status": "SHIPPED"}).code == 36009004


@pytest.mark.parametrize("form", ["comma", "repeated", "json"])
def test_detail_takes_ids_in_all_three_forms(wire, form):
    first, second = (order["id"] for order in wire.all_orders()[:2])
    query = {
        "comma": [("ids", f"{first},{second}")],
        "repeated": [("ids", first), ("ids", second)],
        "json": [("ids", f'["{first}","{second}"]')],
    }[form]
    orders = wire.call("GET", "/order/202507/orders", query).data["orders"]
    assert [order["id"] for order in orders] == [first, second]


def test_detail_takes_at_most_50_ids_and_leaves_unknown_ones_out(start_shop):
    wire = start_shop(orders=60)
    ids = [order["id"] for order in wire.all_orders()]
    assert len(wire.get("/order/202507/orders", ids=",".join(ids[:50])).data["orders"]) == 50
    assert wire.get("/order/202507/orders", ids=",".join(ids[:51])).code == 36009004
    assert wire.get("/order/202507/orders").code == 36009004
    orders = wire.get("/order/202309/orders", ids=f"{ids[0]},576000000000000001").data["orders"]
    assert [order["id"] for order in orders] == [ids[0]]


def test_a_shop_can_fail_the_call_for_an_unknown_id(start_shop):
    wire = start_shop(unknown_ids="fail")
    assert wire.get("/order/202507/orders", ids="576000000000000001").code == 21008111


def test_detail_says_the_same_as_search_and_four_fields_more(wire):
    listed = wire.all_orders()[3]
    detailed = wire.order(listed["id"])
    more = {"payment_card_type", "payment_method_code", "payment_auth_code", "channel_entity_national_registry_id"}
    assert set(detailed) - set(listed) == more
    assert {name: detailed[name] for name in listed} == listed


def test_an_order_has_the_fields_of_the_reference_example(wire):
    order = wire.shippable("TIKTOK")[0]
    assert set(order) == EXAMPLE_KEYS
    assert set(order["line_items"][0]) == EXAMPLE_LINE_KEYS
    for amount in order["payment"].values():
        assert isinstance(amount, str)
    for name in ("id", "user_id", "warehouse_id", "delivery_option_id", "tracking_number", "auto_combine_group_id"):
        assert isinstance(order[name], str)
    for name in ("create_time", "paid_time", "update_time", "rts_sla_time", "shipping_due_time"):
        assert isinstance(order[name], int)
    assert order["packages"] == []


def test_the_sums_of_every_order_hold(start_shop):
    for order in start_shop(orders=200).all_orders():
        pay = {name: Decimal(value) for name, value in order["payment"].items() if name != "currency"}
        lines = order["line_items"]
        assert (
            pay["sub_total"] == pay["original_total_product_price"] - pay["seller_discount"] - pay["platform_discount"]
        )
        assert pay["shipping_fee"] == (
            pay["original_shipping_fee"] - pay["shipping_fee_seller_discount"] - pay["shipping_fee_platform_discount"]
        )
        assert pay["total_amount"] == pay["sub_total"] + pay["shipping_fee"] + pay["tax"] + pay["retail_delivery_fee"]
        assert pay["sub_total"] == sum(Decimal(line["sale_price"]) for line in lines)
        assert pay["product_tax"] == sum(Decimal(line["item_tax"][0]["tax_amount"]) for line in lines)
        for line in lines:
            given = Decimal(line["seller_discount"]) + Decimal(line["platform_discount"])
            assert Decimal(line["sale_price"]) == Decimal(line["original_price"]) - given


def test_price_detail_agrees_with_the_order(wire):
    order = wire.all_orders({"order_status": "AWAITING_SHIPMENT"})[0]
    prices = wire.get(f"/order/202407/orders/{order['id']}/price_detail").data
    assert Decimal(prices["payment"]) == Decimal(order["payment"]["total_amount"])
    assert Decimal(prices["total"]) == Decimal(prices["sku_list_price"]) + Decimal(prices["shipping_list_price"])
    deductions = Decimal(prices["subtotal_deduction_seller"]) + Decimal(prices["subtotal_deduction_platform"])
    assert Decimal(prices["sku_sale_price"]) == Decimal(prices["sku_list_price"]) - deductions
    assert [line["id"] for line in prices["line_items"]] == [line["id"] for line in order["line_items"]]
    assert wire.get("/order/202407/orders/1/price_detail").code == 21008111


def test_an_order_is_on_hold_for_an_hour_without_an_address_and_then_moves_its_update_time(start_shop):
    wire = start_shop(orders=30, minutes=1)
    wire.clock.advance(120)
    held = wire.with_status("ON_HOLD")
    assert held["is_on_hold_order"] is True
    assert held["recipient_address"]["address_line1"] == held["recipient_address"]["postal_code"] == ""
    assert held["recipient_address"]["name"] == ""
    wire.clock.advance(3600)
    order = wire.order(held["id"])
    assert order["status"] == "AWAITING_SHIPMENT"
    assert order["update_time"] == held["paid_time"] + 3600
    assert order["recipient_address"]["postal_code"]


def test_the_time_scale_shortens_hold_and_arrivals_and_leaves_stamps_wall_clock(start_shop):
    wire = start_shop(orders=30, minutes=10, time_scale=60)
    wire.clock.advance(10 + 1)
    assert wire.search().data["total_count"] == 30
    wire.clock.advance(61)
    by_status = {order["status"] for order in wire.all_orders() if order["order_type"] == "NORMAL"}
    assert "AWAITING_SHIPMENT" in by_status
    assert all(order["update_time"] <= wire.clock() for order in wire.all_orders())


def test_tiktok_shipping_is_masked_and_seller_shipping_is_clear(wire):
    for order in wire.shippable("TIKTOK"):
        address = order["recipient_address"]
        assert "*" in address["name"]
        assert "*" in address["address_line1"]
        assert "*" in address["phone_number"]
        assert re.fullmatch(r"\d{5}", address["postal_code"])
    for order in wire.shippable("SELLER"):
        assert "*" not in str(order["recipient_address"])
        levels = [level["address_level"] for level in order["recipient_address"]["district_info"]]
        assert levels[:2] == ["L0", "L1"]


def test_unpaid_and_cancelled_orders_show_no_recipient(wire):
    assert "recipient_address" not in wire.with_status("UNPAID")
    assert wire.with_status("CANCELLED")["recipient_address"]["address_line1"] == ""


def test_a_completed_order_is_masked_thirty_days_later(start_shop):
    wire = start_shop(orders=100, carrier="seller")
    done = wire.with_status("COMPLETED")
    assert done["recipient_address"]["address_line1"]
    wire.clock.advance(31 * 86400)
    wire.token = wire.simulator.accounts.grant(wire.clock()).access_token
    assert wire.order(done["id"])["recipient_address"]["address_line1"] == ""


def test_an_unpaid_order_is_cancelled_by_the_system_in_the_end(wire):
    unpaid = wire.with_status("UNPAID")
    wire.clock.advance(49 * 3600)
    order = wire.order(unpaid["id"])
    assert (order["status"], order["cancellation_initiator"]) == ("CANCELLED", "SYSTEM")


def test_an_order_not_shipped_in_time_is_cancelled_at_its_due_time(wire):
    order = wire.shippable("SELLER")[0]
    wire.token = wire.simulator.accounts.grant(wire.clock() + 30 * 86400).access_token
    wire.clock.now = order["shipping_due_time"] - 1
    assert wire.order(order["id"])["status"] == "AWAITING_SHIPMENT"
    wire.clock.advance(1)
    cancelled = wire.order(order["id"])
    assert cancelled["status"] == "CANCELLED"
    assert cancelled["cancel_time"] == cancelled["update_time"] == order["shipping_due_time"]


def test_external_references_are_kept_and_found(wire):
    order = wire.all_orders()[0]
    external = {
        "id": "ERP-1",
        "platform": "ERP_SYSTEM",
        "line_items": [{"id": "1", "origin_id": order["line_items"][0]["id"]}],
    }
    foreign = {"id": "1", "external_order": external}
    body = {"orders": [{"id": order["id"], "external_order": external}, foreign]}
    errors = wire.post("/order/202406/orders/external_orders", body).data["errors"]
    assert [error["code"] for error in errors] == ["21008111"]
    got = wire.get(f"/order/202406/orders/{order['id']}/external_orders", platform="ERP_SYSTEM").data
    assert got["external_orders"] == [external]
    path = "/order/202406/orders/external_order_search"
    found = wire.post(path, platform="ERP_SYSTEM", external_order_id="ERP-1").data
    assert [row["id"] for row in found["orders"]] == [order["id"]]
    assert wire.post(path, platform="ERP_SYSTEM", external_order_id="ERP-2").data == {}


def test_affiliate_rows_are_paged_before_they_are_grouped(start_shop):
    wire = start_shop(orders=200)
    path = "/affiliate_seller/202410/orders/search"
    window = {"create_time_ge": int(wire.clock()) - 30 * 86400}
    rows = wire.walk(path, window, "orders", page_size="3")
    total = wire.post(path, window, page_size="3").data["total_count"]
    assert sum(len(row["skus"]) for row in rows) == total > 10
    assert len(rows) > len({row["id"] for row in rows})
    for row in rows:
        for sku in row["skus"]:
            assert sku["commission_rate"].isdecimal()
            assert sku["content_type"] in ("LIVE", "VIDEO")
            assert sku["estimated_commission_base"]["amount"].startswith("$")
    long = {"create_time_ge": int(wire.clock()) - 120 * 86400}
    assert wire.post(path, long).code == 98001004


def test_affiliate_amounts_are_display_texts_and_the_actual_ones_come_with_completion(start_shop):
    wire = start_shop(orders=300, seed=4)
    path = "/affiliate_seller/202410/orders/search"
    rows = wire.walk(path, {"create_time_ge": int(wire.clock()) - 60 * 86400}, "orders", page_size="7")
    status = {order["id"]: order["status"] for order in wire.all_orders()}
    settled = [(row["id"], sku) for row in rows for sku in row["skus"] if sku["settlement_status"] == "SETTLED"]
    assert settled
    for order_id, sku in settled:
        assert status[order_id] == "COMPLETED"
        assert re.fullmatch(r"\$[\d,]+\.\d\d", sku["actual_commission_base"]["amount"])
        assert sku["actual_commission_base"] == sku["estimated_commission_base"]
        base = Decimal(sku["actual_commission_base"]["amount"].lstrip("$").replace(",", ""))
        due = base * Decimal(sku["commission_rate"]) / 10_000
        assert abs(Decimal(sku["actual_paid_commission"]["amount"]) - due) < Decimal("0.01")
    for row in rows:
        for sku in row["skus"]:
            assert re.fullmatch(r"\$[\d,]+\.\d\d", sku["estimated_commission_base"]["amount"])
            assert (sku["actual_commission_base"]["amount"] == "") is (status[row["id"]] != "COMPLETED")
