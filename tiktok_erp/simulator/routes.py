"""Every endpoint that the simulated shop answers: method, path template, scope, and whether it takes a shop cipher."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tiktok_erp.simulator import (
    authorization,
    cancellations,
    files,
    logistics,
    orders,
    packages,
    products,
    purchases,
    tracking,
)
from tiktok_erp.simulator.authorization import Accounts
from tiktok_erp.simulator.calls import Call
from tiktok_erp.simulator.shop import Shop
from tiktok_erp.simulator.wire import Json

Handler = Callable[[Shop, Call], Json]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    template: str
    scope: str
    handler: Handler
    takes_cipher: bool = True
    writes: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"


def make_routes(accounts: Accounts, shops: Sequence[Shop], file_key: bytes) -> list[Route]:
    """Return the route table of one seller's shops."""

    def authorized_shops(shop: Shop, call: Call) -> Json:
        return authorization.authorized_shops(shops, accounts.ciphers)

    def active_shops(shop: Shop, call: Call) -> Json:
        return authorization.active_shops(shops)

    def document(shop: Shop, call: Call) -> Json:
        return files.shipping_document(shop, call, file_key)

    basic, write_scope = "seller.fulfillment.basic", "seller.fulfillment.package.write"
    reads, order_info, logistic = "seller.product.basic", "seller.order.info", "seller.logistics"
    refund = "seller.return_refund.basic"
    auth_info = "seller.authorization.info"
    product = "/product/202309/products/{product_id}"
    fulfil = "/fulfillment/202309"
    table: list[Route] = [
        Route("GET", "/authorization/202309/shops", auth_info, authorized_shops, takes_cipher=False),
        Route("GET", "/seller/202309/shops", auth_info, active_shops, takes_cipher=False),
        Route("POST", "/order/202309/orders/search", order_info, orders.search),
        Route("GET", "/order/202507/orders", order_info, orders.detail),
        Route("GET", "/order/202309/orders", order_info, orders.detail),
        Route("GET", "/order/202407/orders/{order_id}/price_detail", order_info, orders.price_detail),
        Route("GET", "/order/202406/orders/{order_id}/external_orders", "seller.order.ext_ref.read",
              orders.get_external_references),
        Route("POST", "/order/202406/orders/external_order_search", "seller.order.ext_ref.read",
              orders.search_external_references),
        Route("POST", "/order/202406/orders/external_orders", "seller.order.ext_ref.write",
              orders.add_external_references, writes=True),
        Route("POST", fulfil + "/packages/search", basic, packages.search),
        Route("GET", fulfil + "/packages/{package_id}", basic, packages.detail),
        Route("POST", "/fulfillment/202512/packages", basic, purchases.create_packages, writes=True),
        Route("POST", fulfil + "/packages", basic, purchases.create_packages_202309, writes=True),
        Route("POST", fulfil + "/orders/{order_id}/shipping_services/query", basic, purchases.eligible_services),
        Route("GET", fulfil + "/packages/{package_id}/shipping_documents", basic, document),
        Route("POST", "/fulfillment/202610/orders/{order_id}/packages", basic, tracking.mark_shipped, writes=True),
        Route("POST", fulfil + "/orders/{order_id}/packages", basic, tracking.mark_shipped_202309, writes=True),
        Route("POST", fulfil + "/orders/{order_id}/shipping_info/update", logistic, tracking.update_order_info,
              writes=True),
        Route("POST", "/fulfillment/202610/packages/{package_id}/shipping_info/update", basic,
              tracking.update_package_info, writes=True),
        Route("POST", fulfil + "/packages/{package_id}/shipping_info/update", basic,
              tracking.update_package_info_202309, writes=True),
        Route("POST", fulfil + "/packages/ship", basic, purchases.batch_ship, writes=True),
        Route("POST", fulfil + "/packages/{package_id}/ship", basic, purchases.ship_package, writes=True),
        Route("GET", fulfil + "/packages/{package_id}/handover_time_slots", write_scope, purchases.handover_slots),
        Route("GET", fulfil + "/orders/{order_id}/tracking", logistic, tracking.order_tracking),
        Route("GET", "/logistics/202604/orders/{order_id}/tracking", logistic, tracking.parcel_tracking),
        Route("GET", "/fulfillment/202508/tts_tracking_validation", basic, tracking.validate_number),
        Route("GET", fulfil + "/orders/split_attributes", basic, tracking.split_attributes),
        Route("GET", "/logistics/202309/warehouses", logistic, logistics.warehouses),
        Route("GET", "/logistics/202309/warehouses/{warehouse_id}/delivery_options", logistic,
              logistics.delivery_options),
        Route("GET", "/logistics/202309/delivery_options/{delivery_option_id}/shipping_providers", logistic,
              logistics.shipping_providers),
        Route("POST", "/product/202502/products/search", reads, products.search),
        Route("POST", "/product/202312/products/search", reads, products.search),
        Route("POST", "/product/202309/products/search", reads, products.search),
        Route("GET", product, reads, products.detail),
        Route("POST", "/product/202309/inventory/search", reads, products.inventory_search),
        Route("POST", product + "/inventory/update", "seller.product.write", products.update_inventory, writes=True),
        Route("POST", "/return_refund/202602/cancellations", refund, cancellations.cancel_order, writes=True),
        Route("POST", "/return_refund/202309/cancellations", refund, cancellations.cancel_order, writes=True),
        Route("POST", "/return_refund/202602/cancellations/search", refund, cancellations.search),
        Route("POST", "/return_refund/202309/cancellations/search", refund, cancellations.search),
        Route("POST", "/return_refund/202309/cancellations/{cancel_id}/approve", refund, cancellations.approve,
              writes=True),
        Route("POST", "/return_refund/202309/cancellations/{cancel_id}/reject", refund, cancellations.reject,
              writes=True),
        Route("POST", "/affiliate_seller/202410/orders/search", "seller.affiliate_collaboration.read",
              logistics.affiliate_orders),
    ]  # fmt: skip
    return table


@dataclass(frozen=True, slots=True)
class Match:
    route: Route | None
    params: dict[str, str]
    problem: str = ""  # "path", "method" or "version" when there is no route


class Router:
    """Find the route of a request; templates with more literal parts win."""

    def __init__(self, routes: list[Route]) -> None:
        ordered = sorted(routes, key=lambda route: route.template.count("{"))
        self._routes = [(self._pattern(route.template), self._any_version(route.template), route) for route in ordered]

    @staticmethod
    def _pattern(template: str) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))

    @staticmethod
    def _any_version(template: str) -> re.Pattern[str]:
        return re.compile(re.sub(r"/\d{6}/", r"/\\d{6}/", re.sub(r"\{\w+\}", "[^/]+", template), count=1))

    def match(self, method: str, path: str) -> Match:
        """Return the route, or why there is none."""
        problem = "path"
        for pattern, any_version, route in self._routes:
            found = pattern.fullmatch(path)
            if found and route.method == method:
                return Match(route, found.groupdict())
            if found:
                problem = "method"
            elif problem == "path" and route.method == method and any_version.fullmatch(path):
                problem = "version"
        return Match(None, {}, problem)
