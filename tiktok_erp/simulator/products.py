"""Products and stock: search, detail, inventory search and update with all its rules (reference, section 4.10)."""

from __future__ import annotations

from typing import Any

from tiktok_erp.simulator.calls import ApiError, Call, ConnectionLost, bad_parameter, objects, text_of
from tiktok_erp.simulator.goods import Product, Sku
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.wire import Json, money, seller_sku

STATUSES = (
    "ALL", "DRAFT", "PENDING", "FAILED", "ACTIVATE", "SELLER_DEACTIVATED", "PLATFORM_DEACTIVATED", "FREEZE", "DELETED",
)  # fmt: skip
EDITABLE = ("DRAFT", "PENDING", "FAILED", "ACTIVATE", "SELLER_DEACTIVATED")
MAX_QUANTITY = 99_999
MAX_SKUS_A_PRODUCT = 300


def search(shop: Shop, call: Call) -> Json:
    """Search Products."""
    size = call.page_size(100, 20, code=12019109)
    status = call.body_text("status") or "ALL"
    if status not in STATUSES:
        raise bad_parameter("Invalid parameter: status")
    codes, sku_ids = call.body_texts("seller_skus"), call.body_texts("sku_ids")
    if len(codes) > 10:
        raise ApiError(12019027, "seller_skus must not hold more than 10")
    if len(sku_ids) > 10:
        raise ApiError(12019087, "sku_ids must not hold more than 10")
    rows = [product for product in shop.catalogue.products.values() if status in ("ALL", product.status)]
    rows = [product for product in rows if _wanted(shop, call, product, codes, sku_ids)]
    page, token = shop.pages.cut(call, rows, size, lambda product: (product.created_at, product.id), descending=True)
    return {
        "products": [_product_row(shop, product) for product in page],
        "total_count": len(rows),
        "next_page_token": token,
    }


def _wanted(shop: Shop, call: Call, product: Product, codes: list[str], sku_ids: list[str]) -> bool:
    if codes and not any(seller_sku(shop, sku.id) in codes for sku in product.skus):
        return False
    if sku_ids and not any(sku.id in sku_ids for sku in product.skus):
        return False
    # These two filters end with _le: inclusive, unlike everywhere else.
    for name, value in (("create_time", product.created_at), ("update_time", product.updated_at)):
        start, end = call.body_number(f"{name}_ge"), call.body_number(f"{name}_le")
        if (start is not None and value < start) or (end is not None and value > end):
            return False
    return True


def _stock_rows(sku: Sku) -> list[Json]:
    rows: list[Json] = []
    for warehouse_id, quantity in sku.available.items():
        row: Json = {"warehouse_id": warehouse_id, "quantity": quantity}
        if warehouse_id in sku.backorder:
            row["backorder_quantity"], row["handling_time"] = sku.backorder[warehouse_id]
        rows.append(row)
    return rows


def _sku_row(shop: Shop, sku: Sku) -> Json:
    price = money(sku.price)
    return {
        "id": sku.id,
        "seller_sku": seller_sku(shop, sku.id),
        "price": {"currency": "USD", "tax_exclusive_price": price, "sale_price": price},
        "inventory": _stock_rows(sku),
        "status_info": {"status": "NORMAL"},
    }


def _product_row(shop: Shop, product: Product) -> Json:
    return {
        "id": product.id,
        "title": product.title,
        "status": product.status,
        "skus": [_sku_row(shop, sku) for sku in product.skus],
        "sales_regions": ["US"],
        "create_time": product.created_at,
        "update_time": product.updated_at,
        "is_not_for_sale": all(sku.is_gift for sku in product.skus),
        "has_draft": False,
    }


def _image(sku: Sku) -> Json:
    name = sku.image.rsplit("/", 1)[-1]
    return {"height": 1200, "width": 1200, "uri": f"img/{name}", "urls": [sku.image], "thumb_urls": [sku.image]}


