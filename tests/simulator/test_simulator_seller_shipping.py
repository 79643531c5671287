"""Seller Shipping: tracking numbers written back, checked, warned about, and corrected once."""

from __future__ import annotations

import pytest

from tiktok_erp.simulator.numbers import carriers_of, ups_number, usps_number

NUMBER = usps_number(4711)


def test_marking_ships_the_order_with_the_sellers_number(wire):
    order = wire.shippable("SELLER")[0]
    marked = wire.mark(order["id"], NUMBER).data
    assert marked["order_id"] == order["id"]
    assert marked["order_line_item_ids"] == [line["id"] for line in order["line_items"]]
    assert "warning" not in marked
    after = wire.order(order["id"])
    assert (after["status"], after["tracking_number"]) == ("AWAITING_COLLECTION", NUMBER)
    assert after["shipping_provider"] == "USPS"
    assert after["packages"] == [{"id": marked["package_id"]}]
    (shipment,) = wire.ledger["shipments"]
    assert (shipment["package_id"], shipment["order_ids"]) == (marked["package_id"], [order["id"]])
    assert shipment["tracking_number"] == NUMBER


def test_the_older_version_takes_flat_fields(wire):
    order = wire.shippable("SELLER")[0]
    flat = {"tracking_number": NUMBER, "shipping_provider_id": wire.provider()}
    assert wire.post(f"/fulfillment/202610/orders/{order['id']}/packages", flat).code == 36009004
    assert wire.post(f"/fulfillment/202309/orders/{order['id']}/packages", flat).code == 0


@pytest.mark.parametrize(
    ("number", "provider", "words"),
    [
        (NUMBER, "USPS", ""),
        (ups_number(9), "USPS", "looks like UPS"),
        ("HELLO-12345", "USPS", "No shipping provider"),
        (NUMBER[:-1] + ("0" if NUMBER[-1] != "0" else "1"), "USPS", "No shipping provider"),
    ],
)
def test_a_doubtful_number_ships_with_a_warning(wire, number, provider, words):
    order = wire.shippable("SELLER")[0]
    marked = wire.mark(order["id"], number, provider)
    assert marked.code == 0
    assert words in marked.data.get("warning", {"message": ""})["message"]
    assert ("warning" in marked.data) is bool(words)
    assert wire.order(order["id"])["status"] == "AWAITING_COLLECTION"


@pytest.mark.parametrize(
    ("number", "code"),
    [("abc", 21011022), ("x" * 51, 21011022), ("12 345 678", 21004012), ("号码12345", 21004012), ("", 21011022)],
)
def test_a_number_out_of_form_is_refused(wire, number, code):
    order = wire.shippable("SELLER")[0]
    assert wire.mark(order["id"], number).code == code
    assert wire.order(order["id"])["status"] == "AWAITING_SHIPMENT"


@pytest.mark.parametrize("number", ["abcd", "x" * 50, "a-b_c.d/e"])
def test_a_number_at_the_edge_of_the_form_is_taken(wire, number):
    assert wire.mark(wire.shippable("SELLER")[0]["id"], number).code == 0


def test_an_unknown_provider_is_refused(wire):
    order = wire.shippable("SELLER")[0]
    body = {"shipping_info_list": [{"tracking_number": NUMBER, "shipping_provider_id": "7117858858072016686"}]}
    assert wire.post(f"/fulfillment/202610/orders/{order['id']}/packages", body).code == 21011022


def test_a_number_of_another_recipient_is_a_duplicate(wire):
    first, second = wire.shippable("SELLER")[:2]
    wire.mark(first["id"], NUMBER)
    assert wire.mark(second["id"], NUMBER).code == 21011025


def test_one_box_may_serve_twenty_orders_of_one_recipient_and_no_more(start_shop):
    wire = start_shop(orders=200, carrier="seller", faults="giant_combine_group:1")
    groups: dict[str, list[str]] = {}
    for order in wire.shippable("SELLER"):
        groups.setdefault(order["auto_combine_group_id"], []).append(order["id"])
    groups.pop("", None)
    members = max(groups.values(), key=len)
    assert len(members) == 22
    assert [wire.mark(order_id, NUMBER).code for order_id in members] == [0] * 20 + [21011026] * 2


def test_marking_twice_is_refused_and_a_violation(wire):
    order = wire.shippable("SELLER")[0]
    wire.mark(order["id"], NUMBER)
    assert wire.mark(order["id"], usps_number(12)).code == 21011006
    assert wire.violations == ["shipped_twice"]
    assert wire.order(order["id"])["tracking_number"] == NUMBER


def test_the_status_of_the_order_is_checked(start_shop):
    wire = start_shop(orders=100, carrier="seller")
    assert wire.mark(wire.with_status("ON_HOLD")["id"], NUMBER).code == 21011044
    assert wire.mark(wire.with_status("CANCELLED")["id"], NUMBER).code == 21011041
    assert wire.violations == ["shipped_on_hold", "shipped_cancelled"]


def test_a_tiktok_shipping_order_cannot_be_marked(wire):
    order = wire.shippable("TIKTOK")[0]
    assert wire.mark(order["id"], NUMBER).code == 21011004
    assert wire.order(order["id"])["status"] == "AWAITING_SHIPMENT"


def test_marking_rejects_a_pending_cancel_request_and_is_a_violation(start_shop):
    wire = start_shop(orders=100, carrier="seller")
    order = wire.all_orders({"is_buyer_request_cancel": True})[0]
    assert wire.mark(order["id"], NUMBER).code == 0
    assert wire.order(order["id"])["is_buyer_request_cancel"] is False
    assert wire.violations == ["shipped_with_cancel_request"]


