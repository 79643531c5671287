"""What the channel's words mean for us: order and unit states, the hold hour, the deadline. Pure.

Words: TikTok reference, sections 5.1 and 5.2. A word that is not in the tables is `unknown`: reported, never shipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from tiktok_erp.model.facts import OrderFacts, UnitFacts
from tiktok_erp.model.rule import Deadlines
from tiktok_erp.model.work_days import due_after

HOLD_AFTER_PAYMENT = timedelta(hours=1)
ORDER_STATES = ("unpaid", "held", "open", "closed", "cancelled", "unknown")
STILL_PROMISED = frozenset({"unpaid", "held", "open", "unknown"})
PRESALE_TYPES = frozenset({"PRE_ORDER", "MADE_TO_ORDER", "BACK_ORDER"})

DIGITAL = "TIKTOK_DIGITAL"
CHANNEL_FULFILLMENT = ("FULFILLMENT_BY_TIKTOK", "FULFILLMENT_BY_DILAYANI_TOKOPEDIA")

_ORDER_STATES = {
    "UNPAID": "unpaid",
    "ON_HOLD": "held",
    "AWAITING_SHIPMENT": "open",
    "PARTIALLY_SHIPPING": "open",
    "AWAITING_COLLECTION": "closed",
    "IN_TRANSIT": "closed",
    "DELIVERED": "closed",
    "COMPLETED": "closed",
    "CANCELLED": "cancelled",
    "CANCEL": "cancelled",
}
_UNIT_STATES = {
    "UNPAID": "open",
    "ON_HOLD": "open",
    "AWAITING_SHIPMENT": "open",
    "TO_SHIP": "open",
    "AWAITING_COLLECTION": "shipped",
    "IN_TRANSIT": "shipped",
    "DELIVERED": "shipped",
    "COMPLETED": "shipped",
    "CANCELLED": "cancelled",
    "CANCEL": "cancelled",
}
_SCANNED = frozenset({"IN_TRANSIT", "DELIVERED", "COMPLETED"})
_DELIVERED = frozenset({"DELIVERED"})  # COMPLETED may also mean: refunded before it arrived


def unit_state(unit: UnitFacts, order_status: str) -> str:
    """Return `open`, `shipped`, `cancelled` or `unknown` for one unit of an order in `order_status`."""
    if _ORDER_STATES.get(order_status) == "cancelled":
        return "cancelled"
    word = unit.status or order_status
    if word == "PARTIALLY_SHIPPING":
        return "shipped" if unit.channel_package_id else "open"
    return _UNIT_STATES.get(word, "unknown")


def order_state(status: str, unit_states: Sequence[str]) -> str:
    """Return the order's state without the hold hour, which needs a clock.

    An order that the channel calls open is `closed` once no unit is left to ship; a closed one is never reopened by its
    units, since a parcel sent twice costs more than one that is asked about.
    """
    state = _ORDER_STATES.get(status, "unknown")
    if state == "open" and unit_states and not any(word in ("open", "unknown") for word in unit_states):
        return "cancelled" if all(word == "cancelled" for word in unit_states) else "closed"
    return state


def held_until(facts: OrderFacts) -> datetime | None:
    """Return when the hold ends, as far as it is known; None when nothing holds the order.

    The platform's own hold shows in the status. An order paid without it is held for an hour by us (TikTok reference,
    section 5.2): the buyer may still cancel freely.
    """
    if facts.status == "ON_HOLD":
        if facts.release_at is not None:
            return facts.release_at
        return facts.paid_at + HOLD_AFTER_PAYMENT if facts.paid_at is not None else None
    if _ORDER_STATES.get(facts.status) == "open" and not facts.is_on_hold_order and facts.paid_at is not None:
        return facts.paid_at + HOLD_AFTER_PAYMENT
    return None


def channel_deadline(facts: OrderFacts) -> datetime | None:
    """Return the earliest deadline that the channel itself gave, or None."""
    given = (facts.rts_sla_at, facts.tts_sla_at, facts.shipping_due_at, facts.cancel_sla_at)
    return min((moment for moment in given if moment is not None), default=None)


def estimated_deadline(facts: OrderFacts, deadlines: Deadlines, zone: tzinfo = UTC) -> datetime | None:
    """Return the deadline by our own rules: from payment, for a pre-sale from its release. None when unpaid.

    `zone` is the shop's: by its calendar the days of `deadlines.days` count, and no others.
    """
    start, length = facts.paid_at, deadlines.ship_within
    if facts.is_presale:
        start, length = facts.release_at or facts.paid_at, deadlines.presale_within
    return None if start is None else due_after(start, length, deadlines.days, zone)


def scanned_at(facts: OrderFacts) -> datetime | None:
    """Return when the carrier had the parcel; the time of the status where no better one was given."""
    if facts.collected_at is not None:
        return facts.collected_at
    return (facts.updated_at or facts.as_of) if facts.status in _SCANNED else None


def delivered_at(facts: OrderFacts) -> datetime | None:
    """Return when the parcel arrived; the time of the status where no better one was given."""
    if facts.delivered_at is not None:
        return facts.delivered_at
    return (facts.updated_at or facts.as_of) if facts.status in _DELIVERED else None


def is_packed_by_us(fulfillment_type: str | None, shipping_type: str | None) -> bool:
    """Tell whether we pack the order: one that the channel packs, or that is no thing, gets no package and no stock.

    With a word that we do not know it stays in sight as ours, and nothing is bought for it.
    """
    return fulfillment_type not in CHANNEL_FULFILLMENT and shipping_type != DIGITAL
