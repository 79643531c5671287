"""Buying platform labels in us-local mode, and what a correct client never tries."""

from __future__ import annotations

from decimal import Decimal

import pytest

CREATE = "/fulfillment/202512/packages"


def test_no_package_exists_before_a_label_is_bought(wire):
    orders = wire.shippable("TIKTOK") + wire.shippable("SELLER")
    assert all(order["packages"] == [] for order in orders)
    assert all("package_id" not in line for order in orders for line in order["line_items"])


def test_a_purchase_ships_the_order(wire):
    before = wire.shippable("TIKTOK")[0]
    wire.clock.advance(5)
    bought = wire.buy(before["id"]).data
    after = wire.order(before["id"])
    assert after["status"] == "AWAITING_COLLECTION"
    assert after["packages"] == [{"id": bought["package_id"]}]
    assert after["rts_time"] == after["update_time"] == int(wire.clock())
    assert after["shipping_provider"] in ("USPS", "UPS")
    assert after["tracking_number"]
    for line in after["line_items"]:
        assert line["package_id"] == bought["package_id"]
        assert (line["package_status"], line["display_status"]) == ("PROCESSING", "AWAITING_COLLECTION")
        assert line["tracking_number"] == after["tracking_number"]
        assert line["rts_time"] == after["rts_time"]
    assert Decimal(bought["shipping_service_info"]["price"]) > 0
    assert set(bought) == {"package_id", "create_time", "dimension", "weight", "shipping_service_info"}


def test_the_older_version_echoes_order_and_lines(wire):
    order = wire.shippable("TIKTOK")[0]
    bought = wire.post("/fulfillment/202309/packages", {"order_id": order["id"]}).data
    assert bought["order_id"] == order["id"]
    assert bought["order_line_item_ids"] == [line["id"] for line in order["line_items"]]


def test_package_detail_and_search_know_the_package(wire):
    order = wire.shippable("TIKTOK")[0]
    package_id = wire.buy(order["id"]).data["package_id"]
    package = wire.get(f"/fulfillment/202309/packages/{package_id}").data
    assert (package["package_status"], package["package_sub_status"]) == ("PROCESSING", "RTS")
    assert package["order_line_item_ids"] == [line["id"] for line in order["line_items"]]
    assert sum(sku["quantity"] for sku in package["orders"][0]["skus"]) == len(order["line_items"])
    rows = wire.walk("/fulfillment/202309/packages/search", {"package_status": "PROCESSING"}, "packages", page_size="3")
    assert [row["tracking_number"] for row in rows if row["id"] == package_id] == [package["tracking_number"]]
    assert wire.post("/fulfillment/202309/packages/search", {}, page_size="51").code == 21001001
    assert wire.get("/fulfillment/202309/packages/1153000000000000001").code == 21008111


def test_a_second_purchase_is_refused_and_a_violation(wire):
    order = wire.shippable("TIKTOK")[0]
    wire.buy(order["id"])
    assert wire.violations == []
    assert wire.buy(order["id"]).code == 21022025
    assert wire.violations == ["bought_twice"]
    assert len(wire.ledger["purchases"]) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("ON_HOLD", 21011044, "bought_on_hold"),
        ("UNPAID", 21042057, "bought_unpaid"),
        ("CANCELLED", 21011041, "bought_cancelled"),
        ("IN_TRANSIT", 21011006, "bought_twice"),
        ("COMPLETED", 21011027, "bought_twice"),
    ],
)
def test_a_status_that_forbids_shipping_has_its_code_and_violation(start_shop, status, code, kind):
    wire = start_shop(orders=100)
    order = wire.with_status(status)
    reply = wire.buy(order["id"])
    assert (reply.status, reply.code) == (200, code)
    (violation,) = wire.ledger["violations"]
    assert (violation["kind"], violation["order_id"]) == (kind, order["id"])
    assert violation["request_id"] == reply.envelope["request_id"]
    assert wire.ledger["purchases"] == []


