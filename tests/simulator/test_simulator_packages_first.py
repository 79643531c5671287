"""The other mode: packages exist before they are shipped, and Ship / Batch Ship are the way."""

from __future__ import annotations

import pytest

from tiktok_erp.simulator.numbers import usps_number


@pytest.fixture
def planned(start_shop):
    return start_shop(mode="packages-first", orders=100)


def test_packages_are_there_as_to_fulfill(planned):
    for order in planned.shippable("TIKTOK") + planned.shippable("SELLER"):
        (package,) = order["packages"]
        live = [line for line in order["line_items"] if line["display_status"] != "CANCELLED"]
        assert {line["package_id"] for line in live} == {package["id"]}
        assert {line["package_status"] for line in live} == {"TO_FULFILL"}
        assert order["tracking_number"] == ""


def test_an_order_on_hold_has_no_package_yet(planned):
    assert planned.with_status("ON_HOLD")["packages"] == []


def test_endpoints_of_the_other_mode_are_refused(planned):
    order, own = planned.shippable("TIKTOK")[0], planned.shippable("SELLER")[0]
    assert planned.buy(order["id"]).code == 21008106
    assert planned.mark(own["id"], usps_number(1)).code == 21008106
    assert planned.order(order["id"])["status"] == "AWAITING_SHIPMENT"


def test_shipping_a_package_buys_its_label(planned):
    order = planned.shippable("TIKTOK")[0]
    package_id = order["packages"][0]["id"]
    assert planned.document(package_id).code == 21023035
    assert planned.post(f"/fulfillment/202309/packages/{package_id}/ship", {"handover_method": "PICKUP"}).code == 0
    after = planned.order(order["id"])
    assert (after["status"], after["packages"]) == ("AWAITING_COLLECTION", [{"id": package_id}])
    assert planned.document(package_id).code == 0
    assert planned.ledger["purchases"][0]["package_id"] == package_id
    assert planned.post(f"/fulfillment/202309/packages/{package_id}/ship").code == 21011020
    assert planned.violations == ["bought_twice"]


def test_a_sellers_package_needs_its_number(planned):
    order = planned.shippable("SELLER")[0]
    path = f"/fulfillment/202309/packages/{order['packages'][0]['id']}/ship"
    assert planned.post(path).code == 21011022
    shipment = {"tracking_number": usps_number(1), "shipping_provider_id": planned.provider()}
    assert planned.post(path, {"self_shipment": shipment}).code == 0
    after = planned.order(order["id"])
    assert (after["status"], after["tracking_number"]) == ("AWAITING_COLLECTION", usps_number(1))
    assert after["packages"] == order["packages"]


def test_a_batch_ships_what_it_can_and_names_the_rest_beside_code_0(planned):
    first, second = (order["packages"][0]["id"] for order in planned.shippable("TIKTOK")[:2])
    planned.post(f"/fulfillment/202309/packages/{second}/ship")
    body = {"packages": [{"id": first}, {"id": second}, {"id": "1153000000000000001"}]}
    reply = planned.post("/fulfillment/202309/packages/ship", body)
    assert reply.code == 0
    errors = {error["detail"]["package_id"]: error["code"] for error in reply.data["errors"]}
    assert errors == {second: 21011020, "1153000000000000001": 21008111}
    assert len(planned.ledger["purchases"]) == 2


def test_a_clean_batch_has_no_errors(planned):
    ids = [order["packages"][0]["id"] for order in planned.shippable("TIKTOK")[:3]]
    reply = planned.post("/fulfillment/202309/packages/ship", {"packages": [{"id": package_id} for package_id in ids]})
    assert (reply.code, reply.data) == (0, {})
    slots = planned.get(f"/fulfillment/202309/packages/{ids[0]}/handover_time_slots").data
    assert slots["can_drop_off"] is True
    assert all(slot["avaliable"] for slot in slots["pickup_slots"])


def test_a_cancelled_order_takes_its_package_along(planned):
    order = planned.shippable("TIKTOK")[0]
    body = {"order_id": order["id"], "cancel_reason": "seller_cancel_reason_out_of_stock"}
    planned.post("/return_refund/202602/cancellations", body)
    package = planned.get(f"/fulfillment/202309/packages/{order['packages'][0]['id']}").data
    assert package["package_status"] == "CANCELLED"
    assert planned.post(f"/fulfillment/202309/packages/{order['packages'][0]['id']}/ship").code == 21011041
