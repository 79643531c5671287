"""A second machine on one shop: it takes over after the first, or works beside it, and nothing is bought or printed twice unseen."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from tests.cli.test_backup import batches
from tests.cli.test_easypost_labels import open_desk
from tests.conftest import Folder

__all__ = ["open_desk"]  # a fixture


def second_folder(shop, name="second"):
    """Return another machine's folder for the same shop: its rules, its credentials, a database of its own."""
    path = shop.folder.path.parent / f"{shop.folder.path.name}-{name}"
    path.mkdir()
    shutil.copy(shop.folder.rules, path / "rules.yaml")
    state = path / "state"
    return Folder(path, shop.folder.environment | {"XDG_STATE_HOME": str(state)}, shop.folder.planted)


def allocate(folder):
    folder.run("sync")
    folder.run("stock", "import", "--from-channel", "tiktok", "--quiet")
    folder.run("reserve-stock", "--no-push", "--quiet")
    folder.run("allocate", "--no-wait", "--quiet")


def on_paper(*folders):
    found = Counter()
    for folder in folders:
        found.update(batches(folder))
    return found


def test_a_label_of_tiktok_comes_out_at_the_machine_that_bought_it_only(open_shop):
    shop = open_shop(orders=24, seed=4, carrier="tiktok")
    one, two = shop.folder, second_folder(shop)
    allocate(one)
    allocate(two)  # both know the same orders, and neither has bought anything
    one.run("print-labels", "--limit", "6")
    two.run("print-labels", "--limit", "20")
    one.run("print-labels")
    sold = len(shop.ledger()["purchases"])
    paper = on_paper(one, two)
    assert set(paper.values()) == {1}
    assert len(paper) == sold
    for folder in (one, two):
        told = folder.run("sync")
        listed = folder.run("labels", "adopt", "--dry-run", "--json").of("package", result="planned")
        assert len(listed) + len(batches(folder)) == sold
        assert listed
        del told
    assert shop.ledger()["violations"] == []


def test_a_purchase_that_the_channel_refuses_as_made_before_is_not_printed(open_shop):
    shop = open_shop(orders=24, seed=4, carrier="tiktok")
    one, two = shop.folder, second_folder(shop)
    allocate(one)
    allocate(two)
    with (
        one.start("print-labels", "--json") as first,
        two.start("print-labels", "--json") as second,
    ):
        first.communicate()
        second.communicate()
    one.run("print-labels")
    two.run("print-labels")
    paper = on_paper(one, two)
    assert set(paper.values()) == {1}
    assert len(paper) == len(shop.ledger()["purchases"]) > 10


def test_the_first_fetch_of_the_other_machine_says_what_was_bought_elsewhere(open_shop):
    shop = open_shop(orders=24, seed=4, carrier="tiktok")
    one, two = shop.folder, second_folder(shop)
    allocate(one)
    two.run("sync")
    one.run("print-labels")
    told = two.run("sync")
    assert "labels were bought elsewhere" in told.stderr
    assert "labels adopt" in told.stderr
    assert two.run("sync").stderr == ""
    assert "labels were bought elsewhere" in two.run("doctor", expect=(0, 3)).stdout


def test_a_second_database_does_not_buy_again_from_easypost(open_desk):
    desk = open_desk()
    one, two = desk.folder, second_folder(desk.shop)
    allocate(one)
    allocate(two)
    one.run("print-labels", "--limit", "5")
    two.run("print-labels", "--limit", "20")
    one.run("print-labels")
    references = Counter(sale["reference"] for sale in desk.account.purchases)
    assert set(references.values()) == {1}
    assert set(on_paper(one, two).values()) == {1}
    assert len(references) > 10


