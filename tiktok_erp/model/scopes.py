"""Which leave of the seller (scope) each endpoint and each command needs. Source: TikTok reference, sections 1.5 and 4. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tiktok_erp.messages import deferred

AUTHORIZATION = "seller.authorization.info"
ORDERS = "seller.order.info"
FULFILLMENT = "seller.fulfillment.basic"
PACKAGES_WRITE = "seller.fulfillment.package.write"
LOGISTICS = "seller.logistics"
PRODUCTS = "seller.product.basic"
PRODUCTS_WRITE = "seller.product.write"
RETURNS = "seller.return_refund.basic"
FINANCE = "seller.finance.info"
AFFILIATE = "seller.affiliate_collaboration.read"


@dataclass(frozen=True, slots=True)
class Need:
    """One scope of a command. `purpose` is what it is for; without a scope that is not required the command runs, but not that."""

    scope: str
    purpose: str
    is_required: bool = True


COMMANDS: Mapping[str, tuple[Need, ...]] = {
    "sync": (
        Need(ORDERS, deferred("fetching orders")),
        Need(AUTHORIZATION, deferred("telling which shop the token opens"), is_required=False),
        Need(PRODUCTS, deferred("SKUs, weights and listings"), is_required=False),
        Need(RETURNS, deferred("buyers' cancel requests"), is_required=False),
        Need(AFFILIATE, deferred("creators and commissions"), is_required=False),
    ),
    "stock import --from-channel": (Need(PRODUCTS, deferred("reading the channel's stock")),),
    "reserve-stock": (
        Need(PRODUCTS, deferred("reading the channel's stock")),
        Need(PRODUCTS_WRITE, deferred("publishing quantities")),
    ),
    "print-labels": (
        Need(ORDERS, deferred("reading an order again before money is spent")),
        Need(FULFILLMENT, deferred("buying and downloading labels")),
    ),
    "upload-tracking": (
        Need(ORDERS, deferred("reading an order again before it is told as shipped")),
        Need(FULFILLMENT, deferred("telling tracking numbers")),
        Need(LOGISTICS, deferred("the channel's list of carriers")),
    ),
    "orders answer": (
        Need(ORDERS, deferred("reading the order again")),
        Need(RETURNS, deferred("answering buyers' cancel requests")),
    ),
    "auth status": (Need(AUTHORIZATION, deferred("listing the shops that the token opens"), is_required=False),),
}

# The first pattern that fits decides; versions are left out because each endpoint has its own.
_ENDPOINTS: tuple[tuple[str, str, str], ...] = (
    ("GET", r"/(authorization|seller)/\d{6}/shops", AUTHORIZATION),
    ("*", r"/event/\d{6}/webhooks", AUTHORIZATION),
    ("POST", r"/order/\d{6}/orders/external_orders", "seller.order.ext_ref.write"),
    ("*", r"/order/\d{6}/orders/(external_order_search|[^/]+/external_orders)", "seller.order.ext_ref.read"),
    ("*", r"/order/\d{6}/orders(/.*)?", ORDERS),
    ("*", r"/fulfillment/\d{6}/packages/[^/]+/(handover_time_slots|uncombine)", PACKAGES_WRITE),
    ("POST", r"/fulfillment/\d{6}/packages/combine", PACKAGES_WRITE),
    ("GET", r"/fulfillment/\d{6}/combinable_packages/search", PACKAGES_WRITE),
    ("POST", r"/fulfillment/\d{6}/orders/[^/]+/split", PACKAGES_WRITE),
    ("*", r"/fulfillment/\d{6}/orders/[^/]+/(tracking|shipping_info/update)", LOGISTICS),
    ("*", r"/fulfillment/\d{6}/.*", FULFILLMENT),
    ("*", r"/logistics/\d{6}/.*", LOGISTICS),
    ("POST", r"/product/\d{6}/(products|inventory)/search", PRODUCTS),
    ("POST", r"/product/\d{6}/images/upload", PRODUCTS),
    ("GET", r"/product/\d{6}/.*", PRODUCTS),
    ("*", r"/product/\d{6}/.*", PRODUCTS_WRITE),
    ("*", r"/return_refund/\d{6}/cancellations(/.*)?", RETURNS),
    ("*", r"/finance/\d{6}/.*", FINANCE),
    ("*", r"/affiliate_seller/\d{6}/orders/search", AFFILIATE),
)


def scope_of(method: str, path: str) -> str | None:
    """Return the scope that a call of `path` (or its template) needs; None for a path that the reference does not tell."""
    for known, pattern, scope in _ENDPOINTS:
        if known in ("*", method.upper()) and re.fullmatch(pattern, path):
            return scope
    return None


def missing_scopes(granted: Collection[str]) -> dict[str, tuple[Need, ...]]:
    """Return what each command lacks, for the commands that lack anything."""
    lacking = {
        command: tuple(need for need in needs if need.scope not in granted) for command, needs in COMMANDS.items()
    }
    return {command: needs for command, needs in lacking.items() if needs}
