"""Seller Shipping: tracking numbers written back, corrected once, and read as events (reference, sections 4.5, 4.8)."""

from __future__ import annotations

from collections.abc import Sequence

from tiktok_erp.simulator.calls import NOT_YOURS, ApiError, Call, ConnectionLost, bad_parameter, text_of
from tiktok_erp.simulator.eligibility import check_shippable, chosen_units, needs_us_local, note_pending_request
from tiktok_erp.simulator.entities import Order, Package, Unit
from tiktok_erp.simulator.numbers import carriers_of, number_fault
from tiktok_erp.simulator.orders import find_order, ids_in
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.wire import Json

MAX_ORDERS_A_NUMBER = 20
CORRECTION_S = 72 * 3600

Numbers = list[tuple[str, str]]  # tracking number, shipping provider id


def mark_shipped(shop: Shop, call: Call) -> Json:
    """Mark Package As Shipped, version 202610."""
    lines = [text_of(line, "order_line_id") for line in call.body_objects("order_line_list")]
    return _mark(shop, call, lines, _shipping_info(call))


def mark_shipped_202309(shop: Shop, call: Call) -> Json:
    """Mark Package As Shipped, version 202309."""
    number, provider = call.body_text("tracking_number"), call.body_text("shipping_provider_id")
    return _mark(shop, call, call.body_texts("order_line_item_ids"), [(number, provider)])


def _shipping_info(call: Call) -> Numbers:
    infos = call.body_objects("shipping_info_list")
    if not infos:
        raise bad_parameter("Invalid parameter: shipping_info_list is required")
    if len(infos) > 1:
        raise ApiError(21011048, "several boxes for one item are for allow-listed sellers only")
    return [(text_of(info, "tracking_number"), text_of(info, "shipping_provider_id")) for info in infos]


def _mark(shop: Shop, call: Call, line_ids: Sequence[str], numbers: Numbers) -> Json:
    needs_us_local(shop)
    order = find_order(shop, call.params["order_id"])
    check_shippable(shop, order, call, verb="shipped", already=21011006)
    units = chosen_units(shop, order, line_ids, call, verb="shipped", already=21011006)
    package, warning = mark_units(shop, call, order, units, numbers)
    answer: Json = {"order_id": order.id, "order_line_item_ids": list(package.unit_ids), "package_id": package.id}
    if warning:
        answer["warning"] = {"message": warning}
    return answer


def mark_units(
    shop: Shop, call: Call, order: Order, units: Sequence[Unit], numbers: Numbers, planned: Package | None = None
) -> tuple[Package, str]:
    """Ship these units with the seller's own number; return the package and the warning that goes with it, or ''."""
    if order.shipping_type != "SELLER":
        raise ApiError(21011004, "the order is not shipped by the seller")
    number, provider_id = numbers[0]
    provider = _checked(shop, order, number, provider_id)
    note_pending_request(shop, order, call, verb="shipped")
    tag = "DEFAULT" if len(units) == len(order.live_units) else "SPLIT"
    package = shop.ship([order], units, call.now, tag=tag, planned=planned)
    shop.set_tracking(package, number, provider)
    shop.ledger.add(
        "shipments",
        package_id=package.id,
        order_ids=[order.id],
        time=call.now,
        request_id=call.request_id,
        tracking_number=number,
        shipping_provider=provider,
    )
    if shop.dice.roll("shipment_answer_lost"):
        raise ConnectionLost
    return package, _warning(number, provider)


def _checked(shop: Shop, order: Order, number: str, provider_id: str) -> str:
    """Return the provider's name if number and provider may be used for this order."""
    fault = number_fault(number)
    if fault == "characters":
        raise ApiError(21004012, "the tracking number holds special characters")
    if fault:
        raise ApiError(21011022, "the tracking number must have 4 to 50 characters")
    provider = shop.catalogue.provider_name(provider_id)
    if not provider:
        raise ApiError(21011022, "the shipping provider is not known")
    if not shop.options.own_usps and "USPS" in (provider, *carriers_of(number)[:1]):
        # Since January 2026, for all US sellers (reference, fact 18); the code is not documented.
        raise ApiError(21011022, "USPS labels must be bought through TikTok Shipping")
    users = [shop.orders[order_id] for order_id in shop.orders_by_number.get(number, [])]
    if any(user.id == order.id or user.buyer.address != order.buyer.address for user in users):
        raise ApiError(21011025, "the tracking number is used already")
    if len(users) >= MAX_ORDERS_A_NUMBER:
        raise ApiError(21011026, f"a tracking number serves at most {MAX_ORDERS_A_NUMBER} orders")
    return provider


def _warning(number: str, provider: str) -> str:
    found = carriers_of(number)
    if not found:
        return "No shipping provider was found for this tracking number. Please check it."
    if provider in found:
        return ""
    if len(found) > 1:
        return "The tracking number matches several shipping providers. Please check the provider."
    return f"The tracking number does not match the shipping provider {provider}; it looks like {found[0]}."