def test_two_labels_for_one_parcel_are_a_case_on_both_machines_until_one_is_given_back(open_desk):
    desk = open_desk()
    one, two = desk.folder, second_folder(desk.shop)
    allocate(one)
    allocate(two)
    desk.account.lists_purchases = desk.account.finds_references = False  # at the same time neither sees the other
    one.run("print-labels", "--limit", "1")
    two.run("print-labels", "--limit", "1")
    desk.account.lists_purchases = desk.account.finds_references = True
    assert len(desk.account.purchases) == 2
    package = desk.bought()
    for folder in (one, two):
        failed = folder.run("labels", "reconcile", "--json", expect=3).of("package", result="failed")
        assert [line["cause"] for line in failed] == ["bought_twice"]
        assert "labels void" in failed[0]["next_step"]
        folder.run("labels", "reconcile")  # an old case
    two.run("labels", "void", two.value("SELECT package_id FROM labels WHERE source = 'easypost'"), "--yes")
    one.run("labels", "reconcile")
    assert "bought_twice" not in one.column("SELECT cause FROM v_quarantine")
    two.run("allocate", "--no-wait")
    two.run("print-labels", "--limit", "3")
    one.run("print-labels")
    live = Counter(
        sale["reference"].rpartition("-")[0]
        for sale in desk.account.purchases
        if sale["shipment_id"] not in desk.account.refunds
    )
    assert set(live.values()) == {1}
    assert one.value("SELECT state FROM labels WHERE package_id = ? AND state = 'bought'", package) == "bought"


@pytest.mark.parametrize("carrier", ["tiktok", "seller"])
def test_a_spare_machine_takes_over_after_the_first_stopped(open_desk, carrier):
    desk = open_desk(carrier=carrier)
    one, two = desk.folder, second_folder(desk.shop)
    allocate(one)
    one.run("print-labels", "--limit", "3")
    one.run("backup", "evening.zip")
    one.run("print-labels", "--limit", "4", expect=(0, 3))
    two.run("restore", one.path / "evening.zip")
    shutil.copy(one.path / "shop.db.tokens", two.path) if (one.path / "shop.db.tokens").exists() else None
    two.run("sync")
    two.run("print-labels")
    two.run("upload-tracking")
    assert set(on_paper(one, two).values()) == {1}
    assert set(Counter(sale["reference"] for sale in desk.account.purchases).values()) <= {1}
    two.run("check", "--quiet")
    assert desk.shop.ledger()["violations"] == []
    assert desk.shop.shipped() == desk.shop.due()


def test_orders_that_another_machine_sent_together_are_not_bought_one_by_one(open_desk):
    desk = open_desk()
    one = desk.folder
    allocate(one)
    one.run("backup", "kept.zip")
    one.run("print-labels")
    first, second = desk.account.purchases[:2]
    import sqlite3
    from contextlib import closing

    one.run("restore", "kept.zip")
    with closing(sqlite3.connect(one.db)) as connection, connection:
        # By this database two orders are one parcel's; each was sent in its own.
        rows = [
            connection.execute(
                "SELECT order_id FROM package_orders WHERE package_id = ?", (sale["package_id"],)
            ).fetchone()
            for sale in (first, second)
        ]
        for table in ("package_orders", "units"):
            connection.execute(
                f"UPDATE {table} SET package_id = ? WHERE order_id = ?", (first["package_id"], rows[1][0])
            )
        connection.execute(
            "UPDATE packages SET cancelled_at = '2026-11-30T00:00:00Z', merged_into = ? WHERE package_id = ?",
            (first["package_id"], second["package_id"]),
        )
    one.run("sync")
    one.run("print-labels")
    assert len({sale["reference"] for sale in desk.account.purchases}) == len(desk.account.purchases)
    held = {
        (row["order_id"], row["tracking_number"])
        for row in one.query(
            "SELECT po.order_id, l.tracking_number FROM labels l JOIN package_orders po USING (package_id)"
            " WHERE l.state = 'bought'"
        )
    }
    assert {(rows[0][0], first["tracking_number"]), (rows[1][0], second["tracking_number"])} <= held


def test_what_the_other_machine_spent_today_counts_against_the_cap_of_the_day(open_shop):
    shop = open_shop(orders=24, seed=4, carrier="tiktok")
    one, two = shop.folder, second_folder(shop)
    allocate(one)
    one.run("print-labels", "--limit", "6")
    two.write_rules(spending="{max_cost_per_label: 25 USD, max_cost_per_run: 5000 USD, max_cost_per_day: 200 USD}")
    allocate(two)
    ended = two.run("print-labels", "--json", expect=3)
    assert ended.of("cap")[0]["cap"] == "max_cost_per_day"
    # Each label of the first machine counts as the dearest one that is allowed: its price is not known here.
    assert two.value("SELECT sum(cost_minor) FROM labels WHERE source = 'tiktok'") <= 20000 - 6 * 2500
    assert two.value("SELECT count(*) FROM labels WHERE on_request = 1 AND cost_minor IS NULL") >= 6
