"""Warehouses, delivery options, shipping providers; and the affiliate orders behind a stream (sections 4.9, 4.12)."""

from __future__ import annotations

from dataclasses import dataclass

from tiktok_erp.simulator.calls import BAD_INPUT, ApiError, Call, bad_parameter
from tiktok_erp.simulator.entities import Content, Order, Unit
from tiktok_erp.simulator.orders import window
from tiktok_erp.simulator.shop import DAY_S, Shop
from tiktok_erp.simulator.wire import Json, amount, money

MAX_AFFILIATE_WINDOW_S = 93 * DAY_S


def warehouses(shop: Shop, call: Call) -> Json:
    """Get Warehouse List."""
    rows = []
    for place in shop.catalogue.warehouses:
        address = {
            "region": "United States",
            "region_code": "US",
            "state": place.state,
            "city": place.city,
            "distict": "",
            "town": "",
            "postal_code": place.zip5,
            "full_address": f"{place.line}, {place.city}, {place.iso} {place.zip5}",
            "address_line1": place.line,
            "address_line2": "",
            "address_line3": "",
            "address_line4": "",
            "contact_person": "Shipping desk",
            "phone_number": place.phone,
        }
        rows.append(
            {
                "id": place.id,
                "entity_id": place.entity_id,
                "name": place.name,
                "effect_status": "ENABLED",
                "type": place.kind,
                "sub_type": "DOMESTIC_WAREHOUSE",
                "is_default": place.is_default,
                "address": address,
            }
        )
    return {"warehouses": rows}


def delivery_options(shop: Shop, call: Call) -> Json:
    """Get Warehouse Delivery Options."""
    known = {place.id for place in shop.catalogue.sales_warehouses}
    if call.params["warehouse_id"] not in known:
        raise ApiError(12019022, "the warehouse is invalid")
    if call.text("scope") not in ("", "WAREHOUSE", "PRODUCT"):
        raise bad_parameter("Invalid parameter: scope")
    rows = [
        {
            "id": option.id,
            "name": option.name,
            "type": option.kind,
            "description": f"{option.name}, United States",
            "dimension_limit": {"max_length": 108, "max_width": 108, "max_height": 108, "unit": "INCH"},
            "weight_limit": {"max_weight": 31751, "min_weight": 1, "unit": "GRAM"},
            "platform": ["TIKTOK_SHOP"],
        }
        for option in shop.catalogue.delivery_options
    ]
    return {"delivery_options": rows}


def shipping_providers(shop: Shop, call: Call) -> Json:
    """Get Shipping Providers of a delivery option that the seller ships."""
    option = next(
        (option for option in shop.catalogue.delivery_options if option.id == call.params["delivery_option_id"]), None
    )
    if option is None:
        raise ApiError(BAD_INPUT, "the delivery option is not known")
    if option.shipping_type == "TIKTOK":
        raise ApiError(21008117, "the delivery option is fulfilled by TikTok Shipping")
    rows = [{"id": provider_id, "name": name} for name, provider_id in shop.catalogue.providers.items()]
    return {"shipping_providers": rows}


@dataclass(frozen=True, slots=True)
class _SkuRow:
    order: Order
    content: Content
    units: tuple[Unit, ...]


def affiliate_orders(shop: Shop, call: Call) -> Json:
    """Search Seller Affiliate Orders: paged by SKU row before grouping, so an order may show up on two pages."""
    size = call.page_size(100, 20)
    start, end = call.body_number("create_time_ge"), call.body_number("create_time_lt")
    if start is not None and (end or call.now) - start > MAX_AFFILIATE_WINDOW_S:
        raise ApiError(98001004, "the window must not be longer than 3 months")
    cursor = shop.pages.cursor(call)
    window_end = cursor.window_end if cursor else call.now + 1
    created = window(call, "create_time", window_end)
    rows: list[_SkuRow] = []
    for order in shop.orders.values():
        content = order.content
        if content is None or not content.creator or not order.paid_at:
            continue
        if order.created_at not in created:
            continue
        by_sku: dict[str, list[Unit]] = {}
        for unit in order.units:
            if not unit.is_gift:
                by_sku.setdefault(unit.sku.id, []).append(unit)
        rows += [_SkuRow(order, content, tuple(units)) for units in by_sku.values()]

    def key(row: _SkuRow) -> tuple[int, str, str]:
        return (row.order.created_at, row.order.id, row.units[0].sku.id)

    page, token = shop.pages.cut(call, rows, size, key, descending=True, window_end=window_end)
    orders: dict[str, Json] = {}
    for row in page:
        fresh: Json = {"id": row.order.id, "create_time": row.order.created_at, "skus": []}
        if row.order.delivered_at:
            fresh["delivery_time"] = row.order.delivered_at
        orders.setdefault(row.order.id, fresh)["skus"].append(_affiliate_row(row.order, row.content, list(row.units)))
    return {"orders": list(orders.values()), "total_count": len(rows), "next_page_token": token}


def _affiliate_row(order: Order, content: Content, units: list[Unit]) -> Json:
    live = [unit for unit in units if not unit.is_cancelled]
    base = sum(unit.sale for unit in live)
    commission = base * content.commission_bp // 10_000
    nothing = {"amount": "", "currency": "USD"}
    settled = order.status == "COMPLETED"
    # The base is a localised display text, not a number.
    base_text = {"amount": f"${base / 100:,.2f}", "currency": "USD"}
    paid = {"amount": amount(commission), "currency": "USD"}
    return {
        "sku_id": units[0].sku.id,
        "product_id": units[0].sku.product_id,
        "quantity": len(units),
        "price": {"amount": money(units[0].sale), "currency": "USD"},
        "content_type": content.kind,
        "content_id": content.content_id,
        "creator_username": content.creator,
        "open_collaboration_id": "",
        "target_collaboration_id": "",
        "campaign_id": "",
        "commission_model": "STANDARD",
        "commission_rate": str(content.commission_bp),
        "partner_commission_rate": "0",
        "shop_ads_commission_rate": "0",
        "estimated_commission_base": base_text,
        "estimated_paid_commission": paid,
        "estimated_paid_partner_commission": {"amount": "0", "currency": "USD"},
        "actual_commission_base": base_text if settled else nothing,
        "actual_paid_commission": paid if settled else nothing,
        "actual_paid_partner_commission": nothing,
        "actual_paid_shop_ads_commission": nothing,
        "settlement_status": "SETTLED" if settled else "UNSETTLED",
        "fully_return": "No" if live else "Yes",
        "is_carousel": False,
    }
