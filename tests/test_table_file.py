"""Tables as people and programs really make them: formulas, hidden sheets, apostrophes, separators, files that are no tables."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook
from openpyxl.worksheet.formula import ArrayFormula

from tests.channels.test_workbook_parts import save as save_parts
from tiktok_erp.carriers.tracking_list import read_tracking_list
from tiktok_erp.channels.seller_center import read_order_export, read_tracking_template
from tiktok_erp.channels.seller_center_stock import read_stock_template
from tiktok_erp.config.sku_sheet import SkuSheet, read_sku_sheet
from tiktok_erp.errors import InputFileError
from tiktok_erp.handover.list_file import read_list
from tiktok_erp.table_file import SEPARATORS, TableFile, plain_cell, plain_code

EXAMPLES = Path(__file__).parents[1] / "examples"
TRACKING = "order_id,carrier,tracking_number"
NUMBER = "9400190321704571000083"


def workbook(path: Path, *rows: list[object], title: str = "Stock") -> Path:
    """Save rows as a script with openpyxl does: its formulas have no stored values."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


def counts(sheet: SkuSheet) -> dict[str, int | None]:
    assert sheet.faults == ()
    return {row.sku: row.quantity for row in sheet.rows}


def refusal(path: Path) -> InputFileError:
    with pytest.raises(InputFileError) as caught:
        read_sku_sheet(path)
    return caught.value


# Formulas without a value


@pytest.mark.parametrize(
    "formula",
    [
        "=100-40",
        "=SUM(C2:C9)",
        "=B3",
        "=VLOOKUP(A2,lists!A:B,2,FALSE)",
        '=IF(A2="","",5)',
        ArrayFormula("B2:B3", "=C2:C3*2"),
    ],
)
def test_a_formula_that_was_never_worked_out_is_a_fault_of_its_cell(tmp_path: Path, formula: object) -> None:
    path = workbook(tmp_path / "stock.xlsx", ["sku", "quantity"], ["LIP-ROSE-01", formula], ["LIP-PLUM-02", 80])
    (fault,) = read_sku_sheet(path).faults
    assert str(fault) == (f"{path}:2:quantity: cell B2 of sheet Stock is a formula whose value was never worked out")


def test_a_formula_in_the_sku_s_column_is_one_fault(tmp_path: Path) -> None:
    path = workbook(tmp_path / "stock.xlsx", ["sku", "quantity"], ['="LIP"&"-1"', 3])
    assert [fault.column for fault in read_sku_sheet(path).faults] == ["sku"]


def test_a_formula_in_a_column_that_nobody_reads_is_no_fault(tmp_path: Path) -> None:
    path = workbook(tmp_path / "stock.xlsx", ["sku", "quantity", "worth"], ["LIP-ROSE-01", 3, "=B2*4"])
    assert counts(read_sku_sheet(path)) == {"LIP-ROSE-01": 3}


@pytest.mark.parametrize(
    ("cell", "is_known"),
    [
        ("<c r='B2'><f>1+1</f><v>2</v></c>", True),
        ("<c r='B2' t='n'><f>1+1</f></c>", False),
        ("<c r='B2'><f t='shared' si='0'/></c>", False),
        ("<c r='B2'><f t='shared' si='0'/><v>7</v></c>", True),
        ("<c r='B2' t='str'><f>A2</f></c>", False),
        ("<c r='B2' t='str'><f>A2</f><v>7</v></c>", True),
        ("<c r='B2' t='str'><f>IF(1,\"\",2)</f><v></v></c>", True),
        ("<c r='B2' t='b'><f>TRUE()</f></c>", False),
        ("<c r='B2' t='e'><f>A9</f><v>#N/A</v></c>", False),
        ("<c r='B2' t='e'><v>#REF!</v></c>", False),
        ("<c r='B2'/>", True),
    ],
)
def test_a_value_that_a_formula_has_is_taken_and_one_that_it_lacks_is_not(
    tmp_path: Path, cell: str, is_known: bool
) -> None:
    path = save_parts(
        tmp_path / "stock.xlsx",
        "<row r='1'><c r='A1' t='inlineStr'><is><t>sku</t></is></c><c r='B1' t='inlineStr'><is><t>quantity</t></is></c></row>"
        f"<row r='2'><c r='A2' t='inlineStr'><is><t>CUP</t></is></c>{cell}</row>",
    )
    assert (read_sku_sheet(path).faults == ()) is is_known


