"""SKU sheets: what a seller counts, weighs and pays."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from openpyxl import Workbook

from tiktok_erp.channels.seller_center import read_order_export
from tiktok_erp.config.sku_sheet import SkuRow, read_sku_sheet
from tiktok_erp.errors import InputFileError
from tiktok_erp.model.money import Money

EXAMPLES = Path(__file__).parents[2] / "examples"
HEADER = "sku,quantity,warehouse,name,weight_g,length_mm,width_mm,height_mm,cost,shelf,tags"


@pytest.fixture
def save(tmp_path: Path):
    def write(*lines: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "sheet.csv"
        path.write_bytes("\n".join(lines).encode(encoding))
        return path

    return write


def read_one(path: Path) -> SkuRow:
    sheet = read_sku_sheet(path)
    assert sheet.faults == ()
    (row,) = sheet.rows
    return row


def test_the_example_sheet_has_no_fault_and_covers_the_example_export() -> None:
    sheet = read_sku_sheet(EXAMPLES / "sku-sheet.csv")
    assert (sheet.faults, sheet.ignored_columns) == ((), ())
    sold = {
        unit.seller_sku for order in read_order_export(EXAMPLES / "seller-center-export.csv") for unit in order.units
    }
    assert sold == {row.sku for row in sheet.rows}


def test_a_full_row_is_read(save) -> None:
    path = save(HEADER, "LIP-ROSE-01,120,main,Velvet Lip Tint,38,120,25,25,2.10 USD,A1-01,lips; bestseller|lips")
    assert read_one(path) == SkuRow(
        line=2,
        sku="LIP-ROSE-01",
        quantity=120,
        warehouse="main",
        name="Velvet Lip Tint",
        weight_g=38,
        length_mm=120,
        width_mm=25,
        height_mm=25,
        cost_amount=Decimal("2.10"),
        cost_currency="USD",
        shelf="A1-01",
        tags=("lips", "bestseller"),
    )


def test_two_columns_are_enough(save) -> None:
    assert read_one(save("sku,quantity", "LIP-ROSE-01,0")) == SkuRow(line=2, sku="LIP-ROSE-01", quantity=0)


def test_a_blank_quantity_is_not_counted(save) -> None:
    assert read_one(save("sku,quantity,name", "LIP-ROSE-01,,Lip Tint")).quantity is None


@pytest.mark.parametrize("header", ["SKU,Quantity,Weight G", "Seller SKU;QUANTITY;weight_g", " sku \tquantity\tweight"])
def test_headers_are_found_in_any_spelling(save, header: str) -> None:
    separator = next(mark for mark in "\t;," if mark in header)
    row = read_one(save(header, separator.join(("LIP-ROSE-01", "5", "38")), encoding="utf-8-sig"))
    assert (row.sku, row.quantity, row.weight_g) == ("LIP-ROSE-01", 5, 38)


@pytest.mark.parametrize(
    ("cell", "grams"),
    [("120", 120), ("120g", 120), ("120 G", 120), ("120.2", 121), ("0.12kg", 120), ("4oz", 114), ("1 lb", 454)],
)
def test_weights_are_grams_rounded_up(save, cell: str, grams: int) -> None:
    assert read_one(save("sku,quantity,weight_g", f"A,1,{cell}")).weight_g == grams


@pytest.mark.parametrize(("cell", "millimetres"), [("120", 120), ("120mm", 120), ("12.5 cm", 125), ("1in", 26)])
def test_lengths_are_millimetres_rounded_up(save, cell: str, millimetres: int) -> None:
    assert read_one(save("sku,quantity,length_mm", f"A,1,{cell}")).length_mm == millimetres


@pytest.mark.parametrize(
    ("cell", "cost"),
    [("3.20 USD", Money(320, "USD")), ("3.20", Money(320, "GBP")), ("$3", Money(300, "GBP")), ("", None)],
)
def test_a_cost_without_currency_is_in_the_shop_s(save, cell: str, cost: Money | None) -> None:
    assert read_one(save("sku,quantity,cost", f"A,1,{cell}")).cost("GBP") == cost


def test_thousands_commas_in_a_quantity_are_read(save) -> None:
    assert read_one(save("sku,quantity", 'A,"1,200"')).quantity == 1200


def test_a_workbook_is_read_too(tmp_path: Path) -> None:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.append(["sku", "quantity", "weight_g", "cost"])
    sheet.append([10023, 12.0, 38, 2.1])
    workbook.save(tmp_path / "sheet.xlsx")
    row = read_one(tmp_path / "sheet.xlsx")
    assert (row.sku, row.quantity, row.weight_g, row.cost("USD")) == ("10023", 12, 38, Money(210, "USD"))


def test_the_same_sku_may_lie_in_two_warehouses(save) -> None:
    sheet = read_sku_sheet(save("sku,quantity,warehouse", "A,1,east", "A,2,west"))
    assert (len(sheet.rows), sheet.faults) == (2, ())


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (",1,,,,,,,,,", "sku"),
        ("1.23E+17,1,,,,,,,,,", "sku"),
        ("A,-1,,,,,,,,,", "quantity"),
        ("A,1.5,,,,,,,,,", "quantity"),
        ("A,many,,,,,,,,,", "quantity"),
        ("A,99999999999999999999,,,,,,,,,", "quantity"),
        ("A,1,,,heavy,,,,,,", "weight_g"),
        ("A,1,,,120st,,,,,,", "weight_g"),
        ("A,1,,,0,,,,,,", "weight_g"),
        ("A,1,,,-5,,,,,,", "weight_g"),
        ("A,1,,,,1m,,,,,", "length_mm"),
        ("A,1,,,,,wide,,,,", "width_mm"),
        ("A,1,,,,,,0,,,", "height_mm"),
        ("A,1,,,,,,,cheap,,", "cost"),
        ("A,1,,,,,,,3.20 Dollar,,", "cost"),
        ("A,1,,,,,,,,,,surplus", "sku"),
    ],
)
def test_a_bad_cell_is_a_fault_with_file_line_and_column(save, row: str, column: str) -> None:
    path = save(HEADER, row)
    sheet = read_sku_sheet(path)
    assert sheet.rows == ()
    (fault,) = sheet.faults
    assert str(fault).startswith(f"{path}:2:{column}: ")


def test_a_sku_that_comes_twice_is_a_fault_that_names_both_lines(save) -> None:
    path = save("sku,quantity", "A,1", "B,1", "A,2")
    (fault,) = read_sku_sheet(path).faults
    assert str(fault) == f"{path}:4:sku: A is already in line 2"


def test_every_fault_is_reported_and_the_good_rows_are_kept_apart(save) -> None:
    sheet = read_sku_sheet(save(HEADER, "A,x,,,y,,,,,,", "B,1,,,,,,,,,", ",1,,,,,,,,,"))
    assert [(fault.line, fault.column) for fault in sheet.faults] == [(2, "quantity"), (2, "weight_g"), (4, "sku")]
    assert [row.sku for row in sheet.rows] == ["B"]


def test_faults_refuse_the_sheet_in_one_error_that_lists_them(save) -> None:
    path = save("sku,quantity", *(f"SKU-{number},none" for number in range(25)))
    with pytest.raises(InputFileError) as caught:
        read_sku_sheet(path).refuse_faults()
    lines = str(caught.value).splitlines()
    assert lines[0] == "25 faults in the SKU sheet; nothing was taken over"
    assert lines[1] == f"{path}:2:quantity: none is not a whole number from 0 up"
    assert lines[-1].startswith("and 5 more")


def test_a_sheet_without_faults_is_not_refused(save) -> None:
    read_sku_sheet(save("sku,quantity", "A,1")).refuse_faults()


def test_columns_that_mean_nothing_to_us_are_told(save) -> None:
    assert read_sku_sheet(save("sku,quantity,supplier,wieght_g", "A,1,Acme,5")).ignored_columns == (
        "supplier",
        "wieght_g",
    )


@pytest.mark.parametrize("missing", ["sku", "quantity"])
def test_a_missing_column_refuses_the_file(save, missing: str) -> None:
    with pytest.raises(InputFileError, match=f"no column {missing}"):
        read_sku_sheet(save("sku,quantity,name".replace(missing, "other"), "A,1,x"))


def test_an_unreadable_file_is_refused(save, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="UTF-8"):
        read_sku_sheet(save("sku,quantity,name", "A,1,口红", encoding="gbk"))
    with pytest.raises(InputFileError, match="empty"):
        read_sku_sheet(save(",,", ",,"))
    with pytest.raises(InputFileError, match="no such file"):
        read_sku_sheet(tmp_path / "missing.csv")