def update_order_info(shop: Shop, call: Call) -> Json:
    """Update Shipping Info by order."""
    order = find_order(shop, call.params["order_id"])
    _check_correctable(shop, order, call)
    if len(order.package_ids) > 1:
        raise ApiError(21011048, "the order has several packages; name the package")
    number, provider = call.body_text("tracking_number"), call.body_text("shipping_provider_id")
    return _correct(shop, call, shop.packages[order.package_ids[0]], [(number, provider)])


def update_package_info(shop: Shop, call: Call) -> Json:
    """Update Package Shipping Info, version 202610."""
    return _update_package(shop, call, _shipping_info(call))


def update_package_info_202309(shop: Shop, call: Call) -> Json:
    """Update Package Shipping Info, version 202309."""
    return _update_package(shop, call, [(call.body_text("tracking_number"), call.body_text("shipping_provider_id"))])


def _update_package(shop: Shop, call: Call, numbers: Numbers) -> Json:
    package = shop.packages.get(call.params["package_id"])
    if package is None:
        raise ApiError(NOT_YOURS, "package does not belong to this seller")
    for order in shop.package_orders(package):
        _check_correctable(shop, order, call)
    return _correct(shop, call, package, numbers)


def _check_correctable(shop: Shop, order: Order, call: Call) -> None:
    if order.shipping_type != "SELLER":
        raise ApiError(21011004, "the order is not shipped by the seller")
    if order.status == "CANCELLED":
        raise ApiError(21011041, "the order is cancelled")
    if not order.rts_at:
        raise ApiError(21011043, "the order is not shipped yet")
    if order.status in ("DELIVERED", "COMPLETED"):
        raise ApiError(21011027, "the order is delivered already")
    if call.now - order.rts_at > CORRECTION_S:
        raise ApiError(21011050, "shipping info can be updated within 72 hours only")
    if order.tracking_corrected:
        raise ApiError(21011051, "shipping info can be updated once only")


def _correct(shop: Shop, call: Call, package: Package, numbers: Numbers) -> Json:
    number, provider_id = numbers[0]
    orders = shop.package_orders(package)
    provider = _checked(shop, orders[0], number, provider_id)
    before = package.tracking_number
    shop.set_tracking(package, number, provider)
    package.updated_at = call.now
    for order in orders:
        order.tracking_corrected = True
        shop.touch(order, call.now)
    shop.ledger.add(
        "tracking_updates",
        package_id=package.id,
        order_ids=list(package.order_ids),
        time=call.now,
        request_id=call.request_id,
        before=before,
        tracking_number=number,
    )
    return {}


# Reading


def _events(package: Package) -> list[tuple[int, int, str]]:
    known = [
        (package.shipped_at, 10, "Shipping label created, carrier awaiting package"),
        (package.collected_at, 20, "Package picked up by the carrier"),
        (package.delivered_at, 50, "Package delivered"),
    ]
    return [(moment, action, text) for moment, action, text in reversed(known) if moment]


def order_tracking(shop: Shop, call: Call) -> Json:
    """Get Tracking: newest first."""
    order = find_order(shop, call.params["order_id"])
    events = [event for package_id in order.package_ids for event in _events(shop.packages[package_id])]
    rows = [
        {"description": text, "update_time_millis": moment * 1000, "action_code": action}
        for moment, action, text in sorted(events, reverse=True)
    ]
    return {"tracking": rows}


def parcel_tracking(shop: Shop, call: Call) -> Json:
    """Get Logistics Tracking (cross-border): per parcel."""
    order = find_order(shop, call.params["order_id"])
    details = []
    for package_id in order.package_ids:
        package = shop.packages[package_id]
        number = package.shown_tracking_number
        track = [
            {
                "description": text,
                "tracking_no": number,
                "update_time_millis": moment * 1000,
                "action_code": action,
                "action_code_name": text.upper().replace(" ", "_").replace(",", ""),
            }
            for moment, action, text in _events(package)
        ]
        details.append({"newest_tracking_no": number, "carrier_name": package.provider_name, "track_list": track})
    return {"order_id": order.id, "logistics_details": details}


def validate_number(shop: Shop, call: Call) -> Json:
    """Check TikTok Shipping and Collections by TikTok coverage of a tracking number."""
    users = shop.orders_by_number.get(call.text("tracking_number"), [])
    ours = any(shop.orders[order_id].shipping_type == "TIKTOK" for order_id in users)
    return {"is_tiktok_shipping": ours, "is_tiktok_collection": False}


def split_attributes(shop: Shop, call: Call) -> Json:
    """Get Order Split Attributes: an order can be split while two of its units are open."""
    rows = []
    for order_id in ids_in(call, "order_ids"):
        order = find_order(shop, order_id)
        can_split = order.status in ("AWAITING_SHIPMENT", "PARTIALLY_SHIPPING") and len(order.open_units) > 1
        reason = "" if can_split else "fewer than two items are awaiting shipment"
        rows.append(
            {
                "order_id": order.id, "can_split": can_split, "reason": reason,
                "must_split": False, "must_split_reasons": [],
            }
        )  # fmt: skip
    if not rows:
        raise bad_parameter("Invalid parameter: order_ids is required")
    return {"split_attributes": rows}
