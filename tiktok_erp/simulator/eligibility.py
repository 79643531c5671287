"""Who may be shipped now: the order states that forbid it, and what a correct client would not have tried."""

from __future__ import annotations

from collections.abc import Sequence

from tiktok_erp.simulator.calls import ApiError, Call
from tiktok_erp.simulator.entities import Order, Unit
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.wire import is_unknown_status

_ALREADY = {"AWAITING_COLLECTION": 21022025, "PARTIALLY_SHIPPING": 21022025, "IN_TRANSIT": 21011006}


def check_shippable(shop: Shop, order: Order, call: Call, *, verb: str, already: int = 0) -> None:
    """Refuse what must not be shipped, and write into the ledger what the client should have known.

    `verb` is bought or shipped; `already` overrides the code for an order that was shipped before.
    """
    eligible = order.status in ("AWAITING_SHIPMENT", "PARTIALLY_SHIPPING") and not order.is_platform_fulfilled
    if eligible and shop.dice.roll("cancelled_at_purchase"):
        shop.cancel(order, order.open_units, role="BUYER", reason="No longer needed", at=call.now)

    def note(kind: str) -> None:
        shop.violation(f"{verb}_{kind}", order_id=order.id, request_id=call.request_id, detail=order.status)

    if order.is_platform_fulfilled:
        note("platform_order")
        raise ApiError(21008025, "the order is fulfilled by the platform")
    if order.status == "UNPAID":
        note("unpaid")
        raise ApiError(21042057, "the order is not awaiting shipment")
    if order.status == "ON_HOLD":
        note("on_hold")
        raise ApiError(21011044, "the order is on hold; wait until it is awaiting shipment")
    if order.status == "CANCELLED":
        if shop.should_have_known(order):
            note("cancelled")
        raise ApiError(21011041, "the order is cancelled")
    if is_unknown_status(shop, order):
        note("unknown_status")
        raise ApiError(21042057, "the order is not awaiting shipment")
    if not order.open_units:
        note("twice")
        pending = any(shop.packages[package_id].is_pending for package_id in order.package_ids)
        if pending and verb == "bought":
            raise ApiError(21030005, "the purchase of the label is in progress")
        code = already or _ALREADY.get(order.status, 21011027)
        raise ApiError(code, "the order is shipped already")


def note_pending_request(shop: Shop, order: Order, call: Call, *, verb: str) -> None:
    """US: shipping rejects an open cancel request without a word; a careful client never lets that happen."""
    request = shop.pending_request(order)
    if request is None:
        return
    if shop.should_have_known(order):
        shop.violation(f"{verb}_with_cancel_request", order_id=order.id, request_id=call.request_id)
    shop.answer_request(request, granted=False, at=call.now)


def chosen_units(
    shop: Shop, order: Order, line_ids: Sequence[str], call: Call, *, verb: str, already: int
) -> list[Unit]:
    """Return the open units that the call names, or all open ones; refuse foreign, cancelled and shipped lines."""
    if not line_ids:
        return order.open_units
    by_id = {unit.id: unit for unit in order.units}
    if len(set(line_ids)) != len(line_ids):
        raise ApiError(21011005, "a line item is named twice")
    units = []
    for line_id in line_ids:
        unit = by_id.get(line_id)
        if unit is None:
            raise ApiError(21011005, f"line item {line_id} is not in this order")
        if unit.is_cancelled:
            shop.violation(f"{verb}_cancelled_line", order_id=order.id, request_id=call.request_id, detail=line_id)
            raise ApiError(21011042, f"line item {line_id} is cancelled")
        if unit.is_shipped:
            shop.violation(f"{verb}_twice", order_id=order.id, request_id=call.request_id, detail=line_id)
            raise ApiError(already, f"line item {line_id} is shipped already")
        units.append(unit)
    return units


def needs_us_local(shop: Shop) -> None:
    """Refuse endpoints that make packages where packages exist before shipping."""
    if shop.options.mode != "us-local":
        raise ApiError(21008106, "this endpoint is not available for this region or business type")


def needs_packages_first(shop: Shop) -> None:
    """Refuse endpoints that take package ids where packages do not exist before shipping."""
    if shop.options.mode != "packages-first":
        raise ApiError(21008106, "this endpoint is not available for this region or business type")
