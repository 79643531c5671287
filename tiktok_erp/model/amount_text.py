"""Amounts of money as files write them: `$1,234.50`, `BRL 1.234,50`, `1 234,50 €`, `(12.00)`. Pure.

Whether a dot or a comma begins the decimals is a matter of the file or of the market, never of one cell: in one, `1.234` is
twelve hundred, in the other one and a bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from tiktok_erp.model.money import minor_digits, to_minor

DOT, COMMA = ".", ","

_SIGN = r"R\$|US\$|MX\$|S\$|A\$|AU\$|NZ\$|CA\$|C\$|HK\$|NT\$|[$€£¥￥฿₱₫đ]|Rp\.?|RM"
_GROUP_MARKS = "'’ \u00a0\u2009\u202f"
_AMOUNT = re.compile(
    rf"(?P<open>\()?\s*(?P<minus>[-−–])?\s*(?P<before>[A-Z]{{3}}|{_SIGN})?\s*(?P<inner>[-−–])?\s*\$?"
    rf"(?P<number>[0-9](?:[0-9.,{_GROUP_MARKS}]{{0,18}}[0-9])?)\s*(?P<after>[A-Z]{{3}}|[€₫đ$])?\s*(?P<trailing>-)?(?P<close>\))?"
)
# Signs that stand for one currency among the channel's markets; a bare $ says nothing.
_SIGNS = {
    "R$": "BRL",
    "US$": "USD",
    "MX$": "MXN",
    "S$": "SGD",
    "A$": "AUD",
    "AU$": "AUD",
    "NZ$": "NZD",
    "CA$": "CAD",
    "C$": "CAD",
    "HK$": "HKD",
    "NT$": "TWD",
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "￥": "JPY",
    "฿": "THB",
    "₱": "PHP",
    "₫": "VND",
    "đ": "VND",
    "Rp": "IDR",
    "Rp.": "IDR",
    "RM": "MYR",
}
# How the channel's markets write decimals (Unicode CLDR, 2025). The euro's markets differ, so it stands in neither list.
_DOT_CURRENCIES = frozenset(
    {"USD", "GBP", "JPY", "THB", "PHP", "MYR", "SGD", "MXN", "AUD", "NZD", "CAD", "HKD", "TWD", "KRW", "CNY"}
)
_COMMA_CURRENCIES = frozenset({"BRL", "IDR", "VND"})
_LONGEST_FRACTION = 12


@dataclass(frozen=True, slots=True)
class AmountText:
    """An amount as it is written. `number` has digits, dots and commas only; `currency` None where the text names none."""

    number: str
    is_negative: bool
    currency: str | None

    @property
    def decimal_mark(self) -> str | None:
        """Return the mark that can only begin decimals here, None where there is none or either could be meant."""
        dots, commas = self.number.count(DOT), self.number.count(COMMA)
        if dots and commas:
            last = max(self.number.rfind(DOT), self.number.rfind(COMMA))
            return self.number[last]
        if dots + commas > 1:
            return COMMA if dots else DOT  # what comes twice stands between thousands
        if dots + commas == 0:
            return None
        mark = DOT if dots else COMMA
        whole, _, fraction = self.number.partition(mark)
        is_like_thousands = len(fraction) == 3 and 1 <= len(whole) <= 3 and whole != "0"
        return None if is_like_thousands else mark

    @property
    def is_ambiguous(self) -> bool:
        """Tell whether `1.234` or `1,234` stands here, which is a thousand or one and a bit."""
        return (DOT in self.number or COMMA in self.number) and self.decimal_mark is None


@lru_cache(maxsize=4096)
def read_amount_text(text: str) -> AmountText | None:
    """Return the parts of an amount, None for anything else."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    word = found["before"] or found["after"]
    number = found["number"]
    for mark in _GROUP_MARKS:
        if mark in number:
            whole, *groups = re.split(rf"[{_GROUP_MARKS}]", number)
            # What stands between blanks or apostrophes are thousands: three digits each, decimals behind the last.
            if not (
                1 <= len(whole) <= 3 and whole.isdigit() and all(re.match(r"\d{3}(?!\d)", part) for part in groups)
            ):
                return None
            if any(not part.isdigit() for part in groups[:-1]):
                return None
            number = whole + "".join(groups)
            if re.search(r"[.,]\d*[.,]", number):
                return None
            break
    marks = sum(bool(found[name]) for name in ("open", "minus", "inner", "trailing"))
    if marks > 1:
        return None
    return AmountText(number, bool(marks), None if word in (None, "$") else _SIGNS.get(word, word))


@lru_cache(maxsize=256)
def market_decimal_mark(currency: str | None, country: str | None) -> str | None:
    """Return the mark that begins decimals where `currency` is used, None where that depends on the country and is not told."""
    if currency == "EUR":
        return None if country is None else DOT if country == "IE" else COMMA
    if currency in _DOT_CURRENCIES:
        return DOT
    return COMMA if currency in _COMMA_CURRENCIES else None


@lru_cache(maxsize=4096)
def amount_minor(text: str, currency: str, decimal_mark: str) -> int | None:
    """Return the minor units of an amount whose decimals begin with `decimal_mark`; None when it cannot be meant so.

    A currency without minor units has no decimals: there, dots and commas before three digits are thousands.
    """
    amount = read_amount_text(text)
    if amount is None:
        return None
    number = amount.number
    group = COMMA if decimal_mark == DOT else DOT
    if minor_digits(currency) == 0 and re.fullmatch(r"\d{1,3}([.,]\d{3})+", number):
        plain = re.sub(r"[.,]", "", number)
    else:
        whole, _, fraction = number.partition(decimal_mark)
        if group in fraction or decimal_mark in fraction or len(fraction) > _LONGEST_FRACTION:
            return None
        if group in whole and not re.fullmatch(rf"\d{{1,3}}({re.escape(group)}\d{{3}})+", whole):
            return None
        plain = whole.replace(group, "") + (f".{fraction}" if fraction else "")
    if len(plain.partition(".")[0]) > _LONGEST_FRACTION:
        return None
    minor = to_minor(Decimal(plain), currency).minor
    return -minor if amount.is_negative else minor


@lru_cache(maxsize=4096)
def clear_minor(text: str, currency: str, decimal_mark: str | None) -> int | None:
    """Return the minor units of an amount that can be meant in one way only; None for any other, and for what is none.

    `1.234` where a dot begins the decimals is not clear: no currency here has three.
    """
    amount = read_amount_text(text)
    if amount is None:
        return None
    if not minor_digits(currency):
        return amount_minor(text, currency, amount.decimal_mark or DOT)  # nothing to confuse: there are no decimals
    if decimal_mark is None or (amount.is_ambiguous and decimal_mark in amount.number):
        return None
    return amount_minor(text, currency, decimal_mark)
