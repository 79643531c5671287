"""The order export of Seller Center: what its rows become, and what is refused. Rows are invented."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tiktok_erp.channels.seller_center import read_order_export
from tiktok_erp.errors import InputFileError, SettingsError
from tiktok_erp.model.facts import OrderFacts

EXAMPLE = Path(__file__).parents[2] / "examples" / "seller-center-export.csv"
HEADER_LINE = (
    "Order ID,Order Status,Order Substatus,Cancelation/Return Type,Normal or Pre-order,SKU ID,Seller SKU,Product ID,"
    "Product Name,Variation, Virtual Bundle Seller SKU,Quantity,Sku Quantity of return,SKU Unit Original Price,"
    "SKU Subtotal Before Discount,SKU Platform Discount,SKU Seller Discount,SKU Subtotal After Discount,"
    "Shipping Fee After Discount,Original Shipping Fee,Shipping Fee Seller Discount,Co-Funded Shipping Fee Discount,"
    "Shipping Fee Platform Discount,Payment platform discount,Retail Delivery Fee,Taxes,Order Amount,"
    "Order Refund Amount,Created Time,Paid Time,RTS Time,Shipped Time,Delivered Time,Cancelled Time,Cancel By,"
    "Cancel Reason,Fulfillment Type,Warehouse Name,Tracking ID,Delivery Option Type,Delivery Option,"
    "Shipping Provider Name,Buyer Message,Buyer Nickname,Buyer Username,Recipient,Phone #,Country,State,City,Zipcode,"
    "Address Line 1,Address Line 2,Delivery Instruction,Payment Method,Weight(kg),Product Category,Package ID,"
    "Seller Note,Shipping Information,Combined Listing,Order Channel,Creator Handle"
)
HEADERS = next(csv.reader([HEADER_LINE]))
WITH_TAB = {"Order ID", "SKU ID", "Product ID", "Package ID", "Zipcode"}
ROW = {
    "Order ID": "576461413038785752",
    "Order Status": "To ship",
    "Order Substatus": "Awaiting shipment",
    "Normal or Pre-order": "Normal",
    "SKU ID": "1729592969712207013",
    "Seller SKU": "LIP-ROSE-01",
    "Product ID": "1729592969712207008",
    "Product Name": "Velvet Matte Lip Tint",
    "Variation": "Rosewood",
    "Quantity": "1",
    "SKU Unit Original Price": "8.99",
    "SKU Subtotal Before Discount": "8.99",
    "SKU Platform Discount": "0",
    "SKU Seller Discount": "0",
    "SKU Subtotal After Discount": "8.99",
    "Shipping Fee After Discount": "4.99",
    "Original Shipping Fee": "4.99",
    "Shipping Fee Seller Discount": "0",
    "Shipping Fee Platform Discount": "0",
    "Taxes": "0.85",
    "Order Amount": "14.83",
    "Created Time": "11/21/2026 6:42:11 PM",
    "Paid Time": "11/21/2026 6:42:35 PM",
    "Fulfillment Type": "Fulfilled by seller",
    "Delivery Option Type": "Seller Shipping",
    "Delivery Option": "Standard shipping",
    "Buyer Username": "hattieb",
    "Recipient": "Hattie Brambleworth",
    "Phone #": "(+1)2125550188",
    "Country": "United States",
    "State": "New York",
    "City": "New York",
    "Zipcode": "10014",
    "Address Line 1": "9 Pretend Place",
    "Address Line 2": "Floor 2",
}
Row = Mapping[str, str]


def export_text(*rows: Row, headers: Sequence[str] = HEADERS, tabs: bool = True) -> str:
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(headers)
    for overrides in rows:
        row = ROW | dict(overrides)
        writer.writerow(
            row.get(name.strip(), "") + ("\t" if tabs and (name in WITH_TAB or name.endswith(" Time")) else "")
            for name in headers
        )
    return written.getvalue()


@pytest.fixture
def export(tmp_path: Path):
    def write(
        *rows: Row, headers: Sequence[str] = HEADERS, tabs: bool = True, name: str = "All order-2026-11-21-19_40.csv"
    ) -> Path:
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + export_text(*rows, headers=headers, tabs=tabs).encode())
        return path

    return write


def read_one(path: Path, **options: object) -> OrderFacts:
    (order,) = read_order_export(path, **options)  # type: ignore[arg-type]
    return order


def refusal(path: Path, **options: object) -> InputFileError:
    with pytest.raises(InputFileError) as caught:
        read_order_export(path, **options)  # type: ignore[arg-type]
    return caught.value


# What a row becomes


def test_the_example_export_has_every_kind_of_order() -> None:
    orders = list(read_order_export(EXAMPLE))
    assert len(orders) == 24
    assert {order.status for order in orders} == {
        "UNPAID",
        "ON_HOLD",
        "AWAITING_SHIPMENT",
        "AWAITING_COLLECTION",
        "IN_TRANSIT",
        "DELIVERED",
        "COMPLETED",
        "CANCELLED",
    }
    assert {order.shipping_type for order in orders} == {"TIKTOK", "SELLER"}
    assert sum(order.cancel_requested for order in orders) == 1
    assert sum(order.is_presale for order in orders) == 1
    assert sum(order.is_sample for order in orders) == 1
    assert {order.recipient.state for order in orders if order.recipient} >= {"AE", "PR", "AK", "CA", "NY", "TX"}


def test_the_example_has_the_layout_of_a_real_export() -> None:
    content = EXAMPLE.read_bytes()
    assert content.startswith(b"\xef\xbb\xbfOrder ID,")
    assert content.splitlines()[0].removeprefix(b"\xef\xbb\xbf").decode().split(",") == HEADERS
    assert content.count(b"\n") == content.count(b"\r\n")
    assert b"576461413038785752\t," in content


def test_quantity_becomes_that_many_units_without_a_channel_id(export) -> None:
    order = read_one(export({"Quantity": "3", "SKU Subtotal After Discount": "26.97"}))
    assert [unit.channel_sku_id for unit in order.units] == ["1729592969712207013"] * 3
    assert {unit.channel_unit_id for unit in order.units} == {None}


def test_the_price_of_a_row_is_spread_over_its_units_to_the_cent(export) -> None:
    order = read_one(export({"Quantity": "3", "SKU Subtotal After Discount": "10.00"}))
    assert [unit.price_minor for unit in order.units] == [334, 333, 333]


def test_amounts_of_the_order_are_taken_once_and_those_of_its_rows_are_added(export) -> None:
    order = read_one(
        export(
            {"SKU Seller Discount": "1.00", "SKU Subtotal After Discount": "7.99", "Order Amount": "20.00"},
            {"SKU ID": "1729592969712223191", "SKU Platform Discount": "0.50", "Order Amount": "20.00"},
        )
    )
    assert order.total_minor == 2000
    assert order.tax_minor == 85
    assert order.shipping_minor == 499
    assert order.subtotal_minor == 799 + 899
    assert (order.seller_discount_minor, order.platform_discount_minor) == (100, 50)


@pytest.mark.parametrize(
    ("cell", "minor"), [("41", 4100), ("8.99", 899), ("$8.99", 899), ("1,234.50", 123450), ("USD 3.2", 320)]
)
def test_money_is_read_plain_or_with_thousands_comma_or_dollar_sign(export, cell: str, minor: int) -> None:
    assert read_one(export({"Order Amount": cell})).total_minor == minor


def test_an_amount_that_names_its_currency_is_in_that_currency(export) -> None:
    order = read_one(export({"Order Amount": "11,000 JPY", "SKU Subtotal After Discount": "JPY 11,000"}))
    assert (order.currency, order.total_minor) == ("JPY", 11000)


def test_an_empty_amount_is_unknown_not_zero(export) -> None:
    assert read_one(export({"Taxes": ""})).tax_minor is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("11/21/2026 6:42:11 PM", datetime(2026, 11, 22, 2, 42, 11, tzinfo=UTC)),
        ("07/04/2026 12:05:00 AM", datetime(2026, 7, 4, 7, 5, tzinfo=UTC)),
        ("07/04/2026 12:05:00 PM", datetime(2026, 7, 4, 19, 5, tzinfo=UTC)),
        ("10/31/2026 11:59:59 PM", datetime(2026, 11, 1, 6, 59, 59, tzinfo=UTC)),
        ("11/01/2026 3:00:00 AM", datetime(2026, 11, 1, 11, 0, tzinfo=UTC)),
    ],
)
def test_times_are_pacific_with_summer_time(export, cell: str, expected: datetime) -> None:
    assert read_one(export({"Created Time": cell, "Paid Time": ""})).placed_at == expected


def test_in_the_hour_that_comes_twice_a_payment_is_not_before_its_order(export) -> None:
    order = read_one(export({"Created Time": "11/01/2026 1:59:50 AM", "Paid Time": "11/01/2026 1:00:05 AM"}))
    assert order.placed_at == datetime(2026, 11, 1, 8, 59, 50, tzinfo=UTC)
    assert order.paid_at == datetime(2026, 11, 1, 9, 0, 5, tzinfo=UTC)


def test_a_lone_tab_is_no_time(export) -> None:
    order = read_one(export({"Paid Time": ""}))
    assert order.paid_at is None


def test_times_without_am_pm_put_the_day_first_outside_america(export) -> None:
    path = export({"Created Time": "05/11/2026 19:42:11", "Paid Time": ""})
    assert read_one(path, time_zone="Asia/Jakarta").placed_at == datetime(2026, 11, 5, 12, 42, 11, tzinfo=UTC)
    assert "05/11/2026 19:42:11" in str(refusal(path))


def test_each_time_goes_to_its_own_field(export) -> None:
    order = read_one(
        export(
            {
                "Order Status": "Shipped",
                "Order Substatus": "Delivered",
                "RTS Time": "11/21/2026 7:00:00 PM",
                "Shipped Time": "11/21/2026 8:00:00 PM",
                "Delivered Time": "11/21/2026 9:00:00 PM",
            }
        )
    )
    assert (order.rts_at, order.collected_at, order.delivered_at, order.cancelled_at) == (
        datetime(2026, 11, 22, 3, tzinfo=UTC),
        datetime(2026, 11, 22, 4, tzinfo=UTC),
        datetime(2026, 11, 22, 5, tzinfo=UTC),
        None,
    )


@pytest.mark.parametrize(
    ("status", "substatus", "expected"),
    [
        ("Unpaid", "", "UNPAID"),
        ("On hold", "", "ON_HOLD"),
        ("To ship", "", "AWAITING_SHIPMENT"),
        ("To ship", "Awaiting collection", "AWAITING_COLLECTION"),
        ("To ship", "On hold", "ON_HOLD"),
        ("On hold", "Awaiting shipment", "ON_HOLD"),
        ("Shipped", "", "AWAITING_COLLECTION"),
        ("Shipped", "In transit", "IN_TRANSIT"),
        ("Shipped", "Delivered", "DELIVERED"),
        ("Completed", "Completed", "COMPLETED"),
        ("Canceled", "Canceled", "CANCELLED"),
        ("Unpaid", "Canceled", "CANCELLED"),
        ("Canceled", "Unpaid", "CANCELLED"),
        ("Shipped", "Canceled", "CANCELLED"),
        ("to  SHIP", "awaiting shipment", "AWAITING_SHIPMENT"),
        ("待发货", "待发货", "AWAITING_SHIPMENT"),
        ("已发货", "待揽收", "AWAITING_COLLECTION"),
        ("已发货", "运输中", "IN_TRANSIT"),
        ("已发货", "已送达", "DELIVERED"),
        ("已完成", "已完成", "COMPLETED"),
        ("已取消", "已取消", "CANCELLED"),
        ("จัดส่งแล้ว", "", "AWAITING_COLLECTION"),
        ("เสร็จสมบูรณ์", "", "COMPLETED"),
        ("ยกเลิกแล้ว", "", "CANCELLED"),
    ],
)
def test_status_words_become_the_api_s(export, status: str, substatus: str, expected: str) -> None:
    order = read_one(export({"Order Status": status, "Order Substatus": substatus}))
    assert (order.status, order.units[0].status) == (expected, expected)


def test_words_from_the_rules_are_understood(export) -> None:
    path = export({"Order Status": "Zu versenden", "Order Substatus": "Wartet", "Cancelation/Return Type": "Storno"})
    words = {"zu versenden": "AWAITING_SHIPMENT", "Wartet": "AWAITING_SHIPMENT", "storno": "CANCEL"}
    order = read_one(path, status_words=words)
    assert (order.status, order.cancel_requested) == ("AWAITING_SHIPMENT", True)


def test_an_order_of_which_one_row_has_left_is_partially_shipped(export) -> None:
    order = read_one(export({}, {"SKU ID": "1729592969712223191", "Order Substatus": "Awaiting collection"}))
    assert order.status == "PARTIALLY_SHIPPING"
    assert [unit.status for unit in order.units] == ["AWAITING_SHIPMENT", "AWAITING_COLLECTION"]


def test_an_order_is_in_transit_only_when_all_its_rows_are(export) -> None:
    shipped = {"Order Status": "Shipped", "Order Substatus": "In transit"}
    waiting = {"Order Status": "Shipped", "Order Substatus": "Awaiting collection", "SKU ID": "1729592969712223191"}
    assert read_one(export(shipped, waiting)).status == "AWAITING_COLLECTION"


def test_a_cancelled_row_leaves_the_others_to_be_shipped(export) -> None:
    order = read_one(export({}, {"SKU ID": "1729592969712223191", "Order Substatus": "Canceled"}))
    assert order.status == "AWAITING_SHIPMENT"
    assert [unit.status for unit in order.units] == ["AWAITING_SHIPMENT", "CANCELLED"]


def test_cancel_on_an_order_to_ship_is_a_request(export) -> None:
    assert read_one(export({"Cancelation/Return Type": "Cancel"})).cancel_requested
    assert not read_one(export({"Cancelation/Return Type": "Return/Refund"})).cancel_requested


def test_cancel_on_a_cancelled_order_is_no_request(export) -> None:
    row = {"Order Status": "Canceled", "Order Substatus": "Canceled", "Cancelation/Return Type": "Cancel"}
    assert not read_one(export(row)).cancel_requested


def test_a_pre_order_is_a_presale(export) -> None:
    order = read_one(export({"Normal or Pre-order": "Pre-order"}))
    assert (order.order_type, order.is_presale) == ("PRE_ORDER", True)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"Delivery Option Type": "TikTok Shipping"}, "TIKTOK"),
        ({"Delivery Option Type": "Seller Shipping"}, "SELLER"),
        ({"Delivery Option Type": "Shipped by Seller"}, "SELLER"),
        ({"Delivery Option Type": "Shipped by TikTok"}, "TIKTOK"),
        ({"Delivery Option Type": "", "Delivery Option": "Ship by seller"}, "SELLER"),
        ({"Delivery Option Type": "", "Shipping Information": "TikTok Shipping, USPS"}, "TIKTOK"),
        ({"Delivery Option Type": "Standard"}, None),
        ({"Delivery Option Type": ""}, None),
    ],
)
def test_who_makes_the_label_is_read_from_the_delivery_option_or_unknown(export, cells: Row, expected: str) -> None:
    assert read_one(export(cells)).shipping_type == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("Fulfillment by seller", "FULFILLMENT_BY_SELLER"),
        ("Fulfilled by seller", "FULFILLMENT_BY_SELLER"),
        ("Fulfillment by TikTok Shop", "FULFILLMENT_BY_TIKTOK"),
        ("FBT", "FULFILLMENT_BY_TIKTOK"),
        ("Dilayani", "Dilayani"),
        ("", None),
    ],
)
def test_who_packs_is_read_from_the_fulfillment_type(export, cell: str, expected: str) -> None:
    assert read_one(export({"Fulfillment Type": cell})).fulfillment_type == expected


def test_creator_and_live_channel_go_to_the_units(export) -> None:
    unit = read_one(export({"Creator Handle": "@glowwithkira", "Order Channel": "LIVE"})).units[0]
    assert (unit.creator, unit.content_type) == ("glowwithkira", "LIVE")


def test_a_free_row_beside_paid_ones_is_a_gift(export) -> None:
    free = {
        "SKU ID": "1729592969712209999",
        "SKU Unit Original Price": "0",
        "SKU Subtotal Before Discount": "0",
        "SKU Subtotal After Discount": "0",
    }
    order = read_one(export({}, free))
    assert [unit.is_gift for unit in order.units] == [False, True]
    assert not order.is_sample


def test_an_order_that_cost_nothing_before_discounts_is_a_sample(export) -> None:
    order = read_one(export({"SKU Subtotal Before Discount": "0", "SKU Subtotal After Discount": "0"}))
    assert order.is_sample
    assert not order.units[0].is_gift


def test_an_order_discounted_to_nothing_is_no_sample(export) -> None:
    assert not read_one(export({"SKU Subtotal After Discount": "0"})).is_sample


def test_a_bundle_without_seller_sku_goes_by_its_sku_id(export) -> None:
    unit = read_one(export({"Seller SKU": "", "Virtual Bundle Seller SKU": "DUO-GLOW"})).units[0]
    assert (unit.seller_sku, unit.channel_sku_id) == ("1729592969712207013", "1729592969712207013")


def test_a_bundle_without_any_id_goes_by_the_bundle_column(export) -> None:
    unit = read_one(export({"Seller SKU": "", "SKU ID": "", "Virtual Bundle Seller SKU": "DUO-GLOW"})).units[0]
    assert (unit.seller_sku, unit.channel_sku_id) == ("DUO-GLOW", "DUO-GLOW")


def test_tracking_and_package_belong_to_the_row_s_units(export) -> None:
    row = {"Tracking ID": "1Z12345E6605272234", "Shipping Provider Name": "UPS", "Package ID": "1153132168123859123"}
    unit = read_one(export(row)).units[0]
    assert (unit.tracking_number, unit.provider_name, unit.channel_package_id) == (
        "1Z12345E6605272234",
        "UPS",
        "1153132168123859123",
    )


def test_a_recipient_has_state_and_country_as_codes_and_a_bare_zip(export) -> None:
    recipient = read_one(export({"State": "California", "Zipcode": "91101"})).recipient
    assert recipient is not None
    assert (recipient.state, recipient.country, recipient.zip) == ("CA", "US", "91101")
    assert (recipient.street1, recipient.street2) == ("9 Pretend Place", "Floor 2")
    assert not recipient.is_masked


def test_a_masked_recipient_is_marked(export) -> None:
    recipient = read_one(export({"Recipient": "M** R*****"})).recipient
    assert recipient is not None and recipient.is_masked


def test_an_order_without_address_has_no_recipient(export) -> None:
    names = ("Recipient", "Phone #", "Country", "State", "City", "Zipcode", "Address Line 1", "Address Line 2")
    assert read_one(export(dict.fromkeys(names, ""))).recipient is None


def test_a_zip_that_lost_its_zero_gets_it_back_where_the_state_has_such(export) -> None:
    recipient = read_one(export({"State": "Massachusetts", "Zipcode": "2139"})).recipient
    assert recipient is not None and recipient.zip == "02139"


def test_personal_data_is_not_in_the_repr(export) -> None:
    shown = repr(read_one(export({"Buyer Message": "ring twice", "Seller Note": "owes us"})))
    for secret in ("Hattie", "2125550188", "Pretend", "Floor 2", "10014", "hattieb", "ring twice", "owes us"):
        assert secret not in shown


def test_the_weight_is_known_for_a_single_piece_only(export) -> None:
    assert read_one(export({"Weight(kg)": "0.1205"})).weight_g == 121
    assert read_one(export({"Weight(kg)": "0.12", "Quantity": "2"})).weight_g is None
    assert (
        read_one(export({"Weight(kg)": "0.12"}, {"Weight(kg)": "0.12", "SKU ID": "1729592969712223191"})).weight_g
        is None
    )
    assert read_one(export({"Weight(kg)": "0"})).weight_g is None


def test_a_note_keeps_its_line_break_its_quotes_and_its_emoji(export) -> None:
    note = '谢谢!\r\n"fragile", 🎂'
    assert read_one(export({"Buyer Message": note})).buyer_note == note


# The file's shape


def test_headers_are_found_by_name_in_any_case_and_order(export) -> None:
    headers = [name.upper() for name in reversed(HEADERS)]
    path = export({}, headers=HEADERS)
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"))))
    with path.open("w", newline="", encoding="utf-8") as target:
        csv.writer(target).writerows([headers, *(list(reversed(row)) for row in rows[1:])])
    assert read_one(path).total_minor == 1483


def test_the_columns_of_2024_are_understood(export) -> None:
    renamed = {
        "Cancelation/Return Type": "Cancellation/Return Type",
        "Cancelled Time": "Canceled Time",
        "Zipcode": "Zip Code",
        "Address Line 1": "Detail Address",
        "Address Line 2": "Additional address information",
    }
    dropped = {"Product ID", " Virtual Bundle Seller SKU", "Order Channel", "Creator Handle", "Combined Listing"}
    headers = [renamed.get(name, name) for name in HEADERS if name not in dropped]
    row = {
        "Order Status": "Canceled",
        "Order Substatus": "Canceled",
        "Canceled Time": "11/21/2026 7:00:00 PM",
        "Zip Code": "10014",
        "Detail Address": "9 Pretend Place",
        "Additional address information": "Floor 2",
    }
    order = read_one(export(row, headers=headers))
    assert order.cancelled_at == datetime(2026, 11, 22, 3, tzinfo=UTC)
    assert order.recipient is not None
    assert (order.recipient.street1, order.recipient.street2, order.recipient.zip) == (
        "9 Pretend Place",
        "Floor 2",
        "10014",
    )


def test_only_the_required_columns_are_enough(export) -> None:
    order = read_one(export({}, headers=["Order ID", "Order Status", "SKU ID", "Quantity"]))
    assert (order.status, len(order.units), order.total_minor, order.recipient) == ("AWAITING_SHIPMENT", 1, None, None)


def test_a_description_row_is_skipped(export) -> None:
    assert read_one(
        export({"Order ID": "Platform unique order ID.", "Quantity": "SKU sold quantity in the order."}, {})
    )


def test_a_description_row_in_another_language_is_skipped_under_the_header(export) -> None:
    assert read_one(export({"Order ID": "平台订单编号", "Quantity": "数量"}, {}))


def test_blank_lines_are_skipped(export) -> None:
    path = export({})
    path.write_bytes(path.read_bytes() + b"\r\n,,,,,\r\n\r\n")
    assert read_one(path)


def test_an_export_of_no_orders_gives_none(export) -> None:
    assert list(read_order_export(export())) == []


def test_rows_of_an_order_need_not_stand_together(export) -> None:
    other = {"Order ID": "576461413038783117"}
    second = {"SKU ID": "1729592969712223191"}
    orders = list(read_order_export(export({}, other, second)))
    assert [(order.channel_order_id[-3:], len(order.units)) for order in orders] == [("117", 1), ("752", 2)]


def test_reading_twice_gives_the_same(export) -> None:
    path = export({}, {"Order ID": "576461413038783117", "Quantity": "2"})
    assert list(read_order_export(path)) == list(read_order_export(path))


# When it was true


def test_the_export_time_is_in_the_file_s_name(export) -> None:
    later = datetime(2026, 11, 23, tzinfo=UTC)
    assert read_one(export({}), exported_at=later).as_of == datetime(2026, 11, 22, 3, 40, tzinfo=UTC)


def test_without_a_time_in_its_name_the_file_s_own_time_counts(export) -> None:
    moment = datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)
    path = export({}, name="orders.csv")
    assert read_one(path, exported_at=moment).as_of == moment
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    assert read_one(path).as_of == moment


def test_a_name_in_another_zone_does_not_make_the_rows_newer_than_the_file(export) -> None:
    written_at = datetime(2026, 11, 22, 3, 41, tzinfo=UTC)
    path = export({}, name="All order-2026-11-22-11_40.csv")  # the same moment on a clock in Shanghai
    assert read_one(path, exported_at=written_at).as_of == written_at


def test_rows_are_at_least_as_new_as_the_newest_time_in_them(export) -> None:
    path = export({}, name="All order-2026-11-21-10_00.csv")
    order = read_one(path, exported_at=datetime(2026, 11, 23, tzinfo=UTC))
    assert order.as_of == datetime(2026, 11, 22, 2, 42, 35, tzinfo=UTC)


# What is refused


def test_a_refusal_names_file_line_column_and_order_and_what_to_do(export) -> None:
    path = export({"Order ID": "576461413038783117"}, {"Quantity": "two"})
    error = refusal(path)
    assert error.subject == f"{path}:3:Quantity, order 576461413038785752"
    assert error.next_step == "download the export again and do not open it in a spreadsheet program"


@pytest.mark.parametrize("quantity", ["0", "-1", "1.5", "2,0", "", "two", "99999999999", "9" * 5000, "²"])
def test_a_quantity_that_is_no_positive_whole_number_is_refused(export, quantity: str) -> None:
    assert refusal(export({"Quantity": quantity})).subject.split(",")[0].endswith(":2:Quantity")


@pytest.mark.parametrize("field", ["Order ID", "SKU ID", "Product ID", "Package ID", "Tracking ID"])
@pytest.mark.parametrize("cell", ["5.76E+17", "5,76461E+17", "9.40011E+21", "5.76461413038785e+17"])
def test_an_id_in_exponent_form_is_refused(export, field: str, cell: str) -> None:
    error = refusal(export({field: cell}))
    assert f":2:{field}" in error.subject
    assert cell in str(error)


def test_an_id_that_lost_its_digits_and_its_tab_is_refused(export) -> None:
    path = export({"Order ID": "576461413038783117"}, {})
    path.write_bytes(path.read_bytes().replace(b"576461413038785752\t", b"576461413038785000"))
    assert refusal(path).subject == f"{path}:3:Order ID, order 576461413038785000"


def test_ids_that_all_lost_their_digits_are_refused(export) -> None:
    path = export({"Order ID": "576461413038783000"}, {"Order ID": "576461413038785000"})
    assert ":2:Order ID" in refusal(path).subject


def test_an_id_that_happens_to_end_in_three_zeros_is_taken(export) -> None:
    path = export({"Order ID": "576461413038785000"}, {"Order ID": "576461413038783117"})
    assert len(list(read_order_export(path))) == 2


def test_without_tabs_whole_ids_beside_it_prove_that_one_ends_in_zeros(export) -> None:
    path = export({"Order ID": "576461413038785000"}, {"Order ID": "576461413038783117"}, tabs=False)
    assert len(list(read_order_export(path))) == 2


@pytest.mark.parametrize("order_id", ["", "TT576461413038785752", "'576461413038785752", "12"])
def test_what_is_no_order_id_is_refused(export, order_id: str) -> None:
    assert ":3:Order ID" in refusal(export({}, {"Order ID": order_id})).subject


def test_an_unknown_status_word_is_refused_with_the_lines_for_rules_yaml(export) -> None:
    path = export({"Order Status": "Zu versenden", "Order Substatus": "Wartet"})
    error = refusal(path)
    assert error.subject == f"{path}:2:Order Status, order 576461413038785752"
    assert "Zu versenden, Wartet" in str(error)
    assert "seller_center: {status_words: {Zu versenden: AWAITING_SHIPMENT}}" in error.next_step


def test_an_unknown_cancellation_word_is_refused_while_it_could_be_a_request(export) -> None:
    error = refusal(export({"Cancelation/Return Type": "Storno"}))
    assert ":2:Cancelation/Return Type" in error.subject
    assert "{Storno: CANCEL}" in error.next_step


def test_an_unknown_cancellation_word_of_a_finished_order_changes_nothing(export) -> None:
    row = {"Order Status": "Completed", "Order Substatus": "Completed", "Cancelation/Return Type": "Storno"}
    assert not read_one(export(row)).cancel_requested


@pytest.mark.parametrize(
    ("status", "substatus"),
    [
        ("Canceled", "Awaiting shipment"),
        ("Unpaid", "Awaiting shipment"),
        ("Shipped", "Awaiting shipment"),
        ("Completed", "Awaiting shipment"),
        ("On hold", "In transit"),
    ],
)
def test_a_status_and_a_substatus_that_contradict_each_other_are_refused(export, status: str, substatus: str) -> None:
    assert ":2:Order Substatus" in refusal(export({"Order Status": status, "Order Substatus": substatus})).subject


@pytest.mark.parametrize(
    ("column", "cell"),
    [("Order Status", "Canceled"), ("Order Amount", "99.00"), ("Created Time", "11/21/2026 6:42:12 PM")],
)
def test_rows_of_one_order_that_contradict_each_other_are_refused(export, column: str, cell: str) -> None:
    path = export({}, {"SKU ID": "1729592969712223191", "Order Substatus": "", column: cell})
    error = refusal(path)
    assert error.subject == f"{path}:3:{column}, order 576461413038785752"
    assert "line 2" in str(error)


def test_a_row_that_comes_twice_is_refused(export) -> None:
    error = refusal(export({}, {"Order ID": "576461413038783117"}, {}))
    assert ":4, order 576461413038785752" in error.subject
    assert "line 2" in str(error)


def test_two_exports_joined_by_hand_are_refused(export) -> None:
    path = export({})
    path.write_bytes(path.read_bytes() + export_text({"Order ID": "576461413038783117"}).encode())
    assert ":3:Order ID" in refusal(path).subject


@pytest.mark.parametrize("missing", ["Order ID", "Order Status", "SKU ID", "Quantity"])
def test_a_missing_required_column_is_named(export, missing: str) -> None:
    error = refusal(export({}, headers=[name for name in HEADERS if name != missing]))
    assert f"no column {missing}" in str(error)


def test_a_column_that_comes_twice_is_refused(export) -> None:
    assert "Quantity twice" in str(refusal(export({}, headers=[*HEADERS, "quantity"])))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_file_cut_in_the_middle_of_a_row_is_refused(export, kept: float) -> None:
    path = export({}, {"Order ID": "576461413038783117"})
    lines = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join([*lines[:2], lines[2][: int(len(lines[2]) * kept)]]))
    assert ":3" in refusal(path).subject


def test_a_file_cut_inside_a_quoted_cell_is_refused(export) -> None:
    path = export({"Buyer Message": 'leave it at the "green" door, please'})
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"door, please")])
    error = refusal(path)
    assert error.subject == f"{path}:2"
    assert "quoted cell" in str(error)


def test_a_row_with_a_cell_too_many_is_refused(export) -> None:
    path = export({})
    path.write_bytes(path.read_bytes().removesuffix(b"\r\n") + b",surplus\r\n")
    assert "64 cells, the header has 63" in str(refusal(path))


def test_another_encoding_is_refused_with_its_line(export) -> None:
    path = export({}, {"Order ID": "576461413038783117", "Buyer Message": "小心轻放"})
    path.write_bytes(path.read_text("utf-8-sig").encode("gbk"))
    error = refusal(path)
    assert error.subject == f"{path}:3"
    assert "UTF-8" in str(error)


def test_utf_16_is_refused(export) -> None:
    path = export({})
    path.write_bytes(path.read_text("utf-8-sig").encode("utf-16"))
    assert "UTF-8" in str(refusal(path))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\r\n\r\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(content)
    assert "empty" in str(refusal(path))


def test_a_web_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("<!DOCTYPE html><html><body>Log in</body></html>")
    assert "web page" in str(refusal(path))


def test_an_old_excel_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))
    assert ".xls" in str(refusal(path))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "no such file" in str(refusal(tmp_path / "missing.csv"))
    assert "regular file" in str(refusal(tmp_path))


@pytest.mark.parametrize("cell", ["8,99", "free", "1.2.3", "12,34", "9" * 5000])
def test_what_is_no_amount_is_refused(export, cell: str) -> None:
    assert ":2:Order Amount" in refusal(export({"Order Amount": cell})).subject


@pytest.mark.parametrize("cell", ["2026-11-21", "21/11/2026 6:42:11 PM", "11/21/2026 13:42:11 PM", "11/21/2026 18:42"])
def test_what_is_no_time_is_refused(export, cell: str) -> None:
    assert ":2:Created Time" in refusal(export({"Created Time": cell})).subject


def test_nothing_is_handed_out_of_a_file_with_one_bad_row(export) -> None:
    rows: list[Row] = [{"Order ID": str(576461413038785752 + number)} for number in range(50)]
    refusal(export(*rows, {"Order ID": "576461413038799999", "Quantity": "none"}))


def test_a_file_that_changes_while_it_is_read_is_refused(export) -> None:
    path = export({}, {"Order ID": "576461413038783117"})
    orders = read_order_export(path)
    path.write_bytes(path.read_bytes() + b"\r\n")
    with pytest.raises(InputFileError, match="changed"):
        list(orders)


def test_error_texts_hold_no_personal_data(export) -> None:
    error = refusal(export({"Quantity": "none", "Buyer Message": "ring twice"}))
    for secret in ("Hattie", "Pretend", "hattieb", "ring twice"):
        assert secret not in f"{error} {error.next_step}"


def test_a_zone_or_word_that_does_not_exist_is_a_fault_of_the_rules(export) -> None:
    with pytest.raises(SettingsError, match="Mars/Olympus"):
        read_order_export(export({}), time_zone="Mars/Olympus")
    with pytest.raises(SettingsError, match="SENT"):
        read_order_export(export({}), status_words={"Weg": "SENT"})


def test_a_file_that_a_spreadsheet_program_saved_with_semicolons_says_so(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(export_text(ROW).replace(",", ";"), "utf-8")
    assert str(refusal(path)) == f"the columns are separated by semicolons, not by commas ({path}:1)"
