"""TikTok's commissions, cancellations and product sizes into our shapes. Pure. Source: TikTok reference, sections 4.10 to 4.12.

Every field may be missing, null, empty or of another type than documented; what cannot be read is not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from tiktok_erp.channels.base import Cancellation, Commission, ProductMeasures
from tiktok_erp.channels.tiktok_orders import amount, moment, text

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
_NO_DIGITS = re.compile(r"[^\d.\-]")


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
        is_fully_returned={"yes": True, "no": False}.get((text(sku.get("fully_return")) or "").casefold()),
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
    restock = item.get("should_replenish_stock")
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
        should_restock=restock if isinstance(restock, bool) else None,
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
    if factor is None or value in (None, "") or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value)) * factor
    except InvalidOperation:
        return None
    return max(1, int(number.to_integral_value(ROUND_HALF_UP))) if 0 < number <= _MOST else None


def _amount(value: Any, currency: str | None) -> int | None:
    """Return an amount that may be a display string with currency signs and separators (TikTok reference, section 4.12)."""
    told = text(_object(value).get("amount"))
    if told is None:
        return None
    return amount(_NO_DIGITS.sub("", told), currency)


def _whole(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 1_000_000_000 else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
