"""The platform does more, less or something else than it was asked for: nothing is lost, bought or printed twice."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

import pytest

from tiktok_erp.simulator import purchases


def orders_to_ship(shop):
    """Return the shop's own view of the orders that a seller may ship now, and that `allocate` decided for."""
    decided = {row["channel_order_id"] for row in shop.query(
        "SELECT o.channel_order_id FROM packages p JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
        " WHERE p.allocated_at IS NOT NULL AND p.cancelled_at IS NULL"
    )}  # fmt: skip
    return [order for order_id, order in shop.simulator.shop.orders.items() if order_id in decided & shop.due()]


def packages_of(shop, *orders):
    return [
        shop.query("SELECT package_id FROM package_orders WHERE order_id = ?", f"tiktok:{order.id}")[0]["package_id"]
        for order in orders
    ]


def causes(shop, package_id):
    return shop.folder.column("SELECT cause FROM v_quarantine WHERE package_id = ?", package_id)


def printed(shop, package_id):
    return shop.folder.column(
        "SELECT count(*) FROM labels WHERE package_id = ? AND printed_at IS NOT NULL", package_id
    ) == [1]


def _numbered(open_shop):
    shop = open_shop(orders=60, seed=5, carrier="seller", mode="packages-first")
    shop.allocated()
    ids = shop.write_tracking_list()
    shop.call("print-labels", "--from", "tracking.csv", "--quiet")
    return shop, ids


@pytest.mark.parametrize("detail", [None, {"package_id": "4711"}])
def test_a_refusal_in_a_batch_that_names_no_package_leaves_nothing_told_that_was_not(open_shop, monkeypatch, detail):
    ship_all, ship_one = purchases.batch_ship, purchases._ship_planned

    def nameless(told, call):
        answer = ship_all(told, call)
        for error in answer.get("errors", []):
            error["detail"] = detail
        return answer

    monkeypatch.setattr(purchases, "batch_ship", nameless)  # before the shop opens: its routes keep it
    shop, ids = _numbered(open_shop)
    refused = shop.simulator.shop.orders[ids[0]].package_ids[0]

    def once(told, call, package_id, how):
        if package_id == refused:
            monkeypatch.setattr(purchases, "_ship_planned", ship_one)
            raise purchases.ApiError(21022026, "try later")
        ship_one(told, call, package_id, how)

    monkeypatch.setattr(purchases, "_ship_planned", once)
    shop.call("upload-tracking", "--quiet", expect=(0, 3))
    assert shop.shipped() == shop.due()
    assert shop.disagreements() == []


def test_a_clock_that_was_set_back_does_not_keep_an_upload_waiting_for_hours(open_shop, monkeypatch):
    shop, _ids = _numbered(open_shop)
    shop.call("upload-tracking", "--quiet")
    with closing(sqlite3.connect(shop.folder.db)) as connection, connection:
        connection.execute(
            "UPDATE outbox SET state = 'unknown', done_at = NULL, sent_at = '2099-01-01T00:00:00Z', subject = 'tiktok:1'"
            " WHERE outbox_id = (SELECT max(outbox_id) FROM outbox)"
        )
    begun = time.monotonic()

    def sleep(seconds):
        assert time.monotonic() - begun < 20, "waits for a time that is years ahead"

    monkeypatch.setattr(time, "sleep", sleep)
    shop.call("upload-tracking", "--quiet", expect=(0, 3))


@pytest.mark.parametrize("end", ["shipped", "cancelled"])
def test_an_order_that_the_platform_left_out_of_a_combined_parcel_is_told_and_the_label_waits(
    open_shop, monkeypatch, end
):
    shop = open_shop(orders=150, seed=5, carrier="tiktok")
    shop.allocated()
    together = {
        row["package_id"]: json.loads(row["order_ids"])
        for row in shop.query("SELECT package_id, order_ids FROM v_packages WHERE state = 'allocated'")
        if len(json.loads(row["order_ids"])) > 1
    }
    package_id, order_ids = next(iter(together.items()))
    buy = purchases._buy
    monkeypatch.setattr(
        purchases,
        "_buy",
        lambda told, call, orders, lines: buy(told, call, orders[:-1] if len(orders) > 1 else orders, lines),
    )
    ended = shop.call("print-labels", package_id, "--yes", "--json", expect=3)
    left_out = ended.of("package", cause="left_out", result="failed")
    (missing,) = set(order_ids) - {f"tiktok:{order_id}" for order_id in shop.shipped()}
    assert [line["package_id"] for line in left_out] == [package_id]
    assert shop.folder.column("SELECT order_id FROM v_quarantine WHERE cause = 'left_out'") == [missing]
    assert not printed(shop, package_id)
    told = {row["order_id"]: row["uploaded_at"] for row in shop.query(
        "SELECT order_id, uploaded_at FROM package_orders WHERE package_id = ?", package_id
    )}  # fmt: skip
    assert [order_id for order_id, at in told.items() if at is None] == [missing]

    monkeypatch.setattr(purchases, "_buy", buy)
    platform = shop.simulator.shop
    order = platform.orders[missing.partition(":")[2]]
    if end == "cancelled":
        platform.cancel(order, order.live_units, role="BUYER", reason="changed mind", at=platform.now())
    else:
        planned = platform.packages[shop.ledger()["purchases"][0]["package_id"]]
        platform.ship([order], order.open_units, platform.now(), tag="COMBINE", planned=planned)
    shop.call("sync", "--quiet")
    assert causes(shop, package_id) == []
    after = shop.call("print-labels", package_id, "--yes", "--json")
    if end == "cancelled":
        (held,) = after.of("package", cause="order_cancelled")
        assert f"labels reprint {package_id}" in held["next_step"]
        shop.call("labels", "reprint", package_id, "--quiet")
        assert (shop.folder.path / "reprint.pdf").exists()
        return
    assert printed(shop, package_id)