def test_an_order_that_the_platform_fulfils_cannot_be_bought_for(start_shop):
    wire = start_shop(orders=100)
    order = next(order for order in wire.all_orders() if order["fulfillment_type"] == "FULFILLMENT_BY_TIKTOK")
    assert wire.buy(order["id"]).code == 21008025
    assert wire.violations == ["bought_platform_order"]


def test_a_seller_shipped_order_and_a_foreign_order_are_refused(wire):
    order = wire.shippable("SELLER")[0]
    assert wire.buy(order["id"]).code == 21008106
    assert wire.buy("576000000000000001").code == 21008111
    assert wire.order(order["id"])["status"] == "AWAITING_SHIPMENT"


def test_a_pending_cancel_request_is_rejected_without_a_word_and_is_a_violation(start_shop):
    wire = start_shop(orders=100, carrier="tiktok")
    order = wire.all_orders({"is_buyer_request_cancel": True})[0]
    assert wire.buy(order["id"]).code == 0
    after = wire.order(order["id"])
    assert (after["status"], after["is_buyer_request_cancel"]) == ("AWAITING_COLLECTION", False)
    (cancellation,) = wire.post("/return_refund/202602/cancellations/search", {"order_ids": [order["id"]]}).data[
        "cancellations"
    ]
    assert cancellation["cancel_status"] == "CANCELLATION_REQUEST_CANCEL"
    assert wire.violations == ["bought_with_cancel_request"]


def test_a_request_that_came_after_the_last_look_is_nobodys_fault(wire):
    order = wire.shippable("TIKTOK")[0]
    wire.order(order["id"])
    shop = wire.simulator.shop
    with shop.lock:
        shop.buyer_cancels(shop.orders[order["id"]], "No longer needed", shop.now())
    assert wire.buy(order["id"]).code == 0
    assert wire.violations == []


def test_a_client_that_did_not_look_for_a_minute_should_have_known(wire):
    order = wire.shippable("TIKTOK")[0]
    shop = wire.simulator.shop
    wire.clock.advance(61)
    with shop.lock:
        shop.buyer_cancels(shop.orders[order["id"]], "No longer needed", shop.now())
    wire.buy(order["id"])
    assert wire.violations == ["bought_with_cancel_request"]


def test_part_of_an_order_leaves_the_rest_to_ship(start_shop):
    wire = start_shop(orders=100)
    order = wire.shippable("TIKTOK", units=2)[0]
    lines = [line["id"] for line in order["line_items"]]

    def buy_line(line):
        body = {"ship_type": "2", "order_id": order["id"], "order_line_item": [{"order_line_id": line}]}
        return wire.post(CREATE, body)

    first = buy_line(lines[0])
    assert first.code == 0
    after = wire.order(order["id"])
    assert (after["status"], after["split_or_combine_tag"]) == ("PARTIALLY_SHIPPING", "SPLIT")
    assert [line["display_status"] for line in after["line_items"]][:2] == ["AWAITING_COLLECTION", "AWAITING_SHIPMENT"]
    assert buy_line(lines[0]).code == 21022025
    for line in lines[1:]:
        assert buy_line(line).code == 0
    after = wire.order(order["id"])
    assert after["status"] == "AWAITING_COLLECTION"
    assert len(after["packages"]) == len(lines)
    assert buy_line("577000000000000001").code == 21022025


def test_lines_of_another_order_and_missing_lines_are_refused(start_shop):
    wire = start_shop(orders=100)
    first, second = wire.shippable("TIKTOK")[:2]
    foreign = [{"order_line_id": second["line_items"][0]["id"]}]
    assert wire.post(CREATE, {"ship_type": "2", "order_id": first["id"], "order_line_item": foreign}).code == 21011005
    assert wire.post(CREATE, {"ship_type": "2", "order_id": first["id"]}).code == 36009004
    assert wire.post(CREATE, {"ship_type": "7", "order_id": first["id"]}).code == 36009004
    assert wire.post(CREATE, {"ship_type": "1"}).code == 36009004


