"""Money: whole minor units of one currency; nothing is ever a float."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.model.money import Money, minor_digits, parse_amount, parse_money, to_minor

CURRENCIES = st.sampled_from(["USD", "EUR", "GBP", "JPY", "VND"])
AMOUNTS = st.builds(Money, st.integers(-(10**12), 10**12), CURRENCIES)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("0", "USD", 0),
        ("0.01", "USD", 1),
        ("8.99", "USD", 899),
        ("41", "USD", 4100),
        ("5000", "USD", 500_000),
        ("-3.5", "USD", -350),
        (" 8.99 ", "USD", 899),
        ("0.005", "USD", 1),
        ("0.0049", "USD", 0),
        ("-0.005", "USD", -1),
        ("1.005", "USD", 101),
        ("5000", "JPY", 5000),
        ("12000.5", "VND", 12001),
    ],
)
def test_an_amount_becomes_minor_units(text: str, currency: str, minor: int) -> None:
    assert parse_amount(text, currency) == Money(minor, currency)


@pytest.mark.parametrize("text", ["", " ", "$8.99", "1,234.50", "8.", ".5", "1e3", "nan", "inf", "+5", "--5", "8 99"])
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        parse_amount(text, "USD")


@pytest.mark.parametrize("text", ["9" * 40, "92233720368547758.08", "-" + "9" * 30])
def test_an_amount_that_no_database_holds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too large"):
        parse_amount(text, "USD")


def test_the_largest_amount_that_the_database_holds_is_read() -> None:
    assert parse_amount("92233720368547758.07", "USD").minor == 2**63 - 1


@pytest.mark.parametrize("text", ["10", "USD", "10 usd", "10 US", "USD 10", "10USD", "10 USD x", "ten USD"])
def test_money_in_rules_needs_an_amount_and_a_currency(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse_money(text)


def test_money_in_rules_is_read() -> None:
    assert parse_money("0.50 USD") == Money(50, "USD")
    assert parse_money("  10   EUR ") == Money(1000, "EUR")


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(899, "USD"), "8.99 USD"),
        (Money(0, "USD"), "0.00 USD"),
        (Money(-5, "USD"), "-0.05 USD"),
        (Money(11000, "JPY"), "11000 JPY"),
        (Money(10**15, "USD"), "10000000000000.00 USD"),
    ],
)
def test_money_is_shown_with_the_digits_of_its_currency(money: Money, text: str) -> None:
    assert str(money) == text


@given(AMOUNTS)
def test_what_is_shown_can_be_read_back(money: Money) -> None:
    assert parse_money(str(money)) == money


@given(AMOUNTS, AMOUNTS)
def test_two_currencies_are_never_combined(one: Money, other: Money) -> None:
    if one.currency == other.currency:
        assert one + other - other == one
        assert (one < other) == (one.minor < other.minor)
        assert (one <= other) == (one.minor <= other.minor)
        return
    for combine in (lambda: one + other, lambda: one - other, lambda: one < other, lambda: one <= other):
        with pytest.raises(ValueError, match="cannot be combined"):
            combine()


@given(st.integers(-(10**9), 10**9), st.integers(0, 100))
def test_a_multiple_is_exact(minor: int, count: int) -> None:
    assert (Money(minor, "USD") * count).minor == minor * count


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=4))
def test_rounding_is_at_most_half_a_minor_unit(amount: Decimal) -> None:
    assert abs(Decimal(to_minor(amount, "USD").minor) - amount * 100) <= Decimal("0.5")


def test_currencies_without_minor_units_have_no_decimals() -> None:
    assert [minor_digits(code) for code in ("USD", "EUR", "JPY", "VND", "KRW", "IDR")] == [2, 2, 0, 0, 0, 0]
