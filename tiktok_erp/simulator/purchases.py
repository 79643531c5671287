"""Buying platform labels: Create Packages, Ship and Batch Ship, and what they cost (reference, sections 4.4 and 4.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiktok_erp.simulator.calls import BAD_INPUT, NOT_YOURS, ApiError, Call, ConnectionLost, bad_parameter, text_of
from tiktok_erp.simulator.eligibility import (
    check_shippable,
    chosen_units,
    needs_packages_first,
    needs_us_local,
    note_pending_request,
)
from tiktok_erp.simulator.entities import Address, Order, Package, Unit
from tiktok_erp.simulator.goods import ShippingService
from tiktok_erp.simulator.orders import find_order
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.tracking import mark_units
from tiktok_erp.simulator.wire import Json, money

MAX_COMBINED = 20
MAX_BATCH = 100
MAX_WEIGHT_G = 31_751  # 70 lb
# Military addresses and places off the mainland go by post.
_USPS_ONLY = frozenset({"AE", "AP", "AK", "HI", "PR"})
_GRAMS = {"GRAM": 1.0, "POUND": 453.59237}


def create_packages(shop: Shop, call: Call) -> Json:
    """Create Packages, version 202512."""
    ship_type = call.body_text("ship_type")
    lines = call.body_objects("order_line_item")
    if ship_type == "3":
        order_ids = call.body_texts("order_list_ids")
        if not 2 <= len(set(order_ids)) == len(order_ids) <= MAX_COMBINED:
            raise ApiError(21011035, f"combine 2 to {MAX_COMBINED} different orders")
    elif ship_type in ("1", "2"):
        order_ids = [call.body_text("order_id")]
        if not order_ids[0]:
            raise bad_parameter("Invalid parameter: order_id is required")
        if ship_type == "2" and not lines:
            raise bad_parameter("Invalid parameter: order_line_item is required for ship_type 2")
    else:
        raise bad_parameter("Invalid parameter: ship_type must be 1, 2 or 3")
    line_ids = [text_of(line, "order_line_id") for line in lines] if ship_type == "2" else []
    return _buy(shop, call, order_ids, line_ids)


def create_packages_202309(shop: Shop, call: Call) -> Json:
    """Create Packages, version 202309: one order, or some of its lines."""
    order_id = call.body_text("order_id")
    if not order_id:
        raise bad_parameter("Invalid parameter: order_id is required")
    line_ids = call.body_texts("order_line_item_ids")
    answer = _buy(shop, call, [order_id], line_ids)
    package = shop.packages[answer["package_id"]]
    return {**answer, "order_id": order_id, "order_line_item_ids": list(package.unit_ids)}


def _buy(shop: Shop, call: Call, order_ids: Sequence[str], line_ids: Sequence[str]) -> Json:
    needs_us_local(shop)
    dimension, weight = _dimension(call), _weight(call)
    orders = [find_order(shop, order_id) for order_id in order_ids]
    for order in orders:
        check_shippable(shop, order, call, verb="bought")
        if order.shipping_type != "TIKTOK":
            raise ApiError(21008106, "the order does not use TikTok Shipping")
        if shop.dice.marks("address_refused", order.id):
            raise ApiError(11021012, "the carrier refuses the recipient's address")
    _check_combination(orders)
    service = _service(shop, call, orders[0].buyer.address)
    units: list[Unit] = []
    for order in orders:
        units += chosen_units(shop, order, line_ids, call, verb="bought", already=21022025)
    for order in orders:
        note_pending_request(shop, order, call, verb="bought")
    package = shop.ship(orders, units, call.now, tag=_tag(orders, units))
    package.dimension, package.weight = dimension, weight
    _record_purchase(shop, call, package, service)
    return {
        "package_id": package.id,
        "create_time": package.created_at,
        "dimension": dict(zip(("length", "width", "height", "unit"), package.dimension, strict=True)),
        "weight": {"value": package.weight[0], "unit": package.weight[1]},
        "shipping_service_info": _service_info(shop, service, package.cost),
    }


def _tag(orders: Sequence[Order], units: Sequence[Unit]) -> str:
    if len(orders) > 1:
        return "COMBINE"
    return "DEFAULT" if len(units) == len(orders[0].live_units) else "SPLIT"


def _record_purchase(shop: Shop, call: Call, package: Package, service: ShippingService) -> None:
    shop.buy_label(package, service, call.now)
    if not package.weight[0]:
        weight_g = sum(unit.sku.weight_g for unit in shop.package_units(package))
        package.weight = (str(weight_g), "GRAM")
    if not package.dimension[3]:
        package.dimension = ("10", "7", "3", "INCH")
    shop.ledger.add(
        "purchases",
        package_id=package.id,
        order_ids=list(package.order_ids),
        time=call.now,
        request_id=call.request_id,
        tracking_number=package.tracking_number,
        cost=money(package.cost),
        currency="USD",
    )
    if shop.dice.roll("purchase_answer_lost"):
        raise ConnectionLost


def _check_combination(orders: Sequence[Order]) -> None:
    first = orders[0]
    for order in orders[1:]:
        same_place = order.buyer.address == first.buyer.address and order.warehouse_id == first.warehouse_id
        if order.buyer.user_id != first.buyer.user_id or not same_place:
            raise ApiError(21011036, "only orders of one buyer, address and warehouse can be combined")
    if len(orders) > 1 and any(order.status != "AWAITING_SHIPMENT" for order in orders):
        raise ApiError(21011046, "partly shipped orders cannot be combined")


def _service(shop: Shop, call: Call, address: Address) -> ShippingService:
    """Return the service that ships: with label allocation the platform's own choice, whatever was asked for."""
    services = shop.catalogue.services
    if shop.options.label_allocation:
        by_ups = shop.random.random() < 0.12 and address.iso not in _USPS_ONLY
        return services[1] if by_ups else services[0]
    wanted = call.body_text("shipping_service_id")
    found = [service for service in services if service.id == wanted] if wanted else services[:1]
    if not found:
        raise ApiError(21004008, "shipping service id not found")
    return found[0]


