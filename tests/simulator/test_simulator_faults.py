"""Injected faults: that they strike as described, that the truth is in the ledger, and that the dice are seeded."""

from __future__ import annotations

import http.client
import re
import threading
import time
from email.utils import parsedate_to_datetime

import pytest

from tiktok_erp.simulator.faults import FAULTS, Dice, parse_faults
from tiktok_erp.simulator.numbers import usps_number
from tiktok_erp.simulator.options import SimulatorOptions

LOST = (http.client.RemoteDisconnected, ConnectionResetError)


@pytest.mark.parametrize(
    "text", ["nonsense:0.1", "html_ok:2", "html_ok:-1", "html_ok", "html_ok:x", "html_ok:1,html_ok:1"]
)
def test_a_bad_list_of_faults_says_what_is_wrong(text):
    with pytest.raises(ValueError, match=re.escape(text.split(":", 1)[0])):
        SimulatorOptions(faults=text)


def test_every_fault_is_described_and_can_be_asked_for():
    chosen = parse_faults(",".join(f"{name}:0.5" for name in FAULTS))
    assert set(chosen) == set(FAULTS)
    assert all(text for text in FAULTS.values())


def test_dice_are_seeded_and_one_fault_does_not_shift_another():
    def rolls(text, seed):
        dice = Dice(text, seed)
        return [dice.roll("html_ok") for number in range(200)]

    assert rolls("html_ok:0.3", 7) == rolls("html_ok:0.3,slow_answer:0.5", 7)
    assert rolls("html_ok:0.3", 7) != rolls("html_ok:0.3", 8)
    assert 30 < sum(rolls("html_ok:0.3", 7)) < 90


def test_a_lost_answer_hides_a_purchase_that_happened(start_shop):
    wire = start_shop(faults="purchase_answer_lost:1")
    order = wire.shippable("TIKTOK")[0]
    with pytest.raises(LOST):
        wire.buy(order["id"])
    after = wire.order(order["id"])
    assert after["status"] == "AWAITING_COLLECTION"
    (purchase,) = wire.ledger["purchases"]
    assert {"id": purchase["package_id"]} in after["packages"]
    assert wire.buy(order["id"]).code == 21022025
    assert wire.ledger["faults"] == {"purchase_answer_lost": 1}


def test_a_lost_answer_hides_a_shipment_and_a_stock_update_that_happened(start_shop):
    wire = start_shop(faults="shipment_answer_lost:1,inventory_answer_lost:1")
    order = wire.shippable("SELLER")[0]
    with pytest.raises(LOST):
        wire.mark(order["id"], usps_number(1))
    assert wire.order(order["id"])["tracking_number"] == usps_number(1)
    product = wire.post("/product/202502/products/search", {}).data["products"][0]
    sku = product["skus"][0]
    places = [{"warehouse_id": row["warehouse_id"], "quantity": 5} for row in sku["inventory"]]
    with pytest.raises(LOST):
        wire.post(
            f"/product/202309/products/{product['id']}/inventory/update",
            {"skus": [{"id": sku["id"], "inventory": places}]},
        )
    assert {write["quantity"] for write in wire.ledger["inventory_writes"]} == {5}


def test_a_dropped_connection_did_nothing(start_shop):
    wire = start_shop(faults="connection_dropped:1")
    order_id = next(iter(wire.simulator.shop.orders))
    with pytest.raises(LOST):
        wire.buy(order_id)
    assert wire.ledger["purchases"] == wire.ledger["violations"] == []


def test_an_internal_error_comes_once_for_a_request_and_did_nothing(start_shop):
    wire = start_shop(faults="internal_error:1")
    first = wire.search()
    assert first.code == 36009003
    assert first.status in (200, 500)
    order = wire.search().data["orders"][0]
    assert wire.buy(order["id"]).code == 36009003
    assert wire.ledger["purchases"] == []


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [("html_ok", 200, "text/html"), ("html_502", 502, "text/html"), ("unavailable", 503, "text/plain")],
)
def test_answers_that_are_no_json(start_shop, fault, status, kind):
    reply = start_shop(faults=f"{fault}:1").search()
    assert reply.status == status
    assert reply.headers["content-type"].startswith(kind)
    assert not reply.raw.startswith(b"{")


def test_truncated_json_stops_in_the_middle(start_shop):
    wire = start_shop(faults="truncated_json:1")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        wire.search().envelope  # noqa: B018 - parsing is what is tested