def test_an_order_that_the_platform_put_into_a_bought_parcel_is_not_forgotten(open_shop, monkeypatch):
    shop = open_shop(orders=40, seed=5, carrier="tiktok")
    shop.allocated()
    first, second = orders_to_ship(shop)[:2]
    bought, swallowed = packages_of(shop, first, second)
    platform = type(shop.simulator.shop)
    ship = platform.ship

    def ship_both(told, orders, units, at, *, tag, planned=None):
        if orders[0] is first:
            orders, units, tag = [first, second], [*units, *second.open_units], "COMBINE"
        return ship(told, orders, units, at, tag=tag, planned=planned)

    monkeypatch.setattr(platform, "ship", ship_both)
    shop.call("print-labels", bought, "--yes", "--quiet")
    told = shop.call("sync", "--json", expect=(0, 3))
    assert causes(shop, swallowed) == ["in_other_parcel"]
    assert told.code == 3
    assert shop.folder.column("SELECT detail FROM v_quarantine")[0].count(bought) == 1


def test_an_order_whose_package_the_platform_has_parted_leaves_as_a_whole(open_shop):
    shop = open_shop(orders=60, seed=5, carrier="tiktok", mode="packages-first")
    shop.allocated()
    platform = shop.simulator.shop
    order = next(order for order in orders_to_ship(shop) if len(order.open_units) > 1)
    part = order.open_units[1:]
    old, new = platform.packages[order.package_ids[0]], platform._new_package([order], part, platform.now())
    old.unit_ids = [unit.id for unit in order.open_units[:1]]
    platform._put_in(new, order, part)
    platform.touch(order, platform.now())
    for _day in range(2):
        shop.call("print-labels", "--yes", "--quiet")
        shop.call("sync", "--quiet")
        shop.call("allocate", "--no-wait", "--quiet")
    assert order.status == "AWAITING_COLLECTION"
    assert {entry["package_id"] for entry in shop.ledger()["purchases"]} >= {old.id, new.id}
    assert shop.ledger()["violations"] == []
    assert shop.printed_twice_or_never() == []


def test_packages_that_the_platform_has_made_one_are_not_bought_one_by_one(open_shop):
    shop = open_shop(orders=60, seed=5, carrier="tiktok", mode="packages-first")
    shop.allocated()
    platform = shop.simulator.shop
    two = orders_to_ship(shop)[:2]
    units = [unit for order in two for unit in order.open_units]
    one = platform._new_package(two, units, platform.now())
    for order in two:
        platform.packages[order.package_ids.pop()].status = "CANCELLED"
        platform._put_in(one, order, order.open_units)
        platform.touch(order, platform.now())
    ours = packages_of(shop, *two)
    refused = shop.call("print-labels", *ours, "--yes", "--json", expect=3)
    assert {line["package_id"] for line in refused.of("package", cause="split_and_combined")} == set(ours)
    assert shop.ledger()["purchases"] == []
    shop.call("allocate", "--no-wait", "--quiet", expect=3)  # two addresses: no rule can choose
    assert len(set(packages_of(shop, *two))) == 1


def test_a_label_with_the_number_of_another_package_is_not_printed(open_shop, monkeypatch):
    from tiktok_erp.channels.tiktok import TikTokShop

    shop = open_shop(orders=40, seed=5, carrier="tiktok")
    shop.allocated()
    first, second = packages_of(shop, *orders_to_ship(shop)[:2])
    shop.call("print-labels", first, "--yes", "--quiet")
    other = shop.ledger()["purchases"][0]["package_id"]
    fetch = TikTokShop.fetch_document
    monkeypatch.setattr(TikTokShop, "fetch_document", lambda shop, package_id, **size: fetch(shop, other, **size))
    shop.call("print-labels", second, "--yes", "--quiet", expect=3)
    assert "same_label" in causes(shop, second)
    assert not printed(shop, second)


def test_what_is_short_waits_with_the_rest_of_a_package_that_the_platform_has_made(open_shop):
    shop = open_shop(orders=60, seed=5, carrier="tiktok", mode="packages-first")
    shop.folder.write_rules(sections="split: allow\n")
    shop.call("sync", "--quiet")
    shop.call("stock", "import", "--from-channel", "tiktok", "--quiet")
    shop.call("reserve-stock", "--no-push", "--quiet")
    shop.call("allocate", "--no-wait", "--quiet")
    order = next(order for order in orders_to_ship(shop) if len(order.open_units) > 1)
    (package_id,) = packages_of(shop, order)
    with closing(sqlite3.connect(shop.folder.db)) as connection, connection:
        connection.execute(
            "UPDATE reservations SET state = 'short' WHERE unit_id = ?", (f"tiktok:{order.open_units[0].id}",)
        )
    shop.call("allocate", "--no-wait", "--quiet")
    assert packages_of(shop, order) == [package_id]
    assert not shop.query(
        "SELECT 1 FROM package_orders WHERE order_id = ? AND package_id <> ?", f"tiktok:{order.id}", package_id
    )
