"""Packing by scanner: right, wrong, done, missing, and stop signs."""

from __future__ import annotations

import csv
import sqlite3

import pytest


@pytest.fixture(scope="module")
def bench(tmp_path_factory, simulated):
    """A shop with printed labels; tests pack different packages of it."""
    with simulated(tmp_path_factory.mktemp("bench"), orders=40, seed=4, carrier="tiktok") as shop:
        shop.allocated()
        shop.run("print-labels", "--quiet")
        yield shop


@pytest.fixture
def parcels(bench):
    """Return the parcels that nobody packed yet: (row of packages.csv, its items as one SKU a piece)."""
    packed = set(bench.folder.column("SELECT package_id FROM packings"))
    with (bench.folder.path / "packages.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["package_id"] not in packed]
    found = []
    for row in rows:
        units = "SELECT sku FROM units WHERE package_id = ? AND state <> 'cancelled' ORDER BY position"
        found.append((row, bench.folder.column(units, row["package_id"])))
    return found


def scan(bench, *codes, options=()):
    finished = bench.run("pack", "--station", "north", "--json", *options, stdin="\n".join(codes) + "\n")
    return finished.of("scan"), finished.summary


def test_a_box_is_done_when_every_piece_was_scanned(bench, parcels):
    row, items = max(parcels, key=lambda parcel: len(parcel[1]))
    scans, summary = scan(bench, row["tracking_number"], *items)
    assert [line["verdict"] for line in scans] == ["open", *["right"] * (len(items) - 1), "done"]
    assert (summary["packed"], summary["last_hour"] >= 1) == (1, True)
    assert bench.folder.value("SELECT station FROM packings WHERE package_id = ?", row["package_id"]) == "north"
    again, _summary = scan(bench, row["tracking_number"])
    assert again[0]["cause"] == "packed_before"


def test_what_the_scanner_types_of_a_usps_barcode_opens_the_box(bench, parcels):
    row = next(row for row, _items in parcels if row["tracking_number"].startswith("9"))
    scans, _summary = scan(bench, f"\x1d42091761\x1d{row['tracking_number']}", row["position"], row["package_id"])
    assert [line["verdict"] for line in scans] == ["open"] * 3


def test_a_wrong_or_surplus_item_is_wrong_and_the_box_stays_open(bench, parcels):
    row, items = parcels[0]
    scans, summary = scan(bench, row["position"], "NO-SUCH-THING", *items[:1], "NO-SUCH-THING")
    expected = ["open", "wrong", "done", "unknown"] if len(items) == 1 else ["open", "wrong", "right", "wrong"]
    assert [line["verdict"] for line in scans] == expected
    assert summary["exit_code"] == 0


def test_another_label_before_the_end_says_what_is_missing(bench, parcels):
    (first, items), (second, _other) = parcels[0], parcels[1]
    scans, summary = scan(bench, first["position"], second["position"], second["position"])
    assert [line["verdict"] for line in scans] == ["open", "unfinished", "open"]
    assert items[0] in scans[1]["next_step"]
    assert summary["packed"] == 0


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("base_state = 'cancelled', is_open = 0", "order_cancelled"),
        ("cancel_requested = 1", "cancel_requested"),
        ("address_changed_at = '2099-01-01T00:00:00Z'", "address_changed"),
    ],
)
def test_what_changed_since_printing_is_a_stop_sign(bench, parcels, change, cause):
    row, items = parcels[-1]
    where = "WHERE order_id IN (SELECT order_id FROM package_orders WHERE package_id = ?)"
    with sqlite3.connect(bench.folder.db) as connection:
        old = connection.execute(f"SELECT base_state, is_open FROM orders {where}", (row["package_id"],)).fetchone()
        connection.execute(f"UPDATE orders SET {change} {where}", (row["package_id"],))
    scans, summary = scan(bench, row["position"], *items)
    with sqlite3.connect(bench.folder.db) as connection:
        connection.execute(
            f"UPDATE orders SET base_state = ?, is_open = ?, cancel_requested = 0, address_changed_at = NULL,"
            f" address_version = 1 {where}",
            (*old, row["package_id"]),
        )
    assert (scans[0]["verdict"], scans[0]["cause"]) == ("stop", cause)
    assert summary["packed"] == 0


def test_a_dry_run_packs_nothing(bench, parcels):
    row, items = parcels[0]
    before = bench.folder.value("SELECT count(*) FROM packings")
    scans, _summary = scan(bench, row["position"], *items, options=("--dry-run",))
    assert scans[-1]["verdict"] == "done"
    assert bench.folder.value("SELECT count(*) FROM packings") == before


def test_people_read_words_and_the_list(bench, parcels):
    row, items = parcels[0]
    text = bench.run("pack", "--dry-run", stdin=f"{row['position']}\n{items[0]}\n").stdout
    assert row["position"] in text
    assert items[0] in text


def test_big_letters_are_made_of_blocks():
    from tiktok_erp.cli.pack import big_letters

    rows = big_letters("STOP")
    assert 6 <= len(rows) <= 12
    assert len({len(row) for row in rows}) == 1
    assert len(rows[0]) <= 80
    assert any("██" in row for row in rows)