def test_a_cancelled_line_must_not_be_shipped(start_shop):
    wire = start_shop(orders=200, carrier="tiktok")
    order = next(
        order
        for order in wire.shippable("TIKTOK")
        if any(line["display_status"] == "CANCELLED" for line in order["line_items"])
    )
    (cancelled,) = [line["id"] for line in order["line_items"] if line["display_status"] == "CANCELLED"]
    body = {"ship_type": "2", "order_id": order["id"], "order_line_item": [{"order_line_id": cancelled}]}
    assert wire.post(CREATE, body).code == 21011042
    assert wire.violations == ["bought_cancelled_line"]
    assert wire.buy(order["id"]).code == 0
    after = wire.order(order["id"])
    assert after["status"] == "AWAITING_COLLECTION"
    assert {line["display_status"] for line in after["line_items"]} == {"CANCELLED", "AWAITING_COLLECTION"}


def test_orders_of_one_buyer_leave_in_one_package(start_shop):
    wire = start_shop(orders=200, carrier="tiktok")
    groups: dict[str, list[str]] = {}
    for order in wire.shippable("TIKTOK"):
        if order["auto_combine_group_id"]:
            groups.setdefault(order["auto_combine_group_id"], []).append(order["id"])
    members = next(ids for ids in groups.values() if len(ids) > 1)
    bought = wire.post(CREATE, {"ship_type": "3", "order_list_ids": members}).data
    for order_id in members:
        order = wire.order(order_id)
        assert order["packages"] == [{"id": bought["package_id"]}]
        assert order["split_or_combine_tag"] == "COMBINED"
    assert wire.ledger["purchases"][0]["order_ids"] == members
    package = wire.get(f"/fulfillment/202309/packages/{bought['package_id']}").data
    assert [row["id"] for row in package["orders"]] == members


def test_orders_of_different_buyers_and_one_order_alone_cannot_be_combined(wire):
    ids = [order["id"] for order in wire.shippable("TIKTOK")]
    assert wire.post(CREATE, {"ship_type": "3", "order_list_ids": ids[:2]}).code == 21011036
    assert wire.post(CREATE, {"ship_type": "3", "order_list_ids": ids[:1]}).code == 21011035
    assert wire.post(CREATE, {"ship_type": "3", "order_list_ids": ids[:21]}).code == 21011035
    assert wire.ledger["purchases"] == []


def test_with_label_allocation_one_service_is_offered_and_the_wish_is_ignored(wire):
    order = wire.shippable("TIKTOK")[0]
    path = f"/fulfillment/202309/orders/{order['id']}/shipping_services/query"
    assert len(wire.post(path).data["shipping_services"]) == 1
    body = {"ship_type": "1", "order_id": order["id"], "shipping_service_id": "nonsense"}
    assert wire.post(CREATE, body).code == 0


def test_without_label_allocation_the_chosen_service_ships(start_shop):
    wire = start_shop(label_allocation=False)
    first, second = wire.shippable("TIKTOK")[:2]
    path = f"/fulfillment/202309/orders/{first['id']}/shipping_services/query"
    services = wire.post(path).data["shipping_services"]
    assert [service["is_default"] for service in services] == [True, False, False]
    dearest = max(services, key=lambda service: Decimal(service["price"]))
    body = {"ship_type": "1", "order_id": first["id"], "shipping_service_id": dearest["id"]}
    bought = wire.post(CREATE, body).data["shipping_service_info"]
    assert (bought["id"], bought["price"]) == (dearest["id"], dearest["price"])
    body = {"ship_type": "1", "order_id": second["id"], "shipping_service_id": "1"}
    assert wire.post(CREATE, body).code == 21004008
    assert wire.order(second["id"])["status"] == "AWAITING_SHIPMENT"


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"weight": {"value": "1.2", "unit": "POUND"}}, 0),
        ({"weight": {"value": "1.2", "unit": "STONE"}}, 11001002),
        ({"weight": {"value": "80", "unit": "POUND"}}, 21011037),
        ({"dimension": {"length": "10", "width": "5", "height": "2", "unit": "INCH"}}, 0),
        ({"dimension": {"length": "10", "width": "5", "unit": "INCH"}}, 11001002),
    ],
)
def test_weight_and_size_are_checked(wire, extra, code):
    order = wire.shippable("TIKTOK")[0]
    assert wire.post(CREATE, {"ship_type": "1", "order_id": order["id"], **extra}).code == code


