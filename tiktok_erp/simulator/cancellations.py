"""Cancellations: search, approve, reject, and the seller's own cancels (reference, section 4.11)."""

from __future__ import annotations

from tiktok_erp.simulator.calls import ApiError, Call, bad_parameter, text_of
from tiktok_erp.simulator.entities import Cancellation, Order, Unit
from tiktok_erp.simulator.orders import find_order, window
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.wire import Json, amount, seller_sku

UNPAID_REASONS = (
    "seller_cancel_unpaid_reason_out_of_stock",
    "seller_cancel_unpaid_reason_wrong_price",
    "seller_cancel_unpaid_reason_buyer_hasnt_paid_within_time_allowed",
    "seller_cancel_unpaid_reason_buyer_requested_cancellation",
)
PAID_REASONS = (
    "seller_cancel_reason_out_of_stock",
    "seller_cancel_reason_wrong_price",
    "seller_cancel_paid_reason_address_not_deliver",
    "seller_cancel_paid_reason_buyer_requested_cancellation",
)
CANCEL_STATUSES = (
    "CANCELLATION_REQUEST_PENDING",
    "CANCELLATION_REQUEST_SUCCESS",
    "CANCELLATION_REQUEST_CANCEL",
    "CANCELLATION_REQUEST_COMPLETE",
)

_POPUP = "order_manage_list_action_respond_popup_reject_reason_"
_REJECT_REASONS = (
    "seller_reject_apply_product_has_been_packed",
    *(_POPUP + end for end in ("invalid_cancellation_reason", "delivered", "buyer_agree")),
)


def search(shop: Shop, call: Call) -> Json:
    """Search Cancellations; oldest first by default."""
    size = call.page_size(50, 10)
    field = call.choice("sort_field", ("create_time", "update_time"), "create_time")
    descending = call.choice("sort_order", ("ASC", "DESC"), "ASC") == "DESC"
    filters = {name: call.body_texts(name) for name in ("cancel_ids", "order_ids", "buyer_user_ids")}
    kinds, statuses = call.body_texts("cancel_types"), call.body_texts("cancel_status")
    if set(kinds) - {"CANCEL", "BUYER_CANCEL"} or set(statuses) - set(CANCEL_STATUSES):
        raise ApiError(25001001, "bad input: cancel_types or cancel_status")
    cursor = shop.pages.cursor(call)
    window_end = cursor.window_end if cursor else call.now + 1
    created, updated = window(call, "create_time", window_end), window(call, "update_time", window_end)

    def wanted(row: Cancellation) -> bool:
        user_id = shop.orders[row.order_id].buyer.user_id
        values = {"cancel_ids": row.id, "order_ids": row.order_id, "buyer_user_ids": user_id}
        return (
            all(not allowed or values[name] in allowed for name, allowed in filters.items())
            and (not kinds or row.kind in kinds)
            and (not statuses or row.status in statuses)
            and row.created_at in created
            and row.updated_at in updated
        )

    def key(row: Cancellation) -> tuple[int, str]:
        return (row.updated_at if field == "update_time" else row.created_at, row.id)

    rows = [row for row in shop.cancellations.values() if wanted(row)]
    page, token = shop.pages.cut(call, rows, size, key, descending=descending, window_end=window_end)
    return {
        "cancellations": [_row(shop, row) for row in page],
        "total_count": len(rows),
        "next_page_token": token,
    }


def _refund(order: Order, units: list[Unit]) -> Json:
    tax = sum(unit.tax for unit in units)
    subtotal = sum(unit.sale for unit in units)
    whole = len(units) == len(order.units)
    shipping = order.shipping_fee - order.shipping_fee_platform_discount if whole else 0
    fee = sum(unit.retail_delivery_fee for unit in units)
    total = subtotal + shipping + tax + fee if order.paid_at else 0
    return {
        "currency": "USD",
        "refund_total": amount(total),
        "refund_subtotal": amount(subtotal if total else 0),
        "refund_shipping_fee": amount(shipping if total else 0),
        "refund_tax": amount(tax if total else 0),
        "retail_delivery_fee": amount(fee if total else 0),
        "buyer_service_fee": "0",
    }


