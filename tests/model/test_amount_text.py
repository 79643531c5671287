"""Amounts as markets, programs and bookkeepers write them."""

from __future__ import annotations

import pytest

from tiktok_erp.model.amount_text import COMMA, DOT, amount_minor, read_amount_text


@pytest.mark.parametrize(
    ("text", "currency", "mark", "minor"),
    [
        ("BRL 30,87", "BRL", COMMA, 3087),
        ("R$ 1.234,50", "BRL", COMMA, 123450),
        ("R$1.234.567,89", "BRL", COMMA, 123456789),
        ("1 234,50 €", "EUR", COMMA, 123450),
        ("1\u00a0234,50\u00a0€", "EUR", COMMA, 123450),
        ("1\u202f234,5 EUR", "EUR", COMMA, 123450),
        ("1'234.50", "CHF", DOT, 123450),
        ("CHF 1’234.50", "CHF", DOT, 123450),
        ("US$1,234.50", "USD", DOT, 123450),
        ("USD1,234", "USD", DOT, 123400),
        ("$1,234", "USD", DOT, 123400),
        ("1.234", "BRL", COMMA, 123400),
        ("(12.00)", "USD", DOT, -1200),
        ("($12.00)", "USD", DOT, -1200),
        ("-R$ 12,00", "BRL", COMMA, -1200),
        ("R$ -12,00", "BRL", COMMA, -1200),
        ("−12,00 €", "EUR", COMMA, -1200),
        ("12,00-", "EUR", COMMA, -1200),
        ("0", "USD", DOT, 0),
        ("IDR 12.000", "IDR", COMMA, 12000),
        ("12,000₫", "VND", DOT, 12000),
    ],
)
def test_an_amount_is_read_with_its_market_s_marks(text: str, currency: str, mark: str, minor: int) -> None:
    assert amount_minor(text, currency, mark) == minor


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("30,87", DOT),
        ("30.87", COMMA),
        ("1.2.3", DOT),
        ("1,23,456.00", DOT),
        ("12 34,50", COMMA),
        ("1 234 56", DOT),
        ("(12.00", DOT),
        ("(-12.00)", DOT),
        ("--12", DOT),
        ("free", DOT),
        ("", DOT),
        ("12.00 or so", DOT),
        ("1'234'5.00", DOT),
        ("٣٠", DOT),
        ("9" * 5000, DOT),
    ],
)
def test_what_cannot_be_meant_so_is_no_amount(text: str, mark: str) -> None:
    assert amount_minor(text, "USD", mark) is None


@pytest.mark.parametrize(
    ("number", "mark"),
    [
        ("1.234,50", COMMA),
        ("1,234.50", DOT),
        ("1.234.567", COMMA),
        ("30,87", COMMA),
        ("30.8", DOT),
        ("0.875", DOT),
        ("1234.567", DOT),
        ("1.234", None),
        ("1,234", None),
        ("41", None),
    ],
)
def test_an_amount_shows_what_begins_its_decimals_or_does_not(number: str, mark: str | None) -> None:
    amount = read_amount_text(number)
    assert amount is not None
    assert amount.decimal_mark == mark


@pytest.mark.parametrize(
    ("text", "currency"),
    [("R$ 5", "BRL"), ("S$5", "SGD"), ("MX$ 5", "MXN"), ("5 €", "EUR"), ("5,00 BRL", "BRL"), ("$5", None), ("5", None)],
)
def test_a_sign_or_code_names_the_currency_and_a_bare_dollar_does_not(text: str, currency: str | None) -> None:
    amount = read_amount_text(text)
    assert amount is not None
    assert amount.currency == currency