@pytest.mark.parametrize("formula", ["=12", '="12"', '=T("12")'])
def test_a_formula_that_is_a_mere_value_needs_no_working_out(tmp_path: Path, formula: str) -> None:
    path = workbook(tmp_path / "stock.xlsx", ["sku", "quantity"], ['="LIP-ROSE-01"', formula])
    assert counts(read_sku_sheet(path)) == {"LIP-ROSE-01": 12}


@pytest.mark.parametrize(("value", "is_known"), [("0", False), ("12", True)])
def test_a_nought_in_a_workbook_that_asks_to_be_worked_out_is_no_count(
    tmp_path: Path, value: str, is_known: bool
) -> None:
    path = save_parts(
        tmp_path / "stock.xlsx",
        "<row><c t='inlineStr'><is><t>sku</t></is></c><c t='inlineStr'><is><t>quantity</t></is></c></row>"
        f"<row><c t='inlineStr'><is><t>CUP</t></is></c><c><f>SUM(D2)</f><v>{value}</v></c></row>",
        workbook='<calcPr fullCalcOnLoad="1"/>',
    )
    assert (read_sku_sheet(path).faults == ()) is is_known


def test_a_formula_in_a_tracking_list_is_a_fault_of_its_row_alone(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "list.xlsx",
        TRACKING.split(","),
        ["576461413038738436", "USPS", "=A1"],
        ["576461413038744092", "USPS", NUMBER],
    )
    read = read_tracking_list(path)
    assert [label.order_id for label in read.labels] == ["576461413038744092"]
    assert [(fault.line, fault.column) for fault in read.faults] == [(2, "tracking_number")]
    assert "cell C2 of sheet Stock" in read.faults[0].what


def test_a_formula_in_an_order_export_refuses_it_with_its_place(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "orders.xlsx",
        ["Order ID", "Order Status", "SKU ID", "Quantity"],
        ["576461413038738436", "To ship", "1729592969712218843", "=1+1"],
    )
    with pytest.raises(InputFileError, match="cell D2 of sheet Stock") as caught:
        read_order_export(path)
    assert caught.value.subject.endswith("orders.xlsx:2:Quantity")


def test_a_header_that_is_a_formula_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "stock.xlsx", ["sku", "quantity", '="na"&"me"'], ["CUP", 3, "Cup"])
    assert "cell C1" in refusal(path).what


# Cells that are not what they look like


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('="9400190321704571000083"', NUMBER),
        ('=T("9400190321704571000083")', NUMBER),
        ('= "9400190321704571000083" ', NUMBER),
        ('=HYPERLINK("https://carrier.example/?n=1","9400190321704571000083")', NUMBER),
        ("=9400190321704571000083", NUMBER),
        ('="a ""b"""', 'a "b"'),
        ("\ufeff9400190321704571000083\u200b", NUMBER),
        ('\u200b="12"', "12"),
        ('="576461413038785752\t"', "576461413038785752\t"),
        ("576461413038785752\t", "576461413038785752\t"),
        ("=SUM(A1:A2)", "=SUM(A1:A2)"),
        ('="a"&B2', '="a"&B2'),
        ("=) thanks", "=) thanks"),
        ("'s-Hertogenbosch", "'s-Hertogenbosch"),
        ("👩\u200d🍳 chef", "👩\u200d🍳 chef"),
    ],
)
def test_a_cell_stands_for_the_text_inside(cell: str, text: str) -> None:
    assert plain_cell(cell) == text


@pytest.mark.parametrize("cell", ["'{}", "\u2019{}", "\u00a0{}\u202f", "{}\u200d", "\u202a{}\u202c"])
def test_a_code_has_no_marks_of_programs_around_it(cell: str) -> None:
    assert plain_code(cell.format(NUMBER)) == NUMBER


def test_a_list_of_text_formulas_and_apostrophes_is_read_in_csv_and_workbook(tmp_path: Path) -> None:
    cells = ['="576461413038738436"', "USPS", f"'{NUMBER}"]
    text = tmp_path / "list.csv"
    text.write_text(f'{TRACKING}\n"=""576461413038738436""",USPS,\'{NUMBER}\n', "utf-8")
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for line, row in enumerate([TRACKING.split(","), cells], start=1):
        for column, value in enumerate(row, start=1):
            cell = sheet.cell(line, column, value)
            cell.data_type = "s"
    book.save(tmp_path / "list.xlsx")
    for path in (text, tmp_path / "list.xlsx"):
        (label,) = read_tracking_list(path).labels
        assert (label.order_id, label.tracking_number) == ("576461413038738436", NUMBER)


def test_blanks_and_apostrophes_between_thousands_are_read_in_a_count(tmp_path: Path) -> None:
    path = tmp_path / "stock.csv"
    path.write_text("sku,quantity\nA,1\u202f234\nB,1'234\nC,'120\nD,\"1,234\"\n", "utf-8")
    assert counts(read_sku_sheet(path)) == {"A": 1234, "B": 1234, "C": 120, "D": 1234}


