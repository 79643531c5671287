"""Labels that TikTok does not take, with the rules as shipped: nothing is decided on, taken over, bought or uploaded."""

from __future__ import annotations

import sqlite3

import pytest

from tiktok_erp.config.rules_file import default_rules_text
from tiktok_erp.simulator.numbers import ups_number, usps_number

ALL_BY_POST = "carriers: [{name: all, use: {carrier: usps, service_level: ground_advantage}}]\n"


def list_of(shop, number_of, carrier: str) -> tuple[str, list[str]]:
    """Write a tracking list for every open order with an own label; return its name and the channel's order ids."""
    orders = [
        row["channel_order_id"]
        for row in shop.query(
            "SELECT channel_order_id FROM v_orders WHERE state = 'open' AND NOT cancel_requested ORDER BY order_id"
        )
    ]
    rows = [f"{order},{carrier},{number_of(9_100_000 + place)}" for place, order in enumerate(orders)]
    (shop.folder.path / "list.csv").write_text("\n".join(["order_id,carrier,tracking_number", *rows]), "utf-8")
    return "list.csv", orders


@pytest.fixture
def shop(open_shop):
    shop = open_shop(orders=8, carrier="seller")
    shop.folder.rules.write_text(default_rules_text(), "utf-8")
    return shop


def test_the_shipped_rules_send_every_own_label_by_ups(shop):
    shop.allocated()
    decided = shop.query("SELECT DISTINCT carrier, because FROM v_packages WHERE carrier IS NOT NULL")
    assert [tuple(row.values()) for row in decided] == [("ups", "labels of one's own on TikTok by UPS")]


def test_rules_that_have_only_usps_are_passed_over_and_it_is_said(shop):
    shop.folder.rules.write_text(ALL_BY_POST, "utf-8")
    shop.call("sync", "--quiet")
    shop.call("reserve-stock", "--no-push", "--quiet")
    finished = shop.run("allocate", "--no-wait", expect=3)
    assert "TikTok takes no USPS label that it did not sell" in finished.stderr
    assert shop.query("SELECT 1 FROM v_packages WHERE carrier = 'usps'") == []


def test_a_usps_number_is_not_taken_over_and_one_of_ups_is(shop):
    shop.allocated()
    name, _orders = list_of(shop, usps_number, "usps")
    refused = shop.run("print-labels", "--from", name, "--json", expect=3)
    causes = {line["cause"] for line in refused.of("package") if line["result"] == "failed"}
    assert causes == {"carrier_not_taken"}
    assert shop.query("SELECT 1 FROM labels") == []
    name, _orders = list_of(shop, ups_number, "ups")
    shop.call("print-labels", "--from", name, "--quiet")
    assert {row["state"] for row in shop.query("SELECT state FROM labels")} == {"bought"}
    assert shop.query("SELECT 1 FROM v_quarantine WHERE cause = 'carrier_not_taken'") == []


def test_a_usps_number_that_is_held_already_is_not_uploaded(shop):
    lifted = default_rules_text().replace("[not usps]", "any")
    shop.folder.rules.write_text(lifted, "utf-8")
    shop.allocated()
    name, _orders = list_of(shop, usps_number, "usps")
    shop.call("print-labels", "--from", name, "--quiet")
    shop.folder.rules.write_text(default_rules_text(), "utf-8")
    refused = shop.run("upload-tracking", "--json", expect=3)
    assert {line["cause"] for line in refused.of("package") if line["result"] == "failed"} == {"carrier_not_taken"}
    to_file = shop.run("upload-tracking", "--to", "u.xlsx", "--json")
    assert not (shop.folder.path / "u.xlsx").exists() and to_file.of("package")
    assert shop.simulator.ledger()["shipments"] == []


def test_what_the_platform_refuses_all_the_same_is_one_package_of_many(open_shop):
    shop = open_shop(orders=8, carrier="seller", own_usps=False)
    shop.allocated()
    name, orders = list_of(shop, usps_number, "usps")
    rows = (shop.folder.path / name).read_text("utf-8").splitlines()
    rows[1] = f"{orders[0]},ups,{ups_number(9_200_000)}"
    (shop.folder.path / name).write_text("\n".join(rows), "utf-8")
    shop.call("print-labels", "--from", name, "--quiet")
    refused = shop.run("upload-tracking", "--json", expect=3)
    failed = [line for line in refused.of("package") if line["result"] == "failed"]
    assert len(failed) == len(orders) - 1 and all(line["next_step"] for line in failed)
    assert [entry["order_ids"] for entry in shop.ledger()["shipments"]] == [[orders[0]]]
    shop.run("upload-tracking", "--quiet")
    assert len(shop.ledger()["shipments"]) == 1


def test_a_number_is_kept_back_while_its_label_is_for_an_older_address(open_shop):
    shop = open_shop(orders=8, carrier="seller")
    shop.allocated()
    name, _orders = list_of(shop, ups_number, "ups")
    shop.call("print-labels", "--from", name, "--quiet")
    package, order = shop.query("SELECT package_id, order_id FROM package_orders LIMIT 1")[0].values()
    with sqlite3.connect(shop.folder.db) as connection:
        connection.execute("UPDATE orders SET address_version = address_version + 1 WHERE order_id = ?", (order,))
    kept = shop.run("upload-tracking", "--json", expect=3).of("package", result="failed")
    assert [(line["package_id"], line["cause"]) for line in kept] == [(package, "address_changed")]
    number = order.partition(":")[2]
    assert [number] not in [entry["order_ids"] for entry in shop.ledger()["shipments"]]
    with sqlite3.connect(shop.folder.db) as connection:  # it had left before: the carrier says so
        connection.execute("UPDATE packages SET scanned_at = '2026-01-01T00:00:00Z' WHERE package_id = ?", (package,))
    shop.run("upload-tracking", "--quiet")
    assert [number] in [entry["order_ids"] for entry in shop.ledger()["shipments"]]
    assert shop.query("SELECT 1 FROM v_quarantine WHERE cause = 'address_changed'") == []