def detail(shop: Shop, call: Call) -> Json:
    """Get Product."""
    product = _find(shop, call.params["product_id"])
    heaviest = max(sku.weight_g for sku in product.skus)
    skus = []
    for sku in product.skus:
        parts = [part.strip() for part in sku.name.split(",")]
        attributes = [
            {"id": f"10000{place}", "name": name, "value_id": f"{7000 + place}{len(value)}", "value_name": value}
            for place, (name, value) in enumerate(zip(("Color", "Size"), parts, strict=False))
        ]
        weight = {"value": f"{sku.weight_g / 453.59237:.3f}", "unit": "POUND"}
        extra = {"sales_attributes": attributes, "sku_weight": weight, "external_sku_id": ""}
        skus.append({**_sku_row(shop, sku), **extra})
    return {
        "id": product.id,
        "title": product.title,
        "status": product.status,
        "description": f"<p>{product.title}</p>",
        "category_chains": [
            {"id": "600001", "parent_id": "0", "local_name": "Lifestyle", "is_leaf": False},
            {"id": "600154", "parent_id": "600001", "local_name": "Live favourites", "is_leaf": True},
        ],
        "main_images": [_image(product.skus[0])],
        "package_weight": {"value": f"{heaviest / 453.59237:.3f}", "unit": "POUND"},
        "package_dimensions": {"length": "10", "width": "7", "height": "3", "unit": "INCH"},
        "skus": skus,
        "is_cod_allowed": False,
        "is_not_for_sale": all(sku.is_gift for sku in product.skus),
        "has_draft": False,
        "create_time": product.created_at,
        "update_time": product.updated_at,
    }


def _find(shop: Shop, product_id: str) -> Product:
    if not product_id.isdecimal():
        raise ApiError(12019008, "product id invalid")
    product = shop.catalogue.products.get(product_id)
    if product is None:
        raise ApiError(12052032, "no such product")
    return product


def inventory_search(shop: Shop, call: Call) -> Json:
    """Inventory Search: by products or by SKUs, SKUs win; unknown ids are left out."""
    product_ids, sku_ids = call.body_texts("product_ids"), call.body_texts("sku_ids")
    if not product_ids and not sku_ids:
        raise bad_parameter("Invalid parameter: product_ids or sku_ids is required")
    if len(product_ids) > 100:
        raise ApiError(12019120, "product_ids must not hold more than 100")
    if len(sku_ids) > 600:
        raise ApiError(12019015, "sku_ids must not hold more than 600")
    if sku_ids:
        known = [shop.catalogue.skus[sku_id] for sku_id in dict.fromkeys(sku_ids) if sku_id in shop.catalogue.skus]
    else:
        products = [shop.catalogue.products.get(product_id) for product_id in dict.fromkeys(product_ids)]
        known = [sku for product in products if product for sku in product.skus]
    by_product: dict[str, list[Json]] = {}
    for sku in known:
        by_product.setdefault(sku.product_id, []).append(_inventory_row(shop, sku))
    return {"inventory": [{"product_id": product_id, "skus": rows} for product_id, rows in by_product.items()]}


def _inventory_row(shop: Shop, sku: Sku) -> Json:
    total = sum(sku.available.values())
    places = [
        {"warehouse_id": place, "available_quantity": quantity, "committed_quantity": sku.committed[place]}
        for place, quantity in sku.available.items()
    ]
    distribution = {"in_shop_inventory": {"quantity": total}, "campaign_inventory": [], "creator_inventory": []}
    return {
        "id": sku.id,
        "seller_sku": seller_sku(shop, sku.id),
        "total_available_quantity": total,
        "total_committed_quantity": sum(sku.committed.values()),
        "warehouse_inventory": places,
        "total_available_inventory_distribution": distribution,
    }


def update_inventory(shop: Shop, call: Call) -> Json:
    """Update Inventory: sets what is available, SKU by SKU; refused SKUs come back beside code 0."""
    product = _find(shop, call.params["product_id"])
    if product.status not in EDITABLE:
        raise ApiError(12052901, "the product's status forbids changing its stock")
    rows = call.body_objects("skus")
    if not rows:
        raise bad_parameter("Invalid parameter: skus is required")
    if len(rows) > MAX_SKUS_A_PRODUCT:
        raise ApiError(12019015, "too many skus")
    ids = [text_of(row, "id") for row in rows]
    _check_ids(shop, product, ids)
    errors: list[Json] = []
    for sku_id, row in zip(ids, rows, strict=True):
        sku = shop.catalogue.skus[sku_id]
        places = objects(row.get("inventory"), "inventory")
        problem = _stock_problem(shop, call, sku, places)
        if problem is None and shop.dice.roll("inventory_partial"):
            problem = _problem(sku, 12052990, "the stock could not be checked, try again later", [])
        if problem is not None:
            errors.append(problem)
            continue
        _set_stock(shop, call, sku, places)
        product.updated_at = call.now
    if shop.dice.roll("inventory_answer_lost"):
        raise ConnectionLost
    return {"errors": errors} if errors else {}