def test_package_endpoints_of_the_other_mode_are_refused(wire):
    order = wire.shippable("TIKTOK")[0]
    package_id = wire.buy(order["id"]).data["package_id"]
    assert wire.post(f"/fulfillment/202309/packages/{package_id}/ship").code == 21008106
    assert wire.post("/fulfillment/202309/packages/ship", {"packages": [{"id": package_id}]}).code == 21008106


def test_a_pending_label_shows_no_number_until_the_carrier_answers(start_shop):
    wire = start_shop(faults="label_pending:1")
    order = wire.shippable("TIKTOK")[0]
    package_id = wire.buy(order["id"]).data["package_id"]
    package = wire.get(f"/fulfillment/202309/packages/{package_id}").data
    assert (package["package_sub_status"], package["tracking_number"]) == ("RTSING", "")
    assert wire.order(order["id"])["tracking_number"] == ""
    assert wire.document(package_id).code == 11034037
    assert wire.buy(order["id"]).code == 21030005
    wire.clock.advance(10)
    package = wire.get(f"/fulfillment/202309/packages/{package_id}").data
    assert package["package_sub_status"] == "RTS"
    after = wire.order(order["id"])
    assert after["tracking_number"] == package["tracking_number"] == wire.ledger["purchases"][0]["tracking_number"]
    assert after["update_time"] == int(wire.clock())


def test_the_carrier_scans_delivers_and_the_platform_completes(wire):
    order = wire.shippable("TIKTOK")[0]
    wire.buy(order["id"])
    wire.token = wire.simulator.accounts.grant(wire.clock() + 90 * 86400).access_token
    seen = []
    for wait in (20 * 3600, 3 * 86400, 8 * 86400):
        wire.clock.advance(wait)
        now = wire.order(order["id"])
        seen.append((now["status"], now["line_items"][0]["display_status"], now["line_items"][0]["package_status"]))
    assert seen == [
        ("IN_TRANSIT", "IN_TRANSIT", "FULFILLING"),
        ("DELIVERED", "DELIVERED", "COMPLETED"),
        ("COMPLETED", "COMPLETED", "COMPLETED"),
    ]
    events = wire.get(f"/fulfillment/202309/orders/{order['id']}/tracking").data["tracking"]
    assert [event["action_code"] for event in events] == [50, 20, 10]
    assert events[0]["update_time_millis"] > 10**12
    parcel = wire.get(f"/logistics/202604/orders/{order['id']}/tracking").data["logistics_details"][0]
    assert parcel["newest_tracking_no"] == now["tracking_number"]
    path = "/fulfillment/202508/tts_tracking_validation"
    assert wire.get(path, tracking_number=now["tracking_number"]).data["is_tiktok_shipping"] is True


def test_split_attributes_say_what_can_be_split(start_shop):
    wire = start_shop(orders=100)
    many = wire.shippable("TIKTOK", units=2)[0]
    one = next(order for order in wire.shippable("TIKTOK") if len(order["line_items"]) == 1)
    path = "/fulfillment/202309/orders/split_attributes"
    rows = wire.get(path, order_ids=f"{many['id']},{one['id']}").data["split_attributes"]
    assert [row["can_split"] for row in rows] == [True, False]