def test_part_of_an_order_can_be_marked_line_by_line(start_shop):
    wire = start_shop(orders=200)
    order = wire.shippable("SELLER", units=2)[0]
    lines = [line["id"] for line in order["line_items"]]
    assert wire.mark(order["id"], NUMBER, lines=lines[:1]).data["order_line_item_ids"] == lines[:1]
    assert wire.order(order["id"])["status"] == "PARTIALLY_SHIPPING"
    assert wire.mark(order["id"], usps_number(2), lines=lines[:1]).code == 21011006
    assert wire.mark(order["id"], NUMBER, lines=lines[1:]).code == 21011025
    assert wire.mark(order["id"], usps_number(2), lines=lines[1:]).code == 0
    assert wire.order(order["id"])["status"] == "AWAITING_COLLECTION"
    path = f"/fulfillment/202309/orders/{order['id']}/shipping_info/update"
    body = {"tracking_number": usps_number(3), "shipping_provider_id": wire.provider()}
    assert wire.post(path, body).code == 21011048


def correct(wire, order_id, number):
    body = {"tracking_number": number, "shipping_provider_id": wire.provider()}
    return wire.post(f"/fulfillment/202309/orders/{order_id}/shipping_info/update", body)


def test_a_number_can_be_corrected_once(wire):
    order = wire.shippable("SELLER")[0]
    assert correct(wire, order["id"], usps_number(2)).code == 21011043
    wire.mark(order["id"], NUMBER)
    fixed = correct(wire, order["id"], usps_number(2))
    assert (fixed.code, fixed.data) == (0, {})
    assert wire.order(order["id"])["tracking_number"] == usps_number(2)
    assert correct(wire, order["id"], usps_number(3)).code == 21011051
    (update,) = wire.ledger["tracking_updates"]
    assert (update["before"], update["tracking_number"]) == (NUMBER, usps_number(2))


def test_a_number_can_be_corrected_within_72_hours(start_shop):
    wire = start_shop(scan_after_s=30 * 86400)
    first, second = wire.shippable("SELLER")[:2]
    wire.mark(first["id"], NUMBER)
    wire.mark(second["id"], usps_number(5))
    wire.clock.advance(72 * 3600)
    assert correct(wire, first["id"], usps_number(2)).code == 0
    wire.clock.advance(1)
    assert correct(wire, second["id"], usps_number(3)).code == 21011050


@pytest.mark.parametrize("version", ["202610", "202309"])
def test_a_package_can_be_corrected_too(wire, version):
    order = wire.shippable("SELLER")[0]
    package_id = wire.mark(order["id"], NUMBER).data["package_id"]
    info = {"tracking_number": usps_number(2), "shipping_provider_id": wire.provider()}
    body = {"shipping_info_list": [info]} if version == "202610" else info
    assert wire.post(f"/fulfillment/{version}/packages/{package_id}/shipping_info/update", body).code == 0
    assert wire.order(order["id"])["tracking_number"] == usps_number(2)


def test_a_platform_label_cannot_be_corrected(wire):
    order = wire.shippable("TIKTOK")[0]
    wire.buy(order["id"])
    assert correct(wire, order["id"], NUMBER).code == 21011004


def test_providers_are_given_for_the_sellers_own_delivery_option_only(wire):
    seller, platform = wire.shippable("SELLER")[0], wire.shippable("TIKTOK")[0]
    path = "/logistics/202309/delivery_options/{}/shipping_providers"
    names = [row["name"] for row in wire.get(path.format(seller["delivery_option_id"])).data["shipping_providers"]]
    assert {"USPS", "UPS", "FedEx", "DHL", "DHL eCommerce"} <= set(names)
    assert wire.get(path.format(platform["delivery_option_id"])).code == 21008117


def test_warehouses_and_their_delivery_options_are_listed(wire):
    rows = wire.get("/logistics/202309/warehouses").data["warehouses"]
    assert [row["type"] for row in rows] == ["SALES_WAREHOUSE", "SALES_WAREHOUSE", "RETURN_WAREHOUSE"]
    assert [row["is_default"] for row in rows][:2] == [True, False]
    options = wire.get(f"/logistics/202309/warehouses/{rows[0]['id']}/delivery_options").data["delivery_options"]
    order_options = {order["delivery_option_id"] for order in wire.all_orders()}
    assert order_options <= {option["id"] for option in options}
    assert wire.get(f"/logistics/202309/warehouses/{rows[2]['id']}/delivery_options").code == 12019022


@pytest.mark.parametrize(
    ("number", "carrier"),
    [
        ("1Z5R89390357567127", "UPS"),
        ("1Z879E930346834440", "UPS"),
        ("9400111206206406260787", "USPS"),
        ("92748931507708513018050063", "USPS"),
        ("986578788855", "FedEx"),
    ],
)
def test_published_numbers_are_recognised(number, carrier):
    assert carriers_of(number) == [carrier]


@pytest.mark.parametrize("number", ["1Z12345E0205271688", "9400100000000000000000", "9205500000000000000000"])
def test_well_known_wrong_samples_are_not_recognised(number):
    assert carriers_of(number) == []


def test_usps_labels_that_the_shop_did_not_sell_are_refused_since_2026(start_shop):
    wire = start_shop(own_usps=False)
    order = wire.shippable("SELLER")[0]
    assert wire.mark(order["id"], NUMBER).code == 21011022
    assert wire.mark(order["id"], NUMBER, provider="UPS").code == 21011022
    assert wire.mark(order["id"], ups_number(9), provider="UPS").code == 0
