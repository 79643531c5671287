"""The day without an account and without a network: exports in, labels from files, papers and the template out."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import openpyxl
import pypdfium2
import pytest
import zxingcpp
from reportlab.graphics.barcode.code128 import Code128
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tiktok_erp.simulator.numbers import ups_number, usps_number

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPORT = EXAMPLES / "seller-center-export.csv"
SHEET = EXAMPLES / "sku-sheet.csv"
FOUR_BY_SIX = (288.0, 432.0)
NO_NETWORK = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"):
        raise RuntimeError(f"the network was used: {event}")

sys.addaudithook(refuse)
"""
HEADERS = ["Order ID", "Tracking ID", "Shipping Provider Name", "Auto Combine Group ID"]


@pytest.fixture
def offline(folder):
    """A folder without credentials in which every use of the network is a fault of the program."""
    guard = folder.path.parent / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(NO_NETWORK, "utf-8")
    folder.environment["PYTHONPATH"] = str(guard)
    folder.write_rules()
    for row in _rows(EXPORT):
        folder.planted |= {row["Recipient"], row["Phone #"], row["Address Line 1"]}
    folder.planted -= {""}
    return folder


@pytest.fixture
def allocated(offline):
    """The example export taken over, counted and allocated."""
    offline.run("sync", "--from", EXPORT)
    offline.run("stock", "import", SHEET)
    offline.run("reserve-stock", "--no-push")
    offline.run("allocate", "--no-wait", expect=(0, 3))
    return offline


def _rows(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{name: value.strip() for name, value in row.items()} for row in csv.DictReader(file)]


def _to_label(folder):
    """Return (order id, package id, carrier) of every package that waits for its label, most urgent first."""
    rows = folder.query(
        "SELECT o.channel_order_id, p.package_id, p.carrier FROM v_packages p JOIN package_orders USING (package_id)"
        " JOIN orders o USING (order_id) JOIN v_orders v USING (order_id) WHERE p.state = 'allocated' AND v.state = 'open'"
        " AND NOT o.cancel_requested ORDER BY p.ship_by, p.package_id"
    )
    return [tuple(row.values()) for row in rows]


def _numbers(folder):
    """Return {order id: (carrier, tracking number)} as bought elsewhere."""
    return {
        order_id: (carrier, ups_number(serial) if carrier == "ups" else usps_number(serial))
        for serial, (order_id, _package_id, carrier) in enumerate(_to_label(folder), start=7_700_001)
    }


def _write_list(path, numbers):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order_id", "carrier", "tracking_number"])
        writer.writerows([order_id, carrier, number] for order_id, (carrier, number) in numbers.items())


def _barcode(number):
    payload = number if number.startswith("1Z") else f"\xf142091761\xf1{number}"
    return Code128(payload, barWidth=3 * 72 / 203, barHeight=60, quiet=False)


def _draw_label(canvas, number, text):
    canvas.setFont("Helvetica", 10)
    canvas.drawString(20, 380, text)
    code = _barcode(number)
    code.drawOn(canvas, (FOUR_BY_SIX[0] - code.width) / 2, 150)


def _picture_of_a_label(number):
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=FOUR_BY_SIX)
    _draw_label(canvas, number, "")
    canvas.save()
    with pypdfium2.PdfDocument(buffer.getvalue()) as document:
        return document[0].render(scale=203 / 72).to_pil()


def _write_pdf(path, pages):
    """Draw pages of (order id, tracking number, is a mere picture)."""
    canvas = Canvas(str(path), pagesize=FOUR_BY_SIX)
    for order_id, number, is_picture in pages:
        if is_picture:
            canvas.drawImage(ImageReader(_picture_of_a_label(number)), 0, 0, *FOUR_BY_SIX)
        else:
            _draw_label(canvas, number, f"Order ID: {order_id}")
        canvas.showPage()
    canvas.save()


def _scan(page):
    """Return the tracking numbers that a scanner reads from a page."""
    image = page.render(scale=203 / 72, grayscale=True).to_pil()
    return {re.sub(r"\W", "", code.text).removeprefix("42091761") for code in zxingcpp.read_barcodes(image)}


def test_the_guard_refuses_the_network(offline):
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    finished = subprocess.run([sys.executable, "-c", code], env=offline.environment, capture_output=True, check=False)
    assert b"the network was used" in finished.stderr


def test_an_export_becomes_orders_with_their_states(offline):
    offline.run("sync", "--from", EXPORT)
    states = {row["channel_order_id"]: row["state"] for row in offline.query("SELECT * FROM v_orders")}
    rows = _rows(EXPORT)
    assert set(states) == {row["Order ID"] for row in rows}
    words = {"Unpaid": "unpaid", "Canceled": "cancelled", "Shipped": "closed", "Completed": "closed"}
    for row in rows:
        if row["Order Status"] in words:
            assert states[row["Order ID"]] == words[row["Order Status"]]
    units = {
        row["order_id"]: row["pieces"]
        for row in offline.query("SELECT order_id, count(*) AS pieces FROM units GROUP BY 1")
    }
    for order_id in states:
        assert units[f"tiktok:{order_id}"] == sum(int(row["Quantity"]) for row in rows if row["Order ID"] == order_id)


