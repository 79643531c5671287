"""Order endpoints: search, detail, price detail, external references (reference, section 4.2)."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import Any

from tiktok_erp.simulator.calls import NOT_YOURS, ApiError, Call, bad_parameter, objects, text_of
from tiktok_erp.simulator.entities import Order, Unit
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.wire import Encoded, Json, amount, encoded_order, rate

MAX_IDS = 50
STATUSES = (
    "UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION",
    "IN_TRANSIT", "DELIVERED", "COMPLETED", "CANCELLED",
)  # fmt: skip
PLATFORMS = (
    "SHOPIFY", "WOOCOMMERCE", "BIGCOMMERCE", "MAGENTO", "SALESFORCE_COMMERCE_CLOUD", "CHANNEL_ADVISOR", "AMAZON",
    "ORDER_MANAGEMENT_SYSTEM", "WAREHOUSE_MANAGEMENT_SYSTEM", "ERP_SYSTEM",
)  # fmt: skip


def window(call: Call, name: str, now_end: int) -> range:
    """Return the seconds from `<name>_ge` up to before `<name>_lt`; a missing end is `now_end`, no window is all."""
    start, end = call.body_number(f"{name}_ge"), call.body_number(f"{name}_lt")
    if start is None and end is None:
        return range(2**62)
    return range(start or 0, end if end is not None else now_end)


def search(shop: Shop, call: Call) -> Json:
    """Get Order List."""
    size = call.page_size(100, 20)
    field = call.choice("sort_field", ("create_time", "update_time"), "create_time")
    descending = call.choice("sort_order", ("ASC", "DESC"), "DESC") == "DESC"
    wanted = call.body_text("order_status")
    if wanted and wanted not in STATUSES:
        raise bad_parameter("Invalid parameter: order_status")
    cursor = shop.pages.cursor(call)
    # A missing end means now: the second that just runs is still part of it.
    window_end = cursor.window_end if cursor else call.now + 1
    created, updated = window(call, "create_time", window_end), window(call, "update_time", window_end)
    rows = [
        order
        for order in shop.orders.values()
        if order.created_at in created and order.updated_at in updated and (not wanted or order.status == wanted)
    ]
    rows = _filtered(call, rows)
    key = attrgetter("updated_at" if field == "update_time" else "created_at", "id")
    page, token = shop.pages.cut(
        call, rows, size, key, descending=descending, window_end=window_end,
        step_back=lambda: shop.dice.roll("duplicate_rows"), swap=lambda: shop.dice.roll("out_of_order_pages"),
    )  # fmt: skip
    if page and shop.dice.roll("update_time_outside"):
        shop.touch(page[shop.dice.choose("update_time_outside", len(page))], call.now)
    shown = list(page)
    if len(shown) > 1 and shop.dice.roll("shuffled_rows"):
        shown.reverse()
    if shown and not token and shop.dice.roll("duplicate_rows"):
        shown.append(shown[shop.dice.choose("duplicate_rows", len(shown))])
    encoded = _show(shop, shown, call)
    if token:
        _move_between_pages(shop, page, token, call.now)
    return {"orders": encoded, "next_page_token": token, "total_count": len(rows)}


def _move_between_pages(shop: Shop, page: list[Order], token: str, now: int) -> None:
    """Let the faults of what happens between two pages strike; the answer with `page` is made already."""
    if shop.dice.roll("page_shift"):
        shop.pages.count_rows_from_here(token)
        shop.touch(page[shop.dice.choose("page_shift", len(page))], now)
    if shop.dice.roll("arrivals_between_pages"):
        unpaid = [order for order in shop.orders.values() if order.status == "UNPAID"]
        if unpaid and shop.dice.choose("arrivals_between_pages", 2):
            shop.pay(unpaid[shop.dice.choose("arrivals_between_pages", len(unpaid))], now)
        else:
            shop.newcomer(now)


def _filtered(call: Call, rows: list[Order]) -> list[Order]:
    """Return the orders that pass the less common filters."""
    body = call.body
    shipping_type, user_id = body.get("shipping_type"), body.get("buyer_user_id")
    requested, warehouses = call.body_flag("is_buyer_request_cancel"), call.body_texts("warehouse_ids")

    if not (shipping_type or user_id or requested is not None or warehouses):
        return rows
    return [
        order
        for order in rows
        if (not shipping_type or order.shipping_type == shipping_type)
        and (not user_id or order.buyer.user_id == user_id)
        and (requested is None or order.cancel_requested == requested)
        and (not warehouses or order.warehouse_id in warehouses)
    ]


def _show(shop: Shop, orders: list[Order], call: Call) -> list[Encoded]:
    """Encode what the client gets to see; then let the faults of the moment after happen."""
    encoded = [encoded_order(shop, order, call.now) for order in orders]
    shippable = [order for order in orders if order.status == "AWAITING_SHIPMENT" and not order.is_platform_fulfilled]
    if shippable and shop.dice.roll("cancelled_after_list"):
        chosen = shippable.pop(shop.dice.choose("cancelled_after_list", len(shippable)))
        shop.cancel(chosen, chosen.live_units, role="BUYER", reason="No longer needed", at=call.now)
    if shippable and shop.dice.roll("cancel_request_after_list"):
        chosen = shippable[shop.dice.choose("cancel_request_after_list", len(shippable))]
        shop.buyer_cancels(chosen, "No longer needed", call.now)
    return encoded


def ids_in(call: Call, name: str) -> list[str]:
    """Return the ids of a GET parameter in any of its three forms: comma list, repeated key, JSON array text."""
    found: list[str] = []
    for value in call.query.get(name, []):
        if value.lstrip().startswith("["):
            try:
                parsed = json.loads(value)
            except ValueError:
                raise bad_parameter(f"Invalid parameter: {name}") from None
            found += [str(part) for part in parsed]
        else:
            found += [part.strip() for part in value.split(",")]
    return [part for part in found if part]


def detail(shop: Shop, call: Call) -> Json:
    """Get Order Detail; unknown ids are left out, or fail the call where the shop is set so."""
    ids = list(dict.fromkeys(ids_in(call, "ids")))
    if not ids:
        raise bad_parameter("Invalid parameter: ids is required")
    if len(ids) > MAX_IDS:
        raise bad_parameter(f"Invalid parameter: ids must not hold more than {MAX_IDS} ids")
    if not all(order_id.isdecimal() for order_id in ids):
        raise bad_parameter("Invalid parameter: ids must be order ids")
    known = [shop.orders[order_id] for order_id in ids if order_id in shop.orders]
    if len(known) < len(ids) and shop.options.unknown_ids == "fail":
        raise ApiError(NOT_YOURS, "order does not belong to this seller")
    extra = ',"payment_card_type":"","payment_method_code":"","payment_auth_code":"","channel_entity_national_registry_id":""}'
    return {"orders": [Encoded(text[:-1] + extra) for text in _show(shop, known, call)]}


def find_order(shop: Shop, order_id: str) -> Order:
    """Return an order of this shop, or refuse the call."""
    order = shop.orders.get(order_id)
    if order is None:
        raise ApiError(NOT_YOURS, "order does not belong to this seller")
    return order


def price_detail(shop: Shop, call: Call) -> Json:
    """Get Order Price Detail."""
    order = find_order(shop, call.params["order_id"])
    shown = _prices(order.units, order.shipping_fee, order.shipping_fee_platform_discount, order.retail_delivery_fee)
    shown["cod_fee_net_amount"] = "0"
    shown["line_items"] = [_line_prices(unit) for unit in order.units]
    return shown


def _line_prices(unit: Unit) -> Json:
    promotions = []
    if unit.seller_discount:
        discount = amount(unit.seller_discount)
        promotions = [{"activity_id": "7144200111222333444", "discount_amount": discount, "discount_type": "ACTIVITY"}]
    return {
        "id": unit.id,
        **_prices([unit], 0, 0, unit.retail_delivery_fee),
        "cod_fee_amount": "0",
        "seller_funded_product_promotions": promotions,
        "seller_funded_shipping_promotions": [],
    }


def _prices(units: list[Unit], shipping: int, shipping_discount: int, retail_fee: int) -> Json:
    listed = sum(unit.original for unit in units)
    seller = sum(unit.seller_discount for unit in units)
    platform = sum(unit.platform_discount for unit in units)
    tax = sum(unit.tax for unit in units)
    sale = listed - seller - platform
    return {
        "currency": "USD",
        "total": amount(listed + shipping),
        "payment": amount(sale + shipping - shipping_discount + tax + retail_fee),
        "sku_list_price": amount(listed),
        "sku_sale_price": amount(sale),
        "subtotal": amount(sale),
        "subtotal_deduction_seller": amount(seller),
        "subtotal_deduction_platform": amount(platform),
        "subtotal_tax_amount": amount(tax),
        "voucher_deduction_platform": "0",
        "voucher_deduction_seller": "0",
        "shipping_list_price": amount(shipping),
        "shipping_sale_price": amount(shipping - shipping_discount),
        "shipping_fee_deduction_seller": "0",
        "shipping_fee_deduction_platform": amount(shipping_discount),
        "shipping_fee_deduction_platform_voucher": "0",
        "tax_amount": amount(tax),
        "tax_rate": rate(units[0].tax_bp) if units else "0",
        "net_price_amount": amount(sale),
        "cod_fee": "0",
        "sku_gift_original_price": "0",
        "sku_gift_net_price": "0",
        "distance_shipping_fee": "0",
        "distance_fee": "0",
    }


def add_external_references(shop: Shop, call: Call) -> Json:
    """Add External Order References: each order for itself, refusals beside code 0."""
    rows = call.body_objects("orders")
    if not 1 <= len(rows) <= 100:
        raise bad_parameter("Invalid parameter: orders must hold 1 to 100 orders")
    errors: list[Json] = []
    for row in rows:
        order_id, external = text_of(row, "id"), row.get("external_order")
        if not isinstance(external, dict):
            raise bad_parameter("Invalid parameter: external_order is required")
        platform, external_id = text_of(external, "platform"), text_of(external, "id")
        problem = _reference_problem(shop, order_id, platform, external_id)
        if problem:
            code, message = problem
            detail = {"order_id": order_id, "external_order": {"id": external_id, "platform": platform}}
            errors.append({"code": str(code), "message": message, "detail": detail})
            continue
        lines = objects(external.get("line_items"), "line_items")
        stored: dict[str, Any] = {"id": external_id, "platform": platform, "line_items": lines}
        shop.external_references[order_id, platform] = stored
    return {"errors": errors} if errors else {}


def _reference_problem(shop: Shop, order_id: str, platform: str, external_id: str) -> tuple[int, str] | None:
    if order_id not in shop.orders:
        return NOT_YOURS, "order does not belong to this seller"
    if platform not in PLATFORMS:
        return 36009004, "platform is not known"
    return None if external_id else (36009004, "external order id is required")


def get_external_references(shop: Shop, call: Call) -> Json:
    """Get External Order References."""
    order = find_order(shop, call.params["order_id"])
    platform = call.text("platform")
    found = [
        stored
        for (order_id, known), stored in shop.external_references.items()
        if order_id == order.id and platform in ("", known)
    ]
    return {"external_orders": found}


def search_external_references(shop: Shop, call: Call) -> Json:
    """Search Orders by External Order Reference."""
    platform, wanted = call.text("platform"), call.text("external_order_id")
    found = [
        {"id": order_id, "external_order": stored}
        for (order_id, known), stored in shop.external_references.items()
        if known == platform and stored["id"] == wanted
    ]
    return {"orders": found} if found else {}
