"""Cancel requests of buyers, and the seller's own cancels."""

from __future__ import annotations

import pytest

SEARCH = "/return_refund/202602/cancellations/search"
CANCEL = "/return_refund/202602/cancellations"


@pytest.fixture
def request_pending(start_shop):
    wire = start_shop(orders=150)
    row = wire.post(SEARCH, {"cancel_status": ["CANCELLATION_REQUEST_PENDING"]}).data["cancellations"][0]
    return wire, row


def answer(wire, row, what, body=None):
    return wire.post(f"/return_refund/202309/cancellations/{row['cancel_id']}/{what}", body)


def test_a_request_waits_for_the_seller_with_a_deadline(request_pending):
    wire, row = request_pending
    order = wire.order(row["order_id"])
    assert (order["status"], order["is_buyer_request_cancel"]) == ("AWAITING_SHIPMENT", True)
    (action,) = row["seller_next_action_response"]
    assert action["action"] == "SELLER_RESPOND_BUYER_CANCEL"
    assert action["deadline"] == row["create_time"] + 48 * 3600
    assert (row["role"], row["cancel_type"]) == ("BUYER", "BUYER_CANCEL")
    assert [line["order_line_item_id"] for line in row["cancel_line_items"]] == [
        line["id"] for line in order["line_items"]
    ]
    assert row["refund_amount"]["refund_total"] == order["payment"]["total_amount"]


def test_approving_cancels_the_order(request_pending):
    wire, row = request_pending
    assert answer(wire, row, "approve").code == 0
    order = wire.order(row["order_id"])
    assert (order["status"], order["cancellation_initiator"]) == ("CANCELLED", "BUYER")
    assert order["is_buyer_request_cancel"] is False
    assert {line["display_status"] for line in order["line_items"]} == {"CANCELLED"}
    (after,) = wire.post(SEARCH, {"cancel_ids": [row["cancel_id"]]}).data["cancellations"]
    assert after["cancel_status"] == "CANCELLATION_REQUEST_COMPLETE"
    assert after["should_replenish_stock"] is True
    assert answer(wire, row, "approve").code == 25001051


def test_rejecting_keeps_the_order(request_pending):
    wire, row = request_pending
    assert answer(wire, row, "reject", {"reject_reason": "because"}).code == 25001014
    assert answer(wire, row, "reject", {"reject_reason": "seller_reject_apply_product_has_been_packed"}).code == 0
    order = wire.order(row["order_id"])
    assert (order["status"], order["is_buyer_request_cancel"]) == ("AWAITING_SHIPMENT", False)
    (after,) = wire.post(SEARCH, {"cancel_ids": [row["cancel_id"]]}).data["cancellations"]
    assert after["cancel_status"] == "CANCELLATION_REQUEST_CANCEL"


@pytest.mark.parametrize("what", ["approve", "reject"])
def test_an_answer_takes_an_idempotency_key_and_a_second_answer_is_refused(request_pending, what):
    wire, row = request_pending
    path = f"/return_refund/202309/cancellations/{row['cancel_id']}/{what}"
    body = {"reject_reason": "seller_reject_apply_product_has_been_packed"} if what == "reject" else None
    codes = [wire.post(path, body, idempotency_key="answer-1").code for attempt in range(2)]
    assert codes == [0, 25001051]
    assert wire.post(path, body, idempotency_key="answer-2").code == 25001051


def test_an_answered_request_asks_for_nothing_more_and_its_stock_is_back(request_pending):
    wire, row = request_pending
    assert row["should_replenish_stock"] is True
    shop = wire.simulator.shop
    skus = [shop.catalogue.skus[line["sku_id"]] for line in row["cancel_line_items"]]
    free = sum(sum(sku.available.values()) for sku in shop.catalogue.skus.values())
    assert answer(wire, row, "approve").code == 0
    (after,) = wire.post(SEARCH, {"cancel_ids": [row["cancel_id"]]}).data["cancellations"]
    assert after["seller_next_action_response"] == []
    assert after["update_time"] == int(wire.clock())
    assert sum(sum(sku.available.values()) for sku in shop.catalogue.skus.values()) == free + len(skus)