def test_a_tracking_list_becomes_labels_and_the_template_tells_every_number(allocated):
    numbers = _numbers(allocated)
    assert len(numbers) > 8
    _write_list(allocated.path / "tracking.csv", numbers)
    allocated.run("print-labels", "--from", "tracking.csv")
    allocated.run("upload-tracking", "--to", "template.xlsx")
    book = openpyxl.load_workbook(allocated.path / "template.xlsx")
    assert book.sheetnames == ["How to use it", "Shipping info", "Data definitions", "Example of shipment"]
    sheet = book["Shipping info"]
    assert [str(merged) for merged in sheet.merged_cells.ranges] == ["A1:D1"]
    assert sheet["A1"].value == "Review the examples before you fill out this sheet."
    assert [cell.value for cell in sheet[2]] == HEADERS
    names = {"usps": "USPS", "ups": "UPS"}
    told = {row[0].value: (row[1].value, row[2].value, row[3].value) for row in sheet.iter_rows(min_row=3)}
    own = {row["Order ID"] for row in _rows(EXPORT) if row["Delivery Option Type"] == "Seller Shipping"}
    assert told == {
        order_id: (number, names[carrier], "N/A") for order_id, (carrier, number) in numbers.items() if order_id in own
    }
    assert all(cell.data_type == "s" for row in sheet.iter_rows(min_row=2) for cell in row)


