"""How the shop's nouns look on the wire: money as decimal text, masked recipients, the order object of section 5.5."""

from __future__ import annotations

import json
from typing import Any

from tiktok_erp.simulator.entities import Address, Order, Package, Unit
from tiktok_erp.simulator.goods import GIFT_VALUE
from tiktok_erp.simulator.shop import DAY_S, Shop

Json = dict[str, Any]

# An order in one of these states shows its recipient; the others never do (reference, section 5.3).
_READABLE = frozenset(
    {"AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED", "COMPLETED"}
)
_MASKED_AFTER_COMPLETION_S = 30 * DAY_S


class Encoded(str):
    """JSON text that is ready to be put into an answer."""

    __slots__ = ()


def encode(value: Any) -> str:
    """Return `value` as compact JSON; Encoded parts go in as they are."""
    if isinstance(value, Encoded):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{encode(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list) and value and isinstance(value[0], Encoded):
        return "[" + ",".join(value) + "]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def money(cents: int) -> str:
    """Return cents as the wire writes prices: `24.99`, `0.00`."""
    return f"{cents // 100}.{cents % 100:02d}"


def amount(cents: int) -> str:
    """Return cents as the wire writes fees and sums: as prices, but nothing is `0`."""
    return money(cents) if cents else "0"


def rate(basis_points: int) -> str:
    """Return a tax rate in 1/100 % as the wire writes it: 825 is `0.0825`."""
    return f"{basis_points / 10_000:.4f}".rstrip("0").rstrip(".") or "0"


def _stars(word: str) -> str:
    return word[:1] + "*" * (len(word) - 1)


def _masked_line(text: str) -> str:
    return " ".join(_stars(word) for word in text.split())


def recipient(shop: Shop, order: Order, now: int) -> Json | None:
    """Return the recipient as this order shows it today: nothing, empty, masked or clear."""
    if order.status == "UNPAID":
        return None
    address = order.buyer.address
    old = order.completed_at and now - order.completed_at > _MASKED_AFTER_COMPLETION_S
    if order.status not in _READABLE or old:
        return _empty_recipient(address)
    if order.shipping_type == "TIKTOK" or order.is_platform_fulfilled:
        return _recipient(_masked(address))
    return _recipient(address)


def _masked(address: Address) -> Address:
    digits = address.phone.replace("-", "")
    return Address(
        first_name=_stars(address.first_name),
        last_name=_stars(address.last_name),
        phone=f"{digits[:7]}*****{digits[-2:]}",
        line1=_masked_line(address.line1),
        line2=_masked_line(address.line2),
        city=address.city,
        county=address.county,
        state=address.state,
        iso=address.iso,
        zip5=address.zip5,
        drop_off=address.drop_off,
    )


def _district(level: str, level_name: str, name: str, iso: str) -> Json:
    return {"address_level": level, "address_level_name": level_name, "address_name": name, "iso_code": iso}


def _recipient(address: Address) -> Json:
    detail = ", ".join(filter(None, (address.line1, address.line2)))
    parts = ("United States", address.state, address.county, address.city, detail)
    districts = [
        _district("L0", "Country", "United States", "US"),
        _district("L1", "State", address.state, address.iso),
        _district("L2", "County", address.county, ""),
        _district("L3", "City", address.city, ""),
    ]
    return {
        "full_address": ", ".join(filter(None, parts)),
        "name": address.name,
        "first_name": address.first_name,
        "last_name": address.last_name,
        "phone_number": address.phone,
        "region_code": "US",
        "postal_code": address.zip5,
        "address_line1": address.line1,
        "address_line2": address.line2,
        "address_line3": "",
        "address_line4": "",
        "address_detail": detail,
        "district_info": [district for district in districts if district["address_name"]],
        "delivery_preferences": {"drop_off_location": address.drop_off},
    }


def _empty_recipient(address: Address) -> Json:
    hidden = Address("", "", "", "", "", "", "", address.state, address.iso, "", "")
    shown = _recipient(hidden)
    return {**shown, "name": "", "full_address": "", "delivery_preferences": {"drop_off_location": ""}}


def line_item(shop: Shop, order: Order, unit: Unit) -> Json:
    """Return one line item: one unit."""
    package = shop.packages.get(unit.package_id)
    shipped = package is not None and bool(package.shipped_at)
    sku = unit.sku
    line: Json = {
        "id": unit.id,
        "sku_id": sku.id,
        "product_id": sku.product_id,
        "product_name": sku.product_name,
        "sku_name": sku.name,
        "sku_image": sku.image,
        "seller_sku": seller_sku(shop, sku.id),
        "sku_type": "PRE_ORDER" if order.order_type == "PRE_ORDER" else "NORMAL",
        "original_price": money(unit.original),
        "sale_price": money(unit.sale),
        "seller_discount": money(unit.seller_discount),
        "platform_discount": money(unit.platform_discount),
        "gift_retail_price": money(GIFT_VALUE) if unit.is_gift else "0",
        "currency": "USD",
        "display_status": unit.status,
        "is_gift": unit.is_gift,
        "is_dangerous_good": False,
        "needs_prescription": False,
        "retail_delivery_fee": amount(unit.retail_delivery_fee),
        "small_order_fee": "0",
        "item_tax": [{"tax_type": "SALES_TAX", "tax_amount": amount(unit.tax), "tax_rate": rate(unit.tax_bp)}],
        "cancel_reason": unit.cancel_reason,
        "cancel_user": unit.cancel_user,
        "shipping_provider_id": package.provider_id if package and shipped else "",
        "shipping_provider_name": package.provider_name if package and shipped else "",
        "tracking_number": package.shown_tracking_number if package and shipped else "",
        "combined_listing_skus": [],
        "room_id": unit.room_id,
        "product_listing_type": "",
    }
    if package is not None:
        line["package_id"] = package.id
        line["package_status"] = package.status
    if unit.rts_at:
        line["rts_time"] = unit.rts_at
    return line


def seller_sku(shop: Shop, sku_id: str) -> str:
    """Return the SKU's code, or nothing where fault seller_sku_missing sticks to it."""
    return "" if shop.dice.marks("seller_sku_missing", sku_id) else shop.catalogue.skus[sku_id].seller_sku


def payment(order: Order) -> Json:
    """Return the payment block; its sums hold the identities of section 5.3."""
    seller = sum(unit.seller_discount for unit in order.units)
    platform = sum(unit.platform_discount for unit in order.units)
    return {
        "currency": "USD",
        "original_total_product_price": amount(sum(unit.original for unit in order.units)),
        "seller_discount": amount(seller),
        "platform_discount": amount(platform),
        "payment_platform_discount": "0",
        "sub_total": amount(order.sub_total),
        "original_shipping_fee": amount(order.shipping_fee),
        "shipping_fee_seller_discount": "0",
        "shipping_fee_platform_discount": amount(order.shipping_fee_platform_discount),
        "shipping_fee_cofunded_discount": "0",
        "shipping_fee": amount(order.shipping_fee - order.shipping_fee_platform_discount),
        "product_tax": amount(order.product_tax),
        "shipping_fee_tax": "0",
        "tax": amount(order.product_tax),
        "retail_delivery_fee": amount(order.retail_delivery_fee),
        "small_order_fee": "0",
        "item_insurance_fee": "0",
        "item_insurance_tax": "0",
        "total_amount": amount(order.total),
    }


def _times(order: Order) -> Json:
    times = {
        "paid_time": order.paid_at,
        "rts_sla_time": order.rts_sla,
        "tts_sla_time": order.rts_sla,
        "shipping_due_time": order.shipping_due,
        "collection_due_time": order.shipping_due,
        "cancel_order_sla_time": order.shipping_due,
        "delivery_sla_time": order.delivery_sla,
        "rts_time": order.rts_at,
        "collection_time": order.collected_at,
        "delivery_time": order.delivered_at,
        "cancel_time": order.cancelled_at,
        "request_cancel_time": order.request_cancel_at,
        "release_date": order.release_date,
    }
    return {name: value for name, value in times.items() if value}


def order_object(shop: Shop, order: Order, now: int) -> Json:
    """Return one order as search and detail give it."""
    option = shop.catalogue.option(order.shipping_type)
    shipped = [shop.packages[package_id] for package_id in order.package_ids if shop.packages[package_id].shipped_at]
    first = shipped[0] if shipped else None
    shown: Json = {
        "id": order.id,
        "status": order.status,
        "order_type": order.order_type,
        "commerce_platform": "TIKTOK_SHOP",
        "create_time": order.created_at,
        "update_time": order.updated_at,
        **_times(order),
        "shipping_type": order.shipping_type,
        "fulfillment_type": order.fulfillment_type,
        "delivery_type": "HOME_DELIVERY",
        "delivery_option_id": option.id,
        "delivery_option_name": option.name,
        "warehouse_id": order.warehouse_id,
        "is_on_hold_order": True,
        "is_sample_order": order.is_sample,
        "is_cod": False,
        "is_replacement_order": bool(order.replaces),
        "is_exchange_order": False,
        "is_subscription_order": False,
        "is_buyer_request_cancel": order.cancel_requested,
        "has_updated_recipient_address": False,
        "need_upload_invoice": "NO_NEED",
        "split_or_combine_tag": order.split_tag,
        "auto_combine_group_id": order.group_id,
        "buyer_message": order.buyer_message,
        "seller_note": "",
        "user_id": order.buyer.user_id,
        "buyer_email": order.buyer.email,
        "buyer_nickname": order.buyer.nickname,
        "cpf": "",
        "payment_method_name": "Credit card" if order.paid_at else "",
        "cancel_reason": order.cancel_reason,
        "cancellation_initiator": order.cancel_initiator,
        "shipping_provider": first.provider_name if first else "",
        "shipping_provider_id": first.provider_id if first else "",
        "tracking_number": first.shown_tracking_number if first else "",
        "payment": payment(order),
        "packages": [{"id": package_id} for package_id in order.package_ids],
        "line_items": [line_item(shop, order, unit) for unit in order.units],
    }
    if order.is_sample:
        shown["is_refundable_sample"] = False
    if order.replaces:
        shown["replaced_order_id"] = order.replaces
    if order.handling_days:
        shown["handling_duration"] = {"days": str(order.handling_days), "type": "BUSINESS_DAY"}
    address = recipient(shop, order, now)
    if address is not None:
        shown["recipient_address"] = address
    return _with_novelties(shop, order, shown)


def _with_novelties(shop: Shop, order: Order, shown: Json) -> Json:
    marks = shop.dice.marks
    if marks("unknown_fields", order.id):
        shown["loyalty_tier"] = {"code": "GOLD_2027", "points": 120}
        shown["parcel_locker_ids"] = []
        for line in shown["line_items"]:
            line["carbon_grams"] = 812
        shown["payment"]["tip_amount"] = "0"
    if is_unknown_status(shop, order):
        shown["status"] = "AWAITING_CUSTOMS_REVIEW"
        for line in shown["line_items"]:
            if line["display_status"] == "AWAITING_SHIPMENT":
                line["display_status"] = "AWAITING_CUSTOMS_REVIEW"
    if marks("unknown_enum", order.id):
        shown["order_type"] = "GROUP_DEAL"
        shown["delivery_type"] = "DRONE_DROP"
        for line in shown["line_items"]:
            line["sku_type"] = "HOLOGRAM"
    return shown


def is_unknown_status(shop: Shop, order: Order) -> bool:
    """Return whether fault unknown_status sticks to this order while it would be shippable."""
    return order.status == "AWAITING_SHIPMENT" and shop.dice.marks("unknown_status", order.id)


def encoded_order(shop: Shop, order: Order, now: int) -> Encoded:
    """Return the order as JSON text, from the cache while nothing changed; note that the client saw it."""
    if not order.encoded or order.completed_at:
        order.encoded = json.dumps(order_object(shop, order, now), ensure_ascii=False, separators=(",", ":"))
    shop.served(order)
    return Encoded(order.encoded)


def package_row(shop: Shop, package: Package) -> Json:
    """Return a package as the package search gives it."""
    return {
        "id": package.id,
        "orders": [{"id": order_id, "skus": package_skus(shop, package, order_id)} for order_id in package.order_ids],
        "status": package.status,
        "create_time": package.created_at,
        "update_time": package.updated_at,
        "tracking_number": package.shown_tracking_number,
        "shipping_provider_id": package.provider_id,
        "shipping_provider_name": package.provider_name,
        "order_line_item_ids": list(package.unit_ids),
    }


def package_skus(shop: Shop, package: Package, order_id: str) -> list[Json]:
    """Return SKUs with quantities of one order in a package."""
    mine = {unit.id for unit in shop.orders[order_id].units}
    counted: dict[str, Json] = {}
    for unit in shop.package_units(package):
        if unit.id in mine:
            row = {"id": unit.sku.id, "name": unit.sku.name, "image_url": unit.sku.image, "quantity": 0}
            counted.setdefault(unit.sku.id, row)["quantity"] += 1
    return list(counted.values())


def package_object(shop: Shop, package: Package, now: int) -> Json:
    """Return a package as Get Package Detail gives it."""
    order = shop.orders[package.order_ids[0]]
    option = shop.catalogue.option(package.shipping_type)
    warehouse = next(place for place in shop.catalogue.warehouses if place.id == package.warehouse_id)
    address = recipient(shop, order, now) or {}
    wanted = (
        "full_address", "phone_number", "name", "postal_code", "address_detail", "region_code",
        "address_line1", "address_line2", "address_line3", "address_line4",
    )  # fmt: skip
    length, width, height, unit = package.dimension
    shown: Json = {
        "package_id": package.id,
        "orders": [{"id": order_id, "skus": package_skus(shop, package, order_id)} for order_id in package.order_ids],
        "package_status": package.status,
        "package_sub_status": package.sub_status,
        "split_and_combine_tag": package.tag,
        "has_multi_skus": len({part.sku.id for part in shop.package_units(package)}) > 1,
        "note_tag": "BUYER_NOTED" if order.buyer_message else "BUYER_UNNOTED",
        "shipping_provider_id": package.provider_id,
        "shipping_provider_name": package.provider_name,
        "shipping_type": package.shipping_type,
        "delivery_option_id": option.id,
        "delivery_option_name": option.name,
        "tracking_number": package.shown_tracking_number,
        "handover_method": package.handover_method,
        "create_time": package.created_at,
        "update_time": package.updated_at,
        "order_line_item_ids": list(package.unit_ids),
        "recipient_address": {name: address[name] for name in wanted if name in address},
        "sender_address": {
            "full_address": f"{warehouse.line}, {warehouse.city}, {warehouse.iso} {warehouse.zip5}",
            "phone_number": warehouse.phone,
            "name": warehouse.name,
            "postal_code": warehouse.zip5,
            "address_detail": warehouse.line,
            "region_code": "US",
            "address_line1": warehouse.line,
            "address_line2": "",
            "address_line3": "",
            "address_line4": "",
        },
        "insurance": {"is_purchased": False, "coverage_amount": "0", "is_claim_eligible": False, "claim_status": ""},
        "biz_extension_tags": [],
        "warehouse_id": package.warehouse_id,
    }
    if package.weight[0]:
        shown["weight"] = {"value": package.weight[0], "unit": package.weight[1]}
    if unit:
        shown["dimension"] = {"length": length, "width": width, "height": height, "unit": unit}
    return shown
