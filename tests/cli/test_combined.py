"""Orders of one buyer leave in one package: one label for all of them, each told once, and nothing lost on the way."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest


@pytest.fixture(params=["tiktok", "seller"])
def combined(open_shop, request):
    """A shop some of whose packages carry several orders."""
    shop = open_shop(orders=150, seed=5, carrier=request.param)
    shop.run("sync", "--quiet")
    shop.run("stock", "import", "--from-channel", "tiktok", "--quiet")
    shop.run("reserve-stock", "--no-push", "--quiet")
    decided = shop.run("allocate", "--no-wait", "--json")
    assert decided.summary["absorbed"] > 0
    return shop


def groups(shop):
    rows = shop.query("SELECT package_id, order_ids FROM v_packages WHERE state <> 'cancelled'")
    return {row["package_id"]: json.loads(row["order_ids"]) for row in rows if len(json.loads(row["order_ids"])) > 1}


def ship(shop):
    if shop.run("print-labels", "--yes", "--json").of("package", cause="own_label_needed"):
        shop.write_tracking_list()
        shop.run("print-labels", "--from", "tracking.csv", "--quiet")
    shop.run("upload-tracking", "--quiet")


def test_each_label_is_bought_once_and_tells_every_order(combined):
    together = groups(combined)
    assert together
    ship(combined)
    assert combined.disagreements() == []
    assert combined.shipped() == combined.due()
    combined.run("sync", "--quiet")
    for package_id, order_ids in together.items():
        shown = combined.query(
            "SELECT DISTINCT tracking_number FROM units WHERE state = 'shipped' AND order_id IN (SELECT value FROM json_each(?))",
            json.dumps(order_ids),
        )
        assert shown == combined.query("SELECT tracking_number FROM v_packages WHERE package_id = ?", package_id)
    assert combined.run("check").stdout.count("ok:") == len(combined.run("check").stdout.splitlines())


def test_the_next_sync_and_day_change_nothing(combined):
    ship(combined)
    combined.run("sync", "--quiet")
    before = combined.folder.dump()
    combined.run("allocate", "--no-wait", "--quiet")
    ship(combined)
    combined.run("sync", "--quiet")
    assert combined.folder.dump() == before
    assert combined.disagreements() == []


def test_orders_whose_packages_the_platform_has_made_are_bought_one_by_one(open_shop):
    shop = open_shop(orders=150, seed=5, carrier="tiktok", mode="packages-first")
    shop.allocated()
    assert groups(shop) == {}
    shop.run("print-labels", "--yes", "--quiet")
    assert shop.shipped() == shop.due()
    assert shop.disagreements() == []


def test_a_package_that_got_such_orders_before_is_not_bought_and_is_planned_anew(open_shop):
    shop = open_shop(orders=12, seed=5, carrier="tiktok", mode="packages-first")
    shop.allocated()
    with closing(sqlite3.connect(shop.folder.db)) as connection, connection:
        first, second = connection.execute(
            "SELECT package_id, order_id FROM package_orders WHERE order_id IN (SELECT order_id FROM v_orders"
            " WHERE state = 'open') ORDER BY order_id LIMIT 2"
        ).fetchall()
        for table in ("package_orders", "units"):
            connection.execute(f"UPDATE {table} SET package_id = ? WHERE package_id = ?", (first[0], second[0]))
        connection.execute("UPDATE packages SET decided_for = NULL")  # as decisions of an earlier version are
    refused = shop.run("print-labels", first[0], "--yes", "--json", expect=3)
    assert [line["cause"] for line in refused.of("package", result="failed")] == ["split_and_combined"]
    assert shop.ledger()["purchases"] == []
    shop.run("allocate", "--no-wait", "--quiet")
    shop.run("print-labels", "--yes", "--quiet")
    assert shop.shipped() == shop.due()
    assert shop.disagreements() == []
    assert shop.run("quarantine", "--json").of("case") == []