def test_an_unanswered_request_is_granted_after_48_hours(request_pending):
    wire, row = request_pending
    wire.clock.advance(48 * 3600)
    assert wire.order(row["order_id"])["status"] == "CANCELLED"


def test_an_unknown_cancellation_is_refused(wire):
    assert answer(wire, {"cancel_id": "1"}, "approve").code == 25001001


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("UNPAID", "seller_cancel_unpaid_reason_out_of_stock", 0),
        ("UNPAID", "seller_cancel_reason_out_of_stock", 25001021),
        ("ON_HOLD", "seller_cancel_reason_out_of_stock", 0),
        ("AWAITING_SHIPMENT", "seller_cancel_paid_reason_address_not_deliver", 0),
        ("AWAITING_SHIPMENT", "seller_cancel_unpaid_reason_wrong_price", 25001021),
        ("AWAITING_SHIPMENT", "bored", 25001014),
        ("IN_TRANSIT", "seller_cancel_reason_out_of_stock", 25001045),
        ("COMPLETED", "seller_cancel_reason_out_of_stock", 25001051),
        ("CANCELLED", "seller_cancel_reason_out_of_stock", 25001051),
    ],
)
def test_the_sellers_reason_must_fit_the_status(start_shop, status, reason, code):
    wire = start_shop(orders=150)
    order = wire.with_status(status)
    reply = wire.post(CANCEL, {"order_id": order["id"], "cancel_reason": reason})
    assert reply.code == code
    if code == 0:
        after = wire.order(order["id"])
        assert (after["status"], after["cancellation_initiator"]) == ("CANCELLED", "SELLER")
        assert reply.data["cancel_id"].isdecimal()


def test_a_bought_label_can_still_be_cancelled_before_the_scan(wire):
    order = wire.shippable("TIKTOK")[0]
    package_id = wire.buy(order["id"]).data["package_id"]
    body = {"order_id": order["id"], "cancel_reason": "seller_cancel_reason_out_of_stock"}
    assert wire.post(CANCEL, body).code == 0
    assert wire.order(order["id"])["status"] == "CANCELLED"
    assert wire.document(package_id).code == 21011041


def test_single_items_can_be_cancelled_for_want_of_stock_only(start_shop):
    wire = start_shop(orders=150)
    order = wire.shippable("TIKTOK", units=2)[0]
    line = order["line_items"][0]["id"]
    body = {"order_id": order["id"], "order_line_list": [{"order_line_item_id": line}]}
    assert wire.post(CANCEL, {**body, "cancel_reason": "seller_cancel_reason_wrong_price"}).code == 25001021
    assert wire.post(CANCEL, {**body, "cancel_reason": "seller_cancel_reason_out_of_stock"}).code == 0
    after = wire.order(order["id"])
    assert after["status"] == "AWAITING_SHIPMENT"
    assert after["line_items"][0]["display_status"] == "CANCELLED"
    assert wire.post(CANCEL, {**body, "cancel_reason": "seller_cancel_reason_out_of_stock"}).code == 25005010


def test_the_search_pages_and_filters(start_shop):
    wire = start_shop(orders=300)
    rows = wire.walk(SEARCH, {}, "cancellations", page_size="3")
    assert len(rows) == len({row["cancel_id"] for row in rows}) > 9
    assert [row["create_time"] for row in rows] == sorted(row["create_time"] for row in rows)
    buyers = wire.walk(SEARCH, {"cancel_types": ["BUYER_CANCEL"]}, "cancellations", page_size="50")
    assert 0 < len(buyers) < len(rows)
    assert wire.post(SEARCH, {}, page_size="51").code == 36009004
    assert len(wire.post(SEARCH, {}).data["cancellations"]) == 10
    assert wire.post(SEARCH, {"cancel_status": ["WHAT"]}).code == 25001001
