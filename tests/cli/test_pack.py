"""Packing by scanner: right, wrong, done, missing, and stop signs."""

from __future__ import annotations

import csv
import sqlite3
import subprocess

import pytest

from tests.conftest import wait_until


@pytest.fixture(scope="module")
def bench(tmp_path_factory, simulated):
    """A shop with printed labels; tests pack different packages of it."""
    with simulated(tmp_path_factory.mktemp("bench"), orders=40, seed=4, carrier="tiktok") as shop:
        shop.allocated()
        shop.run("print-labels", "--quiet")
        yield shop


@pytest.fixture
def parcels(bench):
    """Return the parcels that nobody packed yet: (row of packages.csv, its items as one SKU a piece). No box is open."""
    with sqlite3.connect(bench.folder.db) as connection:
        connection.execute("DELETE FROM open_boxes")
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
    for code in (f"\x1d42091761\x1d{row['tracking_number']}", row["position"], row["package_id"]):
        scans, _summary = scan(bench, code)
        assert [line["verdict"] for line in scans] == ["open"]


def test_a_wrong_or_surplus_item_is_wrong_and_the_box_stays_open(bench, parcels):
    row, items = parcels[0]
    scans, summary = scan(bench, row["position"], "NO-SUCH-THING", *items[:1], "NO-SUCH-THING")
    expected = ["open", "wrong", "done", "unknown"] if len(items) == 1 else ["open", "wrong", "right", "wrong"]
    assert [line["verdict"] for line in scans] == expected
    assert summary["exit_code"] == 0


def several(parcels):
    """Return a parcel of several pieces and another one."""
    first = next(parcel for parcel in parcels if len(parcel[1]) > 1)
    return first, next(row for row, _items in parcels if row is not first[0])


def test_another_label_says_what_is_missing_and_the_box_stays_open_for_it(bench, parcels):
    (first, items), second = several(parcels)
    codes = [first["position"], *items[:-1], second["position"], second["position"], items[-1]]
    scans, summary = scan(bench, *codes, options=("--dry-run",))
    right = ["right"] * (len(items) - 1)
    assert [line["verdict"] for line in scans] == ["open", *right, "unfinished", "unfinished", "done"]
    assert items[-1] in scans[-2]["next_step"]
    assert scans[-2]["package_id"] == first["package_id"]
    assert summary["packed"] == 1


def test_its_own_label_puts_a_box_aside_and_opens_it_again_with_what_is_in_it(bench, parcels):
    (first, items), second = several(parcels)
    label = first["position"]
    scans, _summary = scan(bench, label, items[0], second["position"], label, second["position"], second["position"])
    verdicts = [line["verdict"] for line in scans]
    assert verdicts == ["open", "right", "unfinished", "aside", "open", "aside"]
    # The session is over, and another packer goes on with it.
    scans, summary = scan(bench, label, *items[1:], options=("--station", "south"))
    assert sum(line["packed"] for line in scans[0]["lines"]) == 1
    assert [line["verdict"] for line in scans] == ["open", *["right"] * (len(items) - 2), "done"]
    assert summary["packed"] == 1
    assert bench.folder.column("SELECT package_id FROM open_boxes WHERE package_id = ?", first["package_id"]) == []


def test_a_box_left_open_at_the_end_is_put_aside_and_named(bench, parcels):
    (first, items), _second = several(parcels)
    text = bench.run("pack", stdin=f"{first['position']}\n{items[0]}\n").stdout
    assert f"{first['position']} is put aside: " in text
    assert bench.folder.column("SELECT holder FROM open_boxes").count(None) >= 1


def test_a_box_is_open_at_one_station_and_a_dead_one_does_not_block_it(bench, parcels):
    (first, _items), _second = several(parcels)
    with bench.folder.start("pack", "--station", "east", "--json", stdin=subprocess.PIPE) as process:
        process.stdin.write(f"{first['position']}\n")
        process.stdin.flush()
        wait_until(
            process,
            lambda: bench.folder.column("SELECT 1 FROM open_boxes WHERE station = 'east' AND holder IS NOT NULL"),
        )
        (refused,), _summary = scan(bench, first["position"])
        process.kill()
        process.communicate()
    assert (refused["verdict"], refused["cause"]) == ("stop", "open_elsewhere")
    assert "east" in refused["next_step"]
    (opened,), _summary = scan(bench, first["position"])
    assert opened["verdict"] == "open"
    assert list(bench.folder.path.glob(".shop.db.pack-*.lock")) == []


def test_whoever_scans_a_label_has_it_on_paper(bench, parcels):
    on_paper = "SELECT on_paper_at IS NOT NULL FROM labels WHERE package_id = ? AND state = 'bought'"
    row, _items = parcels[1]
    with sqlite3.connect(bench.folder.db) as connection:  # whatever the other tests scanned
        connection.execute("UPDATE labels SET on_paper_at = NULL WHERE package_id = ?", (row["package_id"],))
    scan(bench, row["order_id"].split()[0].removeprefix("tiktok:"))
    assert bench.folder.value(on_paper, row["package_id"]) == 0  # that number is on a slip as well
    scan(bench, row["tracking_number"])
    assert bench.folder.value(on_paper, row["package_id"]) == 1


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
    assert any("██" in row for row in rows)


@pytest.mark.parametrize("word", ["STOP", "B07-063", "B88-888", "MISSING", "B100-1000", "P000123", "WRONG", "ASIDE"])
@pytest.mark.parametrize("columns", [80, 110])
def test_big_letters_fit_the_screen(word, columns):
    from tiktok_erp.cli.pack import big_letters

    rows = big_letters(word, columns)
    assert 6 <= len(rows) <= 12
    assert len({len(row) for row in rows}) == 1
    assert len(rows[0]) <= columns
