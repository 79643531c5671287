"""TikTok's order object into our facts. Pure. Source: TikTok reference, section 5.3.

Every field may be missing, null, empty or of another type than documented; what cannot be read is not told, and the
whole answer is kept beside it. Unknown fields are ignored here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from tiktok_erp.model.facts import ComponentFacts, OrderFacts, RecipientFacts, UnitFacts
from tiktok_erp.model.money import parse_amount
from tiktok_erp.model.order_state import PRESALE_TYPES
from tiktok_erp.model.us_states import state_code


class WireOrder(msgspec.Struct, gc=False):
    """One element of `orders`."""

    id: Any = None
    status: Any = None
    order_type: Any = None
    create_time: Any = None
    paid_time: Any = None
    update_time: Any = None
    rts_time: Any = None
    collection_time: Any = None
    delivery_time: Any = None
    cancel_time: Any = None
    rts_sla_time: Any = None
    tts_sla_time: Any = None
    shipping_due_time: Any = None
    cancel_order_sla_time: Any = None
    collection_due_time: Any = None
    delivery_due_time: Any = None
    delivery_sla_time: Any = None
    request_cancel_time: Any = None
    release_date: Any = None
    handling_duration: Any = None
    shipping_type: Any = None
    fulfillment_type: Any = None
    delivery_option_id: Any = None
    delivery_option_name: Any = None
    warehouse_id: Any = None
    is_on_hold_order: Any = None
    is_buyer_request_cancel: Any = None
    cancellation_initiator: Any = None
    cancel_reason: Any = None
    split_or_combine_tag: Any = None
    is_sample_order: Any = None
    is_refundable_sample: Any = None
    is_replacement_order: Any = None
    is_exchange_order: Any = None
    auto_combine_group_id: Any = None
    user_id: Any = None
    has_updated_recipient_address: Any = None
    buyer_message: Any = None
    seller_note: Any = None
    buyer_email: Any = None
    payment: Any = None
    recipient_address: Any = None
    packages: Any = None
    line_items: Any = None
    tracking_number: Any = None


_AMOUNTS_WITH_A_PLACE = frozenset(
    {"total_amount", "sub_total", "tax", "shipping_fee", "platform_discount", "seller_discount"}
    | {"shipping_fee_platform_discount", "shipping_fee_seller_discount"}
)
_order_decoder = msgspec.json.Decoder(WireOrder)
Decoded = TypeVar("Decoded")


def decode(decoder: msgspec.json.Decoder[Decoded], body: bytes | msgspec.Raw) -> Decoded:
    """Return what `body` says. Raises msgspec.DecodeError for whatever is wrong with it, also nesting without end."""
    try:
        return decoder.decode(body)
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None


def read_order(raw: bytes, *, as_of: datetime) -> OrderFacts:
    """Return the facts of one order object. Raises msgspec.DecodeError when it is not an object at all."""
    wire = decode(_order_decoder, raw)
    payment = wire.payment if isinstance(wire.payment, dict) else {}
    currency = _currency(payment.get("currency"))
    handling = wire.handling_duration if isinstance(wire.handling_duration, dict) else {}
    order_type = text(wire.order_type)
    status = text(wire.status) or "UNKNOWN"
    packages = [text(item.get("id")) for item in _objects(wire.packages)]
    items = _objects(wire.line_items)
    # Where a line names its package, a line that names none is in none: a part of the order is still to ship.
    lines_tell = any(text(item.get("package_id")) for item in items)
    only_package = packages[0] if len(packages) == 1 and not lines_tell else None
    # Where a part has left, the only package is that part's: what still waits is in none yet.
    states = [text(item.get("display_status")) or status for item in items]
    is_divided = len(set(states) - {"CANCELLED", "AWAITING_SHIPMENT"}) > 0
    units = tuple(
        _read_unit(item, currency, status, None if is_divided and state == "AWAITING_SHIPMENT" else only_package)
        for item, state in zip(items, states, strict=True)
    )
    return OrderFacts(
        channel="tiktok",
        channel_order_id=text(wire.id) or "",
        status=status,
        source="api",
        as_of=as_of,
        order_type=order_type,
        placed_at=moment(wire.create_time),
        paid_at=moment(wire.paid_time),
        updated_at=moment(wire.update_time),
        rts_at=moment(wire.rts_time),
        collected_at=moment(wire.collection_time),
        delivered_at=moment(wire.delivery_time),
        cancelled_at=moment(wire.cancel_time),
        rts_sla_at=moment(wire.rts_sla_time),
        tts_sla_at=moment(wire.tts_sla_time),
        shipping_due_at=moment(wire.shipping_due_time),
        cancel_sla_at=moment(wire.cancel_order_sla_time),
        collection_due_at=moment(wire.collection_due_time),
        delivery_due_at=moment(wire.delivery_due_time),
        delivery_sla_at=moment(wire.delivery_sla_time),
        handling_days=_days(handling.get("days")),
        handling_days_kind=text(handling.get("type")),
        release_at=moment(wire.release_date),
        shipping_type=text(wire.shipping_type),
        fulfillment_type=text(wire.fulfillment_type),
        delivery_option_id=text(wire.delivery_option_id),
        delivery_option=text(wire.delivery_option_name),
        warehouse_id=text(wire.warehouse_id),
        is_on_hold_order=flag(wire.is_on_hold_order),
        cancel_requested=flag(wire.is_buyer_request_cancel),
        cancel_requested_at=moment(wire.request_cancel_time),
        cancelled_by=text(wire.cancellation_initiator),
        cancel_reason=text(wire.cancel_reason),
        split_or_combine=text(wire.split_or_combine_tag),
        is_sample=flag(wire.is_sample_order),
        is_refundable_sample=flag(wire.is_refundable_sample),
        is_replacement=flag(wire.is_replacement_order),
        is_exchange=flag(wire.is_exchange_order),
        is_presale=order_type in PRESALE_TYPES,
        auto_combine_group_id=text(wire.auto_combine_group_id),
        buyer_id=text(wire.user_id),
        has_updated_address=flag(wire.has_updated_recipient_address),
        currency=currency,
        total_minor=amount(payment.get("total_amount"), currency),
        subtotal_minor=amount(payment.get("sub_total"), currency),
        tax_minor=amount(payment.get("tax"), currency),
        shipping_minor=amount(payment.get("shipping_fee"), currency),
        platform_discount_minor=amount(payment.get("platform_discount"), currency),
        seller_discount_minor=amount(payment.get("seller_discount"), currency),
        shipping_platform_discount_minor=amount(payment.get("shipping_fee_platform_discount"), currency),
        shipping_seller_discount_minor=amount(payment.get("shipping_fee_seller_discount"), currency),
        other_amounts=_other_amounts(payment, currency),
        buyer_note=text(wire.buyer_message),
        seller_note=text(wire.seller_note),
        recipient=_read_recipient(wire.recipient_address, text(wire.buyer_email)),
        units=units,
    )


def _read_unit(item: dict[str, Any], currency: str | None, order_status: str, only_package: str | None) -> UnitFacts:
    room = text(item.get("room_id"))
    status = text(item.get("display_status")) or order_status
    own_currency = _currency(item.get("currency")) or currency
    return UnitFacts(
        channel_unit_id=text(item.get("id")),
        channel_sku_id=text(item.get("sku_id")) or "",
        product_id=text(item.get("product_id")),
        seller_sku=text(item.get("seller_sku")),
        product_name=text(item.get("product_name")),
        variant_name=text(item.get("sku_name")),
        price_minor=amount(item.get("sale_price"), own_currency),
        original_price_minor=amount(item.get("original_price"), own_currency),
        platform_discount_minor=amount(item.get("platform_discount"), own_currency),
        seller_discount_minor=amount(item.get("seller_discount"), own_currency),
        status=status,
        channel_package_id=text(item.get("package_id")) or (None if status == "CANCELLED" else only_package),
        tracking_number=text(item.get("tracking_number")),
        provider_id=text(item.get("shipping_provider_id")),
        provider_name=text(item.get("shipping_provider_name")),
        is_gift=flag(item.get("is_gift")),
        content_type="LIVE" if room else None,
        content_id=room,
        cancelled_by=text(item.get("cancel_user")),
        cancel_reason=text(item.get("cancel_reason")),
        components=_components(item),
    )


def _components(item: dict[str, Any]) -> tuple[ComponentFacts, ...]:
    """Return what a virtual bundle is picked as: its combined SKUs, or else its sub items, each of which is one piece."""
    combined = [(part, _count(part.get("sku_count"))) for part in _objects(item.get("combined_listing_skus"))]
    sub_items = item.get("sub_item_info")
    pieces = _objects(sub_items if isinstance(sub_items, list) else [sub_items])
    parts = combined or [(part, 1) for part in pieces if text(part.get("display_status")) != "CANCELLED"]
    named = [
        ComponentFacts(text(part.get("seller_sku")), text(part.get("sku_id")), quantity) for part, quantity in parts
    ]
    return tuple(component for component in named if component.seller_sku or component.channel_sku_id)


def _other_amounts(payment: dict[str, Any], currency: str | None) -> dict[str, int]:
    """Return what `payment` says beside the amounts that have a place of their own; fields come without notice."""
    found = {}
    for name, value in payment.items():
        if name == "currency" or name in _AMOUNTS_WITH_A_PLACE:
            continue
        minor = amount(value, currency) if isinstance(value, str | int) else None
        if minor:
            found[name] = minor
    return found


def _read_recipient(address: Any, email: str | None) -> RecipientFacts | None:
    if not isinstance(address, dict) or not any(address.values()):
        return None
    levels = {text(part.get("address_level")): part for part in _objects(address.get("district_info"))}
    state = levels.get("L1", {})
    city = levels.get("L3") or levels.get("L2") or {}
    lines = [text(address.get(f"address_line{number}")) for number in (1, 2, 3, 4)]
    street1 = lines[0] or text(address.get("address_detail"))
    fields = {
        "name": _name(address),
        "phone": text(address.get("phone_number")),
        "email": email,
        "street1": street1,
        "street2": ", ".join(line for line in lines[1:] if line) or None,
        "city": text(city.get("address_name")),
        "state": _state(text(state.get("iso_code")))
        or _state(text(state.get("address_name")))
        or text(state.get("address_name")),
        "zip": text(address.get("postal_code")),
        "country": text(address.get("region_code")),
        "full_address": text(address.get("full_address")),
    }
    masked = any("*" in value for name, value in fields.items() if value and name not in ("phone", "email"))
    return RecipientFacts(**fields, is_masked=masked)


def _name(address: dict[str, Any]) -> str | None:
    """Return the recipient's name; where the whole one is not told or hidden, that of its parts."""
    whole = text(address.get("name"))
    if whole and "*" not in whole:
        return whole
    parts = [text(address.get(key)) for key in ("first_name", "last_name")]
    joined = " ".join(part for part in parts if part)
    return joined if joined and ("*" not in joined or not whole) else whole


