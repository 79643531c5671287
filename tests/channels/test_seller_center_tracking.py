"""The bulk tracking template as Seller Center gives it, read back cell by cell."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from tiktok_erp.channels.seller_center import (
    TrackingRow,
    fill_tracking_template,
    read_tracking_template,
    write_tracking_template,
)
from tiktok_erp.channels.seller_center_tracking import SplitRow, read_told_rows, write_split_orders
from tiktok_erp.errors import InputFileError, UsageError

ROWS = [
    TrackingRow("576461413038785752", "9400111206206406260787", "USPS"),
    TrackingRow("576461413038783117", "1Z12345E6605272234", "UPS", "7573300011122233344"),
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "tracking.xlsx"
    write_tracking_template(path, ROWS)
    return path


def test_the_template_has_seller_center_s_four_sheets(written: Path) -> None:
    assert load_workbook(written).sheetnames == [
        "How to use it",
        "Shipping info",
        "Data definitions",
        "Example of shipment",
    ]


def test_a_merged_note_stands_above_the_headers_and_data_begins_in_row_3(written: Path) -> None:
    sheet = load_workbook(written)["Shipping info"]
    assert [str(merged) for merged in sheet.merged_cells.ranges] == ["A1:D1"]
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0] == ("Review the examples before you fill out this sheet.", None, None, None)
    assert rows[1] == ("Order ID", "Tracking ID", "Shipping Provider Name", "Auto Combine Group ID")
    assert rows[2:] == [
        ("576461413038785752", "9400111206206406260787", "USPS", "N/A"),
        ("576461413038783117", "1Z12345E6605272234", "UPS", "7573300011122233344"),
    ]


def test_every_cell_is_text(written: Path) -> None:
    for sheet in load_workbook(written):
        for row in sheet.iter_rows():
            for cell in row:
                if cell.value is not None:
                    assert (cell.data_type, cell.number_format) == ("s", "@")


def test_what_looks_like_a_formula_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "tracking.xlsx"
    write_tracking_template(path, [TrackingRow("576461413038785752", "=1+1", "=HYPERLINK()")])
    cell = load_workbook(path)["Shipping info"]["B3"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")


def test_the_same_rows_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.xlsx"
    write_tracking_template(again, ROWS)
    assert again.read_bytes() == written.read_bytes()


def test_other_rows_give_other_bytes(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.xlsx"
    write_tracking_template(again, ROWS[:1])
    assert again.read_bytes() != written.read_bytes()


def test_an_older_file_is_replaced_and_nothing_is_left_beside_it(written: Path) -> None:
    write_tracking_template(written, ROWS[:1])
    assert load_workbook(written)["Shipping info"].max_row == 3
    assert [path.name for path in written.parent.iterdir()] == ["tracking.xlsx"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        write_tracking_template(tmp_path / "taken", ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_tracking_template(tmp_path / "missing" / "tracking.xlsx", ROWS)
    assert caught.value.subject == str(tmp_path / "missing" / "tracking.xlsx")


@pytest.fixture
def older_template(tmp_path: Path) -> Path:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.title = "How to use it"
    sheet["A1"] = "The platform's own words"
    shipping = workbook.create_sheet("Shipping info")
    shipping.append(["Review the examples before you fill out this sheet."])
    shipping.append(
        [
            "Order ID",
            "SKU ID(optional)",
            "Quantity(optional)",
            "Tracking ID",
            "Shipping Provider Name",
            "Shipping Service(optional)",
            "Auto Combine Group ID",
        ]
    )
    shipping.append(["576461413038700000", None, None, "left over", "USPS"])
    workbook.save(tmp_path / "downloaded.xlsx")
    return tmp_path / "downloaded.xlsx"


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_downloaded_template_is_filled_in_place_and_only_its_cells_change(older_template: Path) -> None:
    before = contents(older_template)
    template = read_tracking_template(older_template)
    assert [row.tracking_number for row in template.rows] == ["left over"]
    assert fill_tracking_template(template, [(None, row) for row in ROWS]) == 9
    after = contents(older_template)
    assert {name for name in after if after[name] != before[name]} == {template.part}
    assert list(after) == list(before)
    workbook = load_workbook(older_template)
    assert workbook["How to use it"]["A1"].value == "The platform's own words"
    rows = list(workbook["Shipping info"].iter_rows(min_row=3, values_only=True))
    assert rows == [
        ("576461413038785752", None, None, "9400111206206406260787", "USPS", None, "N/A"),
        ("576461413038783117", None, None, "1Z12345E6605272234", "UPS", None, "7573300011122233344"),
    ]
    assert workbook["Shipping info"]["A1"].value == "Review the examples before you fill out this sheet."


def test_rows_that_stand_there_are_filled_and_keep_their_other_cells(older_template: Path) -> None:
    workbook = load_workbook(older_template)
    sheet = workbook["Shipping info"]
    sheet.append(["576461413038785752", "1729592969712207013", "2", None, None, "Standard", None])
    workbook.save(older_template)
    template = read_tracking_template(older_template)
    keep, fill = template.rows
    assert fill_tracking_template(template, [(keep, None), (fill, ROWS[0])]) == 3
    rows = list(load_workbook(older_template)["Shipping info"].iter_rows(min_row=3, values_only=True))
    assert rows[0][3] == "left over"
    assert rows[1] == (
        "576461413038785752",
        "1729592969712207013",
        "2",
        "9400111206206406260787",
        "USPS",
        "Standard",
        "N/A",
    )


def test_cells_keep_their_style_and_what_looks_like_markup_stays_text(older_template: Path) -> None:
    workbook = load_workbook(older_template)
    cell = workbook["Shipping info"]["D3"]
    cell.number_format = "@"
    workbook.save(older_template)
    template = read_tracking_template(older_template)
    row = TrackingRow("576461413038700000", "<A&B>", "=1+1")
    fill_tracking_template(template, [(template.rows[0], row)])
    sheet = load_workbook(older_template)["Shipping info"]
    assert (sheet["D3"].value, sheet["D3"].number_format) == ("<A&B>", "@")
    assert (sheet["E3"].value, sheet["E3"].data_type) == ("=1+1", "s")


def test_filling_a_second_time_leaves_the_file_as_it_is(written: Path) -> None:
    before = written.stat().st_mtime_ns
    template = read_tracking_template(written)
    assert fill_tracking_template(template, list(zip(template.rows, ROWS, strict=True))) == 0
    assert written.stat().st_mtime_ns == before


def test_rows_that_go_leave_no_gap(written: Path) -> None:
    template = read_tracking_template(written)
    assert fill_tracking_template(template, [(template.rows[1], None)]) == 1
    sheet = load_workbook(written)["Shipping info"]
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == ["Order ID", "576461413038783117"]


def test_a_template_with_rows_made_ready_gives_new_rows_their_style(tmp_path: Path) -> None:
    path = tmp_path / "ready.xlsx"
    write_tracking_template(path, [])
    workbook = load_workbook(path)
    for line in range(3, 6):
        for column in "ABCD":
            workbook["Shipping info"][f"{column}{line}"].number_format = "@"
    workbook.save(path)
    template = read_tracking_template(path)
    assert template.rows == ()
    fill_tracking_template(template, [(None, row) for row in ROWS])
    sheet = load_workbook(path)["Shipping info"]
    assert [sheet[f"B{line}"].value for line in (3, 4, 5)] == [ROWS[0].tracking_number, ROWS[1].tracking_number, None]
    assert {sheet[f"{column}{line}"].number_format for column in "ABCD" for line in (3, 4, 5)} == {"@"}


def test_a_tick_behind_the_last_column_is_read_back(written: Path) -> None:
    workbook = load_workbook(written)
    workbook["Shipping info"]["E3"] = "x"
    workbook["Shipping info"]["E2"] = "Result"
    workbook["Shipping info"]["F4"] = "Tracking ID is used"
    workbook.save(written)
    assert [row.remarks for row in read_told_rows(written)] == [("x",), ("Tracking ID is used",)]


def test_split_orders_stand_in_a_file_of_their_own_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "split.xlsx"
    write_split_orders(path, [SplitRow("576461413038785752", "P000001", "MUG x 1", "1Z12345E6605272234", "UPS")])
    workbook = load_workbook(path)
    assert workbook.sheetnames == ["Split orders"]
    sheet = workbook["Split orders"]
    assert "Manage Orders" in sheet["A2"].value
    sheet["F7"] = "done"
    workbook.save(path)
    (row,) = read_told_rows(path)
    assert (row.order_id, row.tracking_number, row.remarks) == ("576461413038785752", "1Z12345E6605272234", ("done",))


def test_another_workbook_is_no_template(tmp_path: Path) -> None:
    Workbook().save(tmp_path / "other.xlsx")
    (tmp_path / "broken.xlsx").write_bytes(b"PK")
    for name in ("other.xlsx", "broken.xlsx", "missing.xlsx"):
        for read in (read_tracking_template, read_told_rows):
            with pytest.raises(InputFileError, match="not Seller Center's template"):
                read(tmp_path / name)