def _check_ids(shop: Shop, product: Product, ids: list[str]) -> None:
    if not all(ids):
        raise ApiError(12052036, "sku id is missing")
    if len(set(ids)) != len(ids):
        raise ApiError(12052553, "a sku is named twice")
    for sku_id in ids:
        sku = shop.catalogue.skus.get(sku_id)
        if sku is None:
            raise ApiError(12052556, f"no such sku: {sku_id}")
        if sku.product_id != product.id:
            raise ApiError(12052557, f"sku {sku_id} is not in this product")


def _problem(sku: Sku, code: int, message: str, extra: list[Json]) -> Json:
    return {"code": code, "message": message, "detail": {"sku_id": sku.id, "extra_errors": extra}}


def _stock_problem(shop: Shop, call: Call, sku: Sku, places: list[Json]) -> Json | None:
    """Return what is wrong with one SKU's part of the call, as data.errors shows it."""
    default = next(iter(sku.available)) if len(sku.available) == 1 else ""
    named = [text_of(place, "warehouse_id") or default for place in places]
    extra: list[Json] = []
    all_places = {warehouse.id: warehouse for warehouse in shop.catalogue.warehouses}
    for warehouse_id in named:
        if warehouse_id in sku.available:
            continue
        known = all_places.get(warehouse_id)
        code = 12052097 if known is None else 12052532 if known.kind != "SALES_WAREHOUSE" else 12052533
        extra.append({"warehouse_id": warehouse_id, "code": code, "message": "not a warehouse of this sku"})
    for warehouse_id in sku.available:
        if warehouse_id not in named:
            message = "all warehouses of the sku must be listed"
            extra.append({"warehouse_id": warehouse_id, "code": 12052533, "message": message})
            shop.violation("inventory_without_all_warehouses", request_id=call.request_id, detail=sku.id)
    if extra or len(set(named)) != len(named):
        return _problem(sku, 12052037, "the stock could not be updated: wrong or missing warehouses", extra)
    return _quantity_problem(shop, sku, places)


def _quantity_problem(shop: Shop, sku: Sku, places: list[Json]) -> Json | None:
    for place in places:
        quantity: Any = place.get("quantity")
        if not _is_count(quantity) or quantity < 0:
            return _problem(sku, 12019024, "the stock count is invalid", [])
        if quantity > MAX_QUANTITY or (quantity == 0 and shop.options.zero_quantity_refused):
            return _problem(sku, 12052055, f"the quantity must be between 1 and {MAX_QUANTITY}", [])
        backorder, handling = place.get("backorder_quantity"), place.get("handling_time")
        if (backorder is None) != (handling is None):
            return _problem(sku, 12019024, "backorder_quantity and handling_time travel together", [])
        if backorder is not None and not (_is_count(backorder) and _is_count(handling)):
            return _problem(sku, 12019024, "the backorder count is invalid", [])
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _set_stock(shop: Shop, call: Call, sku: Sku, places: list[Json]) -> None:
    for place in places:
        warehouse_id = text_of(place, "warehouse_id") or next(iter(sku.available))
        before = sku.available[warehouse_id]
        sku.available[warehouse_id] = place["quantity"]
        if place.get("backorder_quantity") is not None:
            sku.backorder[warehouse_id] = (place["backorder_quantity"], place["handling_time"])
        shop.ledger.add(
            "inventory_writes",
            product_id=sku.product_id,
            sku_id=sku.id,
            warehouse_id=warehouse_id,
            before=before,
            quantity=place["quantity"],
            time=call.now,
            request_id=call.request_id,
        )
