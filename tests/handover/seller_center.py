"""What a person does in Seller Center, played against the simulated shop from the documents (TikTok reference, section 8).

The API is not used: Seller Center works while the API is dark. Everything goes through the shop's own book.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pypdfium2
from openpyxl import load_workbook

from tiktok_erp.simulator.calls import ApiError
from tiktok_erp.simulator.documents import render_label
from tiktok_erp.simulator.entities import Order
from tiktok_erp.simulator.files import label_facts
from tiktok_erp.simulator.server import Simulator
from tiktok_erp.simulator.tracking import mark_units
from tiktok_erp.simulator.wire import money

NOT_BY_API = "seller-center"


class SellerCenter:
    """One person signed in to the simulated shop's Seller Center."""

    def __init__(self, simulator: Simulator) -> None:
        self._shop = simulator.shop

    def may_be_shipped(self, order_id: str) -> bool:
        """Tell what the page of the order says: it awaits shipment, and the buyer does not want to cancel."""
        with self._shop.lock:
            self._shop.advance()
            order = self._shop.orders[order_id]
            return order.status == "AWAITING_SHIPMENT" and not order.cancel_requested

    def label_of(self, order_ids: Sequence[str]) -> bytes | None:
        """Print the label that these orders have already (print history), or buy one; None when they may not be shipped.

        Orders chosen together leave in one package (section 4.6).
        """
        with self._shop.lock:
            self._shop.advance()
            orders = [self._shop.orders[order_id] for order_id in order_ids]
            packages = {package_id for order in orders for package_id in order.package_ids}
            held = [self._shop.packages[package_id] for package_id in sorted(packages)]
            held = [package for package in held if package.shipped_at and package.tracking_number]
            if held:
                return render_label(label_facts(self._shop, held[0]))
            if not all(order.status == "AWAITING_SHIPMENT" and not order.cancel_requested for order in orders):
                return None
            return self._bought(orders)

    def _bought(self, orders: Sequence[Order]) -> bytes:
        shop, now = self._shop, self._shop.now()
        units = [unit for order in orders for unit in order.open_units]
        planned = shop.packages[orders[0].package_ids[0]] if orders[0].package_ids else None
        tag = "COMBINE" if len(orders) > 1 else "DEFAULT"
        package = shop.ship(orders, units, now, tag=tag, planned=planned)
        shop.buy_label(package, shop.catalogue.services[0], now)
        package.sub_status, package.document_at = "RTS", float(now)
        shop.ledger.add(
            "purchases",
            package_id=package.id,
            order_ids=list(package.order_ids),
            time=now,
            request_id=NOT_BY_API,
            tracking_number=package.tracking_number,
            cost=money(package.cost),
            currency="USD",
        )
        return render_label(label_facts(shop, package))

    def upload_tracking(self, path: Path) -> tuple[int, int]:
        """Upload a tracking template (section 8.3); write each row's result behind it; return (taken, refused)."""
        workbook = load_workbook(path)
        sheet = workbook["Shipping info"]
        headers = [str(cell.value or "") for cell in sheet[2]]
        assert headers[:4] == ["Order ID", "Tracking ID", "Shipping Provider Name", "Auto Combine Group ID"]
        taken = refused = 0
        sheet["E2"] = "Result"
        for row in range(3, sheet.max_row + 1):
            order_id, number, provider = (sheet.cell(row, column).value for column in (1, 2, 3))
            if not order_id:
                continue
            error = self.tell(str(order_id), str(number or ""), str(provider or ""))
            sheet.cell(row, 5).value = error or "Success"
            taken, refused = taken + (not error), refused + bool(error)
        workbook.save(path)
        return taken, refused

    def tell(self, order_id: str, number: str, provider: str) -> str:
        """Type one number in; return what the page says against it, nothing when it is taken."""
        shop = self._shop
        with shop.lock:
            shop.advance()
            order = shop.orders.get(order_id)
            if order is None:
                return "The order does not exist"
            if order.status != "AWAITING_SHIPMENT" or order.cancel_requested or order.is_platform_fulfilled:
                return f"The order is {order.status}"
            call: Any = SimpleNamespace(now=shop.now(), request_id=NOT_BY_API)
            planned = shop.packages[order.package_ids[0]] if order.package_ids else None
            provider_id = shop.catalogue.providers.get(provider, "")
            try:
                mark_units(shop, call, order, order.open_units, [(number, provider_id)], planned)
            except ApiError as refusal:
                return refusal.message
        return ""


def joined(labels: Sequence[bytes]) -> bytes:
    """Return one PDF with all these labels, as Seller Center hands them out."""
    whole = pypdfium2.PdfDocument.new()
    for label in labels:
        with pypdfium2.PdfDocument(label) as document:
            whole.import_pages(document)
    written = io.BytesIO()
    whole.save(written)
    whole.close()
    return written.getvalue()