def _row(shop: Shop, row: Cancellation) -> Json:
    order = shop.orders[row.order_id]
    units = [unit for unit in order.units if unit.id in row.unit_ids]
    lines = [
        {
            "cancel_line_item_id": f"{row.id[:-4]}{place:04d}",
            "order_line_item_id": unit.id,
            "sku_id": unit.sku.id,
            "sku_name": unit.sku.name,
            "product_name": unit.sku.product_name,
            "product_image": {"url": unit.sku.image, "width": 300, "height": 300},
            "seller_sku": seller_sku(shop, unit.sku.id),
            "refund_amount": _refund(order, [unit]),
        }
        for place, unit in enumerate(units, start=1)
    ]
    shown: Json = {
        "cancel_id": row.id,
        "order_id": row.order_id,
        "cancel_type": row.kind,
        "cancel_status": row.status,
        "role": row.role,
        "cancel_reason": row.reason,
        "cancel_reason_text": row.reason_text,
        "create_time": row.created_at,
        "update_time": row.updated_at,
        "seller_next_action_response": [],
        "refund_amount": _refund(order, units),
        "cancel_line_items": lines,
        "should_replenish_stock": row.replenish,
    }
    if row.status == "CANCELLATION_REQUEST_PENDING":
        shown["seller_next_action_response"] = [{"action": "SELLER_RESPOND_BUYER_CANCEL", "deadline": row.deadline}]
    return shown


def _pending(shop: Shop, call: Call) -> Cancellation:
    request = shop.cancellations.get(call.params["cancel_id"])
    if request is None:
        raise ApiError(25001001, "no such cancellation")
    if request.status != "CANCELLATION_REQUEST_PENDING":
        raise ApiError(25001051, "the cancellation is completed or cancelled")
    return request


def approve(shop: Shop, call: Call) -> Json:
    """Approve Cancellation."""
    shop.answer_request(_pending(shop, call), granted=True, at=call.now)
    return {}


def reject(shop: Shop, call: Call) -> Json:
    """Reject Cancellation."""
    request = _pending(shop, call)
    if call.body_text("reject_reason") not in _REJECT_REASONS:
        raise ApiError(25001014, "the reject reason is not known")
    shop.answer_request(request, granted=False, at=call.now)
    return {}


def cancel_order(shop: Shop, call: Call) -> Json:
    """Cancel Order by the seller: the whole order, or some lines for want of stock."""
    order_id, reason = call.body_text("order_id"), call.body_text("cancel_reason")
    if not order_id:
        raise bad_parameter("Invalid parameter: order_id is required")
    order = find_order(shop, order_id)
    if reason not in UNPAID_REASONS + PAID_REASONS:
        raise ApiError(25001014, "the cancel reason is not known")
    if order.status in ("CANCELLED", "COMPLETED"):
        raise ApiError(25001051, "the order is completed or cancelled")
    if order.status not in ("UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION"):
        raise ApiError(25001045, "the order is shipped already")
    if (reason in UNPAID_REASONS) != (order.status == "UNPAID"):
        raise ApiError(25001021, "the reason does not fit the order's status")
    units = _chosen(call, order)
    if len(units) < len(order.live_units) and not reason.endswith("out_of_stock"):
        raise ApiError(25001021, "single items can be cancelled for want of stock only")
    request = shop.pending_request(order)
    whole = len(units) == len(order.live_units)
    done = shop.cancel(
        order, units, role="SELLER", reason=reason, at=call.now, request=request if request and whole else None
    )
    return {"cancel_id": done.id, "cancel_status": done.status}


def _chosen(call: Call, order: Order) -> list[Unit]:
    live = {unit.id: unit for unit in order.live_units}
    line_ids = call.body_texts("order_line_item_ids")
    line_ids = line_ids or [text_of(line, "order_line_item_id") for line in call.body_objects("order_line_list")]
    if line_ids:
        if any(line_id not in live for line_id in line_ids):
            raise ApiError(25005010, "a line item is not open in this order")
        return [live[line_id] for line_id in dict.fromkeys(line_ids)]
    chosen: list[Unit] = []
    for row in call.body_objects("skus"):
        sku_id, quantity = text_of(row, "sku_id"), row.get("quantity")
        mine = [unit for unit in live.values() if unit.sku.id == sku_id]
        if not isinstance(quantity, int) or not 1 <= quantity <= len(mine):
            raise ApiError(25005011, "a sku or quantity does not fit this order")
        chosen += mine[:quantity]
    return chosen or list(live.values())
