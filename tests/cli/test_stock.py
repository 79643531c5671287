"""The commands about stock as a person runs them, also when they are killed in the middle."""

from __future__ import annotations

import csv
import random

import pytest

KILLS = 8


def stock_of(folder, sku, warehouse="main"):
    rows = folder.query("SELECT on_hand, reserved FROM stock WHERE sku = ? AND warehouse = ?", sku, warehouse)
    return tuple(rows[0].values()) if rows else None


@pytest.fixture
def shelf(folder):
    """A folder with ten mugs."""
    folder.write_rules()
    folder.run("stock", "set", "MUG", "10", "--quiet")
    return folder


def test_a_negative_number_works_plainly(shelf):
    shelf.run("stock", "adjust", "MUG", "-3", "--because", "water damage")
    assert stock_of(shelf, "MUG") == (7, 0)
    shelf.run("stock", "adjust", "MUG", "+2", "--because", "found", "--json")
    shelf.run("stock", "adjust", "--because", "x", "MUG", "-9")
    assert stock_of(shelf, "MUG") == (0, 0)
    moves = shelf.query("SELECT quantity, because FROM v_stock_moves WHERE kind = 'adjusted' ORDER BY move_id")
    assert [tuple(move.values()) for move in moves] == [(-3, "water damage"), (2, "found"), (-9, "x")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("adjust", "MUG", "-30", "--because", "x"),
        ("adjust", "MUG", "-3"),
        ("adjust", "MUG", "-3", "--because", " "),
        ("adjust", "MUG", "three", "--because", "x"),
        ("adjust", "MUG", "-3", "--becuase", "x"),
        ("adjust", "NEW", "1", "--because", "x"),
        ("adjust", "MUG", "1", "--because", "x", "--returned", "99"),
        ("adjust", "MUG", "-1", "--because", "x", "--received"),
        ("count", "MUG"),
        ("count", "MUG=x"),
        ("count", "MUG=-1"),
        ("count", "MUG=1", "MUG=2"),
        ("count", "nowhere.csv"),
        ("transfer", "MUG", "11", "--from", "main", "--to", "east"),
        ("transfer", "MUG", "1", "--from", "east", "--to", "main"),
        ("map", "SET", "SET=1"),
        ("map", "MUG", "CUP=1"),
        ("map", "SET"),
        ("map", "SET", "CUP=0"),
        ("map", "MUG", "--listing", "17"),
        ("why", "NOBODY"),
        ("set", "MUG", "-1"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_changes_nothing_and_says_what_to_do(shelf, arguments):
    before = shelf.dump()
    refused = shelf.run("stock", *arguments, expect=2)
    assert shelf.dump() == before
    assert refused.stderr.strip()


def test_every_command_tried_dry_changes_nothing(shelf):
    before = shelf.dump()
    for arguments in (
        ("stock", "adjust", "MUG", "-3", "--because", "x"),
        ("stock", "count", "MUG=1", "CUP=2"),
        ("stock", "transfer", "MUG", "3", "--from", "main", "--to", "east"),
        ("stock", "map", "SET", "MUG=2"),
        ("stock", "set", "MUG", "3"),
        ("live", "start", "friday"),
        ("live", "stop"),
    ):
        planned = shelf.run(*arguments, "--dry-run", "--json")
        assert planned.summary["done"] == 0
        assert shelf.dump() == before, arguments


def test_a_stocktake_comes_from_a_file_from_arguments_or_from_a_pipe(shelf):
    (shelf.path / "shelf.csv").write_text("sku,quantity,warehouse\nCUP,4,\nMUG,2,east\nTEA,,\n", "utf-8")
    assert shelf.run("stock", "count", "shelf.csv", "--json").summary["differences"] == 2
    shelf.run("stock", "count", "CUP=5", "--warehouse", "east")
    shelf.run("stock", "count", "-", stdin="TEA=1\n\nMUG=9\n")
    assert [stock_of(shelf, "CUP"), stock_of(shelf, "CUP", "east"), stock_of(shelf, "MUG", "east")] == [
        (4, 0),
        (5, 0),
        (2, 0),
    ]
    assert [stock_of(shelf, "TEA"), stock_of(shelf, "MUG")] == [(1, 0), (9, 0)]
    before = shelf.dump()
    assert shelf.run("stock", "count", "shelf.csv", "--json").summary["differences"] == 0
    assert shelf.dump() == before


def test_guessed_columns_wait_for_a_confirmation(shelf):
    (shelf.path / "stock.csv").write_text("Item Code,Qty on hand,Note\nCUP,4,\n", "utf-8")
    tried = shelf.run("stock", "import", "stock.csv", "--dry-run")
    assert "Item Code" in tried.stderr and "Qty on hand" in tried.stderr
    assert "CUP" in tried.stdout + tried.stderr
    assert stock_of(shelf, "CUP") is None
    assert "--dry-run" in shelf.run("stock", "import", "stock.csv", expect=2).stderr
    shelf.run("stock", "import", "stock.csv", "--yes")
    assert stock_of(shelf, "CUP") == (4, 0)
    (shelf.path / "two.csv").write_text("sku,qty,count\nCUP,4,5\n", "utf-8")
    assert "qty" in shelf.run("stock", "import", "two.csv", "--yes", expect=2).stderr


def test_the_story_of_a_sku_is_told(shelf):
    shelf.run("stock", "map", "SET", "MUG=2", "--quiet")
    told = shelf.run("stock", "why", "MUG").stdout
    for words in ("10 on hand", "20 % of what is free", "part of SET", "stock set"):
        assert words in told
    assert "bundle" in shelf.run("stock", "why", "SET").stdout
    lines = shelf.run("stock", "why", "MUG", "--json")
    assert [line["quantity"] for line in lines.of("move")] == [10]
    (kept,) = lines.of("safety_stock")
    assert (kept["quantity"], kept["basis"]["kind"]) == (2, "percent")
    assert "预留" in shelf.run("stock", "why", "MUG", environment={"TIKTOK_ERP_LANG": "zh"}).stdout


def test_a_session_changes_what_is_kept_back_until_it_ends(folder):
    folder.write_rules()
    text = folder.rules.read_text("utf-8")
    shipped = '{sku: "*", live: true, keep: auto, otherwise: 20%}'
    assert shipped in text
    folder.rules.write_text(text.replace(shipped, '{sku: "*", live: true, keep: 7}'), "utf-8")
    folder.run("stock", "count", "MUG=10", "CUP=10", "--quiet")
    folder.run("live", "start", "friday", "--sku", "M*")
    assert folder.run("live", "start", "friday", "--json").of("live")[0]["cause"] == "already_running"
    folder.run("reserve-stock", "--no-push", "--quiet")
    kept = "SELECT sku, safety_stock FROM v_stock ORDER BY sku"
    assert [tuple(row.values()) for row in folder.query(kept)] == [("CUP", 2), ("MUG", 7)]
    assert "friday" in folder.run("live", "list").stdout
    folder.run("live", "stop", "friday")
    folder.run("reserve-stock", "--no-push", "--quiet")
    assert [tuple(row.values()) for row in folder.query(kept)] == [("CUP", 2), ("MUG", 2)]
    assert "no session" in folder.run("live", "stop").stderr


def test_stock_is_pushed_the_same_way_twice_and_check_agrees(open_shop):
    shop = open_shop(orders=80)
    shop.run("sync", "--quiet")
    shop.run("stock", "import", "--from-channel", "tiktok", "--quiet")
    first = shop.run("reserve-stock", "--json")
    assert first.summary["pushed"] > 0
    writes = len(shop.ledger()["inventory_writes"])
    # The second time reads what the push did to the products: their time of change.
    assert shop.run("reserve-stock", "--json").summary["pushed"] == 0
    before = shop.folder.dump()
    assert shop.run("reserve-stock", "--json").summary["pushed"] == 0
    assert len(shop.ledger()["inventory_writes"]) == writes
    assert shop.folder.dump() == before
    shop.run("check", "--quiet")
    report = shop.run("report", "stock", "--since", "24h", "--csv", "stock.csv", "--json")
    assert any(line["units_sold"] for line in report.of("runway"))
    with (shop.folder.path / "stock.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(report.of("runway"))


def test_a_push_killed_at_random_instants_ends_in_the_same_numbers(open_shop):
    dice, kills, seed = random.Random(7), 0, 0
    while kills < KILLS:
        seed += 1
        shop = open_shop(f"shop-{seed}", orders=60, seed=seed, latency_ms=40)
        shop.run("sync", "--quiet")
        shop.run("stock", "import", "--from-channel", "tiktok", "--quiet")
        here = 0
        while here < 4 and shop.folder.run_killed("reserve-stock", "--quiet", after_s=dice.uniform(0, 0.7)):
            here += 1
        kills += here
        shop.run("reserve-stock", "--quiet")
        wrong = shop.query(
            "SELECT listing_id FROM v_listings WHERE wanted_quantity IS NOT NULL AND channel_quantity <> wanted_quantity"
        )
        assert wrong == []
        assert shop.query("SELECT 1 FROM outbox WHERE state IN ('intent', 'sent', 'unknown')") == []
        shop.run("check", "--quiet")


def test_an_import_killed_at_random_instants_is_there_whole_or_not_at_all(folder):
    folder.write_rules()
    folder.run("stock", "set", "MUG", "1", "--quiet")
    rows = "".join(f"SKU-{number:05d},{number % 90 + 1}\n" for number in range(3000))
    (folder.path / "big.csv").write_text("sku,quantity\n" + rows, "utf-8")
    dice = random.Random(8)
    for _kill in range(KILLS):
        if not folder.run_killed("stock", "import", "big.csv", "--quiet", after_s=dice.uniform(0, 0.4)):
            break
        assert folder.value("SELECT count(*) FROM stock") in (1, 3001)
    folder.run("stock", "import", "big.csv", "--quiet")
    assert folder.value("SELECT count(*) FROM stock") == 3001
    assert folder.value("SELECT count(*) FROM stock_moves") == 3001
    folder.run("check", "--quiet")