def test_pdfs_in_any_order_become_one_pdf_in_packing_order(allocated):
    numbers = _numbers(allocated)
    _write_list(allocated.path / "tracking.csv", numbers)
    shuffled = sorted(numbers, key=lambda order_id: order_id[::-1])
    pages = [(order_id, numbers[order_id][1], place % 3 == 0) for place, order_id in enumerate(shuffled)]
    half = len(pages) // 2
    _write_pdf(allocated.path / "labels-1.pdf", pages[:half])
    _write_pdf(allocated.path / "labels-2.pdf", pages[half:])
    finished = allocated.run("print-labels", "--from", "tracking.csv", "labels-2.pdf", "labels-1.pdf")
    assert [line for line in finished.stderr.splitlines() if "of their own" not in line] == []
    rows = allocated.packages()
    assert [row["tracking_number"] for row in rows] == [
        numbers[row["order_id"].removeprefix("tiktok:")][1] for row in rows
    ]
    assert {row["order_id"].removeprefix("tiktok:") for row in rows} == set(numbers)
    # Deadlines of the same six hours count as one.
    spans = [(row["ship_by"][:10], int(row["ship_by"][11:13]) // 6) for row in rows]
    assert spans == sorted(spans)
    with pypdfium2.PdfDocument(allocated.path / "labels.pdf") as document:
        assert [_scan(page) for page in document] == [{row["tracking_number"]} for row in rows]
        stamps = [page.get_textpage().get_text_bounded() for page in document]
    assert all(row["position"] in text for row, text in zip(rows, stamps, strict=True))
    with pypdfium2.PdfDocument(allocated.path / "pick-list.pdf") as document:
        text = "".join(page.get_textpage().get_text_bounded() for page in document)
    assert all(item.split(" x ")[0] in text for row in rows for item in row["items"].split("; "))
    with pypdfium2.PdfDocument(allocated.path / "packing-slips.pdf") as document:
        assert len(document) == len(rows)


def test_pdfs_whose_pages_name_their_order_need_no_tracking_list(allocated):
    numbers = _numbers(allocated)
    _write_pdf(
        allocated.path / "labels.in.pdf", [(order_id, number, False) for order_id, (_c, number) in numbers.items()]
    )
    allocated.run("print-labels", "--from", "labels.in.pdf")
    held = {
        row["channel_order_id"]: row["tracking_number"]
        for row in allocated.query(
            "SELECT o.channel_order_id, l.tracking_number FROM labels l JOIN package_orders USING (package_id)"
            " JOIN orders o USING (order_id) WHERE l.source = 'file'"
        )
    }
    assert held == {order_id: number for order_id, (_carrier, number) in numbers.items()}


def test_a_page_of_a_stranger_fails_alone(allocated):
    numbers = _numbers(allocated)
    (order_id, (_carrier, number)), *_rest = numbers.items()
    _write_pdf(
        allocated.path / "bought.pdf",
        [("576999999999999999", usps_number(5_555_555), False), (order_id, number, False)],
    )
    finished = allocated.run("print-labels", "--from", "bought.pdf", expect=3)
    assert "orders that are not in this database (pages 1; " in finished.stderr
    assert [row["order_id"] for row in allocated.packages()] == [f"tiktok:{order_id}"]


def test_everything_a_second_time_changes_nothing(allocated):
    numbers = _numbers(allocated)
    _write_list(allocated.path / "tracking.csv", numbers)
    _write_pdf(allocated.path / "bought.pdf", [(order_id, number, False) for order_id, (_c, number) in numbers.items()])
    commands = (
        ("sync", "--from", EXPORT),
        ("stock", "import", SHEET),
        ("reserve-stock", "--no-push"),
        ("allocate", "--no-wait"),
        ("print-labels", "--from", "tracking.csv", "bought.pdf"),
        ("upload-tracking", "--to", "template.xlsx"),
    )
    for command in commands:
        allocated.run(*command)
    content, files = allocated.dump(), allocated.files()
    for command in commands:
        allocated.run(*command)
    assert allocated.dump() == content
    assert {name: facts for name, facts in allocated.files().items() if name.endswith(".pdf")} == {
        name: facts for name, facts in files.items() if name.endswith(".pdf")
    }


def test_a_later_export_that_shows_them_shipped_leaves_nothing_to_tell(allocated):
    numbers = _numbers(allocated)
    _write_list(allocated.path / "tracking.csv", numbers)
    allocated.run("print-labels", "--from", "tracking.csv")
    allocated.run("upload-tracking", "--to", "template.xlsx")
    _write_later_export(allocated.path / "later.csv", numbers)
    allocated.run("sync", "--from", "later.csv")
    states = {row["channel_order_id"]: row["state"] for row in allocated.query("SELECT * FROM v_orders")}
    assert {states[order_id] for order_id in numbers} == {"closed"}
    told = allocated.run("upload-tracking", "--to", "again.xlsx", "--json")
    assert told.lines[:-1] == []
    assert not (allocated.path / "again.xlsx").exists()
    assert "nothing to print" in allocated.run("print-labels").stdout
    allocated.run("check", "--quiet")
    assert allocated.column("SELECT package_id FROM labels GROUP BY package_id HAVING count(*) > 1") == []


def _write_later_export(path, numbers):
    source = EXPORT
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows, header = list(reader), reader.fieldnames
    for row in rows:
        order_id = row["Order ID"].strip()
        if order_id in numbers:
            carrier, number = numbers[order_id]
            row |= {
                "Order Status": "Shipped",
                "Order Substatus": "Awaiting collection",
                "RTS Time": "11/22/2026 9:00:00 AM\t",
                "Tracking ID": number,
                "Shipping Provider Name": {"usps": "USPS", "ups": "UPS"}[carrier],
            }
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)


def test_without_credentials_a_stage_that_needs_the_channel_names_the_way_by_file(allocated):
    assert "sync --from FILE" in allocated.run("sync", expect=4).stderr
    _write_list(allocated.path / "tracking.csv", _numbers(allocated))
    allocated.run("print-labels", "--from", "tracking.csv")
    assert "upload-tracking --to FILE" in allocated.run("upload-tracking", expect=4).stderr
    assert "import a sheet" in allocated.run("stock", "import", "--from-channel", "tiktok", expect=4).stderr


def test_one_label_of_a_list_never_stands_for_orders_that_it_does_not_name(allocated):
    """Two orders of one buyer leave together; a number for one of them alone would lose the other."""
    together = allocated.query(
        "SELECT p.package_id, p.order_ids FROM v_packages p WHERE json_array_length(p.order_ids) > 1 AND p.state = 'allocated'"
    )
    package_id, orders = together[0]["package_id"], json.loads(together[0]["order_ids"])
    row = f"{orders[0].partition(':')[2]},usps,{usps_number(77)}"
    (allocated.path / "one.csv").write_text(f"order_id,carrier,tracking_number\n{row}\n", "utf-8")
    refused = allocated.run("print-labels", "--from", "one.csv", expect=3)
    assert f"the order leaves in {package_id} together with {orders[1]}" in refused.stderr
    (allocated.path / "whole.csv").write_text(
        f"order_id,carrier,tracking_number,package_id\n{row},{package_id}\n", "utf-8"
    )
    assert "1 labels taken over" in allocated.run("print-labels", "--from", "whole.csv").stdout


def test_a_file_that_many_rows_of_a_list_name_is_taken_page_by_page(allocated):
    numbers = _numbers(allocated)
    _write_pdf(allocated.path / "all.pdf", [(order_id, number, False) for order_id, (_by, number) in numbers.items()])
    rows = [f"{order_id},{carrier},{number},all.pdf" for order_id, (carrier, number) in numbers.items()]
    (allocated.path / "list.csv").write_text(
        "\n".join(["order_id,carrier,tracking_number,label_file", *rows]), encoding="utf-8"
    )
    allocated.run("print-labels", "--from", "list.csv", "--quiet")
    assert len(rows) > 3
    with pypdfium2.PdfDocument(allocated.path / "labels.pdf") as document:
        assert len(document) == len(rows)
        for row, page in zip(allocated.packages(), document, strict=True):
            assert row["tracking_number"] in _scan(page)
