"""TikTok's order object into facts: the example of the reference (section 5.5), and everything that may be odd about one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.channels.tiktok_orders import amount, flag, moment, read_order, text
from tiktok_erp.model.facts import OrderFacts

AS_OF = datetime(2026, 11, 18, 5, tzinfo=UTC)
DEADLINE = datetime(2026, 11, 20, 7, 59, 59, tzinfo=UTC)


def line(number: int, **values: Any) -> dict[str, Any]:
    return {
        "id": f"57708651212375512{number}",
        "sku_id": "1729592969712207013",
        "product_id": "1729592969712207008",
        "product_name": "Ribbed Knit Lounge Set",
        "sku_name": "Sage, M",
        "seller_sku": "LNG-SAGE-M",
        "original_price": "24.99",
        "sale_price": "19.99",
        "seller_discount": "3.50",
        "platform_discount": "1.50",
        "currency": "USD",
        "display_status": "AWAITING_SHIPMENT",
        "is_gift": False,
        "shipping_provider_id": "",
        "shipping_provider_name": "",
        "tracking_number": "",
        "combined_listing_skus": [],
        "room_id": "7573210098765432101",
        **values,
    }


def example(**values: Any) -> dict[str, Any]:
    """Return the order of section 5.5, its fields replaced by `values`."""
    gift = line(
        3,
        sku_id="1729592969712209999",
        product_id="1729592969712208888",
        product_name="Velvet Scrunchie (free gift)",
        sku_name="Default",
        seller_sku="GIFT-SCR-01",
        sale_price="0.00",
        is_gift=True,
    )
    return {
        "id": "576990123456789012",
        "status": "AWAITING_SHIPMENT",
        "order_type": "NORMAL",
        "create_time": 1794973331,
        "paid_time": 1794973355,
        "update_time": 1794976955,
        "rts_sla_time": 1795161599,
        "tts_sla_time": 1795161599,
        "shipping_due_time": 1795852799,
        "cancel_order_sla_time": 1795852799,
        "shipping_type": "TIKTOK",
        "fulfillment_type": "FULFILLMENT_BY_SELLER",
        "delivery_option_id": "7091146663229654785",
        "delivery_option_name": "Standard shipping",
        "warehouse_id": "7068517275539719942",
        "is_on_hold_order": True,
        "is_sample_order": False,
        "is_replacement_order": False,
        "is_exchange_order": False,
        "is_buyer_request_cancel": False,
        "has_updated_recipient_address": False,
        "auto_combine_group_id": "7573300011122233344",
        "buyer_message": "Please ship fast, gift for Friday",
        "seller_note": "",
        "user_id": "7021436810468230477",
        "buyer_email": "v2b2V5Q1@chat.seller.us.tiktok.com",
        "tracking_number": "",
        "payment": {
            "currency": "USD",
            "original_total_product_price": "49.98",
            "seller_discount": "7.00",
            "platform_discount": "3.00",
            "sub_total": "39.98",
            "original_shipping_fee": "4.99",
            "shipping_fee_seller_discount": "0",
            "shipping_fee_platform_discount": "4.99",
            "shipping_fee": "0",
            "tax": "3.30",
            "total_amount": "43.28",
        },
        "recipient_address": {
            "full_address": "United States, Texas, Travis, Austin, 4*** B*** ****",
            "name": "M** R*****",
            "phone_number": "(+1)512*****88",
            "region_code": "US",
            "postal_code": "78704",
            "address_line1": "4*** B*** ****",
            "address_line2": "",
            "address_detail": "4*** B*** ****",
            "district_info": [
                {"address_level": "L0", "address_name": "United States", "iso_code": "US"},
                {"address_level": "L1", "address_name": "Texas", "iso_code": "TX"},
                {"address_level": "L2", "address_name": "Travis", "iso_code": ""},
                {"address_level": "L3", "address_name": "Austin", "iso_code": ""},
            ],
        },
        "packages": [],
        "line_items": [line(1), line(2), gift],
        **values,
    }


def read(**values: Any) -> OrderFacts:
    return read_order(json.dumps(example(**values)).encode(), as_of=AS_OF)


def test_the_example_is_read_whole() -> None:
    facts = read()
    assert (facts.channel, facts.channel_order_id, facts.status, facts.source, facts.as_of) == (
        "tiktok",
        "576990123456789012",
        "AWAITING_SHIPMENT",
        "api",
        AS_OF,
    )
    assert facts.placed_at == datetime(2026, 11, 18, 3, 42, 11, tzinfo=UTC)
    assert facts.paid_at == datetime(2026, 11, 18, 3, 42, 35, tzinfo=UTC)
    assert facts.updated_at == datetime(2026, 11, 18, 4, 42, 35, tzinfo=UTC)
    assert (facts.rts_sla_at, facts.tts_sla_at) == (DEADLINE, DEADLINE)
    assert facts.shipping_due_at == facts.cancel_sla_at == datetime(2026, 11, 28, 7, 59, 59, tzinfo=UTC)
    assert (facts.shipping_type, facts.fulfillment_type) == ("TIKTOK", "FULFILLMENT_BY_SELLER")
    assert (facts.delivery_option_id, facts.delivery_option) == ("7091146663229654785", "Standard shipping")
    assert (facts.warehouse_id, facts.auto_combine_group_id) == ("7068517275539719942", "7573300011122233344")
    assert (facts.is_on_hold_order, facts.cancel_requested, facts.is_presale, facts.has_updated_address) == (
        True,
        False,
        False,
        False,
    )
    assert (facts.buyer_note, facts.seller_note) == ("Please ship fast, gift for Friday", None)
    assert facts.buyer_id == "7021436810468230477"
    assert (facts.rts_at, facts.collected_at, facts.delivered_at, facts.cancelled_at) == (None, None, None, None)


def test_the_money_of_the_example_adds_up() -> None:
    facts = read()
    amounts = (facts.subtotal_minor, facts.tax_minor, facts.shipping_minor, facts.total_minor)
    assert (facts.currency, amounts) == ("USD", (3998, 330, 0, 4328))
    assert sum(value or 0 for value in amounts[:3]) == facts.total_minor
    assert (facts.seller_discount_minor, facts.platform_discount_minor) == (700, 300)
    assert (facts.shipping_seller_discount_minor, facts.shipping_platform_discount_minor) == (0, 499)
    assert sum(unit.price_minor or 0 for unit in facts.units) == facts.subtotal_minor


def test_every_line_item_is_one_unit() -> None:
    units = read().units
    assert [unit.channel_unit_id for unit in units] == [f"57708651212375512{number}" for number in (1, 2, 3)]
    assert [(unit.seller_sku, unit.price_minor, unit.is_gift) for unit in units] == [
        ("LNG-SAGE-M", 1999, False),
        ("LNG-SAGE-M", 1999, False),
        ("GIFT-SCR-01", 0, True),
    ]
    assert {(unit.status, unit.content_type, unit.content_id) for unit in units} == {
        ("AWAITING_SHIPMENT", "LIVE", "7573210098765432101")
    }
    assert {(unit.channel_package_id, unit.tracking_number, unit.provider_name) for unit in units} == {(None,) * 3}


def test_a_masked_address_is_known_as_masked() -> None:
    recipient = read().recipient
    assert recipient is not None
    assert (recipient.country, recipient.state, recipient.city, recipient.zip) == ("US", "TX", "Austin", "78704")
    assert recipient.email == "v2b2V5Q1@chat.seller.us.tiktok.com"
    assert recipient.is_masked


def test_a_clear_address_is_read_in_its_parts() -> None:
    address = example()["recipient_address"] | {
        "name": "Mia Rosewood",
        "address_line1": "400 Birch Way",
        "address_line2": "Apt 2",
        "address_line4": "Door 3",
        "full_address": "400 Birch Way, Austin",
        "phone_number": "(+1)213-***-1234",  # a masked phone alone does not mask the address
    }
    recipient = read(recipient_address=address).recipient
    assert recipient is not None
    assert (recipient.name, recipient.street1, recipient.street2) == ("Mia Rosewood", "400 Birch Way", "Apt 2, Door 3")
    assert not recipient.is_masked


def test_names_and_notes_are_in_no_repr() -> None:
    facts = read(recipient_address=example()["recipient_address"] | {"name": "Mia Rosewood"})
    shown = repr(facts)
    for private in ("Rosewood", "78704", "Austin", "gift for Friday", "7021436810468230477", "chat.seller"):
        assert private not in shown


@pytest.mark.parametrize("address", [None, {}, "", [], "text", {"name": "", "postal_code": ""}, 5])
def test_an_absent_address_is_not_told(address: Any) -> None:
    assert read(recipient_address=address).recipient is None


@pytest.mark.parametrize(
    ("district", "state"),
    [
        ([{"address_level": "L1", "address_name": "Texas"}], "TX"),
        ([{"address_level": "L1", "address_name": "District of Columbia", "iso_code": ""}], "DC"),
        ([{"address_level": "L1", "address_name": "Atlantis", "iso_code": "XX"}], "Atlantis"),
        ([{"address_level": "L2", "address_name": "Travis"}], None),
        ([], None),
        (None, None),
        ("text", None),
        ([5, None, "L1"], None),
    ],
)
def test_the_state_is_two_letters_where_it_can_be_told(district: Any, state: str | None) -> None:
    recipient = read(recipient_address={"postal_code": "78704", "district_info": district}).recipient
    assert recipient is not None
    assert recipient.state == state


def test_a_shipped_order_tells_its_package_and_number() -> None:
    shipped = {
        "display_status": "AWAITING_COLLECTION",
        "package_id": "1153132168123859123",
        "package_status": "PROCESSING",
        "tracking_number": "9400111899223344556677",
        "shipping_provider_id": "7117858858072016686",
        "shipping_provider_name": "USPS",
    }
    facts = read(
        status="AWAITING_COLLECTION",
        rts_time=1794980000,
        packages=[{"id": "1153132168123859123"}],
        line_items=[line(1, **shipped)],
    )
    unit = facts.units[0]
    assert (unit.channel_package_id, unit.tracking_number, unit.provider_name) == (
        "1153132168123859123",
        "9400111899223344556677",
        "USPS",
    )
    assert facts.rts_at == moment(1794980000)


def test_a_unit_without_a_package_is_in_the_only_one_but_a_cancelled_one_is_in_none() -> None:
    lines = [line(1), line(2, display_status="CANCELLED")]
    facts = read(packages=[{"id": "1153"}], line_items=lines)
    assert [unit.channel_package_id for unit in facts.units] == ["1153", None]
    several = read(packages=[{"id": "1153"}, {"id": "1154"}], line_items=lines)
    assert [unit.channel_package_id for unit in several.units] == [None, None]


@pytest.mark.parametrize("order_type", ["PRE_ORDER", "MADE_TO_ORDER", "BACK_ORDER"])
def test_orders_that_are_made_later_are_pre_sales(order_type: str) -> None:
    facts = read(order_type=order_type, release_date=1796000000)
    assert (facts.is_presale, facts.release_at) == (True, moment(1796000000))


def test_the_children_of_a_bundle_say_what_to_pick() -> None:
    children = [
        {"sku_id": "1", "sku_count": 2, "seller_sku": "MUG"},
        {"sku_id": "17", "sku_count": None, "seller_sku": ""},
        {"sku_id": "18", "sku_count": "x", "seller_sku": None},
    ]
    unit = read(line_items=[line(1, combined_listing_skus=children)]).units[0]
    assert [(part.seller_sku, part.channel_sku_id, part.quantity) for part in unit.components] == [
        ("MUG", "1", 2),
        (None, "17", 1),
        (None, "18", 1),
    ]


@pytest.mark.parametrize("as_list", [True, False])
def test_sub_items_are_the_pieces_where_no_combined_skus_are_told(as_list: bool) -> None:
    sub_items: list[dict[str, object]] = [{"id": "9", "sku_id": "17", "seller_sku": "CUP"}]
    if as_list:
        sub_items += [{"id": "10", "sku_id": "18"}, {"id": "11", "sku_id": "19", "display_status": "CANCELLED"}, {}]
    told = sub_items if as_list else sub_items[0]
    unit = read(line_items=[line(1, combined_listing_skus=[], sub_item_info=told)]).units[0]
    expected = [("CUP", "17", 1), (None, "18", 1)] if as_list else [("CUP", "17", 1)]
    assert [(part.seller_sku, part.channel_sku_id, part.quantity) for part in unit.components] == expected


@pytest.mark.parametrize("status", ["SOMETHING_NEW", "awaiting_shipment", "111"])
def test_a_new_word_stays_as_it_came(status: str) -> None:
    facts = read(status=status, line_items=[line(1, display_status="ALSO_NEW"), line(2, display_status="")])
    assert (facts.status, facts.units[0].status, facts.units[1].status) == (status, "ALSO_NEW", status)


@pytest.mark.parametrize("status", [None, "", 0])
def test_an_order_without_a_status_is_not_taken_for_an_open_one(status: Any) -> None:
    assert read(status=status, line_items=[]).status == "UNKNOWN"


def test_ids_that_came_as_numbers_are_text_to_the_last_digit() -> None:
    facts = read(
        id=576990123456789013,
        user_id=9223372036854775807123,
        warehouse_id=7068517275539719942,
        line_items=[line(1, id=577086512123755121, sku_id=1729592969712207013, package_id=1153132168123859123)],
    )
    unit = facts.units[0]
    assert (facts.channel_order_id, facts.warehouse_id) == ("576990123456789013", "7068517275539719942")
    assert (unit.channel_unit_id, unit.channel_sku_id) == ("577086512123755121", "1729592969712207013")
    assert unit.channel_package_id == "1153132168123859123"


def test_a_currency_in_small_letters_is_the_same_currency() -> None:
    payment = {"currency": "usd", "total_amount": "43.28"}
    facts = read(payment=payment, line_items=[line(1, sale_price="9.99", currency="usd")])
    assert (facts.currency, facts.total_minor, facts.units[0].price_minor) == ("USD", 4328, 999)


def test_new_fields_are_ignored() -> None:
    facts = read(brand_new={"a": [1]}, line_items=[line(1, brand_new=5)])
    assert facts == read(line_items=[line(1)])


@pytest.mark.parametrize("name", sorted(example()))
@pytest.mark.parametrize("value", [None, "", 0, False, [], {}, "x", 5, -1, 1.5, True, [None], [[]], {"a": 1}], ids=repr)
def test_no_field_of_an_odd_type_loses_the_order(name: str, value: Any) -> None:
    facts = read_order(json.dumps(example() | {name: value}).encode(), as_of=AS_OF)
    assert facts.channel_order_id == ("576990123456789012" if name != "id" else text(value) or "")
    assert isinstance(facts.status, str)


@pytest.mark.parametrize("name", sorted(example()))
def test_any_field_may_be_missing(name: str) -> None:
    order = example()
    del order[name]
    facts = read_order(json.dumps(order).encode(), as_of=AS_OF)
    assert len(facts.units) == (0 if name == "line_items" else 3)


@pytest.mark.parametrize("name", sorted(line(1)))
@pytest.mark.parametrize("value", [None, [], {}, 1.5, True, "x"], ids=repr)
def test_no_field_of_a_line_item_loses_the_unit(name: str, value: Any) -> None:
    facts = read(line_items=[line(1, **{name: value}), line(2)])
    assert len(facts.units) == 2


def test_an_order_of_nothing_but_an_id_says_nothing_else() -> None:
    facts = read_order(b'{"id":"5"}', as_of=AS_OF)
    assert facts == OrderFacts(
        channel="tiktok", channel_order_id="5", status="UNKNOWN", source="api", as_of=AS_OF, is_on_hold_order=False
    )


@pytest.mark.parametrize("raw", [b"", b"[]", b"5", b"null", b'"text"', b"{", b'{"id":', b"\xff"])
def test_what_is_no_object_is_an_error_of_the_reader(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_order(raw, as_of=AS_OF)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(example())), json_values, max_size=6))
def test_any_json_in_any_field_gives_facts(values: dict[str, Any]) -> None:
    facts = read_order(json.dumps(example() | values).encode("utf-8", "surrogatepass"), as_of=AS_OF)
    assert facts.source == "api"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1794973331, datetime(2026, 11, 18, 3, 42, 11, tzinfo=UTC)),
        ("1794973331", datetime(2026, 11, 18, 3, 42, 11, tzinfo=UTC)),
        (1794973331000, datetime(2026, 11, 18, 3, 42, 11, tzinfo=UTC)),
        (0, None),
        ("0", None),
        ("", None),
        (None, None),
        (-5, None),
        ("soon", None),
        (10**30, None),
        ([], None),
    ],
)
def test_times_are_seconds_and_sometimes_milliseconds(value: Any, expected: datetime | None) -> None:
    assert moment(value) == expected


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("43.28", "USD", 4328),
        ("0", "USD", 0),
        ("5000", "VND", 5000),
        (43.28, "USD", 4328),
        (12, "USD", 1200),
        ("", "USD", None),
        (None, "USD", None),
        ("43.28", None, None),
        ("$43.28", "USD", None),
        (True, "USD", None),
        ("9" * 40, "USD", None),
    ],
)
def test_an_amount_that_cannot_be_read_is_not_told(value: Any, currency: str | None, minor: int | None) -> None:
    assert amount(value, currency) == minor


@pytest.mark.parametrize("value", [True, 1, "true", "TRUE", "1", " yes "])
def test_a_flag_may_be_written_in_many_ways(value: Any) -> None:
    assert flag(value)


@pytest.mark.parametrize("value", [False, 0, "", "false", "0", None, [], {}, "NO_NEED", 2])
def test_everything_else_is_no_flag(value: Any) -> None:
    assert not flag(value)
