"""Money as integer minor units with a currency. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

# ISO 4217 currencies of TikTok Shop's markets that have no minor unit in use.
_NO_MINOR_UNIT = frozenset({"JPY", "KRW", "VND", "IDR"})
_MOST_MINOR = 2**63 - 1  # what SQLite holds
_SHORT = 18  # digits that always fit
_AMOUNT = re.compile(r"^(?P<sign>-?)(?P<number>\d+(\.\d+)?)$")
_CODE = re.compile(r"^[A-Z]{3}$")


def minor_digits(currency: str) -> int:
    """Return how many decimal places `currency` has: 2 for USD, 0 for JPY."""
    return 0 if currency in _NO_MINOR_UNIT else 2


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents for USD) of one currency. Adding two currencies raises ValueError."""

    minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other).minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other).minor

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other).minor

    def __mul__(self, count: int) -> Money:
        return Money(self.minor * count, self.currency)

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be combined")
        return other

    def __str__(self) -> str:
        digits = minor_digits(self.currency)
        return f"{Decimal(self.minor).scaleb(-digits):.{digits}f} {self.currency}"


def parse_amount(text: str, currency: str) -> Money:
    """Read a plain decimal amount (`8.99`, `41`, `-3.5`) as `Money`, half a minor unit rounded up.

    Raises ValueError when `text` is not a plain decimal number.
    """
    cleaned = text.strip()
    match = _AMOUNT.match(cleaned)
    if not match:
        raise ValueError(f"{text!r} is not an amount")
    digits = minor_digits(currency)
    whole, _, fraction = match["number"].partition(".")
    if len(fraction) > digits or len(whole) + digits > _SHORT:
        return to_minor(Decimal(cleaned), currency)
    minor = int(whole + fraction.ljust(digits, "0"))
    return Money(-minor if match["sign"] else minor, currency)


def to_minor(amount: Decimal, currency: str) -> Money:
    """Return `amount` (major units) in minor units, half a minor unit rounded away from zero."""
    try:
        minor = amount.scaleb(minor_digits(currency)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    except InvalidOperation as cause:
        raise ValueError(f"{amount} is too large for an amount") from cause
    if abs(minor) > _MOST_MINOR:
        raise ValueError(f"{amount} is too large for an amount")
    return Money(int(minor), currency)


def parse_money(text: str) -> Money:
    """Read `10 USD`, `0.50 USD`. Raises ValueError when the currency is missing or the amount is no number."""
    parts = text.split()
    if len(parts) != 2 or not _CODE.match(parts[1]):
        raise ValueError(f"{text!r} is not money; write it as `10 USD`")
    return parse_amount(parts[0], parts[1])
