"""Commissions, cancellations and sizes of the wire: every field may be missing or of another type, and none is guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.channels.tiktok_resources import read_cancellation, read_commission, read_measures

SKU: dict[str, Any] = {
    "sku_id": "1729592969712207013",
    "quantity": 2,
    "price": {"amount": "19.99", "currency": "USD"},
    "content_type": "LIVE",
    "content_id": "7341",
    "creator_username": "glow.example",
    "commission_rate": "1550",
    "estimated_paid_commission": {"amount": "6.20", "currency": "USD"},
    "actual_paid_commission": {"amount": "", "currency": ""},
    "settlement_status": "UNSETTLED",
    "fully_return": "No",
}
ORDER: dict[str, Any] = {"id": "576461413038785752", "create_time": 1794973355}

_SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text()
_STRANGE = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
_DISPLAYED = st.text(alphabet="0123456789.,-−()$€' \u00a0\u202fUSRp٣²", max_size=24)


def commission(**values: Any) -> Any:
    read = read_commission(ORDER, SKU | values)
    assert read is not None
    return read


def paid(displayed: Any, currency: str = "USD") -> int | None:
    value: int | None = commission(actual_paid_commission={"amount": displayed, "currency": currency}).actual_minor
    return value


def strange_object(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: known_one | _STRANGE for name, known_one in known.items()})


def test_a_row_is_read_whole() -> None:
    row = commission()
    assert (row.channel_order_id, row.channel_sku_id, row.creator) == (ORDER["id"], SKU["sku_id"], "glow.example")
    assert (row.content_type, row.content_id, row.quantity, row.rate_bp) == ("LIVE", "7341", 2, 1550)
    assert (row.estimated_minor, row.actual_minor, row.currency) == (620, None, "USD")
    assert (row.settlement_status, row.is_fully_returned) == ("UNSETTLED", False)
    assert row.placed_at == datetime(2026, 11, 18, 3, 42, 35, tzinfo=UTC)


@pytest.mark.parametrize(
    "missing", [{"creator_username": ""}, {"creator_username": None}, {"creator_username": {"x": 1}}]
)
def test_a_row_without_a_creator_is_no_commission(missing: dict[str, Any]) -> None:
    assert read_commission(ORDER, SKU | missing) is None
    assert read_commission({}, SKU) is None


@pytest.mark.parametrize(
    ("displayed", "minor"),
    [
        ("3.00", 300),
        ("$1,234.50", 123450),
        ("US$ 3.00", 300),
        ("3.00 USD", 300),
        ("-$5.00", -500),
        ("$-5.00", -500),
        ("\u22125.00", -500),
        ("($5.00)", -500),
        ("1.234,50", 123450),
        ("1 234,50", 123450),
        ("1\u202f234,50 $", 123450),
        ("1'234.50", 123450),
        ("12,345", 1234500),
        ("1,234,567.89", 123456789),
        ("12,5", 1250),
        ("$0", 0),
        (7, 700),
        (7.5, 750),
    ],
)
def test_an_amount_may_be_dressed_up_for_people(displayed: Any, minor: int) -> None:
    assert paid(displayed) == minor


@pytest.mark.parametrize(("displayed", "minor"), [("Rp12.000", 12000), ("12000", 12000), ("IDR 1.234.567", 1234567)])
def test_thousands_of_a_currency_without_cents_are_no_fractions(displayed: str, minor: int) -> None:
    assert paid(displayed, "IDR") == minor


@pytest.mark.parametrize(
    "displayed",
    [
        "",
        None,
        "free",
        "--",
        "$",
        "3.00 - 5.00",
        "5.00-",
        "1,23,456.00",
        "12,34.5,6",
        "1.2.3",
        True,
        [],
        {},
        "9" * 40,
        "²",
    ],
)
def test_what_is_no_clear_amount_is_not_told(displayed: Any) -> None:
    assert paid(displayed) is None


def test_without_a_currency_no_amount_is_told() -> None:
    row = commission(price={}, estimated_paid_commission={"amount": "3.00"}, actual_paid_commission={"amount": "3.00"})
    assert (row.estimated_minor, row.actual_minor, row.currency) == (None, None, None)


@pytest.mark.parametrize(
    ("told", "read"),
    [("Yes", True), ("no", False), (True, True), (False, False), ("", None), ("maybe", None), ([], None)],
)
def test_yes_and_no_come_in_several_ways(told: Any, read: bool | None) -> None:
    assert commission(fully_return=told).is_fully_returned is read


@pytest.mark.parametrize(("told", "read"), [("1550", 1550), (1550, 1550), (1550.0, 1550), ("15.5", None), (True, None)])
def test_a_rate_is_a_whole_number_of_hundredths(told: Any, read: int | None) -> None:
    assert commission(commission_rate=told).rate_bp == read


@given(
    st.builds(
        lambda order, sku: (order, sku),
        strange_object(id=st.just("576"), create_time=st.integers()),
        strange_object(
            creator_username=st.just("glow.example"),
            sku_id=st.text(),
            quantity=st.integers(),
            commission_rate=st.text(),
            content_type=st.text(),
            price=strange_object(currency=st.just("USD"), amount=_DISPLAYED),
            estimated_paid_commission=strange_object(currency=st.just("USD"), amount=_DISPLAYED),
            actual_paid_commission=strange_object(currency=st.just("IDR"), amount=_DISPLAYED),
        ),
    )
)
def test_reading_a_commission_never_raises(row: tuple[dict[str, Any], dict[str, Any]]) -> None:
    read = read_commission(*row)
    assert read is None or (read.creator and read.quantity >= 0)


@given(st.integers(-(10**12), 10**12), st.sampled_from(["{}", "${}", "US$ {}", "{} USD"]))
def test_an_amount_written_the_american_way_comes_back(minor: int, dress: str) -> None:
    sign = "-" if minor < 0 else ""
    assert paid(sign + dress.format(f"{abs(minor) // 100:,}.{abs(minor) % 100:02}")) == minor


# Cancellations

CANCELLATION: dict[str, Any] = {
    "cancel_id": "4035318504086604100",
    "order_id": "576461413038785752",
    "cancel_type": "BUYER_CANCEL",
    "cancel_status": "CANCELLATION_REQUEST_PENDING",
    "role": "BUYER",
    "cancel_reason": "no_longer_needed",
    "create_time": 1794973355,
    "update_time": 1794973400,
    "seller_next_action_response": [
        {"action": "SELLER_RESPOND_BUYER_CANCEL", "deadline": 1795146155},
        {"action": "OTHER", "deadline": 1795059755},
    ],
    "refund_amount": {"currency": "USD", "refund_total": "43.28"},
    "cancel_line_items": [{"order_line_item_id": "577086512123755121"}, {"order_line_item_id": ""}, "odd"],
    "should_replenish_stock": True,
}


def test_a_cancellation_is_read_whole() -> None:
    row = read_cancellation(CANCELLATION)
    assert row is not None
    assert (row.cancel_id, row.kind, row.role, row.is_pending) == ("4035318504086604100", "BUYER_CANCEL", "BUYER", True)
    assert row.answer_by == datetime(2026, 11, 19, 3, 42, 35, tzinfo=UTC)  # the earlier of the two
    assert (row.refund_minor, row.currency, row.should_restock) == (4328, "USD", True)
    assert row.channel_unit_ids == ("577086512123755121",)


@pytest.mark.parametrize("word", ["CANCELLATION_REQUEST_COMPLETE", "BRAND_NEW", ""])
def test_only_the_channels_own_word_makes_a_request_wait(word: str) -> None:
    row = read_cancellation(CANCELLATION | {"cancel_status": word})
    assert row is not None
    assert (row.is_pending, row.status) == (False, word or "UNKNOWN")


@pytest.mark.parametrize(
    ("told", "read"), [(False, False), ("true", True), ("FALSE", False), (None, None), ("?", None)]
)
def test_whether_a_piece_goes_back_on_sale_is_never_guessed(told: Any, read: bool | None) -> None:
    row = read_cancellation(CANCELLATION | {"should_replenish_stock": told})
    assert row is not None
    assert row.should_restock is read


def test_a_cancellation_without_ids_is_none() -> None:
    assert read_cancellation(CANCELLATION | {"cancel_id": 0}) is None
    assert read_cancellation(CANCELLATION | {"order_id": None}) is None


@given(
    strange_object(
        cancel_id=st.just("40"),
        order_id=st.just("576"),
        cancel_status=st.text(),
        update_time=st.integers(),
        seller_next_action_response=st.lists(strange_object(deadline=st.integers()), max_size=3),
        refund_amount=strange_object(currency=st.just("USD"), refund_total=_DISPLAYED),
        cancel_line_items=st.lists(strange_object(order_line_item_id=st.text()), max_size=3),
    )
)
def test_reading_a_cancellation_never_raises(item: dict[str, Any]) -> None:
    read = read_cancellation(item)
    assert read is None or read.cancel_id


# Sizes


@pytest.mark.parametrize(
    ("value", "unit", "grams"),
    [
        ("1", "POUND", 454),
        ("0.55", "POUND", 249),
        ("1.25", "KILOGRAM", 1250),
        (0.3, "KILOGRAM", 300),
        ("340", "GRAM", 340),
        ("2", "ounce", 57),
        ("0.2", "GRAM", 1),
        ("1", "STONE", None),
        ("1", None, None),
        ("0", "GRAM", None),
        ("-1", "POUND", None),
        ("5000", "KILOGRAM", None),
        ("NaN", "GRAM", None),
        ("1e9", "GRAM", None),
        ("heavy", "GRAM", None),
        (True, "GRAM", None),
        ({"x": 1}, "GRAM", None),
    ],
)
def test_a_weight_is_read_in_its_own_unit_or_not_at_all(value: Any, unit: Any, grams: int | None) -> None:
    assert read_measures("88", {"package_weight": {"value": value, "unit": unit}}).weight_g == grams


def test_sizes_and_weights_of_single_skus() -> None:
    found = read_measures(
        "88",
        {
            "package_weight": {"value": "0.5", "unit": "KILOGRAM"},
            "package_dimensions": {"length": "10", "width": "4.5", "height": "x", "unit": "INCH"},
            "skus": [
                {"id": "1", "sku_weight": {"value": "2", "unit": "POUND"}},
                {"id": "2"},
                {"sku_weight": {"value": "2", "unit": "POUND"}},
            ],
        },
    )
    assert (found.weight_g, found.length_mm, found.width_mm, found.height_mm) == (500, 254, 114, None)
    assert found.sku_weights_g == {"1": 907}


@given(
    strange_object(
        package_weight=strange_object(value=_DISPLAYED, unit=st.sampled_from(["POUND", "GRAM"])),
        package_dimensions=strange_object(length=_DISPLAYED, width=st.floats(), unit=st.just("INCH")),
        skus=st.lists(strange_object(id=st.text(), sku_weight=strange_object(value=st.text(), unit=st.just("KG")))),
    )
)
def test_reading_sizes_never_raises(data: dict[str, Any]) -> None:
    found = read_measures("88", data)
    for number in (found.weight_g, found.length_mm, *found.sku_weights_g.values()):
        assert number is None or 0 < number <= 1_000_000
