"""A kit as people get it: complete, private, swapped in whole, never over what somebody wrote; and the way back."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from openpyxl import Workbook, load_workbook

from tests.handover.seller_center import SellerCenter, joined
from tiktok_erp.channels.seller_center import write_tracking_template
from tiktok_erp.errors import UsageError
from tiktok_erp.handover.kit import new_kit, read_kit
from tiktok_erp.handover.list_file import write_list
from tiktok_erp.handover.pages import ListRow
from tiktok_erp.handover.returns import read_returns

EXPORT = Path(__file__).parents[2] / "examples" / "seller-center-export.csv"


@contextmanager
def half_done(path: Path, simulated: Any) -> Iterator[Any]:
    """A day half done: some labels are printed, some own numbers are known, and a kit for three was made of it."""
    with simulated(path, orders=70, seed=11) as shop:
        shop.allocated()
        shop.write_tracking_list()
        rows = (path / "tracking.csv").read_text("utf-8").splitlines()
        (path / "tracking.csv").write_text("\n".join(rows[: len(rows) // 2 + 1]) + "\n", "utf-8")
        shop.call("print-labels", "--from", "tracking.csv", "--quiet")
        shop.call("print-labels", "--limit", "8", "--quiet")
        shop.call("handover", "kit", "--people", "3", "--quiet")
        yield shop


@pytest.fixture(scope="module")
def day(tmp_path_factory, simulated):
    """Such a day for tests that leave it as it is."""
    with half_done(tmp_path_factory.mktemp("outage"), simulated) as shop:
        yield shop


@pytest.fixture
def own_day(tmp_path, simulated):
    """Such a day for a test that goes on with it."""
    with half_done(tmp_path, simulated) as shop:
        yield shop


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def listed(kit: Path) -> dict[str, int]:
    """Return who has which package."""
    found = {}
    for path in sorted(kit.glob("person-*/list.xlsx")):
        sheet = load_workbook(path).active
        for (package_id,) in sheet.iter_rows(min_row=2, max_col=1, values_only=True):
            assert package_id not in found
            found[package_id] = int(path.parent.name.removeprefix("person-"))
    return found


def fill(path: Path, package_id: str, **values: str) -> None:
    workbook = load_workbook(path)
    sheet = workbook.active
    columns = {str(cell.value).split()[0]: cell.column for cell in sheet[1]}
    line = next(
        line for line in range(2, sheet.max_row + 1) if sheet.cell(line, columns["package_id"]).value == package_id
    )
    for name, value in values.items():
        sheet.cell(line, columns[name]).value = value
    workbook.save(path)


def test_every_package_that_may_leave_is_on_exactly_one_list(day):
    kit = day.folder.path / "kit"
    rows = day.query(
        "SELECT p.package_id FROM v_packages p WHERE p.state IN ('allocated', 'labelled', 'printed', 'uploaded')"
        " AND NOT EXISTS (SELECT 1 FROM package_orders po JOIN orders o USING (order_id) WHERE po.package_id = p.package_id"
        " AND (o.cancel_requested OR o.base_state IN ('cancelled', 'held', 'unpaid')))"
        " AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.package_id = p.package_id AND l.source = 'channel')"
    )
    expected = {row["package_id"] for row in rows}
    found = listed(kit)
    assert len(expected) > 20
    assert expected <= set(found)
    assert set(found.values()) == {1, 2, 3}
    assert {row["package_id"] for row in table(kit / "urgent.csv")} == set(found)
    refused = {row["package_id"] for row in table(kit / "not-now.csv")}
    assert refused
    assert not refused & set(found)


def test_the_kit_is_private_and_tells_names_only_on_slips_and_addresses_where_one_must_be_typed(day):
    kit = day.folder.path / "kit"
    assert stat.S_IMODE(kit.stat().st_mode) == 0o700
    for path in kit.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        if path.suffix in (".html", ".csv", ".txt", ".json") and path.name != "buy-elsewhere.csv":
            assert day.folder.private_in(path.read_text("utf-8")) == [], path
    rows = table(kit / "buy-elsewhere.csv")
    assert rows
    assert all(row["street1"] and row["zip"] for row in rows)


def test_the_page_needs_nothing_from_anywhere(day):
    page = (day.folder.path / "kit" / "START-HERE.html").read_text("utf-8")
    assert "http://" not in page
    assert "https://" not in page
    assert "src=" not in page
    assert "default-src 'none'" in page
    assert "width=device-width" in page


def test_the_summary_says_the_same_in_english_and_chinese(day):
    text = (day.folder.path / "kit" / "SUMMARY.txt").read_text("utf-8")
    english, chinese = text.split("=" * 72)
    figures = [[word for word in part.split() if word.isdecimal()] for part in (english, chinese)]
    assert "TO DO" in english
    assert "待办" in chinese
    assert figures[0][:8] == figures[1][:8]
    assert len(english.splitlines()) < 45


def test_the_template_holds_every_number_that_the_channel_lacks(day):
    sheet = load_workbook(day.folder.path / "kit" / "seller-center" / "tracking-upload.xlsx")["Shipping info"]
    told = {(row[0], row[1]) for row in sheet.iter_rows(min_row=3, values_only=True)}
    due = {
        (row["channel_order_id"], row["tracking_number"])
        for row in day.query(
            "SELECT o.channel_order_id, l.tracking_number FROM labels l JOIN package_orders po USING (package_id)"
            " JOIN orders o USING (order_id) WHERE l.source = 'file' AND po.uploaded_at IS NULL"
        )
    }
    assert due
    assert told == due


def test_a_rebuild_draws_nothing_again_and_leaves_everyone_their_packages(own_day):
    kit = own_day.folder.path / "kit"
    drawn = {path.relative_to(kit): path.stat().st_ino for path in kit.rglob("*.pdf")}
    before = listed(kit)
    assert drawn
    own_day.call("handover", "kit", "--people", "3", "--quiet")
    assert {path.relative_to(kit): path.stat().st_ino for path in kit.rglob("*.pdf")} == drawn
    assert listed(kit) == before
    assert not [path for path in kit.parent.iterdir() if path.name.startswith(".kit")]


def test_downloaded_templates_are_filled_in_this_kit_and_the_next(own_day):
    kit = own_day.folder.path / "kit"
    template = own_day.folder.path / "downloaded.xlsx"
    write_tracking_template(template, [])
    workbook = load_workbook(template)
    workbook["How to use it"]["A1"] = "The platform's own words"
    workbook.save(template)
    listing = own_day.query(
        "SELECT l.listing_id, l.seller_sku, sum(v.available_to_sell) AS n FROM listings l JOIN v_stock v USING (sku)"
        " WHERE l.seller_sku <> '' GROUP BY 1 HAVING n > 3 ORDER BY 1 LIMIT 1"
    )[0]
    stock = Workbook()
    stock.active.append(["Seller SKU", "SKU ID", "Quantity in U.S Pickup Warehouse"])
    stock.active.append([listing["seller_sku"], listing["listing_id"], listing["n"] + 1])
    stock.save(own_day.folder.path / "stock.xlsx")
    own_day.call("handover", "kit", "--tracking-template", template, "--stock-template", "stock.xlsx", "--quiet")
    for again in (False, True):
        if again:
            own_day.call("handover", "kit", "--people", "3", "--quiet")
        filled = load_workbook(kit / "seller-center" / "tracking-upload.xlsx")
        assert filled["How to use it"]["A1"].value == "The platform's own words"
        assert filled["Shipping info"].max_row > 4
        quantity = load_workbook(kit / "seller-center" / "stock-update.xlsx").active["C2"].value
        assert int(quantity) == listing["n"]
    assert load_workbook(template)["Shipping info"].max_row == 2


def test_a_dry_run_writes_no_kit(day):
    day.call("handover", "other", "--dry-run", "--quiet")
    assert not (day.folder.path / "other").exists()


def test_another_folder_is_refused(day):
    folder = day.folder.path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(b"cat")
    finished = day.call("handover", "photos", expect=2)
    assert "no kit" in finished.stderr
    assert "name another folder" in finished.stderr
    assert [path.name for path in folder.iterdir()] == ["cat.jpg"]


def test_what_people_wrote_is_taken_back_once_and_nothing_is_done_twice(own_day):
    kit = own_day.folder.path / "kit"
    rows = own_day.query(
        "SELECT p.package_id, l.tracking_number, min(o.channel_order_id) AS number FROM labels l JOIN packages p USING (package_id)"
        " JOIN package_orders po USING (package_id) JOIN orders o USING (order_id)"
        " WHERE l.state = 'bought' AND l.source <> 'channel' AND p.scanned_at IS NULL GROUP BY 1 ORDER BY 1"
    )
    ticked, scanned, cancelled = (
        rows[0],
        rows[1],
        next(row for row in rows[2:] if _is_untold(own_day, row["package_id"])),
    )
    who = listed(kit)
    own = table(kit / "buy-elsewhere.csv")[0]
    to_buy = [row for row in table(kit / "seller-center" / "buy-labels.csv") if row["do"] == "buy"][:3]
    seller_center = SellerCenter(own_day.simulator)
    fill(kit / f"person-{who[ticked['package_id']]}" / "list.xlsx", ticked["package_id"], packed="x")
    fill(kit / f"person-{who[cancelled['package_id']]}" / "list.xlsx", cancelled["package_id"], packed="✓")
    fill(
        kit / f"person-{who[own['package_id']]}" / "list.xlsx",
        own["package_id"],
        new_carrier="UPS",
        new_tracking_number="1Z12345E6605272234",
        packed="done",
    )
    with (kit / "scans.txt").open("a", encoding="utf-8") as scans:
        scans.write(f"{scanned['tracking_number']}\n9400111206206406260787\n")
    labels = [seller_center.label_of([row["order"]]) for row in to_buy]
    (kit / "incoming" / "labels.pdf").write_bytes(joined(labels))
    with own_day.simulator.shop.lock:
        order = own_day.simulator.shop.orders[cancelled["number"]]
        own_day.simulator.shop.cancel(
            order, order.live_units, role="BUYER", reason="No longer needed", at=own_day.simulator.shop.now()
        )
    assert seller_center.upload_tracking(kit / "seller-center" / "tracking-upload.xlsx")[0] > 0

    refused = own_day.call("handover", "kit", expect=2)
    assert "resume" in refused.stderr
    content = own_day.folder.dump()
    planned = own_day.call("resume", "kit", "--dry-run", "--json", expect=3)
    assert own_day.folder.dump() == content
    done = own_day.call("resume", "kit", "--json", expect=3)
    assert planned.summary["packed"] == done.summary["packed"] == 3
    assert done.summary["labels"] == 4
    causes = {line["cause"] for line in done.of("package", result="failed")}
    assert "packed_but_cancelled" in causes
    assert done.of("row", cause="unknown_id", result="failed")
    assert set(own_day.folder.column("SELECT package_id FROM packings")) == {
        ticked["package_id"],
        scanned["package_id"],
        own["package_id"],
    }

    after = own_day.folder.dump()
    own_day.call("resume", "kit", "--quiet")
    assert own_day.folder.dump() == after
    own_day.call("handover", "kit", "--people", "3", "--quiet")
    left = listed(kit)
    assert not {ticked["package_id"], scanned["package_id"], own["package_id"], cancelled["package_id"]} & set(left)
    assert list((kit / "taken-back").rglob("labels.pdf"))
    stopped = {row["package_id"]: row["why"] for row in table(kit / "not-now.csv") if row["do"] == "stop"}
    assert cancelled["package_id"] in stopped


def _is_untold(day, package_id: str) -> bool:
    return not day.folder.value(
        "SELECT count(*) FROM package_orders WHERE package_id = ? AND uploaded_at IS NOT NULL", package_id
    )


def test_a_kit_with_a_password_opens_with_it_alone(own_day, tmp_path):
    pyzipper = pytest.importorskip("pyzipper")
    target = tmp_path / "kit.zip"
    finished = own_day.call("handover", "kit", "--zip", target, expect=5)
    assert "TIKTOK_ERP_ZIP_PASSWORD" in finished.stderr
    own_day.call("handover", "kit", "--zip", target, "--quiet", environment={"TIKTOK_ERP_ZIP_PASSWORD": "open sesame"})
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pyzipper.AESZipFile(target) as archive:
        assert "kit/SUMMARY.txt" in archive.namelist()
        with pytest.raises(RuntimeError):
            archive.read("kit/SUMMARY.txt", pwd=b"wrong")
        assert b"HANDOVER" in archive.read("kit/SUMMARY.txt", pwd=b"open sesame")


def test_the_labels_of_a_kit_are_stamped_and_in_the_order_of_the_list(open_shop):
    shop = open_shop(orders=30, seed=4, carrier="tiktok")
    shop.allocated()
    shop.call("print-labels", "--quiet")
    # As if the disk had been full: bought, and never printed.
    import sqlite3

    with sqlite3.connect(shop.folder.db) as connection:
        connection.execute(
            "UPDATE labels SET printed_at = NULL, batch_id = NULL, position = NULL WHERE source = 'tiktok'"
        )
    connection.close()
    shop.call("handover", "kit", "--quiet")
    kit = shop.folder.path / "kit"
    sheet = load_workbook(kit / "person-1" / "list.xlsx").active
    rows = list(sheet.iter_rows(min_row=2, values_only=True))
    to_print = [row for row in rows if row[9] and "labels-01.pdf" in row[9]]
    with pypdfium2.PdfDocument(kit / "person-1" / "labels-01.pdf") as document:
        texts = [page.get_textpage().get_text_bounded() for page in document]
    assert len(texts) == len(to_print) > 5
    assert all(row[0] in text for row, text in zip(to_print, texts, strict=True))
    assert [row[9].rsplit(" ", 1)[1] for row in to_print] == [str(page) for page in range(1, len(texts) + 1)]


def test_an_export_tells_what_was_shipped_by_hand_where_there_is_no_api(folder):
    folder.write_rules()
    folder.call("sync", "--from", EXPORT, "--quiet")
    folder.call("allocate", "--no-wait", "--quiet", expect=(0, 3))
    folder.call("handover", "kit", "--quiet")
    kit = folder.path / "kit"
    order_id = table(kit / "seller-center" / "buy-labels.csv")[0]["order"]
    with EXPORT.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows, header = list(reader), reader.fieldnames
    for row in rows:
        if row["Order ID"].strip() == order_id:
            row |= {
                "Order Status": "Shipped",
                "Order Substatus": "Awaiting collection",
                "Shipping Provider Name": "UPS",
            }
            row |= {"RTS Time": "11/22/2026 9:00:00 AM\t", "Tracking ID": "1Z12345E6605272234"}
    with (kit / "incoming" / "orders.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
    planned = folder.call("resume", "kit", "--dry-run", "--json")
    assert planned.summary["moved_on"] == {"AWAITING_COLLECTION": 1}
    assert folder.value("SELECT base_state FROM orders WHERE channel_order_id = ?", order_id) == "open"
    folder.call("resume", "kit", "--quiet")
    assert folder.value("SELECT base_state FROM orders WHERE channel_order_id = ?", order_id) == "closed"
    content = folder.dump()
    folder.call("resume", "kit", "--quiet")
    assert folder.dump() == content
    folder.call("handover", "kit", "--quiet")
    assert order_id not in (kit / "urgent.csv").read_text("utf-8")


def test_a_file_that_cannot_be_read_is_named_and_stays_for_the_next_time(folder):
    folder.write_rules()
    folder.call("sync", "--from", EXPORT, "--quiet")
    folder.call("handover", "kit", "--quiet")
    broken = folder.path / "kit" / "incoming" / "labels.pdf"
    broken.write_bytes(b"<html>sign in</html>")
    for attempt in range(2):
        finished = folder.call("resume", "kit", "--no-sync", expect=3)
        assert "labels.pdf" in finished.stderr, attempt
    broken.unlink()
    folder.call("resume", "kit", "--no-sync")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_that_a_spreadsheet_program_saved_as_text_is_read(tmp_path, delimiter):
    row = ListRow("P000007", "B01-001", "576", "", "later", "pack", "1 x TEA", 1, "usps", "9400", "", "file")
    write_list(tmp_path / "list.xlsx", 1, [row])
    write_kit(tmp_path / "kit", "first")
    table = [
        ["" if cell is None else cell for cell in line] for line in load_workbook(tmp_path / "list.xlsx").active.values
    ]
    table[1][[str(cell).split()[0] for cell in table[0]].index("packed")] = "TRUE"
    with (tmp_path / "list.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(table)
    returns = read_returns(read_kit(tmp_path / "kit"), [tmp_path / "list.csv"])
    assert returns.broken == []
    assert [(mark.package_id, mark.is_packed) for mark in returns.marks] == [("P000007", True)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_among_scans_a_note_is_named_and_not_repeated(folder, encoding):
    folder.write_rules()
    folder.call("sync", "--from", EXPORT, "--quiet")
    folder.call("handover", "kit", "--quiet")
    folder.planted.add("Mary Smith")
    text = "# scanned\nMary Smith wants it tomorrow\n1Z 123 45E 66 0527 2234\n"
    (folder.path / "kit" / "incoming" / "scans.txt").write_text(text, encoding)
    (folder.path / "kit" / "incoming" / "note.txt").write_text("call Mary Smith\n", "utf-8")
    finished = folder.call("resume", "kit", "--no-sync", expect=3)
    assert "scans.txt:2: this is no number" in finished.stderr
    assert "nothing in the database is called 1Z 123 45E 66 0527 2234" in finished.stderr
    assert "note.txt says nothing" in finished.stderr


def test_a_number_that_cannot_be_taken_is_named_where_a_person_wrote_it(folder):
    folder.write_rules()
    folder.call("sync", "--from", EXPORT, "--quiet")
    folder.call("allocate", "--no-wait", "--quiet", expect=(0, 3))
    folder.call("handover", "kit", "--quiet")
    path = folder.path / "kit" / "person-1" / "list.xlsx"
    package_id = load_workbook(path).active["A3"].value
    fill(path, package_id, new_carrier="USPS", new_tracking_number="9.40011E+21")
    finished = folder.call("resume", "kit", "--no-sync", expect=3)
    assert "person-1/list.xlsx:3: a spreadsheet program has rounded the number 9.40011E+21" in finished.stderr


def write_kit(folder: Path, text: str) -> None:
    with new_kit(folder) as kit:
        kit.text("SUMMARY.txt", text)
        kit.text("scans.txt", "# scan here\n")
        kit.seal(made_at="2026-11-26T12:00:00Z", people=1, packages={})


def test_a_kit_is_whole_or_not_there(tmp_path):
    folder = tmp_path / "kit"
    write_kit(folder, "first")
    with pytest.raises(ZeroDivisionError), new_kit(folder) as kit:
        kit.text("SUMMARY.txt", "second")
        raise ZeroDivisionError
    assert (folder / "SUMMARY.txt").read_text("utf-8") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]


def test_a_swap_that_was_killed_half_way_is_undone(tmp_path):
    folder = tmp_path / "kit"
    write_kit(folder, "first")
    folder.rename(tmp_path / ".kit.old")
    (tmp_path / ".kit.new").mkdir()
    assert read_kit(folder).made_at == "2026-11-26T12:00:00Z"
    write_kit(folder, "second")
    assert (folder / "SUMMARY.txt").read_text("utf-8") == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]


def test_what_is_written_at_the_last_moment_is_kept_aside(tmp_path):
    folder = tmp_path / "kit"
    write_kit(folder, "first")
    with new_kit(folder) as kit:
        kit.text("SUMMARY.txt", "second")
        kit.seal(made_at="2026-11-26T12:05:00Z", people=1, packages={})
        with (folder / "scans.txt").open("a", encoding="utf-8") as scans:
            scans.write("P000001\n")
    assert kit.kept_aside is not None
    assert "P000001" in (kit.kept_aside / "scans.txt").read_text("utf-8")
    assert (folder / "SUMMARY.txt").read_text("utf-8") == "second"


def test_a_folder_that_is_no_kit_is_refused(tmp_path):
    (tmp_path / "kit.json").write_text(json.dumps({"version": 99}), "utf-8")
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="no kit"):
            read_kit(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["kit.json"]