def _dimension(call: Call) -> tuple[str, str, str, str]:
    given = call.body_object("dimension")
    if not given:
        return "", "", "", ""
    sides = [text_of(given, side) for side in ("length", "width", "height")]
    unit = text_of(given, "unit")
    if unit not in ("INCH", "CM") or not all(_is_positive(side) for side in sides):
        raise ApiError(11001002, "dimension needs length, width and height together, unit INCH or CM")
    return sides[0], sides[1], sides[2], unit


def _weight(call: Call) -> tuple[str, str]:
    given = call.body_object("weight")
    if not given:
        return "", ""
    value, unit = text_of(given, "value"), text_of(given, "unit")
    if unit not in _GRAMS or not _is_positive(value):
        raise ApiError(11001002, "weight needs a positive value, unit GRAM or POUND")
    if float(value) * _GRAMS[unit] > MAX_WEIGHT_G:
        raise ApiError(21011037, "no shipping service takes this weight")
    return value, unit


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < 1_000_000
    except ValueError:
        return False


def _service_info(shop: Shop, service: ShippingService, cost: int) -> Json:
    return {
        "id": service.id,
        "name": service.name,
        "price": money(cost),
        "currency": "USD",
        "earliest_delivery_days": service.earliest_days,
        "latest_delivery_days": service.latest_days,
        "shipping_provider_id": shop.catalogue.providers[service.provider],
        "shipping_provider_name": service.provider,
    }


