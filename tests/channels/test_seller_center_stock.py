"""The stock template: quantity cells are filled, everything else keeps its bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font

from tiktok_erp.channels.seller_center_stock import fill_stock_template, read_stock_template
from tiktok_erp.errors import InputFileError

HEADERS = ("product_id", "SKU ID", "Seller SKU", "Quantity in U.S Pickup Warehouse", "Price")
NOTES = ("Cannot be edited", "Cannot be edited", "Mandatory", "Whole numbers from 0", "Cannot be edited")


def template(path: Path, *rows: tuple[object, ...], headers: tuple[str, ...] = HEADERS, above: int = 2) -> Path:
    workbook = Workbook()
    guide = workbook.active
    assert guide is not None
    guide.title = "Instructions"
    guide["A1"] = "How to fill this file in"
    sheet = workbook.create_sheet("Template")
    for number in range(above):
        sheet.append([f"technical {number}", "V3"])
    sheet.append(headers)
    sheet.append(NOTES[: len(headers)])
    for row in rows:
        sheet.append(row)
    sheet.cell(row=above + 3, column=1).font = Font(bold=True)
    workbook.create_sheet("hidden").sheet_state = "hidden"
    workbook.save(path)
    return path


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def cells(path: Path) -> dict[str, object]:
    return {
        f"{sheet.title}!{cell.coordinate}": cell.value for sheet in load_workbook(path) for row in sheet for cell in row
    }


def test_quantity_cells_alone_change(tmp_path: Path) -> None:
    path = template(
        tmp_path / "t.xlsx",
        ("1", "11", "MUG", 40, "9.99"),
        ("1", "12", "CUP", None, "9.99"),
        ("2", "13", "TEA", "7", "9.99"),
    )
    before_parts, before = parts(path), cells(path)
    read = read_stock_template(path)
    assert [(row.line, row.listing_id, row.seller_sku, row.quantities) for row in read.rows] == [
        (5, "11", "MUG", (("U.S Pickup Warehouse", 40),)),
        (6, "12", "CUP", (("U.S Pickup Warehouse", None),)),
        (7, "13", "TEA", (("U.S Pickup Warehouse", 7),)),
    ]
    wanted = {line: {"U.S Pickup Warehouse": quantity} for line, quantity in ((5, 12), (6, 0), (7, 7))}
    assert fill_stock_template(read, wanted) == 2
    after = cells(path)
    assert {name: after[name] for name in after if after[name] != before.get(name)} == {
        "Template!D5": 12,
        "Template!D6": 0,
    }
    changed = {name for name, content in parts(path).items() if content != before_parts[name]}
    assert changed == {read.part}
    content = path.read_bytes()
    assert fill_stock_template(read_stock_template(path), wanted) == 0
    assert path.read_bytes() == content


def test_a_number_that_was_text_stays_text(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", ("1", "11", "MUG", "40", "9.99"))
    fill_stock_template(read_stock_template(path), {5: {"U.S Pickup Warehouse": 3}})
    assert cells(path)["Template!D5"] == "3"


def test_a_missing_cell_is_put_at_its_place_in_the_row(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", ("1", "11", "MUG", None, "9.99"))
    fill_stock_template(read_stock_template(path), {5: {"U.S Pickup Warehouse": 3}})
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read(read_stock_template(path).part))
    references = [
        cell.get("r") for cell in root.iter() if cell.tag.endswith("}c") and (cell.get("r") or "").endswith("5")
    ]
    assert references == ["A5", "B5", "C5", "D5", "E5"]


def test_several_warehouses_have_a_column_each(tmp_path: Path) -> None:
    headers = ("Seller SKU", "Quantity in East", "Total quantity in U.S Pickup Warehouse")
    path = template(tmp_path / "t.xlsx", ("MUG", 4, 5), headers=headers, above=0)
    (row,) = read_stock_template(path).rows
    assert row.quantities == (("East", 4), ("U.S Pickup Warehouse", 5))


def test_rows_that_explain_are_no_skus(tmp_path: Path) -> None:
    path = template(
        tmp_path / "t.xlsx", ("", "", "e.g. MUG-RED", "your stock", ""), ("1", "11", "MUG", 4, ""), (None,) * 5
    )
    read = read_stock_template(path)
    assert [row.seller_sku for row in read.rows] == ["MUG"]
    assert read.unreadable == (5,)


@pytest.mark.parametrize(
    "headers",
    [("Seller SKU", "Price"), ("SKU", "Quantity in East"), ("Seller SKU", "Seller SKU", "Quantity in East")],
    ids=str,
)
def test_a_workbook_without_the_columns_is_refused(tmp_path: Path, headers: tuple[str, ...]) -> None:
    with pytest.raises(InputFileError):
        read_stock_template(template(tmp_path / "t.xlsx", headers=headers))


def test_other_files_are_refused(tmp_path: Path) -> None:
    for content in (b"Seller SKU,Quantity in East\nMUG,4\n", b"PK\x03\x04 cut off"):
        path = tmp_path / "t.xlsx"
        path.write_bytes(content)
        with pytest.raises(InputFileError):
            read_stock_template(path)