@pytest.mark.parametrize(
    "row",
    ["=B2&C2,3", "#REF!,3", "Total,240", "合计,240", "2026-03-05 00:00:00,3", "CUP,1.234", "CUP,#N/A", "CUP,TRUE"],
)
def test_what_a_spreadsheet_program_left_in_a_sku_or_count_is_a_fault(tmp_path: Path, row: str) -> None:
    path = tmp_path / "stock.csv"
    path.write_text(f"sku,quantity\n{row}\n", "utf-8")
    assert len(read_sku_sheet(path).faults) == 1


def test_a_number_id_of_a_workbook_that_may_have_been_rounded_is_refused(tmp_path: Path) -> None:
    def orders(*numbers: int) -> Path:
        texts = [
            ["Order ID", "Order Status", "SKU ID", "Quantity"],
            *([str(number), "To ship", "17", "1"] for number in numbers),
        ]
        rows = "".join(
            "<row>"
            + "".join(
                f"<c><v>{text}</v></c>" if text.isdigit() else f"<c t='inlineStr'><is><t>{text}</t></is></c>"
                for text in row
            )
            + "</row>"
            for row in texts
        )
        return save_parts(tmp_path / "orders.xlsx", rows)

    with pytest.raises(InputFileError, match="rounded"):
        read_order_export(orders(576461413038738432, 576461413038744064))
    assert len(list(read_order_export(orders(576461413038738432, 576461413038744093)))) == 2


# Sheets


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_is_passed_over(tmp_path: Path, state: str) -> None:
    book = Workbook()
    lists = book.active
    assert lists is not None
    lists.title = "lists"
    lists.append(["sku", "quantity"])
    lists.append(["OLD", 1])
    lists.sheet_state = state
    stock = book.create_sheet("Stock")
    for row in (["sku", "quantity"], ["CUP", 3]):
        stock.append(row)
    book.save(tmp_path / "stock.xlsx")
    sheet = read_sku_sheet(tmp_path / "stock.xlsx")
    assert (counts(sheet), sheet.other_sheets) == ({"CUP": 3}, ())


def test_of_several_sheets_the_one_with_the_header_is_read_and_further_ones_are_told(tmp_path: Path) -> None:
    book = Workbook()
    assert book.active is not None
    book.active.append(["How to fill this in"])
    for name, count in (("East", 3), ("West", 4)):
        sheet = book.create_sheet(name)
        sheet.append(["sku", "quantity"])
        sheet.append(["CUP", count])
    book.save(tmp_path / "stock.xlsx")
    read = read_sku_sheet(tmp_path / "stock.xlsx")
    assert (counts(read), read.other_sheets) == ({"CUP": 3}, ("West",))


