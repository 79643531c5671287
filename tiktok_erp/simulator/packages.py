"""Reading packages: search and detail (reference, section 4.3)."""

from __future__ import annotations

from tiktok_erp.simulator.calls import BAD_INPUT, NOT_YOURS, ApiError, Call
from tiktok_erp.simulator.entities import Package
from tiktok_erp.simulator.orders import window
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.wire import Json, package_object, package_row

STATUSES = ("TO_FULFILL", "PROCESSING", "FULFILLING", "COMPLETED", "CANCELLED")


def search(shop: Shop, call: Call) -> Json:
    """Search Package."""
    size = call.page_size(50, 20, code=BAD_INPUT)
    field = call.choice("sort_field", ("create_time", "update_time", "order_pay_time"), "create_time")
    descending = call.choice("sort_order", ("ASC", "DESC"), "DESC") == "DESC"
    status = call.body_text("package_status")
    if status and status not in STATUSES:
        raise ApiError(BAD_INPUT, "package_status is not known")
    cursor = shop.pages.cursor(call)
    window_end = cursor.window_end if cursor else call.now + 1
    created, updated = window(call, "create_time", window_end), window(call, "update_time", window_end)
    rows = [
        package
        for package in shop.packages.values()
        if status in ("", package.status) and package.created_at in created and package.updated_at in updated
    ]

    def key(package: Package) -> tuple[int, str]:
        paid = shop.orders[package.order_ids[0]].paid_at
        times = {"create_time": package.created_at, "update_time": package.updated_at, "order_pay_time": paid}
        return (times[field], package.id)

    page, token = shop.pages.cut(call, rows, size, key, descending=descending, window_end=window_end)
    return {
        "packages": [package_row(shop, package) for package in page],
        "next_page_token": token,
        "total_count": len(rows),
    }


def detail(shop: Shop, call: Call) -> Json:
    """Get Package Detail."""
    package = shop.packages.get(call.params["package_id"])
    if package is None:
        raise ApiError(NOT_YOURS, "package does not belong to this seller")
    return package_object(shop, package, call.now)
