"""What the generator promises: a day like a live stream, the same for the same seed, consistent in itself."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import zipcodes

from tiktok_erp.simulator.deadlines import end_of_business_day, federal_holidays
from tiktok_erp.simulator.options import SimulatorOptions
from tiktok_erp.simulator.places import PLACES
from tiktok_erp.simulator.server import Simulator

SCARCE = ("LNG-SAGE-M", "LIP-CHRY")


@pytest.fixture(scope="module")
def orders():
    """The orders of a shop of 600, read from behind the wire."""
    from tiktok_erp.simulator.wire import order_object

    simulator = Simulator(SimulatorOptions(orders=600, faults=""), lambda: 1795032000.0)
    return [order_object(simulator.shop, order, 1795032000) for order in simulator.shop.orders.values()]


def state(order):
    return next(row["iso_code"] for row in order["recipient_address"]["district_info"] if row["address_level"] == "L1")


def readable(orders):
    return [order for order in orders if order.get("recipient_address", {}).get("postal_code")]


def test_there_are_as_many_orders_as_asked_for_and_most_can_be_shipped(orders):
    assert len(orders) == 600
    statuses = Counter(order["status"] for order in orders)
    assert statuses["AWAITING_SHIPMENT"] > 450
    for status in ("ON_HOLD", "UNPAID", "CANCELLED", "IN_TRANSIT", "DELIVERED", "COMPLETED"):
        assert statuses[status] > 0, status


def test_ids_are_long_and_never_repeat(orders):
    ids = [order["id"] for order in orders] + [line["id"] for order in orders for line in order["line_items"]]
    assert len(ids) == len(set(ids))
    assert all(int(one) > 2**53 and len(one) in (18, 19) for one in ids)


def test_a_few_skus_are_hot_and_units_are_lines(orders):
    sold = Counter(line["seller_sku"] for order in orders for line in order["line_items"] if not line["is_gift"])
    total = sum(sold.values())
    assert sum(count for sku, count in sold.most_common(4)) > 0.4 * total
    assert 15 <= len(sold) <= 25
    repeated = [
        order for order in orders if len({line["sku_id"] for line in order["line_items"]}) < len(order["line_items"])
    ]
    several = [order for order in orders if len({line["sku_id"] for line in order["line_items"]}) > 1]
    assert len(repeated) > 50
    assert len(several) > 100


def test_gifts_samples_pre_orders_and_replacements_are_there(orders):
    gifts = [line for order in orders for line in order["line_items"] if line["is_gift"]]
    assert gifts
    assert {(line["sale_price"], line["gift_retail_price"]) for line in gifts} == {("0.00", "3.99")}
    samples = [order for order in orders if order["is_sample_order"]]
    assert samples
    assert {Decimal(order["payment"]["total_amount"]) for order in samples} == {Decimal(0)}
    pre_orders = [order for order in orders if order["order_type"] == "PRE_ORDER"]
    assert pre_orders
    assert all(order["status"] == "ON_HOLD" and order["release_date"] > 1795032000 for order in pre_orders)
    assert any(order["is_replacement_order"] and order["replaced_order_id"] for order in orders)
    assert any(order.get("handling_duration", {}).get("type") == "BUSINESS_DAY" for order in orders)
    assert any(order["fulfillment_type"] == "FULFILLMENT_BY_TIKTOK" for order in orders)


def test_buyers_cancel_on_hold_at_once_and_later_by_request(orders):
    assert any(order["status"] == "CANCELLED" and order["cancellation_initiator"] == "BUYER" for order in orders)
    asking = [order for order in orders if order["is_buyer_request_cancel"]]
    assert asking
    assert all(order["status"] == "AWAITING_SHIPMENT" for order in asking)


def test_some_orders_have_one_cancelled_line(orders):
    partly = [
        order
        for order in orders
        if order["status"] == "AWAITING_SHIPMENT"
        and any(line["display_status"] == "CANCELLED" for line in order["line_items"])
    ]
    assert partly
    assert all(
        line["cancel_user"] == "SELLER" for order in partly for line in order["line_items"] if line["cancel_reason"]
    )


def test_the_states_that_carrier_rules_know_are_there(orders):
    assert {"CA", "NY", "TX", "PR", "AK", "AE", "AP"} <= {state(order) for order in readable(orders)}


def test_zip_codes_lie_in_their_states():
    for place in PLACES:
        found = zipcodes.matching(place.zip5)
        assert found[0]["state"] == place.iso, place
        assert found[0]["city"].lower() == place.city.lower(), place


def test_totals_lie_on_and_around_10_and_30_dollars(orders):
    totals = [Decimal(order["payment"]["total_amount"]) for order in orders]
    assert {Decimal("9.99"), Decimal("10.00"), Decimal("29.99"), Decimal("30.00")} <= set(totals)
    assert sum(0 < total < 10 for total in totals) > 10
    assert sum(10 <= total < 30 for total in totals) > 100
    assert sum(total >= 30 for total in totals) > 100
    californian = [Decimal(order["payment"]["total_amount"]) for order in readable(orders) if state(order) == "CA"]
    assert min(californian) < 10 < 30 < max(californian)


def test_notes_come_in_chinese_and_with_emoji(orders):
    notes = "".join(order["buyer_message"] for order in orders)
    assert any("\u4e00" <= sign <= "\u9fff" for sign in notes)
    assert any(ord(sign) > 0x1F000 for sign in notes)


def test_orders_of_a_combine_group_belong_together(orders):
    groups: dict[str, list[dict]] = {}
    for order in orders:
        if order["auto_combine_group_id"]:
            groups.setdefault(order["auto_combine_group_id"], []).append(order)
    assert len(groups) > 5
    for members in groups.values():
        assert len(members) >= 2
        assert len({(order["user_id"], order["shipping_type"], order["warehouse_id"]) for order in members}) == 1
        times = [order["create_time"] for order in members]
        assert max(times) - min(times) <= 3 * 3600


def test_deadlines_are_two_business_days_pacific_and_in_order(orders):
    for order in orders:
        if order["status"] == "UNPAID" or "paid_time" not in order:
            continue
        assert order["rts_sla_time"] == order["tts_sla_time"] < order["shipping_due_time"]
        assert (order["rts_sla_time"] + 1) % 3600 == 0
        if order["order_type"] == "NORMAL":
            assert order["rts_sla_time"] == end_of_business_day(order["create_time"], 2)
            assert order["shipping_due_time"] == end_of_business_day(order["create_time"], 7)
        assert order["create_time"] <= order["paid_time"] <= order["update_time"]


def test_the_example_of_the_reference_has_its_deadlines():
    placed = 1794973331
    assert end_of_business_day(placed, 2) == 1795161599
    assert end_of_business_day(placed, 7) == 1795852799
    assert end_of_business_day(placed, 6) == 1795679999


def test_a_friday_order_is_due_on_tuesday_and_holidays_do_not_count():
    friday = int(datetime(2026, 11, 20, 20, tzinfo=UTC).timestamp())
    assert datetime.fromtimestamp(end_of_business_day(friday, 2), UTC).date() == date(2026, 11, 25)
    assert len(federal_holidays(2026)) == 11
    assert {date(2026, 11, 26), date(2026, 7, 3), date(2027, 1, 1)} <= federal_holidays(2026) | federal_holidays(2027)


def test_two_skus_are_nearly_sold_out_and_the_rest_is_plenty():
    shop = Simulator(SimulatorOptions(orders=300, carrier="mixed"), lambda: 1795032000.0).shop
    for sku in shop.catalogue.skus.values():
        assert min(sku.available.values()) >= 0
        assert (sum(sku.available.values()) < 40) is (sku.seller_sku in SCARCE), sku.seller_sku


def test_the_same_seed_gives_the_same_shop_and_another_seed_another():
    def fingerprint(seed, start):
        shop = Simulator(SimulatorOptions(orders=80, seed=seed), lambda: start).shop
        return [(order.id, order.status, order.total, order.buyer.address.zip5) for order in shop.orders.values()]

    assert fingerprint(1, 1795032000.0) == fingerprint(1, 1795032000.0)
    assert fingerprint(1, 1795032000.0) != fingerprint(2, 1795032000.0)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 19, 20, 23, 40])
def test_small_shops_have_just_as_many_orders(count):
    assert len(Simulator(SimulatorOptions(orders=count), lambda: 1795032000.0).shop.orders) == count


@pytest.mark.parametrize(
    ("carrier", "types"), [("tiktok", {"TIKTOK"}), ("seller", {"SELLER"}), ("mixed", {"TIKTOK", "SELLER"})]
)
def test_the_carrier_option_decides_the_shipping_type(carrier, types):
    shop = Simulator(SimulatorOptions(orders=100, carrier=carrier), lambda: 1795032000.0).shop
    assert {order.shipping_type for order in shop.orders.values() if not order.is_platform_fulfilled} == types


def test_orders_arrive_over_the_minutes_asked_for(start_shop):
    wire = start_shop(orders=100, minutes=10)
    start = int(wire.clock())
    early = wire.search().data["total_count"]
    assert early < 15
    wire.clock.advance(300)
    assert early < wire.search().data["total_count"] < 100
    wire.clock.advance(301)
    orders = wire.all_orders()
    assert len(orders) == 100
    assert max(order["create_time"] for order in orders) <= start + 600