def test_a_fault_names_the_sheet_where_there_are_several(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.create_sheet("Stock", 0)
    for row in (["sku", "quantity"], ["CUP", "some"]):
        sheet.append(row)
    path = tmp_path / "stock.xlsx"
    book.save(path)
    (fault,) = read_sku_sheet(path).faults
    assert str(fault).startswith(f"{path}:Stock:2:quantity:")


# Separators and encodings


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_sheets_of_any_separator_and_of_utf_16_are_read(tmp_path: Path, separator: str, encoding: str) -> None:
    path = tmp_path / "stock.csv"
    lines = [["sku", "quantity", "name"], ["CUP", "3", f'"a{separator}b"']]
    path.write_text("\r\n".join(separator.join(line) for line in lines), encoding)
    (row,) = read_sku_sheet(path).rows
    assert (row.sku, row.quantity, row.name) == ("CUP", 3, f"a{separator}b")


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_excel_s_own_first_line_names_the_separator(tmp_path: Path, first: str) -> None:
    path = tmp_path / "stock.csv"
    path.write_text(f"{first}\r\nsku;quantity\r\nCUP;some\r\n", "utf-8-sig")
    (fault,) = read_sku_sheet(path).faults
    assert fault.line == 3


def test_an_order_export_in_utf_16_is_refused_by_both_names(tmp_path: Path) -> None:
    path = tmp_path / "orders.txt"
    path.write_text("Order ID\tOrder Status\n1\t2\n", "utf-16")
    with pytest.raises(InputFileError, match="UTF-16 text with tabs between its columns, not UTF-8"):
        read_order_export(path)


@pytest.mark.parametrize(("separator", "name"), [("\t", "tabs"), (";", "semicolons"), ("|", "vertical bars")])
def test_an_order_export_saved_with_other_separators_is_refused_by_name(
    tmp_path: Path, separator: str, name: str
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(separator.join(["Order ID", "Order Status", "SKU ID", "Regency, City"]) + "\n", "utf-8")
    with pytest.raises(InputFileError, match=f"separated by {name}, not by commas"):
        read_order_export(path)


# Files that are no tables


def zipped(*members: tuple[str, bytes]) -> bytes:
    import io

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (
            zipped(("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"), ("content.xml", b"<x/>")),
            "OpenDocument",
        ),
        (
            b"<?xml version='1.0'?><office:document xmlns:office='urn:oasis:names:tc:opendocument:xmlns:office:1.0'/>",
            "OpenDocument",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), ".xls"),
        (zipped(("Index/Document.iwa", b"x"), ("Metadata/Properties.plist", b"")), "Numbers"),
        (zipped(("xl/workbook.bin", b"x"), ("[Content_Types].xml", b"")), ".xlsb"),
        (zipped(("word/document.xml", b"x"), ("[Content_Types].xml", b"")), "text document"),
        (zipped(("a.csv", b"sku,quantity")), "ZIP archive"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "picture"),
        (b"\xff\xd8\xff\xe0" + bytes(60), "picture"),
        (b'{"orders": []}', "JSON"),
        (b'[\n {"sku": 1}]', "JSON"),
        (b"\x1f\x8b\x08" + bytes(60), "GZIP"),
        (b"<table><tr><td>sku</td></tr></table>", "web page with a table"),
        (b"<html xmlns:x='urn:schemas-microsoft-com:office:excel'><table/></html>", "web page with a table"),
        (
            b"<?xml version='1.0'?><Workbook xmlns='urn:schemas-microsoft-com:office:spreadsheet'/>",
            "XML (of Excel 2003)",
        ),
        (b"<!DOCTYPE html><html>Log in</html>", "web page"),
    ],
)
def test_a_file_that_is_no_table_is_called_by_its_name(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / "stock.csv"
    path.write_bytes(content)
    for read in (read_sku_sheet, read_tracking_list, read_order_export):
        with pytest.raises(InputFileError) as caught:
            read(path)
        assert name in caught.value.what
        assert caught.value.next_step


# Tables given to the wrong reader


def tables(folder: Path) -> dict[str, Path]:
    """Return one file of each kind."""
    found = {"order export": EXAMPLES / "seller-center-export.csv", "SKU sheet": EXAMPLES / "sku-sheet.csv"}
    for name, text in {
        "list of tracking numbers": f"{TRACKING}\n576461413038738436,USPS,{NUMBER}\n",
        "packages.csv": "position,page,package_id,order_id,items,carrier,service_level,tracking_number,ship_by\n",
        "list of a kit": "package_id,label,orders,printed,packed,new_tracking_number\n",
        "labels to buy elsewhere": "package_id,orders,carrier,service_level,name,phone,street1\n",
    }.items():
        found[name] = folder / f"{name}.csv"
        found[name].write_text(text, "utf-8")
    found["template for stock"] = workbook(
        folder / "stock-template.xlsx",
        ["Edit only the yellow cells"],
        ["Product ID", "Seller SKU", "Quantity in East"],
        ["1", "CUP", 3],
    )
    found["template for tracking numbers"] = workbook(
        folder / "tracking-template.xlsx",
        ["Review the examples"],
        ["Order ID", "Tracking ID", "Shipping Provider Name", "Auto Combine Group ID"],
        title="Shipping info",
    )
    return found


@pytest.mark.parametrize(
    ("read", "own"),
    [
        (read_order_export, {"order export"}),
        (read_sku_sheet, {"SKU sheet", "template for stock"}),
        (read_tracking_list, {"list of tracking numbers", "template for tracking numbers"}),
        (read_tracking_template, {"template for tracking numbers"}),
        (read_stock_template, {"template for stock"}),
        (read_list, {"list of a kit"}),
    ],
)
def test_a_table_given_to_the_wrong_reader_is_called_by_its_name_with_its_command(
    tmp_path: Path, read, own: set[str]
) -> None:
    for name, path in tables(tmp_path).items():
        if name in own:
            continue
        with pytest.raises(InputFileError) as caught:
            list(read(path))
        assert name in caught.value.what, (name, caught.value.what)
        assert "tiktok-erp" in caught.value.next_step or "nothing" in caught.value.next_step


def test_nothing_more_is_read_than_the_header_to_name_a_table(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"{TRACKING}\n1,2,3\n", "utf-8")
    assert [row.cells for row in TableFile(path).first_rows(1)] == [TRACKING.split(",")]
