"""The order export as XLSX: rows as the CSV gives them, and the malformed sheets that Seller Center is known to write."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from openpyxl import Workbook

from tiktok_erp.channels.seller_center import read_order_export
from tiktok_erp.errors import InputFileError

HEADERS = (
    "Order ID",
    "Order Status",
    "Order Substatus",
    "SKU ID",
    " Virtual Bundle Seller SKU",
    "Quantity",
    "Order Amount",
    "Created Time",
    "Zipcode",
)
DESCRIPTIONS = (
    "Platform unique order ID.",
    "Current order status.",
    "",
    "Platform SKU ID.",
    "",
    "SKU sold quantity in the order.",
    "",
    "",
    "",
)
ROW = (
    "576461413038785752\t",
    "To ship",
    "Awaiting shipment",
    "1729592969712207013\t",
    "",
    "2",
    "14.83",
    "11/21/2026 6:42:11 PM\t",
    "02139\t",
)


def save(path: Path, *rows: Sequence[object], sheet: str = "OrderSKUList", before: Sequence[str] = ()) -> Path:
    workbook = Workbook()
    first = workbook.active
    assert first is not None
    first.title = before[0] if before else sheet
    target = workbook.create_sheet(sheet) if before else first
    for row in (HEADERS, DESCRIPTIONS, *rows):
        target.append(row)
    workbook.save(path)
    return path


def edit_sheet(path: Path, change: Callable[[str], str]) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name] = change(parts[name].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


def test_a_workbook_is_read_from_its_third_row(tmp_path: Path) -> None:
    (order,) = read_order_export(save(tmp_path / "orders.xlsx", ROW))
    assert order.channel_order_id == "576461413038785752"
    assert order.placed_at == datetime(2026, 11, 22, 2, 42, 11, tzinfo=UTC)
    assert order.recipient is not None and order.recipient.zip == "02139"
    assert (len(order.units), order.total_minor) == (2, 1483)


def test_numbers_and_dates_that_are_no_text_are_understood(tmp_path: Path) -> None:
    row = (*ROW[:5], 2, 14.83, datetime(2026, 11, 21, 18, 42, 11), ROW[8])
    (order,) = read_order_export(save(tmp_path / "orders.xlsx", row))
    assert (len(order.units), order.total_minor) == (2, 1483)
    assert order.placed_at == datetime(2026, 11, 22, 2, 42, 11, tzinfo=UTC)


def test_the_sheet_of_orders_is_found_behind_another(tmp_path: Path) -> None:
    assert list(read_order_export(save(tmp_path / "orders.xlsx", ROW, before=["Read me"])))


def test_a_stale_dimension_hides_no_row(tmp_path: Path) -> None:
    path = save(tmp_path / "orders.xlsx", ROW)
    edit_sheet(path, lambda xml: re.sub(r'<dimension ref="[^"]*"', '<dimension ref="A1:A1"', xml))
    assert len(list(read_order_export(path))) == 1


def test_header_cells_in_rows_of_their_own_are_put_together(tmp_path: Path) -> None:
    path = save(tmp_path / "orders.xlsx", ROW)

    def split_header(xml: str) -> str:
        header = re.search(r'<row r="1"[^>]*>(.*?)</row>', xml, re.DOTALL)
        assert header is not None
        cells = re.findall(r"<c .*?</c>|<c [^>]*/>", header[1], re.DOTALL)
        return xml.replace(header[0], "".join(f'<row r="1">{cell}</row>' for cell in cells))

    edit_sheet(path, split_header)
    assert len(list(read_order_export(path))) == 1


def test_an_order_id_kept_as_a_number_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "orders.xlsx", (5.76461413038785e17, *ROW[1:]))
    with pytest.raises(InputFileError, match="rounded the number 5"):
        read_order_export(path)


def test_a_refusal_names_the_sheet_s_row(tmp_path: Path) -> None:
    path = save(tmp_path / "orders.xlsx", ROW, ("576461413038783117", *ROW[1:5], "none", *ROW[6:]))
    with pytest.raises(InputFileError) as caught:
        read_order_export(path)
    assert caught.value.subject == f"{path}:4:Quantity, order 576461413038783117"


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.95])
def test_a_workbook_that_is_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    path = save(tmp_path / "orders.xlsx", ROW)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputFileError, match="not a whole XLSX workbook"):
        read_order_export(path)


def test_an_archive_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.pdf", b"%PDF-1.7")
    with pytest.raises(InputFileError, match="not a whole XLSX workbook"):
        read_order_export(path)


def test_a_workbook_without_cells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.xlsx"
    Workbook().save(path)
    with pytest.raises(InputFileError, match="empty"):
        read_order_export(path)
