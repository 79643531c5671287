"""The whole day through the API with both shipping types, compared with the shop's own book; then the day once more."""

from __future__ import annotations

import pytest

DAY = (
    ("init",),
    ("sync",),
    ("stock", "import", "--from-channel", "tiktok"),
    ("reserve-stock",),
    ("allocate", "--no-wait"),
    ("print-labels",),
    ("print-labels", "--from", "tracking.csv"),
    ("upload-tracking",),
    ("sync",),
    ("reserve-stock",),
)
FORBIDDEN = ("ON_HOLD", "CANCELLED", "UNPAID")


@pytest.fixture(scope="module")
def day(tmp_path_factory, simulated):
    """A shop whose day is done. With this seed nothing happens in it by itself for the next minutes."""
    path = tmp_path_factory.mktemp("day")
    with simulated(path, orders=120, seed=9, state=path / "ledger.json") as shop:
        for command in DAY:
            if command[-1] == "tracking.csv":
                shop.write_tracking_list()
            shop.run(*command)
        yield shop


def test_both_shipping_types_are_worked_on(day):
    assert len(day.ledger()["purchases"]) > 20
    assert len(day.ledger()["shipments"]) > 10


def test_every_open_order_is_shipped_and_no_other(day):
    assert day.shipped() == day.due()


def test_no_held_cancelled_unpaid_or_platform_order_is_shipped(day):
    orders = day.ledger()["orders"]
    forbidden = {
        order_id
        for order_id, order in orders.items()
        if order["status"] in FORBIDDEN
        or order["cancel_request"]
        or order["fulfillment_type"] != "FULFILLMENT_BY_SELLER"
    }
    assert {orders[order_id]["status"] for order_id in forbidden} >= {*FORBIDDEN, "AWAITING_SHIPMENT"}
    assert forbidden & day.shipped() == set()


def test_labels_tracking_numbers_and_purchases_agree_with_the_shops_book(day):
    assert day.disagreements() == []


def test_the_money_in_the_database_is_the_money_spent(day):
    spent = sum(round(float(purchase["cost"]) * 100) for purchase in day.ledger()["purchases"])
    assert day.folder.value("SELECT sum(cost_minor) FROM labels WHERE source = 'tiktok'") == spent


def test_every_label_is_in_exactly_one_batch(day):
    assert day.printed_twice_or_never() == []


def test_no_order_of_the_shop_is_missing(day):
    assert set(day.folder.column("SELECT channel_order_id FROM orders")) == set(day.ledger()["orders"])


def test_stock_shown_by_the_shop_is_what_the_database_can_sell(day):
    shown = {
        sku.seller_sku: sum(sku.available.values())
        for sku in day.simulator.shop.catalogue.skus.values()
        if not sku.is_gift
    }
    ours = {
        row["sku"]: row["sellable"]
        for row in day.query("SELECT sku, sum(available_to_sell) AS sellable FROM v_stock GROUP BY sku")
    }
    assert {sku: ours[sku] for sku in shown} == shown


def test_check_finds_nothing_to_complain_about(day):
    day.run("check")


def test_the_same_day_once_more_sends_no_write_and_changes_nothing(day):
    content, writes = day.folder.dump(), day.ledger()["writes"]
    for command in DAY:
        day.run(*command)
    assert day.ledger()["writes"] == writes
    assert day.folder.dump() == content


def test_nothing_to_print_writes_no_file(day):
    files = day.folder.files()
    assert "nothing to print" in day.run("print-labels").stdout
    after = day.folder.files()
    assert {name for name in after if name.endswith((".pdf", ".csv"))} == {
        name for name in files if name.endswith((".pdf", ".csv"))
    }
    assert all(after[name] == files[name] for name in files if name.endswith((".pdf", ".csv")))


def test_the_database_holds_no_secret(day):
    day.hide()
    accounts = day.simulator.accounts
    secrets = {accounts.app_secret, accounts.newest().access_token, accounts.newest().refresh_token, accounts.cipher}
    content = day.folder.db.read_bytes().decode("latin-1")
    assert [secret for secret in secrets if secret in content] == []


def test_errors_and_cases_hold_no_buyers_data(day):
    texts = day.folder.column(
        "SELECT coalesce(error, '') FROM runs UNION ALL SELECT detail || next_step FROM quarantine"
    )
    texts += day.folder.column("SELECT payload || coalesce(warning, '') FROM outbox")
    assert day.folder.private_in("\n".join(texts)) == []


def test_a_shop_whose_packages_exist_before_they_are_shipped_ends_the_same_way(open_shop):
    shop = open_shop(orders=40, seed=3, mode="packages-first")
    shop.allocated()
    shop.write_tracking_list()
    for command in DAY[5:8]:
        shop.run(*command)
    assert shop.shipped() == shop.due()
    assert shop.disagreements() == []
    assert shop.printed_twice_or_never() == []
