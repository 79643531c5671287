"""A wrong folder, a wrong file, a wrong name: nothing is made, and it is said what was meant."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from tiktok_erp.store.database import open_first_store, stamp_shop

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPORT = EXAMPLES / "seller-center-export.csv"
SHEET = EXAMPLES / "sku-sheet.csv"


@pytest.fixture
def orders(folder):
    """A folder without credentials that holds the example export."""
    folder.write_rules()
    folder.run("sync", "--from", EXPORT, "--quiet")
    return folder


@pytest.fixture
def empty_handed(open_shop):
    """The credentials of a shop in a folder that has no database."""
    shop = open_shop(orders=5)
    for path in shop.folder.path.iterdir():
        path.unlink()
    return shop


# Databases


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("stock", "set", "MUG", "5"),
        ("stock", "import", SHEET),
        ("stock", "count", "MUG=5"),
        ("stock", "map", "SET", "MUG=2"),
        ("live", "start", "friday"),
        ("reserve-stock",),
        ("print-labels",),
        ("status",),
        ("auth", "refresh"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:2])),
)
def test_in_a_folder_without_a_database_nothing_is_made_and_the_place_is_named(folder, arguments):
    refused = folder.run(*arguments, expect=5)
    assert f"({folder.db})" in refused.stderr
    assert "--db" in refused.stderr
    assert "TIKTOK_ERP_DB" in refused.stderr
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"), [(("sync",), 4), (("sync", "--from", "missing.csv"), 2), (("sync", "--from", SHEET), 2)]
)
def test_a_first_sync_that_fails_leaves_no_database(folder, arguments, code):
    folder.run(*arguments, expect=code)
    assert list(folder.path.iterdir()) == []
    assert folder.run("status", expect=5)


def test_a_first_sync_whose_shop_is_down_leaves_no_database(empty_handed):
    folder = empty_handed.folder
    closed = {"TIKTOK_SHOP_API_URL": "http://127.0.0.1:9", "TIKTOK_SHOP_AUTH_URL": "http://127.0.0.1:9"}
    folder.run("sync", "--quiet", expect=6, environment=closed)
    assert not folder.db.exists()
    assert [path.name for path in folder.path.iterdir() if "first" in path.name] == []


def test_a_first_sync_that_works_makes_the_database(empty_handed):
    folder = empty_handed.folder
    folder.run("sync", "--quiet")
    assert folder.value("SELECT count(*) FROM orders") > 0
    assert folder.value("SELECT exit_code FROM v_runs") == 0
    assert [path.name for path in folder.path.iterdir() if "first" in path.name] == []
    folder.run("sync", "--quiet")
    assert folder.value("SELECT count(*) FROM v_runs") == 2


def test_a_first_sync_that_breaks_off_after_the_shop_answered_is_gone_on_with(empty_handed):
    folder = empty_handed.folder
    with pytest.raises(InterruptedError), open_first_store(folder.db) as store:
        stamp_shop(store, "simulated")
        raise InterruptedError
    assert folder.value("SELECT value FROM meta WHERE key = 'shop'") == "simulated"
    folder.run("sync", "--quiet")


def test_a_first_sync_that_was_killed_with_its_tokens_written_is_no_lost_database(empty_handed):
    folder = empty_handed.folder
    folder.run("sync", "--quiet")
    folder.db.rename(folder.path / ".shop.db.first")
    assert (folder.path / "shop.db.tokens").exists()
    folder.run("sync", "--quiet")
    assert folder.value("SELECT count(*) FROM v_runs") == 2


def test_a_first_export_makes_the_database(folder):
    folder.run("sync", "--from", EXPORT, "--quiet")
    assert folder.value("SELECT count(*) FROM orders") > 0
    assert folder.db.stat().st_mode & 0o777 == 0o600


def test_a_first_sync_that_was_killed_is_gone_on_with(empty_handed):
    folder = empty_handed.folder
    with open_first_store(folder.db) as store, store.transaction():
        store.set_meta("begun", "before")
    folder.db.rename(folder.path / ".shop.db.first")
    folder.run("sync", "--quiet")
    assert folder.value("SELECT value FROM meta WHERE key = 'begun'") == "before"


@pytest.mark.parametrize("left", ["shop.db.tokens", "shop.labels", "shop.batches"])
@pytest.mark.parametrize("arguments", [("sync",), ("sync", "--from", EXPORT), ("run",), ("status",)])
def test_a_database_that_is_gone_is_not_made_anew(folder, left, arguments):
    if left.endswith("tokens"):
        (folder.path / left).write_text("{}", "utf-8")
    else:
        (folder.path / left).mkdir()
    refused = folder.run(*arguments, expect=5)
    assert f"the database is gone, but {left}" in refused.stderr
    assert "tiktok-erp restore" in refused.stderr
    assert [path.name for path in folder.path.iterdir()] == [left]


def test_a_dry_first_sync_makes_nothing(folder):
    folder.run("sync", "--from", EXPORT, "--dry-run", "--quiet")
    assert list(folder.path.iterdir()) == []


# Files


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("upload-tracking", "--to", "x.csv"), ".xlsx"),
        (("upload-tracking", "--to", "x.csv", "--plan"), ".xlsx"),
        (("upload-tracking", "--to", "x"), ".xlsx"),
        (("reserve-stock", "--to", "x.csv"), ".xlsx"),
        (("report", "stock", "--csv", "x.xlsx"), ".csv"),
        (("handover", "kit", "--zip", "kit.rar"), ".zip"),
    ],
)
def test_a_file_is_never_called_what_it_is_not(orders, arguments, wanted):
    before = set(orders.files())
    refused = orders.run(*arguments, expect=2)
    assert f"writes {wanted} files" in refused.stderr
    assert set(orders.files()) == before


def test_a_workbook_called_csv_is_not_filled(orders):
    book = openpyxl.Workbook()
    book.active.append(["Seller SKU", "Quantity in East"])
    book.active.append(["LIP-ROSE-01", 1])
    book.save(orders.path / "stock.csv")
    assert "writes .xlsx files" in orders.run("reserve-stock", "--to", "stock.csv", expect=2).stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sync", "--from", SHEET), ("this is a SKU sheet", "stock import")),
        (("sync", "--audit", SHEET), ("this is a SKU sheet", "stock import")),
        (("stock", "import", EXPORT), ("this is an order export", "sync --from")),
        (("stock", "count", EXPORT), ("this is an order export", "sync --from")),
        (("print-labels", "--from", EXPORT), ("this is an order export", "sync --from")),
        (("print-labels", "--from", SHEET), ("this is a SKU sheet", "stock import")),
        (("upload-tracking", "--to", SHEET), ("this is a SKU sheet", "stock import")),
        (("upload-tracking", "--from", "list.csv"), ("this is a list of tracking numbers", "print-labels --from")),
        (("reserve-stock", "--to", EXPORT), ("this is an order export", "sync --from")),
        (("stock", "import", "list.csv"), ("this is a list of tracking numbers", "print-labels --from")),
        (("sync", "--from", "list.csv"), ("this is a list of tracking numbers", "print-labels --from")),
        (("sync", "--from", "labels.pdf"), ("this is a PDF", "print-labels --from")),
        (("stock", "import", "labels.pdf"), ("this is a PDF", "print-labels --from")),
        (("upload-tracking", "--from", "labels.pdf"), ("this is a PDF", "print-labels --from")),
    ],
    ids=lambda value: " ".join(str(getattr(word, "name", word)) for word in value),
)
def test_a_file_given_to_the_wrong_command_is_called_by_its_name_with_its_command(orders, arguments, told):
    (orders.path / "list.csv").write_text("order_id,carrier,tracking_number\n", "utf-8")
    (orders.path / "labels.pdf").write_bytes(b"%PDF-1.7\n")
    before = orders.dump()
    refused = orders.run(*arguments, expect=2)
    for part in told:
        assert part in refused.stderr
    assert orders.dump() == before


# SKUs


def test_a_mistyped_sku_is_not_made_a_new_one(orders):
    refused = orders.run("stock", "set", "LIP-ROZE-01", "5", expect=2)
    assert "did you mean LIP-ROSE-01?" in refused.stderr
    assert "--new" in refused.stderr
    assert orders.query("SELECT * FROM skus WHERE sku = 'LIP-ROZE-01'") == []
    (error,) = orders.run("stock", "set", "LIP-ROZE-01", "5", "--json", expect=2).errors
    assert "LIP-ROSE-01" in error["text"]
    assert "did you mean LIP-ROSE-01?" in orders.run("stock", "show", "LIP-ROZE-01", expect=2).stderr


def test_a_new_sku_is_taken_when_it_is_called_new_or_like_no_other(orders):
    orders.run("stock", "set", "LIP-ROZE-01", "5", "--new")
    orders.run("stock", "set", "LIP-ROZE-01", "6")
    orders.run("stock", "set", "GARDEN-GNOME", "7")
    assert orders.column("SELECT on_hand FROM stock ORDER BY sku") == [7, 6]


@pytest.mark.parametrize(
    ("quantity", "told"),
    [("-5", "cannot be below 0"), ("five", "not a whole number"), ("--wieght", "not a whole number")],
)
def test_what_is_no_count_is_said_plainly(orders, quantity, told):
    assert told in orders.run("stock", "set", "LIP-ROSE-01", quantity, expect=2).stderr