def test_a_slow_answer_waits_scaled(start_shop):
    wire = start_shop(faults="slow_answer:1", time_scale=1000)
    assert wire.search().code == 0
    assert wire.ledger["faults"]["slow_answer"] == 1


@pytest.mark.parametrize(("fault", "seconds"), [("slow_answer", 5), ("stalled_answer", 10)])
def test_a_delay_comes_after_the_work_and_is_divided_by_the_time_scale(start_shop, fault, seconds):
    wire = start_shop(faults=f"{fault}:1", time_scale=20, carrier="tiktok")
    orders = wire.simulator.shop.orders.values()
    order = next(row for row in orders if row.status == "AWAITING_SHIPMENT" and not row.is_platform_fulfilled)
    started = time.perf_counter()
    buying = threading.Thread(target=wire.buy, args=(order.id,))
    buying.start()
    while order.status == "AWAITING_SHIPMENT" and buying.is_alive():
        pass
    assert order.status == "AWAITING_COLLECTION"
    assert time.perf_counter() - started < seconds / 20
    buying.join()
    assert time.perf_counter() - started >= seconds / 20
    assert wire.ledger["faults"] == {fault: 1}


def test_a_stalled_answer_holds_up_nobody_else(start_shop):
    wire = start_shop(faults="stalled_answer:1", time_scale=5)
    other = type(wire)(wire.simulator, wire.clock)
    stalled = threading.Thread(target=wire.search)
    stalled.start()
    while not wire.ledger["faults"].get("stalled_answer") and stalled.is_alive():
        pass
    wire.simulator.dice.probabilities["stalled_answer"] = 0.0
    assert other.search().code == 0
    assert stalled.is_alive()
    stalled.join()
    other.close()


def test_a_burst_of_429_shows_retry_after_in_all_its_forms(start_shop):
    wire = start_shop(faults="throttle_burst:1")
    replies = [wire.search() for attempt in range(5)]
    assert {reply.code for reply in replies} == {36009002}
    forms = [reply.headers.get("retry-after") for reply in replies]
    assert None in forms
    assert "1" in forms
    dates = [form for form in forms if form not in (None, "1")]
    assert parsedate_to_datetime(dates[0]).timestamp() == int(wire.clock()) + 1


def test_duplicate_rows_repeat_and_never_lose_an_order(start_shop):
    wire = start_shop(orders=100, faults="duplicate_rows:1")
    rows = wire.walk("/order/202309/orders/search", {}, "orders", page_size="20")
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == 100
    assert len(ids) > 100


def test_shuffled_rows_are_all_there_out_of_order(start_shop):
    wire = start_shop(faults="shuffled_rows:1")
    times = [order["create_time"] for order in wire.search().data["orders"]]
    assert len(times) == 60
    assert times != sorted(times, reverse=True)


def test_an_order_moves_out_of_the_window_during_the_search(start_shop):
    wire = start_shop(faults="update_time_outside:1")
    end = int(wire.clock()) - 3600
    orders = wire.search({"update_time_ge": 1, "update_time_lt": end}).data["orders"]
    assert sum(order["update_time"] >= end for order in orders) == 1


def test_a_revoked_token_can_be_refreshed(start_shop):
    wire = start_shop(faults="token_revoked:0.5", seed=3)
    codes = []
    for _attempt in range(20):
        reply = wire.search(page_size="1")
        codes.append(reply.code)
        if reply.code == 105002:
            assert reply.status == 401
            assert wire.search(page_size="1").code == 105002
            simulator = wire.simulator
            query = (
                f"app_key={simulator.app_key}&app_secret={simulator.app_secret}&refresh_token={simulator.refresh_token}"
            )
            fresh = wire.send("GET", f"/api/v2/token/refresh?{query}&grant_type=refresh_token").data
            wire.token = fresh["access_token"]
    assert set(codes) == {0, 105002}


def test_a_document_is_refused_three_times_and_then_there(start_shop):
    wire = start_shop(faults="document_not_ready:1")
    package_id = wire.buy(wire.shippable("TIKTOK")[0]["id"]).data["package_id"]
    assert [wire.document(package_id).code for attempt in range(6)] == [11034037] * 3 + [0] * 3


