"""Why a cancel request may be refused, in our words and TikTok's. Pure data; the edge turns one into the other."""

from __future__ import annotations

# The reasons for sellers who refuse a cancel (returns reference, "Seller, refuse a cancel"; the US shop takes these four).
REJECT_REASONS = {
    "packed": "seller_reject_apply_product_has_been_packed",
    "delivered": "order_manage_list_action_respond_popup_reject_reason_delivered",
    "invalid": "order_manage_list_action_respond_popup_reject_reason_invalid_cancellation_reason",
    "agreed": "order_manage_list_action_respond_popup_reject_reason_buyer_agree",
}
