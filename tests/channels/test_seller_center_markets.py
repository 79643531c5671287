"""Exports of other years, markets and languages (TikTok reference, section 8.2), and what each row tells beside the order.

Rows are invented; header rows are those that the reference names.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tiktok_erp.channels.seller_center_orders import OrderExport, read_order_export
from tiktok_erp.errors import InputFileError, SettingsError
from tiktok_erp.model.facts import OrderFacts, RecipientFacts

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
US_2026 = next(csv.reader([HEADER_LINE]))
US_ADDRESS = ["Country", "State", "City", "Zipcode", "Address Line 1", "Address Line 2"]
ROW = {
    "Order ID": "576461413038785752",
    "Order Status": "To ship",
    "Order Substatus": "Awaiting shipment",
    "Normal or Pre-order": "Normal",
    "SKU ID": "1729592969712207013",
    "Seller SKU": "LIP-ROSE-01",
    "Product Name": "Velvet Matte Lip Tint",
    "Quantity": "1",
}
PLACES = {"Detail Address": "Jalan Contoh 5", "Additional address information": "RT 2", "Recipient": "Dewi Contoh"}
Row = Mapping[str, str]


def layout(address: Sequence[str], *, without: Sequence[str] = (), more: Sequence[str] = ()) -> list[str]:
    """Return the headers of 2026 with other address columns, some left out, others added."""
    start = US_2026.index("Country")
    rest = [name for name in US_2026[start:] if name not in US_ADDRESS]
    headers = [*US_2026[:start], *address, *rest]
    return [*(name for name in headers if name.strip() not in without), *more]


US_2024 = layout(
    ["Country", "State", "City", "Zipcode", "Detail Address", "Additional address information", "House Name or Number"],
    without=[
        *("Product ID", "Virtual Bundle Seller SKU", "Co-Funded Shipping Fee Discount", "Buyer Nickname"),
        *("Combined Listing", "Order Channel", "Creator Handle"),
    ],
)
INDONESIA = layout(
    [
        *("Zipcode", "Country", "Province", "Regency and City", "Districts", "Villages", "Detail Address"),
        "Additional address information",
    ],
    without=["Taxes", "Retail Delivery Fee", "Delivery Instruction", "Weight(kg)"],
    more=[
        *("Distance Shipping Fee", "Distance Fee", "Buyer Service Fee", "Handling Fee", "Shipping Insurance"),
        *("Item Insurance", "Purchase Channel", "Checked Status", "Checked Marked by", "Tokopedia Invoice Number"),
    ],
)
VIETNAM = layout(["Country", "Province", "District", "Commune", "Detail Address", "Additional address information"])
THAILAND = layout(
    [
        *("Zipcode", "Country", "Province", "District", "Districts", "Detail Address"),
        "Additional address information",
    ],
    more=["Small Order Fee", "Request Tax Invoice", "Tax Info - Name"],
)
PHILIPPINES = layout(
    [
        *("Country", "Region", "Province", "Municipality", "Barangay", "Zipcode", "Detail Address"),
        "Additional address information",
    ]
)


def write(
    folder: Path, headers: Sequence[str], *rows: Row, name: str = "All order-2026-11-21-19_40.csv", tabs: bool = True
) -> Path:
    path = folder / name
    with path.open("w", encoding="utf-8-sig", newline="") as target:
        writer = csv.writer(target, lineterminator="\r\n")
        writer.writerow(headers)
        for overrides in rows:
            row = ROW | dict(overrides)
            writer.writerow(
                row.get(name.strip(), "") + ("\t" if tabs and (name.endswith(" Time") or "ID" in name) else "")
                for name in headers
            )
    return path


def read_one(path: Path, **options: object) -> OrderFacts:
    (order,) = read_order_export(path, **options)  # type: ignore[arg-type]
    return order


def address(order: OrderFacts) -> RecipientFacts:
    assert order.recipient is not None
    return order.recipient


# Layouts


def test_the_american_layout_of_2024_is_read_whole(tmp_path: Path) -> None:
    row = {
        "Order Status": "Shipped",
        "Order Substatus": "In transit",
        "Created Time": "11/21/2026 6:42:11 PM",
        "Order Amount": "$1,014.83",
        "Tracking ID": "1Z12345E6605272234",
        "Country": "United States",
        "State": "Massachusetts",
        "City": "Cambridge",
        "Zipcode": "02139",
        "Detail Address": "9 Pretend Place",
        "Additional address information": "Floor 2",
        "House Name or Number": "Rose Cottage",
    }
    order = read_one(write(tmp_path, US_2024, row))
    assert (order.status, order.total_minor, order.currency) == ("IN_TRANSIT", 101483, "USD")
    assert order.placed_at == datetime(2026, 11, 22, 2, 42, 11, tzinfo=UTC)
    assert (order.units[0].product_id, order.units[0].creator, order.units[0].content_type) == (None, None, None)
    place = address(order)
    assert (place.street1, place.street2) == ("9 Pretend Place", "Floor 2 Rose Cottage")
    assert (place.city, place.state, place.zip, place.country) == ("Cambridge", "MA", "02139", "US")


def test_an_indonesian_export_has_its_places_its_money_and_its_times(tmp_path: Path) -> None:
    row = PLACES | {
        "Order Amount": "IDR 112.000",
        "SKU Unit Original Price": "IDR 100.000",
        "SKU Subtotal Before Discount": "IDR 100.000",
        "SKU Subtotal After Discount": "100000",
        "Handling Fee": "IDR 2.000",
        "Buyer Service Fee": "IDR 1.500",
        "Item Insurance": "500",
        "Shipping Insurance": "IDR 0",
        "Created Time": "05/11/2026 19:42:11",
        "Zipcode": "12430",
        "Country": "Indonesia",
        "Province": "DKI Jakarta",
        "Regency and City": "Jakarta Selatan",
        "Districts": "Cilandak",
        "Villages": "Lebak Bulus",
        "Creator Handle": "@dewi.live",
    }
    order = read_one(write(tmp_path, INDONESIA, row), time_zone="Asia/Jakarta")
    assert (order.currency, order.total_minor, order.subtotal_minor) == ("IDR", 112000, 100000)
    assert order.units[0].price_minor == 100000
    assert order.other_amounts == {
        "handling_fee": 2000,
        "buyer_service_fee": 1500,
        "item_insurance_fee": 500,
        "original_total_product_price": 100000,
    }
    assert order.placed_at == datetime(2026, 11, 5, 12, 42, 11, tzinfo=UTC)
    place = address(order)
    assert (place.street1, place.street2) == ("Jalan Contoh 5", "RT 2, Lebak Bulus, Cilandak")
    assert (place.city, place.state, place.zip, place.country) == ("Jakarta Selatan", "DKI Jakarta", "12430", "ID")
    assert order.units[0].creator == "dewi.live"


def test_a_vietnamese_export_has_district_and_commune(tmp_path: Path) -> None:
    row = PLACES | {
        "Order Amount": "120.000",
        "Taxes": "0",
        "Country": "Vietnam",
        "Province": "Hà Nội",
        "District": "Ba Đình",
        "Commune": "Kim Mã",
    }
    order = read_one(write(tmp_path, VIETNAM, row), time_zone="Asia/Ho_Chi_Minh")
    place = address(order)
    assert (place.city, place.state, place.country, place.street2) == ("Ba Đình", "Hà Nội", "VN", "RT 2, Kim Mã")
    assert (order.currency, order.total_minor) == ("VND", 120000)


def test_a_thai_export_has_its_district_subdistrict_and_small_order_fee(tmp_path: Path) -> None:
    row = PLACES | {
        "Order Status": "จัดส่งแล้ว",
        "Order Substatus": "",
        "Order Amount": "THB 1,249.50",
        "Small Order Fee": "THB 10",
        "Zipcode": "10110",
        "Country": "Thailand",
        "Province": "Bangkok",
        "District": "Watthana",
        "Districts": "Khlong Tan Nuea",
    }
    order = read_one(write(tmp_path, THAILAND, row), time_zone="Asia/Bangkok")
    place = address(order)
    assert (place.city, place.state, place.street2) == ("Watthana", "Bangkok", "RT 2, Khlong Tan Nuea")
    assert (order.currency, order.total_minor, order.other_amounts) == ("THB", 124950, {"small_order_fee": 1000})


def test_a_philippine_export_has_municipality_and_barangay(tmp_path: Path) -> None:
    row = PLACES | {
        "Order Amount": "₱1,249.50",
        "Country": "Philippines",
        "Region": "Calabarzon",
        "Province": "Laguna",
        "Municipality": "Calamba",
        "Barangay": "Pansol",
    }
    order = read_one(write(tmp_path, PHILIPPINES, row), time_zone="Asia/Manila")
    place = address(order)
    assert (place.city, place.state, place.street2, place.country) == ("Calamba", "Laguna", "RT 2, Pansol", "PH")
    assert (order.currency, order.total_minor) == ("PHP", 124950)


def test_where_a_province_is_empty_the_region_stands_for_it(tmp_path: Path) -> None:
    row = PLACES | {"Country": "Philippines", "Region": "Metro Manila", "Municipality": "Makati"}
    assert address(read_one(write(tmp_path, PHILIPPINES, row))).state == "Metro Manila"


@pytest.mark.parametrize("column", ["Districts", "Villages", "Regency and City", "Province"])
def test_a_masked_place_is_noticed(tmp_path: Path, column: str) -> None:
    assert address(read_one(write(tmp_path, INDONESIA, PLACES | {column: "L*** B****"}))).is_masked


def test_a_japanese_export_is_read_with_the_seller_s_words_for_the_rest(tmp_path: Path) -> None:
    japanese = {
        "注文ID": "576461413038785752",
        "注文状況": "To ship",
        "注文のサブ状況": "Awaiting shipment",
        "商品番号": "1729592969712207013",
        "個数": "2",
        "支払額": "11,000 JPY",
        "作成日時": "01/27/2026 6:03:56 PM",
        "備考": "",
    }
    path = write(tmp_path, list(japanese), japanese)
    aliases = {"商品番号": "SKU ID", "個数": "quantity", "支払額": "Order Amount", "作成日時": "Created Time"}
    order = read_one(path, time_zone="Asia/Tokyo", header_aliases=aliases)
    assert (order.status, len(order.units)) == ("AWAITING_SHIPMENT", 2)
    assert (order.currency, order.total_minor) == ("JPY", 11000)
    assert order.placed_at == datetime(2026, 1, 27, 9, 3, 56, tzinfo=UTC)


def test_a_missing_column_names_the_unknown_headers_and_the_setting(tmp_path: Path) -> None:
    headers = ["注文ID", "注文状況", "商品番号", "個数", "Warehouse Name", "Tax Info - Name"]
    with pytest.raises(InputFileError) as caught:
        read_order_export(write(tmp_path, headers, {}))
    assert "no column SKU ID, Quantity; unknown in it: 商品番号, 個数" in str(caught.value)
    assert "Warehouse" not in str(caught.value)
    assert "seller_center: {headers: {商品番号: SKU ID}}" in caught.value.next_step


def test_a_file_without_header_tells_none_of_its_cells(tmp_path: Path) -> None:
    with pytest.raises(InputFileError) as caught:
        read_order_export(write(tmp_path, ["576461413038785752", "To ship", "Dewi Contoh", "Jalan Contoh 5"], {}))
    assert "Contoh" not in f"{caught.value} {caught.value.next_step}"


def test_an_alias_for_a_column_that_no_export_has_is_a_fault_of_the_rules(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no export has the column Menge"):
        read_order_export(write(tmp_path, US_2026, {}), header_aliases={"Anzahl": "Menge"})


def test_an_alias_for_a_known_column_that_nobody_needs_is_taken(tmp_path: Path) -> None:
    assert read_one(write(tmp_path, US_2026, {}), header_aliases={"Lager": "Warehouse Name"})


def test_the_file_s_own_english_header_goes_before_an_alias(tmp_path: Path) -> None:
    path = write(tmp_path, [*US_2026, "Menge"], {"Menge": "7"})
    assert len(read_one(path, header_aliases={"Menge": "Quantity"}).units) == 1


def test_two_headers_for_one_alias_text_are_refused(tmp_path: Path) -> None:
    headers = [name for name in US_2026 if name != "Quantity"]
    with pytest.raises(InputFileError, match="Menge twice"):
        read_order_export(write(tmp_path, [*headers, "Menge", "menge"], {}), header_aliases={"Menge": "Quantity"})


def test_a_chinese_file_name_tells_the_time_of_the_export(tmp_path: Path) -> None:
    row = {"Order Status": "已发货", "Order Substatus": "运输中", "Cancelation/Return Type": "退货退款"}
    path = write(tmp_path, US_2026, row, name="全部 订单-2026-11-21-19_40.csv")
    order = read_one(path, exported_at=datetime(2026, 11, 23, tzinfo=UTC))
    assert (order.status, order.as_of) == ("IN_TRANSIT", datetime(2026, 11, 22, 3, 40, tzinfo=UTC))


def test_a_description_row_below_translated_headers_is_no_order(tmp_path: Path) -> None:
    path = write(tmp_path, US_2026, {"Order ID": "平台唯一订单编号", "Order Status": "订单状态"}, {})
    assert len(list(read_order_export(path))) == 1


def test_a_narrow_blank_before_pm_is_no_fault(tmp_path: Path) -> None:
    order = read_one(write(tmp_path, US_2026, {"Created Time": "11/21/2026 6:42:11\u202fPM"}))
    assert order.placed_at == datetime(2026, 11, 22, 2, 42, 11, tzinfo=UTC)


# Money


@pytest.mark.parametrize(
    ("cell", "currency", "minor"),
    [
        ("Rp12.000", "IDR", 12000),
        ("Rp 12.000", "IDR", 12000),
        ("12.000₫", "VND", 12000),
        ("¥1,100", "JPY", 1100),
        ("£8.99", "GBP", 899),
        ("US$8.99", "USD", 899),
        ("THB 1", "THB", 100),
        ("-$5.00", "USD", -500),
    ],
)
def test_a_sign_names_its_currency(tmp_path: Path, cell: str, currency: str, minor: int) -> None:
    order = read_one(write(tmp_path, US_2026, {"Order Amount": cell}))
    assert (order.currency, order.total_minor) == (currency, minor)


def test_a_bare_amount_is_in_the_currency_that_its_order_names(tmp_path: Path) -> None:
    order = read_one(write(tmp_path, US_2026, {"Order Amount": "IDR 12.000", "Taxes": "1.000"}))
    assert (order.total_minor, order.tax_minor) == (12000, 1000)


def test_an_order_that_names_no_currency_has_that_of_the_rest_of_the_file(tmp_path: Path) -> None:
    unpaid = {"Order ID": "576461413038785001", "Order Amount": "12.000"}
    path = write(tmp_path, INDONESIA, unpaid, {"Country": "Indonesia", "Order Amount": "5.000"})
    assert [(order.currency, order.total_minor) for order in read_order_export(path)] == [("IDR", 12000), ("IDR", 5000)]


def test_two_currencies_in_one_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="THB beside USD in one order"):
        read_order_export(write(tmp_path, US_2026, {"Taxes": "USD 1", "Order Amount": "THB 30"}))


BRAZIL = {"Country": "Brazil"}


def test_brazil_s_decimal_commas_are_read(tmp_path: Path) -> None:
    rows = [
        BRAZIL | {"Order ID": f"57646141303878500{number}", "Order Amount": amount}
        for number, amount in enumerate(("BRL 1.234", "BRL 30,87", "R$ 1.234,50", "BRL -4,99"))
    ]
    orders = list(read_order_export(write(tmp_path, US_2026, *rows)))
    assert [(order.total_minor, order.currency) for order in orders] == [
        (123400, "BRL"),
        (3087, "BRL"),
        (123450, "BRL"),
        (-499, "BRL"),
    ]


def test_a_weight_follows_the_file_s_decimals(tmp_path: Path) -> None:
    assert (
        read_one(write(tmp_path, US_2026, BRAZIL | {"Order Amount": "BRL 30,87", "Weight(kg)": "0,38"})).weight_g == 380
    )


def test_one_amount_tells_for_the_whole_file_where_the_decimals_begin(tmp_path: Path) -> None:
    rows = [
        {"Country": "Germany", "Order ID": f"57646141303878500{number}", "Order Amount": amount}
        for number, amount in enumerate(("1.234", "8,99 €"))
    ]
    orders = list(read_order_export(write(tmp_path, US_2026, *rows)))
    assert [order.total_minor for order in orders] == [123400, 899]


def test_amounts_that_contradict_each_other_are_refused_with_cell_and_setting(tmp_path: Path) -> None:
    rows = [
        BRAZIL | {"Order ID": f"57646141303878500{number}", "Order Amount": amount}
        for number, amount in enumerate(("BRL 30,87", "BRL 30.87"))
    ]
    with pytest.raises(
        InputFileError, match=r"BRL 30\.87 has its decimals behind a dot, line 2 behind a comma"
    ) as caught:
        read_order_export(write(tmp_path, US_2026, *rows))
    assert ":3:Order Amount" in caught.value.subject
    assert "seller_center: {decimals: comma}" in caught.value.next_step


@pytest.mark.parametrize("cell", ["EUR 1.234", "1,234 €"])
def test_an_amount_that_may_be_thousands_or_not_is_refused_until_somebody_says(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path, US_2026, {"Order Amount": cell, "Country": ""})
    with pytest.raises(InputFileError, match="may be thousands") as caught:
        read_order_export(path)
    assert "seller_center: {decimals: comma}" in caught.value.next_step
    group = "." if "." in cell else ","
    decimal_mark = "," if group == "." else "."
    (order,) = read_order_export(path, decimal_mark=decimal_mark)
    assert order.total_minor == 123400


def test_an_american_amount_with_three_decimals_is_not_rounded_in_silence(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="may be thousands"):
        read_order_export(write(tmp_path, US_2026, {"Order Amount": "$1.234"}))


def test_digits_of_other_scripts_are_no_amount(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="is not an amount"):
        read_order_export(write(tmp_path, US_2026, {"Order Amount": "١٢"}))


# What rows tell beside the order


def test_all_further_amounts_are_kept_by_the_api_s_names_and_zeros_left_out(tmp_path: Path) -> None:
    row = {
        "SKU Subtotal Before Discount": "8.99",
        "Original Shipping Fee": "4.99",
        "Co-Funded Shipping Fee Discount": "1.00",
        "Payment platform discount": "0.50",
        "Retail Delivery Fee": "0.28",
        "Order Refund Amount": "0",
    }
    second = row | {"SKU ID": "1729592969712223191", "SKU Subtotal Before Discount": "1.01"}
    assert read_one(write(tmp_path, US_2026, row, second)).other_amounts == {
        "original_shipping_fee": 499,
        "shipping_fee_cofunded_discount": 100,
        "payment_platform_discount": 50,
        "retail_delivery_fee": 28,
        "original_total_product_price": 1000,
    }


def test_a_refund_is_kept_once_for_the_order(tmp_path: Path) -> None:
    row = {"Order Refund Amount": "8.99"}
    order = read_one(write(tmp_path, US_2026, row, row | {"SKU ID": "1729592969712223191"}))
    assert order.other_amounts == {"refund_amount": 899}


def test_each_unit_has_its_price_before_discounts_and_its_share_of_them(tmp_path: Path) -> None:
    row = {
        "Quantity": "3",
        "SKU Unit Original Price": "8.99",
        "SKU Subtotal Before Discount": "26.97",
        "SKU Platform Discount": "1.00",
        "SKU Seller Discount": "0.50",
        "SKU Subtotal After Discount": "25.47",
    }
    units = read_one(write(tmp_path, US_2026, row)).units
    assert [unit.original_price_minor for unit in units] == [899, 899, 899]
    assert [unit.platform_discount_minor for unit in units] == [34, 33, 33]
    assert [unit.seller_discount_minor for unit in units] == [17, 17, 16]
    assert sum(unit.price_minor or 0 for unit in units) == 2547


def test_a_unit_s_price_before_discounts_comes_from_the_subtotal_where_it_is_not_told(tmp_path: Path) -> None:
    row = {"Quantity": "2", "SKU Subtotal Before Discount": "9.01"}
    units = read_one(write(tmp_path, US_2026, row)).units
    assert [unit.original_price_minor for unit in units] == [451, 450]
    assert [unit.seller_discount_minor for unit in units] == [None, None]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("0", [False, False]), ("1", [True, False]), ("2", [True, True]), ("9", [True, True]), ("", [None, None])],
)
def test_returned_pieces_are_marked(tmp_path: Path, cell: str, expected: list[bool | None]) -> None:
    row = {"Quantity": "2", "Sku Quantity of return": cell, "Cancelation/Return Type": "Return/Refund"}
    order = read_one(write(tmp_path, US_2026, row))
    assert [unit.is_returned for unit in order.units] == expected


def test_the_column_of_returned_pieces_is_found_in_its_other_spelling(tmp_path: Path) -> None:
    headers = [name.replace("Sku Quantity of return", "SKU Quantity of return") for name in US_2026]
    assert read_one(write(tmp_path, headers, {"SKU Quantity of return": "1"})).units[0].is_returned


def test_a_returned_quantity_that_is_no_number_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputFileError) as caught:
        read_order_export(write(tmp_path, US_2026, {"Sku Quantity of return": "some"}))
    assert ":2:Sku Quantity of return" in caught.value.subject


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("User", "BUYER"),
        ("Buyer", "BUYER"),
        ("Seller", "SELLER"),
        ("System", "SYSTEM"),
        ("OPERATOR", "OPERATOR"),
        ("系统", "SYSTEM"),
        ("Penjual", "Penjual"),
        ("", None),
    ],
)
def test_who_cancelled_is_told_in_the_api_s_words(tmp_path: Path, word: str, expected: str | None) -> None:
    row = {
        "Order Status": "Canceled",
        "Order Substatus": "Canceled",
        "Cancel By": word,
        "Cancel Reason": "Changed mind",
    }
    order = read_one(write(tmp_path, US_2026, row))
    assert (order.cancelled_by, order.units[0].cancelled_by) == (expected, expected)
    assert (order.cancel_reason, order.units[0].cancel_reason) == ("Changed mind", "Changed mind")


def test_a_cancelled_row_does_not_cancel_its_order(tmp_path: Path) -> None:
    gone = {"Order Substatus": "Canceled", "Cancel By": "Seller", "Cancel Reason": "Out of stock"}
    order = read_one(write(tmp_path, US_2026, gone, {"SKU ID": "1729592969712223191"}))
    assert (order.cancelled_by, order.cancel_reason) == (None, None)
    assert [unit.cancelled_by for unit in order.units] == ["SELLER", None]


def test_both_notes_the_creator_and_the_content_are_kept(tmp_path: Path) -> None:
    row = {
        "Buyer Message": "ring twice",
        "Seller Note": "VIP",
        "Order Channel": "Video",
        "Creator Handle": "glowwithkira",
    }
    order = read_one(write(tmp_path, US_2026, row))
    assert (order.buyer_note, order.seller_note) == ("ring twice", "VIP")
    assert (order.units[0].content_type, order.units[0].creator) == ("VIDEO", "glowwithkira")


# The export as a whole


def test_an_export_knows_its_orders_and_what_their_words_may_mean(tmp_path: Path) -> None:
    coarse = {"Order ID": "576461413038785001", "Order Status": "Shipped", "Order Substatus": ""}
    export = OrderExport(write(tmp_path, US_2026, {}, coarse))
    assert len(export) == 2
    assert "576461413038785001" in export and "576461413038785002" not in export
    assert export.tells_tracking
    assert [order.statuses for order in export.orders()] == [
        {"AWAITING_SHIPMENT"},
        {"AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED"},
    ]