@pytest.mark.parametrize("fault", ["document_expired", "pdf_html", "pdf_truncated"])
def test_broken_downloads(start_shop, fault):
    wire = start_shop(faults=f"{fault}:1")
    package_id = wire.buy(wire.shippable("TIKTOK")[0]["id"]).data["package_id"]
    answer = wire.download(wire.document(package_id).data["doc_url"])
    if fault == "document_expired":
        assert answer.status == 403
    elif fault == "pdf_html":
        assert (answer.status, answer.headers["content-type"][:9]) == (200, "text/html")
    else:
        assert answer.status == 200
        assert answer.raw.startswith(b"%PDF")
        assert b"%%EOF" not in answer.raw


def test_a_seller_sku_that_is_missing_is_missing_everywhere(start_shop):
    wire = start_shop(faults="seller_sku_missing:0.4", orders=150)
    codes: dict[str, set[str]] = {}
    for order in wire.all_orders():
        for line in order["line_items"]:
            codes.setdefault(line["sku_id"], set()).add(line["seller_sku"])
    for product in wire.walk("/product/202502/products/search", {}, "products", page_size="50"):
        for sku in product["skus"]:
            codes.setdefault(sku["id"], set()).add(sku["seller_sku"])
    assert all(len(found) == 1 for found in codes.values())
    missing = [sku_id for sku_id, found in codes.items() if found == {""}]
    assert 0 < len(missing) < len(codes)


def shown_and_changed(wire, changed):
    """Return the id of the order that the first list showed as shippable and that then changed."""
    shown = [order["id"] for order in wire.search({"order_status": "AWAITING_SHIPMENT"}).data["orders"]]
    orders = wire.simulator.shop.orders
    (order_id,) = [order_id for order_id in shown if changed(orders[order_id])]
    return order_id


def test_an_order_cancelled_after_the_list_is_a_violation_only_for_who_does_not_look_again(start_shop):
    wire = start_shop(faults="cancelled_after_list:1", carrier="tiktok")
    order_id = shown_and_changed(wire, lambda order: order.status == "CANCELLED")
    assert wire.buy(order_id).code == 21011041
    assert wire.violations == []
    assert wire.order(order_id)["status"] == "CANCELLED"
    assert wire.buy(order_id).code == 21011041
    assert wire.violations == ["bought_cancelled"]


def test_a_cancel_request_after_the_list_is_seen_by_who_looks_again(start_shop):
    wire = start_shop(faults="cancel_request_after_list:1", carrier="tiktok")
    now = int(wire.clock())
    order_id = shown_and_changed(wire, lambda order: order.cancel_requested and order.request_cancel_at == now)
    assert wire.order(order_id)["is_buyer_request_cancel"] is True


def test_an_order_cancelled_in_the_instant_of_the_purchase(start_shop):
    wire = start_shop(faults="cancelled_at_purchase:1")
    order = wire.shippable("TIKTOK")[0]
    assert wire.buy(order["id"]).code == 21011041
    assert wire.order(order["id"])["status"] == "CANCELLED"
    assert wire.violations == []


def test_an_address_can_be_refused_for_good(start_shop):
    wire = start_shop(faults="address_refused:1")
    order = wire.shippable("TIKTOK")[0]
    assert [wire.buy(order["id"]).code for attempt in range(2)] == [11021012] * 2
    assert wire.violations == []


def test_one_sku_of_a_stock_update_can_fail_beside_code_0(start_shop):
    wire = start_shop(faults="inventory_partial:1")
    product = wire.post("/product/202502/products/search", {}).data["products"][0]
    sku = product["skus"][0]
    places = [{"warehouse_id": row["warehouse_id"], "quantity": 5} for row in sku["inventory"]]
    body = {"skus": [{"id": sku["id"], "inventory": places}]}
    reply = wire.post(f"/product/202309/products/{product['id']}/inventory/update", body)
    assert reply.code == 0
    assert [error["code"] for error in reply.data["errors"]] == [12052990]
    assert wire.ledger["inventory_writes"] == []


def test_new_fields_and_new_words_appear(start_shop):
    wire = start_shop(faults="unknown_fields:1,unknown_enum:1,unknown_status:0.5")
    data = wire.search().data
    assert "experiment_bucket" in data
    orders = data["orders"]
    assert all("loyalty_tier" in order and "carbon_grams" in order["line_items"][0] for order in orders)
    assert {order["order_type"] for order in orders} == {"GROUP_DEAL"}
    assert "AWAITING_CUSTOMS_REVIEW" in {order["status"] for order in orders}


def test_shipping_an_order_in_an_unknown_status_is_a_violation(start_shop):
    wire = start_shop(faults="unknown_status:1", carrier="tiktok")
    order = next(order for order in wire.search().data["orders"] if order["status"] == "AWAITING_CUSTOMS_REVIEW")
    assert wire.buy(order["id"]).code in (21042057, 21008025)
    assert wire.violations[0] in ("bought_unknown_status", "bought_platform_order")


