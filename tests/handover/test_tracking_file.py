"""The tracking template by file: filled in place, uploaded by a person, taken back; nothing is told twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from openpyxl import Workbook, load_workbook

from tests.handover.seller_center import SellerCenter


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, simulated):
    """Own labels are known and nothing of them was told; one order leaves in two packages."""
    path = tmp_path_factory.mktemp("files")
    with simulated(path, orders=40, seed=6, carrier="seller") as shop:
        shop.allocated()
        split = shop.query(
            "SELECT p.package_id, min(u.unit_id) AS unit_id, u.order_id FROM packages p JOIN units u USING (package_id)"
            " WHERE p.allocated_at IS NOT NULL AND u.state = 'open' GROUP BY 1 HAVING count(*) > 1"
            " AND count(DISTINCT u.order_id) = 1 ORDER BY 1 LIMIT 1"
        )[0]
        with closing(sqlite3.connect(shop.folder.db)) as connection:
            connection.execute(
                "INSERT INTO packages (package_id, channel, planned_at, carrier, because, allocated_at)"
                " SELECT 'P000999', channel, planned_at, 'usps', because, allocated_at FROM packages WHERE package_id = ?",
                (split["package_id"],),
            )
            connection.execute(
                "INSERT INTO package_orders (package_id, order_id) VALUES ('P000999', ?)", (split["order_id"],)
            )
            connection.execute("UPDATE units SET package_id = 'P000999' WHERE unit_id = ?", (split["unit_id"],))
            connection.commit()
        shop.write_tracking_list()
        lines = (path / "tracking.csv").read_text("utf-8").splitlines()
        number = split["order_id"].removeprefix("tiktok:")
        rows = [line + "," for line in lines if not line.startswith(number)]
        rows[0] = "order_id,carrier,tracking_number,package_id"
        rows += [
            f"{number},ups,1Z12345E6605272234,{split['package_id']}",
            f"{number},usps,9400111206206406260787,P000999",
        ]
        (path / "tracking.csv").write_text("\n".join(rows) + "\n", "utf-8")
        shop.run("print-labels", "--from", "tracking.csv", "--quiet")
        yield shop, number


def test_the_file_goes_out_is_uploaded_and_comes_back(labelled):
    shop, split_order = labelled
    path = shop.folder.path / "downloaded.xlsx"
    shop.run("upload-tracking", "--to", path)
    assert split_order not in path.read_bytes().decode("latin-1")
    split = load_workbook(path.with_name("downloaded.split-orders.xlsx"))["Split orders"]
    rows = [row for row in split.iter_rows(values_only=True) if row[0] == split_order]
    assert {row[3] for row in rows} == {"1Z12345E6605272234", "9400111206206406260787"}

    before = path.read_bytes()
    shop.run("upload-tracking", "--to", path, "--quiet")
    assert path.read_bytes() == before

    book = shop.simulator.shop
    victim = load_workbook(path)["Shipping info"]["A3"].value
    with book.lock:
        order = book.orders[victim]
        book.cancel(order, order.live_units, role="BUYER", reason="No longer needed", at=book.now())
    taken, refused = SellerCenter(shop.simulator).upload_tracking(path)
    assert (taken > 5, refused) == (True, 1)

    content = shop.folder.dump()
    shop.run("upload-tracking", "--from", path, "--dry-run", "--quiet", expect=3)
    assert shop.folder.dump() == content
    back = shop.run("upload-tracking", "--from", path, "--json", expect=3)
    assert (back.summary["told"], back.summary["refused"]) == (taken, 1)
    assert [line["cause"] for line in back.of("package", result="failed")] == ["tracking_number_refused"]
    again = shop.run("upload-tracking", "--from", path, "--json")
    assert again.summary["told"] == 0

    # Filled once more, what was told is gone from it; then the API is told the rest and nothing twice.
    shop.run("upload-tracking", "--to", path, "--quiet", expect=(0, 3))
    left = [row[0] for row in load_workbook(path)["Shipping info"].iter_rows(min_row=3, values_only=True) if row[0]]
    assert left in ([], [victim])
    shop.run("sync", "--quiet")
    shop.run("upload-tracking", "--quiet", expect=(0, 3))
    told = [order_id for entry in shop.ledger()["shipments"] for order_id in entry["order_ids"]]
    assert sorted(told) == sorted([*set(told), split_order])
    assert shop.ledger()["violations"] == []


def test_a_file_that_is_something_else_is_not_overwritten(labelled):
    shop, _split_order = labelled
    path = shop.folder.path / "prices.xlsx"
    Workbook().save(path)
    before = path.read_bytes()
    finished = shop.run("upload-tracking", "--to", path, expect=2)
    assert "not Seller Center's template" in finished.stderr
    assert path.read_bytes() == before
    assert "not Seller Center's template" in shop.run("upload-tracking", "--from", path, expect=2).stderr
