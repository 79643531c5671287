"""The bulk tracking template as Seller Center gives it, read back cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from tiktok_erp.channels.seller_center import TrackingRow, write_tracking_template
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


def test_a_downloaded_template_keeps_its_sheets_and_gets_the_rows(older_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "tracking.xlsx"
    write_tracking_template(path, ROWS, template=older_template)
    workbook = load_workbook(path)
    assert workbook["How to use it"]["A1"].value == "The platform's own words"
    rows = list(workbook["Shipping info"].iter_rows(min_row=3, values_only=True))
    assert rows == [
        ("576461413038785752", None, None, "9400111206206406260787", "USPS", None, "N/A"),
        ("576461413038783117", None, None, "1Z12345E6605272234", "UPS", None, "7573300011122233344"),
    ]


def test_a_downloaded_template_is_left_as_it_was(older_template: Path, tmp_path: Path) -> None:
    before = older_template.read_bytes()
    write_tracking_template(tmp_path / "tracking.xlsx", ROWS, template=older_template)
    assert older_template.read_bytes() == before


def test_our_own_template_can_be_filled_again(written: Path) -> None:
    write_tracking_template(written, ROWS[1:], template=written)
    sheet = load_workbook(written)["Shipping info"]
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == ["Order ID", "576461413038783117"]


def test_another_workbook_is_no_template(tmp_path: Path) -> None:
    Workbook().save(tmp_path / "other.xlsx")
    (tmp_path / "broken.xlsx").write_bytes(b"PK")
    for name in ("other.xlsx", "broken.xlsx", "missing.xlsx"):
        with pytest.raises(InputFileError, match="not Seller Center's template"):
            write_tracking_template(tmp_path / "tracking.xlsx", ROWS, template=tmp_path / name)
    assert not (tmp_path / "tracking.xlsx").exists()