def test_a_skewed_clock_shows_in_the_date_header_and_following_it_helps(start_shop):
    wire = start_shop(faults="clock_skew:1")
    reply = wire.search()
    assert reply.code == 36009004
    assert "timestamp" in reply.message
    server_time = int(parsedate_to_datetime(reply.headers["date"]).timestamp())
    assert server_time - int(wire.clock()) == 400
    path = "/order/202309/orders/search"
    assert wire.call("POST", path, {}, {}, change={"timestamp": str(server_time)}).code == 0


CLOCKS = [("clock_skew", 400), ("clock_4min_ahead", 240), ("clock_4min_behind", -240)]


def at_the_gateways_time(wire, method, path, body=None, **query):
    """Call as a client does that learned the time from the Date header."""
    refused = wire.send("GET", "/order/202309/orders")
    stamp = str(int(parsedate_to_datetime(refused.headers["date"]).timestamp()))
    return wire.call(method, path, query, body if method == "POST" else None, change={"timestamp": stamp})


@pytest.mark.parametrize(("fault", "ahead"), CLOCKS)
def test_a_wrong_gateway_clock_is_in_the_date_header(start_shop, fault, ahead):
    wire = start_shop(faults=f"{fault}:1")
    server_time = parsedate_to_datetime(wire.search().headers["date"]).timestamp()
    assert server_time - int(wire.clock()) == ahead


@pytest.mark.parametrize(("fault", "accepted"), [("clock_4min_ahead", True), ("clock_4min_behind", False)])
def test_four_minutes_are_too_many_only_where_the_gateway_is_behind(start_shop, fault, accepted):
    reply = start_shop(faults=f"{fault}:1").search()
    assert (reply.code == 0) is accepted
    if not accepted:
        assert reply.code == 36009004
        assert "timestamp" in reply.message


@pytest.mark.parametrize(("fault", "ahead"), CLOCKS)
def test_all_times_of_an_order_follow_the_gateways_clock(start_shop, fault, ahead):
    wire = start_shop(faults=f"{fault}:1", orders=40, minutes=1)
    plain = start_shop(orders=40, minutes=1)
    for each in (wire, plain):
        each.clock.advance(3700)

    def times(each):
        names = ("create_time", "paid_time", "update_time", "request_cancel_time", "cancel_time")
        path = "/order/202309/orders/search"
        orders = at_the_gateways_time(each, "POST", path, {}, page_size="100").data["orders"]
        return {order["id"]: {name: order.get(name) for name in names} for order in orders}

    expected = {
        order_id: {name: at + ahead if at else at for name, at in found.items()}
        for order_id, found in times(plain).items()
    }
    assert len(expected) >= 30
    assert times(wire) == expected


@pytest.mark.parametrize(("fault", "ahead"), CLOCKS)
def test_what_changes_later_is_stamped_by_the_gateways_clock_too(start_shop, fault, ahead):
    wire = start_shop(faults=f"{fault}:1", orders=100, carrier="tiktok")
    path = "/order/202309/orders/search"
    orders = at_the_gateways_time(wire, "POST", path, {"order_status": "AWAITING_SHIPMENT"}, page_size="100").data
    order = next(
        row
        for row in orders["orders"]
        if row["fulfillment_type"] == "FULFILLMENT_BY_SELLER" and not row["is_buyer_request_cancel"]
    )
    wire.clock.advance(50)
    now = int(wire.clock()) + ahead
    body = {"ship_type": "1", "order_id": order["id"]}
    assert at_the_gateways_time(wire, "POST", "/fulfillment/202512/packages", body).code == 0
    after = at_the_gateways_time(wire, "GET", "/order/202507/orders", ids=order["id"]).data["orders"][0]
    assert after["rts_time"] == after["update_time"] == now
    assert wire.ledger["purchases"][0]["time"] == now
    token = wire.simulator.accounts.newest()
    assert token.expires_at == int(wire.clock()) - 50 + ahead + 7 * 86400


def test_one_wrong_clock_at_most(start_shop):
    wire = start_shop(faults=",".join(f"{fault}:1" for fault, ahead in CLOCKS))
    server_time = parsedate_to_datetime(wire.search().headers["date"]).timestamp()
    assert server_time - int(wire.clock()) == 400