def eligible_services(shop: Shop, call: Call) -> Json:
    """Get Eligible Shipping Service: one with label allocation, all otherwise."""
    order = find_order(shop, call.params["order_id"])
    if order.shipping_type != "TIKTOK":
        raise ApiError(21008106, "the order does not use TikTok Shipping")
    if order.status == "ON_HOLD":
        raise ApiError(21011044, "the order is on hold; wait until it is awaiting shipment")
    if order.status == "CANCELLED":
        raise ApiError(21011041, "the order is cancelled")
    line_ids = call.body_texts("order_line_item_ids")
    line_ids = line_ids or [text_of(line, "order_line_id") for line in call.body_objects("order_line_list")]
    by_id = {unit.id: unit for unit in order.units}
    if any(line_id not in by_id for line_id in line_ids):
        raise ApiError(21011005, "a line item is not in this order")
    units = [by_id[line_id] for line_id in line_ids] or order.open_units
    weight, dimension = _weight(call), _dimension(call)
    weight_g = sum(unit.sku.weight_g for unit in units)
    offered = shop.catalogue.services[:1] if shop.options.label_allocation else shop.catalogue.services
    services = []
    for place, service in enumerate(offered):
        price = money(service.base_cents + service.cents_per_100g * (weight_g + 40) // 100)
        info = _service_info(shop, service, 0)
        fees = {"shipping_fee": price, "shipping_app_service_fee": "0", "signature_fee": "0"}
        services.append({**info, "price": price, "is_default": place == 0, **fees})
    length, width, height, unit_name = dimension if dimension[3] else ("10", "7", "3", "INCH")
    return {
        "order_id": order.id,
        "order_line_id": [unit.id for unit in units],
        "weight": dict(zip(("value", "unit"), weight if weight[1] else (str(weight_g), "GRAM"), strict=True)),
        "dimension": {"length": length, "width": width, "height": height, "unit": unit_name},
        "shipping_services": services,
    }


# Packages that exist before they are shipped


def ship_package(shop: Shop, call: Call) -> Json:
    """Ship Package."""
    _ship_planned(shop, call, call.params["package_id"], call.body)
    return {}


def batch_ship(shop: Shop, call: Call) -> Json:
    """Batch Ship Packages: refusals beside code 0; packages that are not listed were shipped."""
    needs_packages_first(shop)
    rows = call.body_objects("packages")
    if not 1 <= len(rows) <= MAX_BATCH:
        raise ApiError(BAD_INPUT, f"packages must hold 1 to {MAX_BATCH} packages")
    errors: list[Json] = []
    lost = False
    for row in rows:
        package_id = text_of(row, "id")
        try:
            _ship_planned(shop, call, package_id, row)
        except ApiError as refusal:
            errors.append({"code": refusal.code, "message": refusal.message, "detail": {"package_id": package_id}})
        except ConnectionLost:
            lost = True
    if lost:
        raise ConnectionLost
    return {"errors": errors} if errors else {}


def _ship_planned(shop: Shop, call: Call, package_id: str, how: dict[str, Any]) -> None:
    needs_packages_first(shop)
    package = shop.packages.get(package_id)
    if package is None:
        raise ApiError(NOT_YOURS, "package does not belong to this seller")
    verb = "bought" if package.shipping_type == "TIKTOK" else "shipped"
    order = shop.package_orders(package)[0]
    check_shippable(shop, order, call, verb=verb, already=21011020)
    if package.status != "TO_FULFILL":
        shop.violation(f"{verb}_twice", order_id=order.id, request_id=call.request_id, detail=package.id)
        raise ApiError(21008099, "the package is shipped already")
    method = how.get("handover_method") or "DROP_OFF"
    if method not in ("PICKUP", "DROP_OFF"):
        raise bad_parameter("Invalid parameter: handover_method must be PICKUP or DROP_OFF")
    units = [unit for unit in shop.package_units(package) if unit.status == "AWAITING_SHIPMENT"]
    if package.shipping_type == "SELLER":
        self_shipment = how.get("self_shipment")
        if not isinstance(self_shipment, dict):
            raise ApiError(21011022, "self_shipment with tracking_number and shipping_provider_id is required")
        numbers = [(text_of(self_shipment, "tracking_number"), text_of(self_shipment, "shipping_provider_id"))]
        mark_units(shop, call, order, units, numbers, planned=package)
        return
    note_pending_request(shop, order, call, verb=verb)
    service = _service(shop, call, order.buyer.address)
    package.handover_method = str(method)
    shop.ship([order], units, call.now, tag="DEFAULT", planned=package)
    _record_purchase(shop, call, package, service)


def handover_slots(shop: Shop, call: Call) -> Json:
    """Get Package Handover Time Slots: the next three working afternoons."""
    package = shop.packages.get(call.params["package_id"])
    if package is None:
        raise ApiError(NOT_YOURS, "package does not belong to this seller")
    noon = call.now - call.now % 86400 + 20 * 3600
    slots = [
        {"start_time": noon + day * 86400, "end_time": noon + day * 86400 + 4 * 3600, "avaliable": True}
        for day in (1, 2, 3)
    ]
    url = "https://drop-off.example.test/near-me"
    return {
        "can_pickup": True, "can_drop_off": True, "can_van_collection": False,
        "drop_off_point_url": url, "pickup_slots": slots,
    }  # fmt: skip
