"""TikTok's commissions, cancellations and product sizes into our shapes. Pure. Source: TikTok reference, sections 4.10 to 4.12.

Every field may be missing, null, empty or of another type than documented; what cannot be read is not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from tiktok_erp.channels.base import Cancellation, Commission, ProductMeasures
from tiktok_erp.channels.tiktok_orders import amount, moment
from tiktok_erp.channels.tiktok_orders import text as any_text
from tiktok_erp.model.money import minor_digits

PENDING = "CANCELLATION_REQUEST_PENDING"

_GRAMS = {
    "GRAM": Decimal(1),
    "G": Decimal(1),
    "KILOGRAM": Decimal(1000),
    "KG": Decimal(1000),
    "POUND": Decimal("453.59237"),
    "LB": Decimal("453.59237"),
    "OUNCE": Decimal("28.349523125"),
    "OZ": Decimal("28.349523125"),
}
_MILLIMETRES = {
    "CENTIMETER": Decimal(10),
    "CM": Decimal(10),
    "MILLIMETER": Decimal(1),
    "MM": Decimal(1),
    "INCH": Decimal("25.4"),
    "IN": Decimal("25.4"),
}
_MOST = Decimal(1_000_000)  # a ton, a kilometre: beyond it something was typed wrongly
# One number with its separators; spaces and apostrophes separate thousands in some languages.
_NUMBER = re.compile(r"\d(?:[\d.,'\u2019\s]*\d)?")
_SPACES = re.compile(r"['\u2019\s]")
_MINUS = "-\u2212"
_YES_OR_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False}


def read_commission(order: dict[str, Any], sku: dict[str, Any]) -> Commission | None:
    """Return one SKU row of an affiliate order; None without an order or a creator."""
    creator, order_id = text(sku.get("creator_username")), text(order.get("id"))
    if order_id is None or creator is None:
        return None
    currency = next(
        (
            found
            for name in ("actual_paid_commission", "estimated_paid_commission", "price")
            if (found := text(_object(sku.get(name)).get("currency")))
        ),
        None,
    )

    def minor(*names: str) -> int | None:
        for name in names:
            told = _amount(sku.get(name), currency)
            if told is not None:
                return told
        return None

    return Commission(
        channel_order_id=order_id,
        channel_sku_id=text(sku.get("sku_id")) or "",
        creator=creator,
        content_type=(text(sku.get("content_type")) or "").upper(),
        content_id=text(sku.get("content_id")) or "",
        quantity=max(0, _whole(sku.get("quantity")) or 0),
        rate_bp=_whole(sku.get("commission_rate")),
        estimated_minor=minor("estimated_paid_commission"),
        actual_minor=minor("actual_paid_commission"),
        partner_minor=minor("actual_paid_partner_commission", "estimated_paid_partner_commission"),
        shop_ads_minor=minor("actual_paid_shop_ads_commission", "estimated_paid_shop_ads_commission"),
        currency=currency,
        settlement_status=text(sku.get("settlement_status")),
        placed_at=moment(order.get("create_time")),
        is_fully_returned=_yes_or_no(sku.get("fully_return")),
    )


def read_cancellation(item: dict[str, Any]) -> Cancellation | None:
    """Return one cancellation; None when it names no order."""
    cancel_id, order_id = text(item.get("cancel_id")), text(item.get("order_id"))
    if cancel_id is None or order_id is None:
        return None
    refund = _object(item.get("refund_amount"))
    currency = text(refund.get("currency"))
    status = text(item.get("cancel_status")) or "UNKNOWN"
    deadlines = [moment(action.get("deadline")) for action in _objects(item.get("seller_next_action_response"))]
    return Cancellation(
        cancel_id=cancel_id,
        channel_order_id=order_id,
        kind=text(item.get("cancel_type")),
        status=status,
        is_pending=status == PENDING,
        role=text(item.get("role")),
        reason=text(item.get("cancel_reason")),
        created_at=moment(item.get("create_time")),
        updated_at=moment(item.get("update_time")),
        answer_by=min((told for told in deadlines if told is not None), default=None),
        should_restock=_yes_or_no(item.get("should_replenish_stock")),
        refund_minor=amount(refund.get("refund_total"), currency),
        currency=currency,
        channel_unit_ids=tuple(
            unit_id
            for line in _objects(item.get("cancel_line_items"))
            if (unit_id := text(line.get("order_line_item_id"))) is not None
        ),
    )


def read_measures(product_id: str, data: dict[str, Any]) -> ProductMeasures:
    """Return weight and size of a product; a part in a unit that we do not know is not told."""
    size = _object(data.get("package_dimensions"))
    factor = _MILLIMETRES.get((text(size.get("unit")) or "").upper())
    sides = [_scaled(size.get(name), factor) for name in ("length", "width", "height")]
    return ProductMeasures(
        product_id=product_id,
        weight_g=_grams(data.get("package_weight")),
        length_mm=sides[0],
        width_mm=sides[1],
        height_mm=sides[2],
        sku_weights_g=dict(_sku_weights(data)),
    )


def _sku_weights(data: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for sku in _objects(data.get("skus")):
        sku_id, weight_g = text(sku.get("id")), _grams(sku.get("sku_weight") or sku.get("package_weight"))
        if sku_id is not None and weight_g is not None:
            yield sku_id, weight_g


def _grams(value: Any) -> int | None:
    weight = _object(value)
    return _scaled(weight.get("value"), _GRAMS.get((text(weight.get("unit")) or "").upper()))


def _scaled(value: Any, factor: Decimal | None) -> int | None:
    number = _decimal(value)
    if factor is None or number is None or not 0 < number <= _MOST:
        return None
    whole = int((number * factor).to_integral_value(ROUND_HALF_UP))
    return max(1, whole) if whole <= _MOST else None


def _amount(value: Any, currency: str | None) -> int | None:
    """Return an amount that may be a display string with currency signs and separators (TikTok reference, section 4.12).

    None where it could mean two amounts.
    """
    told = text(value.get("amount") if isinstance(value, dict) else value)
    if told is None or currency is None:
        return None
    numbers = list(_NUMBER.finditer(told))
    if len(numbers) != 1:
        return None
    before, after = told[: numbers[0].start()], told[numbers[0].end() :]
    plain = _without_separators(_SPACES.sub("", numbers[0][0]), minor_digits(currency))
    if plain is None or any(sign in after for sign in _MINUS):
        return None
    minor = amount(plain, currency)
    is_negative = any(sign in before for sign in _MINUS) or ("(" in before and ")" in after)
    return -minor if minor is not None and is_negative else minor


def _without_separators(number: str, digits: int) -> str | None:
    """Return a number with a point before its fraction and nothing between thousands; None when they are out of place.

    One separator before three digits is taken for thousands where it is a comma, and in a currency without minor units.
    """
    place = max(number.rfind("."), number.rfind(","))
    if place < 0:
        return number
    mark, whole, fraction = number[place], number[:place], number[place + 1 :]
    has_other = ("," if mark == "." else ".") in whole
    if mark in whole or (not has_other and len(fraction) == 3 and (mark == "," or digits == 0)):
        whole, fraction = number, ""
    groups = re.split(r"[.,]", whole)
    if len(groups) > 1 and (len(set(re.findall(r"[.,]", whole))) > 1 or any(len(group) != 3 for group in groups[1:])):
        return None
    return "".join(groups) + (f".{fraction}" if fraction else "")


def _yes_or_no(value: Any) -> bool | None:
    return value if isinstance(value, bool) else _YES_OR_NO.get((text(value) or "").casefold())


def _whole(value: Any) -> int | None:
    number = _decimal(value)
    return int(number) if number is not None and abs(number) < 1_000_000_000 and number == int(number) else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


def text(value: Any) -> str | None:
    """Return a text, or a number as text; None for anything that is neither."""
    return any_text(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
