"""Tracking lists that a seller or a forwarder made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import Workbook

from tiktok_erp.carriers.tracking_list import RowFault, TrackedLabel, read_tracking_list
from tiktok_erp.errors import InputFileError
from tiktok_erp.model.carrier import carrier_code

HEADER = "order_id,carrier,tracking_number,package_id,label_file"


@pytest.fixture
def save(tmp_path: Path):
    def write(*lines: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "list.csv"
        path.write_bytes("\r\n".join(lines).encode(encoding))
        return path

    return write


def only_fault(path: Path) -> RowFault:
    found = read_tracking_list(path)
    assert found.labels == ()
    (fault,) = found.faults
    return fault


def test_rows_become_labels(save) -> None:
    path = save(
        "order_id,carrier,tracking_number",
        "576461413038785752,USPS,9400111206206406260787",
        "tiktok:576461413038783117,UPS,1Z12345E6605272234",
        "P000123,fedex,986578788855",
    )
    found = read_tracking_list(path)
    assert found.faults == ()
    assert found.labels == (
        TrackedLabel(2, "576461413038785752", None, "usps", "9400111206206406260787", None),
        TrackedLabel(3, "tiktok:576461413038783117", None, "ups", "1Z12345E6605272234", None),
        TrackedLabel(4, "P000123", None, "fedex", "986578788855", None),
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_comma_semicolon_and_tab_separate_cells_also_behind_a_bom(save, separator: str) -> None:
    lines = (HEADER, "576461413038785752,USPS,9400111206206406260787,P000123,")
    path = save(*(line.replace(",", separator) for line in lines), encoding="utf-8-sig")
    (label,) = read_tracking_list(path).labels
    assert (label.order_id, label.package_id) == ("576461413038785752", "P000123")


def test_a_workbook_is_read_too(tmp_path: Path) -> None:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.append(["Order ID", "Carrier", "Tracking Number"])
    sheet.append(["576461413038785752", "USPS", "9400111206206406260787"])
    sheet.append(["P000124", "FedEx", 986578788855])
    workbook.save(tmp_path / "list.xlsx")
    found = read_tracking_list(tmp_path / "list.xlsx")
    assert [label.tracking_number for label in found.labels] == ["9400111206206406260787", "986578788855"]
    assert found.faults == ()


def test_a_number_that_a_workbook_rounded_is_a_fault_of_its_row(tmp_path: Path) -> None:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.append(["order_id", "carrier", "tracking_number"])
    sheet.append(["576461413038785752", "USPS", 9.40011120620641e21])
    workbook.save(tmp_path / "list.xlsx")
    fault = only_fault(tmp_path / "list.xlsx")
    assert (fault.line, fault.column) == (2, "tracking_number")


def test_the_headers_of_seller_center_s_template_are_understood(save) -> None:
    path = save(
        "Order ID,Tracking ID,Shipping Provider Name,Auto Combine Group ID",
        "576461413038785752,9400111206206406260787,USPS,N/A",
    )
    (label,) = read_tracking_list(path).labels
    assert (label.carrier, label.tracking_number) == ("usps", "9400111206206406260787")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("USPS", "usps"),
        ("U.S. Postal Service", "usps"),
        ("U.S.P.S.", "usps"),
        ("stamps_com", "usps"),
        ("USPS (Stamps.com)", "usps"),
        ("USPS First Class", "usps"),
        ("Pirate Ship - USPS", "usps"),
        ("UspsShip", "usps"),
        ("美国邮政", "usps"),
        ("ups_walleted", "ups"),
        ("UPSDAP", "ups"),
        ("UPS® Ground Saver", "ups"),
        ("UPS-MI", "ups_mail_innovations"),
        ("UPSMailInnovations", "ups_mail_innovations"),
        ("FedExDefault", "fedex"),
        ("FedExSmartPost", "fedex"),
        ("联邦快递", "fedex"),
        ("DHLExpress", "dhl"),
        ("DhlEcs", "dhl_ecommerce"),
        ("dhl_global_mail", "dhl_ecommerce"),
        ("AMZN_US", "amazon_shipping"),
        ("Newgistics", "pitney_bowes"),
        ("United States Postal Service", "usps"),
        ("USPS Ground Advantage", "usps"),
        ("UPS", "ups"),
        ("ups  ground", "ups"),
        ("UPS Mail Innovations", "ups_mail_innovations"),
        ("FedEx", "fedex"),
        ("FEDEX Ground Economy", "fedex"),
        ("DHL", "dhl"),
        ("DHL Express", "dhl"),
        ("DHL eCommerce", "dhl_ecommerce"),
        ("UniUni", "uniuni"),
        ("GOFO", "gofo"),
        ("osm_worldwide", "osm_worldwide"),
        ("Some New Courier", "some_new_courier"),
    ],
)
def test_carrier_names_become_our_codes(name: str, code: str) -> None:
    assert carrier_code(name) == code


def test_a_label_file_is_found_beside_the_list(save, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.pdf").write_bytes(b"%PDF-1.7")
    (label,) = read_tracking_list(save(HEADER, "576461413038785752,USPS,9400111206206406260787,,labels/1.pdf")).labels
    assert label.label_file == tmp_path / "labels" / "1.pdf"


def test_spaces_in_a_tracking_number_are_dropped(save) -> None:
    (label,) = read_tracking_list(save(HEADER, "1,USPS,9400 1112 0620 6406 2607 87,,")).labels
    assert label.tracking_number == "9400111206206406260787"


def test_last_cells_may_be_left_out(save) -> None:
    assert len(read_tracking_list(save(HEADER, "576461413038785752,USPS,9400111206206406260787")).labels) == 1


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (",USPS,9400111206206406260787,,", "order_id"),
        ("576461413038785752,,9400111206206406260787,,", "carrier"),
        ("576461413038785752,USPS,,,", "tracking_number"),
        ("5.76461E+17,USPS,9400111206206406260787,,", "order_id"),
        ("576461413038785000,USPS,9400111206206406260787,,", "order_id"),
        ("576461413038785752,USPS,9.40011E+21,,", "tracking_number"),
        ("576461413038785752,USPS,9400111206206410000000,,", "tracking_number"),
        ("576461413038785752,USPS,12,,", "tracking_number"),
        ("576461413038785752,USPS,see label!,,", "tracking_number"),
        ("576461413038785752,USPS,9400111206206406260787,,missing.pdf", "label_file"),
        ("576461413038785752,USPS,9400111206206406260787,," + "x" * 300, "label_file"),
        ("576461413038785752,USPS,9400111206206406260787,,,surplus", "order_id"),
    ],
)
def test_a_bad_cell_is_a_fault_with_line_and_column(save, row: str, column: str) -> None:
    fault = only_fault(save(HEADER, row))
    assert (fault.line, fault.column) == (2, column)
    assert fault.what and fault.next_step


def test_one_bad_row_never_stops_the_others(save) -> None:
    found = read_tracking_list(
        save(
            HEADER,
            "576461413038785752,USPS,9400111206206406260787",
            "576461413038783117,UPS,",
            "576461413038779926,UPS,1Z12345E6605272234",
        )
    )
    assert [label.line for label in found.labels] == [2, 4]
    assert [(fault.line, fault.order_id) for fault in found.faults] == [(3, "576461413038783117")]


def test_an_order_id_that_ends_in_zeros_by_chance_is_taken(save) -> None:
    found = read_tracking_list(
        save(HEADER, "576461413038785000,UPS,1Z12345E6605272234", "P000123,UPS,1Z879E930346834440")
    )
    assert found.faults == ()


def test_a_row_that_says_the_same_again_is_a_fault_and_the_first_counts(save) -> None:
    found = read_tracking_list(save(HEADER, *["576461413038785752,USPS,9400111206206406260787"] * 2))
    assert [label.line for label in found.labels] == [2]
    assert [fault.line for fault in found.faults] == [3]


def test_two_numbers_for_one_order_are_both_faults(save) -> None:
    found = read_tracking_list(
        save(HEADER, "576461413038785752,UPS,1Z12345E6605272234", "576461413038785752,UPS,1Z879E930346834440")
    )
    assert found.labels == ()
    assert [fault.line for fault in found.faults] == [2, 3]


def test_two_packages_of_one_order_have_a_number_each(save) -> None:
    found = read_tracking_list(
        save(
            HEADER,
            "576461413038785752,UPS,1Z12345E6605272234,P000123",
            "576461413038785752,UPS,1Z879E930346834440,P000124",
        )
    )
    assert len(found.labels) == 2


def test_combined_orders_share_a_number(save) -> None:
    found = read_tracking_list(
        save(HEADER, "576461413038785752,UPS,1Z12345E6605272234", "576461413038783117,UPS,1Z12345E6605272234")
    )
    assert len(found.labels) == 2


@pytest.mark.parametrize("missing", ["order_id", "carrier", "tracking_number"])
def test_a_missing_column_refuses_the_file(save, missing: str) -> None:
    with pytest.raises(InputFileError, match=missing):
        read_tracking_list(save(HEADER.replace(missing, "other"), "1,2,3"))


def test_an_unreadable_file_is_refused(save, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="UTF-8"):
        read_tracking_list(save(HEADER, "1,优速快递,9400111206206406260787", encoding="gbk"))
    with pytest.raises(InputFileError, match="no such file"):
        read_tracking_list(tmp_path / "missing.csv")
    with pytest.raises(InputFileError, match="quoted cell"):
        read_tracking_list(save(HEADER, '1,"USPS,9400111206206406260787'))