def _state(name: str | None) -> str | None:
    return state_code(name) if name else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """Return `value` as text; absent, empty, 0 and null alike are None (TikTok reference, section 3.1)."""
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if value else None


def flag(value: Any) -> bool:
    """Return whether a boolean field is set, in whatever way it was written."""
    return value is True or value == 1 or (isinstance(value, str) and value.strip().casefold() in ("true", "1", "yes"))


def moment(value: Any) -> datetime | None:
    """Return Unix seconds as UTC time; None when not set or not a time."""
    try:
        seconds = int(value) if value not in (None, "", False) else 0
    except (OverflowError, TypeError, ValueError):
        return None
    if seconds <= 0:
        return None
    if seconds > 100_000_000_000:  # some fields are in milliseconds
        seconds //= 1000
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def amount(value: Any, currency: str | None) -> int | None:
    """Return a decimal amount in minor units of `currency`; None when either is not told or unreadable."""
    if value is None or value == "" or currency is None or isinstance(value, bool):
        return None
    return _minor(str(value), currency)


def _currency(value: Any) -> str | None:
    code = text(value)
    return code.upper() if code else None


@lru_cache(maxsize=4096)  # an order has thirty amounts, and most orders have the same ones
def _minor(text: str, currency: str) -> int | None:
    try:
        return parse_amount(text, currency).minor
    except ValueError:
        return None


def _days(value: Any) -> int | None:
    try:
        days = int(value)
    except (TypeError, ValueError):
        return None
    return days if 0 < days < 1000 else None


def _count(value: Any) -> int:
    try:
        return max(1, int(value))
    except (TypeError, ValueError):
        return 1
